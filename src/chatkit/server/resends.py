"""Taking a message once, however often it is sent under its idempotency key."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from chatkit.errors import InvalidRequestError, NotFoundError, RequestError
from chatkit.ids import new_id
from chatkit.server.parsing import fingerprint, idempotency_key, is_resumable
from chatkit.server.replay import replay_from_store
from chatkit.server.results import StreamingResult
from chatkit.server.runner import Runner
from chatkit.server.turn import TurnPlan
from chatkit.store.base import Store, find_item, usual_owner
from chatkit.streams.base import EndState, KeyClaim
from chatkit.types import StreamingReq, ThreadsCreateReq

__all__ = ["Begin", "Resends", "owner_of"]

_BEGINNING: Final = 5.0
"""Seconds for which a message that was sent again waits for the worker that got it first to begin its turn."""
_BEGINNING_PAUSE: Final = 0.1

Begin: TypeAlias = Callable[[StreamingReq, TurnPlan, str | None], Awaitable[StreamingResult]]
"""Begins a turn; with a turn id under that, and kept for those who send its message again."""


class Resends:
    """Takes the messages of one request.

    Args:
        turns: The register of turns.
        store: The full store.
        context: The request's context.
        begin: Begins a turn.
    """

    def __init__(self, turns: Runner, store: Store[Any], context: Any, begin: Begin) -> None:
        self._turns = turns
        self._store = store
        self._context = context
        self._begin = begin

    async def once(
        self, request: StreamingReq, make_plan: Callable[[], Awaitable[TurnPlan]]
    ) -> StreamingResult:
        """Begins the turn of a request, or returns a reader of the one that the same request began before.

        Raises:
            InvalidRequestError: The key was used for another request.
            Exception: Whatever planning or beginning the turn raised; the key is free again then.
        """
        key = idempotency_key(request)
        if key is None:
            return await self._begin(request, await make_plan(), None)
        log, owner, mark = self._turns.log, owner_of(self._store, self._context), fingerprint(request)
        turn_id = new_id("turn")
        plan: TurnPlan | RequestError
        try:
            plan = await make_plan()
            claim = KeyClaim(turn_id, plan.thread.id, mark, fresh=True, user_item_id=plan.user_item_id)
        except RequestError as refused:
            # The first sending may be what made the thread refuse messages.
            plan = refused
            claim = KeyClaim(turn_id, "", mark, fresh=True)
        mine = claim
        claim = await log.claim_key(owner, key, mine)
        if claim.fresh:
            try:
                if isinstance(plan, RequestError):
                    raise plan
                return await self._begin(request, plan, turn_id)
            except BaseException:
                await log.release_key(owner, key, mine)
                raise
        patience = time.monotonic() + _BEGINNING
        while not claim.fresh:
            if claim.fingerprint != mark:
                raise InvalidRequestError(
                    "This idempotency key was used for another request. Make a new key."
                )
            again = await self._sent_before(request, claim)
            if again is not None:
                return again
            if isinstance(plan, RequestError):
                await log.release_key(owner, key, claim)
                raise plan
            if await log.ended(claim.turn_id) is not None or time.monotonic() > patience:
                # The message was deleted since, or its process died before it was stored: it is a new one.
                break
            # Another worker may be about to begin it, and has to stop an earlier turn first.
            await asyncio.sleep(_BEGINNING_PAUSE)
            claim = await log.claim_key(owner, key, mine)
        await log.release_key(owner, key, claim)
        return await self.once(request, make_plan)

    async def _sent_before(self, request: StreamingReq, claim: KeyClaim) -> StreamingResult | None:
        """Returns the turn of a message that was sent before; None if nothing of it is left."""
        log, resumable = self._turns.log, is_resumable(request)
        await self._turns.wait_begun(claim.turn_id)
        info = await log.find(claim.turn_id)
        if info is not None and not await self._died_unstored(claim):
            return await self._turns.attach(info, None, with_ids=resumable)
        # A turn of which nothing is known may have been cut off with its process.
        end = await log.ended(claim.turn_id) or EndState.INTERRUPTED
        created = isinstance(request, ThreadsCreateReq)
        try:
            frames = await replay_from_store(
                self._store, claim, self._context, created=created, end=end if resumable else None
            )
        except NotFoundError:
            return None
        return StreamingResult(frames)

    async def _died_unstored(self, claim: KeyClaim) -> bool:
        """Tells whether the worker of a turn died before it had stored the message."""
        if (
            claim.user_item_id is None
            or await self._turns.log.ended(claim.turn_id) is not EndState.INTERRUPTED
        ):
            return False
        return await find_item(self._store, claim.thread_id, claim.user_item_id, self._context) is None


def owner_of(store: Store[Any], context: object) -> str | None:
    """Returns the tenant of a request, as the store sees it; by the usual field where the store knows none."""
    owner = store.owner(context)
    return usual_owner(context) or None if owner is None else owner
