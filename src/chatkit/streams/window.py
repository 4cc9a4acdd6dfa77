"""A turn in memory: a window of its events, its writer and its readers.

Nothing here is bound to an event loop for longer than one wait, so that a server may be used from several loops in
turn, as test clients do.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

from chatkit.streams.records import (
    EndState,
    KeptSource,
    LogEntry,
    SnapshotSource,
    TurnInfo,
    TurnReader,
    TurnWriter,
    state_entries,
)

if TYPE_CHECKING:
    from chatkit.streams.local import LocalTurns

__all__ = [
    "KEY_RETENTION",
    "LAG_LIMIT",
    "LEAST_WINDOW",
    "RETENTION",
    "WINDOW",
    "Waiters",
    "WindowReader",
    "WindowTurn",
    "wait_unless",
    "wake",
]

LAG_LIMIT: Final = 256 * 1024
"""Bytes that the only reader of a turn may lag behind before the turn waits for it."""
WINDOW: Final = 1024 * 1024
"""Bytes of events that are kept of a turn whose readers may come back."""
RETENTION: Final = 120.0
"""Seconds for which an ended turn is kept for readers that come back."""
KEY_RETENTION: Final = 24 * 3600.0
LEAST_WINDOW: Final = 64 * 1024
"""Bytes of events of a running turn that are kept for the readers that follow it, whatever the limits are."""
STEP: Final = 16 * 1024
"""Bytes by which a running turn may grow before they are counted."""

Waiters: TypeAlias = list[asyncio.Future[None]]
"""Futures of the tasks that wait for something to happen, each in its own event loop."""


async def wait_unless(happened: Callable[[], bool], waiters: Waiters) -> None:
    """Waits for the next ``wake`` of the waiters, unless it has happened already.

    Args:
        happened: Returns whether it has.
        waiters: What ``wake`` is called with.
    """
    future = asyncio.get_running_loop().create_future()
    waiters.append(future)
    try:
        # Asked once more after the registration: another thread's wake may have come just before it.
        if not happened():
            await future
    finally:
        if future in waiters:
            waiters.remove(future)


def wake(waiters: Waiters) -> None:
    """Ends every wait, from any thread."""
    try:
        here = asyncio.get_running_loop()
    except RuntimeError:
        # A turn is collected whose loop was closed.
        here = None
    while waiters:
        future = waiters.pop()
        loop = future.get_loop()
        if loop is here:
            _resolve(future)
        elif not loop.is_closed():
            loop.call_soon_threadsafe(_resolve, future)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class WindowTurn(TurnWriter):
    """A turn in memory, which its writer appends to.

    Args:
        info: The turn.
        snapshot: Asked for the state when a reader's cursor is older than the window.
        on_stop: Asks the turn to stop.
        turns: The turns of this process.
        last_seq: Number after which its events begin.

    Attributes:
        entries: The kept events, which end with the one numbered ``last_seq``.
        size: Their bytes.
        held: Events after them that are not shown here before it is known whose the turn is; None while it is known.
        counted: Bytes that ``turns`` has counted as kept.
        uncounted: Bytes that were appended since.
        detached: No reader will come any more.
        moved: Another worker goes on with the turn.
        forgotten: Nothing of it is kept once it has ended, for its thread was deleted.
        news: Waits for events, and for the end.
        drained: Waits for the reader to catch up.
        closed: Waits for the end.
    """

    last_seq: int = 0

    def __init__(
        self,
        info: TurnInfo,
        snapshot: SnapshotSource,
        on_stop: Callable[[], None],
        turns: LocalTurns,
        last_seq: int,
    ) -> None:
        self.info = info
        self.resumable = info.resumable
        self.snapshot = snapshot
        self.on_stop = on_stop
        self.last_seq = last_seq
        self.entries: deque[LogEntry] = deque()
        self.size = 0
        self.held: deque[bytes] | None = None
        self.counted = 0
        self.uncounted = 0
        self.detached = False
        self.moved = False
        self.forgotten = False
        self.end: EndState | None = None
        self.ended_at = 0.0
        self.news: Waiters = []
        self.drained: Waiters = []
        self.closed: Waiters = []
        self._turns = turns
        self._window = turns.window
        self._state = snapshot if isinstance(snapshot, KeptSource) else None

    def append(self, data: bytes) -> int:
        seq = self.last_seq = self.last_seq + 1  # pyright: ignore[reportIncompatibleMethodOverride] -- read only there
        if not self.detached:
            size = len(data)
            self.entries.append(LogEntry(seq, data))
            self.size += size
            if self.resumable:
                while self.size > self._window and len(self.entries) > 1:
                    self._drop_oldest()
                self.uncounted += size
                if self.uncounted > STEP:
                    self._turns.count(self)
        if self.news:
            wake(self.news)
        return seq

    def hold(self) -> None:
        """Has what is appended from now on held back."""
        if self.held is None:
            self.held = deque()

    def release(self) -> None:
        """Shows what was held back."""
        held, self.held = self.held, None
        for data in held or ():
            self.append(data)

    @property
    def congested(self) -> bool:
        return self.size > self._turns.lag_limit and not self.resumable

    async def drain(self) -> None:
        while self.congested:
            await wait_unless(lambda: not self.congested, self.drained)

    async def flush(self) -> None:
        return None

    def detach(self) -> None:
        if not self.resumable:
            self.detached = True
            self.drop_all()

    async def close(self, end: EndState) -> None:
        if self.end is not None:
            return
        self.end = end
        self.ended_at = time.monotonic()
        wake(self.news)
        wake(self.closed)
        if not self.moved:
            self._turns.end(self)

    async def wait_closed(self) -> None:
        """Waits for the end of the turn, or until another worker goes on with it."""
        while self.end is None and not self.moved:
            await wait_unless(lambda: self.end is not None or self.moved, self.closed)

    @property
    def kept(self) -> int:
        """Bytes that are kept for readers that come back."""
        return self.size if self._state is None else self.size + self._state.size

    def seal(self) -> None:
        """Lets go of the turn's own objects, and of an event that is larger than the window: it has ended."""
        self.on_stop = _nothing
        if self._state is not None:
            self._state.seal()
            while self.size > self._window:
                self._drop_oldest()

    def shrink(self, excess: int) -> None:
        """Drops old events of as many bytes, but not those that readers of the running turn may still need."""
        least = max(LEAST_WINDOW, self.size - excess)
        while self.size > least and len(self.entries) > 1:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        self.size -= len(self.entries.popleft().data)

    def drop_all(self) -> None:
        """Drops what is kept: the only reader has it or is gone."""
        self.entries.clear()
        self.size = 0
        if self.drained:
            wake(self.drained)


