"""Ending a handler that may not want to end: cancelled, cancelled again, and at last left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

__all__ = ["HandlerCancellation", "put_down", "uncancel_current"]

_CLEAN_UP_LIMIT = 2.0
"""Seconds that a handler has for its clean-up once it was stopped, before it is cancelled again."""
_SHUTDOWN_LIMIT = 0.6
"""The same while the process ends, which must not take longer than whoever ends it is willing to wait."""
_CANCELLATIONS = 2
"""How often a handler is cancelled before the turn ends without it."""


class HandlerCancellation:
    """Cancels the work of a turn while it waits for its handler.

    A handler that swallows the cancellation, or that hangs in its own clean-up, is cancelled again in a while, and at
    last given up.

    Args:
        loop: The turn's event loop.

    Attributes:
        work: The task that is cancelled.
        waits: Whether it waits for its handler now: at any other point a cancellation would cut short what the turn
            itself does.
        given_up: Set when the handler is to be left behind.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.work: asyncio.Task[Any] = cast("asyncio.Task[Any]", None)
        self.waits = False
        self.given_up = asyncio.Event()
        self._loop = loop
        self._hurries = False
        self._count = 0
        self._next: asyncio.TimerHandle | None = None

    def hurry(self) -> None:
        """Leaves the handler less time from now on."""
        if not self._hurries:
            self._hurries = True
            if self._next is not None:
                self.go_on_later()

    def begin(self) -> None:
        """Cancels the handler now, if the turn waits for it."""
        if not self.waits or self.given_up.is_set():
            return
        if self._count >= _CANCELLATIONS:
            self.given_up.set()
            return
        self._count += 1
        self.work.cancel()
        self.go_on_later()

    def go_on_later(self) -> None:
        """Cancels the handler, or gives it up, when its time for cleaning up is over."""
        self.forget()
        limit = min(_CLEAN_UP_LIMIT, _SHUTDOWN_LIMIT) if self._hurries else _CLEAN_UP_LIMIT
        self._next = self._loop.call_later(limit, self.begin)

    def forget(self) -> None:
        """Takes back the next step."""
        if self._next is not None:
            self._next.cancel()
            self._next = None


def uncancel_current() -> None:
    """Lets the running task wait again although it was cancelled."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()


def put_down(work: asyncio.Task[Any], farewell: BaseException) -> None:
    """Ends a task that ignores cancellation: no loop could end while it runs.

    Args:
        work: The task.
        farewell: Raised in it.
    """
    work.add_done_callback(lambda task: task.cancelled() or task.exception())
    coroutine = cast("Coroutine[Any, Any, Any]", work.get_coro())
    try:
        # Not close(), which leaves an asynchronous generator that the coroutine waits for as it is.
        coroutine.throw(farewell)
    except BaseException:  # noqa: BLE001 -- whatever it is, the coroutine is over
        work.cancel()
        return
    # It waits on. A loop waits for all registered tasks as it ends, which this one would hold up for ever.
    unregister: Callable[[asyncio.Task[Any]], None] = getattr(asyncio.tasks, "_unregister_task")  # noqa: B009
    unregister(work)
    setattr(work, "_log_destroy_pending", False)  # noqa: B010 -- it is, and was told of
