"""The store interface of the server integration reference.

Ten methods, no request context, lists instead of pages. :class:`chatkit.store.Store` is the fuller interface, with
owners, pages and atomic operations; the server adapts a store of this kind to it
(:mod:`chatkit.dialects.reference.store`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from chatkit.types.items import ThreadItem
from chatkit.types.threads import ThreadMetadata

__all__ = ["Store"]


class Store(ABC):
    """Keeps threads and their items."""

    @abstractmethod
    async def load_thread(self, thread_id: str) -> ThreadMetadata | None:
        """Returns the thread, or None if there is none with that id."""

    @abstractmethod
    async def save_thread(self, thread: ThreadMetadata) -> None:
        """Saves a new or changed thread."""

    @abstractmethod
    async def load_threads(self, limit: int = 50) -> list[ThreadMetadata]:
        """Returns the threads for the history, at most ``limit``."""

    @abstractmethod
    async def load_thread_items(self, thread_id: str) -> list[ThreadItem]:
        """Returns all items of the thread, oldest first."""

    @abstractmethod
    async def add_thread_item(self, thread_id: str, item: ThreadItem) -> None:
        """Adds a new item behind all others of the thread."""

    @abstractmethod
    async def save_item(self, thread_id: str, item: ThreadItem) -> None:
        """Replaces the item with the same id, in its place."""

    @abstractmethod
    async def load_item(self, thread_id: str, item_id: str) -> ThreadItem | None:
        """Returns the item, or None if the thread has none with that id."""

    @abstractmethod
    async def delete_thread(self, thread_id: str) -> None:
        """Deletes the thread and all its items."""

    @abstractmethod
    async def delete_thread_item(self, thread_id: str, item_id: str) -> None:
        """Deletes one item of the thread."""

    @abstractmethod
    async def generate_id(self, prefix: str) -> str:
        """Returns a new id that begins with ``prefix`` and an underscore."""
