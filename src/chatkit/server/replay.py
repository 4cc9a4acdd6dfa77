"""Streaming a turn that is over from the store, for a message that was sent again."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from chatkit.server.wire import is_hidden, item_json, thread_json
from chatkit.sse import encode_event
from chatkit.streams.snapshot import done_event
from chatkit.types import ThreadItem, UserMessageItem

if TYPE_CHECKING:
    from chatkit.store.base import Store

__all__ = ["replay_from_store"]

_PAGE = 100


async def replay_from_store(
    store: Store[Any], thread_id: str, user_item_id: str | None, context: object, *, created: bool
) -> AsyncGenerator[bytes, None]:
    """Returns frames that show a message and what followed it, up to the next message.

    Raises:
        NotFoundError: The thread or the message was deleted meanwhile.
    """
    thread = await store.load_thread(thread_id, context)
    message = None if user_item_id is None else await store.load_item(thread_id, user_item_id, context)

    async def frames() -> AsyncGenerator[bytes, None]:
        kind = b"thread.created" if created else b"thread.updated"
        yield encode_event(b'{"type":"' + kind + b'","thread":' + thread_json(thread) + b"}")
        if message is None:
            return
        yield _frame(message)
        after = message.id
        while True:
            page = await store.load_thread_items(thread_id, after, _PAGE, "asc", context)
            for item in page.data:
                if isinstance(item, UserMessageItem):
                    return
                if not is_hidden(item):
                    yield _frame(item)
            if not page.has_more or page.after is None:
                return
            after = page.after

    return frames()


def _frame(item: ThreadItem) -> bytes:
    return encode_event(done_event(item_json(item)))
