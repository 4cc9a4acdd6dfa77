"""Requests with what an assistant asked for: ``threads.add_client_tool_output``, ``threads.add_structured_input``."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Final

from chatkit._outages import log_failure
from chatkit.dialects.openai_chatkit.store import OpenAIStoreAdapter, newest_items
from chatkit.errors import ConflictError, InvalidRequestError, NotFoundError, StaleTurnError
from chatkit.ids import utc_now
from chatkit.server.requests.idempotency import begin_once
from chatkit.server.requests.turns import stream_options
from chatkit.server.reviews import review_input
from chatkit.server.scope import RequestScope
from chatkit.server.tool_calls import abandoned_calls, next_call
from chatkit.server.turns.pipeline import Pipeline
from chatkit.server.turns.results import StreamingResult
from chatkit.server.turns.turn import Turn
from chatkit.store.acceptance import ItemChange, TurnWrites
from chatkit.types import (
    ClientToolCallItem,
    StructuredInput,
    StructuredInputAnswer,
    StructuredInputItem,
    StructuredInputMultipleChoice,
    StructuredInputSubmission,
    ThreadAddClientToolOutputParams,
    ThreadAddStructuredInputParams,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadsAddClientToolOutputReq,
    ThreadsAddStructuredInputReq,
    ThreadStreamEvent,
    UserMessageItem,
)

__all__ = ["HANDLERS", "ConflictValueError", "add_client_tool_output", "add_structured_input"]

logger = logging.getLogger("chatkit.server")

_QUEUE_SEARCH: Final = 100
"""Items at a thread's end among which calls that wait for the page are looked for."""
_TOOL_CALL_SEARCH: Final = 20
"""Items at a thread's end among which the pending client tool call is looked for."""


class ConflictValueError(ConflictError, ValueError):
    """The item is not in the state that the request expects; a ValueError too, as applications know it."""


async def add_client_tool_output(
    scope: RequestScope, params: ThreadAddClientToolOutputParams
) -> StreamingResult:
    """Completes the pending client tool call of a thread and has it answered."""
    # Sent twice, it must not answer the call that the page is asked for next.
    async with scope.use_thread(params.thread_id, alone=True):
        return await begin_once(
            scope, lambda: _turn_of_output(scope, params), lambda: _turn_of_stored_output(scope, params)
        )


async def add_structured_input(
    scope: RequestScope, params: ThreadAddStructuredInputParams
) -> StreamingResult:
    """Answers the questions of a structured input item and has that answered."""
    async with scope.use_thread(params.thread_id, alone=True):
        return await begin_once(
            scope,
            lambda: _turn_of_structured_input(scope, params),
            lambda: _turn_of_stored_answers(scope, params),
        )


HANDLERS: Final = {
    ThreadsAddClientToolOutputReq: add_client_tool_output,
    ThreadsAddStructuredInputReq: add_structured_input,
}


async def _turn_of_output(scope: RequestScope, params: ThreadAddClientToolOutputParams) -> Turn:
    thread = await scope.load_thread(params.thread_id)
    call = await _pending_tool_call(scope, thread)
    params = await review_input(scope, params)
    completed = call.model_copy(update={"status": "completed", "output": params.result})
    return await _turn_after_output(scope, thread, call, TurnWrites(change=ItemChange(call, completed)))


async def _turn_of_stored_output(scope: RequestScope, params: ThreadAddClientToolOutputParams) -> Turn:
    thread = await scope.load_thread(params.thread_id)
    for item in await newest_items(scope.store, thread.id, _TOOL_CALL_SEARCH, scope.context):
        if isinstance(item, ClientToolCallItem) and item.status == "completed":
            return await _turn_after_output(scope, thread, item, TurnWrites())
    raise _no_pending_call()


