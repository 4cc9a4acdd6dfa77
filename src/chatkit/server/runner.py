"""Starts turns, keeps the register of those that run here, stops them, and finalises what a crash cut off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

from pydantic import TypeAdapter, ValidationError

from chatkit.errors import (
    InvalidEventError,
    NotFoundError,
    ShuttingDownError,
    StoreError,
    ThreadBusyError,
    TurnNotFoundError,
)
from chatkit.reduce import ItemAccumulator, accumulator
from chatkit.server.pipeline import Pipeline, keepable_items
from chatkit.server.results import StreamingResult, TurnFeed
from chatkit.server.threads import ThreadEditor, ThreadLocks
from chatkit.server.turn import Closing, StopReason, Turn, TurnPlan
from chatkit.store.base import Fence, OwnerContext, Store, current_fence
from chatkit.streams.base import EndState, InterruptedTurn, StreamLog, TurnInfo
from chatkit.types import (
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    WorkflowItem,
)

__all__ = ["ConcurrencyPolicy", "DisconnectPolicy", "Runner"]

logger = logging.getLogger("chatkit.server")

ConcurrencyPolicy: TypeAlias = Literal["allow", "reject", "enqueue", "interrupt"]
"""What a message does in a thread in which a turn runs: run beside it, be refused, wait for its end, or end it."""
DisconnectPolicy: TypeAlias = Literal["stop", "continue"]
"""What happens to a turn that is not resumable when its reader is gone."""

_EVENTS: TypeAdapter[ThreadStreamEvent] = TypeAdapter(ThreadStreamEvent, config={"defer_build": True})


class Runner:
    """The turns of one server.

    Args:
        log: Keeps their events.
        closing: Decides what is kept of turns that end early.
    """

    def __init__(self, log: StreamLog, closing: Closing) -> None:
        self.log = log
        self._closing = closing
        self.editor = ThreadEditor()
        self.answering = ThreadLocks()
        self._running: dict[str, Turn] = {}
        self._orphans: dict[str, dict[str, InterruptedTurn]] = {}
        self._shutting_down = False

    async def start(
        self,
        plan: TurnPlan,
        *,
        turn_id: str,
        store: Store[Any],
        context: object,
        owner: str | None,
        resumable: bool,
        kept: bool,
        on_disconnect: DisconnectPolicy,
        concurrency: ConcurrencyPolicy,
        persist_item_updates: bool,
    ) -> StreamingResult:
        """Begins a turn and returns its first reader, once what comes before the handler is written.

        Raises:
            ThreadBusyError: A turn runs in the thread and the policy is ``reject``.
            Exception: Whatever the opening raised; nothing of the turn is left then.
        """
        if self._shutting_down:
            raise ShuttingDownError
        thread_id = plan.thread.id
        info = TurnInfo(
            id=turn_id,
            thread_id=thread_id,
            owner=owner,
            resumable=resumable or kept,
            user_item_id=plan.user_item_id,
        )
        pipeline = Pipeline(
            thread=plan.thread,
            store=store,
            context=context,
            persist_item_updates=persist_item_updates,
            resumable=info.resumable,
            editor=self.editor,
        )
        turn = Turn(info=info, plan=plan, pipeline=pipeline, closing=self._closing, context=context)
        earlier = self._in_thread(thread_id)
        self._running[turn_id] = turn
        try:
            before = await self._apply_policy(pipeline, plan, concurrency, earlier)
            pipeline.writer = await self.log.open(
                info, snapshot=pipeline.state.events, on_stop=turn.request_stop_from_anywhere
            )
            try:
                token = await store.begin_turn(thread_id, turn_id, context)
                reader = await self.log.read(turn_id, None)
                if reader is None:
                    raise StoreError(f"The log lost turn {turn_id} as it began.")
            except BaseException:
                await pipeline.writer.close(EndState.FAILED)
                raise
        except BaseException:
            self._forget(turn)
            raise
        finally:
            turn.begun.set()
        turn.task = asyncio.create_task(self._run(turn, store, token, before), name=f"chatkit {turn_id}")
        stops = on_disconnect == "stop" and not resumable
        feed = TurnFeed(reader=reader, info=info, with_ids=resumable, turn=turn, stops_turn=stops)
        result = StreamingResult.of(feed)
        if before is None:
            try:
                await asyncio.shield(turn.opened)
            except asyncio.CancelledError:
                await result.aclose()
                raise
            except Exception:
                await turn.task
                await result.aclose()
                raise
        return result

    async def wait_begun(self, turn_id: str) -> None:
        """Waits until the log knows a turn that is about to begin here."""
        turn = self._running.get(turn_id)
        if turn is not None and turn.loop is asyncio.get_running_loop():
            await turn.begun.wait()

    def _in_thread(self, thread_id: str) -> list[Turn]:
        return [turn for turn in self._running.values() if turn.info.thread_id == thread_id]

    def _forget(self, turn: Turn) -> None:
        self._running.pop(turn.info.id, None)
        turn.finished.set()

    async def _apply_policy(
        self, pipeline: Pipeline, plan: TurnPlan, concurrency: ConcurrencyPolicy, earlier: list[Turn]
    ) -> Callable[[], Awaitable[None]] | None:
        if concurrency == "allow" or not plan.message or plan.fresh_thread:
            return None
        mine = {turn.info.id for turn in earlier}
        elsewhere = [
            info.id
            for info in await self.log.active(plan.thread.id)
            if info.id not in mine and info.id not in self._running
        ]
        if not earlier and not elsewhere:
            return None
        if concurrency == "reject":
            raise ThreadBusyError
        if concurrency == "interrupt":
            await self._stop(earlier, elsewhere, "interrupt")
            await pipeline.reload_thread()
            return None

        async def wait_for_others() -> None:
            for turn in earlier:
                await self._wait_finished(turn)
            for turn_id in elsewhere:
                await self.log.wait_closed(turn_id)
            await pipeline.reload_thread()

        return wait_for_others

    async def _wait_finished(self, turn: Turn) -> None:
        if turn.loop is asyncio.get_running_loop():
            await turn.finished.wait()
        else:
            await self.log.wait_closed(turn.info.id)

    async def _run(
        self,
        turn: Turn,
        store: Store[Any],
        token: int,
        before: Callable[[], Awaitable[None]] | None,
    ) -> None:
        end = EndState.FAILED
        fence = Fence(turn.info.id, token)
        current_fence.set(fence)
        try:
            end = await turn.run(before)
            if token:
                await store.end_turn(turn.info.id, token, turn.context)
            if not turn.lost_lease:
                fence.lift()
        except Exception:
            logger.exception("Turn %s ended badly", turn.info.id)
        finally:
            try:
                await turn.writer.close(end)
            finally:
                self._forget(turn)

    # Stopping.

    async def stop(
        self, thread_id: str, turn_id: str | None = None, *, reason: StopReason = "stop"
    ) -> list[str]:
        """Stops the named turn, or all that run in the thread; returns the ids of those that were running.

        Returns when their partial text is saved.
        """
        mine = [turn for turn in self._in_thread(thread_id) if turn_id in {None, turn.info.id}]
        known = {turn.info.id for turn in mine}
        active = await self.log.active(thread_id)
        elsewhere = [info.id for info in active if turn_id in {None, info.id} and info.id not in known]
        return await self._stop(mine, elsewhere, reason)

    async def _stop(self, mine: list[Turn], elsewhere: list[str], reason: StopReason) -> list[str]:
        here = asyncio.get_running_loop()
        for turn in mine:
            if turn.loop is here:
                turn.request_stop(reason)
            else:
                turn.request_stop_from_anywhere()
        for turn in mine:
            await self._wait_finished(turn)
        stopped = [turn_id for turn_id in elsewhere if await self.log.stop(turn_id)]
        return [turn.info.id for turn in mine] + stopped

    async def shutdown(self) -> None:
        """Ends all turns of this process as interrupted, and takes no new ones."""
        self._shutting_down = True
        await self._stop(list(self._running.values()), [], "shutdown")

    def reopen(self) -> None:
        """Takes turns again after a shutdown."""
        self._shutting_down = False

    # Coming back.

    async def active_turn(self, thread_id: str) -> str | None:
        """Returns the id of the turn that began last of those that run in the thread."""
        active = await self.log.active(thread_id)
        return active[-1].id if active else None

    async def attach(self, info: TurnInfo, after: int | None, *, with_ids: bool) -> StreamingResult:
        """Returns a further reader of a turn.

        Raises:
            TurnNotFoundError: The log does not keep the turn (any more).
        """
        reader = await self.log.read(info.id, after) if info.resumable else None
        if reader is None:
            raise TurnNotFoundError
        return StreamingResult.of(TurnFeed(reader=reader, info=info, with_ids=with_ids, after=after or 0))

    # Recovery.

    async def recover(self, store: Store[Any], context_of: Callable[[str | None, str], Any]) -> int:
        """Finalises the turns whose worker died; returns how many.

        Args:
            store: The full store.
            context_of: Returns a context for an owner and a thread id, or None: then the turn waits for the next
                request in its thread.
        """
        finalised = 0
        for turn in await self.log.claim_interrupted():
            takes_owners = store.knows_owners and turn.info.owner is not None
            context = (
                OwnerContext(str(turn.info.owner))
                if takes_owners
                else context_of(turn.info.owner, turn.info.thread_id)
            )
            if context is None:
                # A log hands out again what nobody settled in time.
                self._orphans.setdefault(turn.info.thread_id, {})[turn.info.id] = turn
                continue
            finalised += await self._finalise(turn, store, context)
        return finalised

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

    async def _finalise(self, turn: InterruptedTurn, store: Store[Any], context: object) -> bool:
        info = turn.info
        try:
            token = await store.begin_turn(info.thread_id, info.id, context)
            for item in keepable_items(_replay(turn)):
                if not await _is_stored(store, info.thread_id, item, context):
                    await store.put_thread_item(info.thread_id, item, context)
            await store.end_turn(info.id, token, context)
        except StoreError:
            logger.exception("Finalising turn %s failed; it is tried again later", info.id)
            return False
        except Exception:
            logger.exception("Turn %s of a worker that died could not be finalised", info.id)
        await self.log.settle(info.id)
        return True


async def _is_stored(store: Store[Any], thread_id: str, item: ThreadItem, context: object) -> bool:
    """Tells whether the store has the item already: done in the moment between the last checkpoint and the crash."""
    try:
        stored = await store.load_item(thread_id, item.id, context)
    except NotFoundError:
        return False
    # A workflow is stored open at a client tool call and goes on after it.
    if isinstance(item, WorkflowItem) and isinstance(stored, WorkflowItem):
        return len(stored.workflow.tasks) >= len(item.workflow.tasks)
    return True


def _replay(turn: InterruptedTurn) -> list[ItemAccumulator]:
    """Returns the items that were pending when the log of a turn breaks off."""
    pending: dict[str, ItemAccumulator] = {}
    for entry in turn.entries:
        try:
            event = _EVENTS.validate_json(entry.data)
        except ValidationError:
            logger.warning("An event of turn %s cannot be read and is left out", turn.info.id)
            continue
        _apply(pending, event)
    return list(pending.values())


def _apply(pending: dict[str, ItemAccumulator], event: ThreadStreamEvent) -> None:
    if isinstance(event, ThreadItemAddedEvent):
        pending[event.item.id] = accumulator(event.item)
    elif isinstance(event, ThreadItemUpdatedEvent):
        if event.item_id in pending:
            try:
                pending[event.item_id].add(event.update)
            except InvalidEventError:
                logger.warning("An update of item %s does not fit and is left out", event.item_id)
    elif isinstance(event, ThreadItemReplacedEvent):
        if event.item.id in pending:
            pending[event.item.id] = accumulator(event.item)
    elif isinstance(event, ThreadItemDoneEvent):
        pending.pop(event.item.id, None)
    elif isinstance(event, ThreadItemRemovedEvent):
        pending.pop(event.item_id, None)
