"""Checkpoints: what running turns have appended, written to a database a moment later.

One transaction saves the turns of all event loops of the process and renews their leases. Everything that a
transaction does may be done again: events leave the memory only when they are known to be on disk, so a save that is
cut off (its event loop ends, its task is cancelled) costs nothing but the repetition.
"""

from __future__ import annotations

import json
import logging
import os
import time
from asyncio import AbstractEventLoop, get_running_loop
from collections import deque
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

from chatkit._sql import load_queries
from chatkit._sqlite import Database
from chatkit.ids import new_id
from chatkit.streams.base import TurnInfo
from chatkit.streams.ticker import RENEWAL, Ticker
from chatkit.streams.worker import Worker

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["LEASE", "QUERIES", "SEPARATOR", "Checkpoints", "UnsavedTurn"]

QUERIES: Final = load_queries(Path(__file__).parent / "queries" / "sqlite.sql")
SEPARATOR: Final = b"\x1e"
"""Stands between the events of a chunk: the one byte that RFC 7464 sets apart because no JSON text holds it."""
LEASE: Final = 10.0
"""Seconds for which a turn is its worker's without renewal."""

_CROWD: Final = 1024 * 1024
"""Unsaved bytes of a turn at which it had better wait for a save."""
_BUFFER: Final = 4 * 1024 * 1024
"""Bytes of a turn that wait for a database that cannot be written."""

_LOST: Final = (
    "Turn %s was claimed by another worker, for its lease was not renewed in time. Its checkpoints end here."
)
_logger = logging.getLogger("chatkit.streams")


class UnsavedTurn:
    """The events of a running turn that are not known to be on disk.

    Attributes:
        info: The turn.
        failing: Whether the last save failed.
        stopped: Whether the turn's checkpoints have ended before it: another worker has claimed it, or the database
            could not be written for so long that the buffer is full. What is on disk stays a gapless beginning.
    """

    __slots__ = (
        "_appended",
        "_dropped",
        "events",
        "failing",
        "info",
        "recorded",
        "saved_seq",
        "stopped",
        "ticker",
        "touched",
        "warned",
    )

    def __init__(self, info: TurnInfo, ticker: Ticker) -> None:
        self.info = info
        self.ticker = ticker
        self.events: deque[bytes] = deque()
        self.saved_seq = 0
        self.recorded = False
        self.touched = False
        self.stopped = False
        self.failing = False
        self.warned = False
        self._appended = 0
        self._dropped = 0

    def append(self, data: bytes) -> None:
        """Takes the turn's next event."""
        if self.stopped:
            return
        self.events.append(data)
        self._appended += len(data)
        if self.failing and self._appended - self._dropped > _BUFFER:
            self.stopped = True
        if not self.ticker.due:
            self.ticker.soon()

    @property
    def crowded(self) -> bool:
        """Whether the turn had better wait for a save; a database that cannot be written keeps no turn waiting."""
        return self._appended - self._dropped > _CROWD and not (self.failing or self.stopped)

    def forget_saved(self, seq: int) -> None:
        """Drops the events up to a number."""
        while self.saved_seq < seq and self.events:
            self._dropped += len(self.events.popleft())
            self.saved_seq += 1


class _Saved(NamedTuple):
    turns: list[tuple[UnsavedTurn, int]]
    held: set[str]
    deleted: list[str]


