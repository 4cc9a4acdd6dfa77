"""Opening an accepted turn in the log, and what becomes of one that cannot be opened there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from chatkit.errors import StaleTurnError
from chatkit.server.turns.acceptance import store_of, withdraw
from chatkit.server.wire import FAILED, INTERRUPTED
from chatkit.streams.base import EndState, TurnWriter

if TYPE_CHECKING:
    from chatkit.server.turns.state import TurnState
    from chatkit.server.turns.turn import Turn

__all__ = ["close_unopened", "leave_unopened", "note_opened", "withdraw_unopened"]


async def note_opened(turn: Turn, writer: TurnWriter) -> int:
    """Says to the store that the log knows a turn; returns the token that lets it write.

    Raises:
        StaleTurnError: Another worker has the turn, in the store or in the log.
    """
    scope, info, accepted = turn.scope, turn.info, turn.accepted
    if accepted is None:
        return await scope.store.begin_turn(info.thread_id, info.id, scope.context)
    store = store_of(turn)
    # The message of one that waits is not in the thread yet: its place in the queue goes before.
    if accepted.claimed and not turn.waits and await writer.give_way():
        if writer.lost:
            # Whoever accepted it had come as far as this, or it has ended there: no worker can write it any more. Its
            # request, sent again, begins another one.
            await store.finish_turn(info.id, accepted.token, EndState.INTERRUPTED.value, scope.context)
        raise StaleTurnError(f"Turn {info.id} is another worker's in the log.")
    if turn.runs:
        await store.open_turn(info.id, accepted.token, scope.context)
    return accepted.token


async def withdraw_unopened(turn: Turn) -> bool:
    """Takes back a turn that was accepted just now and cannot be opened, for a request that may have been cancelled.

    Returns:
        Whether the store has nothing of it, so that its request, sent again, is a new one.
    """
    accepted, withdrawn = turn.accepted, list[bool]()
    if accepted is None:
        return True
    if accepted.fresh and not accepted.claimed:

        async def work() -> None:
            withdrawn.append(await withdraw(turn, accepted))

        name = f"Withdrawing turn {turn.info.id}"
        await asyncio.shield(turn.scope.turns.background.run(work(), name=name, seconds=60.0))
    return any(withdrawn)


async def close_unopened(turn: Turn, writer: TurnWriter, state: TurnState) -> None:
    """Takes back a turn that cannot begin, or leaves it where that fails."""
    if await withdraw_unopened(turn):
        # The same message, sent again meanwhile, may be read from this turn.
        state.keep(writer.append(FAILED), FAILED)
        await writer.close(EndState.FAILED)
    else:
        await leave_unopened(turn, writer, state)


async def leave_unopened(turn: Turn, writer: TurnWriter, state: TurnState) -> None:
    """Leaves a turn that the store has still, or for another worker, to whoever finds it there.

    Nothing was told of it; who reads it hears that it was cut off, and has it begin.
    """
    # It has not ended, as far as this worker knows.
    turn.scope.turns.log.let_go(turn.info.id)
    if writer.lost or not await writer.hand_over():
        if not writer.lost:
            state.keep(writer.append(INTERRUPTED), INTERRUPTED)
        await writer.close(EndState.INTERRUPTED)