def _nothing() -> None:
    """A turn that has ended cannot be stopped."""


class WindowReader(TurnReader):
    """Reads a turn in memory."""

    def __init__(self, turn: WindowTurn, after: int | None) -> None:
        self._turn = turn
        self._seen = 0 if after is None else after
        self._closed = False

    async def __anext__(self) -> list[LogEntry]:
        turn = self._turn
        while True:
            if self._closed:
                raise StopAsyncIteration
            entries = self.ready()
            if entries:
                return entries
            if turn.end is not None or turn.moved:
                # The worker that lost the turn may have said its last words before the reader came.
                self.end = None if turn.moved else turn.end
                raise StopAsyncIteration
            await wait_unless(self._has_news, turn.news)

    def _has_news(self) -> bool:
        turn = self._turn
        return (
            self._closed or turn.end is not None or turn.moved or self._can_read(turn.last_seq - self._seen)
        )

    def _can_read(self, unseen: int) -> bool:
        # The state has what is held already.
        return unseen > 0 and not (self._turn.held and unseen > len(self._turn.entries))

    def ready(self) -> list[LogEntry]:
        turn = self._turn
        unseen = turn.last_seq - self._seen
        if self._closed or not self._can_read(unseen):
            return []
        if unseen > len(turn.entries):
            return self._catch_up()
        self._seen = turn.last_seq
        if unseen == len(turn.entries):
            entries = list(turn.entries)
        else:
            entries = list(islice(reversed(turn.entries), unseen))
            entries.reverse()
        if not turn.resumable:
            turn.drop_all()
        return entries

    def _catch_up(self) -> list[LogEntry]:
        events = self._turn.snapshot(self._seen)
        self._seen = self._turn.last_seq
        return state_entries(events, self._seen)

    async def aclose(self) -> None:
        self._closed = True
        wake(self._turn.news)
