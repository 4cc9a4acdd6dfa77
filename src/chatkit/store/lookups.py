"""What is read from a store by more than one call, or from one that may answer in its own way."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterable
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar, cast

from chatkit.errors import ChatKitError, NotFoundError, UnsupportedOperationError
from chatkit.types import Page, Thread, ThreadItem, ThreadItemBase, ThreadMetadata

if TYPE_CHECKING:
    from chatkit.store.base import Store

__all__ = [
    "FEEDBACK_FIELD",
    "WALK_PAGE",
    "MissingMethodError",
    "find_item",
    "newer_ids",
    "plain_metadata",
    "walk_items",
]

logger = logging.getLogger("chatkit.store")

TContext = TypeVar("TContext")

FEEDBACK_FIELD: Final = "chatkit.feedback"
"""Where the metadata of a thread has the feedback that a server of agents keeps, by the id of the item."""

WALK_PAGE: Final = 100
"""Items of a page where a whole thread is read."""


def plain_metadata(thread: ThreadMetadata) -> ThreadMetadata:
    """Returns the thread as a copy of its own, without items if the store handed over a page of them."""
    if isinstance(thread, Thread):
        fields = {name: getattr(thread, name) for name in ThreadMetadata.model_fields}
        return ThreadMetadata.model_construct(**fields).model_copy(deep=True)
    return thread.model_copy(deep=True)


async def find_item(
    store: Store[TContext], thread_id: str, item_id: str, context: TContext
) -> ThreadItem | None:
    """Returns an item that may not be there, or None.

    ``openai-chatkit`` never loads an item that it has not seen, so stores written for it may do anything then: raise an
    error of their own, return None. That is taken for "not there", with a warning; what says that the store cannot be
    used is not.

    Raises:
        Exception: The store cannot be used: its ``ChatKitError``, or an ``OSError``.
    """
    try:
        # Declared to be an item, but not checked by anybody: a test's mock gives a mock.
        found = cast("object", await store.load_item(thread_id, item_id, context))
        return cast("ThreadItem", found) if isinstance(found, ThreadItemBase) else None
    except (NotFoundError, MissingMethodError):
        return None
    except (ChatKitError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 -- of the application's own kind
        given = getattr(store, "store", store)
        _warn_of_own_error(type(given).__qualname__, type(error).__qualname__)
        return None


async def walk_items(
    store: Store[TContext],
    thread_id: str,
    order: str,
    context: TContext,
    *,
    first: Page[ThreadItem] | None = None,
) -> AsyncGenerator[ThreadItem, None]:
    """Yields all items of a thread, each once, page by page.

    It ends also where a store ignores the cursor, gives the same page for ever, or says that there is more when there
    is not.

    Args:
        store: The full store.
        thread_id: The thread.
        order: ``"asc"`` or ``"desc"``.
        context: The request's context.
        first: The first page, if it was loaded already.
    """
    seen: set[str] = set()
    page = first or await store.load_thread_items(thread_id, None, WALK_PAGE, order, context)
    while True:
        fresh = [item for item in page.data if item.id not in seen]
        for item in fresh:
            if item.id not in seen:
                seen.add(item.id)
                yield item
        if not page.has_more or not fresh:
            return
        after = page.after if page.after is not None else fresh[-1].id
        page = await store.load_thread_items(thread_id, after, WALK_PAGE, order, context)


async def newer_ids(newest_first: AsyncIterable[ThreadItem], thread_id: str, item_id: str) -> list[str]:
    """Returns the ids of the items after the given one, newest first.

    Args:
        newest_first: The items of the thread.
        thread_id: The thread.
        item_id: The item.

    Raises:
        NotFoundError: It is not among them.
    """
    newer: list[str] = []
    async for item in newest_first:
        if item.id == item_id:
            return newer
        newer.append(item.id)
    raise NotFoundError(f"Thread {thread_id} has no item {item_id}.")


class MissingMethodError(UnsupportedOperationError):
    """A store of an application lacks a method that the request needs."""


@cache
def _warn_of_own_error(store: str, error: str) -> None:
    logger.warning(
        "%s.load_item() raised %s, which is taken for an item that is not there. "
        "Raise chatkit.store.NotFoundError then.",
        store,
        error,
    )
