"""What a stream log has open, in each event loop that uses it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final, TypeAlias

from chatkit.errors import InvalidRequestError
from chatkit.streams.backend import Backend, Loaded, TurnRecord, decode_parts
from chatkit.streams.following import Follower, RemoteReader
from chatkit.streams.outgoing import OutgoingTurn
from chatkit.streams.records import EndState, LogEntry, ThreadKey, state_entries
from chatkit.streams.sender import Sender
from chatkit.streams.window import WindowTurn

__all__ = [
    "OpenSessions",
    "Session",
    "load_entries",
    "load_records",
    "load_turn",
    "own_session",
]

_NO_EVENTS: Final = 2**53 - 1
"""A number beyond all events."""
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

    def begin_turn(self, turn: OutgoingTurn, epoch: str | None) -> OutgoingTurn:
        """Begins a turn, and returns it; the server knows it if there is an ``epoch``, and is told of it otherwise."""
        turn.epoch = epoch or ""
        self.sender.add(turn)
        self.follower.begin_turn()
        if epoch is None:
            self.sender.queue(turn)
        return turn

    async def read(
        self, turn_id: str, owner: str | None, after: int, *, plain: bool = False
    ) -> RemoteReader | None:
        """Returns a reader of an owner's turn that the backend keeps, None if it does not.

        Args:
            turn_id: The turn.
            owner: Its owner.
            after: Number of the last event that the reader has.
            plain: Whether a turn is read whose readers cannot come back, too: it is kept for ten seconds after its end.

        Raises:
            InvalidRequestError: The turn has not sent the event numbered ``after``.
        """
        loaded = await load_turn(self.backend, turn_id, owner, after)
        if loaded is None or not (plain or loaded.record.is_kept):
            return None
        # The turn's worker shows its readers what it could not save so far, and may have died before it could.
        certain = loaded.record.end not in {None, EndState.INTERRUPTED}
        if certain and after > loaded.last_seq:
            raise InvalidRequestError("'after' names an event that this turn has not sent.")
        return RemoteReader(turn_id, after, self.follower, self.backend)

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


OpenSessions: TypeAlias = dict[tuple[int, asyncio.AbstractEventLoop], tuple[Session, AsyncGenerator[None]]]
"""The sessions of a log, by process and event loop."""
_inherited: list[object] = []
"""Sessions of the parent of a forked process, which must not end them."""


async def own_session(sessions: OpenSessions, make: Callable[[], Session]) -> Session:
    """Returns the session of the running event loop, opened if need be; called under the lock of the sessions."""
    here = os.getpid(), asyncio.get_running_loop()
    for process, loop in list(sessions):
        if process != here[0]:
            _inherited.append(sessions.pop((process, loop)))
        elif loop.is_closed():
            del sessions[process, loop]
    found = sessions.get(here)
    if found is None:
        session = make()
        # An event loop closes open generators as it shuts down: so the session ends in its own loop.
        guard = session.guard()
        sessions[here] = found = (session, guard)
        await anext(guard)
    return found[0]


async def load_turn(
    backend: Backend, turn_id: str, owner: str | None, after: int = _NO_EVENTS
) -> Loaded | None:
    """Returns an owner's turn, and the chunks with events after a number; by default the turn alone."""
    loaded = await backend.load(turn_id, after)
    return loaded if loaded is not None and loaded.record.info.owner == owner else None


async def load_records(
    session: Session | None, thread: ThreadKey, of_thread: Callable[[ThreadKey], Sequence[WindowTurn]]
) -> list[TurnRecord]:
    """Returns the turns of an owner's thread in the order in which they began.

    Args:
        session: What is open here, None without a backend.
        thread: The thread.
        of_thread: Returns its turns in the memory of this process: what the backend has not heard of yet, has lost in
            an accident, or need not have.
    """
    if session is None:
        return [TurnRecord(turn.info, turn.end) for turn in of_thread(thread)]
    records = await session.backend.turns(thread)
    ending = session.sender.turns
    known = {record.info.id for record in records}
    records = [
        record._replace(end=ending[record.info.id].end)
        if record.end is None and record.info.id in ending
        else record
        for record in records
    ]
    mine = [TurnRecord(turn.info, turn.end) for turn in of_thread(thread) if turn.info.id not in known]
    return sorted(records + mine, key=lambda record: record.info.started_at) if mine else records


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
