"""What must not happen twice at once in one thread of messages: answering it, and editing it.

The locks serve one process: what workers of several processes do at once is decided by the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from chatkit.types import Thread, ThreadMetadata

if TYPE_CHECKING:
    from chatkit.store.base import Store

__all__ = ["ThreadEditor", "ThreadLocks", "plain_metadata"]


def plain_metadata(thread: ThreadMetadata) -> ThreadMetadata:
    """Returns the thread as a copy of its own, without items if the store handed over a page of them."""
    if isinstance(thread, Thread):
        fields = {name: getattr(thread, name) for name in ThreadMetadata.model_fields}
        return ThreadMetadata.model_construct(**fields).model_copy(deep=True)
    return thread.model_copy(deep=True)


class ThreadLocks:
    """Locks that exist while somebody holds them or waits; each belongs to one event loop."""

    def __init__(self) -> None:
        self._locks: dict[tuple[int, str], tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def hold(self, thread_id: str) -> AsyncGenerator[None, None]:
        """Waits for the thread's lock and holds it."""
        key = (id(asyncio.get_running_loop()), thread_id)
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks[key]
            if users == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, users - 1)


class ThreadEditor:
    """Changes single fields of stored threads, so that edits of several requests and turns all count."""

    def __init__(self) -> None:
        self._locks = ThreadLocks()

    async def edit(
        self, store: Store[Any], thread_id: str, changed: dict[str, Any], context: object
    ) -> ThreadMetadata:
        """Saves the changed fields over the thread as it is stored now, and returns the result.

        Raises:
            NotFoundError: The thread was deleted meanwhile.
        """
        async with self._locks.hold(thread_id):
            stored = plain_metadata(await store.load_thread(thread_id, context))
            updated = stored.model_copy(update=changed)
            await store.save_thread(updated, context)
        return updated
