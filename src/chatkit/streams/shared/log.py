"""What all logs that workers share do: memory for the readers of this process, a server for the others."""

from __future__ import annotations

import asyncio
import math
import os
import time
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from threading import Lock
from typing import ClassVar, Final, TypeAlias

from chatkit.errors import InvalidRequestError, StaleTurnError, StoreError
from chatkit.ids import new_id
from chatkit.streams.base import (
    EndState,
    InterruptedTurn,
    KeyClaim,
    LogEntry,
    SnapshotSource,
    TurnInfo,
    TurnReader,
    TurnWriter,
)
from chatkit.streams.memory import (
    LAG_LIMIT,
    RETENTION,
    WINDOW,
    MemoryStreamLog,
)
from chatkit.streams.shared.backend import Backend, Save, TurnRecord, decode_parts
from chatkit.streams.shared.following import Follower, RemoteReader
from chatkit.streams.shared.outgoing import CROWD, OutgoingTurn, Sender

__all__ = ["LEASE", "SharedStreamLog"]

LEASE: Final = 10.0
"""Seconds for which turns are their worker's without renewal."""
_SWEEP: Final = 2.0
"""Seconds between two looks for turns whose worker died."""
_PATIENCE: Final = 5.0
"""Seconds that closing a log waits for what is still on its way."""


class _SharedTurnWriter(TurnWriter):
    """Writes a turn: at once to memory, a moment later to the server."""

    def __init__(self, turn: OutgoingTurn, session: _Session, let_go: Callable[[str], None]) -> None:
        self._turn = turn
        self._let_go = let_go
        self._session = session
        self._sender = session.sender
        self._told = False
        self._closing = False
        self._unreachable = False

    @property
    def lost(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride] -- the port only reads it
        """Whether another worker has taken the turn over; whoever asks has been told, and may say last words here."""
        self._told = self._told or self._turn.lost
        return self._turn.lost

    def append(self, data: bytes) -> int:
        turn = self._turn
        if turn.lost:
            if not self._told:
                self._told = True
                raise StaleTurnError(f"Turn {turn.info.id} was taken over by another worker.")
            return turn.memory.append(data)
        if self._sender.check_frozen() and turn.held is not None:
            turn.held.append(data)
            seq = turn.last_seq
        else:
            seq = turn.memory.append(data)
        turn.append(data)
        if not turn.queued or turn.size > self._session.batch:
            self._sender.queue(turn)
        return seq

    @property
    def last_seq(self) -> int:
        return self._turn.last_seq

    @property
    def congested(self) -> bool:
        return self._turn.memory.congested or self._crowded

    @property
    def _crowded(self) -> bool:
        return self._turn.size > CROWD and not self._sender.failing

    async def drain(self) -> None:
        if self._crowded:
            await self._sender.flush(self._turn)
        await self._turn.memory.drain()

    async def flush(self) -> None:
        if self._turn.events:
            await self._sender.flush(self._turn)

    def detach(self) -> None:
        self._turn.memory.detach()

    async def close(self, end: EndState) -> None:
        """Writes the end mark; where the server is away, it is told when it comes back."""
        if self._closing:
            return
        self._closing = True
        turn = self._turn
        try:
            if not turn.lost:
                turn.end = end
                if self._unreachable:
                    self._sender.queue(turn)
                else:
                    await self._sender.flush(turn)
        finally:
            await turn.memory.close(EndState.INTERRUPTED if turn.lost else end)
            await self._session.end_turn()

    async def hand_over(self) -> bool:
        """Lets another worker claim the turn at once; not if what it appended cannot be saved."""
        turn = self._turn
        if self._closing or turn.lost:
            return False
        await self._sender.flush(turn)
        # A server that did not answer just now is not waited for again: the process has little time left.
        self._unreachable = self._sender.failing
        if turn.lost or turn.events or self._unreachable or not await self._sender.release(turn):
            return False
        self._closing = True
        self._let_go(turn.info.id)
        await self._session.end_turn()
        return True

    async def give_way(self) -> bool:
        """Lets readers here find the turn where it is; the server is told of an end when it can be reached again."""
        turn = self._turn
        await self._sender.ask(turn)
        if not turn.lost:
            if not self._sender.failing:
                return False
            self._let_go(turn.info.id)
        self._told = True
        return True


