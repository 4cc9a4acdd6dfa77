"""Batches and leases: one round saves what the turns of an event loop have appended."""

from __future__ import annotations

import logging
import time
from asyncio import AbstractEventLoop, Task, TimerHandle, shield, timeout
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import Final

from chatkit._observers import ObservedTurn, working
from chatkit._outages import Outage, log_failure
from chatkit._tasks import end_tasks
from chatkit.errors import ChatKitError
from chatkit.streams.backend import Backend, Save, SaveResult, SaveStatus
from chatkit.streams.outgoing import BATCH, OutgoingTurn
from chatkit.streams.window import wait_unless, wake

__all__ = ["Sender"]

DELAY: Final = 0.05
"""Seconds from an event to the round that saves it."""
LONELY_DELAY: Final = 0.15
"""The same where no other worker is there to read it; with a busy event loop and the write itself still below 0.25."""
PAUSE: Final = 0.25
"""Seconds of silence after which an event of a turn is saved at once."""
ROUND: Final = 8 * 1024 * 1024
"""Bytes that one round sends."""
FIRST_RETRY: Final = 0.1
LONGEST_RETRY: Final = 1.0

_SAVED: Final = SaveResult(SaveStatus.SAVED, 0, stop=False)

_logger = logging.getLogger("chatkit.streams")


