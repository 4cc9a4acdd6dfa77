"""What a stream log has open, in each event loop that uses it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from threading import Lock
from typing import Final, TypeAlias

from chatkit.streams.backend import Backend, Loaded, decode_parts
from chatkit.streams.following import Follower
from chatkit.streams.outgoing import OutgoingTurn
from chatkit.streams.records import LogEntry, state_entries
from chatkit.streams.sender import Sender

__all__ = ["Session", "Sessions", "load_entries", "load_turn"]

_PATIENCE: Final = 5.0
"""Seconds that closing a log waits for what is still on its way."""


class Session:
    """What one event loop has open.

    Args:
        backend: The backend.
        holder: Names this worker.
        lease: Seconds of a lease.
        on_lost: Called with the id of a turn that another worker has taken over.
    """

    def __init__(
        self, backend: Backend, holder: Callable[[], str], lease: float, on_lost: Callable[[str], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        self.backend = backend
        self.follower = Follower(backend, lease, self._stop)
        self.sender = Sender(loop, backend, holder, lease, on_lost, self.follower.listen)

    def begin_turn(self, turn: OutgoingTurn, epoch: str | None) -> None:
        """Begins a turn; the server knows it already if there is an ``epoch``, and is told of it otherwise."""
        turn.epoch = epoch or ""
        self.sender.add(turn)
        self.follower.begin_turn()
        if epoch is None:
            self.sender.queue(turn)

    def _stop(self, turn_id: str) -> None:
        turn = self.sender.turns.get(turn_id)
        if turn is not None and not turn.stop_told:
            turn.stop_told = True
            turn.on_stop()

    async def guard(self) -> AsyncGenerator[None]:
        """Ends the session when the generator is closed, as an event loop does when it shuts down."""
        try:
            yield
        finally:
            try:
                await self.sender.close(_PATIENCE)
            finally:
                await self.follower.close()
                await self.backend.close()


_Open: TypeAlias = dict[asyncio.AbstractEventLoop, tuple[Session, AsyncGenerator[None]]]
_inherited: list[_Open] = []
"""Sessions of the parent of a forked process, which must not end them."""


class Sessions:
    """The sessions of a log, one for each event loop.

    Args:
        make: Makes that of the running event loop.
    """

    def __init__(self, make: Callable[[], Session]) -> None:
        self._make = make
        self._lock = Lock()
        self._open: _Open = {}
        self._process = os.getpid()

    async def current(self) -> Session:
        """Returns the session of the running event loop, opened if need be."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._process != os.getpid():
                self._process = os.getpid()
                _inherited.append(dict(self._open))
                self._open.clear()
            for closed in [other for other in self._open if other.is_closed()]:
                del self._open[closed]
            found = self._open.get(loop)
            if found is None:
                session = self._make()
                # An event loop closes open generators as it shuts down: so the session ends in its own loop.
                guard = session.guard()
                self._open[loop] = found = (session, guard)
                await anext(guard)
        return found[0]

    def running(self) -> set[str]:
        """Returns the turns that run in any event loop."""
        with self._lock:
            return {turn_id for found, _ in self._open.values() for turn_id in list(found.sender.turns)}

    async def close(self) -> None:
        """Ends the session of the running event loop."""
        with self._lock:
            found = self._open.pop(asyncio.get_running_loop(), None)
        if found is not None:
            await found[1].aclose()


async def load_turn(backend: Backend, turn_id: str, owner: str | None, after: int) -> Loaded | None:
    """Returns an owner's turn, and the chunks with events after a number."""
    loaded = await backend.load(turn_id, after)
    return loaded if loaded is not None and loaded.record.info.owner == owner else None


async def load_entries(backend: Backend, turn_id: str) -> list[LogEntry]:
    """Returns the events of a turn, with a snapshot in front where the first ones are not kept."""
    entries: list[LogEntry] = []
    position = 0
    while True:
        loaded = await backend.load(turn_id, position)
        if loaded is None:
            return entries
        before = position
        for chunk in loaded.chunks:
            if chunk.end is not None:
                return entries
            if chunk.first_seq > position + 1 and not chunk.jumps:
                found = await backend.load_snapshot(turn_id)
                if found is None or found[0] <= position:
                    return entries
                position, data = found
                state = [part.event_for(0) for part in decode_parts(data)]
                entries = state_entries([event for event in state if event is not None], position)
                break
            entries += chunk.entries(position)
            position = max(position, chunk.last_seq)
        if position == before:
            return entries
