"""Which turns of dead workers a worker has claimed, and which of its own the server takes for running by mistake."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from chatkit.errors import StaleTurnError, StoreError
from chatkit.ids import new_id
from chatkit.streams.backend import SEPARATOR, Backend, Loaded, Save
from chatkit.streams.local import LocalTurns
from chatkit.streams.records import EndState, TurnInfo
from chatkit.streams.window import WindowTurn

__all__ = ["LONE_AFTER", "LONE_SWEEP", "SWEEP", "Claims", "forget_old"]

_logger = logging.getLogger("chatkit.streams")

SWEEP: Final = 2.0
"""Seconds between two looks for turns whose worker died."""
LONE_SWEEP: Final = 10.0
"""The same in a process that is alone and idle."""
LONE_AFTER: Final = 30.0
"""Seconds after its start in which a process looks as often as if others were there: they may be about to start."""


class Claims:
    """The turns that a worker has claimed.

    Args:
        holder: Returns the name of the worker.
        lease: Returns the seconds for which a claim is the worker's.
    """

    def __init__(self, holder: Callable[[], str], lease: Callable[[], float]) -> None:
        self._holder = holder
        self._lease = lease
        self._held: dict[str, tuple[str, float]] = {}
        self._strange: dict[str, float] = {}

    async def claim(self, backend: Backend) -> list[tuple[TurnInfo, bool]]:
        """Claims the turns whose worker's lease has run out, and returns them, with whether each was to stop."""
        claim = f"{self._holder()}/{new_id('claim')}"
        until = time.monotonic() + self._lease()
        claimed = await backend.claim(self._holder(), claim)
        self._held |= {info.id: (claim, until) for info, _ in claimed}
        return claimed

    def holds(self, turn_id: str) -> bool:
        """Returns whether a claim still stands, as far as the worker can know without asking."""
        held = self._held.get(turn_id)
        return held is not None and time.monotonic() < held[1]

    def pop(self, turn_id: str) -> str | None:
        """Gives a claim up and returns it."""
        held = self._held.pop(turn_id, None)
        return None if held is None else held[0]

    async def adopt(self, backend: Backend, info: TurnInfo) -> str:
        """Makes a claimed turn the worker's own, and returns the epoch of the server's data.

        Args:
            backend: The server.
            info: The turn as it is to be from now on.

        Raises:
            StaleTurnError: The worker has not claimed it, or another one has since.
            StoreError: The server cannot be asked; the claim stands.
        """
        held = self._held.pop(info.id, None)
        if held is None:
            raise StaleTurnError(f"Turn {info.id} is not claimed by this worker.")
        try:
            epoch = await backend.adopt(info, held[0], self._holder())
        except StoreError:
            self._held[info.id] = held
            raise
        if epoch is None:
            raise StaleTurnError(f"Turn {info.id} was claimed by another worker.")
        return epoch

    async def end_forgotten(
        self, backend: Backend, running: Callable[[], set[str]], local: LocalTurns
    ) -> None:
        """Ends turns that the server wrongly takes for running here: as long as this worker lives, no other one would.

        A crash or a failover may have taken their ends from a server; or their event loop was closed under them.

        Args:
            backend: The server.
            running: Returns the turns that run here.
            local: The turns of this process, also those that have ended.
        """
        # A turn that begins or ends at this moment may be among them.
        strange = set(await backend.held(self._holder())) - running()
        now = time.monotonic()
        self._strange = {turn_id: self._strange.get(turn_id, now) for turn_id in strange}
        for turn_id in [turn_id for turn_id, since in self._strange.items() if now - since > self._lease()]:
            del self._strange[turn_id]
            if local.ended(turn_id) is None:
                await backend.release(turn_id, self._holder())
            elif (loaded := await backend.load(turn_id, 0)) is not None:
                kept = local.get(turn_id, loaded.record.info.owner)
                await backend.save(self._holder(), [_end_again(loaded, kept)], renew=False)


def _end_again(loaded: Loaded, kept: WindowTurn | None) -> Save:
    """Returns what ends a turn that has ended here, with the events that the server lost, as far as they are kept."""
    info, last_seq = loaded.record.info, loaded.last_seq
    if kept is not None and kept.end is not None and kept.last_seq - last_seq <= len(kept.entries):
        lost = [entry.data for entry in kept.entries if entry.seq > last_seq]
        events, end = SEPARATOR.join(lost), kept.end
    else:
        lost, events, end = [], b"", EndState.INTERRUPTED
    return Save(info.id, last_seq + 1, last_seq + len(lost), events, end=end, plain=not info.resumable)


async def forget_old(backend: Backend) -> None:
    """Deletes what was kept for long enough; turns of dead workers are claimed although that fails."""
    try:
        await backend.forget_old()
    except StoreError as error:
        _logger.info("What was kept for long enough cannot be deleted at the moment: %s", error)
