"""A person's data in an SQLite file."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from chatkit._sqlite import MEMORY, Database
from chatkit.personal_data._statements import bound, counting, deleting, key_size, paging, plain
from chatkit.personal_data.places import AgingPlace, ErasureState, IdleThread, Row, RunningTurn, tables_of
from chatkit.personal_data.registry import Table
from chatkit.store import _sqlite_statements as statements
from chatkit.store._sqlite_search import index_changes, lacks_fts5

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["SQLitePlace"]

_FIND: Final = "SELECT id, state, begun_at, ended_at, counts FROM erasures WHERE "
# Of two that erase at once, the other one may have ended it.
_OF_BOTH: Final = "owner = ?1 OR id = ?2 ORDER BY owner IS NULL LIMIT 1"
_IS_UNDER_WAY: Final = "SELECT 1 FROM erasures WHERE id = ? AND owner IS NOT NULL"
_RUNNING: Final = """
SELECT id, lease_until < ?2 FROM accepted_turns WHERE owner = ?1 AND status <> 'ended'
UNION ALL SELECT turn_id, 1 FROM stream_turns WHERE owner = ?1 AND ended IS NULL
"""
_IDLE: Final = """
SELECT owner, id, seq, updated_at, (
    SELECT json_extract(data, '$.created_at') FROM items WHERE thread = threads.seq ORDER BY seq DESC LIMIT 1
) FROM threads
WHERE updated_at < ?1 AND (updated_at, seq) > (?2, ?3) AND NOT EXISTS (
    SELECT 1 FROM accepted_turns AS a
    WHERE a.owner = threads.owner AND a.thread_id = threads.id AND a.status <> 'ended'
)
ORDER BY updated_at, seq LIMIT ?4
"""
_TAKE: Final = """
INSERT INTO leases (name, holder, expires_at) VALUES (?1, ?2, ?3)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE holder = ?2 OR expires_at <= ?4
"""


class SQLitePlace(AgingPlace):
    """A database file.

    Args:
        database: The file.
    """

    kind = "sqlite"

    def __init__(self, database: Database) -> None:
        self.database = database
        self.name = f"the SQLite database {database.path}"
        self._tables = tables_of("sqlite")

    async def count(self, owner: str) -> dict[str, int]:
        def count(connection: Connection) -> dict[str, int]:
            found = {
                table.name: _run(connection, counting(table, "sqlite"), owner).fetchone()[0]
                for table in self._tables
            }
            return {name: number for name, number in found.items() if number}

        return await self.database.read(count)

    async def _rows_of(self, table: Table, owner: str) -> AsyncIterator[Row]:
        after: tuple[Any, ...] = ()
        while found := await self.database.read(partial(_page, table=table, owner=owner, after=after)):
            for _, row in found:
                yield row
            after = found[-1][0]

    async def attachments(self, owner: str, after: str) -> list[tuple[str, int, str | None]]:
        """Returns a page of the ids of an owner's attachments after an id, with their sizes and groups."""
        query = "SELECT id, size, group_id FROM attachments WHERE owner = ? AND id > ? ORDER BY id LIMIT 100"
        return await self.database.read(
            lambda connection: connection.execute(query, (owner, after)).fetchall()
        )

    async def has_attachment_of_others(self, owner: str, attachment_id: str) -> bool:
        """Returns whether another owner has an attachment of that id."""
        query = "SELECT 1 FROM attachments WHERE id = ? AND owner <> ? LIMIT 1"
        row = await self.database.read(
            lambda connection: connection.execute(query, (attachment_id, owner)).fetchone()
        )
        return row is not None

    # Erasure.

    async def begin_erasure(
        self, owner: str, erasure_id: str, turn_ids: frozenset[str] = frozenset()
    ) -> ErasureState:
        def begin(connection: Connection) -> ErasureState:
            connection.execute(
                "INSERT INTO erasures (id, owner, state, begun_at, counts) VALUES (?, ?, 'running', ?, '{}') "
                "ON CONFLICT DO NOTHING",
                (erasure_id, owner, time.time()),
            )
            return _state(connection.execute(_FIND + _OF_BOTH, (owner, erasure_id)).fetchone())

        return await self.database.write(begin)

    async def find_erasure(
        self, erasure_id: str | None = None, owner: str | None = None
    ) -> ErasureState | None:
        """Returns an erasure: by its id, that of an owner, or the oldest that is not cleaned up after."""
        where = "id = ?1" if erasure_id else "owner = ?1" if owner else "state = coalesce(?1, 'cleaning')"

        def find(connection: Connection) -> ErasureState | None:
            asked = (erasure_id or owner,)
            row = connection.execute(f"{_FIND}{where} ORDER BY begun_at", asked).fetchone()
            return None if row is None else _state(row)

        return await self.database.read(find)

    async def last_erasure(self) -> ErasureState | None:
        query = f"{_FIND}state = 'ended' ORDER BY ended_at DESC"
        row = await self.database.read(lambda connection: connection.execute(query).fetchone())
        return None if row is None else _state(row)

    async def erase(self, owner: str, erasure_id: str) -> AsyncIterator[int]:
        for table in self._tables:
            while deleted := await self.database.write(
                partial(_erase, table=table, owner=owner, erasure_id=erasure_id)
            ):
                yield deleted

    async def erase_attachment(self, owner: str, attachment_id: str, erasure_id: str) -> None:
        """Deletes the record of an attachment whose file is deleted."""

        def erase(connection: Connection) -> None:
            _forget_bytes(connection)
            deleted = connection.execute(
                "DELETE FROM attachments WHERE owner = ? AND id = ?", (owner, attachment_id)
            ).rowcount
            _add(connection, erasure_id, {"attachments": deleted, "files": deleted})

        await self.database.write(erase)

    async def end_erasure(self, erasure_id: str, state: str, more: Mapping[str, int] | None = None) -> None:
        def end(connection: Connection) -> None:
            _forget_bytes(connection)
            # Of two that erase at once, one counts what both have counted elsewhere.
            if more and connection.execute(_IS_UNDER_WAY, (erasure_id,)).fetchone():
                _add(connection, erasure_id, more)
            connection.execute(
                "UPDATE erasures SET owner = NULL, state = ?, ended_at = coalesce(ended_at, ?) WHERE id = ?",
                (state, time.time(), erasure_id),
            )

        await self.database.write(end)

    async def clean(self, how: str) -> list[str]:
        path = self.database.path
        if path in {"", MEMORY}:
            return []
        rewrites = how not in {"none", "log"}
        problems = [await self.database.rewrite(whole=rewrites)]
        if await self.database.read(lacks_fts5):
            problems.append(
                f"The search index in {path} still has words of what was deleted, for this build of SQLite cannot use "
                "it: it forgets them as soon as a server with a build that can writes anything."
            )
        if how == "none":
            problems.append(
                f"The file {path} was not rewritten, and may have bytes of deleted rows: run VACUUM."
            )
        return [problem for problem in problems if problem is not None]

    async def running_turns(self, owner: str) -> list[RunningTurn]:
        def find(connection: Connection) -> list[RunningTurn]:
            rows = connection.execute(_RUNNING, (owner, time.time())).fetchall()
            return [RunningTurn(turn_id, bool(lapsed)) for turn_id, lapsed in rows]

        return await self.database.read(find)

    async def add_counts(self, erasure_id: str, more: Mapping[str, int]) -> None:
        await self.database.write(partial(_add, erasure_id=erasure_id, more=more))

    async def turn_ids(self, owner: str) -> frozenset[str]:
        query = "SELECT id FROM accepted_turns WHERE owner = ?1 UNION SELECT id FROM completed_turns WHERE owner = ?1"
        rows = await self.database.read(lambda connection: connection.execute(query, (owner,)).fetchall())
        return frozenset(row[0] for row in rows)

    # Retention.

    async def take_lease(self, name: str, holder: str, seconds: float) -> bool:
        """Takes or renews a lease; returns whether it is the holder's."""
        now = time.time()
        row = (name, holder, now + seconds, now)
        return bool(await self.database.write(lambda connection: connection.execute(_TAKE, row).rowcount))

    async def release_lease(self, name: str, holder: str) -> None:
        """Gives a lease back."""
        query = "DELETE FROM leases WHERE name = ? AND holder = ?"
        await self.database.write(lambda connection: connection.execute(query, (name, holder)).rowcount)

    async def idle_threads(self, before: datetime, after: Any, limit: int) -> list[IdleThread]:
        """Returns a page of the threads, of all owners, in which nothing was saved since a moment, and nothing runs."""
        cursor = ("", 0) if after is None else after

        def find(connection: Connection) -> list[IdleThread]:
            rows = connection.execute(_IDLE, (before.isoformat(), *cursor, limit)).fetchall()
            return [
                IdleThread(owner, thread_id, _latest(updated, newest), (updated, seq))
                for owner, thread_id, seq, updated, newest in rows
            ]

        return await self.database.read(find)

    async def delete_idle_thread(self, found: IdleThread, before: datetime) -> list[str] | None:
        """Deletes a thread unless something happened in it; returns its attachments, which no message has from now on.

        Their records stay, as if no message had come for them, until their files are deleted; None where the thread
        stays.
        """

        def delete(connection: Connection) -> list[str] | None:
            cursor = (found.place[0], found.place[1] - 1)
            row = connection.execute(_IDLE, (before.isoformat(), *cursor, 1)).fetchone()
            if row is None or row[2] != found.place[1] or _latest(row[3], row[4]) >= before:
                return None
            named = {"owner": found.owner, "thread_id": found.thread_id}
            ids = statements.first_values(connection, query="attachments_of_thread", **named)
            connection.execute(
                "UPDATE attachments SET thread_id = NULL, created_at = 0 WHERE owner = ? AND thread_id = ?",
                (found.owner, found.thread_id),
            )
            statements.delete_thread(connection, owner=found.owner, thread_id=found.thread_id)
            index_changes(connection)
            return ids

        return await self.database.write(delete)


