"""What running turns have appended, on its way to the server: one round saves the turns of a whole event loop."""

from __future__ import annotations

import logging
import time
from asyncio import AbstractEventLoop, Task, TimerHandle, shield, timeout
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import Final

from chatkit._tasks import end_tasks
from chatkit.errors import ChatKitError, StoreUnavailableError
from chatkit.streams.base import EndState, LogEntry, PortableSource, SnapshotSource, StatePart, TurnInfo
from chatkit.streams.memory import MemoryTurnWriter, Waiters
from chatkit.streams.shared.backend import (
    SEPARATOR,
    Backend,
    Save,
    SaveResult,
    SaveStatus,
    encode_parts,
)

__all__ = ["OutgoingTurn", "Sender"]

DELAY: Final = 0.05
"""Seconds from an event to the round that saves it."""
BATCH: Final = 4096
"""Bytes of a turn that do not wait for that."""
PAUSE: Final = 0.25
"""Seconds of silence after which an event of a turn is saved at once."""
BUFFER: Final = 4 * 1024 * 1024
"""Bytes of a turn that wait for a server that is away, and that are kept of a turn nobody can come back to."""
CROWD: Final = 1024 * 1024
"""Unsaved bytes of a turn at which it had better wait for a round."""
ROUND: Final = 8 * 1024 * 1024
"""Bytes that one round sends."""
FIRST_RETRY: Final = 0.1
LONGEST_RETRY: Final = 1.0

_SAVED: Final = SaveResult(SaveStatus.SAVED, 0, stop=False)

_logger = logging.getLogger("chatkit.streams")


