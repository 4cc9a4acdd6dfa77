"""A log as applications wrote it for the earlier port, an abstract class without a constructor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatkit.streams.base import (
    InterruptedTurn,
    KeyClaim,
    SnapshotSource,
    StreamLog,
    ThreadKey,
    TurnInfo,
    TurnReader,
    TurnWriter,
)
from chatkit.streams.memory import MemoryStreamLog


class EarlierLog(StreamLog):
    """Implements what was abstract, and finds turns of dead workers; its attributes are its own."""

    def __init__(self) -> None:
        self.left_behind: list[InterruptedTurn] = []
        self.settled: list[tuple[str, list[bytes]]] = []
        self._inner = MemoryStreamLog()
        # Names that this package uses as well.
        self._local = self._lock = self._sessions = self._claims = self._keys = None

    async def open(
        self, info: TurnInfo, *, snapshot: SnapshotSource, on_stop: Callable[[], None]
    ) -> TurnWriter:
        return await self._inner.open(info, snapshot=snapshot, on_stop=on_stop)

    async def read(self, turn_id: str, owner: str | None, after: int | None) -> TurnReader | None:
        return await self._inner.read(turn_id, owner, after)

    async def find(self, turn_id: str, owner: str | None) -> TurnInfo | None:
        return await self._inner.find(turn_id, owner)

    async def active(self, thread: ThreadKey) -> list[TurnInfo]:
        return await self._inner.active(thread)

    async def latest(self, thread: ThreadKey) -> TurnInfo | None:
        return await self._inner.latest(thread)

    async def stop(self, turn_id: str, owner: str | None) -> bool:
        return await self._inner.stop(turn_id, owner)

    async def wait_closed(self, turn_id: str, owner: str | None) -> None:
        await self._inner.wait_closed(turn_id, owner)

    async def claim_key(self, owner: str | None, key: str, claim: KeyClaim) -> KeyClaim:
        return await self._inner.claim_key(owner, key, claim)

    async def release_key(self, owner: str | None, key: str, claim: KeyClaim | None = None) -> None:
        await self._inner.release_key(owner, key, claim)

    async def claim_interrupted(self) -> list[InterruptedTurn]:
        claimed, self.left_behind = self.left_behind, []
        return claimed

    async def settle(self, turn_id: str, events: Any = ()) -> None:
        self.settled.append((turn_id, list(events)))
