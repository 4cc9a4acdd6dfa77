"""The stream log in memory: serves the readers of its own process, and is the base of the logs that add durability.

Nothing here is bound to an event loop for longer than one wait, so that a server may be used from several loops in
turn, as test clients do.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Final

from chatkit.errors import InvalidRequestError
from chatkit.streams.base import (
    EndState,
    InterruptedTurn,
    KeyClaim,
    LogEntry,
    SnapshotSource,
    StreamLog,
    TurnInfo,
    TurnReader,
    TurnWriter,
)

__all__ = ["MemoryStreamLog", "MemoryTurn", "MemoryTurnWriter", "Waiters"]

LAG_LIMIT: Final = 256 * 1024
"""Bytes that the only reader of a turn may lag behind before the turn waits for it."""
WINDOW: Final = 1024 * 1024
"""Bytes of events that are kept of a turn whose readers may come back."""
RETENTION: Final = 120.0
"""Seconds for which an ended turn is kept for readers that come back."""
KEY_RETENTION: Final = 24 * 3600.0
KEY_LIMIT: Final = 10_000


class Waiters(list["asyncio.Future[None]"]):
    """Futures of those who wait for something to happen, in whatever loop each of them runs."""

    __slots__ = ()

    async def wait_unless(self, happened: Callable[[], bool]) -> None:
        """Waits for the next ``wake``, unless it has happened already."""
        future = asyncio.get_running_loop().create_future()
        self.append(future)
        try:
            # Asked once more behind the registration: another thread's wake may have come just before it.
            if not happened():
                await future
        finally:
            if future in self:
                self.remove(future)

    def wake(self) -> None:
        """Ends every wait, from any thread that runs an event loop."""
        here = asyncio.get_running_loop()
        while self:
            future = self.pop()
            loop = future.get_loop()
            if loop is here:
                _resolve(future)
            elif not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, future)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class MemoryTurn:
    """A turn's kept events: ``entries`` end with the event numbered ``last_seq``."""

    __slots__ = (
        "closed",
        "detached",
        "drained",
        "end",
        "ended_at",
        "entries",
        "info",
        "last_seq",
        "moved",
        "news",
        "on_stop",
        "resumable",
        "size",
        "snapshot",
    )

    def __init__(self, info: TurnInfo, snapshot: SnapshotSource, on_stop: Callable[[], None]) -> None:
        self.info = info
        self.resumable = info.resumable
        self.snapshot = snapshot
        self.on_stop = on_stop
        self.entries: deque[LogEntry] = deque()
        self.size = 0
        self.last_seq = 0
        self.detached = False
        self.moved = False
        self.end: EndState | None = None
        self.ended_at = 0.0
        self.news = Waiters()
        self.drained = Waiters()
        self.closed = Waiters()

    def drop_oldest(self) -> None:
        """Drops the oldest kept event."""
        self.size -= len(self.entries.popleft().data)

    def drop_all(self) -> None:
        """Drops what is kept, for the only reader has it or is gone."""
        self.entries.clear()
        self.size = 0
        if self.drained:
            self.drained.wake()


class MemoryTurnWriter(TurnWriter):
    """Writes a turn of a :class:`MemoryStreamLog`."""

    def __init__(
        self, turn: MemoryTurn, window: int, lag_limit: int, on_closed: Callable[[MemoryTurn], None]
    ) -> None:
        self.turn = self._turn = turn
        self._window = window
        self._lag_limit = lag_limit
        self._on_closed = on_closed

    def append(self, data: bytes) -> int:
        turn = self._turn
        seq = turn.last_seq = turn.last_seq + 1
        if not turn.detached:
            turn.entries.append(LogEntry(seq, data))
            turn.size += len(data)
            if turn.resumable:
                while turn.size > self._window and len(turn.entries) > 1:
                    turn.drop_oldest()
        if turn.news:
            turn.news.wake()
        return seq

    @property
    def last_seq(self) -> int:
        return self._turn.last_seq

    @property
    def congested(self) -> bool:
        turn = self._turn
        return turn.size > self._lag_limit and not turn.resumable

    async def drain(self) -> None:
        while self.congested:
            await self._turn.drained.wait_unless(lambda: not self.congested)

    async def flush(self) -> None:
        return None

    def detach(self) -> None:
        turn = self._turn
        if not turn.resumable:
            turn.detached = True
            turn.drop_all()

    async def close(self, end: EndState) -> None:
        turn = self._turn
        if turn.end is not None:
            return
        turn.end = end
        turn.ended_at = time.monotonic()
        turn.news.wake()
        turn.closed.wake()
        if not turn.moved:
            self._on_closed(turn)


class _MemoryReader(TurnReader):
    def __init__(self, turn: MemoryTurn, after: int | None) -> None:
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
                # A reader may come to it after the last words of who lost it.
                self.end = None if turn.moved else turn.end
                raise StopAsyncIteration
            await turn.news.wait_unless(self._has_news)

    def _has_news(self) -> bool:
        turn = self._turn
        return self._closed or turn.end is not None or turn.moved or turn.last_seq > self._seen

    def ready(self) -> list[LogEntry]:
        turn = self._turn
        unseen = turn.last_seq - self._seen
        if unseen <= 0 or self._closed:
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
        # Only the last event becomes a cursor: a reader cut off within the state must ask for all of it again.
        entries = [LogEntry(0, data) for data in events]
        if entries:
            entries[-1] = LogEntry(self._seen, entries[-1].data)
        return entries

    async def aclose(self) -> None:
        self._closed = True
        self._turn.news.wake()


