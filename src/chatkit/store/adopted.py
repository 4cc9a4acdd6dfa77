"""A full store that is none by its class: an object with the methods of the port, or a test's stand-in for one."""

from __future__ import annotations

import inspect
from typing import Any, Generic, TypeVar, cast

from chatkit._lifts import settled
from chatkit.store.base import Store, StoreItemType
from chatkit.types import Attachment, Page, ThreadItem, ThreadMetadata

__all__ = ["AdoptedStore", "has_full_methods"]

TContext = TypeVar("TContext")


def has_full_methods(store: object) -> bool:
    """Tells whether an object has all methods of the port, which take a context."""
    if not all(callable(getattr(store, name, None)) for name in Store.__abstractmethods__):
        return False
    try:
        inspect.signature(cast("Any", store).load_thread).bind("thread_id", None)
    except (TypeError, ValueError):
        return False
    return True


class AdoptedStore(Store[TContext], Generic[TContext]):
    """A full store over an object that has the methods of the port and no more.

    ``openai-chatkit`` never asks what class a store is of, so applications may have one that is derived from nothing.

    Args:
        store: The object, which is not changed; its methods may be sync or async.

    Attributes:
        store: The object.
    """

    def __init__(self, store: Any) -> None:
        self.store = store

    def generate_thread_id(self, context: TContext) -> str:
        if not hasattr(self.store, "generate_thread_id"):
            return super().generate_thread_id(context)
        return self.store.generate_thread_id(context)

    def generate_item_id(self, item_type: StoreItemType, thread: ThreadMetadata, context: TContext) -> str:
        if not hasattr(self.store, "generate_item_id"):
            return super().generate_item_id(item_type, thread, context)
        return self.store.generate_item_id(item_type, thread, context)

    async def load_thread(self, thread_id: str, context: TContext) -> ThreadMetadata:
        return await settled(self.store.load_thread(thread_id, context))

    async def save_thread(self, thread: ThreadMetadata, context: TContext) -> None:
        await settled(self.store.save_thread(thread, context))

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: TContext
    ) -> Page[ThreadItem]:
        return await settled(self.store.load_thread_items(thread_id, after, limit, order, context))

    async def save_attachment(self, attachment: Attachment, context: TContext) -> None:
        await settled(self.store.save_attachment(attachment, context))

    async def load_attachment(self, attachment_id: str, context: TContext) -> Attachment:
        return await settled(self.store.load_attachment(attachment_id, context))

    async def delete_attachment(self, attachment_id: str, context: TContext) -> None:
        await settled(self.store.delete_attachment(attachment_id, context))

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: TContext
    ) -> Page[ThreadMetadata]:
        return await settled(self.store.load_threads(limit, after, order, context))

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        await settled(self.store.add_thread_item(thread_id, item, context))

    async def save_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        await settled(self.store.save_item(thread_id, item, context))

    async def load_item(self, thread_id: str, item_id: str, context: TContext) -> ThreadItem:
        return await settled(self.store.load_item(thread_id, item_id, context))

    async def delete_thread(self, thread_id: str, context: TContext) -> None:
        await settled(self.store.delete_thread(thread_id, context))

    async def delete_thread_item(self, thread_id: str, item_id: str, context: TContext) -> None:
        await settled(self.store.delete_thread_item(thread_id, item_id, context))
