"""The writer of a turn that is shared: at once to memory, a moment later to the backend."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from chatkit.errors import StaleTurnError
from chatkit.streams.backend import SEPARATOR, Save, SaveResult, SaveStatus, encode_parts
from chatkit.streams.records import (
    EndState,
    LogEntry,
    PortableSource,
    SnapshotSource,
    StatePart,
    TurnInfo,
    TurnWriter,
)
from chatkit.streams.window import Waiters, WindowTurn

if TYPE_CHECKING:
    from chatkit.streams.session import Session

__all__ = ["BATCH", "BUFFER", "CROWD", "OutgoingTurn"]

BATCH: Final = 4096
"""Bytes of a turn that do not wait for the next round."""
CROWD: Final = 1024 * 1024
"""Unsaved bytes of a turn at which it had better wait for a round."""
BUFFER: Final = 4 * 1024 * 1024
"""Bytes of a turn that wait for a server that is away, and that are kept of a turn that is not resumable."""

_logger = logging.getLogger("chatkit.streams")


class OutgoingTurn(TurnWriter):
    """Writes a turn, and knows how much of it the server does not have yet.

    Args:
        info: The turn.
        session: Sends what is appended.
        let_go: Called with its id when it goes on in another worker.
        memory: Where the readers of this process read it.
        snapshot: Returns its state.
        on_stop: Asks it to stop.
        window: Bytes of events that the server keeps at least, if readers may come back.

    Attributes:
        taken: Another worker has the turn.
        recording: Events are taken for the server; of a turn that is not resumable only for a while.
        saved_seq: Number of the last event that the server has.
        settled: The server has everything up to the end mark, or wants nothing more.
    """

    def __init__(
        self,
        info: TurnInfo,
        session: Session,
        let_go: Callable[[str], None],
        memory: WindowTurn,
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
        self.saved_seq = memory.last_seq
        self.queued = False
        self.taken = False
        self.settled = False
        self.end: EndState | None = None
        self.stop_told = False
        self.checked_at = 0.0
        self.appended_at = 0.0
        self.done: Waiters = []
        self._session = session
        self._sender = session.sender
        self._let_go = let_go
        self._told = False
        self._closing = False
        self._unreachable = False
        self._snapshot = snapshot
        self._window = window
        self._kept: deque[tuple[int, int]] = deque()
        self._kept_size = 0
        # The first save describes the events of another worker by a snapshot.
        self._rebased = memory.last_seq > 0
        self.recording = True
        self._sent = 0

    @property
    def lost(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride] -- the port only reads it
        """True once another worker owns the turn. After that was asked for, ``append`` raises no error."""
        self._told = self._told or self.taken
        return self.taken

    def append(self, data: bytes) -> int:
        if self.taken:
            if not self._told:
                self._told = True
                raise StaleTurnError(f"Turn {self.info.id} was taken over by another worker.")
            return self.memory.append(data)
        sender = self._sender
        memory = self.memory
        if time.monotonic() > sender.frozen_from and sender.check_frozen() and memory.held is not None:
            memory.held.append(data)
            seq = self.last_seq
        else:
            seq = memory.append(data)
        if self.recording:
            self.events.append(data)
            self.size += len(data)
        if not self.queued or self.size > BATCH:
            sender.queue(self)
        return seq

    @property
    def last_seq(self) -> int:
        return self.memory.last_seq + len(self.memory.held or ())

    @property
    def congested(self) -> bool:
        return self.memory.congested or self._crowded

    @property
    def _crowded(self) -> bool:
        return self.size > CROWD and not self._sender.failing

    async def drain(self) -> None:
        if self._crowded:
            await self._sender.flush(self)
        await self.memory.drain()

    async def flush(self) -> None:
        if self.events:
            await self._sender.flush(self)

    def detach(self) -> None:
        self.memory.detach()

    async def close(self, end: EndState) -> None:
        """Writes the end mark; where the server is away, it is told when it comes back."""
        await self._close(end, once_saved=False)

    async def close_once_saved(self, end: EndState) -> None:
        """Writes the end mark; where the server is away, readers here hear of it when they come back."""
        await self._close(end, once_saved=True)

    async def _close(self, end: EndState, *, once_saved: bool) -> None:
        if self._closing:
            return
        self._closing = True
        try:
            if not self.taken:
                self.end = end
                if self._unreachable:
                    self._sender.queue(self)
                else:
                    await self._sender.flush(self)
        finally:
            if (once_saved or self.memory.held) and not self.settled and not self.taken:
                self._let_go(self.info.id)
            await self.memory.close(EndState.INTERRUPTED if self.taken else end)
            await self._session.follower.end_turn()

    async def hand_over(self) -> bool:
        """Lets another worker claim the turn at once; not if what it appended cannot be saved, or was not."""
        if self._closing or self.taken:
            return False
        await self._sender.flush(self)
        # A server that did not answer just now is not waited for again: the process has little time left.
        self._unreachable = self._sender.failing
        if (
            self.taken
            or self.events
            or not self.recording
            or self._unreachable
            or not await self._sender.release(self)
        ):
            return False
        self._closing = True
        self._let_go(self.info.id)
        await self._session.follower.end_turn()
        return True

    async def give_way(self) -> bool:
        """Lets readers here find the turn where it is; the server is told of an end when it can be reached again."""
        await self._sender.ask(self)
        if not self.taken:
            if not self._sender.failing:
                return False
            self._let_go(self.info.id)
        self._told = True
        return True

    def next_save(self, *, failing: bool) -> Save:
        """Returns what the next round has to save."""
        if failing and self.size > BUFFER and self.info.resumable:
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
        """Takes note of what became of a save; returns whether there is more to do."""
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
            if self._session.backend.bounds_turns and not self.info.resumable and self._kept_size > BUFFER:
                self.recording = False
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
        entries: list[LogEntry] = list(self.memory.entries)
        entries = [entry for entry in entries if entry.seq > saved_seq]
        held = list(self.memory.held or ())
        if self.info.resumable:
            self.events = deque([*(entry.data for entry in entries), *held])
            self.saved_seq = self.last_seq - len(self.events)
            self._rebased = self.saved_seq > saved_seq
        elif self.saved_seq != saved_seq:
            # What the only reader has read is gone; the server keeps a beginning without gaps.
            self.events.clear()
            self.recording = False
            self.saved_seq = saved_seq
        self.size = sum(map(len, self.events))

    def limit_unsaved(self) -> None:
        """Takes no more events of a turn that is not resumable: a server that is away for long gets its beginning."""
        if self.size > BUFFER and not self.info.resumable:
            self.recording = False

    def _shorten(self) -> None:
        """Drops what a server that is away for long can do without."""
        kept = deque(self.events)
        while self.size > self._window:
            self.size -= len(kept.popleft())
            self.saved_seq += 1
        self.events = kept
        self._rebased = True

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
                "The state of turn %s cannot be made, so that nothing of it is dropped", self.info.id
            )
            return 0, b""
        return self.last_seq, encode_parts(parts)
