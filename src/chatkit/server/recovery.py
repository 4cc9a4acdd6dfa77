"""Turns whose worker died: they are run again where the application allows it, or else their partial items are kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Token
from dataclasses import replace
from typing import Any, Final

from chatkit.errors import NotFoundError, StoreError
from chatkit.server.restored import RestoredPipeline
from chatkit.server.wire import interrupted_event
from chatkit.store.base import Fence, OwnerContext, Store, current_fence, find_item, plain_metadata
from chatkit.streams.base import EndState, InterruptedTurn, StreamLog, TurnWriter
from chatkit.types import ThreadItem, WorkflowItem, to_wire

__all__ = ["Recovery"]

logger = logging.getLogger("chatkit.server")

_AT_ONCE: Final = 8
"""Turns that are ended side by side: a worker may have had hundreds, and their readers wait."""


class Recovery:
    """Ends turns whose worker died.

    Args:
        log: Knows them.
    """

    def __init__(self, log: StreamLog) -> None:
        self._log = log
        self._orphans: dict[str, dict[str, InterruptedTurn]] = {}

    async def recover(
        self,
        store: Store[Any],
        context_of: Callable[[str | None, str], Any],
        rerun: Callable[[InterruptedTurn], Awaitable[bool]],
    ) -> int:
        """Runs the turns whose worker died again, or finalises them; returns how many.

        Args:
            store: The full store.
            context_of: Returns a context for an owner and a thread id, or None: then the turn waits for the next
                request in its thread.
            rerun: Begins a turn again, and tells whether it did.
        """
        gate = asyncio.Semaphore(_AT_ONCE)

        async def end(turn: InterruptedTurn) -> bool:
            async with gate:
                if not self._log.holds_claim(turn.info.id):
                    # This process stood still, or had many others to end: somebody else may have begun it again.
                    return False
                begun = await self._begun_again(turn, rerun)
                if begun is not False:
                    return bool(begun)
                takes_owners = store.knows_owners and turn.info.owner is not None
                context = (
                    OwnerContext(str(turn.info.owner))
                    if takes_owners
                    else context_of(turn.info.owner, turn.info.thread_id)
                )
                if context is None:
                    # A log hands out again what nobody settled in time.
                    self._orphans.setdefault(turn.info.thread_id, {})[turn.info.id] = turn
                    return False
                return await self._finalise(turn, store, context)

        claimed = await self._log.claim_interrupted()
        return sum(await asyncio.gather(*(end(turn) for turn in claimed)))

    async def finalise_orphans(self, thread_id: str, store: Store[Any], context: object) -> None:
        """Finalises turns of a thread that waited for a request, now that there is one.

        Raises:
            NotFoundError: The thread is not the owner's.
        """
        if thread_id not in self._orphans:
            return
        # Another owner's request must not use up what waits for this one's.
        await store.load_thread(thread_id, context)
        for turn in self._orphans.pop(thread_id, {}).values():
            await self._finalise(turn, store, context)

    async def _begun_again(
        self, turn: InterruptedTurn, rerun: Callable[[InterruptedTurn], Awaitable[bool]]
    ) -> bool | None:
        """Tells whether it was begun again; None if that, or its end, has to be tried later, here or elsewhere."""
        try:
            return await rerun(turn)
        except StoreError:
            logger.exception("Running turn %s again failed; it is tried again later", turn.info.id)
            return None
        except Exception:
            logger.exception("Turn %s of a worker that died could not be run again", turn.info.id)
            return False

    async def _finalise(self, turn: InterruptedTurn, store: Store[Any], context: object) -> bool:
        info = turn.info
        token = 0
        fence: Token[Fence | None] | None = None
        try:
            # Its worker died between telling the store and telling the log, or was cut off from the log's server:
            # it has left all that it was to leave, and nothing is to be written.
            completed = await store.has_completed(info.id, context)
            token = 0 if completed else await store.begin_turn(info.thread_id, info.id, context)
            # Whoever claims the turn next, for this takes too long, writes alone.
            fence = current_fence.set(Fence(info.id, token))
            thread = plain_metadata(await store.load_thread(info.thread_id, context))
            pipeline = RestoredPipeline(thread=thread, store=store, context=context)
            pipeline.restore(turn.entries)
            kept = pipeline.pending_items()
            for item in kept:
                if not completed and not await _is_stored(store, info.thread_id, item, context):
                    await store.put_thread_item(info.thread_id, item, context)
            await pipeline.load_opening(info.user_item_id)
            unseen = await pipeline.unseen_items(info.user_item_id, info.started_at)
            stored = await pipeline.stored_of(kept)
            await self._tell_readers(turn, pipeline, unseen, stored, completed=completed)
            if not completed:
                await store.end_turn(info.id, token, context)
        except StoreError:
            logger.exception("Finalising turn %s failed; it is tried again later", info.id)
            return False
        except NotFoundError:
            await self._log.settle(info.id, [_INTERRUPTED])
            with suppress(StoreError):
                await store.end_turn(info.id, token, context)
        except Exception:
            logger.exception("Turn %s of a worker that died could not be finalised", info.id)
            await self._log.settle(info.id, [_INTERRUPTED])
        finally:
            if fence is not None:
                current_fence.reset(fence)
        return True

    async def _tell_readers(
        self,
        turn: InterruptedTurn,
        pipeline: RestoredPipeline,
        unseen: list[ThreadItem],
        kept: list[ThreadItem],
        *,
        completed: bool,
    ) -> None:
        """Sends what else was stored, how the turn's items ended, and why, to those who read it in other processes."""
        # This is one more attempt at the turn: should it be cut off, the next one's events have other numbers.
        taken = replace(turn, info=replace(turn.info, attempt=turn.info.attempt + 1))
        writer: TurnWriter | None = await self._log.take_over(taken, snapshot=pipeline.state, on_stop=_ignore)
        if writer is None:
            await self._log.settle(turn.info.id)
            return
        pipeline.writer = writer
        try:
            pipeline.announce_opening()
            pipeline.announce_unseen(unseen)
            await pipeline.announce_closed(kept)
            if not completed:
                pipeline.accept(interrupted_event())
        finally:
            await writer.close(EndState.COMPLETED if completed else EndState.INTERRUPTED)


_INTERRUPTED: Final = to_wire(interrupted_event())


def _ignore() -> None:
    """Somebody asks to stop a turn that is about to end."""


async def _is_stored(store: Store[Any], thread_id: str, item: ThreadItem, context: object) -> bool:
    """Tells whether the store has the item already: done in the moment between the last checkpoint and the crash."""
    stored = await find_item(store, thread_id, item.id, context)
    if stored is None:
        return False
    # A workflow is stored open at a client tool call and goes on after it.
    if isinstance(item, WorkflowItem) and isinstance(stored, WorkflowItem):
        return len(stored.workflow.tasks) >= len(item.workflow.tasks)
    return True
