"""The stream log of one process, in memory."""

from __future__ import annotations

from collections.abc import Callable

from chatkit._checks import checked
from chatkit.streams.log import StreamLog
from chatkit.streams.records import InterruptedTurn, SnapshotSource, TurnWriter
from chatkit.streams.window import KEY_RETENTION, LAG_LIMIT, LEAST_WINDOW, RETENTION, WINDOW, Waiters
from chatkit.streams.window import WindowTurn as MemoryTurn
from chatkit.streams.window import WindowTurn as MemoryTurnWriter

__all__ = [
    "KEY_RETENTION",
    "LAG_LIMIT",
    "LEAST_WINDOW",
    "RETENTION",
    "WINDOW",
    "MemoryStreamLog",
    "MemoryTurn",
    "MemoryTurnWriter",
    "Waiters",
]


class MemoryStreamLog(StreamLog):
    """Keeps turns in the memory of this process.

    Args:
        window: Bytes of events kept of a turn whose readers may come back.
        retention: Seconds for which such a turn is kept after its end.
        lag_limit: Bytes that the reader of another turn may lag behind before the turn waits.
    """

    @checked
    def __init__(
        self, *, window: int = WINDOW, retention: float = RETENTION, lag_limit: int = LAG_LIMIT
    ) -> None:
        super().__init__(window=window, retention=retention, lag_limit=lag_limit)

    async def take_over(
        self, turn: InterruptedTurn, *, snapshot: SnapshotSource, on_stop: Callable[[], None]
    ) -> TurnWriter | None:
        """Returns a writer that goes on with a turn that a subclass has claimed."""
        return self._local.begin(turn.info, snapshot, on_stop, last_seq=turn.next_base)
