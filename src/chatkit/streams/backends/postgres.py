"""The stream log over PostgreSQL, and its backend. Needs the extra ``postgres``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from chatkit._checks import checked
from chatkit._sql import load_queries
from chatkit.errors import MissingExtraError
from chatkit.ids import new_id
from chatkit.streams.backend import (
    FORGET_BATCH,
    FORGET_ROUNDS,
    SEPARATOR,
    Backend,
    Chunk,
    HeldTurn,
    Loaded,
    Save,
    SaveResult,
    SaveStatus,
    Standing,
    TurnRecord,
    WorkerRecord,
)
from chatkit.streams.log import LEASE, StreamLog
from chatkit.streams.records import (
    JUMP,
    EndState,
    KeyClaim,
    ThreadKey,
    TurnInfo,
    claim_head,
    dump_claim,
    dump_info,
    load_claim,
    load_end,
    load_info,
)
from chatkit.streams.window import KEY_RETENTION, LAG_LIMIT, RETENTION, WINDOW

try:
    from chatkit._postgres import Database, Settings, Transaction
    from chatkit.streams.backends.listener import Listener
except ImportError as error:
    raise MissingExtraError(
        "PostgresStreamLog needs asyncpg: pip install 'chatkit-server[postgres]'."
    ) from error

__all__ = ["PostgresBackend", "PostgresStreamLog"]

T = TypeVar("T")

_SQL: Final = load_queries(Path(__file__).with_name("postgres.sql"))
_PAGE: Final = 64
"""Chunks that one load brings: some 256 KiB."""
_SHORTEST_LIMIT: Final = 1.0
"""Seconds that an answer may take at least."""


class PostgresStreamLog(StreamLog):
    """Keeps turns in memory for the readers of this process, and in a PostgreSQL database for all other workers.

    What a turn appends is in the database at most 50 ms later; other workers hear of it by ``NOTIFY``. Nothing is
    connected before the first use, which creates or migrates the schema ``chatkit``. When the database is away,
    running turns and their readers in the same process go on, and what they append is kept and written when it is
    back; new turns are refused with :class:`chatkit.errors.StoreUnavailableError`.

    One connection of each event loop listens all the time while turns run or are read; it has to be a session of its
    own, so PgBouncer in transaction mode cannot be in between.

    Args:
        database: As for libpq, ``postgresql://user:password@host:port/database``, or the ``database`` of a
            :class:`chatkit.store.PostgresStore`, whose connections are used then.
        window: Bytes of events kept of a turn whose readers may come back, here and in the database.
        retention: Seconds for which such a turn is kept after its end.
        lag_limit: Bytes that the reader of another turn may lag behind before the turn waits.
        lease: Seconds for which turns and claims are a worker's without renewal; it renews at a third of that.
        max_connections: Connections of one event loop, where none are shared with a store.
        statement_timeout: Seconds that a statement may take there.

    Attributes:
        database: The connections.
    """

    has_backend = True

    @checked
    def __init__(
        self,
        database: str | Database,
        *,
        window: int = WINDOW,
        retention: float = RETENTION,
        lag_limit: int = LAG_LIMIT,
        lease: float = LEASE,
        max_connections: int = 4,
        statement_timeout: float | None = 10.0,
    ) -> None:
        super().__init__(window=window, retention=retention, lag_limit=lag_limit, lease=lease)
        self._owns_database = isinstance(database, str)
        if isinstance(database, str):
            database = Database(
                Settings(
                    connection_string=database,
                    max_connections=max_connections,
                    statement_timeout=statement_timeout,
                )
            )
        self.database = database

    def make_backend(self) -> PostgresBackend:
        """Returns the backend for the running event loop."""
        return PostgresBackend(self.database, lease=self.lease, retention=self.retention)

    async def close(self) -> None:
        """Closes the connections of the running event loop; those of a store are left open."""
        await super().close()
        if self._owns_database:
            await self.database.close()


class PostgresBackend(Backend):
    """A database, seen from one event loop.

    Args:
        database: The connections.
        lease: Seconds.
        retention: Seconds.
    """

    def __init__(self, database: Database, *, lease: float, retention: float) -> None:
        self._database = database
        self._lease = lease
        # A worker that waits for longer than a lease on a dead connection has lost its turns.
        self._answer_limit = max(_SHORTEST_LIMIT, lease / 2)
        self._retention = retention
        self._listener = Listener(database)
        self._followed: set[str] = set()

    async def _rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        # One statement is a transaction of its own; all of them may be done twice.
        return await self._database.read(
            lambda transaction: transaction.rows(_SQL[query], *arguments),
            patient=False,
            limit=self._answer_limit,
        )

    async def _value(self, query: str, *arguments: object) -> Any:
        rows = await self._rows(query, *arguments)
        return rows[0][0] if rows else None

    async def open_turn(self, info: TurnInfo, holder: str, *, again: bool = False) -> str:
        await self._rows(
            *("open", holder, self._lease, info.id, info.thread_id, dump_info(info), info.resumable),
            _owner(info.owner),
        )
        # The tables outlive a crash: a turn that is not there has ended.
        return ""

    async def save(self, holder: str, saves: Sequence[Save], *, renew: bool) -> dict[str, SaveResult]:
        if renew:
            await self._rows("renew", holder, self._lease)
        columns = zip(
            *((*save[:7], "" if save.end is None else save.end.value) for save in saves), strict=True
        )
        rows = await self._rows("save", holder, *map(list, columns), self._retention, KEY_RETENTION)
        return {
            turn_id: SaveResult(SaveStatus(status), last_seq, stop)
            for turn_id, status, last_seq, stop in rows
            if turn_id is not None
        }

    async def load(self, turn_id: str, after: int) -> Loaded | None:
        return (await self._follow({turn_id: after})).get(turn_id)

    async def _follow(self, cursors: Mapping[str, int]) -> dict[str, Loaded]:
        rows = await self._rows("follow", list(cursors), list(cursors.values()), _PAGE)
        found: dict[str, Loaded] = {}
        for turn_id, info, ended, turn_seq, first_seq, last_seq, events, jumps in rows:
            loaded = found.get(turn_id)
            if loaded is None:
                record = TurnRecord(load_info(info), load_end(ended))
                loaded = found[turn_id] = Loaded(record, turn_seq, [])
            if first_seq is not None:
                loaded.chunks.append(Chunk(first_seq, last_seq, events, jumps))
        for loaded in found.values():
            if loaded.record.end is not None and len(loaded.chunks) < _PAGE:
                loaded.chunks.append(Chunk(loaded.last_seq + 1, loaded.last_seq, end=loaded.record.end))
        return found

    async def load_snapshot(self, turn_id: str) -> tuple[int, bytes] | None:
        rows = await self._rows("snapshot", turn_id)
        return (rows[0][0], rows[0][1]) if rows else None

    async def standings(self, turn_ids: Sequence[str]) -> dict[str, Standing]:
        found = {turn_id: Standing(number) for turn_id, number in await self._rows("standings", turn_ids)}
        return {turn_id: found.get(turn_id, Standing.MISSING) for turn_id in turn_ids}

    async def changes(
        self, cursors: Mapping[str, int], limit: float, on_stop: Callable[[str], None]
    ) -> dict[str, list[Chunk]]:
        # What happened before this connection listened for it has to be looked for.
        changed = cursors.keys() - self._followed
        self._followed = set(cursors)
        changed |= await self._listener.wait(0.0 if changed else limit, self._followed, on_stop)
        if not changed:
            return {}
        try:
            found = await self._follow({turn_id: cursors[turn_id] for turn_id in changed})
        except BaseException:
            self._followed -= changed
            raise
        for turn_id, loaded in found.items():
            if len(loaded.chunks) >= _PAGE:
                self._followed.discard(turn_id)
        return {turn_id: loaded.chunks for turn_id, loaded in found.items()}

    async def wake(self) -> None:
        self._listener.wake()

    async def request_stop(self, turn_id: str) -> bool:
        return bool(await self._rows("stop", turn_id))

    async def turns(self, thread: ThreadKey) -> list[TurnRecord]:
        rows = await self._rows("turns", thread.thread_id, _owner(thread.owner))
        records = [TurnRecord(load_info(info), load_end(ended)) for info, ended in rows]
        return [record for record in records if record.info.thread == thread]

    async def claim(self, worker: str, claim: str) -> list[tuple[TurnInfo, bool]]:
        if not await self._value("renew", worker, self._lease):
            return []

        async def take(transaction: Transaction) -> list[tuple[Any, ...]]:
            return await transaction.rows(_SQL["claim"], claim, self._lease)

        # Not done twice: what was taken is then lost until the claim runs out.
        return [(load_info(info), stop) for info, stop in await self._database.write(take)]

    async def held(self, worker: str) -> list[str]:
        return [turn_id for (turn_id,) in await self._rows("held", worker)]

    async def adopt(self, info: TurnInfo, claim: str, worker: str) -> str | None:
        await self._rows("renew", worker, self._lease)
        adopted = await self._value("adopt", info.id, claim, worker, dump_info(info), info.base)
        return None if adopted is None else ""

    async def release(self, turn_id: str, worker: str) -> bool:
        return await self._value("release", turn_id, worker) is not None

    async def settle(self, turn_id: str, claim: str, events: Sequence[bytes]) -> None:
        joined = SEPARATOR.join(events)
        await self._rows("settle", turn_id, claim, JUMP, len(events), joined, self._retention, KEY_RETENTION)

    async def forget_old(self) -> None:
        for _ in range(FORGET_ROUNDS):
            if not await self._value("forget_old", FORGET_BATCH):
                return

    async def forget_thread(self, thread: ThreadKey) -> None:
        await self._rows("forget_thread", thread.thread_id, _owner(thread.owner), KEY_RETENTION)

    async def claim_key(self, owner: str, key: str, claim: KeyClaim) -> KeyClaim | None:
        # A mark tells this claim from an equal one, which was there before.
        mark = new_id("claim")
        mine = json.dumps([mark, dump_claim(claim)])
        held: str = await self._value("claim_key", _key(owner, key), mine, KEY_RETENTION)
        found_mark, found, *_ = json.loads(held)
        return None if found_mark == mark else load_claim(found)

    async def find_key(self, owner: str, key: str) -> KeyClaim | None:
        held: str | None = await self._value("find_key", _key(owner, key))
        return None if held is None else load_claim(json.loads(held)[1])

    async def release_key(self, owner: str, key: str, claim: KeyClaim | None) -> None:
        await self._rows("release_key", _key(owner, key), None if claim is None else claim_head(claim))

    async def ended(self, turn_id: str) -> EndState | None:
        found: str | None = await self._value("ended", turn_id)
        return load_end(found)

    async def survey_turns(self, limit: int, after: str = "") -> list[HeldTurn]:
        return [
            HeldTurn(load_info(info), *rest) for info, *rest in await self._rows("survey_turns", after, limit)
        ]

    async def survey_workers(self, limit: int) -> list[WorkerRecord]:
        return [WorkerRecord(*row) for row in await self._rows("survey_workers", limit)]

    async def close(self) -> None:
        await self._listener.close()


def _owner(owner: str | None) -> str:
    # As JSON, of which no owner has none, and any text is one that PostgreSQL takes.
    return json.dumps(owner)


def _key(owner: str, key: str) -> str:
    # Escaped, so that any text is one that PostgreSQL takes.
    return json.dumps([owner, key], separators=(",", ":"))
