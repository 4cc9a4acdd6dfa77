"""The stream log over an SQLite file: the log in memory, with checkpoints that outlive the process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from chatkit._sqlite import Database
from chatkit.errors import StaleTurnError
from chatkit.streams.base import (
    JUMP,
    EndState,
    InterruptedTurn,
    KeyClaim,
    LogEntry,
    SnapshotSource,
    TurnInfo,
    TurnWriter,
)
from chatkit.streams.checkpoints import LEASE, QUERIES, SEPARATOR, Checkpoints, UnsavedTurn
from chatkit.streams.memory import KEY_RETENTION, LAG_LIMIT, RETENTION, WINDOW, MemoryStreamLog
from chatkit.streams.worker import Worker

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["SQLiteStreamLog", "SQLiteTurnWriter"]

SILENCE: Final = 600.0
"""Seconds beyond its lease for which a turn is left to a process that lives: its event loop may be blocked."""

_WORKER_COLUMNS: Final = slice(6, 9)
_LEASE_COLUMN: Final = 9


class SQLiteTurnWriter(TurnWriter):
    """Writes a turn of a :class:`SQLiteStreamLog`: at once to memory, a moment later to disk."""

    def __init__(
        self,
        memory: TurnWriter,
        checkpoints: Checkpoints,
        turn: UnsavedTurn,
        let_go: Callable[[], None],
    ) -> None:
        self._memory = memory
        self._let_go = let_go
        self._checkpoints = checkpoints
        self._unsaved = turn
        self._closing = False

    def append(self, data: bytes) -> int:
        self._unsaved.append(data)
        return self._memory.append(data)

    @property
    def last_seq(self) -> int:
        return self._memory.last_seq

    @property
    def congested(self) -> bool:
        return self._memory.congested or self._unsaved.crowded

    async def drain(self) -> None:
        if self._unsaved.crowded:
            await self._checkpoints.save()
        await self._memory.drain()

    async def flush(self) -> None:
        """Waits until what was appended is on disk; returns as well if it cannot be written now."""
        if self._unsaved.events:
            await self._checkpoints.save()

    def detach(self) -> None:
        self._memory.detach()

    async def close(self, end: EndState) -> None:
        """Deletes the turn's checkpoints, then writes the end mark: its items are in the store by now."""
        if self._closing:
            return
        self._closing = True
        try:
            await self._checkpoints.end(self._unsaved)
        finally:
            await self._memory.close(end)

    async def hand_over(self) -> bool:
        """Lets the next process on the file claim the turn; not if what it appended cannot be saved."""
        if self._closing:
            return False
        await self.flush()
        if not await self._checkpoints.give_up(self._unsaved):
            return False
        self._closing = True
        self._let_go()
        return True