class Checkpoints:
    """Saves the running turns of a process.

    Args:
        database: Where to; its schema has the tables of a stream log.
        worker: Returns the process that runs the turns.
        lease: Seconds for which a turn is its worker's without renewal.

    Attributes:
        worker: Returns the process that runs the turns.
    """

    def __init__(self, database: Database, worker: Callable[[], Worker], lease: float) -> None:
        self._database = database
        self.worker = worker
        self._lease = lease
        self._token = new_id("log")
        # Guards what both the database's thread and event loops change; never held while either works.
        self._lock = Lock()
        self._turns: dict[str, UnsavedTurn] = {}
        self._doomed: set[str] = set()
        self._tickers: dict[AbstractEventLoop, Ticker] = {}
        self._saved_at = 0.0

    def begin(self, info: TurnInfo, *, saved_seq: int | None = None) -> UnsavedTurn:
        """Registers a turn that runs in the calling event loop; its row is written with its first events.

        Args:
            info: The turn.
            saved_seq: Number of the last event on disk of a turn whose row is there already.
        """
        loop = get_running_loop()
        with self._lock:
            self._forget_closed_loops()
            ticker = self._tickers.get(loop)
            if ticker is None:
                ticker = self._tickers[loop] = Ticker(loop, self._save_if_needed)
            ticker.turns += 1
            turn = self._turns[info.id] = UnsavedTurn(info, ticker)
            turn.saved_seq = saved_seq or 0
            turn.recorded = turn.touched = saved_seq is not None
        if not ticker.due:
            ticker.soon()
        return turn

    async def end(self, turn: UnsavedTurn) -> None:
        """Forgets a turn, in memory and on disk."""
        ticker = turn.ticker
        with self._lock:
            self._turns.pop(turn.info.id, None)
            if turn.touched:
                self._doomed.add(turn.info.id)
            if ticker.turns == 1:
                self._tickers.pop(ticker.loop, None)
        turn.stopped = True
        turn.events.clear()
        await ticker.release()
        if turn.touched:
            await self.delete_ended()

    async def delete_ended(self) -> None:
        """Deletes what is still on disk of turns that have ended."""
        if self._doomed:
            await self._run(self._delete_doomed)

    def running(self) -> set[str]:
        """Returns the ids of the turns that this process runs, or has ended and could not delete yet."""
        with self._lock:
            self._forget_closed_loops()
            return self._turns.keys() | self._doomed

    async def save(self) -> bool:
        """Saves everything that was appended; tells whether that worked."""
        return await self._run(self._write)

    def lease_row(self) -> dict[str, object]:
        """Returns the columns that make a turn this log's own from now on."""
        worker = self.worker()
        return {
            # A forked child goes on with a copy of this object.
            "holder": f"{self._token}.{os.getpid()}",
            "place": worker.place,
            "pid": worker.pid,
            "process_start": worker.started,
            "lease_expires_at": time.time() + self._lease,
        }

    async def _save_if_needed(self) -> bool:
        with self._lock:
            unsaved = any(turn.events or not turn.recorded for turn in self._turns.values())
        # Another event loop's save may have covered this one's turns.
        if not unsaved and not self._doomed and time.monotonic() - self._saved_at < RENEWAL / 2:
            return True
        return await self.save()

    async def _run(self, work: Callable[[Connection], _Saved]) -> bool:
        try:
            saved = await self._database.write(work)
        except Exception as error:  # noqa: BLE001 -- whatever happens to a checkpoint, the turn goes on without it
            self._warn(error)
            return False
        self._saved_at = time.monotonic()
        with self._lock:
            self._doomed.difference_update(saved.deleted)
            for turn, seq in saved.turns:
                turn.recorded = True
                turn.failing = False
                if turn.info.id in saved.held:
                    turn.forget_saved(seq)
                elif not turn.stopped:
                    turn.stopped = True
                    turn.events.clear()
                    _logger.warning(_LOST, turn.info.id)
        return True

    def _write(self, connection: Connection) -> _Saved:
        with self._lock:
            self._forget_closed_loops()
            deleted = list(self._doomed)
            turns = list(self._turns.values())
            unsaved = [(turn, turn.saved_seq, list(turn.events)) for turn in turns]
            for turn in turns:
                # From now on the end of the turn has something to delete.
                turn.touched = True
        row = self.lease_row()
        _delete(connection, deleted, row)
        connection.executemany(
            QUERIES["begin_turn"], [_turn_row(turn.info) | row for turn in turns if not turn.recorded]
        )
        # Exhausted at once: a statement that is under way would keep the transaction open.
        living = {"turn_ids": json.dumps([turn.info.id for turn in turns])}
        held = {found[0] for found in connection.execute(QUERIES["renew_leases"], row | living).fetchall()}
        connection.executemany(
            QUERIES["save_chunk"],
            [
                {"turn_id": turn.info.id, "first_seq": saved_seq + 1, "events": SEPARATOR.join(events)}
                for turn, saved_seq, events in unsaved
                if events and turn.info.id in held
            ],
        )
        return _Saved([(turn, saved_seq + len(events)) for turn, saved_seq, events in unsaved], held, deleted)

    def _delete_doomed(self, connection: Connection) -> _Saved:
        with self._lock:
            deleted = list(self._doomed)
        _delete(connection, deleted, self.lease_row())
        return _Saved([], set(), deleted)

    def _warn(self, error: Exception) -> None:
        with self._lock:
            turns = [turn for turn in self._turns.values() if not turn.warned]
            for turn in self._turns.values():
                turn.failing = turn.warned = True
        for turn in turns:
            _logger.warning(
                "The checkpoints of turn %s cannot be written: %s The turn goes on; if this process dies before "
                "they can, its unsaved text is lost.",
                turn.info.id,
                error,
            )

    def _forget_closed_loops(self) -> None:
        # A turn whose loop was closed under it has ended without saying so; its lease runs out.
        for loop in [loop for loop in self._tickers if loop.is_closed()]:
            del self._tickers[loop]
        for turn in [turn for turn in self._turns.values() if turn.ticker.loop.is_closed()]:
            del self._turns[turn.info.id]


def _turn_row(info: TurnInfo) -> dict[str, object]:
    return {
        "turn_id": info.id,
        "thread_id": info.thread_id,
        "owner": info.owner,
        "resumable": info.resumable,
        "user_item_id": info.user_item_id,
        "started_at": info.started_at.isoformat(),
        "context": info.context,
        "attempt": info.attempt,
    }


def _delete(connection: Connection, turn_ids: list[str], row: dict[str, object]) -> None:
    rows = [{"turn_id": turn_id, "holder": row["holder"]} for turn_id in turn_ids]
    connection.executemany(QUERIES["delete_turn"], rows)
    connection.executemany(QUERIES["delete_chunks"], rows)
