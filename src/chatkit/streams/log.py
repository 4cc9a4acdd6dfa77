"""The stream log: memory for the readers of this process, a backend for the other workers."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Final

from chatkit._checks import checked
from chatkit.ids import new_id
from chatkit.streams.backend import Backend, TurnRecord
from chatkit.streams.claims import LONE_AFTER, LONE_SWEEP, SWEEP, Claims, forget_old
from chatkit.streams.following import RemoteReader
from chatkit.streams.local import Keys, LocalTurns
from chatkit.streams.outgoing import OutgoingTurn
from chatkit.streams.records import (
    EndState,
    InterruptedTurn,
    KeyClaim,
    SnapshotSource,
    ThreadKey,
    TurnInfo,
    TurnReader,
    TurnWriter,
)
from chatkit.streams.session import OpenSessions, Session, load_entries, load_records, load_turn, own_session
from chatkit.streams.survey import LogSurvey
from chatkit.streams.window import LAG_LIMIT, RETENTION, WINDOW

if TYPE_CHECKING:
    from chatkit.limits import Limits

__all__ = ["LEASE", "StreamLog"]

LEASE: Final = 10.0
"""Seconds for which turns are their worker's without renewal."""


class StreamLog(LogSurvey):
    """Keeps the events of turns while they run and for a while after.

    Without a backend it serves one process. With one it keeps turns there as well, for any number of workers.

    Ids of threads are unique within an owner only, and clients may name any id of a turn. So every question about a
    thread or a turn names the owner, and what belongs to another owner is unknown.

    Args:
        backend: Makes the backend for the event loop that runs, given this log, which has the ``holder``, the ``lease``
            and the ``retention`` that a backend needs.
        window: Bytes of events kept of a turn whose readers may come back, here and in the backend.
        retention: Seconds for which such a turn is kept after its end.
        lag_limit: Bytes that the reader of another turn may lag behind before the turn waits.
        lease: Seconds for which turns and claims are a worker's without renewal; it renews at a third of that.

    Attributes:
        shared: Whether workers in other processes can read and stop each other's turns through it.
        sweep_seconds: Time between two looks for turns whose worker died.
        lease: As given.
        retention: As given.
        has_backend: Whether there is more than the memory of this process.
    """

    has_backend: bool = False
    shared: bool = False
    sweep_seconds: float = LONE_SWEEP
    lease: float = LEASE
    retention: float = RETENTION
    _in_use: bool = False
    """Whether it keeps turns itself: a subclass that implements everything on its own need not call ``__init__``."""

    @checked
    def __init__(
        self,
        backend: Callable[[StreamLog], Backend] | None = None,
        *,
        window: int = WINDOW,
        retention: float = RETENTION,
        lag_limit: int = LAG_LIMIT,
        lease: float = LEASE,
    ) -> None:
        self._in_use = True
        self._sweep_seconds = min(SWEEP, lease / 5)
        self._began_at = time.monotonic()
        if backend is not None or type(self).make_backend is not StreamLog.make_backend:
            self.has_backend = True
        if self.has_backend:
            self.shared = True
            self.sweep_seconds = self._sweep_seconds
        self.lease = lease
        self.retention = retention
        self._make_backend = backend
        self._window = window
        self._local = LocalTurns(window, retention, lag_limit)
        self._keys = Keys()
        self._token = new_id("log")
        self._claims = Claims(self.holder, lambda: self.lease)
        self._lock = Lock()
        self._sessions: OpenSessions = {}

    def make_backend(self) -> Backend:
        """Returns the backend for the running event loop."""
        if self._make_backend is None:
            raise NotImplementedError("A subclass that has a backend makes it here.")
        return self._make_backend(self)

    def holder(self) -> str:
        """Returns the name of this worker."""
        # A forked child goes on with a copy of this object.
        return f"{self._token}.{os.getpid()}"

    async def _session(self) -> Session | None:
        if not self.has_backend:
            return None
        with self._lock:
            return await own_session(
                self._sessions, lambda: Session(self.make_backend(), self.holder, self.lease, self.let_go)
            )

    async def open(
        self, info: TurnInfo, *, snapshot: SnapshotSource, on_stop: Callable[[], None]
    ) -> TurnWriter:
        """Begins the log of a turn.

        Args:
            info: The turn.
            snapshot: Asked for the state when a reader's cursor is older than the kept window.
            on_stop: Called when a stop of the turn is requested, here or elsewhere, and when another worker has taken
                the turn over; the writer's ``lost`` says which.

        Raises:
            StoreUnavailableError: The backend cannot be reached.
            ConfigurationError: The backend refuses this client.
        """
        session = await self._session()
        if session is None:
            return self._local.begin(info, snapshot, on_stop)
        epoch = await session.backend.open_turn(info, self.holder())
        return self._share(session, info, snapshot, on_stop, epoch)

    def _share(
        self,
        session: Session,
        info: TurnInfo,
        snapshot: SnapshotSource,
        on_stop: Callable[[], None],
        epoch: str | None,
        *,
        base: int = 0,
    ) -> OutgoingTurn:
        """Begins a turn, after the events up to ``base``, in memory and for the server: see ``begin_turn``."""
        memory = self._local.begin(info, snapshot, on_stop, last_seq=base)
        turn = OutgoingTurn(info, session, self.let_go, memory, snapshot, on_stop, self._window)
        return session.begin_turn(turn, epoch)

    def let_go(self, turn_id: str) -> None:
        """Forgets a turn here that another worker goes on with: readers come back to it there."""
        self._local.let_go(turn_id)

    async def read(self, turn_id: str, owner: str | None, after: int | None) -> TurnReader | None:
        """Returns a reader of an owner's turn that begins after the event numbered ``after``.

        None begins with the state (a snapshot) where the first event is no longer kept; a number older than the
        window does so too. Returns None if the log knows nothing of the turn (any more), or it is another owner's.

        Args:
            turn_id: The turn.
            owner: Its owner; a turn of another one is unknown.
            after: Number of the last event that the reader has.
        """
        reader = self._local.read(turn_id, owner, after)
        session = None if reader is not None else await self._session()
        return reader if session is None else await session.read(turn_id, owner, after or 0)

    async def read_on(self, turn_id: str, owner: str | None, after: int) -> TurnReader | None:
        """Like ``read``, of a turn that another worker took over from a reader that cannot come back by itself.

        Args:
            turn_id: The turn.
            owner: Its owner.
            after: Number of the last event that the reader has.
        """
        session = await self._session()
        return None if session is None else await session.read(turn_id, owner, after, plain=True)

    async def find(self, turn_id: str, owner: str | None) -> TurnInfo | None:
        """Returns what the log knows of an owner's turn that runs or is still kept.

        Args:
            turn_id: The turn.
            owner: Its owner; a turn of another one is unknown.
        """
        self._local.forget_old()
        turn = self._local.get(turn_id, owner)
        session = None if turn is not None else await self._session()
        if session is None:
            return None if turn is None else turn.info
        loaded = await load_turn(session.backend, turn_id, owner)
        return loaded.record.info if loaded is not None and loaded.record.is_kept else None

    async def of_thread(self, thread: ThreadKey) -> list[TurnRecord]:
        """Returns the turns of a thread that run or are still known, oldest first."""
        if not self._in_use:
            return [TurnRecord(info, None) for info in await self.active(thread)]
        self._local.forget_old()
        return await load_records(await self._session(), thread, self._local.of_thread)

    async def active(self, thread: ThreadKey) -> list[TurnInfo]:
        """Returns the running turns of a thread, oldest first."""
        return [record.info for record in await self.of_thread(thread) if record.end is None]

    async def latest(self, thread: ThreadKey) -> TurnInfo | None:
        """Returns the resumable turn of a thread that began last, running or still kept."""
        found = [record.info for record in await self.of_thread(thread) if record.info.resumable]
        return found[-1] if found else None

    async def stop(self, turn_id: str, owner: str | None) -> bool:
        """Requests a stop of an owner's turn and waits for its end; returns whether it was running. Idempotent.

        Where the turn's worker is dead, it waits until the lease has run out, and a lease more for a worker that has
        claimed the turn.

        Args:
            turn_id: The turn.
            owner: Its owner; a turn of another one is unknown.
        """
        turn = self._local.get(turn_id, owner)
        if turn is not None:
            if turn.end is not None:
                return False
            turn.on_stop()
            await turn.wait_closed()
            if not turn.moved:
                return True
        session = await self._session()
        loaded = None if session is None else await load_turn(session.backend, turn_id, owner)
        if session is None or loaded is None:
            return turn is not None
        if await session.backend.request_stop(turn_id):
            await self.wait_closed(turn_id, owner)
            return True
        # It may have ended since it was seen to run, here or there.
        return turn is not None or loaded.record.end is None

    async def wait_closed(self, turn_id: str, owner: str | None) -> None:
        """Waits for the end of an owner's turn; returns at once if it has ended or is unknown.

        Args:
            turn_id: The turn.
            owner: Its owner; a turn of another one is unknown.
        """
        turn = self._local.get(turn_id, owner)
        if turn is not None:
            await turn.wait_closed()
            if not turn.moved:
                return
        session = await self._session()
        if session is None:
            return
        reader = RemoteReader(turn_id, 0, session.follower, session.backend, only_end=True)
        loaded = await load_turn(session.backend, turn_id, owner)
        if loaded is None or loaded.record.end is not None:
            return
        reader.position = loaded.last_seq
        async for _ in reader:
            pass

    async def claim_key(self, owner: str | None, key: str, claim: KeyClaim) -> KeyClaim:
        """Binds an idempotency key of an owner to a turn for 24 hours, or returns what it is bound to already.

        Args:
            owner: The tenant.
            key: The key.
            claim: What to bind it to.

        Raises:
            StoreUnavailableError: The backend cannot be reached.
        """
        session = await self._session()
        if session is None:
            return self._keys.claim(owner, key, claim)
        held = await session.backend.claim_key(owner or "", key, claim)
        return claim if held is None else replace(held, fresh=False)

    async def find_key(self, owner: str | None, key: str) -> KeyClaim | None:
        """Returns what an idempotency key of an owner is bound to, None if it is not bound.

        Args:
            owner: The tenant.
            key: The key.
        """
        session = await self._session()
        if session is None:
            return self._keys.get(owner, key)
        return await session.backend.find_key(owner or "", key)

    async def release_key(self, owner: str | None, key: str, claim: KeyClaim | None = None) -> None:
        """Frees a key whose turn never began; with ``claim``, only while the key is bound to that.

        Args:
            owner: The tenant.
            key: The key.
            claim: What it has to be bound to; None frees it in any case.
        """
        session = await self._session()
        if session is None:
            self._keys.release(owner, key, claim)
        else:
            await session.backend.release_key(owner or "", key, claim)

    async def ended(self, claim: KeyClaim) -> EndState | None:
        """Returns how the turn that an idempotency key is bound to ended, as far as the log knows."""
        if not self._in_use:
            return None
        end = self._local.ended(claim.turn_id)
        session = None if end is not None else await self._session()
        return end if session is None else await session.backend.ended(claim.turn_id)

    async def claim_interrupted(self) -> list[InterruptedTurn]:
        """Returns the turns whose worker's lease has run out, each to one caller of all workers.

        A claim that is not settled within a lease can be claimed again. A worker takes nothing before it has been in
        touch with the server for a whole lease: after an outage all leases have run out, and the living renew theirs.
        It also forgets what was kept for long enough, here and in the backend: see ``Backend.forget_old``.

        Raises:
            StoreUnavailableError: The backend cannot be reached.
        """
        if self._in_use:
            self._local.forget_old()
            self._keys.forget_old()
        session = await self._session()
        if session is None:
            return []
        await self._claims.end_forgotten(session.backend, self._running, self._local)
        await forget_old(session.backend)
        claimed = await self._claims.claim(session.backend)
        # There may be other workers now, which ask the turns of this one to stop.
        session.follower.listen()
        settling = time.monotonic() - self._began_at < LONE_AFTER
        busy = settling or session.backend.watched or bool(session.sender.turns)
        self.sweep_seconds = self._sweep_seconds if busy else LONE_SWEEP
        return [
            InterruptedTurn(info, await load_entries(session.backend, info.id), stop)
            for info, stop in claimed
        ]

    def _running(self) -> set[str]:
        with self._lock:
            return {turn_id for found, _ in self._sessions.values() for turn_id in list(found.sender.turns)}

    def holds_claim(self, turn_id: str) -> bool:
        """Returns whether a claim of this process still stands, as far as it can know without asking."""
        return not self.has_backend or self._claims.holds(turn_id)

    async def take_over(
        self, turn: InterruptedTurn, *, snapshot: SnapshotSource, on_stop: Callable[[], None]
    ) -> TurnWriter | None:
        """Returns a writer that goes on with a claimed turn, whose numbers jump: see ``InterruptedTurn.next_base``.

        Readers of the turn, wherever they are, get what is appended, and its end; closing the writer settles the turn.

        Args:
            turn: The turn as it was claimed, its ``info`` as it is to be from now on, with an ``attempt`` of its own.
            snapshot: Asked for the state when a reader's cursor is older than the kept window.
            on_stop: Called when a stop of the turn is requested.

        Returns:
            None where a turn cannot go on in another process: settle it.

        Raises:
            StaleTurnError: Another worker has claimed it since.
            StoreUnavailableError: The backend cannot be reached.
        """
        session = await self._session()
        if session is None:
            # A subclass has claimed it from somewhere else.
            return None
        # Readers that lag get the state: what the dead worker could not save may be among what they have.
        info = replace(turn.info, base=turn.next_base)
        epoch = await self._claims.adopt(session.backend, info)
        return self._share(session, info, snapshot, on_stop, epoch, base=info.base)

    async def settle(self, turn_id: str, events: Sequence[bytes] = ()) -> None:
        """Ends a claimed turn as interrupted, after it was finalised; ``take_over`` does so as well.

        A turn that was claimed by another worker since is left alone.

        Args:
            turn_id: The turn.
            events: What readers that still follow it are to hear of its end, as JSON in UTF-8.
        """
        claim = self._claims.pop(turn_id) if self._in_use else None
        session = None if claim is None else await self._session()
        if claim is not None and session is not None:
            await session.backend.settle(turn_id, claim, events)

    async def forget_thread(self, thread: ThreadKey) -> None:
        """Deletes what is kept of the turns of a thread that was deleted: their events and their state.

        They are to be stopped before. One that still runs, since its worker is dead or out of reach, is over and adds
        nothing. How turns ended is remembered, and keys stay bound to them, for as long as keys are. Other workers
        that ran turns of the thread have them in memory for ``retention``.

        Raises:
            StoreUnavailableError: The backend cannot be reached: what it keeps goes when its time is over.
        """
        if not self._in_use:
            return
        self._local.forget_thread(thread)
        session = await self._session()
        if session is not None:
            await session.backend.forget_thread(thread)

    def forget_owner(self, owner: str) -> int:
        """Forgets the ended turns and the keys of an owner in the memory of this process; returns how many."""
        return self._local.forget_owner(owner) + self._keys.forget_owner(owner) if self._in_use else 0

    @property
    def kept_bytes(self) -> int:
        """Bytes that are kept in memory for readers that come back."""
        return self._local.kept_bytes

    def kept_bytes_of(self, owner: str | None) -> int:
        """Returns the bytes that are kept in memory for an owner's readers that come back."""
        return self._local.kept_bytes_of(owner)

    def limit_kept_bytes(self, limits: Callable[[], Limits]) -> None:
        """Has the log keep no more in memory for readers that come back than some limits allow.

        Those are ``kept_bytes_per_owner`` and ``kept_bytes``. Ended turns are forgotten, the oldest first, where more
        is kept. Then the events of running turns are dropped up to 64 KiB: readers that lag get the state. The
        state of a running turn is kept in any case. ``limits`` returns the limits, which may be others at any time.
        """
        if self._in_use:
            self._local.limits = limits

    async def close(self) -> None:
        """Closes the connections of the running event loop; the log opens them again when it is used."""
        if not self._in_use:
            return
        with self._lock:
            found = self._sessions.pop((os.getpid(), asyncio.get_running_loop()), None)
        if found is not None:
            await found[1].aclose()
