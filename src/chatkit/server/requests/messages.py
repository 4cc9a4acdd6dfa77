"""Requests to answer a message: ``threads.create``, ``threads.add_user_message``, ``threads.retry_after_item``."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from chatkit.dialects.openai_chatkit.store import OpenAIStoreAdapter
from chatkit.errors import InvalidRequestError, NotFoundError
from chatkit.server.requests.attachments import attach, detach
from chatkit.server.requests.idempotency import begin_once
from chatkit.server.requests.turns import stream_options
from chatkit.server.reviews import review_input
from chatkit.server.scope import RequestScope
from chatkit.server.threads import refuse_messages_unless_active
from chatkit.server.turns.pipeline import Pipeline
from chatkit.server.turns.results import StreamingResult
from chatkit.server.turns.turn import Turn
from chatkit.store.acceptance import TurnWrites
from chatkit.types import (
    Attachment,
    ThreadAddUserMessageParams,
    ThreadCreateParams,
    ThreadItem,
    ThreadMetadata,
    ThreadRetryAfterItemParams,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsRetryAfterItemReq,
    UserMessageInput,
    UserMessageItem,
)

__all__ = ["HANDLERS", "add", "create", "retry"]


async def create(scope: RequestScope, params: ThreadCreateParams) -> StreamingResult:
    """Creates a thread with a message and answers it."""
    return await begin_once(scope, lambda: _turn_in_new_thread(scope, params))


async def add(scope: RequestScope, params: ThreadAddUserMessageParams) -> StreamingResult:
    """Adds a message to a thread and answers it."""
    async with scope.use_thread(params.thread_id):
        return await begin_once(scope, lambda: _turn_of_message(scope, params))


async def retry(scope: RequestScope, params: ThreadRetryAfterItemParams) -> StreamingResult:
    """Deletes everything after a message and answers it again."""
    async with scope.use_thread(params.thread_id, alone=True):
        return await begin_once(scope, lambda: _turn_of_retry(scope, params))


HANDLERS: Final = {
    ThreadsCreateReq: create,
    ThreadsAddUserMessageReq: add,
    ThreadsRetryAfterItemReq: retry,
}


async def _turn_in_new_thread(scope: RequestScope, params: ThreadCreateParams) -> Turn:
    params = await review_input(scope, params)
    thread = ThreadMetadata(id=scope.store.generate_thread_id(scope.context))
    return await _turn_of_input(scope, thread, params.input, TurnWrites(created_thread=thread))


async def _turn_of_message(scope: RequestScope, params: ThreadAddUserMessageParams) -> Turn:
    thread = await scope.load_thread(params.thread_id)
    refuse_messages_unless_active(thread)
    params = await review_input(scope, params)
    return await _turn_of_input(scope, thread, params.input, TurnWrites())


async def _turn_of_input(
    scope: RequestScope, thread: ThreadMetadata, given: UserMessageInput, writes: TurnWrites
) -> Turn:
    named = given.attachments
    attachments = await attach(scope, named, thread.id)
    message = _user_message(scope, thread, given, attachments)
    options = await stream_options(scope, thread)

    async def opening(pipeline: Pipeline) -> None:
        if writes.created_thread is not None:
            pipeline.announce_thread(created=True)
        pipeline.announce_stored(message)
        pipeline.accept(options)

    async def release_attachments(*, accepted_before: bool = False) -> None:
        # Of a message that was accepted before, the attachments are its own by now, but for copies made for this one.
        kept = set(named) if accepted_before else set[str]()
        mine = [attachment for attachment in attachments if attachment.id not in kept]
        await detach(scope, mine, named, thread.id)

    return Turn(
        scope,
        thread,
        writes=replace(writes, message=message),
        opening=opening,
        message=message,
        release_attachments=release_attachments,
    )


async def _turn_of_retry(scope: RequestScope, params: ThreadRetryAfterItemParams) -> Turn:
    turn = await _checked_retry(scope, params)
    if scope.application.concurrency != "reject":
        # Whatever still runs in the thread would write after the item that everything is deleted after.
        stopped = await scope.turns.stop(scope.thread_key(params.thread_id), reason="interrupt")
        turn = await _checked_retry(scope, params) if stopped else turn
    return turn


async def _checked_retry(scope: RequestScope, params: ThreadRetryAfterItemParams) -> Turn:
    thread = await scope.load_thread(params.thread_id)
    item = await _message_to_retry(scope, thread, params.item_id)
    if not isinstance(item, UserMessageItem):
        raise InvalidRequestError(
            "'item_id' must name a user message: an answer is written again. This item is not a user message."
        )
    refuse_messages_unless_active(thread)
    options = await stream_options(scope, thread)

    async def opening(pipeline: Pipeline) -> None:
        pipeline.accept(options)

    return Turn(scope, thread, writes=TurnWrites(delete_after=item.id), opening=opening, message=item)


async def _message_to_retry(scope: RequestScope, thread: ThreadMetadata, item_id: str) -> ThreadItem:
    store = scope.store
    if not isinstance(store, OpenAIStoreAdapter):
        return await store.load_item(thread.id, item_id, scope.context)
    # openai-chatkit looks in the pages, and stores written for it may load widgets only by their id.
    item = await store.listed_item(thread.id, item_id, scope.context)
    if item is None:
        raise NotFoundError(f"Thread {thread.id!r} has no item {item_id!r}.")
    return item


def _user_message(
    scope: RequestScope, thread: ThreadMetadata, given: UserMessageInput, attachments: list[Attachment]
) -> UserMessageItem:
    return UserMessageItem(
        id=scope.store.generate_item_id("message", thread, scope.context),
        thread_id=thread.id,
        content=given.content,
        attachments=[entry.model_copy(update={"thread_id": thread.id}) for entry in attachments],
        quoted_text=given.quoted_text,
        inference_options=given.inference_options,
    )
