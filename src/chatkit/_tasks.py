"""Ending tasks of the package's own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

__all__ = ["end_tasks"]

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
                # Nobody else asks for it.
                task.exception()
