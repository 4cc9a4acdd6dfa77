"""What a message does in a thread in which other turns run or wait: the concurrency policies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from chatkit.errors import StoreUnavailableError, ThreadBusyError
from chatkit.server.threads import refuse_messages_unless_active, reload_thread
from chatkit.server.turns.acceptance import accept, begin_place
from chatkit.store.acceptance import AcceptingStore, Policy, ThreadTakenError
from chatkit.streams.base import ThreadKey, TurnInfo

if TYPE_CHECKING:
    from chatkit.server.turns.registry import TurnRegistry
    from chatkit.server.turns.turn import Turn

__all__ = ["ConcurrencyPolicy", "admit", "wait_for_place"]

ConcurrencyPolicy: TypeAlias = Literal["allow", "reject", "enqueue", "interrupt"]
"""What a message does in a thread in which a turn runs: run beside it, be refused, wait for its end, or end it."""

_FIRST_PAUSE_SECONDS: Final = 0.02
_LONGEST_PAUSE_SECONDS: Final = 0.5


async def admit(turns: TurnRegistry, turn: Turn) -> Callable[[], Awaitable[None]] | None:
    """Does what the policy says; returns what the turn has to wait for before its handler runs.

    Where the store accepts whole turns, this accepts the turn.

    Raises:
        ThreadBusyError: Others run in the thread, and the policy is ``reject``.
        AcceptedBeforeError: A turn was accepted with the same key before.
        Exception: Whatever else accepting the turn raised.
    """
    if turn.accepted is None:
        concurrency, store = turn.scope.application.concurrency, turn.scope.accepting
        minds_others = (
            concurrency != "allow" and turn.message is not None and turn.writes.created_thread is None
        )
        if store is None:
            return await _look_around(turns, turn) if minds_others else None
        await _accept(turns, turn, store, minds_others=minds_others)
    return (lambda: wait_for_place(turns, turn)) if turn.waits else None


async def _accept(turns: TurnRegistry, turn: Turn, store: AcceptingStore[Any], *, minds_others: bool) -> None:
    concurrency = turn.scope.application.concurrency
    policy: Policy = "allow"
    if minds_others:
        # A retry ends what runs in the thread: it would write after the item that everything is deleted after.
        waits = concurrency == "enqueue" and turn.writes.delete_after is None
        policy = "enqueue" if waits else "reject"
    # Turns of a worker that is dead are ended by a sweep, once its lease is over.
    until = time.monotonic() + 3 * turns.log.lease
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            turn.accepted = await accept(turn, store, policy, turns.log.lease)
        except ThreadTakenError as taken:
            if concurrency == "reject" or time.monotonic() > until:
                await turn.release_attachments()
                raise ThreadBusyError from None
            ends = taken.turn_ids
        else:
            return
        if not await _interrupt(turns, turn, ends):
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            await turns.sweep()
        await _reload(turn)


async def _interrupt(turns: TurnRegistry, turn: Turn, turn_ids: Sequence[str]) -> bool:
    """Stops turns; returns whether any of them ran."""
    mine = [running for turn_id in turn_ids if (running := turns.running(turn_id)) is not None]
    here = {running.info.id for running in mine}
    elsewhere = [
        info
        for info in await turns.log.active(turn.info.thread)
        if info.id in turn_ids and info.id not in here
    ]
    return bool(await turns.stop_all(mine, elsewhere, "interrupt"))


async def _reload(turn: Turn) -> None:
    await reload_thread(turn.thread, turn.scope.store, turn.scope.context)
    refuse_messages_unless_active(turn.thread)


async def wait_for_place(turns: TurnRegistry, turn: Turn) -> None:
    """Waits until it is the turn's turn, then moves its message into the thread.

    Raises:
        RequestError: The thread was deleted meanwhile, or takes no messages any more.
        StaleTurnError: Another worker has taken the turn over.
    """
    others = () if turn.accepted is None else turn.accepted.others
    pause = _FIRST_PAUSE_SECONDS
    while True:
        before = others
        # While the store or the log is away, the message waits on.
        with suppress(StoreUnavailableError):
            for turn_id in others:
                await turns.wait_ended(turn_id, turn.info.owner)
            await turn.pipeline.reload_thread()
            refuse_messages_unless_active(turn.thread)
            others = await begin_place(turn)
            if not others:
                return
        if others == before:
            # They are accepted, and the log does not know them: they begin, or their worker is dead.
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            await turns.sweep()


async def _look_around(turns: TurnRegistry, turn: Turn) -> Callable[[], Awaitable[None]] | None:
    """Does what the policy says where the log alone knows what runs."""
    thread, concurrency = turn.info.thread, turn.scope.application.concurrency
    earlier = [other for other in turns.in_thread(thread) if other is not turn]
    mine = {other.info.id for other in earlier}
    elsewhere = [
        info for info in await turns.log.active(thread) if info.id not in mine and not _is_later(turns, info)
    ]
    if not earlier and not elsewhere:
        return None
    if concurrency == "reject":
        raise ThreadBusyError
    others = {*mine, *(info.id for info in elsewhere)}
    if concurrency == "interrupt":
        await turns.stop_all(earlier, elsewhere, "interrupt")
        await _wait_for_sweep(turns, thread, others)
        await _reload(turn)
        return None

    async def wait_for_others() -> None:
        for turn_id in others:
            await turns.wait_ended(turn_id, thread.owner)
        await _wait_for_sweep(turns, thread, others)
        await turn.pipeline.reload_thread()
        refuse_messages_unless_active(turn.thread)

    return wait_for_others


def _is_later(turns: TurnRegistry, info: TurnInfo) -> bool:
    """Returns whether a turn came to this worker since it was asked what runs here, and looks around itself.

    One of a dead worker that is begun again here meanwhile is older, and does not.
    """
    running = turns.running(info.id)
    return running is not None and running.info.attempt == 1


async def _wait_for_sweep(turns: TurnRegistry, thread: ThreadKey, turn_ids: set[str]) -> None:
    """Waits, for three leases at most, for turns that no worker has ended so far: what they had written comes first."""
    until, pause = time.monotonic() + 3 * turns.log.lease, _FIRST_PAUSE_SECONDS
    while time.monotonic() < until:
        with suppress(StoreUnavailableError):
            if turn_ids.isdisjoint(info.id for info in await turns.log.active(thread)):
                return
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        await turns.sweep()
