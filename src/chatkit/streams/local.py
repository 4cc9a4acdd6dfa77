"""The turns of this process: those that run, and those that are kept in memory for a while after their end."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias, TypeVar

from chatkit.errors import InvalidRequestError
from chatkit.limits import DEFAULT_LIMITS, Limits
from chatkit.streams.records import JUMP, EndState, KeyClaim, SnapshotSource, ThreadKey, TurnInfo
from chatkit.streams.window import KEY_RETENTION, WindowReader, WindowTurn, wake

__all__ = ["Keys", "LocalTurns"]

K = TypeVar("K")
V = TypeVar("V")

KEY_LIMIT: Final = 10_000
"""Idempotency keys, and ends of turns, that are kept in memory."""


Remembered: TypeAlias = OrderedDict[K, tuple[V, float]]
"""Values with the moment up to which they are remembered, the oldest first."""


def remember(values: Remembered[K, V], key: K, value: V) -> None:
    """Keeps a value for a day from now on; of more than 10,000 the newest are kept."""
    values.pop(key, None)
    if len(values) >= KEY_LIMIT:
        values.popitem(last=False)
    values[key] = (value, time.monotonic() + KEY_RETENTION)


def forget_after_a_day(values: Remembered[K, V]) -> None:
    """Forgets what has been kept for a day."""
    now = time.monotonic()
    while values and next(iter(values.values()))[1] <= now:
        values.popitem(last=False)


class LocalTurns:
    """The turns that run in this process, and those that are kept for a while after their end.

    Args:
        window: Bytes of events kept of a turn whose readers may come back.
        retention: Seconds for which such a turn is kept after its end.
        lag_limit: Bytes that the reader of another turn may lag behind before the turn waits.

    Attributes:
        window: As given.
        lag_limit: As given.
        kept_bytes: Bytes that are kept for readers that come back.
        limits: Returns the limits of these bytes.
    """

    def __init__(self, window: int, retention: float, lag_limit: int) -> None:
        self.window = window
        self.lag_limit = lag_limit
        self.kept_bytes = 0
        self.limits: Callable[[], Limits] = lambda: DEFAULT_LIMITS
        self._retention = retention
        self._ends: Remembered[str, EndState] = OrderedDict()
        self._turns: dict[str, WindowTurn] = {}
        self._by_thread: dict[ThreadKey, dict[str, WindowTurn]] = {}
        self._of_owner: dict[str | None, OrderedDict[str, WindowTurn]] = {}
        self._ended: OrderedDict[str, WindowTurn] = OrderedDict()
        self._kept_of: dict[str | None, int] = {}

    def begin(
        self,
        info: TurnInfo,
        snapshot: SnapshotSource,
        on_stop: Callable[[], None],
        *,
        last_seq: int = 0,
    ) -> WindowTurn:
        """Begins a turn.

        Args:
            info: The turn.
            snapshot: Asked for the state when a reader's cursor is older than the window.
            on_stop: Asks the turn to stop.
            last_seq: Number after which its events begin.
        """
        self.forget_old()
        turn = WindowTurn(info, snapshot, on_stop, self, last_seq)
        earlier = self._turns.get(info.id)
        if earlier is not None:
            self._drop(earlier)
        self._turns[info.id] = turn
        self._by_thread.setdefault(info.thread, {})[info.id] = turn
        self._of_owner.setdefault(info.owner, OrderedDict())[info.id] = turn
        return turn

    def end(self, turn: WindowTurn) -> None:
        """Keeps a turn that has ended for readers that come back, or forgets it where none can."""
        if not turn.resumable:
            self._drop(turn)
            return
        turn.seal()
        if not self._knows(turn):
            return
        if turn.end is not None:
            remember(self._ends, turn.info.id, turn.end)
        if turn.forgotten:
            self._drop(turn)
            return
        self._ended[turn.info.id] = turn
        # What ended first is first among those that ended.
        self._of_owner[turn.info.owner].move_to_end(turn.info.id)
        self.count(turn)

    def kept_bytes_of(self, owner: str | None) -> int:
        """Returns the bytes that are kept for an owner's readers that come back."""
        return self._kept_of.get(owner, 0)

    def count(self, turn: WindowTurn) -> None:
        """Counts what is kept of a turn, and makes room for it."""
        if not self._knows(turn):
            return
        owner = turn.info.owner
        self._recount(turn, turn.kept)
        self._make_room(self._of_owner[owner], lambda: self._excess_of(owner))
        # Those that ended are in the order in which they did so, those that run in the order in which they began.
        self._make_room(self._ended, self._excess)
        self._make_room(self._turns, self._excess)

    def _recount(self, turn: WindowTurn, kept: int) -> None:
        owner, more = turn.info.owner, kept - turn.counted
        self.kept_bytes += more
        self._kept_of[owner] = self._kept_of.get(owner, 0) + more
        if not self._kept_of[owner]:
            del self._kept_of[owner]
        turn.counted = kept
        turn.uncounted = 0

    def _excess_of(self, owner: str | None) -> int:
        """Returns how many bytes too many are kept of an owner; none or fewer is fine."""
        limit = self.limits().kept_bytes_per_owner
        return 0 if limit is None else self.kept_bytes_of(owner) - limit

    def _excess(self) -> int:
        """Returns how many bytes too many are kept of all owners; none or fewer is fine."""
        limit = self.limits().kept_bytes
        return 0 if limit is None else self.kept_bytes - limit

    def _make_room(self, turns: dict[str, WindowTurn], excess: Callable[[], int]) -> None:
        while excess() > 0 and (oldest := next((turn for turn in turns.values() if turn.end), None)):
            self._drop(oldest)
        if excess() > 0:
            for turn in turns.values():
                if turn.resumable:
                    turn.shrink(excess())
                    self._recount(turn, turn.kept)
                    if excess() <= 0:
                        return

    def _knows(self, turn: WindowTurn) -> bool:
        return self._turns.get(turn.info.id) is turn

    def let_go(self, turn_id: str) -> None:
        """Forgets a turn that another worker has; if it runs, readers here get no more of it."""
        turn = self._turns.get(turn_id)
        if turn is not None and turn.end is None:
            turn.moved = True
        if turn is not None:
            self._drop(turn)
            wake(turn.news)
            wake(turn.closed)
            wake(turn.drained)

    def _drop(self, turn: WindowTurn) -> None:
        """Forgets a turn; readers that have it go on."""
        if not self._knows(turn):
            return
        del self._turns[turn.info.id]
        self._ended.pop(turn.info.id, None)
        self._recount(turn, 0)
        of_owner = self._of_owner.get(turn.info.owner)
        if of_owner is not None:
            of_owner.pop(turn.info.id, None)
            if not of_owner:
                del self._of_owner[turn.info.owner]
        of_thread = self._by_thread.get(turn.info.thread)
        if of_thread is not None:
            of_thread.pop(turn.info.id, None)
            if not of_thread:
                del self._by_thread[turn.info.thread]

    def forget_old(self) -> None:
        """Forgets the turns that ended long enough ago, and how turns ended a day ago."""
        horizon = time.monotonic() - self._retention
        while self._ended and (oldest := next(iter(self._ended.values()))).ended_at < horizon:
            self._drop(oldest)
        forget_after_a_day(self._ends)

    def forget_thread(self, thread: ThreadKey) -> None:
        """Forgets the turns of a thread that was deleted; one that still runs is forgotten at its end."""
        for turn in self.of_thread(thread):
            turn.forgotten = True
            if turn.end is not None:
                self._drop(turn)

    def forget_owner(self, owner: str) -> int:
        """Forgets the ended turns of an owner, and how they ended; returns how many there were."""
        turns = self._of_owner.get(owner) or OrderedDict[str, WindowTurn]()
        ended = [turn for turn in turns.values() if turn.end is not None]
        for turn in ended:
            self._drop(turn)
            self._ends.pop(turn.info.id, None)
        return len(ended)

    def get(self, turn_id: str, owner: str | None) -> WindowTurn | None:
        """Returns an owner's turn that runs or is kept in this process."""
        turn = self._turns.get(turn_id)
        return turn if turn is not None and turn.info.owner == owner else None

    def running(self) -> list[WindowTurn]:
        """Returns the turns that run in this process."""
        return [turn for turn in self._turns.values() if turn.end is None]

    def ended(self, turn_id: str) -> EndState | None:
        """Returns how a turn ended whose readers may come back, for as long as idempotency keys are kept."""
        found = self._ends.get(turn_id)
        return None if found is None else found[0]

    def of_thread(self, thread: ThreadKey) -> list[WindowTurn]:
        """Returns the turns of a thread in the order in which they began."""
        return list(self._by_thread.get(thread, {}).values())

    def read(self, turn_id: str, owner: str | None, after: int | None) -> WindowReader | None:
        """Returns a reader of an owner's turn, None if it is not kept here, or another worker has gone on with it.

        Raises:
            InvalidRequestError: The turn has not sent the event numbered ``after``.
        """
        self.forget_old()
        turn = self.get(turn_id, owner)
        if turn is None:
            return None
        # What is held here may have been read elsewhere, where it is known whose the turn is.
        if after is not None and after > turn.last_seq + len(turn.held or ()):
            if after > turn.last_seq + JUMP // 2:
                # Of an attempt that this process, which stood still or was cut off, has not heard of.
                return None
            raise InvalidRequestError("'after' names an event that this turn has not sent.")
        return WindowReader(turn, after)


