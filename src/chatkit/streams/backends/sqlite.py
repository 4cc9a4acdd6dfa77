"""The stream log over an SQLite file, for the processes of one machine, and its backend.

A process that is alone on its file writes a turn only once it lasts, and deletes it at its end: no other one reads it.
So every process that asks for others' turns enters itself in a table first, and the others look there when they
begin a turn.
"""

from __future__ import annotations

import asyncio
import json
import time
from asyncio import timeout
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from chatkit._checks import checked
from chatkit._sqlite import MEMORY, Database
from chatkit.errors import StoreError
from chatkit.streams.backend import (
    FORGET_ROUNDS,
    SEPARATOR,
    Chunk,
    Loaded,
    Save,
    SaveResult,
    SaveStatus,
    Standing,
    TurnRecord,
)
from chatkit.streams.backends.sqlite_survey import FileSurvey
from chatkit.streams.backends.sqlite_turns import (
    PAGE,
    bind_key,
    end_turn,
    forget_old,
    forget_thread,
    info_of,
    load_chunks,
    load_key,
    old_since,
    record_of,
    row_of,
    save_one,
)
from chatkit.streams.backends.sqlite_workers import SQL, FileWorkers
from chatkit.streams.log import LEASE, StreamLog
from chatkit.streams.records import JUMP, EndState, KeyClaim, ThreadKey, TurnInfo, load_end
from chatkit.streams.window import LAG_LIMIT, RETENTION, WINDOW
from chatkit.streams.worker import Worker

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["SQLiteBackend", "SQLiteStreamLog"]

SILENCE: Final = 600.0
"""Seconds beyond its lease for which a turn is left to a process that lives: its event loop may be blocked."""
POLL_SECONDS: Final = 0.05
"""Time between two looks for what other processes did."""


class SQLiteStreamLog(StreamLog):
    """Keeps turns in memory for the readers of this process, and in a file for the other workers of this machine.

    What a turn appends is on disk at most 250 ms later, or as soon as ``flush`` returns; where other workers use the
    file, 50 ms later. A database that cannot be written never ends a turn: a warning is logged, and the events wait
    in memory, 4 MiB of each turn at most. Of a resumable turn that exceeds this the older part is replaced by the
    turn's state, of another one a gapless beginning is on disk. A turn that is faster than a healthy disk is
    congested at 1 MiB. Where a worker is alone on its file, a turn's rows are deleted when it ends, and a short turn
    never touches the file.

    On a network file system a second worker is refused with :class:`chatkit.errors.ConfigurationError`.

    Args:
        database: The file; it is left open by ``close``, for it may be a store's too.
        window: Bytes of events kept of a turn whose readers may come back, here and on disk.
        retention: Seconds for which such a turn is kept after its end.
        lag_limit: Bytes that the reader of another turn may lag behind before the turn waits.
        lease: Seconds for which a turn or a claim is this process's without renewal.
        worker: Returns the process that runs the turns; for tests that play several.
    """

    has_backend = True

    @checked
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
        super().__init__(window=window, retention=retention, lag_limit=lag_limit, lease=lease)
        self.shared = database.path not in {"", MEMORY}
        self.database = database
        self._worker = worker

    def make_backend(self) -> SQLiteBackend:
        """Returns the backend for the running event loop."""
        return SQLiteBackend(
            self.database,
            holder=self.holder,
            worker=self._worker,
            lease=self.lease,
            retention=self.retention,
        )