class SQLiteStreamLog(MemoryStreamLog):
    """Keeps turns in memory for the readers of this process, and in a database for those who come after its death.

    It is not ``shared``: workers in other processes can claim what this one left behind, and meet the same idempotency
    keys, but cannot follow or stop its running turns.

    What a turn appends is on disk at most 250 ms later, or as soon as ``flush`` returns. A database that cannot be
    written never ends a turn: a warning is logged once per turn, and the events wait in memory, 4 MiB of each turn at
    most; a turn that exceeds that keeps a gapless beginning on disk. A turn that is faster than a healthy disk is
    congested at 1 MiB. When a turn ends, its rows are deleted.

    Args:
        database: The file; it is left open by ``close``, for it may be a store's too.
        window: Bytes of events kept in memory of a turn whose readers may come back.
        retention: Seconds for which such a turn is kept in memory after its end.
        lag_limit: Bytes that the reader of another turn may lag behind before the turn waits.
        lease: Seconds for which a turn or a claim is this process's without renewal.
        worker: Returns the process that runs the turns; for tests that play several.
    """

    def __init__(
        self,
        database: Database,
        *,
        window: int = WINDOW,
        retention: float = RETENTION,
        lag_limit: int = LAG_LIMIT,
        lease: float = LEASE,
        worker: Callable[[], Worker] = Worker.current,
    ) -> None:
        super().__init__(window=window, retention=retention, lag_limit=lag_limit)
        self._database = database
        self._checkpoints = Checkpoints(database, worker, lease)

    async def open(
        self, info: TurnInfo, *, snapshot: SnapshotSource, on_stop: Callable[[], None]
    ) -> TurnWriter:
        memory = await super().open(info, snapshot=snapshot, on_stop=on_stop)
        return self._saved(memory, self._checkpoints.begin(info))

    def _saved(self, memory: TurnWriter, turn: UnsavedTurn) -> SQLiteTurnWriter:
        return SQLiteTurnWriter(memory, self._checkpoints, turn, lambda: self.let_go(turn.info.id))

    async def claim_interrupted(self) -> list[InterruptedTurn]:
        """Returns the turns whose worker died, each to one caller of all processes on the file.

        A worker of this machine that is gone is known to be dead at once. Another process of this machine that is
        there keeps its turns for ten minutes beyond their lease, for its event loop may be blocked; any other worker
        counts as dead when its lease has run out. A claim that is not settled can be claimed again likewise.

        Raises:
            StoreError: The database cannot be used.
        """
        if not await self._database.read(self._claimable):
            return []
        return await self._database.write(self._claim)

    async def take_over(
        self, turn: InterruptedTurn, *, snapshot: SnapshotSource, on_stop: Callable[[], None]
    ) -> TurnWriter | None:
        """Goes on with a claimed turn in this process.

        Raises:
            StaleTurnError: Another process has claimed it since.
            StoreError: The database cannot be used.
        """
        row = {"turn_id": turn.info.id, "attempt": turn.info.attempt}

        def adopt(connection: Connection) -> bool:
            return (
                connection.execute(QUERIES["take_over_turn"], self._checkpoints.lease_row() | row).rowcount
                == 1
            )

        if not await self._database.write(adopt):
            raise StaleTurnError(f"Turn {turn.info.id} was claimed by another process.")
        memory = await super().take_over(turn, snapshot=snapshot, on_stop=on_stop)
        if memory is None:
            return None
        return self._saved(memory, self._checkpoints.begin(turn.info, saved_seq=memory.last_seq))

    async def settle(self, turn_id: str, events: Sequence[bytes] = ()) -> None:
        """Forgets a claimed turn after it was finalised; one that was claimed by another since is left alone.

        Raises:
            StoreError: The database cannot be used.
        """

        def delete(connection: Connection) -> None:
            row = self._checkpoints.lease_row() | {"turn_id": turn_id}
            connection.execute(QUERIES["delete_turn"], row)
            connection.execute(QUERIES["delete_chunks"], row)

        await self._database.write(delete)

    async def claim_key(self, owner: str | None, key: str, claim: KeyClaim) -> KeyClaim:
        """Binds an idempotency key for 24 hours, across processes and restarts.

        Raises:
            StoreError: The database cannot be used.
        """
        now = time.time()
        row = {
            "owner": owner or "",
            "key": key,
            "fingerprint": claim.fingerprint,
            "turn_id": claim.turn_id,
            "thread_id": claim.thread_id,
            "user_item_id": claim.user_item_id,
            "created_at": now,
        }

        def bind(connection: Connection) -> KeyClaim:
            connection.execute(QUERIES["forget_old_keys"], {"horizon": now - KEY_RETENTION})
            if connection.execute(QUERIES["claim_key"], row).rowcount:
                return replace(claim, fresh=True)
            turn_id, thread_id, fingerprint, item_id = connection.execute(QUERIES["load_key"], row).fetchone()
            return KeyClaim(turn_id, thread_id, fingerprint, fresh=False, user_item_id=item_id)

        return await self._database.write(bind)

    async def release_key(self, owner: str | None, key: str, claim: KeyClaim | None = None) -> None:
        """Frees a key whose turn never began.

        Raises:
            StoreError: The database cannot be used.
        """
        row = {"owner": owner or "", "key": key, "turn_id": None if claim is None else claim.turn_id}
        await self._database.write(
            lambda connection: connection.execute(QUERIES["release_key"], row).rowcount
        )

    async def close(self) -> None:
        """Deletes what could not be deleted at the end of its turn. The database stays open: close it yourself."""
        await self._checkpoints.delete_ended()

    def _claimable(self, connection: Connection) -> list[TurnInfo]:
        running = self._checkpoints.running()
        now = time.time()
        dead: dict[Worker, bool] = {}
        infos: list[TurnInfo] = []
        for row in connection.execute(QUERIES["load_turns"]).fetchall():
            if row[0] in running:
                continue
            worker = Worker(*row[_WORKER_COLUMNS])
            if worker not in dead:
                dead[worker] = worker.is_dead()
            if not dead[worker]:
                patience = SILENCE if self._sees(worker) else 0.0
                if row[_LEASE_COLUMN] + patience > now:
                    continue
            infos.append(_info(row))
        return infos

    def _sees(self, worker: Worker) -> bool:
        """Whether a worker that is not dead is known to live: another process, of this machine."""
        here = self._checkpoints.worker()
        return worker != here and worker.place == here.place and bool(worker.started)

    def _claim(self, connection: Connection) -> list[InterruptedTurn]:
        infos = self._claimable(connection)
        row = self._checkpoints.lease_row()
        connection.executemany(QUERIES["claim_turn"], [row | {"turn_id": info.id} for info in infos])
        return [
            InterruptedTurn(
                info, _entries(connection.execute(QUERIES["load_chunks"], {"turn_id": info.id}).fetchall())
            )
            for info in infos
        ]


def _info(row: tuple[Any, ...]) -> TurnInfo:
    turn_id, thread_id, owner, resumable, user_item_id, started_at, *_, context, attempt = row
    return TurnInfo(
        turn_id,
        thread_id,
        owner,
        bool(resumable),
        user_item_id,
        datetime.fromisoformat(started_at),
        context,
        attempt,
    )


def _entries(chunks: Iterable[tuple[int, bytes]]) -> list[LogEntry]:
    entries: list[LogEntry] = []
    last_seq = 0
    for first_seq, events in chunks:
        for seq, data in enumerate(events.split(SEPARATOR), first_seq):
            # A save that was repeated after it had been cut off may overlap the one before.
            # Whoever took the turn over began far behind the one before.
            if seq == last_seq + 1 or seq > last_seq + JUMP:
                entries.append(LogEntry(seq, data))
                last_seq = seq
    return entries
