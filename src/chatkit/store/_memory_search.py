"""Search in memory: all that an owner has is gone through, for a store of tests and trials."""

from __future__ import annotations

from abc import abstractmethod
from itertools import count
from threading import Lock
from typing import Any, TypeVar

from chatkit.search import MOST_CANDIDATES, SearchQuery
from chatkit.store import _search_rows as rows
from chatkit.store._memory_entries import EntrySequence, ThreadEntry
from chatkit.store.search import ThreadSearch, keeps_as_given
from chatkit.types import SearchPage

__all__ = ["MemorySearch"]

TContext = TypeVar("TContext")


class MemorySearch(ThreadSearch[TContext]):
    """The part of a store in memory that searches."""

    _lock: Lock

    @abstractmethod
    def owner(self, context: TContext) -> str:
        """Returns the owner of a context."""

    @abstractmethod
    def _tenant(self, owner: str) -> Any:
        """Returns what an owner has."""

    @property
    def can_search(self) -> bool:
        return keeps_as_given(type(self))

    async def search_threads(
        self, query: str, limit: int, after: str | None, context: TContext
    ) -> SearchPage:
        owner, parsed = self.owner(context), SearchQuery.parse(query)
        if not parsed.terms:
            return SearchPage()
        with self._lock:
            threads: EntrySequence[ThreadEntry] = self._tenant(owner).threads
            kept = [
                (entry.data, entry.items.page(None, len(entry.items), ascending=True))
                for entry in threads.page(None, len(threads), ascending=True)
            ]
        numbers = count(1)
        titles: list[rows.Candidate] = []
        texts: list[rows.Candidate] = []
        documents: tuple[dict[int, str], dict[int, str]] = {}, {}
        for thread, (data, items) in enumerate(kept):
            documents[0][thread] = data
            thread_id = rows.id_of(data)
            titles.append(rows.Candidate(thread, thread_id, 0, rows.title_words(data)))
            for number, item in zip(numbers, items, strict=False):
                words = rows.document_words(item)
                if words is not None:
                    documents[1][number] = item
                    texts.append(rows.Candidate(thread, thread_id, number, words))
        candidates = [
            candidate
            for found in (texts, titles)
            for candidate in [each for each in reversed(found) if parsed.score(each.words)][:MOST_CANDIDATES]
        ]
        ranked, following = rows.rank(parsed, candidates, after, limit)
        return rows.search_page(parsed, ranked, *documents, after=following, complete=True)
