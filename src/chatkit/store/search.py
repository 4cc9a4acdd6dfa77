"""The port of stores whose threads can be searched."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from typing import Any, Final, Generic, TypeGuard, TypeVar

from chatkit.store.base import Store
from chatkit.types import SearchPage

__all__ = ["ThreadSearch", "can_search"]

TContext = TypeVar("TContext")


class ThreadSearch(ABC, Generic[TContext]):
    """Searches the titles and texts of an owner's threads. A store implements it, beside :class:`chatkit.store.Store`.

    What is deleted, changed or hidden is not found any more as soon as the write has been committed that did so.
    """

    @property
    def can_search(self) -> bool:
        """Whether it can be searched as it is configured; a server whose store cannot shows no search."""
        return True

    @abstractmethod
    async def search_threads(
        self, query: str, limit: int, after: str | None, context: TContext
    ) -> SearchPage:
        """Returns a page of the owner's threads that answer a query, the best first.

        Args:
            query: What the user typed, in the syntax of :meth:`chatkit.search.SearchQuery.parse`.
            limit: Threads of the page at most.
            after: ``after`` of the page before; None for the first one.
            context: The request's context, which names the owner.

        Raises:
            InvalidRequestError: The cursor is none that this method has returned.
        """

    async def index_waiting(self, limit: int) -> bool:
        """Indexes texts of all owners that wait for it, those that an earlier version stored; a server calls it.

        Args:
            limit: How many at most, in one transaction.

        Returns:
            Whether others wait still.
        """
        return False

    async def purge_index(self) -> None:
        """Removes from the index's files what was deleted from it, of all owners: call it after a person was erased.

        Deleted texts are not found any more, but an index may keep their words in its files until it is rewritten.
        """


_WRITING: Final = (
    "add_thread_item",
    "load_item",
    "load_thread",
    "load_thread_items",
    "put_thread_item",
    "save_item",
    "save_item_if_unchanged",
    "save_thread",
    "save_thread_fields",
)
"""What a subclass overrides to keep something else than it is given, such as what it has encrypted."""


def can_search(store: Store[Any]) -> TypeGuard[ThreadSearch[Any]]:
    """Returns whether the threads of a store can be searched."""
    return isinstance(store, ThreadSearch) and store.can_search


@cache
def keeps_as_given(kind: type[Any]) -> bool:
    """Returns whether a class of stores keeps what it is given: no subclass changes what our methods are handed.

    Args:
        kind: The class, or a subclass of an application's.
    """
    own = next(base for base in kind.__mro__ if base.__module__.startswith("chatkit."))
    return not any(getattr(kind, name) is not getattr(own, name) for name in _WRITING)
