"""Reading turns that run in other processes: one task of an event loop follows them all."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Final, cast

from chatkit._outages import Outage
from chatkit._tasks import end_tasks
from chatkit.errors import ChatKitError, StoreError
from chatkit.streams.backend import Backend, Chunk, Standing, decode_parts
from chatkit.streams.records import EndState, LogEntry, TurnReader, state_entries
from chatkit.streams.window import Waiters, wait_unless, wake

__all__ = ["Follower", "RemoteReader"]

LAG: Final = 256 * 1024
"""Bytes that wait in memory for a reader; what is beyond is loaded when the reader has caught up."""
_FIRST_RETRY: Final = 0.05
_LONGEST_RETRY: Final = 1.0
_PATIENCE: Final = 3
"""Leases for which a reader waits for a server that is away, or for another worker to end a turn."""

_logger = logging.getLogger("chatkit.streams")


class RemoteReader(TurnReader):
    """Reads a turn that another process runs.

    Args:
        turn_id: The turn.
        after: Number of the last event that the reader has, 0 for none.
        follower: Brings what is new.
        backend: The server.
        only_end: Yields nothing and ends with the turn, or when its worker has been dead for a lease.
    """

    def __init__(
        self, turn_id: str, after: int, follower: Follower, backend: Backend, *, only_end: bool = False
    ) -> None:
        self.turn_id = turn_id
        self.position = after
        self.only_end = only_end
        self.lags = True
        self.doubtful_since: float | None = None
        self._follower = follower
        self._backend = backend
        self._buffer: deque[LogEntry] = deque()
        self._size = 0
        self._end: EndState | None = None
        self._closed = False
        self._broken = False
        self._news: Waiters = []
        self._retry = _FIRST_RETRY

    async def __anext__(self) -> list[LogEntry]:
        while True:
            entries = self.ready()
            if entries:
                return entries
            if self._closed or self._broken or self._end is not None:
                self.end = None if self._closed else self._end
                self._follower.remove(self)
                raise StopAsyncIteration
            if self.lags:
                await self._catch_up()
            else:
                await wait_unless(self._has_news, self._news)

    def _has_news(self) -> bool:
        return bool(self._buffer) or self.lags or self._closed or self._broken or self._end is not None

    def ready(self) -> list[LogEntry]:
        if self._closed or not self._buffer:
            return []
        entries = list(self._buffer)
        self._buffer.clear()
        self._size = 0
        return entries

    def push(self, chunk: Chunk) -> None:
        """Takes what the turn appended; what does not continue what is there is loaded instead."""
        if self.lags or self._end is not None:
            return
        if self._size > LAG or not self._take(chunk):
            self.lag()
        wake(self._news)

    def lag(self) -> None:
        """Has the reader load what it has not got yet."""
        self.lags = True
        wake(self._news)

    def give_up(self) -> None:
        """Ends the reader as interrupted: no worker will end the turn."""
        if self._end is None:
            self._end = EndState.INTERRUPTED
            self.gave_up = True
        wake(self._news)

    def break_off(self) -> None:
        """Ends the reader without an end: the turn may go on, but cannot be read here."""
        self._broken = True
        wake(self._news)

    def _take(self, chunk: Chunk) -> bool:
        if chunk.end is not None:
            if chunk.last_seq > self.position and not self.only_end:
                return False
            self._end = chunk.end
            return True
        if chunk.last_seq <= self.position:
            return True
        if chunk.first_seq > self.position + 1 and not (chunk.jumps or self.only_end):
            return False
        entries = chunk.entries(self.position)
        self.position = chunk.last_seq
        if not self.only_end:
            self._buffer.extend(entries)
            self._size += len(chunk.events)
        return True

    async def _catch_up(self) -> None:
        self._follower.add(self)
        self.lags = False
        try:
            loaded = await self._backend.load(self.turn_id, self.position)
            if loaded is None:
                if await self._backend.ended(self.turn_id) is None:
                    self._follower.doubt(self)
                else:
                    # What the reader lacks is gone: its time is over, or its thread was deleted.
                    self.give_up()
            else:
                self.doubtful_since = None
                if not all(map(self._take, loaded.chunks)):
                    await self._take_snapshot()
                    return
                more = self._end is None and bool(loaded.chunks) and loaded.last_seq > self.position
                self.lags = self.lags or more
            self._follower.caught_up(self)
        except StoreError as error:
            self._follower.outage.failed(error, f"Turn {self.turn_id} cannot be read")
            self.lags = True
            if self._follower.miss(self):
                return
            await asyncio.sleep(self._retry)
            self._retry = min(2 * self._retry, _LONGEST_RETRY)
        except BaseException:
            self.lags = True
            raise
        else:
            self._retry = _FIRST_RETRY

    async def _take_snapshot(self) -> None:
        """Brings the reader to the state that the writer left beside the window."""
        self.lags = True
        if self._buffer:
            # First what came in order.
            return
        found = await self._backend.load_snapshot(self.turn_id)
        if found is None or found[0] <= self.position:
            # The next load finds either the missing events or their end.
            if not self._follower.doubt(self):
                await asyncio.sleep(self._retry)
            return
        seq, data = found
        events = [part.event_for(self.position) for part in decode_parts(data)]
        self.position = seq
        if not self.only_end:
            entries = state_entries([event for event in events if event is not None], seq)
            self._buffer.extend(entries)

    async def aclose(self) -> None:
        self._closed = True
        self._follower.remove(self)
        wake(self._news)


class Follower:
    """Brings the readers of one event loop what is new, and its turns the requests to stop.

    Its task runs while there are readers, or turns of this loop.

    Args:
        backend: The server.
        lease: Seconds of a lease.
        on_stop: Called with the id of a turn of this process that is to stop.
    """

    def __init__(self, backend: Backend, lease: float, on_stop: Callable[[str], None]) -> None:
        self._backend = backend
        self._lease = lease
        self._on_stop = on_stop
        self._loop = asyncio.get_running_loop()
        self.outage = Outage("Streams cannot be followed", "Streams can be followed again.", _logger)
        self._readers: dict[str, set[RemoteReader]] = {}
        self._cursors: dict[str, int] = {}
        self._local_turns = 0
        self._task: asyncio.Task[None] | None = None
        self._resting: asyncio.Task[None] | None = None
        self._waits = False
        self._checked_at = self._loop.time()

    def add(self, reader: RemoteReader) -> None:
        """Follows a reader's turn, if that is not done yet."""
        readers = self._readers.setdefault(reader.turn_id, set())
        if reader not in readers:
            readers.add(reader)
            self._run()

    def caught_up(self, reader: RemoteReader) -> None:
        """Brings what comes after a reader's position."""
        cursor = self._cursors.get(reader.turn_id)
        if cursor is None:
            self._cursors[reader.turn_id] = reader.position
            if self._waits:
                self._waits = False
                self._waking = self._loop.create_task(self._try_to_wake(), context=Context())
        elif cursor > reader.position:
            reader.lags = True

    def remove(self, reader: RemoteReader) -> None:
        """Forgets a reader."""
        readers = self._readers.get(reader.turn_id)
        if readers is None or reader not in readers:
            return
        readers.discard(reader)
        if not readers:
            del self._readers[reader.turn_id]
            self._cursors.pop(reader.turn_id, None)
            if self._is_idle() and self._task is not None:
                self._resting, self._task = self._task, None
                self._resting.cancel()

    def begin_turn(self) -> None:
        """Listens for requests to stop while a turn runs here."""
        self._local_turns += 1
        self.listen()

    def listen(self) -> None:
        """Listens where turns run here and other workers may ask them to stop."""
        if self._local_turns and self._backend.watched:
            self._run()

    async def end_turn(self) -> None:
        """Listens no more after the last turn, and returns when nothing is left of that."""
        self._local_turns -= 1
        await self.gone()

    def doubt(self, reader: RemoteReader, *, leases: float = _PATIENCE) -> bool:
        """Notes that no worker may be there to end a reader's turn; ends the reader after so many leases."""
        if lasts := self._lasts(reader, leases):
            reader.give_up()
        return lasts

    def miss(self, reader: RemoteReader) -> bool:
        """Notes that nothing can be learned of a reader's turn; breaks the reader off when that has lasted."""
        if lasts := self._lasts(reader, _PATIENCE):
            reader.break_off()
        return lasts

    def _lasts(self, reader: RemoteReader, leases: float) -> bool:
        now = self._loop.time()
        if reader.doubtful_since is None:
            reader.doubtful_since = now
        return now - reader.doubtful_since > leases * self._lease

    async def close(self) -> None:
        """Ends the task; readers end without an end, for others may read on elsewhere."""
        for reader in self._all_readers():
            reader.break_off()
        await self.gone(cancel=True)

    async def gone(self, *, cancel: bool = False) -> None:
        """Waits for the end of the task, if nothing needs it."""
        if self._resting is not None:
            # The last reader has left a moment ago.
            await end_tasks({self._resting})
        task = self._task
        if task is None or not (cancel or self._is_idle()):
            return
        self._task = None
        await end_tasks({task})

    def _is_idle(self) -> bool:
        return not self._readers and not self._local_turns

    def _run(self) -> None:
        if self._task is None:
            self._checked_at = self._loop.time()
            self._task = self._loop.create_task(self._follow(), context=Context())

    async def _try_to_wake(self) -> None:
        try:
            await self._backend.wake()
        except ChatKitError:
            # Then the wait fails as well, and begins again with all that is to be followed.
            return

    async def _follow(self) -> None:
        retry = _FIRST_RETRY
        itself = cast("asyncio.Task[None]", asyncio.current_task())
        # A driver that closes a connection may raise an error of its own in the place of the cancellation.
        while not itself.cancelling():
            try:
                self._waits = True
                changes = await self._backend.changes(dict(self._cursors), self._lease / 2, self._on_stop)
                self._waits = False
                self._deliver(changes)
                if self._loop.time() - self._checked_at > self._lease / 2:
                    await self._check()
            except ChatKitError as error:
                self._waits = False
                if itself.cancelling():
                    return
                self.outage.failed(error)
                for reader in self._all_readers():
                    self.miss(reader)
                await asyncio.sleep(retry)
                retry = min(2 * retry, _LONGEST_RETRY)
                for reader in self._all_readers():
                    reader.lag()
            else:
                self.outage.recovered()
                retry = _FIRST_RETRY

    def _all_readers(self) -> list[RemoteReader]:
        return [reader for readers in self._readers.values() for reader in readers]

    def _deliver(self, changes: dict[str, list[Chunk]]) -> None:
        for turn_id, chunks in changes.items():
            if not chunks or turn_id not in self._cursors:
                continue
            self._cursors[turn_id] = max(self._cursors[turn_id], chunks[-1].last_seq)
            for reader in list(self._readers.get(turn_id, ())):
                for chunk in chunks:
                    reader.push(chunk)
            if chunks[-1].end is not None:
                # Nothing comes after it: what a reader lacks it loads.
                self._cursors.pop(turn_id, None)

    async def _check(self) -> None:
        """Looks after readers to whom nothing comes: the server may have lost the turn, or its worker be dead."""
        self._checked_at = self._loop.time()
        if not self._readers:
            return
        standings = await self._backend.standings(list(self._readers))
        for turn_id, standing in standings.items():
            for reader in list(self._readers.get(turn_id, ())):
                if standing is Standing.RUNNING:
                    reader.doubtful_since = None
                elif standing is Standing.ENDED:
                    reader.lag()
                elif standing in {Standing.DEAD, Standing.CLAIMED} and reader.only_end:
                    # The worker that sweeps next, or has claimed the turn, ends it.
                    self.doubt(reader, leases=1)
                elif standing is Standing.CLAIMED:
                    reader.doubtful_since = None
                elif standing is Standing.DEAD:
                    # It may come back before another one sees to the turn.
                    self.miss(reader)
                else:
                    reader.lag()
                    self.doubt(reader)
