"""Walking through the threads of an owner, page by page, while they change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

from chatkit.dialects.openai_chatkit.store import is_own_store
from chatkit.errors import NotFoundError, StoreError
from chatkit.store.base import WALK_PAGE, Store, plain_metadata
from chatkit.types import ThreadMetadata

__all__ = ["deletes_in_its_own_way", "walk_threads"]


async def walk_threads(store: Store[Any], context: Any) -> AsyncIterator[ThreadMetadata]:
    """Yields the threads of an owner, oldest first, each once, without items.

    Args:
        store: The full store.
        context: The owner's context.

    Raises:
        StoreError: The threads that a page was to begin after are deleted one after the other.
    """
    after: str | None = None
    before: list[str] = []
    while True:
        try:
            page = await store.load_threads(WALK_PAGE, after, "asc", context)
        except NotFoundError:
            # The thread that the page begins after was deleted meanwhile: one before it will do.
            if not before:
                raise StoreError("Threads are being deleted meanwhile. Try again.") from None
            after = before.pop()
            continue
        fresh = [thread for thread in page.data if thread.id not in before and thread.id != after]
        for thread in fresh:
            yield plain_metadata(thread)
        if not page.has_more or not fresh:
            return
        before = [thread.id for thread in page.data]
        after = page.after if page.after is not None else before[-1]


def deletes_in_its_own_way(store: Store[Any]) -> bool:
    """Returns whether an application's class, derived from one of ours, overrides how threads are deleted."""
    inner: Any = getattr(store, "store", store)
    kind: Any = cast("Any", type(inner))
    deletion: Any = getattr(kind, "delete_thread", None)
    return not is_own_store(inner) and not str(getattr(deletion, "__module__", "chatkit.")).startswith(
        "chatkit."
    )