class _Session:
    """What one event loop has open."""

    def __init__(self, log: SharedStreamLog, backend: Backend) -> None:
        loop = asyncio.get_running_loop()
        self.batch = 4096
        self.backend = backend
        self.sender = Sender(loop, backend, log.holder, log.lease, log.forget_lost)
        self.follower = Follower(backend, log.lease, self._stop)

    def begin_turn(self, turn: OutgoingTurn) -> None:
        self.sender.add(turn)
        self.follower.begin_turn()

    async def end_turn(self) -> None:
        await self.follower.end_turn()

    def _stop(self, turn_id: str) -> None:
        turn = self.sender.turns.get(turn_id)
        if turn is not None and not turn.stop_told:
            turn.stop_told = True
            turn.on_stop()

    async def close(self) -> None:
        try:
            await self.sender.close(_PATIENCE)
        finally:
            await self.follower.close()
            await self.backend.close()


async def _guarded(session: _Session) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await session.close()


_Sessions: TypeAlias = dict[asyncio.AbstractEventLoop, tuple[_Session, AsyncGenerator[None]]]
_inherited: list[_Sessions] = []
"""Sessions of the parent of a forked process, which must not end them."""


class SharedStreamLog(MemoryStreamLog):
    """Keeps turns in the memory of this process and on a server, for any number of workers.

    Args:
        window: Bytes of events kept of a turn whose readers may come back, here and on the server.
        retention: Seconds for which such a turn is kept after its end.
        lag_limit: Bytes that the reader of another turn may lag behind before the turn waits.
        lease: Seconds for which turns and claims are a worker's without renewal; it renews at a third of that.
    """

    shared: ClassVar[bool] = True

    def __init__(
        self,
        *,
        window: int = WINDOW,
        retention: float = RETENTION,
        lag_limit: int = LAG_LIMIT,
        lease: float = LEASE,
    ) -> None:
        super().__init__(window=window, retention=retention, lag_limit=lag_limit)
        self.lease = lease
        self.sweep_seconds = min(_SWEEP, lease / 5)
        self._token = new_id("log")
        self._claims: dict[str, tuple[str, float]] = {}
        self._strange: dict[str, float] = {}
        self._lock = Lock()
        self._sessions: _Sessions = {}
        self._process = os.getpid()

    @abstractmethod
    def make_backend(self) -> Backend:
        """Returns the server, for the running event loop."""

    def holder(self) -> str:
        """Returns the name of this worker."""
        # A forked child goes on with a copy of this object.
        return f"{self._token}.{os.getpid()}"

    async def _session(self) -> _Session:
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._process != os.getpid():
                self._process = os.getpid()
                _inherited.append(dict(self._sessions))
                self._sessions.clear()
            for closed in [other for other in self._sessions if other.is_closed()]:
                del self._sessions[closed]
            found = self._sessions.get(loop)
            if found is None:
                session = _Session(self, self.make_backend())
                # An event loop closes open generators as it shuts down: so the session ends in its own loop.
                guard = _guarded(session)
                self._sessions[loop] = found = (session, guard)
                await anext(guard)
        return found[0]

    async def open(
        self, info: TurnInfo, *, snapshot: SnapshotSource, on_stop: Callable[[], None]
    ) -> TurnWriter:
        """Begins the log of a turn.

        Raises:
            StoreUnavailableError: The server cannot be reached.
            ConfigurationError: The server refuses this client.
        """
        session = await self._session()
        epoch = await session.backend.open_turn(info, self.holder())
        memory = self.open_here(info, snapshot, on_stop)
        turn = OutgoingTurn(info, memory, snapshot, on_stop, self._window)
        turn.epoch = epoch
        session.begin_turn(turn)
        return _SharedTurnWriter(turn, session, self.let_go)

    def forget_lost(self, turn: OutgoingTurn) -> None:
        """Has a turn that another worker took over read from the server."""
        self.let_go(turn.info.id)

    async def read(self, turn_id: str, after: int | None) -> TurnReader | None:
        reader = await super().read(turn_id, after)
        if reader is not None:
            return reader
        session = await self._session()
        loaded = await session.backend.load(turn_id, after or 0)
        if loaded is None or (loaded.record.end is not None and not loaded.record.info.resumable):
            return None
        # The turn's worker shows its readers what it could not save so far, and may have died before it could.
        certain = loaded.record.end not in {None, EndState.INTERRUPTED}
        if certain and (after or 0) > loaded.last_seq:
            raise InvalidRequestError("'after' names an event that this turn has not sent.")
        return RemoteReader(turn_id, after or 0, session.follower, session.backend)

    async def find(self, turn_id: str) -> TurnInfo | None:
        info = await super().find(turn_id)
        if info is not None:
            return info
        loaded = await (await self._session()).backend.load(turn_id, 0)
        if loaded is None or (loaded.record.end is not None and not loaded.record.info.resumable):
            return None
        return loaded.record.info

    async def _records(self, thread_id: str) -> list[TurnRecord]:
        records = await (await self._session()).backend.turns(thread_id)
        known = {record.info.id for record in records}
        # What the server lost in an accident, and gets again in a moment.
        here = self._by_thread.get(thread_id, {}).values()
        records += [
            TurnRecord(turn.info, None) for turn in here if turn.end is None and turn.info.id not in known
        ]
        return records

    async def active(self, thread_id: str) -> list[TurnInfo]:
        return [record.info for record in await self._records(thread_id) if record.end is None]

    async def latest(self, thread_id: str) -> TurnInfo | None:
        self._forget_old()
        found = [record.info for record in await self._records(thread_id) if record.info.resumable]
        return found[-1] if found else None

    async def stop(self, turn_id: str) -> bool:
        """Requests a stop and waits for the turn's end; where its worker is dead, until its lease has run out."""
        turn = self._turns.get(turn_id)
        if turn is not None:
            if turn.end is not None:
                return False
            turn.on_stop()
            await super().wait_closed(turn_id)
            if not turn.moved:
                return True
        session = await self._session()
        if not await session.backend.request_stop(turn_id):
            return False
        await self.wait_closed(turn_id)
        return True

    async def wait_closed(self, turn_id: str) -> None:
        turn = self._turns.get(turn_id)
        if turn is not None:
            await super().wait_closed(turn_id)
            if not turn.moved:
                return
        session = await self._session()
        reader = RemoteReader(turn_id, 0, session.follower, session.backend, only_end=True)
        loaded = await session.backend.load(turn_id, 0)
        if loaded is None or loaded.record.end is not None:
            return
        reader.position = loaded.last_seq
        async for _ in reader:
            pass

    async def claim_key(self, owner: str | None, key: str, claim: KeyClaim) -> KeyClaim:
        """Binds an idempotency key for 24 hours, across workers.

        Raises:
            StoreUnavailableError: The server cannot be reached.
        """
        held = await (await self._session()).backend.claim_key(owner or "", key, claim)
        return claim if held is None else replace(held, fresh=False)

    async def release_key(self, owner: str | None, key: str, claim: KeyClaim | None = None) -> None:
        await (await self._session()).backend.release_key(owner or "", key, claim)

    async def ended(self, turn_id: str) -> EndState | None:
        return await super().ended(turn_id) or await (await self._session()).backend.ended(turn_id)

    async def claim_interrupted(self) -> list[InterruptedTurn]:
        """Returns the turns whose worker's lease has run out, each to one caller of all workers.

        A claim that is not settled within a lease can be claimed again. A worker takes nothing before it has been in
        touch with the server for a whole lease: after an outage all leases have run out, and the living renew theirs.

        Raises:
            StoreUnavailableError: The server cannot be reached.
        """
        backend = (await self._session()).backend
        await self._end_forgotten(backend)
        claim = f"{self.holder()}/{new_id('claim')}"
        until = time.monotonic() + self.lease
        claimed = await backend.claim(self.holder(), claim)
        self._claims |= {info.id: (claim, until) for info, _ in claimed}
        return [InterruptedTurn(info, await _entries(backend, info.id), stop) for info, stop in claimed]

    async def _end_forgotten(self, backend: Backend) -> None:
        """Ends turns that the server wrongly takes for running here: nobody else would as long as this worker lives.

        A crash or a failover may have taken their ends from a server; or their event loop was closed under them.
        """
        held = set(await backend.held(self.holder()))
        with self._lock:
            for session, _ in self._sessions.values():
                held.difference_update(list(session.sender.turns))
        now = time.monotonic()
        # One that begins or ends at this moment may be among them.
        self._strange = {turn_id: self._strange.get(turn_id, now) for turn_id in held}
        for turn_id in [turn_id for turn_id, since in self._strange.items() if now - since > self.lease]:
            del self._strange[turn_id]
            if self._ends.get(turn_id) is None:
                await backend.release(turn_id, self.holder())
            elif (loaded := await backend.load(turn_id, 0)) is not None:
                # Of its last events nobody can be sure.
                last_seq, plain = loaded.last_seq, not loaded.record.info.resumable
                end = Save(turn_id, last_seq + 1, last_seq, b"", end=EndState.INTERRUPTED, plain=plain)
                await backend.save(self.holder(), [end], renew=False)

    def holds_claim(self, turn_id: str) -> bool:
        return time.monotonic() < self._claims.get(turn_id, ("", -math.inf))[1]

    async def take_over(
        self, turn: InterruptedTurn, *, snapshot: SnapshotSource, on_stop: Callable[[], None]
    ) -> TurnWriter | None:
        """Goes on with a claimed turn in this process, for its readers wherever they are.

        Raises:
            StaleTurnError: Another worker has claimed it since.
            StoreUnavailableError: The server cannot be reached.
        """
        claimed = self._claims.pop(turn.info.id, None)
        if claimed is None:
            raise StaleTurnError(f"Turn {turn.info.id} is not claimed by this worker.")
        session = await self._session()
        # Readers that are behind get the state: what the dead worker could not save may be among what they have.
        info = replace(turn.info, base=turn.next_base)
        try:
            epoch = await session.backend.adopt(info, claimed[0], self.holder())
        except StoreError:
            self._claims[turn.info.id] = claimed
            raise
        if epoch is None:
            raise StaleTurnError(f"Turn {turn.info.id} was claimed by another worker.")
        memory = self.open_here(info, snapshot, on_stop)
        memory.turn.last_seq = info.base
        outgoing = OutgoingTurn(info, memory, snapshot, on_stop, self._window)
        outgoing.epoch = epoch
        outgoing.begin_behind(info.base)
        session.begin_turn(outgoing)
        return _SharedTurnWriter(outgoing, session, self.let_go)

    async def settle(self, turn_id: str, events: Sequence[bytes] = ()) -> None:
        """Ends a claimed turn as interrupted, wherever it is read; one that was claimed by another is left alone."""
        claimed = self._claims.pop(turn_id, None)
        if claimed is not None:
            await (await self._session()).backend.settle(turn_id, claimed[0], events)

    async def close(self) -> None:
        """Closes the connections of the running event loop; the log opens them again when it is used."""
        with self._lock:
            found = self._sessions.pop(asyncio.get_running_loop(), None)
        if found is not None:
            await found[1].aclose()


async def _entries(backend: Backend, turn_id: str) -> list[LogEntry]:
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
                entries = [LogEntry(0, event) for event in state if event is not None]
                if entries:
                    entries[-1] = LogEntry(position, entries[-1].data)
                break
            entries += chunk.entries(position)
            position = max(position, chunk.last_seq)
        if position == before:
            return entries
