"""Ends a turn early: keeps what it had produced, and tells its readers why it ended."""

from __future__ import annotations

import asyncio
import logging
import traceback
from typing import TYPE_CHECKING, Any, Final

from chatkit._outages import log_failure, place_of
from chatkit.errors import (
    BaseStreamError,
    CustomStreamError,
    ErrorCode,
    NotFoundError,
    QuotaExceededError,
    RateLimitedError,
    RequestError,
    StaleTurnError,
    StreamError,
    ThreadBusyError,
)
from chatkit.server.handler_results import method_name, settled_result
from chatkit.server.handlers import is_overridden
from chatkit.server.turns.cancellation import AbandonableWork, call_hook
from chatkit.server.turns.storage import stored_items
from chatkit.server.wire import interrupted_event
from chatkit.streams.base import EndState
from chatkit.types import ErrorEvent, ThreadItem

if TYPE_CHECKING:
    from chatkit.server.turns.turn import Turn

__all__ = ["Interrupted", "close_pending", "end_taken_over", "refusal", "tell_error"]

logger = logging.getLogger("chatkit.server")

_STORE_SECONDS: Final = 40.0
"""Time that a store may take at each step of a turn's end: longer than ours wait for their servers."""


class Interrupted(Exception):  # noqa: N818 -- an event, not a fault
    """The server ends while the turn runs: what ``handle_stream_error`` gets then."""


def refusal(error: RequestError) -> CustomStreamError:
    """Returns what a stream says of a request that is refused; one for which there was no room may be sent again."""
    return CustomStreamError(
        error.public_message, allow_retry=isinstance(error, ThreadBusyError | RateLimitedError)
    )


async def tell_error(turn: Turn, error: Exception) -> None:
    """Sends the error event of an error, and edits of the thread."""
    rest = turn.pipeline.accept(_error_event(error, in_full=turn.scope.application.shows_exceptions))
    if rest is not None:
        try:
            async with asyncio.timeout(_STORE_SECONDS):
                await rest
        except Exception as failure:  # noqa: BLE001 -- it is logged
            log_failure(logger, f"Saving the edits of the thread failed in turn {turn.info.id}", failure)


async def close_pending(turn: Turn, error: Exception | None) -> None:
    """Keeps what a turn had produced, and tells the client; nothing here stops the turn from ending.

    Args:
        turn: The turn.
        error: Why it ends; None if it was asked to stop.
    """
    pipeline = turn.pipeline
    if pipeline.continued is not None:
        pipeline.continued.give_back()
    kept = pipeline.closed_pending()
    certain = not isinstance(error, StaleTurnError) and not _has_own_hook(turn, error)
    in_order = True
    try:
        await _call_hook(turn, kept, error)
        async with asyncio.timeout(_STORE_SECONDS):
            await pipeline.save_updates()
    except Exception as failure:  # noqa: BLE001 -- it is logged
        in_order = certain = False
        _log_not_kept(turn, failure)
    try:
        async with asyncio.timeout(_STORE_SECONDS):
            if not certain:
                kept = await stored_items(turn.scope.store, turn.thread.id, kept, turn.scope.context)
            await pipeline.announce_closed(kept)
    except Exception as failure:  # noqa: BLE001 -- it is logged
        in_order = False
        _log_not_kept(turn, failure)
        pipeline.take_back_pending()
    try:
        publishing = pipeline.publish_edits()
        if publishing is not None:
            async with asyncio.timeout(_STORE_SECONDS):
                await publishing
    except Exception as failure:  # noqa: BLE001 -- it is logged
        in_order = False
        _log_not_kept(turn, failure)
    if not in_order and error is None:
        await tell_error(turn, RuntimeError())


async def end_taken_over(turn: Turn) -> EndState:
    """Ends a turn here that the store has for another worker."""
    if not (turn.writer.lost or await turn.writer.give_way()):
        # The log has it for this one: the other one, which found it in the store alone, has ended it there.
        error = Interrupted("Another worker has ended this turn.")
        await close_pending(turn, StaleTurnError(str(error)))
        await tell_error(turn, error)
    # Otherwise its readers come back to the worker that has it now.
    return EndState.INTERRUPTED


def _has_own_hook(turn: Turn, error: Exception | None) -> bool:
    name = "handle_stream_cancelled" if error is None else "handle_stream_error"
    return is_overridden(turn.scope.application, name)


async def _call_hook(turn: Turn, kept: list[ThreadItem], error: Exception | None) -> None:
    if isinstance(error, StaleTurnError) or not turn.runs:
        return
    application, context = turn.scope.application, turn.scope.context
    # Our own hook only writes to the store, which has limits of its own and may have to wait for its server.
    hook = turn.hook = AbandonableWork(None if _has_own_hook(turn, error) else _STORE_SECONDS)
    if turn.work.hurries:
        hook.hurry()

    def call() -> Any:
        if error is None:
            made = application.handle_stream_cancelled(turn.thread, kept, context)
            return settled_result(made, method_name(application.handle_stream_cancelled))
        made = application.handle_stream_error(turn.thread, kept, error, context)
        return settled_result(made, method_name(application.handle_stream_error))

    try:
        await call_hook(call, "handle_stream_cancelled" if error is None else "handle_stream_error", hook)
    finally:
        turn.hook = None
        # What is left of a hook must not write any more.
        turn.lost_lease = turn.lost_lease or hook.given_up.done()


def _log_not_kept(turn: Turn, failure: Exception) -> None:
    if isinstance(failure, NotFoundError | StaleTurnError):
        logger.warning("The partial answer of turn %s was not kept: %s", turn.info.id, failure)
    else:
        log_failure(logger, f"Keeping the partial answer of turn {turn.info.id} failed", failure)


def _error_event(error: Exception, *, in_full: bool) -> ErrorEvent:
    # A subclass may have left out super().__init__(), and its errors are told all the same.
    allow_retry = bool(getattr(error, "allow_retry", False))
    if isinstance(error, QuotaExceededError):
        # A budget ran out in the middle of an answer: what is allowed, and when there may be more.
        error = refusal(error)
        allow_retry = error.allow_retry
    if isinstance(error, StreamError):
        return ErrorEvent(code=getattr(error, "code", ErrorCode.STREAM_ERROR), allow_retry=allow_retry)
    if isinstance(error, BaseStreamError):
        return ErrorEvent(message=str(getattr(error, "message", error)) or None, allow_retry=allow_retry)
    if isinstance(error, Interrupted):
        return interrupted_event()
    if in_full:
        return ErrorEvent(message=_described(error), allow_retry=True)
    return ErrorEvent(code=ErrorCode.STREAM_ERROR, allow_retry=True)


def _described(error: Exception) -> str:
    """Returns an exception as its traceback ends, class and text, then the place in the application."""
    lines = traceback.format_exception_only(error)
    if (place := place_of(error)) is not None:
        lines.append(f"({place.filename}:{place.lineno}, in {place.name})")
    return " ".join(line.strip() for line in lines)
