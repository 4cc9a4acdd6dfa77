"""Requests to answer a message: ``threads.create``, ``threads.add_user_message``, ``threads.retry_after_item``."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from chatkit.dialects.openai_chatkit.store import OpenAIStoreAdapter
from chatkit.errors import InvalidRequestError, NotFoundError
from chatkit.server.requests.attachments import attach, detach
from chatkit.server.requests.idempotency import begin_once
from chatkit.server.requests.turns import (
    begin,
    is_stored,
    refuse_messages_unless_active,
    stream_options,
    write,
)
from chatkit.server.scope import RequestScope
from chatkit.server.turns.pipeline import Pipeline
from chatkit.server.turns.results import StreamingResult
from chatkit.server.turns.turn import Turn
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
        turn = await _turn_of_retry(scope, params)
        if scope.application.concurrency != "reject":
            # Whatever still runs in the thread would write after the item that everything is deleted after.
            stopped = await scope.turns.stop(scope.thread_key(params.thread_id), reason="interrupt")
            turn = await _turn_of_retry(scope, params) if stopped else turn
        return await begin(turn)


HANDLERS: Final = {
    ThreadsCreateReq: create,
    ThreadsAddUserMessageReq: add,
    ThreadsRetryAfterItemReq: retry,
}


async def _turn_in_new_thread(scope: RequestScope, params: ThreadCreateParams) -> Turn:
    store, context = scope.store, scope.context
    thread = ThreadMetadata(id=store.generate_thread_id(context))
    named = params.input.attachments
    attachments = await attach(scope, named, thread.id)
    message = _user_message(scope, thread, params.input, attachments)
    options = await stream_options(scope, thread)

    async def opening(pipeline: Pipeline) -> None:
        await store.save_thread(thread.model_copy(deep=True), context)
        await _store_message(scope, message)
        pipeline.announce_thread(created=True)
        pipeline.announce_stored(message)
        pipeline.accept(options)

    async def undo() -> None:
        # Attachments first: a store deletes those that are the thread's together with it.
        try:
            await detach(scope, attachments, named, thread.id)
        finally:
            with suppress(NotFoundError):
                await store.delete_thread(thread.id, context)

    return Turn(
        scope,
        thread,
        opening=opening,
        message=message,
        undo=undo,
        is_written=lambda: is_stored(scope, message),
        creates_thread=True,
    )


async def _turn_of_message(scope: RequestScope, params: ThreadAddUserMessageParams) -> Turn:
    thread = await scope.load_thread(params.thread_id)
    refuse_messages_unless_active(thread)
    named = params.input.attachments
    attachments = await attach(scope, named, thread.id)
    message = _user_message(scope, thread, params.input, attachments)
    options = await stream_options(scope, thread)

    async def opening(pipeline: Pipeline) -> None:
        # Asked again, for a message that had to wait for its turn.
        refuse_messages_unless_active(thread)
        await _store_message(scope, message)
        pipeline.announce_stored(message)
        pipeline.accept(options)

    async def undo() -> None:
        if not await is_stored(scope, message):
            await detach(scope, attachments, named, thread.id)

    return Turn(
        scope,
        thread,
        opening=opening,
        message=message,
        undo=undo,
        is_written=lambda: is_stored(scope, message),
    )


async def _turn_of_retry(scope: RequestScope, params: ThreadRetryAfterItemParams) -> Turn:
    thread = await scope.load_thread(params.thread_id)
    item = await _message_to_retry(scope, thread, params.item_id)
    if not isinstance(item, UserMessageItem):
        raise InvalidRequestError(
            "'item_id' must name a user message: an answer is written again. This item is not a user message."
        )
    refuse_messages_unless_active(thread)
    options = await stream_options(scope, thread)

    async def opening(pipeline: Pipeline) -> None:
        refuse_messages_unless_active(thread)
        await scope.store.delete_items_after(thread.id, item.id, scope.context)
        pipeline.accept(options)

    return Turn(scope, thread, opening=opening, message=item)


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


async def _store_message(scope: RequestScope, message: UserMessageItem) -> None:
    store, context = scope.store, scope.context
    for attachment in message.attachments:
        if scope.files is not None:
            await scope.files.claim_attachment(attachment, context)
        await store.save_attachment(attachment, context)
    await write(
        scope,
        message.thread_id,
        # Itself: the store may give it another id, which is the one that handler and client learn.
        store.add_thread_item(message.thread_id, message, context),
        lambda: is_stored(scope, message),
    )
