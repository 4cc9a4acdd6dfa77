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
from chatkit.streams.base import InterruptedTurn, TurnInfo, load_info
from chatkit.types import ThreadsCreateReq, ThreadStreamEvent, UserMessageItem

if TYPE_CHECKING:
    from chatkit.server.scope import RequestScope

__all__ = ["begin_lapsed", "begin_waiting", "turn_of_stored"]


async def turn_of_stored(
    scope: RequestScope,
    thread_id: str,
    item_id: str | None,
    *,
    info: TurnInfo | None = None,
    accepted: AcceptedTurn | None = None,
    runs: bool = True,
) -> Turn:
    """Returns a turn that goes on with one whose handler was not called; what that writes first is stored already.

    Args:
        scope: The request, or what is known of it.
        thread_id: The thread.
        item_id: The user message that is answered, which may wait for its place in the thread.
        info: The turn as the log is to know it; by default a new one.
        accepted: The turn in the store, if this worker has claimed it there.
        runs: Whether the handler may be called here; if not, the message is kept, and the turn ends as interrupted,
            not opened unless it was before.

    Raises:
        NotFoundError: The thread was deleted.
    """
    thread = await scope.load_thread(thread_id)
    message = await _message(scope, thread_id, item_id)
    options = await stream_options(scope, thread) if runs else None

    async def opening(pipeline: Pipeline) -> None:
        # One that waited is in the thread by now.
        turn.message = turn.message or await _message(scope, thread_id, item_id)
        if not runs and turn.accepted is not None and not turn.accepted.opened and turn.stop_reason is None:
            # Nothing is told of it: its request, sent again, has it answered.
            return
        if isinstance(scope.request, ThreadsCreateReq):
            pipeline.announce_thread(created=True)
        announce = await find_opening(pipeline.state, turn.info, scope.store, scope.context)
        announce(pipeline)
        if options is not None:
            pipeline.accept(options)

    handler = None if runs else _interrupted
    turn = Turn(scope, thread, opening=opening, message=message, handler=handler)
    turn.info, turn.accepted, turn.runs = info or turn.info, accepted, runs
    return turn


async def _message(scope: RequestScope, thread_id: str, item_id: str | None) -> UserMessageItem | None:
    item = None if item_id is None else await find_item(scope.store, thread_id, item_id, scope.context)
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
    info = turn.info
    again = await turn_of_stored(
        scope, info.thread_id, info.user_item_id, info=info, accepted=accepted, runs=runs
    )
    if turn.stop:
        again.request_stop()
    return await scope.turns.begin_again(turn, again, others=None)


async def begin_lapsed(scope: RequestScope, lapsed: AcceptedTurn, *, runs: bool) -> bool:
    """Begins a turn that a worker accepted and did not open in the log before it died.

    Args:
        scope: The request that it was accepted for, as far as it can be made again.
        lapsed: The turn in the store, as it was found.
        runs: Whether its handler may be called here.

    Returns:
        Whether it was this worker that did so; if not, it is the caller's to end, unless another worker has it.
    """
    if lapsed.status is TurnStatus.BEGUN and not runs:
        return False
    # Whatever can fail comes before the claim: a turn that was claimed is left alone by every other worker.
    info = load_info(lapsed.info)
    try:
        turn = await turn_of_stored(scope, lapsed.thread_id, lapsed.user_item_id, info=info, runs=runs)
    except NotFoundError:
        return False
    # A store that does not accept whole turns, any more perhaps, may have some that were accepted before.
    store = cast("AcceptingStore[Any]", accepting_store(scope.store, whole=False))
    turn.accepted = await store.claim_turn(lapsed, scope.turns.log.lease, scope.context)
    if turn.accepted is None:
        return False
    await scope.turns.begin_accepted(turn)
    return True
