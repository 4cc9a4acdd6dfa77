"""Turns that the store takes for running: their worker renews their leases, and sweeps end those of dead workers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import TYPE_CHECKING, Final

from chatkit._outages import log_failure
from chatkit.dialects.openai_chatkit.store import accepting_store
from chatkit.errors import StoreError
from chatkit.server.turns.observed import tell_taken_over
from chatkit.store.acceptance import AcceptedTurn, AcceptingStore, TurnStatus
from chatkit.store.base import OwnerContext
from chatkit.streams.base import EndState, KeyClaim, StreamLog, ThreadKey, TurnInfo, load_info

if TYPE_CHECKING:
    from chatkit.server.turns.registry import TurnRegistry

__all__ = ["StoreSweep", "keep_leases"]

logger = logging.getLogger("chatkit.server")

_LEASES: Final = 3
"""Leases of the log for which the store takes a turn for running, and after which a sweep looks at one again."""
_UNKNOWN_LEASES: Final = 2
_BEGIN_LIMIT_SECONDS: Final = 60.0
"""Time in which a turn must have begun again: what ``load_context()`` waits for must not hold up other turns."""


def keep_leases(turns: TurnRegistry) -> None:
    """Has the leases of the turns that run in this event loop renewed in the store, as long as there are any."""
    loop = asyncio.get_running_loop()
    if loop not in turns.renewing:
        turns.renewing.add(loop)
        loop.call_later(turns.log.lease / 2, _renew, turns, context=Context())


def _renew(turns: TurnRegistry) -> None:
    loop = asyncio.get_running_loop()
    turns.renewing.discard(loop)
    running = [
        turn for turn in turns.running_turns() if turn.loop is loop and turn.fence and turn.fence.token
    ]
    store = accepting_store(running[0].scope.store, whole=False) if running else None
    if store is not None:
        keep_leases(turns)
        held = [(str(turn.info.owner), turn.fence) for turn in running if turn.fence is not None]
        work = store.renew_turns(held, _LEASES * turns.log.lease)
        turns.background.run(work, name="Renewing the leases of turns", seconds=turns.log.lease)


class StoreSweep:
    """Ends turns that the store takes for running and whose worker died.

    Args:
        log: The stream log.
        runs_here: Returns whether a turn runs in this process.
    """

    def __init__(self, log: StreamLog, runs_here: Callable[[str], bool]) -> None:
        self._log = log
        self._runs_here = runs_here
        self._unknown: dict[tuple[str, str], float] = {}
        self._claimed: dict[tuple[str, str], tuple[int, EndState]] = {}

    async def run(
        self, store: AcceptingStore[object], begin: Callable[[str, AcceptedTurn], Awaitable[bool]]
    ) -> int:
        """Ends turns that the store takes for running and whose worker died; returns how many.

        Turns that the log takes for running are the log's to judge: see ``Recovery``.

        Args:
            store: The store.
            begin: Begins or runs again a turn of an owner that the log does not know; returns whether it did so.
        """
        count, now = await self._end_claimed(store), time.monotonic()
        pause = _LEASES * self._log.lease
        # A worker that has waited long enough for one need not wait for its next turn to look.
        names = [name for name, since in self._unknown.items() if now - since >= self._patience]
        while True:
            for owner, turn_id in names:
                if self._runs_here(turn_id):
                    continue
                try:
                    count += await self._end_lapsed(store, owner, turn_id, now, begin)
                except Exception as error:  # noqa: BLE001 -- it is logged
                    log_failure(logger, f"Turn {turn_id} of a worker that died could not be ended", error)
            # Page by page: a dead one may come after many that another worker runs and could not renew.
            if time.monotonic() - now >= pause or not (lapsed := await store.lapsed_turns(pause)):
                break
            names = [(entry.owner, entry.turn.turn_id) for entry in lapsed]
        return count

    async def _end_claimed(self, store: AcceptingStore[object]) -> int:
        """Ends turns that this worker claimed and could not end then, such as for a full disk; returns how many.

        Nobody else can before they lapse again.
        """
        count = 0
        for (owner, turn_id), (token, end) in list(self._claimed.items()):
            try:
                count += bool(await store.finish_turn(turn_id, token, end.value, OwnerContext(owner)))
            except Exception as error:  # noqa: BLE001 -- it is logged
                log_failure(logger, f"Turn {turn_id} of a worker that died could not be ended", error)
            else:
                self._claimed.pop((owner, turn_id), None)
        return count

    @property
    def _patience(self) -> float:
        """Seconds for which a turn that was opened must be unknown to the log before it counts as a dead worker's."""
        return _UNKNOWN_LEASES * self._log.lease

    async def _end_lapsed(
        self,
        store: AcceptingStore[object],
        owner: str,
        turn_id: str,
        now: float,
        begin: Callable[[str, AcceptedTurn], Awaitable[bool]],
    ) -> bool:
        context = OwnerContext(owner)
        since = self._unknown.pop((owner, turn_id), now)
        found = await store.find_turn(turn_id, context)
        if found is None:
            return False
        thread = ThreadKey(owner, found.thread_id)
        if any(info.id == turn_id for info in await self._log.active(thread)):
            return False
        # Asked again: it may have been opened, or have ended, since.
        found = await store.find_turn(turn_id, context)
        if found is None or found.status is TurnStatus.ENDED or not found.lapsed:
            return False
        end = None
        if found.opened:
            end = await self._log.ended(KeyClaim(turn_id, found.thread_id, "", fresh=False))
            if end is None and await store.has_completed(turn_id, context):
                end = EndState.COMPLETED
            # A log that has lost its data hears of the turn again from a worker that lives. The memory of another
            # process is not known here at all: there the lease says whether it lives, and has run out twice.
            if end is None and now - since < self._patience:
                self._unknown[owner, turn_id] = since
                return False
        if not found.opened or found.status is TurnStatus.WAITING:
            async with asyncio.timeout(_BEGIN_LIMIT_SECONDS):
                if await begin(owner, found):
                    return True
        elif end is None and not found.claimed and await self._runs_again(owner, found, begin):
            return True
        claimed = await store.claim_turn(found, self._log.lease, context)
        if claimed is None:
            return False
        known, end = end, end or EndState.INTERRUPTED
        self._claimed[owner, turn_id] = claimed.token, end
        await store.finish_turn(turn_id, claimed.token, end.value, context)
        self._claimed.pop((owner, turn_id), None)
        if known is None and found.opened:
            tell_taken_over(load_info(found.info) if found.info else TurnInfo(turn_id, found.thread_id), end)
        return True

    async def _runs_again(
        self, owner: str, found: AcceptedTurn, begin: Callable[[str, AcceptedTurn], Awaitable[bool]]
    ) -> bool:
        """Returns whether a turn was run again; one for which that fails is ended."""
        try:
            async with asyncio.timeout(_BEGIN_LIMIT_SECONDS):
                return await begin(owner, found)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 -- it is logged
            log_failure(logger, f"Turn {found.turn_id} of a worker that died cannot be run again", error)
            return False
