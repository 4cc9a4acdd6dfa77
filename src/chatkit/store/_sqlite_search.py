"""The search index of an SQLite file: FTS5, where the build has it.

Triggers note in ``search_changes`` which texts are written, and each transaction that writes ends by bringing the index
up to date with them. What was stored before there was an index waits there too, and is indexed piece by piece.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from chatkit._sql import load_queries
from chatkit._sqlite import fts5
from chatkit.search import MOST_CANDIDATES, SearchQuery, SearchTerm
from chatkit.store import _search_rows as rows
from chatkit.store import _sqlite_statements as statements
from chatkit.store.search import ThreadSearch, keeps_as_given
from chatkit.types import SearchPage

if TYPE_CHECKING:
    from sqlite3 import Connection

    from chatkit._sqlite import Database

__all__ = ["SQLiteSearch", "index_changes", "lacks_fts5"]

logger = logging.getLogger("chatkit.store")

T = TypeVar("T")
TContext = TypeVar("TContext")

SQL: Final = load_queries(Path(__file__).parent / "queries" / "sqlite_search.sql")

_SECURE_FORMAT: Final = 5
_EVERY_PLACE: Final = (-(2**63), 2**63 - 1)
_TITLES: Final = (-(2**63), 0)
_MERGED_PAGES: Final = 500
"""Pages of the index that one transaction rewrites, some milliseconds' work."""


class SQLiteSearch(ThreadSearch[TContext]):
    """The part of an SQLite store that searches.

    Args:
        search: Whether threads can be searched; None for wherever a subclass keeps what it is given.
    """

    database: Database

    def __init__(self, *, search: bool | None) -> None:
        self._search = search
        self._has_index = False

    @abstractmethod
    def owner(self, context: TContext) -> str:
        """Returns the owner of a context."""

    @property
    def can_search(self) -> bool:
        asked = keeps_as_given(type(self)) if self._search is None else self._search
        return asked and fts5.has_fts5()

    async def search_threads(
        self, query: str, limit: int, after: str | None, context: TContext
    ) -> SearchPage:
        work = partial(
            _search, owner=self.owner(context), query=SearchQuery.parse(query), limit=limit, after=after
        )
        return await self.database.read(work)

    async def index_waiting(self, limit: int) -> bool:
        if not self.can_search:
            return False
        waits = partial(statements.first_values, query="is_search_waiting")
        if self._has_index and not await self.database.read(waits):
            return False

        def index(connection: Connection) -> bool:
            if not self._begin_index(connection):
                return False
            done = _index(connection, late=1, within=_TITLES, count=limit)
            if done < limit:
                _index(connection, late=1, within=_EVERY_PLACE, count=limit - done)
            return bool(statements.first_values(connection, query="is_search_waiting"))

        return await self.database.write(index)

    async def purge_index(self) -> None:
        if not self.can_search:
            return

        def begin(connection: Connection) -> bool:
            if not self._begin_index(connection) or connection.execute(SQL["deletes_securely"]).fetchone():
                return False
            connection.execute(SQL["merge"], {"pages": -_MERGED_PAGES})
            return True

        def go_on(connection: Connection) -> bool:
            before = connection.total_changes
            connection.execute(SQL["merge"], {"pages": _MERGED_PAGES})
            # A merge that had nothing to do changes one row.
            return connection.total_changes - before > 1

        if await self.database.write(begin):
            while await self.database.write(go_on):
                pass

    def _begin_index(self, connection: Connection) -> bool:
        """Makes the index if the file has none; returns whether there is one that this build of SQLite can use."""
        if self._has_index or not self.can_search:
            return self._has_index
        if statements.first_values(connection, query="has_search_index"):
            self._has_index = _is_usable(connection)
            return self._has_index
        # Not remembered: the transaction may be undone.
        connection.execute(SQL["create"])
        if fts5.DELETES_SECURELY:
            connection.execute(SQL["delete_securely"])
        statements.run(connection, "begin_search_index")
        statements.run(connection, "wait_for_search")
        return True

    def _reopen_index(self) -> None:
        """Has the next transaction look whether there is an index: the file may be another one then."""
        self._has_index = False

    def _indexed(self, work: Callable[..., T], connection: Connection, **parameters: Any) -> T:
        """Returns what ``work`` returns, and brings the index up to date with what it has written."""
        has_index = self._begin_index(connection)
        result = work(connection, **parameters)
        if has_index:
            _index(connection, late=0, within=_EVERY_PLACE, count=-1)
        return result