class Keys:
    """Idempotency keys in memory."""

    def __init__(self) -> None:
        self._keys: Remembered[tuple[str | None, str], KeyClaim] = OrderedDict()

    def claim(self, owner: str | None, key: str, claim: KeyClaim) -> KeyClaim:
        """Binds a key, or returns what it is bound to already."""
        self.forget_old()
        held = self._keys.get((owner, key))
        if held is not None:
            return held[0]
        remember(self._keys, (owner, key), replace(claim, fresh=False))
        return claim

    def get(self, owner: str | None, key: str) -> KeyClaim | None:
        """Returns what a key is bound to."""
        held = self._keys.get((owner, key))
        return None if held is None else held[0]

    def release(self, owner: str | None, key: str, claim: KeyClaim | None) -> None:
        """Frees a key, if it is bound to ``claim``; None frees it in any case."""
        held = self._keys.get((owner, key))
        if held is not None and (claim is None or held[0].turn_id == claim.turn_id):
            del self._keys[owner, key]

    def forget_owner(self, owner: str) -> int:
        """Forgets the keys of an owner, and returns how many there were."""
        mine = [key for key in self._keys if key[0] == owner]
        for key in mine:
            del self._keys[key]
        return len(mine)

    def forget_old(self) -> None:
        """Forgets the keys that were bound a day ago."""
        forget_after_a_day(self._keys)