class MemoryStreamLog(StreamLog):
    """Keeps turns in the memory of this process.

    Args:
        window: Bytes of events kept of a turn whose readers may come back.
        retention: Seconds for which such a turn is kept after its end.
        lag_limit: Bytes that the reader of another turn may lag behind before the turn waits.
    """

    def __init__(
        self, *, window: int = WINDOW, retention: float = RETENTION, lag_limit: int = LAG_LIMIT
    ) -> None:
        self._window = window
        self._retention = retention
        self._lag_limit = lag_limit
        self._turns: dict[str, MemoryTurn] = {}
        self._by_thread: dict[str, dict[str, MemoryTurn]] = {}
        self._ended: deque[MemoryTurn] = deque()
        self._ends: OrderedDict[str, EndState] = OrderedDict()
        self._keys: OrderedDict[tuple[str | None, str], tuple[KeyClaim, float]] = OrderedDict()

    async def open(
        self, info: TurnInfo, *, snapshot: SnapshotSource, on_stop: Callable[[], None]
    ) -> TurnWriter:
        return self.open_here(info, snapshot, on_stop)

    def open_here(
        self, info: TurnInfo, snapshot: SnapshotSource, on_stop: Callable[[], None]
    ) -> MemoryTurnWriter:
        """Begins the log of a turn in memory, for those that add durability."""
        self._forget_old()
        return self._begin(MemoryTurn(info, snapshot, on_stop))

    async def take_over(
        self, turn: InterruptedTurn, *, snapshot: SnapshotSource, on_stop: Callable[[], None]
    ) -> TurnWriter | None:
        self._forget_old()
        taken = MemoryTurn(turn.info, snapshot, on_stop)
        # Every reader gets the state: what the dead process could not save may be among what it has.
        taken.last_seq = turn.next_base
        return self._begin(taken)

    def _begin(self, turn: MemoryTurn) -> MemoryTurnWriter:
        self._turns[turn.info.id] = turn
        self._by_thread.setdefault(turn.info.thread_id, {})[turn.info.id] = turn
        return MemoryTurnWriter(turn, self._window, self._lag_limit, self._on_closed)

    def _on_closed(self, turn: MemoryTurn) -> None:
        if turn.resumable:
            self._ended.append(turn)
            if turn.end is not None:
                self._ends[turn.info.id] = turn.end
            if len(self._ends) > KEY_LIMIT:
                self._ends.popitem(last=False)
        else:
            self.drop(turn)

    def let_go(self, turn_id: str) -> None:
        """Forgets a running turn that another worker goes on with; readers here get no more of it."""
        turn = self._turns.get(turn_id)
        if turn is not None and turn.end is None:
            turn.moved = True
            self.drop(turn)
            turn.news.wake()
            turn.closed.wake()
            turn.drained.wake()

    def drop(self, turn: MemoryTurn) -> None:
        """Forgets a turn; readers that have it go on."""
        self._turns.pop(turn.info.id, None)
        of_thread = self._by_thread.get(turn.info.thread_id)
        if of_thread is not None:
            of_thread.pop(turn.info.id, None)
            if not of_thread:
                del self._by_thread[turn.info.thread_id]

    def _forget_old(self) -> None:
        horizon = time.monotonic() - self._retention
        while self._ended and self._ended[0].ended_at < horizon:
            self.drop(self._ended.popleft())

    async def read(self, turn_id: str, after: int | None) -> TurnReader | None:
        self._forget_old()
        turn = self._turns.get(turn_id)
        if turn is None:
            return None
        if after is not None and after > turn.last_seq:
            raise InvalidRequestError("'after' names an event that this turn has not sent.")
        return _MemoryReader(turn, after)

    async def find(self, turn_id: str) -> TurnInfo | None:
        self._forget_old()
        turn = self._turns.get(turn_id)
        return turn.info if turn is not None else None

    async def active(self, thread_id: str) -> list[TurnInfo]:
        return [turn.info for turn in self._by_thread.get(thread_id, {}).values() if turn.end is None]

    async def latest(self, thread_id: str) -> TurnInfo | None:
        self._forget_old()
        turns = [turn.info for turn in self._by_thread.get(thread_id, {}).values() if turn.resumable]
        return turns[-1] if turns else None

    async def stop(self, turn_id: str) -> bool:
        turn = self._turns.get(turn_id)
        if turn is None or turn.end is not None:
            return False
        turn.on_stop()
        await self.wait_closed(turn_id)
        return True

    async def wait_closed(self, turn_id: str) -> None:
        turn = self._turns.get(turn_id)
        while turn is not None and turn.end is None and not turn.moved:
            await turn.closed.wait_unless(lambda: turn.end is not None or turn.moved)

    async def claim_key(self, owner: str | None, key: str, claim: KeyClaim) -> KeyClaim:
        now = time.monotonic()
        while self._keys and next(iter(self._keys.values()))[1] <= now:
            self._keys.popitem(last=False)
        held = self._keys.get((owner, key))
        if held is not None:
            return held[0]
        if len(self._keys) >= KEY_LIMIT:
            self._keys.popitem(last=False)
        self._keys[owner, key] = (
            replace(claim, fresh=False),
            now + KEY_RETENTION,
        )
        return claim

    async def ended(self, turn_id: str) -> EndState | None:
        return self._ends.get(turn_id)

    async def release_key(self, owner: str | None, key: str, claim: KeyClaim | None = None) -> None:
        held = self._keys.get((owner, key))
        if held is not None and (claim is None or held[0].turn_id == claim.turn_id):
            del self._keys[owner, key]
