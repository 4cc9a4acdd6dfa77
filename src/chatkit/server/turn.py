"""A turn: one execution of a handler in a thread, in a task of its own, from its first write to its end mark."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, cast

from chatkit.errors import (
    BaseStreamError,
    ConflictError,
    CustomStreamError,
    ErrorCode,
    StaleTurnError,
    StreamError,
)
from chatkit.server.cancellation import HandlerCancellation, put_down, uncancel_current
from chatkit.server.lifetime import Belongings, current_belongings
from chatkit.server.pipeline import Pipeline
from chatkit.server.user_agent import override_user_agent
from chatkit.server.wire import interrupted_event
from chatkit.streams.base import EndState, TurnInfo, TurnWriter
from chatkit.types import ErrorEvent, ThreadItem, ThreadMetadata, ThreadStreamEvent

__all__ = ["Closing", "Interrupted", "StopReason", "Turn", "TurnPlan"]

logger = logging.getLogger("chatkit.server")

StopReason: TypeAlias = Literal["stop", "disconnect", "interrupt", "shutdown"]
"""Asked for by the user, the reader is gone, a newer message took over, the process ends."""

_YIELD_EVERY = 64
"""Events after which a turn lets the loop run others, even if its handler never waits."""


class Interrupted(Exception):  # noqa: N818 -- an event, not a fault
    """The server ends while the turn runs: what ``handle_stream_error`` gets then."""


class _Stopped(BaseException):
    """Unwinds a turn that was asked to stop while it was not waiting for its handler."""


class Closing(Protocol):
    """What a turn asks of its server when it ends before its handler does."""

    def keeps_pending_items(self, *, cancelled: bool) -> bool:
        """Tells whether the hook below is our own, which stores all that it is given."""
        ...

    async def handle_stream_cancelled(
        self, thread: ThreadMetadata, pending_items: list[ThreadItem], context: Any
    ) -> None:
        """Keeps what is to be kept of a stopped turn."""
        ...

    async def handle_stream_error(
        self, thread: ThreadMetadata, pending_items: list[ThreadItem], error: Exception, context: Any
    ) -> None:
        """Keeps what is to be kept of a failed turn."""
        ...


@dataclass(frozen=True, slots=True)
class TurnPlan:
    """What a request wants of a turn, checked and loaded, before anything is written.

    Attributes:
        thread: The thread, a copy of the turn's own.
        opening: Writes and sends what comes before the handler.
        handler: Calls the application's handler.
        undo: Takes back a half-done opening.
        user_item_id: The user message that the turn answers.
        message: Whether the thread's concurrency policy applies: a message or a retry.
        fresh_thread: Whether the opening creates the thread.
    """

    thread: ThreadMetadata
    opening: Callable[[Pipeline], Awaitable[None]]
    handler: Callable[[Pipeline], Any]
    undo: Callable[[], Awaitable[None]] | None = None
    user_item_id: str | None = None
    message: bool = False
    fresh_thread: bool = False


class Turn:
    """Runs a plan and answers for its end, whatever way it comes.

    Args:
        info: Identity of the turn.
        plan: What to do.
        pipeline: Takes the handler's events.
        writer: The turn's log.
        closing: Decides what is kept of a turn that ends early.
        context: The request's context.
        may_move: Whether another worker may run the turn again when this process ends.
    """

    def __init__(
        self,
        *,
        info: TurnInfo,
        plan: TurnPlan,
        pipeline: Pipeline,
        closing: Closing,
        context: object,
        may_move: bool = False,
    ) -> None:
        self.info = info
        self.plan = plan
        self.pipeline = pipeline
        self.context = context
        self.stop_reason: StopReason | None = None
        self.cancelled: asyncio.CancelledError | None = None
        self.lost_lease = False
        self.moved = False
        self._may_move = may_move
        self.task: asyncio.Task[None] = cast("asyncio.Task[None]", None)
        self.loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = self.loop.create_future()
        self.begun = asyncio.Event()
        self.finished = asyncio.Event()
        self._closing = closing
        self._cancellation = HandlerCancellation(self.loop)
        self._uncancelled = False
        self._failure: BaseException | None = None

    @property
    def writer(self) -> TurnWriter:
        """The turn's log."""
        return self.pipeline.writer

    @property
    def goes_on_elsewhere(self) -> bool:
        """Whether the turn is over here only: another worker has it, or will."""
        return self.moved or self.lost_lease

    def request_stop(self, reason: StopReason = "stop") -> None:
        """Asks the turn to end; its clean-up is never cut short. Idempotent, safe from any code of the same loop."""
        if reason == "shutdown":
            self._cancellation.hurry()
        if self.stop_reason is None:
            self.stop_reason = reason
            self._cancellation.begin()

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
        # A task cannot leave behind what it waits for itself: hence one that does the work, and this one.
        work = asyncio.create_task(self._run(before), name=f"chatkit {self.info.id} handler")
        cancellation = self._cancellation
        cancellation.work = work
        given_up = asyncio.create_task(cancellation.given_up.wait())
        try:
            while not work.done() and not cancellation.given_up.is_set():
                try:
                    await asyncio.wait({work, given_up}, return_when=asyncio.FIRST_COMPLETED)
                except asyncio.CancelledError:
                    self._pass_on_cancellation(work)
            return work.result() if work.done() else await self._leave_behind(work)
        finally:
            given_up.cancel()
            cancellation.forget()

    def _pass_on_cancellation(self, work: asyncio.Task[EndState]) -> None:
        uncancel_current()
        # The end of a loop cancels both tasks at once, and the clean-up must not be cut short by the second one.
        if not work.cancelling() and not self._uncancelled:
            work.cancel()

    async def _leave_behind(self, work: asyncio.Task[EndState]) -> EndState:
        """Ends the turn without its handler, which does not react to being cancelled."""
        logger.error("The handler of turn %s ignores that it was cancelled and is left behind", self.info.id)
        self.pipeline.refuse_events()
        put_down(work, _Stopped())
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
            await self.plan.opening(self.pipeline)
        except BaseException as error:  # noqa: BLE001 -- told to the request that waits, or to the reader
            return await self._not_opened(error, reader_waits=before is not None)
        if not self.opened.done():
            self.opened.set_result(None)
        try:
            await self._drive()
            await self.pipeline.complete()
        except BaseException as error:
            if self._cancellation.given_up.is_set():
                raise
            return await self._ended_by(error)
        return EndState.COMPLETED

    async def _ended_by(self, error: BaseException) -> EndState:
        if isinstance(error, asyncio.CancelledError | _Stopped):
            return await self._stopped(error)
        if isinstance(error, Exception):
            return await self._failed(error)
        raise error

    async def _wait_in_queue(self, before: Callable[[], Awaitable[None]]) -> None:
        """Waits for the turn's place; a stop ends the waiting, but the user's message is stored all the same."""
        try:
            await self._interruptible(before())
        except (asyncio.CancelledError, _Stopped):
            if self.stop_reason is None:
                raise
            self._uncancel()

    async def _interruptible(self, awaitable: Awaitable[Any]) -> Any:
        if self.stop_reason is not None:
            if asyncio.iscoroutine(awaitable):
                awaitable.close()
            raise _Stopped
        self._cancellation.waits = True
        try:
            return await awaitable
        finally:
            self._cancellation.waits = False

    async def _drive(self) -> None:
        belongings = Belongings()
        entered = belongings.enter()
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
        finally:
            await self._clean_up(belongings.release)
            if not self._cancellation.given_up.is_set():
                current_belongings.reset(entered)

    async def _call_handler(self) -> AsyncIterator[ThreadStreamEvent]:
        try:
            made = self.plan.handler(self.pipeline)
            if asyncio.iscoroutine(made):
                made = await self._interruptible(made)
        except (Exception, asyncio.CancelledError, _Stopped):
            raise
        except BaseException as error:
            raise self._failure_of_handler(error) from error
        return cast("AsyncIterator[ThreadStreamEvent]", aiter(made))

    def _failure_of_handler(self, error: BaseException) -> BaseException:
        """Returns an ordinary failure for what would end the loop, or whatever else runs in it, as well."""
        if self._cancellation.given_up.is_set():
            return error
        return RuntimeError(f"The handler of turn {self.info.id} raised {type(error).__name__}.")

    async def _clean_up(self, close: Callable[[], Awaitable[Any]]) -> None:
        if self._cancellation.given_up.is_set():
            return
        self._cancellation.waits = True
        self._cancellation.go_on_later()
        try:
            await close()
        except BaseException:
            if self._cancellation.given_up.is_set():
                raise
            logger.exception("The handler of turn %s failed while it was closed", self.info.id)
        finally:
            self._cancellation.waits = False
            self._cancellation.forget()

    async def _take_all(self, events: AsyncIterator[ThreadStreamEvent]) -> None:
        accept, writer, advance = self.pipeline.accept, self.writer, events.__anext__
        until_yield = 1
        while True:
            if self.stop_reason is not None:
                raise _Stopped
            self._cancellation.waits = True
            try:
                event = await advance()
            except StopAsyncIteration:
                return
            except (Exception, asyncio.CancelledError):
                raise
            except BaseException as error:
                raise self._failure_of_handler(error) from error
            finally:
                self._cancellation.waits = False
            rest = accept(event)
            until_yield -= 1
            if rest is not None:
                await rest
            elif until_yield > 0:
                continue
            # Readers run only while the turn waits: what they have not read cannot have become less before.
            if writer.congested:
                await self._interruptible(writer.drain())
            if until_yield <= 0:
                until_yield = _YIELD_EVERY
                await asyncio.sleep(0)

    async def _not_opened(self, error: BaseException, *, reader_waits: bool) -> EndState:
        self._uncancel()
        if self.plan.undo is not None:
            try:
                await self.plan.undo()
            except Exception:
                logger.exception("Taking back a half-begun turn failed")
        if not self.opened.done():
            if isinstance(error, _Stopped | asyncio.CancelledError):
                self.opened.cancel()
            else:
                self.opened.set_exception(error)
                self.opened.exception()  # The request may be gone: then nobody else asks.
        if not isinstance(error, Exception):
            if self.stop_reason != "shutdown":
                return EndState.STOPPED
            await self._tell(Interrupted("The server is shutting down."))
            return EndState.INTERRUPTED
        if isinstance(error, ConflictError):
            await self._tell(CustomStreamError(error.public_message))
        else:
            if reader_waits:
                logger.error("Turn %s could not begin", self.info.id, exc_info=error)
            await self._tell(error)
        return EndState.FAILED

    def _uncancel(self) -> None:
        self._uncancelled = True
        uncancel_current()

    async def _stopped(self, error: BaseException) -> EndState:
        self._uncancel()
        if self.writer.lost:
            return await self._failed(
                StaleTurnError(f"Turn {self.info.id} was taken over by another worker.")
            )
        if self.stop_reason == "shutdown":
            self.moved = self._may_move and await self._handed_over()
            if self.moved:
                return EndState.INTERRUPTED
            return await self._failed(Interrupted("The server is shutting down."))
        if self.stop_reason is None and isinstance(error, asyncio.CancelledError):
            # The handler gave up by itself, or whoever runs the loop wants it to end: the reader must hear of it.
            self.cancelled = error
        await self._close_pending(None)
        return EndState.STOPPED

    async def _handed_over(self) -> bool:
        try:
            return await self.writer.hand_over()
        except Exception:
            logger.exception("Turn %s could not be left to another worker", self.info.id)
            return False

    async def _tell(self, error: Exception) -> None:
        rest = self.pipeline.accept(_error_event(error))
        if rest is not None:
            try:
                await rest
            except Exception:
                logger.exception("Saving the edits of the thread failed in turn %s", self.info.id)

    async def _failed(self, error: Exception) -> EndState:
        self._uncancel()
        if isinstance(error, StaleTurnError):
            self.lost_lease = True
            logger.warning("Turn %s lost its lease to another worker and wrote nothing more", self.info.id)
            if self.writer.lost or await self.writer.give_way():
                # Its readers come back to whoever has it now.
                return EndState.INTERRUPTED
        elif not isinstance(error, BaseStreamError | Interrupted):
            logger.error("Turn %s failed", self.info.id, exc_info=error)
        await self._close_pending(error)
        await self._tell(error)
        return EndState.INTERRUPTED if isinstance(error, Interrupted) else EndState.FAILED

    async def _close_pending(self, error: Exception | None) -> None:
        """Keeps what the turn had produced, and tells the client; nothing here stops the turn from ending."""
        kept = self.pipeline.pending_items()
        try:
            if error is None:
                await self._closing.handle_stream_cancelled(self.pipeline.thread, kept, self.context)
            elif not isinstance(error, StaleTurnError):
                await self._closing.handle_stream_error(self.pipeline.thread, kept, error, self.context)
            await self.pipeline.save_updates()
            decided = self._closing.keeps_pending_items(cancelled=error is None)
            if not decided or isinstance(error, StaleTurnError):
                kept = await self.pipeline.stored_of(kept)
            await self.pipeline.announce_closed(kept)
            publishing = self.pipeline.publish_edits()
            if publishing is not None:
                await publishing
        except Exception:
            logger.exception("Keeping the partial answer of turn %s failed", self.info.id)
            if error is None:
                await self._tell(RuntimeError())


def _error_event(error: Exception) -> ErrorEvent:
    # A subclass may have left out super().__init__(), and its errors are told all the same.
    allow_retry = bool(getattr(error, "allow_retry", False))
    if isinstance(error, StreamError):
        return ErrorEvent(code=getattr(error, "code", ErrorCode.STREAM_ERROR), allow_retry=allow_retry)
    if isinstance(error, BaseStreamError):
        return ErrorEvent(message=str(getattr(error, "message", error)) or None, allow_retry=allow_retry)
    if isinstance(error, Interrupted):
        return interrupted_event()
    return ErrorEvent(code=ErrorCode.STREAM_ERROR, allow_retry=True)
