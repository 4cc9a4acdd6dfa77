"""The search index of a PostgreSQL database: a ``tsvector`` of each text, whose words were folded here."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Final, TypeVar

from chatkit.errors import StoreError
from chatkit.search import MOST_CANDIDATES, SearchQuery, SearchTerm
from chatkit.store import _search_rows as rows
from chatkit.store._postgres_documents import SQL
from chatkit.store.search import ThreadSearch, keeps_as_given
from chatkit.types import SearchPage

if TYPE_CHECKING:
    from chatkit._postgres import Database, Transaction

__all__ = ["PostgresSearch"]

TContext = TypeVar("TContext")

_INDEXES: Final = ("search_items_words", "search_titles_words")
_NEWEST: Final = 4 * MOST_CANDIDATES
_PURGE_SECONDS: Final = 3600.0


class PostgresSearch(ThreadSearch[TContext]):
    """The part of a PostgreSQL store that searches.

    Args:
        search: Whether threads can be searched; None for wherever a subclass keeps what it is given.
    """

    database: Database

    def __init__(self, *, search: bool | None) -> None:
        self._search = search

    @abstractmethod
    def owner(self, context: TContext) -> str:
        """Returns the owner of a context."""

    @property
    def can_search(self) -> bool:
        return keeps_as_given(type(self)) if self._search is None else self._search

    async def search_threads(
        self, query: str, limit: int, after: str | None, context: TContext
    ) -> SearchPage:
        owner, parsed = self.owner(context), SearchQuery.parse(query)
        if not parsed.terms:
            return SearchPage()
        tag = rows.owner_tag(owner)
        asked = " & ".join(_phrase(term, tag) for term in parsed.terms)

        async def search(transaction: Transaction) -> SearchPage:
            # A word that many texts have is in enough of the newest; then the others are not read.
            ((first, count),) = await transaction.rows(SQL["newest_search_items"], owner, _NEWEST)
            found = await transaction.rows(SQL["find_search"], owner, asked, MOST_CANDIDATES, first)
            if count == _NEWEST and sum(row[2] > 0 for row in found) < MOST_CANDIDATES:
                found = await transaction.rows(SQL["find_search"], owner, asked, MOST_CANDIDATES, 0)
            ranked, following = rows.rank(
                parsed, (rows.Candidate(*row) for row in found if row[1] is not None), after, limit
            )
            threads, of_threads, items = rows.numbers_of(ranked)
            documents = await transaction.rows(SQL["load_found"], owner, threads, of_threads, items)
            return rows.search_page(
                parsed,
                ranked,
                {number: data for is_thread, number, data in documents if is_thread},
                {number: data for is_thread, number, data in documents if not is_thread},
                after=following,
                complete=not await transaction.value(SQL["is_search_waiting"]),
            )

        return await self.database.read(search)

    async def index_waiting(self, limit: int) -> bool:
        async def waits(transaction: Transaction) -> bool:
            return await transaction.value(SQL["is_search_waiting"])

        async def index(transaction: Transaction) -> bool:
            titles = await transaction.rows(SQL["waiting_search_titles"], limit)
            columns = [rows.vector_columns(owner, rows.title_words(data)) for _, owner, data in titles]
            threads = [thread for thread, _, _ in titles]
            await transaction.value(SQL["index_titles"], threads, *_turned(columns))
            items = await transaction.rows(SQL["waiting_search_items"], limit - len(titles))
            columns = [
                rows.vector_columns(owner, rows.document_words(data) or "") for _, _, owner, data in items
            ]
            threads, numbers = [row[0] for row in items], [row[1] for row in items]
            await transaction.value(SQL["index_items"], threads, numbers, *_turned(columns))
            return await waits(transaction)

        if not self.can_search or not await self.database.read(waits):
            return False
        return await self.database.write(index, repeatable=True)

    async def purge_index(self) -> None:
        """Rewrites the index: PostgreSQL keeps words that no text has any more until then.

        It runs beside reads and writes, but behind PgBouncer in transaction mode, where it keeps writes waiting.

        Raises:
            StoreError: A transaction that began before does not end: it would wait for that as long.
        """
        local, beside = ("LOCAL ", "") if self.database.settings.stateless else ("", "CONCURRENTLY ")

        async def rewrite(transaction: Transaction) -> None:
            seen_by = "" if local else await transaction.wait_for_earlier()
            if seen_by:
                raise StoreError(f"It waits for {seen_by}: end that, and do this again.")
            await transaction.value(f"SET {local}statement_timeout = 0")
            try:
                for name in _INDEXES:
                    await transaction.value(f"REINDEX INDEX {beside}chatkit.{name}")
            finally:
                if not local:
                    await transaction.value("RESET statement_timeout")

        await self.database.read(rewrite, limit=_PURGE_SECONDS)


def _phrase(term: SearchTerm, tag: str) -> str:
    # Words hold letters, digits, marks and pictures alone: nothing that means something here.
    phrase = " <-> ".join(f"'{tag}{word}'" for word in term.words)
    return f"({phrase}{':*' if term.is_prefix else ''})"


def _turned(columns: list[tuple[str | None, str | None]]) -> tuple[list[str | None], list[str | None]]:
    return [words for words, _ in columns], [vector for _, vector in columns]
