"""Calls the application's hooks that review what is sent and answered. A hook that fails lets nothing pass."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import BaseModel

from chatkit._outages import log_failure
from chatkit.errors import ContentRefusedError, CustomStreamError, RequestError, ReviewFailedError
from chatkit.server.handler_results import method_name, settled_result, wrong_result
from chatkit.server.handlers import Handlers, overrides
from chatkit.types import UserMessageItem

if TYPE_CHECKING:
    from chatkit.server.scope import RequestScope
    from chatkit.types import ThreadItem, ThreadMetadata

__all__ = [
    "review",
    "review_in_turn",
    "review_input",
    "review_output",
    "reviewed_message",
    "reviews_input",
    "reviews_output",
    "stream_error",
]

logger = logging.getLogger("chatkit.server")

_T = TypeVar("_T", bound=BaseModel)


async def review_input(scope: RequestScope, params: _T) -> _T:
    """Returns what a user sends as ``review_input()`` of the application leaves it.

    Raises:
        RequestError: The application refuses it.
        ReviewFailedError: The hook failed, or took too long.
    """
    application = scope.application
    if not reviews_input(scope):
        return params
    hook = application.review_input
    return await review(
        hook, params, lambda given: hook(given, scope.context), seconds=application.review_seconds
    )


def reviews_input(scope: RequestScope) -> bool:
    """Returns whether the application reviews what users send."""
    return overrides(scope.application.review_input, Handlers.review_input)


def reviews_output(scope: RequestScope) -> bool:
    """Returns whether the application reviews the items of answers."""
    return overrides(scope.application.review_output, Handlers.review_output)


async def review_output(scope: RequestScope, thread: ThreadMetadata, item: ThreadItem) -> ThreadItem:
    """Returns an item as ``review_output()`` of the application leaves it; raises what ``review_input`` does."""
    application = scope.application
    if not reviews_output(scope):
        return item
    hook = application.review_output
    reviewed = await review(
        hook, item, lambda given: hook(given, thread, scope.context), seconds=application.review_seconds
    )
    # Whatever the hook made of them: the item stays the one that the turn knows.
    return reviewed.model_copy(update={"id": item.id, "thread_id": item.thread_id})


async def review_in_turn(
    hook: Callable[..., Any], value: Any, call: Callable[[Any], Any], *, seconds: float
) -> Any:
    """Does what ``review`` does; what is refused, or fails, ends the turn with a text for the user.

    Args:
        hook: The hook, a method of the application.
        value: What is reviewed.
        call: Calls the hook with a copy of it.
        seconds: How long it may take.

    Raises:
        CustomStreamError: It may not pass, or that is not known.
    """
    try:
        return await review(hook, value, call, seconds=seconds)
    except (RequestError, ReviewFailedError) as error:
        raise stream_error(error) from error


def stream_error(error: RequestError | ReviewFailedError) -> CustomStreamError:
    """Returns what a stream says of something that a review did not let pass."""
    if isinstance(error, RequestError):
        return CustomStreamError(error.public_message, allow_retry=False)
    return CustomStreamError(
        "This answer could not be checked, so it is not shown. Try again.", allow_retry=True
    )


def reviewed_message(items: list[ThreadItem], message_id: str) -> UserMessageItem:
    """Returns the message that is to be answered out of what a review has left.

    Raises:
        CustomStreamError: It is not among it.
    """
    for item in items:
        if item.id == message_id and isinstance(item, UserMessageItem):
            return item
    logger.error("review_model_input() left out the message %s, which is to be answered", message_id)
    raise stream_error(ReviewFailedError())


async def review(hook: Callable[..., Any], value: Any, call: Callable[[Any], Any], *, seconds: float) -> Any:
    """Returns what a hook makes of a value.

    Args:
        hook: The hook, a method of the application.
        value: What is reviewed; the hook gets a copy.
        call: Calls the hook with it.
        seconds: How long it may take.

    Raises:
        RequestError: The application refuses it.
        ReviewFailedError: The hook failed, took too long, or returned something else than it must.
    """
    name = method_name(hook)
    given: Any
    if isinstance(value, list):
        given = [entry.model_copy(deep=True) for entry in cast("list[BaseModel]", value)]
    else:
        given = value.model_copy(deep=True)
    kind: type = type(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    try:
        async with asyncio.timeout(seconds):
            made = await settled_result(call(given), name)
        if type(made) is not kind:
            raise wrong_result(
                made, name, f"Return the {kind.__name__} that it was given, or a changed copy."
            )
    except RequestError:
        raise
    except CustomStreamError as refused:
        raise ContentRefusedError(refused.message) from refused
    except Exception as error:
        what = (
            f"{name}() did not end within {seconds:g} s"
            if isinstance(error, TimeoutError)
            else f"{name}() failed"
        )
        log_failure(logger, f"{what}: what it was to review is refused", error)
        raise ReviewFailedError(f"{what}.") from error
    return made