class OutgoingTurn:
    """A running turn, as far as the server does not have it yet.

    Args:
        info: The turn.
        memory: Where the readers of this process read it.
        snapshot: Tells its state.
        on_stop: Asks it to stop.
        window: Bytes of events that the server keeps at least, if readers may come back.

    Attributes:
        held: Events that readers here must not see before it is known whether the turn is still this worker's.
        lost: Another worker has the turn.
        saved_seq: Number of the last event that the server has.
        settled: The server has everything up to the end mark, or wants nothing more.
    """

    def __init__(
        self,
        info: TurnInfo,
        memory: MemoryTurnWriter,
        snapshot: SnapshotSource,
        on_stop: Callable[[], None],
        window: int,
    ) -> None:
        self.info = info
        self.epoch = ""
        self.memory = memory
        self.on_stop = on_stop
        self.events: deque[bytes] = deque()
        self.size = 0
        self.held: deque[bytes] | None = None
        self.saved_seq = 0
        self.queued = False
        self.lost = False
        self.settled = False
        self.end: EndState | None = None
        self.stop_told = False
        self.checked_at = 0.0
        self.appended_at = 0.0
        self.done = Waiters()
        self._snapshot = snapshot
        self._window = window
        self._kept: deque[tuple[int, int]] = deque()
        self._kept_size = 0
        self._rebased = False
        self._recording = True
        self._sent = 0

    @property
    def last_seq(self) -> int:
        """Number of the last event that was appended."""
        return self.memory.last_seq + (len(self.held) if self.held else 0)

    def begin_behind(self, seq: int) -> None:
        """Begins behind the events of another worker, which the first save describes by a snapshot."""
        self.saved_seq = seq
        self._rebased = True

    def append(self, data: bytes) -> None:
        """Takes the turn's next event."""
        if self._recording:
            self.events.append(data)
            self.size += len(data)

    def next_save(self, *, failing: bool) -> Save:
        """Returns what the next round has to save."""
        if self.size > BUFFER and failing:
            self._shorten()
        events = list(self.events)
        self._sent = len(events)
        first, last = self.saved_seq + 1, self.saved_seq + len(events)
        snapshot_seq, snapshot, keep_from = 0, b"", 0
        if self._rebased or (self.info.resumable and self._kept_size + self.size > 1.5 * self._window):
            # Held events are part of the state already, so the snapshot covers them.
            snapshot_seq, snapshot = self._state()
            keep_from = self._first_to_keep() if snapshot_seq else 0
        return Save(
            self.info.id,
            first,
            last,
            SEPARATOR.join(events),
            snapshot_seq,
            snapshot,
            keep_from,
            self.end,
            not self.info.resumable,
        )

    def apply(self, save: Save, result: SaveResult) -> bool:
        """Takes note of what became of a save; tells whether there is more to do."""
        if result.status is SaveStatus.SAVED:
            for _ in range(self._sent):
                self.size -= len(self.events.popleft())
            self.saved_seq = save.last_seq
            self._rebased = self._rebased and not save.snapshot_seq
            if save.events:
                self._kept.append((save.last_seq, len(save.events)))
                self._kept_size += len(save.events)
            while self._kept and self._kept[0][0] < save.keep_from:
                self._kept_size -= self._kept.popleft()[1]
            if not self.info.resumable and self._kept_size > BUFFER:
                self._recording = False
            if save.end is not None:
                self.settled = True
            return bool(self.events) or (self.end is not None and not self.settled)
        if result.status is SaveStatus.GAP:
            self._go_back_to(result.last_seq)
        return True

    def begin_again(self) -> None:
        """Prepares to send everything that is left of the turn to a server that lost it."""
        self._go_back_to(0)

    def _go_back_to(self, saved_seq: int) -> None:
        """Makes everything unsaved that the server does not have."""
        self._kept.clear()
        self._kept_size = 0
        entries: list[LogEntry] = list(self.memory.turn.entries)
        entries = [entry for entry in entries if entry.seq > saved_seq]
        held = list(self.held or ())
        if self.info.resumable:
            self.events = deque([*(entry.data for entry in entries), *held])
            self.saved_seq = self.last_seq - len(self.events)
            self._rebased = self.saved_seq > saved_seq
        elif self.saved_seq != saved_seq:
            # What the only reader has read is gone; the server keeps a beginning without gaps.
            self.events.clear()
            self._recording = False
            self.saved_seq = saved_seq
        self.size = sum(map(len, self.events))

    def _shorten(self) -> None:
        """Drops what a server that is away for long can do without."""
        if self.info.resumable:
            kept = deque(self.events)
            while self.size > self._window:
                self.size -= len(kept.popleft())
                self.saved_seq += 1
            self.events = kept
            self._rebased = True
        else:
            self.events.clear()
            self.size = 0
            self._recording = False

    def _first_to_keep(self) -> int:
        room = self._window - self.size
        for last_seq, size in reversed(self._kept):
            room -= size
            if room < 0:
                return last_seq + 1
        return 0

    def _state(self) -> tuple[int, bytes]:
        try:
            if isinstance(self._snapshot, PortableSource):
                parts = self._snapshot.parts()
            else:
                parts = [StatePart(0, self.last_seq, b"", b"", event) for event in self._snapshot(0)]
        except Exception:
            # One turn must not keep the others from being saved.
            _logger.exception(
                "The state of turn %s cannot be told, so that nothing of it is dropped", self.info.id
            )
            return 0, b""
        return self.last_seq, encode_parts(parts)