def _run(connection: Connection, statement: str, owner: str) -> Any:
    return connection.execute(*bound(statement, "sqlite", owner))


def _page(
    connection: Connection, *, table: Table, owner: str, after: tuple[Any, ...]
) -> list[tuple[tuple[Any, ...], Row]]:
    statement, values = bound(paging(table, "sqlite", first=not after), "sqlite", owner, after)
    cursor = connection.execute(statement, values)
    size = key_size(table, "sqlite")
    columns = [column[0] for column in cursor.description][size:]
    return [
        (
            row[:size],
            {
                name: plain(name, value)
                for name, value in zip(columns, row[size:], strict=True)
                if name not in table.leaves_out
            },
        )
        for row in cursor.fetchall()
    ]


def _erase(connection: Connection, *, table: Table, owner: str, erasure_id: str) -> int:
    _forget_bytes(connection)
    deleted: int = _run(connection, deleting(table, "sqlite"), owner).rowcount
    if deleted:
        index_changes(connection)
        _add(connection, erasure_id, {table.name: deleted})
    return deleted


def _forget_bytes(connection: Connection) -> None:
    # What is deleted is overwritten with zeros, whatever SQLite was built with.
    connection.execute("PRAGMA secure_delete = ON").fetchall()


def _add(connection: Connection, erasure_id: str, more: Mapping[str, int]) -> None:
    row = connection.execute("SELECT counts FROM erasures WHERE id = ?", (erasure_id,)).fetchone()
    if row is None or not more:
        return
    counts: dict[str, int] = json.loads(row[0])
    for name, number in more.items():
        counts[name] = counts.get(name, 0) + number
    connection.execute("UPDATE erasures SET counts = ? WHERE id = ?", (json.dumps(counts), erasure_id))


def _state(row: tuple[Any, ...]) -> ErasureState:
    erasure_id, state, begun, ended, counts = row
    return ErasureState(
        erasure_id,
        state,
        datetime.fromtimestamp(begun, UTC),
        None if ended is None else datetime.fromtimestamp(ended, UTC),
        json.loads(counts),
    )


def _latest(updated: str, newest: str | None) -> datetime:
    moments = [datetime.fromisoformat(text) for text in (updated, newest) if text]
    return max(moment if moment.tzinfo else moment.replace(tzinfo=UTC) for moment in moments)
