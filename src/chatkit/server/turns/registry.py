"""The turns of one server: begins them, knows those that run here, and stops them."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Generator
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from weakref import WeakSet

from chatkit._outages import log_failure
from chatkit.errors import (
    ShuttingDownError,
    StaleTurnError,
    StoreError,
    ThreadBusyError,
    TurnNotFoundError,
)
from chatkit.limits import check_room
from chatkit.server.blocking import watch_loop
from chatkit.server.indexing import SearchIndexing
from chatkit.server.threads import ThreadGuard, ThreadLocks
from chatkit.server.turns.acceptance import finish
from chatkit.server.turns.background import BackgroundWork
from chatkit.server.turns.ending import end_taken_over
from chatkit.server.turns.observed import about_turn
from chatkit.server.turns.opening import close_unopened, leave_unopened, note_opened, withdraw_unopened
from chatkit.server.turns.pipeline import Pipeline
from chatkit.server.turns.policies import ConcurrencyPolicy, admit, wait_for_place
from chatkit.server.turns.recovery import Recovery, fold_log, take_back
from chatkit.server.turns.results import StreamingResult, TurnFeed
from chatkit.server.turns.reviewed import make_pipeline
from chatkit.server.turns.state import TurnState
from chatkit.server.turns.sweep import StoreSweep, keep_leases
from chatkit.server.turns.turn import StopReason, Turn
from chatkit.store.base import Fence, Store, current_fence
from chatkit.streams.base import (
    EndState,
    InterruptedTurn,
    StreamLog,
    ThreadKey,
    TurnInfo,
    TurnReader,
    TurnWriter,
)
from chatkit.types import ThreadMetadata

if TYPE_CHECKING:
    from chatkit.server.scope import RequestScope

__all__ = ["ConcurrencyPolicy", "DisconnectPolicy", "KeyPassedOnError", "TurnRegistry"]

logger = logging.getLogger("chatkit.server")

DisconnectPolicy: TypeAlias = Literal["stop", "continue"]
"""What happens to a turn that is not resumable when its reader is gone."""


class KeyPassedOnError(Exception):
    """The idempotency key of a turn that took long to begin was given to another turn meanwhile."""


class TurnRegistry:
    """The turns of one server.

    Attributes:
        background: Work that may outlive the turns that began it.
        recover: Ends turns whose worker died; the server sets it.
        renewing: The event loops in which the leases of turns are renewed.
        shutting_down: Whether no new turns are taken.
    """

    recover: Callable[[], Awaitable[object]]

    def __init__(self, log: StreamLog) -> None:
        self.log = log
        self.recovery = Recovery(log)
        self.store_sweep = StoreSweep(log, lambda turn_id: turn_id in self._running)
        self.background = BackgroundWork()
        self.indexing = SearchIndexing(self.background)
        self.guard = ThreadGuard()
        self._editing = ThreadLocks()
        self.answering = ThreadLocks()
        self._running: dict[str, Turn] = {}
        self._turns_of: Counter[str | None] = Counter()
        self._calls_of: Counter[str | None] = Counter()
        self._counting = Lock()
        self._sweeping: asyncio.Task[None] | None = None
        self.renewing: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
        self.shutting_down = False

    async def start(self, turn: Turn) -> StreamingResult:
        """Begins a turn and returns its first reader, once what comes before the handler is written.

        Raises:
            TooManyTurnsError: As many of the owner's turns run, or wait for their place in a queue, as may.
            ThreadBusyError: A turn runs in the thread and the policy is ``reject``.
            Exception: Whatever the opening raised; nothing of the turn is left then.
        """
        if self.shutting_down:
            raise ShuttingDownError
        scope, info = turn.scope, turn.info
        application = scope.application
        earlier = self.in_thread(info.thread)
        most = scope.limits.running_turns_per_owner
        makes_room = application.concurrency == "interrupt" and turn.message is not None
        if most is not None and earlier and makes_room:
            # The one that ends for this one makes room for it.
            most += 1
        if turn.accepted is not None:
            # It was let in when it was accepted.
            most = None
        with self._beginning(turn, most):
            before = await admit(self, turn)
            state = TurnState(resumable=info.resumable)
            pipeline, token, reader = await self._open(turn, state)
        if turn.key is not None:
            turn.key.passed_on = True
        turn.begin(pipeline, lambda: self._run(turn, token, before))
        stops = application.on_disconnect == "stop" and not scope.resumable
        feed = TurnFeed(self, reader, info, with_ids=scope.resumable, turn=turn, stops_turn=stops)
        result = StreamingResult.of(feed)
        if before is None:
            try:
                await asyncio.shield(turn.opened)
            except asyncio.CancelledError:
                # The HTTP server cut the request off: the answer was not stopped.
                result.interrupt()
                await result.aclose()
                raise
            except Exception:
                await turn.task
                await result.aclose()
                raise
        feed.expect_reader()
        return result

    async def begin_again(
        self, interrupted: InterruptedTurn, turn: Turn, *, others: Collection[str] | None
    ) -> bool:
        """Runs a claimed turn again, for the readers that it has, and returns once it has begun.

        Args:
            interrupted: The turn of the worker that died.
            turn: The turn that continues it.
            others: Ids of the items that other turns of the thread have told; None where one may have stored more.

        Returns:
            Whether it did: not every log lets a turn continue in another process.
        """
        if self.shutting_down:
            return False
        scope, begin = turn.scope, turn.opening
        info = turn.info = replace(interrupted.info, attempt=interrupted.info.attempt + 1)
        state = fold_log(interrupted.entries, resumable=info.resumable)
        opened = state.knows_options

        async def opening(pipeline: Pipeline) -> None:
            if not opened:
                await begin(pipeline)
            await take_back(pipeline, info, scope.store, scope.context, others=others)

        turn.opening = opening
        writer = await self.log.take_over(
            replace(interrupted, info=info), snapshot=state, on_stop=turn.request_stop_from_anywhere
        )
        if writer is None:
            return False
        # Its readers were connected to the worker that died: one that does not come back keeps nothing waiting.
        writer.detach()
        with self._beginning(turn):
            try:
                pipeline = self._pipeline(turn, state, writer)
                token = await scope.store.begin_turn(info.thread_id, info.id, scope.context)
                if turn.accepted is not None:
                    turn.accepted = replace(turn.accepted, token=token)
                if scope.accepting is not None and turn.runs:
                    await scope.accepting.open_turn(info.id, token, scope.context)
            except BaseException:
                # A worker that has the store within reach keeps what the turn had produced.
                await leave_unopened(turn, writer, state)
                raise
        before = (lambda: wait_for_place(self, turn)) if turn.waits else None
        turn.begin(pipeline, lambda: self._run(turn, token, before))
        return True

    async def begin_accepted(self, turn: Turn) -> None:
        """Begins a turn that a worker accepted and did not open before it died; nobody reads it so far."""
        result = await self.start(turn)
        result.let_run()
        await result.aclose()

    async def _open(self, turn: Turn, state: TurnState) -> tuple[Pipeline, int, TurnReader]:
        """Opens a turn in the log; returns also its fencing token, and its first reader."""
        info = turn.info
        try:
            writer = await self.log.open(info, snapshot=state, on_stop=turn.request_stop_from_anywhere)
        except BaseException:
            await withdraw_unopened(turn)
            raise
        try:
            pipeline = self._pipeline(turn, state, writer)
            token = await note_opened(turn, writer)
            reader = await self.log.read(info.id, info.owner, None)
            if reader is None:
                raise StoreError(f"The log lost turn {info.id} as it began.")
            if turn.key is not None and not await turn.key.still_held():
                raise KeyPassedOnError
        except StaleTurnError:
            # This worker stood still for longer than its lease: readers find the turn at another one.
            await leave_unopened(turn, writer, state)
            # Unless its thread was deleted meanwhile.
            await turn.scope.store.load_thread(info.thread_id, turn.scope.context)
            raise ThreadBusyError("Another worker has taken this message over.") from None
        except BaseException:
            await close_unopened(turn, writer, state)
            raise
        return pipeline, token, reader

    def _pipeline(self, turn: Turn, state: TurnState, writer: TurnWriter) -> Pipeline:
        def save_fields(changed: dict[str, Any]) -> Awaitable[ThreadMetadata]:
            return self.edit_thread(turn.info.thread, changed, turn.scope.store, turn.scope.context)

        return make_pipeline(turn, state, writer, save_fields)

    @contextmanager
    def _beginning(self, turn: Turn, most: int | None = None) -> Generator[None, None, None]:
        """Registers a turn that is about to begin, and forgets it if it cannot."""
        self._enter(self._turns_of, turn.info.owner, most)
        self._running[turn.info.id] = turn
        try:
            yield
        except BaseException:
            self._forget(turn)
            raise
        finally:
            turn.set_begun()

    async def wait_begun(self, turn_id: str) -> None:
        """Waits until the log knows a turn that is about to begin here."""
        turn = self._running.get(turn_id)
        if turn is not None and turn.loop is asyncio.get_running_loop():
            await turn.wait_begun()

    async def edit_thread(
        self, thread: ThreadKey, changed: dict[str, Any], store: Store[Any], context: object
    ) -> ThreadMetadata:
        """Saves changed fields over a thread as it is stored now: edits of several requests and turns all count.

        Returns:
            The thread as it is stored.

        Raises:
            NotFoundError: The thread was deleted meanwhile.
        """
        # For stores that load and save.
        async with self._editing.hold(thread):
            return await store.save_thread_fields(thread.thread_id, changed, context)

    # How many turns, and other calls of the application's code, an owner has under way.

    def check_room(self, scope: RequestScope) -> None:
        """Raises TooManyTurnsError if as many turns of the owner of a request run here as may."""
        # A message that ends another turn makes room for its own.
        if scope.application.concurrency != "interrupt":
            owner = scope.owner
            check_room(self._turns_of[owner], owner, scope.limits.running_turns_per_owner)

    @contextmanager
    def count_call(self, scope: RequestScope) -> Generator[None, None, None]:
        """Counts a call of the application's code that is no turn, while the block runs.

        Raises:
            TooManyTurnsError: The owner has as many under way as it may.
        """
        self._enter(self._calls_of, scope.owner, scope.limits.running_turns_per_owner)
        try:
            yield
        finally:
            self._leave(self._calls_of, scope.owner)

    def _enter(self, running: Counter[str | None], owner: str | None, most: int | None) -> None:
        # The server may be used in several event loops at once.
        with self._counting:
            check_room(running[owner], owner, most)
            running[owner] += 1

    def _leave(self, running: Counter[str | None], owner: str | None) -> None:
        with self._counting:
            running[owner] -= 1
            if not running[owner]:
                del running[owner]

    def _forget(self, turn: Turn) -> None:
        if self._running.pop(turn.info.id, None) is not None:
            self._leave(self._turns_of, turn.info.owner)
        turn.set_finished()

    def in_thread(self, thread: ThreadKey) -> list[Turn]:
        """Returns the turns of a thread that run here."""
        return [turn for turn in self.running_turns() if turn.info.thread == thread]

    def running_turns(self) -> list[Turn]:
        """Returns the turns that run here."""
        return list(self._running.values())

    def running(self, turn_id: str) -> Turn | None:
        """Returns a turn that runs here."""
        return self._running.get(turn_id)

    async def sweep(self) -> None:
        """Ends turns whose worker died, for those that wait for them; several that wait share one sweep."""
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = self.background.run(self.recover(), name="A sweep", seconds=60.0)
        if self._sweeping.get_loop() is asyncio.get_running_loop():
            await asyncio.shield(self._sweeping)

    async def wait_ended(self, turn_id: str, owner: str | None) -> None:
        """Waits for the end of a turn, here or elsewhere; returns at once if it is known nowhere."""
        turn = self._running.get(turn_id)
        if turn is not None:
            await self._wait_finished(turn)
            if not turn.continues_elsewhere:
                return
        await self.log.wait_closed(turn_id, owner)

    async def _wait_finished(self, turn: Turn) -> None:
        if turn.loop is asyncio.get_running_loop():
            await turn.wait_finished()
        else:
            await self.log.wait_closed(turn.info.id, turn.info.owner)

    async def _run(self, turn: Turn, token: int, before: Callable[[], Awaitable[None]] | None) -> EndState:
        end, noted = EndState.FAILED, None
        fence = turn.fence = Fence(turn.info.id, token)
        current_fence.set(fence)
        keep_leases(self)
        try:
            await turn.scope.keep_place()
            with watch_loop(), about_turn(turn.info):
                end = await turn.run(before)
            if turn.moved:
                return end
            # Before its log, in which another worker may find it without an end.
            noted = end if not token or turn.waits else await finish(turn, fence.token, end)
            if noted not in {None, end}:
                end = await end_taken_over(turn)
            if not turn.lost_lease:
                # What the handler left running, such as the making of a title, may write on.
                fence.token = 0
        except Exception as error:  # noqa: BLE001 -- it is logged
            log_failure(logger, f"Turn {turn.info.id} ended badly", error)
        finally:
            try:
                if not turn.moved and not turn.loop.is_closed():
                    if noted is not None or not turn.info.resumable:
                        await turn.writer.close(end)
                    else:
                        # Another worker may say that it ended in another way: then its readers ask there.
                        await turn.writer.close_once_saved(end)
            finally:
                self._forget(turn)
                await turn.scope.leave_place()
        return end

    # Stopping.

    async def stop(
        self, thread: ThreadKey, turn_id: str | None = None, *, reason: StopReason = "stop"
    ) -> list[str]:
        """Stops the named turn, or all that run in the thread; returns the ids of those that were running.

        Returns when their partial text is saved.
        """
        mine = [turn for turn in self.in_thread(thread) if turn_id in {None, turn.info.id}]
        known = {turn.info.id for turn in mine}
        try:
            active = await self.log.active(thread)
        except StoreError:
            # Those that run here can be stopped without it.
            await self.stop_all(mine, [], reason)
            raise
        elsewhere = [info for info in active if turn_id in {None, info.id} and info.id not in known]
        return await self.stop_all(mine, elsewhere, reason)

    async def stop_all(self, mine: list[Turn], elsewhere: list[TurnInfo], reason: StopReason) -> list[str]:
        """Stops turns, here and elsewhere; returns the ids of those that were running."""
        here = asyncio.get_running_loop()
        for turn in mine:
            if turn.loop is here:
                turn.request_stop(reason)
            else:
                turn.request_stop_from_anywhere()
        for turn in mine:
            await self._wait_finished(turn)
            if turn.continues_elsewhere and reason != "shutdown":
                elsewhere = [*elsewhere, turn.info]
        stopped = [info.id for info in elsewhere if await self.log.stop(info.id, info.owner)]
        return list(dict.fromkeys([turn.info.id for turn in mine] + stopped))

    async def drain(self, seconds: float | None = None) -> None:
        """Takes no new turns, and ends those that are not over in time as interrupted; then ends background work.

        Args:
            seconds: How long to wait for running turns; None does not wait.
        """
        self.shutting_down = True
        if seconds is not None:
            waiting = [self._wait_finished(turn) for turn in self._running.values()]
            try:
                async with asyncio.timeout(seconds):
                    await asyncio.gather(*waiting)
            except TimeoutError:
                logger.warning(
                    "%d turns did not end within %g s and are interrupted", len(self._running), seconds
                )
        await self.stop_all(list(self._running.values()), [], "shutdown")
        await self.background.end()

    async def active_turn(self, thread: ThreadKey) -> str | None:
        """Returns the id of the turn that began last of those that run in the thread."""
        active = await self.log.active(thread)
        return active[-1].id if active else None

    async def attach(self, info: TurnInfo, after: int | None, *, with_ids: bool) -> TurnFeed:
        """Returns a further reader of a turn.

        Raises:
            TurnNotFoundError: The log does not keep the turn (any more).
        """
        reader = await self.log.read(info.id, info.owner, after) if info.resumable else None
        if reader is None:
            raise TurnNotFoundError
        return TurnFeed(self, reader, info, with_ids=with_ids, after=after or 0)

    async def read_on(self, info: TurnInfo, after: int) -> TurnReader | None:
        """Returns a reader of the rest of a turn, if another worker has taken it over."""
        return None if self.shutting_down else await self.log.read_on(info.id, info.owner, after)