class SQLiteBackend(FileSurvey):
    """A database file, seen from one event loop.

    Args:
        database: The file.
        holder: Names the worker.
        worker: Returns the process that runs the turns.
        lease: Seconds.
        retention: Seconds.
    """

    comes_back = False

    def __init__(
        self,
        database: Database,
        *,
        holder: Callable[[], str],
        worker: Callable[[], Worker],
        lease: float,
        retention: float,
    ) -> None:
        self._database = database
        self._holder = holder
        self._workers = FileWorkers(database, holder, worker)
        self._watch = self._workers.watch
        self._lease = lease
        self._retention = retention
        self._woken = asyncio.Event()
        self._followed: set[str] = set()
        self._unwritten: dict[str, TurnInfo] = {}
        self._private: set[str] = set()

    @property
    def watched(self) -> bool:
        return not self._workers.alone

    @property
    def bounds_turns(self) -> bool:
        # A disk has room for them.
        return False

    # The turns of this worker.

    async def open_turn(self, info: TurnInfo, holder: str, *, again: bool = False) -> str | None:
        if not self._workers.entered and self._workers.exists():
            # A database that cannot be written keeps no turn from beginning.
            with suppress(StoreError):
                await self._workers.register()
        self._unwritten[info.id] = info
        if self._workers.is_alone() and not again:
            self._private.add(info.id)
            return None
        try:
            await self._database.write(lambda connection: self._begin(connection, [info.id]))
        except BaseException:
            if not again:
                self._unwritten.pop(info.id, None)
            raise
        self._unwritten.pop(info.id, None)
        return ""

    def _lease_row(self) -> dict[str, object]:
        return self._workers.place_row() | {"lease_expires_at": time.time() + self._lease}

    def _begin(self, connection: Connection, turn_ids: Sequence[str]) -> None:
        row = self._lease_row()
        infos = [info for turn_id in turn_ids if (info := self._unwritten.get(turn_id)) is not None]
        connection.executemany(SQL["begin_turn"], [row_of(info) | row for info in infos])

    async def save(self, holder: str, saves: Sequence[Save], *, renew: bool) -> dict[str, SaveResult]:
        short: set[str] = set()
        if self._workers.is_alone():
            # Of a turn that was that short nothing has been written so far.
            short = {save.turn_id for save in saves if save.end is not None} & self._unwritten.keys()
            saves = [save for save in saves if save.turn_id not in short]
        results = await self._save(holder, saves, renew=renew) if saves else {}
        # If the others cannot be saved, these are given once more.
        for turn_id in short:
            self._forget_mine(turn_id)
        return results

    async def _save(self, holder: str, saves: Sequence[Save], *, renew: bool) -> dict[str, SaveResult]:
        turn_ids = [save.turn_id for save in saves]

        def work(connection: Connection) -> dict[str, SaveResult]:
            if not self._workers.entered and self._watch is not None:
                self._workers.enter(connection)
            self._begin(connection, turn_ids)
            row = {"turn_ids": json.dumps(turn_ids), "holder": holder}
            if renew:
                connection.execute(SQL["renew_leases"], row | {"lease_expires_at": time.time() + self._lease})
            found = connection.execute(SQL["standing_of_turns"], row).fetchall()
            known = {turn_id: tuple(rest) for turn_id, *rest in found}
            results: dict[str, SaveResult] = {}
            for save in saves:
                private = self._workers.alone and save.turn_id in self._private
                result = save_one(
                    connection, holder, save, known.get(save.turn_id), self._retention, private=private
                )
                if result.status is not SaveStatus.SAVED or result.stop:
                    results[save.turn_id] = result
            return results

        results = await self._database.write(work)
        self._workers.entered = True
        for save in saves:
            self._unwritten.pop(save.turn_id, None)
            if save.end is not None:
                self._forget_mine(save.turn_id)
        return results

    def _forget_mine(self, turn_id: str) -> None:
        self._unwritten.pop(turn_id, None)
        self._private.discard(turn_id)

    async def release(self, turn_id: str, worker: str) -> bool:
        def work(connection: Connection) -> bool:
            self._begin(connection, [turn_id])
            row = {"turn_id": turn_id, "holder": worker}
            return connection.execute(SQL["release_turn"], row).rowcount == 1

        released = await self._database.write(work)
        self._forget_mine(turn_id)
        return released

    async def held(self, worker: str) -> list[str]:
        if self._lacks("load_held", holder=worker):
            return []
        rows = await self._rows("load_held", holder=worker)
        return [turn_id for (turn_id,) in rows]

    # The turns of all workers.

    def _lacks(self, query: str, **parameters: object) -> bool:
        """Returns whether a query is known to have no result, without a transaction."""
        return self._watch is not None and self._watch.has_row(SQL[query], parameters) is False

    async def _rows(self, query: str, **parameters: object) -> list[tuple[Any, ...]]:
        return await self._database.read(
            lambda connection: connection.execute(SQL[query], parameters).fetchall()
        )

    async def load(self, turn_id: str, after: int) -> Loaded | None:
        await self._workers.be_registered()
        return await self._database.read(lambda connection: load_chunks(connection, turn_id, after))

    async def load_snapshot(self, turn_id: str) -> tuple[int, bytes] | None:
        rows = await self._rows("load_snapshot", turn_id=turn_id)
        return (rows[0][0], rows[0][1]) if rows else None

    async def turns(self, thread: ThreadKey) -> list[TurnRecord]:
        await self._workers.be_registered()
        if self._lacks("find_turn_elsewhere", holder=self._holder()):
            return []
        rows = await self._rows(
            "load_turns_of_thread", thread_id=thread.thread_id, owner=thread.owner, now=time.time()
        )
        return [record_of(row) for row in rows]

    async def standings(self, turn_ids: Sequence[str]) -> dict[str, Standing]:
        def work(connection: Connection) -> dict[str, Standing]:
            row = {"turn_ids": json.dumps(list(turn_ids))}
            found = connection.execute(SQL["standing_of_turns"], row).fetchall()
            standings = dict.fromkeys(turn_ids, Standing.MISSING)
            standings |= {
                turn_id: Standing.ENDED if ended else Standing.CLAIMED if "/" in holder else Standing.RUNNING
                for turn_id, holder, _, _, ended, _ in found
            }
            dead = self._without_worker(connection)
            standings |= {info.id: Standing.DEAD for info, _ in dead if info.id in standings}
            return standings

        return await self._database.read(work)

    async def changes(
        self, cursors: Mapping[str, int], limit: float, on_stop: Callable[[str], None]
    ) -> dict[str, list[Chunk]]:
        until = time.monotonic() + limit
        # What happened before the first look has to be looked for.
        if cursors.keys() - self._followed and self._watch is not None:
            self._watch.doubt()
        self._followed = set(cursors)
        while True:
            if self._watch is None or self._watch.has_changed():
                changes = await self._look(cursors, on_stop)
                if changes:
                    return changes
            remaining = until - time.monotonic()
            if remaining <= 0 or self._woken.is_set():
                self._woken.clear()
                return {}
            with suppress(TimeoutError):
                async with timeout(min(POLL_SECONDS, remaining)):
                    await self._woken.wait()

    async def _look(
        self, cursors: Mapping[str, int], on_stop: Callable[[str], None]
    ) -> dict[str, list[Chunk]]:
        row = {"holder": self._holder()}

        def work(connection: Connection) -> tuple[list[tuple[str]], dict[str, list[Chunk]]]:
            changes: dict[str, list[Chunk]] = {}
            for turn_id, after in cursors.items():
                loaded = load_chunks(connection, turn_id, after)
                if loaded is not None and loaded.chunks:
                    changes[turn_id] = loaded.chunks
            return connection.execute(SQL["load_stops"], row).fetchall(), changes

        try:
            stops, changes = await self._database.read(work)
        except BaseException:
            self._doubt()
            raise
        for (turn_id,) in stops:
            on_stop(turn_id)
        if any(len(chunks) >= PAGE for chunks in changes.values()):
            self._doubt()
        return changes

    def _doubt(self) -> None:
        if self._watch is not None:
            self._watch.doubt()

    async def wake(self) -> None:
        self._woken.set()

    async def request_stop(self, turn_id: str) -> bool:
        await self._workers.be_registered()
        return await self._database.write(
            lambda connection: connection.execute(SQL["stop_turn"], {"turn_id": turn_id}).rowcount == 1
        )

    # Turns whose worker is dead.

    async def claim(self, worker: str, claim: str) -> list[tuple[TurnInfo, bool]]:
        """Takes the turns of dead workers.

        A worker of this machine that is gone is known to be dead at once. Another process of this machine that runs
        keeps its turns for ten minutes beyond their lease, for its event loop may be blocked; any other worker counts
        as dead when its lease has run out. A claim that is not settled can be claimed again likewise.
        """

        def work(connection: Connection) -> list[tuple[TurnInfo, bool]]:
            found = self._without_worker(connection)
            row = self._lease_row() | {"holder": claim}
            connection.executemany(SQL["claim_turn"], [row | {"turn_id": info.id} for info, _ in found])
            return found

        def look(connection: Connection) -> tuple[tuple[list[str], bool, bool], bool]:
            return self._workers.look(connection), bool(self._without_worker(connection))

        workers, dead = await self._database.read(look)
        await self._workers.update(*workers)
        if not dead:
            return []
        return await self._database.write(work)

    def _without_worker(self, connection: Connection) -> list[tuple[TurnInfo, bool]]:
        mine = self._holder()
        now = time.time()
        dead: dict[Worker, bool] = {}
        found: list[tuple[TurnInfo, bool]] = []
        for row in connection.execute(SQL["load_running_turns"]).fetchall():
            stop, holder, place, pid, started, lease_expires_at = row[11:]
            if holder == mine:
                continue
            worker = Worker(place, pid, started)
            if worker not in dead:
                dead[worker] = worker.is_dead()
            if not dead[worker]:
                patience = SILENCE if self._workers.sees(worker) and not worker.is_suspended() else 0.0
                if lease_expires_at + patience > now:
                    continue
            found.append((info_of(row), bool(stop)))
        return found

    async def adopt(self, info: TurnInfo, claim: str, worker: str) -> str | None:
        row = row_of(info) | self._lease_row() | {"claim": claim}
        adopted = await self._database.write(
            lambda connection: connection.execute(SQL["adopt_turn"], row).rowcount == 1
        )
        return "" if adopted else None

    async def settle(self, turn_id: str, claim: str, events: Sequence[bytes]) -> None:
        def work(connection: Connection) -> None:
            asked = {"turn_ids": json.dumps([turn_id])}
            known = connection.execute(SQL["standing_of_turns"], asked).fetchone()
            if known is None or known[1] != claim or known[4]:
                return
            if events:
                first_seq = known[2] + JUMP + 1
                row = {"turn_id": turn_id, "first_seq": first_seq, "last_seq": first_seq + len(events) - 1}
                chunk = {"events": SEPARATOR.join(events), "jumps": 1}
                connection.execute(SQL["save_chunk"], row | chunk)
                connection.execute(SQL["save_progress"], row)
            end_turn(connection, turn_id, EndState.INTERRUPTED, self._retention, resumable=bool(known[5]))

        await self._database.write(work)

    # What is over.

    async def forget_old(self) -> None:
        if self._watch is not None and not self._watch.has_row(SQL["find_old"], old_since()):
            return
        # Where the file is locked, the next sweep tries again.
        with suppress(StoreError):
            for _ in range(FORGET_ROUNDS):
                if not await self._database.write(forget_old, wait=0.0):
                    return

    async def forget_thread(self, thread: ThreadKey) -> None:
        if await self._rows("find_thread", thread_id=thread.thread_id, owner=thread.owner):
            await self._database.write(lambda connection: forget_thread(connection, thread))

    # Idempotency keys.

    async def claim_key(self, owner: str, key: str, claim: KeyClaim) -> KeyClaim | None:
        return await self._database.write(lambda connection: bind_key(connection, owner, key, claim))

    async def find_key(self, owner: str, key: str) -> KeyClaim | None:
        if self._lacks("load_key", owner=owner, key=key):
            return None
        return await self._database.read(lambda connection: load_key(connection, owner, key))

    async def release_key(self, owner: str, key: str, claim: KeyClaim | None) -> None:
        row = {"owner": owner, "key": key, "turn_id": None if claim is None else claim.turn_id}
        await self._database.write(lambda connection: connection.execute(SQL["release_key"], row).rowcount)

    async def ended(self, turn_id: str) -> EndState | None:
        await self._workers.be_registered()
        rows = await self._rows("load_end", turn_id=turn_id, now=time.time())
        return load_end(rows[0][0]) if rows else None

    async def close(self) -> None:
        """Closes the connection that looks for changes; the database stays open, for it may be a store's too."""
        await self._workers.leave()
