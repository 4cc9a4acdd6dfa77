"""A person's data in a PostgreSQL database."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from chatkit._postgres import Database
from chatkit.errors import ChatKitError
from chatkit.personal_data._statements import bound, counting, deleting, key_size, paging
from chatkit.personal_data.places import AgingPlace, ErasureState, IdleThread, Row, RunningTurn, tables_of
from chatkit.personal_data.registry import TABLES, Table
from chatkit.store._postgres_documents import SQL
from chatkit.store.acceptance import DELETED
from chatkit.store.base import COMPLETION_RETENTION

if TYPE_CHECKING:
    from chatkit._postgres import Transaction

__all__ = ["PostgresPlace"]

_FIND: Final = "SELECT id, state, begun_at, ended_at, counts FROM chatkit.erasures WHERE "
_BEGIN: Final = """
INSERT INTO chatkit.erasures (id, owner, state, begun_at, counts) VALUES ($1, $2, 'running', now(), '{}')
ON CONFLICT DO NOTHING
"""
# Of two that erase at once, the other one may have ended it.
_OF_BOTH: Final = "owner = $1 OR id = $2 ORDER BY owner IS NULL LIMIT 1"
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended($1, 1130908534))"
_END: Final = """
UPDATE chatkit.erasures SET owner = NULL, state = $2, ended_at = coalesce(ended_at, now()) WHERE id = $1
"""
_IS_UNDER_WAY: Final = "SELECT 1 FROM chatkit.erasures WHERE id = $1 AND owner IS NOT NULL FOR UPDATE"
_RUNNING: Final = """
SELECT id, lease_until < now() FROM chatkit.accepted_turns WHERE owner = $1 AND status <> 'ended'
UNION ALL SELECT id, TRUE FROM chatkit.stream_turns WHERE owner = $2 AND ended IS NULL
"""
_IDLE: Final = """
SELECT owner, id, number, updated_at, (
    SELECT data ->> 'created_at' FROM chatkit.items WHERE thread = t.number ORDER BY seq DESC LIMIT 1
) FROM chatkit.threads AS t
WHERE updated_at < $1 AND (updated_at, number) > ($2, $3) AND NOT EXISTS (
    SELECT FROM chatkit.accepted_turns AS a
    WHERE a.owner = t.owner AND a.thread_id = t.id AND a.status <> 'ended'
)
ORDER BY updated_at, number LIMIT $4
"""
_TAKE: Final = """
INSERT INTO chatkit.leases AS l (name, holder, expires_at) VALUES ($1, $2, now() + make_interval(secs => $3))
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE l.holder = $2 OR l.expires_at <= now()
RETURNING TRUE
"""
_BEFORE_ALL: Final = datetime(1, 1, 1, tzinfo=UTC)


class PostgresPlace(AgingPlace):
    """A database.

    Args:
        database: The connections.
    """

    kind = "postgres"

    def __init__(self, database: Database) -> None:
        self.database = database
        self.name = f"the PostgreSQL database {database.place}"
        self._tables = tables_of("postgres")

    async def _rows(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        return await self.database.read(lambda transaction: transaction.rows(statement, *arguments))

    async def count(self, owner: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for table in self._tables:
            statement, values = bound(counting(table, "postgres"), "postgres", owner)
            ((number,),) = await self._rows(statement, *values)
            found[table.name] = number
        return {name: number for name, number in found.items() if number}

    async def _rows_of(self, table: Table, owner: str) -> AsyncIterator[Row]:
        size, after = key_size(table, "postgres"), tuple[Any, ...]()
        while True:
            asked = bound(paging(table, "postgres", first=not after), "postgres", owner, after)
            found = await self._rows(asked[0], *asked[1])
            for row in found:
                columns: dict[str, Any] = json.loads(row[size])
                yield {name: value for name, value in columns.items() if name not in table.leaves_out}
            if not found:
                return
            after = found[-1][:size]

    async def attachments(self, owner: str, after: str) -> list[tuple[str, int, str | None]]:
        query = "SELECT id, size, group_id FROM chatkit.attachments WHERE owner = $1 AND id > $2 ORDER BY id LIMIT 100"
        return [(row[0], row[1], row[2]) for row in await self._rows(query, owner, after)]

    async def has_attachment_of_others(self, owner: str, attachment_id: str) -> bool:
        query = "SELECT 1 FROM chatkit.attachments WHERE id = $1 AND owner <> $2 LIMIT 1"
        return bool(await self._rows(query, attachment_id, owner))

    # Erasure.

    async def begin_erasure(
        self, owner: str, erasure_id: str, turn_ids: frozenset[str] = frozenset()
    ) -> ErasureState:
        async def begin(transaction: Transaction) -> ErasureState:
            # What is being added at the moment is committed first; the next one finds the erasure.
            await transaction.value(_LOCK, owner)
            await transaction.rows(_BEGIN, erasure_id, owner)
            return _state((await transaction.rows(f"{_FIND}{_OF_BOTH}", owner, erasure_id))[0])

        return await self.database.write(begin, repeatable=True)

    async def find_erasure(
        self, erasure_id: str | None = None, owner: str | None = None
    ) -> ErasureState | None:
        where = "id = $1" if erasure_id else "owner = $1" if owner else "state = coalesce($1, 'cleaning')"
        rows = await self._rows(f"{_FIND}{where} ORDER BY begun_at LIMIT 1", erasure_id or owner)
        return _state(rows[0]) if rows else None

    async def last_erasure(self) -> ErasureState | None:
        rows = await self._rows(f"{_FIND}state = 'ended' ORDER BY ended_at DESC LIMIT 1")
        return _state(rows[0]) if rows else None

    async def erase(self, owner: str, erasure_id: str) -> AsyncIterator[int]:
        for table in self._tables:
            statement, values = bound(deleting(table, "postgres"), "postgres", owner)

            async def erase(
                transaction: Transaction,
                table: Table = table,
                statement: str = statement,
                values: list[Any] = values,
            ) -> int:
                deleted: int = await transaction.value(statement, *values)
                if deleted:
                    await _add(transaction, erasure_id, {table.name: deleted})
                return deleted

            # Not done twice: what was deleted would not be counted.
            while deleted := await self.database.write(erase):
                yield deleted

    async def erase_attachment(self, owner: str, attachment_id: str, erasure_id: str) -> None:
        async def erase(transaction: Transaction) -> None:
            rows = await transaction.rows(
                "DELETE FROM chatkit.attachments WHERE owner = $1 AND id = $2 RETURNING 1",
                owner,
                attachment_id,
            )
            await _add(transaction, erasure_id, {"attachments": len(rows), "files": len(rows)})

        await self.database.write(erase)

    async def end_erasure(self, erasure_id: str, state: str, more: Mapping[str, int] | None = None) -> None:
        async def end(transaction: Transaction) -> None:
            # Of two that erase at once, one counts what both have counted elsewhere.
            if more and await transaction.value(_IS_UNDER_WAY, erasure_id) is not None:
                await _add(transaction, erasure_id, more)
            await transaction.rows(_END, erasure_id, state)

        await self.database.write(end)

    async def clean(self, how: str) -> list[str]:
        if how == "none":
            return [
                f"The tables of {self.name} were not vacuumed: autovacuum does so in time, or VACUUM does."
            ]
        names = [
            f"chatkit.{table.name}"
            for table in TABLES
            if table.only in {None, "postgres"} and "*" not in table.name
        ]
        try:
            seen_by = await self.database.vacuum(names, full=how == "full")
        except ChatKitError as error:
            return [f"The tables of {self.name} could not be vacuumed, VACUUM does so: {error}"]
        if not seen_by:
            return []
        problem = (
            f"The files of {self.name} may have rows that were deleted, for these were still seen by {seen_by}: end "
            "that, and erase again."
        )
        return [problem]

    async def running_turns(self, owner: str) -> list[RunningTurn]:
        return [RunningTurn(*row) for row in await self._rows(_RUNNING, owner, json.dumps(owner))]

    async def add_counts(self, erasure_id: str, more: Mapping[str, int]) -> None:
        await self.database.write(lambda transaction: _add(transaction, erasure_id, more))

    async def turn_ids(self, owner: str) -> frozenset[str]:
        rows = await self._rows(
            "SELECT id FROM chatkit.accepted_turns WHERE owner = $1 "
            "UNION SELECT id FROM chatkit.completed_turns WHERE owner = $1",
            owner,
        )
        return frozenset(row[0] for row in rows)

    # Retention.

    async def take_lease(self, name: str, holder: str, seconds: float) -> bool:
        rows = await self.database.write(
            lambda transaction: transaction.rows(_TAKE, name, holder, seconds), repeatable=True
        )
        return bool(rows)

    async def release_lease(self, name: str, holder: str) -> None:
        query = "DELETE FROM chatkit.leases WHERE name = $1 AND holder = $2"
        await self.database.write(lambda transaction: transaction.rows(query, name, holder), repeatable=True)

    async def idle_threads(self, before: datetime, after: Any, limit: int) -> list[IdleThread]:
        cursor = (_BEFORE_ALL, 0) if after is None else after
        return [
            IdleThread(owner, thread_id, _latest(updated, newest), (updated, number))
            for owner, thread_id, number, updated, newest in await self._rows(_IDLE, before, *cursor, limit)
        ]

    async def delete_idle_thread(self, found: IdleThread, before: datetime) -> list[str] | None:
        updated, number = found.place
        owner, thread_id = found.owner, found.thread_id

        async def delete(transaction: Transaction) -> list[str] | None:
            # Whoever accepts a turn locks the thread first.
            locked = "SELECT number FROM chatkit.threads WHERE owner = $1 AND id = $2 FOR UPDATE"
            await transaction.rows(locked, owner, thread_id)
            rows = await transaction.rows(_IDLE, before, updated, number - 1, 1)
            if not rows or rows[0][2] != number or _latest(rows[0][3], rows[0][4]) >= before:
                return None
            ids = [row[0] for row in await transaction.rows(SQL["attachments_of_thread"], owner, thread_id)]
            await transaction.rows(
                "UPDATE chatkit.attachments SET thread_id = NULL, created_at = '-infinity' "
                "WHERE owner = $1 AND thread_id = $2",
                owner,
                thread_id,
            )
            await transaction.rows(SQL["delete_turns_of_thread"], owner, thread_id)
            ended = (owner, thread_id, DELETED, float(COMPLETION_RETENTION))
            await transaction.rows(SQL["end_turns_of_thread"], *ended)
            await transaction.rows(SQL["delete_thread"], owner, thread_id)
            return ids

        return await self.database.write(delete)


async def _add(transaction: Transaction, erasure_id: str, more: Mapping[str, int]) -> None:
    found = await transaction.value(
        "SELECT counts FROM chatkit.erasures WHERE id = $1 FOR UPDATE", erasure_id
    )
    if found is None or not more:
        return
    counts: dict[str, int] = json.loads(found)
    for name, number in more.items():
        counts[name] = counts.get(name, 0) + number
    await transaction.rows(
        "UPDATE chatkit.erasures SET counts = $2 WHERE id = $1", erasure_id, json.dumps(counts)
    )


def _state(row: tuple[Any, ...]) -> ErasureState:
    erasure_id, state, begun, ended, counts = row
    return ErasureState(erasure_id, state, begun, ended, json.loads(counts))


def _latest(updated: datetime, newest: str | None) -> datetime:
    return max(updated, datetime.fromisoformat(newest)) if newest else updated
