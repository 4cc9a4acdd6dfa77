"""Turns that a worker accepted and did not begin before it died: another one begins or ends them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast

from chatkit.dialects.openai_chatkit.store import accepting_store
from chatkit.errors import NotFoundError
from chatkit.server.requests.turns import stream_options
from chatkit.server.turns.ending import Interrupted
from chatkit.server.turns.pipeline import Pipeline
from chatkit.server.turns.recovery import find_opening
from chatkit.server.turns.turn import Turn
from chatkit.store.acceptance import AcceptedTurn, AcceptingStore, TurnStatus
from chatkit.store.base import find_item
from chatkit.streams.base import EndState, InterruptedTurn, KeyClaim, TurnInfo, load_info
from chatkit.types import ThreadStreamEvent, UserMessageItem

if TYPE_CHECKING:
    from chatkit.server.scope import RequestScope

__all__ = ["begin_lapsed", "begin_waiting", "claim_of", "turn_of_accepted"]


def claim_of(turn: AcceptedTurn) -> KeyClaim:
    """Returns an accepted turn as the log names the turn of a key."""
    return KeyClaim(
        turn.turn_id, turn.thread_id, turn.fingerprint, fresh=False, user_item_id=turn.user_item_id
    )


async def turn_of_accepted(
    scope: RequestScope, accepted: AcceptedTurn, info: TurnInfo, *, runs: bool = True
) -> Turn:
    """Returns a turn that goes on with one that was accepted, and whose handler was not called.

    Args:
        scope: The request, or what is known of it.
        accepted: The turn, claimed by this worker.
        info: The turn as the log is to know it.
        runs: Whether the handler may be called here; if not, the message is kept, and the turn ends as interrupted.

    Raises:
        NotFoundError: The thread was deleted.
    """
    thread = await scope.load_thread(accepted.thread_id)
    message = None
    if accepted.user_item_id is not None and accepted.status is not TurnStatus.WAITING:
        message = await _message(scope, accepted)
    options = await stream_options(scope, thread) if runs else None

    async def opening(pipeline: Pipeline) -> None:
        if accepted.user_item_id is not None and turn.message is None:
            turn.message = await _message(scope, accepted)
        announce = await find_opening(pipeline.state, info, scope.store, scope.context)
        announce(pipeline)
        if options is not None:
            pipeline.accept(options)

    handler = None if runs else _interrupted
    turn = Turn(scope, thread, opening=opening, message=message, handler=handler)
    turn.info, turn.runs = info, runs
    if accepted.status is not TurnStatus.ENDED:
        turn.accepted = accepted
    return turn


async def _message(scope: RequestScope, accepted: AcceptedTurn) -> UserMessageItem | None:
    item = await find_item(scope.store, accepted.thread_id, str(accepted.user_item_id), scope.context)
    return item if isinstance(item, UserMessageItem) else None


async def _interrupted(_: Pipeline) -> AsyncIterator[ThreadStreamEvent]:
    raise Interrupted("The worker that accepted this turn died before it began.")
    yield  # pyright: ignore[reportUnreachable] -- an iterator, as handlers return


async def begin_waiting(
    scope: RequestScope, turn: InterruptedTurn, accepted: AcceptedTurn, *, runs: bool
) -> bool:
    """Goes on with a turn that waited in a worker that died, for its readers; returns whether it did.

    Args:
        scope: The request that it was accepted for, as far as it can be made again.
        turn: The turn in the log, claimed.
        accepted: The turn in the store.
        runs: Whether its handler may be called here.
    """
    again = await turn_of_accepted(scope, accepted, turn.info, runs=runs)
    return await scope.turns.begin_again(turn, again, others=None)


async def begin_lapsed(scope: RequestScope, lapsed: AcceptedTurn, *, runs: bool) -> bool:
    """Ends, or begins, a turn that a worker accepted and did not open in the log before it died.

    Args:
        scope: The request that it was accepted for, as far as it can be made again.
        lapsed: The turn in the store, as it was found.
        runs: Whether its handler may be called here.

    Returns:
        Whether it was this worker that did so.
    """
    # A store that does not accept whole turns, any more perhaps, may have some that were accepted before.
    store = cast("AcceptingStore[Any]", accepting_store(scope.store, whole=False))
    claimed = await store.claim_turn(lapsed, scope.turns.log.lease, scope.context)
    if claimed is None:
        return False
    if claimed.status is TurnStatus.BEGUN and not runs:
        await store.finish_turn(claimed.turn_id, claimed.token, EndState.INTERRUPTED.value, scope.context)
        return True
    try:
        turn = await turn_of_accepted(scope, claimed, load_info(claimed.info), runs=runs)
    except NotFoundError:
        await store.finish_turn(claimed.turn_id, claimed.token, EndState.INTERRUPTED.value, scope.context)
        return True
    await scope.turns.begin_accepted(turn)
    return True
