"""A turn: one execution of a handler in a thread, in a task of its own, from its first write to its end mark."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from chatkit._outages import log_failure
from chatkit.errors import BaseStreamError, NotFoundError, QuotaExceededError, RequestError, StaleTurnError
from chatkit.ids import new_id
from chatkit.server.handler_results import event_iterator, method_name
from chatkit.server.turns.acceptance import KeyHold, SentKey, begin_place, take_back, write_one_by_one
from chatkit.server.turns.cancellation import AbandonableWork, Stopped, uncancel_current
from chatkit.server.turns.ending import Interrupted, close_pending, end_taken_over, refusal, tell_error
from chatkit.server.turns.journal import check_journal
from chatkit.server.turns.observed import observed
from chatkit.server.turns.pipeline import Pipeline
from chatkit.server.turns.resources import TurnResources, current_resources
from chatkit.server.user_agent import override_user_agent
from chatkit.store.acceptance import AcceptedTurn, TurnStatus, TurnWrites
from chatkit.store.base import Fence, current_fence
from chatkit.streams.base import EndState, TurnInfo, TurnWriter
from chatkit.streams.window import Waiters, wait_unless, wake
from chatkit.types import ThreadMetadata, ThreadStreamEvent, UserMessageItem

if TYPE_CHECKING:
    from chatkit.server.scope import RequestScope

__all__ = ["StopReason", "Turn"]

logger = logging.getLogger("chatkit.server")

StopReason: TypeAlias = Literal["stop", "disconnect", "interrupt", "shutdown"]
"""Asked for by the user, the reader is gone, a newer message took over, the process ends or cuts the reader off."""

_YIELD_EVERY_EVENTS: Final = 64
"""Events after which a turn lets the loop run others, even if its handler never waits."""


class Turn:
    """One execution of a handler. The function of a request makes it and writes nothing; the registry begins it.

    Args:
        scope: The request.
        thread: The thread, a copy of the turn's own.
        writes: What is written before the handler runs; by default nothing. What is wrong with the request was raised
            before the turn was made.
        opening: Sends what comes before the handler.
        message: The user message that is answered, for the first time or again: the thread's concurrency policy
            applies. None after a client tool's output or answered questions, and for actions.
        handler: Calls the application's handler; None for ``respond()``.
        name: Class and name of that handler, for messages.
        refusal: Returns what a refused write means for the request; by default the write's error itself.
        release_attachments: Takes back what was done for the attachments of a message that is not stored.

    Attributes:
        info: Identity of the turn.
        sent_key: The idempotency key of its request, where the store keeps it.
        key: The idempotency key that is bound to the turn, where the log keeps it.
        accepted: The turn as the store accepted it, where the store does that.
        fence: Its right to write, while it runs.
        runs: Whether code of the application runs in it.
        begun: Whether the log knows the turn, or will not.
        finished: Whether the turn is over in this process.
        work: Runs the handler, and cancels it.
        hook: Runs the hook for turns that end early, while it does.
        lost_lease: Whether nothing that is left of the turn may write any more.
        moved: Whether the turn was left to another worker.
        pipeline: Takes the handler's events, once the turn has begun.
        writer: The turn's log, once the turn has begun.
        task: The turn's task, once it has begun.
    """

    pipeline: Pipeline
    writer: TurnWriter
    task: asyncio.Task[EndState]
    fence: Fence | None = None
    runs: bool = True

    def __init__(
        self,
        scope: RequestScope,
        thread: ThreadMetadata,
        *,
        opening: Callable[[Pipeline], Awaitable[None]],
        writes: TurnWrites | None = None,
        message: UserMessageItem | None = None,
        handler: Callable[[Pipeline], Any] | None = None,
        name: str | None = None,
        refusal: Callable[[Exception], Exception] = lambda error: error,
        release_attachments: Callable[..., Awaitable[None]] | None = None,
    ) -> None:
        self.scope = scope
        self.thread = thread
        self.opening = opening
        self._handler = handler
        self.message = message
        self.writes = writes or TurnWrites()
        self.refusal = refusal
        user_item_id = None if message is None else message.id
        self.info = TurnInfo(new_id("turn"), thread.id, scope.owner, user_item_id=user_item_id)
        self.sent_key: SentKey | None = None
        self.key: KeyHold | None = None
        self.accepted: AcceptedTurn | None = None
        self.stop_reason: StopReason | None = None
        self.cancelled: asyncio.CancelledError | None = None
        self.lost_lease = False
        self.moved = False
        self.loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = self.loop.create_future()
        self.begun = False
        self.finished = False
        self._waiters: Waiters = []
        self.work = AbandonableWork()
        self.hook: AbandonableWork | None = None
        self._name = name or method_name(scope.application.respond)
        self._release_attachments = release_attachments
        self._uncancelled = False
        self._failure: BaseException | None = None

    def _respond(self, pipeline: Pipeline) -> Any:
        return self.scope.application.respond(pipeline.thread, self.message, self.scope.context)

    def set_begun(self) -> None:
        """Says that the log knows the turn, or that it will not."""
        self.begun = True
        wake(self._waiters)

    def set_finished(self) -> None:
        """Says that the turn is over in this process."""
        self.finished = True
        wake(self._waiters)

    async def wait_begun(self) -> None:
        """Waits for ``set_begun``."""
        while not self.begun:
            await wait_unless(lambda: self.begun, self._waiters)

    async def wait_finished(self) -> None:
        """Waits for ``set_finished``."""
        while not self.finished:
            await wait_unless(lambda: self.finished, self._waiters)

    def begin(self, pipeline: Pipeline, running: Callable[[], Coroutine[Any, Any, EndState]]) -> None:
        """Begins the turn; ``running`` is called in its task, and calls ``run``."""
        self.pipeline = pipeline
        self.writer = pipeline.writer
        self.task = asyncio.create_task(observed(self, running()), name=f"chatkit {self.info.id}")

    @property
    def continues_elsewhere(self) -> bool:
        """Whether the turn is over here only: another worker has it, or will."""
        return self.moved or self.lost_lease

    @property
    def may_move(self) -> bool:
        """Whether another worker may run the turn again when this process ends."""
        return self.info.context is not None and self.info.attempt <= self.scope.application.rerun_on_crash

    @property
    def _is_abandoned(self) -> bool:
        """Whether the handler's work can wait for nothing more: it was given up, or its loop was closed."""
        return self.work.given_up.done() or self.loop.is_closed()

    def request_stop(self, reason: StopReason = "stop") -> None:
        """Asks the turn to end; its clean-up is never cut short. Idempotent, safe from any code of the same loop."""
        if reason == "shutdown":
            self.work.hurry()
            if self.hook is not None:
                self.hook.hurry()
        if self.stop_reason is None:
            self.stop_reason = reason
            self.work.cancel()

    def request_stop_from_anywhere(self) -> None:
        """Like ``request_stop``, from any thread or loop."""
        self.loop.call_soon_threadsafe(self.request_stop)

    async def run(self, before: Callable[[], Awaitable[None]] | None = None) -> EndState:
        """Runs the turn to its end, but for the end mark.

        Args:
            before: Waited for before anything is written: the turn's place in a queue.

        Returns:
            How it ended; if it never began, ``opened`` says why.
        """
        # A task cannot abandon what it waits for itself.
        task = self.work.start(self._run(before), name=f"chatkit {self.info.id} handler")

        def pass_on_cancellation() -> None:
            # The end of a loop cancels both tasks at once, and the clean-up must not be cut short by the second one.
            if not task.cancelling() and not self._uncancelled:
                task.cancel()

        return task.result() if await self.work.wait(pass_on_cancellation) else await self._abandon()

    async def _abandon(self) -> EndState:
        """Ends the turn without its handler, which does not react to being cancelled."""
        logger.error("The handler of turn %s ignores that it was cancelled and is abandoned", self.info.id)
        self.pipeline.refuse_events()
        self.work.abandon(Stopped())
        if self.stop_reason is not None:
            end = await self._stopped(asyncio.CancelledError())
        elif isinstance(self._failure, Exception):
            end = await self._failed(self._failure)
        else:
            end = await self._failed(TimeoutError("The clean-up of the handler does not end."))
        # What is left of the handler must not write any more.
        self.lost_lease = True
        return end

    async def _run(self, before: Callable[[], Awaitable[None]] | None) -> EndState:
        try:
            if before is not None:
                await self._wait_in_queue(before)
            if self.accepted is None:
                await write_one_by_one(self)
            elif self.waits:
                if self.stop_reason == "shutdown":
                    # Another worker goes on with it.
                    raise Stopped
                if self.writer.lost:
                    # The one that has it now gives the message its place.
                    raise StaleTurnError(f"Turn {self.info.id} is another worker's now.")
                await begin_place(self, at_once=True)
            await self.opening(self.pipeline)
        except BaseException as error:  # noqa: BLE001 -- told to the request that waits, or to the reader
            return await self._not_opened(error, reader_waits=before is not None)
        if not self.opened.done():
            self.opened.set_result(None)
        self._let_go_of_request()
        try:
            await self._drive()
            await self.pipeline.complete()
        except BaseException as error:
            if self._is_abandoned:
                raise
            if isinstance(error, asyncio.CancelledError | Stopped):
                return await self._stopped(error)
            if isinstance(error, Exception):
                return await self._failed(error)
            raise
        return EndState.COMPLETED

    async def _wait_in_queue(self, before: Callable[[], Awaitable[None]]) -> None:
        """Waits for the turn's place; a stop ends the waiting, but the user's message is stored all the same."""
        try:
            await self.interruptible(before())
        except (asyncio.CancelledError, Stopped):
            if self.stop_reason is None:
                raise
            self._uncancel()

    @property
    def waits(self) -> bool:
        """Whether the turn is accepted, and its message waits for the end of others."""
        return self.accepted is not None and self.accepted.status is TurnStatus.WAITING

    async def release_attachments(self, *, accepted_before: bool = False) -> None:
        """Takes back what was done for the attachments of a message that is not stored, or was accepted before."""
        if self._release_attachments is not None:
            await self._release_attachments(accepted_before=accepted_before)

    async def interruptible(self, awaitable: Awaitable[Any]) -> Any:
        if self.stop_reason is not None:
            if asyncio.iscoroutine(awaitable):
                awaitable.close()
            raise Stopped
        self.work.waits = True
        try:
            return await awaitable
        finally:
            self.work.waits = False

    async def _drive(self) -> None:
        resources = TurnResources(self._edit_thread, self.scope, self.info)
        entered = current_resources.set(resources)
        # Never taken back: this context is the turn's own.
        override_user_agent()
        try:
            events = await self._call_handler()
            try:
                await self._take_all(events)
            except BaseException as error:
                self._failure = error
                close = getattr(events, "aclose", None)
                if close is not None:
                    await self._clean_up(close)
                raise
        except Exception as error:
            check_journal(error)
            raise
        finally:
            await self._clean_up(resources.release)
            if not self._is_abandoned:
                current_resources.reset(entered)

    async def _edit_thread(self, changed: dict[str, Any]) -> None:
        for name, value in changed.items():
            setattr(self.pipeline.thread, name, value)
        publishing = self.pipeline.publish_edits()
        if publishing is not None:
            await publishing

    async def _call_handler(self) -> AsyncIterator[ThreadStreamEvent]:
        self.pipeline.handler = self._name
        try:
            made = (self._handler or self._respond)(self.pipeline)
            if inspect.isawaitable(made) and not hasattr(type(made), "__aiter__"):
                made = await self.interruptible(made)
            return event_iterator(made, self._name)
        except (Exception, asyncio.CancelledError, Stopped):
            raise
        except BaseException as error:
            raise self._failure_of_handler(error) from error

    def _failure_of_handler(self, error: BaseException) -> BaseException:
        """Returns an ordinary failure for what would end the loop, or whatever else runs in it, as well."""
        if self._is_abandoned:
            return error
        return RuntimeError(f"The handler of turn {self.info.id} raised {type(error).__name__}.")

    async def _clean_up(self, close: Callable[[], Awaitable[Any]]) -> None:
        if self._is_abandoned:
            return
        self.work.waits = True
        self.work.schedule_next()
        try:
            await close()
        except BaseException as error:
            if self._is_abandoned:
                raise
            log_failure(logger, f"The handler of turn {self.info.id} failed while it was closed", error)
        finally:
            self.work.waits = False
            self.work.unschedule()

    async def _take_all(self, events: AsyncIterator[ThreadStreamEvent]) -> None:
        accept, writer, advance = self.pipeline.accept, self.writer, events.__anext__
        until_yield = 1
        while True:
            if self.stop_reason is not None:
                raise Stopped
            self.work.waits = True
            try:
                event = await advance()
            except StopAsyncIteration:
                return check_journal()
            except (Exception, asyncio.CancelledError):
                raise
            except BaseException as error:
                raise self._failure_of_handler(error) from error
            finally:
                self.work.waits = False
            rest = accept(event)
            until_yield -= 1
            if rest is not None:
                await rest
            elif until_yield > 0:
                continue
            # Readers run only while the turn waits: what they have not read cannot have become less before.
            if writer.congested:
                await self.interruptible(writer.drain())
            if until_yield <= 0:
                until_yield = _YIELD_EVERY_EVENTS
                await asyncio.sleep(0)

    def _let_go_of_request(self) -> None:
        """What the request sent is not kept in memory for as long as its answer takes."""
        self.scope = replace(self.scope, request=None)
        self.key = self.sent_key = None
        del self.opening, self.writes, self.refusal, self._release_attachments

    async def _not_opened(self, error: BaseException, *, reader_waits: bool) -> EndState:
        self._uncancel()
        if self.waits and self.stop_reason == "shutdown" and await self._hand_over():
            self.opened.cancel()
            return EndState.INTERRUPTED
        taken_over = False
        if isinstance(error, StaleTurnError):
            error = await self.pipeline.why_stale(error)
            taken_over = not isinstance(error, NotFoundError)
            if not taken_over:
                # What is taken back now is nothing that another worker could have.
                current_fence.set(None)
        if not taken_over or self.accepted is None:
            await take_back(self, error)
        if not self.opened.done():
            if isinstance(error, Stopped | asyncio.CancelledError):
                self.opened.cancel()
            else:
                self.opened.set_exception(error)
                self.opened.exception()  # The request may be gone.
        if self.pipeline.continued is not None and not taken_over:
            await close_pending(self, error if isinstance(error, Exception) else None)
        if not isinstance(error, Exception):
            if self.stop_reason != "shutdown":
                return EndState.STOPPED
            await tell_error(self, Interrupted("The server is shutting down."))
            return EndState.INTERRUPTED
        if taken_over:
            return await end_taken_over(self)
        told = refusal(error) if isinstance(error, RequestError) else error
        if reader_waits and told is error:
            log_failure(logger, f"Turn {self.info.id} could not begin", error)
        await tell_error(self, told)
        return EndState.FAILED

    def _uncancel(self) -> None:
        self._uncancelled = True
        uncancel_current()

    async def _stopped(self, error: BaseException) -> EndState:
        self._uncancel()
        if self.writer.lost:
            return await self._failed(StaleTurnError(f"Turn {self.info.id} is another worker's now."))
        if self.stop_reason == "shutdown":
            if self.may_move and await self._hand_over():
                return EndState.INTERRUPTED
            return await self._failed(Interrupted("The server is shutting down."))
        if self.stop_reason is None and isinstance(error, asyncio.CancelledError):
            # The handler gave up by itself, or the loop ends: the reader must hear of it.
            self.cancelled = error
        await close_pending(self, None)
        return EndState.STOPPED

    async def _hand_over(self) -> bool:
        """Leaves the turn to another worker; returns whether that could be done."""
        try:
            self.moved = await self.writer.hand_over()
        except Exception as failure:  # noqa: BLE001 -- it is logged
            log_failure(logger, f"Turn {self.info.id} could not be left to another worker", failure)
        return self.moved

    async def _failed(self, error: Exception) -> EndState:
        self._uncancel()
        if isinstance(error, StaleTurnError):
            self.lost_lease = True
            logger.warning("Turn %s lost its lease to another worker and wrote nothing more", self.info.id)
            return await end_taken_over(self)
        if not isinstance(error, BaseStreamError | Interrupted | QuotaExceededError):
            log_failure(logger, f"Turn {self.info.id} failed", error)
        await close_pending(self, error)
        await tell_error(self, error)
        return EndState.INTERRUPTED if isinstance(error, Interrupted) else EndState.FAILED