class Sender:
    """Saves the turns of one event loop, renews the lease and learns what others did.

    Args:
        loop: The event loop.
        backend: The server.
        holder: Names this worker.
        lease: Seconds for which turns are this worker's without renewal.
        on_lost: Called with a turn that another worker has taken over.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        backend: Backend,
        holder: Callable[[], str],
        lease: float,
        on_lost: Callable[[OutgoingTurn], None],
    ) -> None:
        self.turns: dict[str, OutgoingTurn] = {}
        self.failing = False
        self._loop = loop
        self._backend = backend
        self._holder = holder
        self._lease = lease
        self._on_lost = on_lost
        self._dirty: dict[str, OutgoingTurn] = {}
        self._handle: TimerHandle | None = None
        self._heart: TimerHandle | None = None
        self._due = 0.0
        self._task: Task[None] | None = None
        self._renewed_at = 0.0
        self._retry = FIRST_RETRY
        self._alive_at = time.monotonic()
        self._frozen = False
        self._closed = False
        self._warned = False

    def add(self, turn: OutgoingTurn) -> None:
        """Takes a turn on that the server knows."""
        self._closed = False
        self.turns[turn.info.id] = turn
        if self._heart is None:
            self._alive_at = self._renewed_at = time.monotonic()
            self._heart = self._loop.call_later(self._lease / 3, self._beat, context=Context())

    def queue(self, turn: OutgoingTurn) -> None:
        """Sees to it that what a turn has appended is saved in time."""
        now = self._loop.time()
        if not turn.queued:
            turn.queued = True
            self._dirty[turn.info.id] = turn
            self._schedule(0.0 if now - turn.appended_at > PAUSE else DELAY)
            turn.appended_at = now
        elif turn.size > BATCH:
            self._schedule(0.0)

    def check_frozen(self) -> bool:
        """Tells whether the process stood still for so long that its turns may be others' by now.

        What its turns append then is held back until the server has said whose they are.
        """
        if not self._frozen and time.monotonic() - self._alive_at > self._lease:
            self._freeze()
        return self._frozen

    def _freeze(self) -> None:
        self._frozen = True
        for turn in self.turns.values():
            if turn.held is None and not turn.lost:
                turn.held = deque()
        self._renewed_at = 0.0
        self._schedule(0.0)

    async def flush(self, turn: OutgoingTurn) -> None:
        """Waits until the server has what the turn appended so far, or cannot be reached."""
        seq, ends = turn.last_seq, turn.end is not None
        while (
            not turn.lost
            and not turn.settled
            and (turn.saved_seq < seq or ends)
            and turn.info.id in self.turns
        ):
            if not turn.events and not ends:
                return
            turn.queued = True
            self._dirty[turn.info.id] = turn
            await shield(self._task or self._start())
            if self.failing:
                return

    async def ask(self, turn: OutgoingTurn) -> None:
        """Finds out whether another worker has the turn, unless the server cannot be reached."""
        fresh = False
        while turn.info.id in self.turns and not fresh:
            turn.queued = True
            self._dirty[turn.info.id] = turn
            fresh = self._task is None
            await shield(self._task or self._start())
            fresh = fresh or self.failing

    async def release(self, turn: OutgoingTurn) -> bool:
        """Leaves a turn to other workers; tells whether it was still this one's, and the server could be told."""
        try:
            released = await self._backend.release(turn.info.id, self._holder())
        except ChatKitError as error:
            _logger.warning("Turn %s cannot be left to another worker: %s", turn.info.id, error)
            return False
        if released:
            turn.settled = True
            self._forget(turn)
        return released

    async def close(self, patience: float) -> None:
        """Ends all work; what the server could not be given by then stays unsaved."""
        try:
            for turn in list(self.turns.values()):
                if turn.end is not None:
                    with suppress(TimeoutError):
                        async with timeout(patience):
                            await self._until_settled(turn)
        finally:
            self._closed = True
            self._cancel_timers()
            if self._task is not None:
                await end_tasks({self._task})

    async def _until_settled(self, turn: OutgoingTurn) -> None:
        while turn.info.id in self.turns:
            await turn.done.wait_unless(lambda: turn.info.id not in self.turns)

    def _cancel_timers(self) -> None:
        for handle in (self._handle, self._heart):
            if handle is not None:
                handle.cancel()
        self._handle = self._heart = None

    def _beat(self) -> None:
        """Renews the lease, and notices when the process stood still: this timer is never late otherwise."""
        self._heart = None
        self.check_frozen()
        self._alive_at = time.monotonic()
        if self.turns and not self._closed:
            self._heart = self._loop.call_later(self._lease / 3, self._beat, context=Context())
            if not self.failing:
                self._schedule(0.0)

    def _schedule(self, delay: float) -> None:
        if self._closed:
            return
        due = self._loop.time() + (max(delay, self._retry) if self.failing else delay)
        if self._handle is not None:
            if self._due <= due:
                return
            self._handle.cancel()
        self._due = due
        # In a context of its own: the round is no part of the turn that happened to append first.
        self._handle = self._loop.call_at(due, self._fire, context=Context())

    def _fire(self) -> None:
        self._handle = None
        if self._task is None:
            self._start()

    def _start(self) -> Task[None]:
        self._task = self._loop.create_task(self._round(), context=Context())
        return self._task

    async def _round(self) -> None:
        try:
            await self._send()
        except ChatKitError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 -- whatever happens to a round, the turns go on
            self._fail(StoreUnavailableError(f"Saving the streams of turns failed: {error!r}."))
        else:
            self.failing = self._warned = False
            self._retry = FIRST_RETRY
        finally:
            self._task = None
        self._plan_next()

    def _plan_next(self) -> None:
        if self.failing:
            self._schedule(self._retry)
        elif self._frozen:
            self._schedule(0.0)
        elif self._dirty:
            large = any(turn.size > BATCH or turn.end for turn in self._dirty.values())
            self._schedule(0.0 if large else DELAY)
        elif not self.turns:
            self._cancel_timers()

    def _fail(self, error: ChatKitError) -> None:
        if self.failing:
            self._retry = min(2 * self._retry, LONGEST_RETRY)
        self.failing = True
        for turn in self.turns.values():
            if turn.events or turn.end:
                turn.queued = True
                self._dirty[turn.info.id] = turn
        if not self._warned:
            self._warned = True
            _logger.warning(
                "What %d running turns append cannot be shared with other workers: %s It is kept in memory and tried "
                "again; if this process dies before it succeeds, that is lost.",
                len(self.turns),
                error,
            )

    async def _send(self) -> None:
        now = time.monotonic()
        renew = now - self._renewed_at >= self._lease / 3 - DELAY
        saves: list[Save] = []
        size = 0
        frozen = self._frozen
        chosen = list(self.turns.values()) if renew else list(self._dirty.values())
        for turn in chosen:
            if size > ROUND:
                break
            self._dirty.pop(turn.info.id, None)
            turn.queued = False
            save = turn.next_save(failing=self.failing)
            size += len(save.events) + len(save.snapshot)
            saves.append(save)
        if not saves:
            return
        results = await self._backend.save(self._holder(), saves, renew=renew)
        silence = now - self._renewed_at
        if renew:
            self._renewed_at = now
        for save in saves:
            turn = self.turns.get(save.turn_id)
            if turn is not None:
                await self._apply(turn, save, results.get(save.turn_id) or _SAVED, silence)
        if frozen:
            self._release_held()

    async def _ended_elsewhere(self, turn: OutgoingTurn, silence: float) -> bool:
        """Tells why a server that has its other data does not know a turn.

        Another worker may have ended it, so long ago that it was forgotten; or the server went back to a state before
        the turn began: a crash, or a failover, took what it had not saved so far.
        """
        if turn.info.resumable:
            return await self._backend.ended(turn.info.id) is not None
        return silence > self._lease

    async def _apply(self, turn: OutgoingTurn, save: Save, result: SaveResult, silence: float) -> None:
        if result.status is SaveStatus.MISSING:
            if self._frozen or (result.epoch == turn.epoch and await self._ended_elsewhere(turn, silence)):
                self._lose(turn)
                return
            _logger.warning("The server has lost turn %s, which is written to it again", turn.info.id)
            turn.epoch = await self._backend.open_turn(turn.info, self._holder(), again=True)
            turn.begin_again()
            more = True
        elif result.status is SaveStatus.LOST:
            self._lose(turn)
            return
        else:
            more = turn.apply(save, result)
        if turn.settled:
            self._forget(turn)
        elif more:
            turn.queued = True
            self._dirty[turn.info.id] = turn
        if result.stop and not turn.stop_told:
            turn.stop_told = True
            turn.on_stop()

    def _lose(self, turn: OutgoingTurn) -> None:
        _logger.warning("Turn %s was taken over by another worker and stops here", turn.info.id)
        turn.lost = True
        turn.held = None
        turn.events.clear()
        turn.size = 0
        self._forget(turn)
        self._on_lost(turn)
        turn.on_stop()

    def _forget(self, turn: OutgoingTurn) -> None:
        self.turns.pop(turn.info.id, None)
        self._dirty.pop(turn.info.id, None)
        turn.done.wake()

    def _release_held(self) -> None:
        self._frozen = False
        for turn in self.turns.values():
            held, turn.held = turn.held, None
            for data in held or ():
                turn.memory.append(data)
