"""Awaiting what may be sync or async, and ending tasks of the package's own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Iterable
from typing import Any, Final, TypeVar, cast

__all__ = ["end_tasks", "maybe_await"]

T = TypeVar("T")

_AGAIN: Final = 0.2
"""Seconds after which a task that goes on is cancelled once more."""


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels tasks, and returns when they have ended.

    Before Python 3.12, ``asyncio.wait_for`` loses a cancellation that comes in the moment in which what it waits for is
    done, and a driver may use it: a task that then goes on is cancelled again.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        ended, left = await asyncio.wait(left, timeout=_AGAIN)
        for task in ended:
            if not task.cancelled():
                # Marks the error as seen, or asyncio logs it.
                task.exception()


async def maybe_await(value: T | Awaitable[T]) -> T:
    """Returns the value that a sync or an async method gives."""
    if inspect.isawaitable(value):
        return await value
    # Neither type variable nor awaitable excludes the other for the checker.
    return cast("T", value)
