"""Streaming a turn that is over from the store, for a message that was sent again."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from chatkit.server.results import end_frame
from chatkit.server.wire import is_hidden, item_json, thread_json
from chatkit.sse import encode_event
from chatkit.streams.base import EndState, KeyClaim
from chatkit.streams.snapshot import done_event
from chatkit.types import ThreadItem, UserMessageItem

if TYPE_CHECKING:
    from chatkit.store.base import Store

__all__ = ["replay_from_store"]

_PAGE = 100


async def replay_from_store(
    store: Store[Any], claim: KeyClaim, context: object, *, created: bool, end: EndState | None
) -> AsyncGenerator[bytes, None]:
    """Returns frames that show a message and what followed it, up to the next message.

    Args:
        store: The full store.
        claim: The turn that the message began.
        context: The request's context.
        created: Whether the message created the thread.
        end: How the turn ended, for a stream that ends with ``turn.end``, as that of a resumable turn does.

    Raises:
        NotFoundError: The thread or the message was deleted meanwhile.
    """
    thread_id, message_id = claim.thread_id, claim.user_item_id
    thread = await store.load_thread(thread_id, context)
    message = None if message_id is None else await store.load_item(thread_id, message_id, context)

    async def frames() -> AsyncGenerator[bytes, None]:
        kind = b"thread.created" if created else b"thread.updated"
        yield encode_event(b'{"type":"' + kind + b'","thread":' + thread_json(thread) + b"}")
        if message is not None:
            yield _frame(message)
            async for item in _answer(store, thread_id, message.id, context):
                yield _frame(item)
        if end is not None:
            yield end_frame(claim.turn_id, end)

    return frames()


async def _answer(
    store: Store[Any], thread_id: str, message_id: str, context: object
) -> AsyncGenerator[ThreadItem, None]:
    after: str | None = message_id
    while after is not None:
        page = await store.load_thread_items(thread_id, after, _PAGE, "asc", context)
        for item in page.data:
            if isinstance(item, UserMessageItem):
                return
            if not is_hidden(item):
                yield item
        after = page.after if page.has_more else None


def _frame(item: ThreadItem) -> bytes:
    return encode_event(done_event(item_json(item)))