class Sender:
    """Saves the turns of one event loop, renews the lease and learns what others did.

    Attributes:
        frozen_from: Moment from which ``check_frozen`` has to be asked before an event is shown.

    Args:
        loop: The event loop.
        backend: The server.
        holder: Names this worker.
        lease: Seconds for which turns are this worker's without renewal.
        on_lost: Called with the id of a turn that another worker has taken over.
        on_round: Called after each round.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        backend: Backend,
        holder: Callable[[], str],
        lease: float,
        on_lost: Callable[[str], None],
        on_round: Callable[[], None],
    ) -> None:
        self.turns: dict[str, OutgoingTurn] = {}
        self.failing = False
        self._loop = loop
        self._backend = backend
        self._name = type(backend).__name__.removesuffix("Backend").lower()
        self._holder = holder
        self._lease = lease
        self._on_lost = on_lost
        self._on_round = on_round
        self._dirty: dict[str, OutgoingTurn] = {}
        self._handle: TimerHandle | None = None
        self._heart: TimerHandle | None = None
        self._due = 0.0
        self._task: Task[None] | None = None
        self._renewed_at = 0.0
        self._retry = FIRST_RETRY
        self.frozen_from = 0.0
        self._frozen = False
        self._closed = False
        self._rewritten = 0
        self._outage = Outage(
            "What running turns append",
            "What running turns append is shared with other workers again.",
            _logger,
        )

    def add(self, turn: OutgoingTurn) -> None:
        """Takes a turn on that the server knows."""
        self._closed = False
        self.turns[turn.info.id] = turn
        self._dirty.pop(turn.info.id, None)
        if self._heart is None:
            self._renewed_at = time.monotonic()
            self.frozen_from = self._renewed_at + self._lease
            self._heart = self._loop.call_later(self._lease / 3, self._beat, context=Context())

    def queue(self, turn: OutgoingTurn) -> None:
        """Sees to it that what a turn has appended is saved in time."""
        if not turn.queued:
            now = self._loop.time()
            turn.queued = True
            self._dirty[turn.info.id] = turn
            silent = now - turn.appended_at > PAUSE
            self._schedule(LONELY_DELAY if not self._backend.watched else 0.0 if silent else DELAY)
            turn.appended_at = now
        elif self.failing:
            turn.limit_unsaved()
        elif self._backend.watched:
            self._schedule(0.0)

    def check_frozen(self) -> bool:
        """Returns whether the process stood still for so long that its turns may be others' by now.

        What its turns append then is held back until the server has said whose they are.
        """
        if not self._frozen and time.monotonic() > self.frozen_from:
            self._freeze()
        return self._frozen

    def _freeze(self) -> None:
        self._frozen = True
        self.frozen_from = 0.0
        for turn in self.turns.values():
            if not turn.taken:
                turn.memory.hold()
        self._renewed_at = 0.0
        self._schedule(0.0)

    async def flush(self, turn: OutgoingTurn) -> None:
        """Waits until the server has what the turn appended so far, or cannot be reached."""
        seq, ends = turn.last_seq, turn.end is not None
        while (
            not turn.taken
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
        """Leaves a turn to other workers; returns whether it was still this one's, and the server could be asked."""
        try:
            released = await self._backend.release(turn.info.id, self._holder())
        except ChatKitError as error:
            log_failure(_logger, f"Turn {turn.info.id} cannot be left to another worker", error, brief=True)
            return False
        if released:
            turn.settled = True
            self._forget(turn)
        return released

    async def close(self, patience: float) -> None:
        """Ends all work; what the server could not be given by then stays unsaved."""
        try:
            with suppress(TimeoutError):
                async with timeout(patience):
                    for turn in [turn for turn in self.turns.values() if turn.end is not None]:
                        if not self._backend.comes_back:
                            await self.flush(turn)
                            if self.failing:
                                break
                            continue
                        while turn.info.id in self.turns:
                            await wait_unless(lambda turn=turn: turn.info.id not in self.turns, turn.done)
        finally:
            self._closed = True
            self._cancel_timers()
            if self._task is not None:
                await end_tasks({self._task})

    def _cancel_timers(self) -> None:
        for handle in (self._handle, self._heart):
            if handle is not None:
                handle.cancel()
        self._handle = self._heart = None

    def _beat(self) -> None:
        """Renews the lease, and notices when the process stood still: this timer is never late otherwise."""
        self._heart = None
        self.check_frozen()
        if not self._frozen:
            self.frozen_from = time.monotonic() + self._lease
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
        except Exception as error:  # noqa: BLE001 -- whatever happens to a round, the turns go on
            self._fail(error)
        else:
            if self.failing:
                self._outage.recovered()
            self.failing = False
            self._retry = FIRST_RETRY
        finally:
            self._task = None
        self._plan_next()

    def _plan_next(self) -> None:
        self._on_round()
        if self.failing:
            self._schedule(self._retry)
        elif self._frozen:
            self._schedule(0.0)
        elif self._dirty:
            watched = self._backend.watched
            large = any((watched and turn.size > BATCH) or turn.end for turn in self._dirty.values())
            self._schedule(0.0 if large else DELAY if watched else LONELY_DELAY)
        elif not self.turns:
            self._cancel_timers()

    def _fail(self, error: Exception) -> None:
        if self.failing:
            self._retry = min(2 * self._retry, LONGEST_RETRY)
        self.failing = True
        for turn in self.turns.values():
            if turn.events or turn.end:
                turn.queued = True
                self._dirty[turn.info.id] = turn
        self._outage.failed(
            error,
            f"What {len(self.turns)} running turns append cannot be shared with other workers. It is kept in memory "
            "and tried again; if this process dies before it succeeds, that is lost",
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
        with working(lambda observer: observer.saving(self._name, self._observed(saves))):
            results = await self._backend.save(self._holder(), saves, renew=renew)
        silence = now - self._renewed_at
        if renew:
            self._renewed_at = now
        for save in saves:
            turn = self.turns.get(save.turn_id)
            if turn is not None:
                await self._apply(turn, save, results.get(save.turn_id) or _SAVED, silence)
        if self._rewritten:
            _logger.warning("The server has lost %d turns, which are written to it again", self._rewritten)
            self._rewritten = 0
        if frozen:
            self._release_held()

    def _observed(self, saves: list[Save]) -> list[ObservedTurn]:
        infos = [self.turns[save.turn_id].info for save in saves if save.turn_id in self.turns]
        return [ObservedTurn(info.id, info.thread_id, info.attempt, info.trace) for info in infos]

    async def _ended_elsewhere(self, turn: OutgoingTurn, silence: float) -> bool:
        """Returns whether another worker ended a turn that a server with its other data does not know.

        Another worker may have ended it, so long ago that it was forgotten, or forgotten it with its thread; or the
        server went back to a state before the turn began: a crash, or a failover, took what it had not saved so far.
        """
        if await self._backend.ended(turn.info.id) is not None:
            return True
        return not turn.info.resumable and silence > self._lease

    async def _apply(self, turn: OutgoingTurn, save: Save, result: SaveResult, silence: float) -> None:
        if result.status is SaveStatus.MISSING:
            if self._frozen or (result.epoch == turn.epoch and await self._ended_elsewhere(turn, silence)):
                self._lose(turn)
                return
            self._rewritten += 1
            turn.epoch = await self._backend.open_turn(turn.info, self._holder(), again=True) or ""
            turn.begin_again()
            more = True
        elif result.status is SaveStatus.LOST:
            turn.ends_elsewhere = True
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
        turn.taken = True
        turn.memory.held = None
        turn.events.clear()
        turn.size = 0
        self._forget(turn)
        if turn.ends_elsewhere or turn.memory.end is None:
            self._on_lost(turn.info.id)
        turn.on_stop()

    def _forget(self, turn: OutgoingTurn) -> None:
        self.turns.pop(turn.info.id, None)
        self._dirty.pop(turn.info.id, None)
        wake(turn.done)

    def _release_held(self) -> None:
        self._frozen = False
        self.frozen_from = time.monotonic() + self._lease
        for turn in self.turns.values():
            turn.memory.release()
