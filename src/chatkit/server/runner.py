"""Starts turns, keeps the register of those that run here, and stops them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Literal, TypeAlias, TypeVar

from chatkit.errors import (
    ErrorCode,
    ShuttingDownError,
    StoreError,
    ThreadBusyError,
    TurnNotFoundError,
)
from chatkit.server.pipeline import Pipeline
from chatkit.server.recovery import Recovery
from chatkit.server.restored import RestoredPipeline
from chatkit.server.results import StreamingResult, TurnFeed
from chatkit.server.threads import ThreadEditor, ThreadLocks
from chatkit.server.turn import Closing, StopReason, Turn, TurnPlan
from chatkit.store.base import Fence, Store, current_fence
from chatkit.streams.base import EndState, InterruptedTurn, StreamLog, TurnInfo
from chatkit.types import ErrorEvent, ThreadMetadata

__all__ = ["ConcurrencyPolicy", "DisconnectPolicy", "Runner"]

logger = logging.getLogger("chatkit.server")

ConcurrencyPolicy: TypeAlias = Literal["allow", "reject", "enqueue", "interrupt"]
"""What a message does in a thread in which a turn runs: run beside it, be refused, wait for its end, or end it."""
DisconnectPolicy: TypeAlias = Literal["stop", "continue"]
"""What happens to a turn that is not resumable when its reader is gone."""

_P = TypeVar("_P", bound=Pipeline)


class Runner:
    """The turns of one server.

    Args:
        log: Keeps their events.
        closing: Decides what is kept of turns that end early.
    """

    def __init__(self, log: StreamLog, closing: Closing) -> None:
        self.log = log
        self._closing = closing
        self.recovery = Recovery(log)
        self.editor = ThreadEditor()
        self.answering = ThreadLocks()
        self._running: dict[str, Turn] = {}
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
        saved_context: str | None = None,
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
            context=saved_context,
        )
        pipeline = self._make_pipeline(
            Pipeline, info, plan.thread, store, context, persist_item_updates=persist_item_updates
        )
        turn = Turn(
            info=info,
            plan=plan,
            pipeline=pipeline,
            closing=self._closing,
            context=context,
            may_move=saved_context is not None,
        )
        earlier = self._in_thread(thread_id)
        self._running[turn_id] = turn
        try:
            before = await self._apply_policy(pipeline, plan, concurrency, earlier)
            pipeline.writer = await self.log.open(
                info, snapshot=pipeline.state, on_stop=turn.request_stop_from_anywhere
            )
            try:
                token = await store.begin_turn(thread_id, turn_id, context)
                reader = await self.log.read(turn_id, None)
                if reader is None:
                    raise StoreError(f"The log lost turn {turn_id} as it began.")
            except BaseException:
                # The same message, sent again meanwhile, may be read from this turn.
                pipeline.accept(ErrorEvent(code=ErrorCode.STREAM_ERROR, allow_retry=True))
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

    async def begin_again(
        self,
        interrupted: InterruptedTurn,
        plan: TurnPlan,
        *,
        store: Store[Any],
        context: object,
        persist_item_updates: bool,
        alone: bool,
        may_move: bool,
    ) -> bool:
        """Runs a claimed turn again, for the readers that it has, and returns once it has begun.

        Args:
            interrupted: The turn.
            plan: What it is to do.
            store: The full store.
            context: Made of what was saved of the request's context.
            persist_item_updates: As in ``start``.
            alone: Whether no other turn is known that may have stored items behind the message.
            may_move: Whether it may be run yet another time when this process ends.

        Returns:
            Whether it did: not every log lets a turn go on in another process.
        """
        if self._shutting_down:
            return False
        info = replace(interrupted.info, attempt=interrupted.info.attempt + 1)
        pipeline = self._make_pipeline(
            RestoredPipeline, info, plan.thread, store, context, persist_item_updates=persist_item_updates
        )
        pipeline.restore(interrupted.entries)

        async def opening(_: Pipeline) -> None:
            if not pipeline.opened:
                await pipeline.load_opening(info.user_item_id)
                pipeline.announce_opening()
                await plan.opening(pipeline)
            await pipeline.take_back(info.user_item_id, info.started_at, alone=alone)

        turn = Turn(
            info=info,
            plan=replace(plan, opening=opening),
            pipeline=pipeline,
            closing=self._closing,
            context=context,
            may_move=may_move,
        )
        writer = await self.log.take_over(
            replace(interrupted, info=info),
            snapshot=pipeline.state,
            on_stop=turn.request_stop_from_anywhere,
        )
        if writer is None:
            return False
        pipeline.writer = writer
        # Whoever read it was connected to the worker that died: one that does not come back keeps nothing waiting.
        writer.detach()
        self._running[info.id] = turn
        try:
            token = await store.begin_turn(info.thread_id, info.id, context)
        except BaseException:
            self._forget(turn)
            # Whoever has the store within reach keeps what the turn had produced.
            if not await writer.hand_over():
                await writer.close(EndState.INTERRUPTED)
            raise
        finally:
            turn.begun.set()
        turn.task = asyncio.create_task(self._run(turn, store, token, None), name=f"chatkit {info.id}")
        return True

    def _make_pipeline(
        self,
        kind: type[_P],
        info: TurnInfo,
        thread: ThreadMetadata,
        store: Store[Any],
        context: object,
        *,
        persist_item_updates: bool,
    ) -> _P:
        return kind(
            thread=thread,
            store=store,
            context=context,
            persist_item_updates=persist_item_updates,
            resumable=info.resumable,
            editor=self.editor,
        )

    @property
    def shutting_down(self) -> bool:
        """Whether no new turns are taken."""
        return self._shutting_down

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
                if turn.goes_on_elsewhere:
                    await self.log.wait_closed(turn.info.id)
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
            if turn.moved:
                return
            if token:
                # Before its log, in which another worker may find it without an end.
                finish = store.complete_turn if end is EndState.COMPLETED else store.end_turn
                await finish(turn.info.id, token, turn.context)
            if not turn.lost_lease:
                fence.lift()
        except Exception:
            logger.exception("Turn %s ended badly", turn.info.id)
        finally:
            try:
                if not turn.moved:
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
            if turn.goes_on_elsewhere and reason != "shutdown":
                elsewhere = [*elsewhere, turn.info.id]
        stopped = [turn_id for turn_id in elsewhere if await self.log.stop(turn_id)]
        return list(dict.fromkeys([turn.info.id for turn in mine] + stopped))

    async def drain(self, seconds: float) -> None:
        """Takes no new turns, waits for the running ones, and ends those that are not over in time as interrupted."""
        self._shutting_down = True
        waiting = [self._wait_finished(turn) for turn in self._running.values()]
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(*waiting)
        except TimeoutError:
            logger.warning(
                "%d turns did not end within %g s and are interrupted", len(self._running), seconds
            )
        await self.shutdown()

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
