"""Beginning the turn of a request once, however often the request is sent under its idempotency key.

Stores that accept whole turns keep the keys (``keys_in_store``), for the others the log does (``keys_in_log``).
"""

from __future__ import annotations

from chatkit.server.requests.keys_in_log import begin_keyed
from chatkit.server.requests.keys_in_store import begin_accepted
from chatkit.server.requests.sendings import MakeTurn, Sending, fingerprint, idempotency_key
from chatkit.server.requests.turns import begin
from chatkit.server.scope import RequestScope
from chatkit.server.turns.results import StreamingResult

__all__ = ["begin_once"]


async def begin_once(
    scope: RequestScope, make_turn: MakeTurn, make_again: MakeTurn | None = None
) -> StreamingResult:
    """Begins the turn of a request, or returns a reader of the one that the same request began before.

    Args:
        scope: The request, which uses its thread.
        make_turn: Makes its turn.
        make_again: Makes it where what it writes first is stored already; by default one that answers the message.

    Raises:
        InvalidRequestError: The key was used for another request.
        Exception: Whatever making or beginning the turn raised. The key is free again then, unless something of the
            turn is stored, or may be.
    """
    request, key = scope.request, idempotency_key(scope.metadata)
    if request is None or key is None:
        # Before the turn is made, which may copy files.
        async with scope.use_turn():
            return await begin(await make_turn())
    if scope.accepting is not None:
        return await begin_accepted(Sending(scope, key, fingerprint(scope, request), make_turn, make_again))
    return await begin_keyed(Sending(scope, key, fingerprint(scope, request), make_turn))
