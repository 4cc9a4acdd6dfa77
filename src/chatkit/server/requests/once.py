"""Requests that change something and answer JSON: under an idempotency key each is carried out once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from chatkit._outages import log_failure
from chatkit.errors import (
    ConfigurationError,
    ConflictError,
    InvalidRequestError,
    RequestError,
    StaleTurnError,
)
from chatkit.ids import new_id
from chatkit.server.requests.sendings import OTHER_REQUEST, fingerprint, idempotency_key
from chatkit.store.acceptance import Acceptance, AcceptedTurn, AcceptingStore, TurnStatus
from chatkit.streams.base import EndState

if TYPE_CHECKING:
    from chatkit.server.scope import RequestScope

__all__ = ["answered_once"]

logger = logging.getLogger("chatkit.server")

_LEASE_SECONDS: Final = 3600.0
"""Time after which a request that has no answer so far counts as cut off."""
_PATIENCE_SECONDS: Final = 10.0
"""How long a request that was sent again waits for the answer of the first sending."""
_PAUSE_SECONDS: Final = 0.05


def answered_once(
    handler: Callable[[RequestScope, Any], Awaitable[Any]],
) -> Callable[[RequestScope, Any], Awaitable[Any]]:
    """Returns a function that carries a request out, or gives the answer that it had when it was sent before."""

    @wraps(handler)
    async def answer(scope: RequestScope, params: Any) -> Any:
        store, request, key = scope.accepting, scope.request, idempotency_key(scope.metadata)
        if store is None or request is None or key is None:
            return await handler(scope, params)
        mark = fingerprint(scope, request)
        acceptance = Acceptance(new_id("req"), "", _LEASE_SECONDS, key=key, fingerprint=mark.kept)
        accepted = await _first(scope, store, acceptance, mark.known)
        if not accepted.fresh:
            return accepted.info.encode()
        try:
            answered = await handler(scope, params)
        except BaseException:
            work = store.withdraw_turn(acceptance, accepted.token, scope.context)
            name = f"Freeing the key of request {acceptance.turn_id}"
            await asyncio.shield(scope.turns.background.run(work, name=name, seconds=60.0))
            raise
        try:
            await store.finish_turn(
                accepted.turn_id, accepted.token, EndState.COMPLETED, scope.context, info=answered.decode()
            )
        except Exception as error:  # noqa: BLE001 -- the request is carried out
            log_failure(logger, "An answer cannot be given again to the same request", error, brief=True)
        return answered

    return answer


async def _first(
    scope: RequestScope, store: AcceptingStore[Any], acceptance: Acceptance, known: frozenset[str]
) -> AcceptedTurn:
    """Returns the request as it was accepted, just now or before; in that case with its answer.

    Raises:
        InvalidRequestError: The key was used for another request.
        ConflictError: It was accepted before, and is not known to have been carried out.
    """
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        accepted = await _accept(scope, store, acceptance)
        if accepted.fresh:
            return accepted
        if accepted.fingerprint not in known:
            raise InvalidRequestError(OTHER_REQUEST)
        if accepted.end == EndState.COMPLETED:
            return accepted
        ended = accepted.status is TurnStatus.ENDED or accepted.lapsed
        if ended or time.monotonic() > until:
            raise ConflictError(
                "It is not known whether this request was carried out when it was sent before. Look, and send it again "
                "with another idempotency key if it was not."
                if ended
                else "This request is still being carried out. Send it again with the same idempotency key."
            )
        await asyncio.sleep(_PAUSE_SECONDS)


async def _accept(scope: RequestScope, store: AcceptingStore[Any], acceptance: Acceptance) -> AcceptedTurn:
    try:
        return await store.accept_turn(acceptance, scope.context)
    except (RequestError, ConfigurationError, StaleTurnError):
        raise
    except Exception:
        # Its key must not stay with a request that is not carried out.
        resolved = await store.resolve_turn(acceptance.turn_id, "", scope.context)
        if resolved is not None:
            await store.withdraw_turn(acceptance, resolved.token, scope.context)
        raise
