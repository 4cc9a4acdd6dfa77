"""What must not happen twice at once in one thread of messages: answering it, and editing it.

The locks serve one process. What workers of several processes do at once is decided by the store, where it can: see
``save_thread_fields`` and ``save_item_if_unchanged`` of :class:`chatkit.store.Store`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatkit.store.base import Store
    from chatkit.types import ThreadMetadata

__all__ = ["ThreadEditor", "ThreadLocks"]


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
        # For stores that load and save.
        async with self._locks.hold(thread_id):
            return await store.save_thread_fields(thread_id, changed, context)
