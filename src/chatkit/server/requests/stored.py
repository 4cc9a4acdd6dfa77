"""A message and what followed it as a stream, from the store: for one that was sent before, and whose log has gone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from chatkit.dialects.openai_chatkit.store import OpenAIStoreAdapter
from chatkit.server.scope import RequestScope
from chatkit.server.wire import done_event, end_frame, is_hidden, item_json, thread_event, thread_json
from chatkit.sse import encode_event
from chatkit.streams.base import EndState, KeyClaim
from chatkit.types import ThreadItem, ThreadsCreateReq, UserMessageItem

__all__ = ["stored_frames"]

_PAGE_SIZE: Final = 100


async def stored_frames(
    scope: RequestScope, claim: KeyClaim, end: EndState | None, error: bytes | None = None
) -> AsyncGenerator[bytes, None]:
    """Returns frames that show a message and what followed it, up to the next message, from the store.

    Args:
        scope: The request.
        claim: The turn that the message began.
        end: How the turn ended, for a stream that ends with ``turn.end``, as that of a resumable turn does.
        error: The event that says why the answer is not whole.

    Raises:
        NotFoundError: The thread or the message was deleted meanwhile.
    """
    store, context, message_id = scope.store, scope.context, claim.user_item_id
    thread = await store.load_thread(claim.thread_id, context)
    message = None if message_id is None else await store.load_item(claim.thread_id, message_id, context)

    async def frames() -> AsyncGenerator[bytes, None]:
        created = isinstance(scope.request, ThreadsCreateReq)
        yield encode_event(thread_event(thread_json(thread), created=created))
        if message is not None:
            yield encode_event(done_event(item_json(message)))
            async for item in _items_after(scope, claim.thread_id, message.id):
                yield encode_event(done_event(item_json(item)))
        if error is not None:
            yield encode_event(error)
        if end is not None:
            yield end_frame(claim.turn_id, end)

    return frames()


async def _items_after(scope: RequestScope, thread_id: str, message_id: str) -> AsyncIterator[ThreadItem]:
    store, context = scope.store, scope.context
    if isinstance(store, OpenAIStoreAdapter):
        message_id = store.stored_id(thread_id, message_id, context)
    after: str | None = message_id
    seen = {message_id}
    while after is not None:
        page = await store.load_thread_items(thread_id, after, _PAGE_SIZE, "asc", context)
        # A store that ignores the cursor begins with the oldest item.
        ids = [item.id for item in page.data]
        fresh = page.data[ids.index(message_id) + 1 :] if message_id in ids else page.data
        fresh = [item for item in fresh if item.id not in seen]
        for item in fresh:
            if isinstance(item, UserMessageItem):
                return
            if not is_hidden(item):
                yield item
        seen.update(item.id for item in fresh)
        after = page.after if page.has_more and fresh else None