def index_changes(connection: Connection) -> None:
    """Brings the index up to date with what a transaction has written in another way than by a store.

    Does nothing where there is no index that this build of SQLite can use.
    """
    if statements.first_values(connection, query="has_search_index") and _is_usable(connection):
        _index(connection, late=0, within=_EVERY_PLACE, count=-1)


def lacks_fts5(connection: Connection) -> bool:
    """Returns whether a file has an index that this build of SQLite cannot use."""
    return bool(statements.first_values(connection, query="has_search_index")) and not _is_usable(connection)


def _is_usable(connection: Connection) -> bool:
    if not fts5.has_fts5():
        return False
    version: int = connection.execute(SQL["format"]).fetchone()[0]
    if version >= _SECURE_FORMAT and not fts5.DELETES_SECURELY:
        _warn_of_format()
        return False
    return True


@cache
def _warn_of_format() -> None:
    logger.warning(
        "The search index was written by a newer build of SQLite than %s, which cannot use it: what is written now is "
        "found once a process with such a build has indexed it.",
        fts5.VERSION,
    )


def _index(connection: Connection, *, late: int, within: tuple[int, int], count: int) -> int:
    """Indexes texts that are noted in ``search_changes``, and returns how many there were."""
    low, high = within
    changes = statements.run(
        connection, "search_changes", late=late, low=low, high=high, count=count
    ).fetchall()
    # The oldest first, for a table is filled better in its own order.
    for place, item, owner, thread, known_tag, known in reversed(changes):
        if thread is not None:
            words = rows.title_words(thread)
        else:
            words = None if item is None or owner is None else rows.document_words(item)
        tag = None if owner is None else rows.owner_tag(owner)
        # An earlier version may have given the number of a text that it deleted to another owner's.
        if (words or None) == known and (known is None or tag == known_tag):
            continue
        if known is not None:
            connection.execute(SQL["delete"], {"place": place, "words": _tagged(known, known_tag)})
        if not words:
            statements.run(connection, "delete_search_text", place=place)
            continue
        connection.execute(SQL["add"], {"place": place, "words": _tagged(words, str(tag))})
        statements.run(connection, "save_search_text", place=place, tag=tag, words=words)
    if changes:
        statements.run(connection, "forget_search_changes", late=late, low=changes[-1][0], high=changes[0][0])
    return len(changes)


def _tagged(words: str, tag: str) -> str:
    return tag + words.replace(" ", f" {tag}")


def _search(
    connection: Connection, *, owner: str, query: SearchQuery, limit: int, after: str | None
) -> SearchPage:
    if not query.terms or not statements.first_values(connection, query="has_search_index"):
        return SearchPage()
    tag = rows.owner_tag(owner)
    asked = {
        "match": " AND ".join(_phrase(term, tag) for term in query.terms),
        "owner": owner,
        "count": MOST_CANDIDATES,
    }
    found = [
        rows.Candidate(*row)
        for name in ("find_items", "find_titles")
        for row in connection.execute(SQL[name], asked).fetchall()
    ]
    ranked, following = rows.rank(query, found, after, limit)
    threads, _, items = rows.numbers_of(ranked)
    return rows.search_page(
        query,
        ranked,
        _documents(connection, "found_thread", owner, threads),
        _documents(connection, "found_item", owner, items),
        after=following,
        complete=not statements.first_values(connection, query="is_search_waiting"),
    )


def _phrase(term: SearchTerm, tag: str) -> str:
    # Words hold letters, digits, marks and pictures alone: nothing that means something here.
    phrase = " ".join(f"{tag}{word}" for word in term.words)
    return f'"{phrase}" *' if term.is_prefix else f'"{phrase}"'


def _documents(connection: Connection, query: str, owner: str, numbers: list[int]) -> dict[int, str]:
    found = {number: statements.run(connection, query, owner=owner, number=number) for number in numbers}
    return {number: row[0] for number, cursor in found.items() if (row := cursor.fetchone()) is not None}
