"""Requests about widgets' actions: ``threads.custom_action``, ``threads.sync_custom_action``."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel

from chatkit.dialects.actions import call_action
from chatkit.errors import InvalidRequestError, UnsupportedOperationError
from chatkit.server.handler_results import method_name, settled_result, wrong_result
from chatkit.server.handlers import is_overridden
from chatkit.server.requests.idempotency import begin_once
from chatkit.server.requests.turns import stream_options
from chatkit.server.reviews import review_input, review_output
from chatkit.server.scope import RequestScope
from chatkit.server.threads import ThreadEdits
from chatkit.server.turns.pipeline import Pipeline
from chatkit.server.turns.results import StreamingResult
from chatkit.server.turns.turn import Turn
from chatkit.server.wire import is_hidden, updated_item_json
from chatkit.types import (
    SyncCustomActionResponse,
    ThreadCustomActionParams,
    ThreadMetadata,
    ThreadsCustomActionReq,
    ThreadsSyncCustomActionReq,
    WidgetItem,
    to_wire,
)

__all__ = ["HANDLERS", "answer", "stream"]


async def stream(scope: RequestScope, params: ThreadCustomActionParams) -> StreamingResult:
    """Answers an action with a stream."""
    async with scope.use_thread(params.thread_id):
        # It writes nothing before its handler runs.
        return await begin_once(scope, lambda: _turn(scope, params), lambda: _turn(scope, params))


async def answer(scope: RequestScope, params: ThreadCustomActionParams) -> bytes:
    """Answers an action with JSON."""
    with scope.turns.count_call(scope):
        return await _answer(scope, params)


HANDLERS: Final = {ThreadsCustomActionReq: stream, ThreadsSyncCustomActionReq: answer}


async def _turn(scope: RequestScope, params: ThreadCustomActionParams) -> Turn:
    application = scope.application
    thread = await scope.load_thread(params.thread_id)
    sender = await _sender(scope, thread, params.item_id)
    if not is_overridden(application, "action"):
        raise UnsupportedOperationError("Override action() to react to actions of widgets.")
    params = await review_input(scope, params)
    options = await stream_options(scope, thread)

    async def opening(pipeline: Pipeline) -> None:
        if sender is not None:
            pipeline.storage.given.add(sender.id)
        pipeline.accept(options)

    return Turn(
        scope,
        thread,
        opening=opening,
        name=method_name(application.action),
        handler=lambda pipeline: call_action(
            application.action, pipeline.thread, params.action, sender, scope.context
        ),
    )


async def _answer(scope: RequestScope, params: ThreadCustomActionParams) -> bytes:
    thread = await scope.load_thread(params.thread_id)
    sender = await _sender(scope, thread, params.item_id)
    params = await review_input(scope, params)
    method = scope.application.sync_action
    edits = ThreadEdits(thread)
    made = call_action(method, thread, params.action, sender, scope.context)
    response = await settled_result(made, method_name(method))
    if response is not None and not isinstance(response, BaseModel):
        raise wrong_result(
            response, method_name(method), "Return SyncCustomActionResponse(updated_item=...), or None."
        )
    changed = edits.take()
    if changed:
        await scope.edit_thread(thread.id, changed)
    if not isinstance(response, SyncCustomActionResponse):
        return b"{}" if response is None else to_wire(response)
    item = response.updated_item
    if item is None or is_hidden(item):
        return b"{}"
    item_id = item.id or (sender.id if sender is not None else "")
    if not item_id:
        raise wrong_result(response, method_name(method), "Give its updated_item the id of the item.")
    item = item.model_copy(update={"id": item_id, "thread_id": item.thread_id or thread.id})
    return updated_item_json(await review_output(scope, thread, item))


async def _sender(scope: RequestScope, thread: ThreadMetadata, item_id: str | None) -> WidgetItem | None:
    """Returns a copy of the widget that an action comes from."""
    if item_id is None:
        return None
    item = await scope.store.load_item(thread.id, item_id, scope.context)
    if not isinstance(item, WidgetItem):
        raise InvalidRequestError("'item_id' must name a widget item, or be left out.")
    return item.model_copy(deep=True)