async def _turn_after_output(
    scope: RequestScope, thread: ThreadMetadata, call: ClientToolCallItem, writes: TurnWrites
) -> Turn:
    # Those of the same response that wait: the model goes on when it has the outputs of all.
    recent = await scope.store.load_thread_items(thread.id, None, _QUEUE_SEARCH, "desc", scope.context)
    queued = next_call(recent.data)
    options = await stream_options(scope, thread)

    async def opening(pipeline: Pipeline) -> None:
        for abandoned in abandoned_calls(recent.data, call):
            await _delete_abandoned(scope, thread.id, abandoned)
        pipeline.storage.continues = True
        pipeline.accept(options)

    def refusal(error: Exception) -> Exception:
        return _no_pending_call() if isinstance(error, ConflictError | NotFoundError) else error

    if queued is None:
        return Turn(scope, thread, writes=writes, opening=opening, refusal=refusal)

    async def ask_for_next(_: Pipeline) -> AsyncIterator[ThreadStreamEvent]:
        yield ThreadItemDoneEvent(item=queued.model_copy(update={"created_at": utc_now()}))

    return Turn(scope, thread, writes=writes, opening=opening, refusal=refusal, handler=ask_for_next)


async def _turn_of_structured_input(scope: RequestScope, params: ThreadAddStructuredInputParams) -> Turn:
    thread = await scope.load_thread(params.thread_id)
    item = await scope.store.load_item(thread.id, params.item_id, scope.context)
    if not isinstance(item, StructuredInputItem):
        raise InvalidRequestError("'item_id' must name a structured input item.")
    if item.status != "pending":
        raise _answered_already()
    params = await review_input(scope, params)
    answered = _answered(item, params.input)
    return await _turn_after_answers(scope, thread, answered, TurnWrites(change=ItemChange(item, answered)))


async def _turn_of_stored_answers(scope: RequestScope, params: ThreadAddStructuredInputParams) -> Turn:
    thread = await scope.load_thread(params.thread_id)
    item = await scope.store.load_item(thread.id, params.item_id, scope.context)
    return await _turn_after_answers(scope, thread, item, TurnWrites())


async def _turn_after_answers(
    scope: RequestScope, thread: ThreadMetadata, answered: ThreadItem, writes: TurnWrites
) -> Turn:
    options = await stream_options(scope, thread)

    async def opening(pipeline: Pipeline) -> None:
        pipeline.storage.given.add(answered.id)
        pipeline.accept(options)
        pipeline.announce_replacement(answered)

    return Turn(
        scope,
        thread,
        writes=writes,
        opening=opening,
        refusal=lambda error: _answered_already() if isinstance(error, ConflictError) else error,
    )


async def _pending_tool_call(scope: RequestScope, thread: ThreadMetadata) -> ClientToolCallItem:
    store, context = scope.store, scope.context
    for item in await newest_items(store, thread.id, _TOOL_CALL_SEARCH, context):
        if isinstance(item, ClientToolCallItem):
            if item.status == "pending":
                return item
            break
        if isinstance(item, UserMessageItem):
            break
    if isinstance(store, OpenAIStoreAdapter):
        # As openai-chatkit: whatever the store returns for its newest item, the call is among it.
        page = await store.load_thread_items(thread.id, None, 1, "desc", context)
        for item in page.data:
            if isinstance(item, ClientToolCallItem) and item.status == "pending":
                return item
    raise _no_pending_call()


async def _delete_abandoned(scope: RequestScope, thread_id: str, call: ClientToolCallItem) -> None:
    logger.warning("The call of %r was never answered by the page, and is deleted", call.name)
    try:
        await scope.store.delete_thread_item(thread_id, call.id, scope.context)
    except StaleTurnError:
        raise
    except Exception as error:  # noqa: BLE001 -- the output is stored, and the answer is worth more than this
        log_failure(logger, "It stays in the thread", error, brief=True)


def _no_pending_call() -> ConflictValueError:
    return ConflictValueError("No client tool call is waiting for its output in this thread.")


def _answered_already() -> ConflictValueError:
    return ConflictValueError("These questions have been answered already.")


def _answered(item: StructuredInputItem, submission: StructuredInputSubmission) -> StructuredInputItem:
    inputs = [_with_answer(question, submission) for question in item.inputs]
    return item.model_copy(update={"status": submission.status, "inputs": inputs})


def _with_answer(question: StructuredInput, submission: StructuredInputSubmission) -> StructuredInput:
    given = submission.answers.get(question.id)
    if submission.status == "skipped" or given is None or given.skipped or not given.values:
        answer = StructuredInputAnswer(skipped=True)
    else:
        values = given.values
        if isinstance(question, StructuredInputMultipleChoice) and not question.multiple:
            values = values[:1]
        answer = StructuredInputAnswer(values=values)
    return question.model_copy(update={"answer": answer})
