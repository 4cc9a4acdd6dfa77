"""What a worker makes of turns whose worker died: they go on, begin, or end, as the application wants it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chatkit._tasks import maybe_await
from chatkit.dialects.openai_chatkit.store import accepting_store
from chatkit.errors import StoreError
from chatkit.server.requests.accepted import begin_lapsed, begin_waiting
from chatkit.server.requests.turns import run_again, run_lost
from chatkit.server.turns.observed import with_trace
from chatkit.store.acceptance import AcceptedTurn, TurnStatus
from chatkit.store.base import OwnerContext, Store
from chatkit.streams.base import InterruptedTurn, TurnInfo, load_info

if TYPE_CHECKING:
    from chatkit.server.handlers import Handlers
    from chatkit.server.scope import RequestScope

__all__ = ["TakingOver"]

logger = logging.getLogger("chatkit.server")


class TakingOver:
    """Takes over turns of workers that died.

    Args:
        application: Says which turns run again, and with what contexts.
        store: Its full store.
        scope: Returns what a request with a context is carried out with.
    """

    def __init__(
        self, application: Handlers[Any], store: Store[Any], scope: Callable[[Any], RequestScope]
    ) -> None:
        self._application = application
        self._store = accepting_store(store, whole=False)
        self._scope = scope

    async def run_again(self, turn: InterruptedTurn) -> bool:
        """Begins a turn again that the log knows, if the application wants that; returns whether it did.

        Args:
            turn: The turn, claimed in the log.

        Raises:
            StoreError: The turn waits for its place, and another worker has claimed it in the store.
        """
        info, store = turn.info, self._store
        if store is not None and info.owner is not None:
            accepted = await store.find_turn(info.id, OwnerContext(info.owner))
            turn = replace(turn, info=with_trace(info, accepted))
            if accepted is not None and accepted.status is TurnStatus.ENDED:
                return False
            if accepted is not None and accepted.status is TurnStatus.WAITING:
                scope, runs = await self._scope_again(info, info.owner, stopped=turn.stop)
                if not await begin_waiting(scope, turn, accepted, runs=runs):
                    raise StoreError(f"Turn {info.id} waits for another worker, to which this one leaves it.")
                return True
        if info.context is None or turn.stop or info.attempt > self._application.rerun_on_crash:
            return False
        return await run_again(self._scope(await self._load_context(info.context)), turn)

    async def begin_lapsed(self, owner: str, turn: AcceptedTurn) -> bool:
        """Begins a turn that a worker accepted and had not opened, or runs one again that its log has lost.

        Args:
            owner: The turn's owner.
            turn: The turn in the store, as it was found.

        Returns:
            Whether it was this worker that did so.
        """
        info = load_info(turn.info) if turn.info else None
        scope, runs = await self._scope_again(info, owner)
        if turn.status is TurnStatus.BEGUN and turn.opened:
            reruns = runs and self._application.rerun_on_crash > 0 and scope.turns.log.shared
            return reruns and await run_lost(scope, turn)
        return await begin_lapsed(scope, turn, runs=runs)

    async def _scope_again(
        self, info: TurnInfo | None, owner: str, *, stopped: bool = False
    ) -> tuple[RequestScope, bool]:
        """Returns what a turn of a dead worker is carried out with, and whether its handler may be called with that."""
        if info is not None and info.context is not None and not stopped:
            try:
                return self._scope(await self._load_context(info.context)), True
            except Exception:
                logger.exception("load_context() failed; the message of turn %s is kept, unanswered", info.id)
        return self._scope(OwnerContext(owner)), False

    async def _load_context(self, saved: str) -> Any:
        return await maybe_await(self._application.load_context(json.loads(saved)))
