"""Runs code that may ignore cancellation: it is cancelled, cancelled again, and at last abandoned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import suppress
from inspect import isawaitable
from typing import Any, cast

__all__ = ["AbandonableWork", "Stopped", "call_hook", "uncancel_current"]

_CLEAN_UP_SECONDS = 2.0
"""Time that a handler has for its clean-up once it was stopped, before it is cancelled again."""
_SHUTDOWN_SECONDS = 0.6
"""The same while the process ends, which must not take longer than its supervisor waits."""
_CANCELLATIONS = 2
"""How often a handler is cancelled before the turn ends without it."""


class Stopped(BaseException):
    """Unwinds a turn that was asked to stop while it was not waiting for its handler."""


class AbandonableWork(Coroutine[Any, Any, Any]):
    """A handler or a hook in a task of its own, which the turn can leave, whatever it does when it is cancelled.

    The object is what its task drives, in the place of the coroutine.

    Args:
        limit: Seconds for its clean-up; None for the usual ones.

    Attributes:
        waits: Whether the turn waits for code of the application now: at any other point a cancellation would cut
            short what the turn itself does.
        given_up: Done when the work is to be abandoned.
        hurries: Whether the process ends.
    """

    def __init__(self, limit: float | None = None) -> None:
        self._coroutine: Any = None
        self._task: asyncio.Task[Any] | None = None
        self._abandoned = False
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        self._count = 0
        self._next: asyncio.TimerHandle | None = None
        self.waits = False
        self.given_up: asyncio.Future[None] = self._loop.create_future()
        self.hurries = False

    def start(self, coroutine: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Runs the coroutine in a task, and returns the task."""
        self._coroutine = coroutine
        self._task = asyncio.create_task(self, name=name)
        return self._task

    def hurry(self) -> None:
        """Leaves it less time from now on."""
        if not self.hurries and self._limit is None:
            self.hurries = True
            if self._next is not None:
                self.schedule_next()

    def cancel(self) -> None:
        """Cancels it now, if the turn waits for it."""
        if self._task is None or not self.waits or self.given_up.done():
            return
        if self._count >= _CANCELLATIONS:
            self.given_up.set_result(None)
            return
        self._count += 1
        self._task.cancel()
        self.schedule_next()

    def schedule_next(self) -> None:
        """Cancels it, or gives it up, when its time for cleaning up is over."""
        self.unschedule()
        limit = _CLEAN_UP_SECONDS if self._limit is None else self._limit
        self._next = self._loop.call_later(
            min(limit, _SHUTDOWN_SECONDS) if self.hurries else limit, self.cancel
        )

    def unschedule(self) -> None:
        """Cancels the next step."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    async def wait(self, on_cancel: Callable[[], object]) -> bool:
        """Waits until it is done or given up.

        Args:
            on_cancel: Called when the waiting task is cancelled, which does not end the waiting: the loop ends.

        Returns:
            Whether it is done; False if it is given up.
        """
        task = cast("asyncio.Task[Any]", self._task)
        try:
            while not task.done() and not self.given_up.done():
                try:
                    await asyncio.wait({task, self.given_up}, return_when=asyncio.FIRST_COMPLETED)
                except asyncio.CancelledError:
                    uncancel_current()
                    on_cancel()
            return task.done()
        finally:
            self.unschedule()
            if task.done():
                # The two name each other: nothing of a turn that has ended is to wait for the garbage collector.
                self._task = None

    def abandon(self, farewell: BaseException) -> None:
        """Ends it although it ignores cancellation: no loop could end while it runs.

        Args:
            farewell: Raised in the coroutine, which is not continued after that.
        """
        coroutine, task = self._coroutine, cast("asyncio.Task[Any]", self._task)
        with suppress(BaseException):
            # Not close(), which leaves an asynchronous generator that the coroutine waits for as it is.
            waits_for: Any = coroutine.throw(farewell)
            if asyncio.isfuture(waits_for):
                # Held for as long as what it waits for: it would ignore being closed, too.
                waits_for.add_done_callback(lambda _, held=coroutine: None)
        self._abandoned = True
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        task.cancel()

    # What a task, and what looks at tasks, asks of a coroutine.

    def __getattr__(self, name: str) -> Any:
        return getattr(self._coroutine, name)

    # Awaited by another coroutine, it is still this object that is driven: instrumentation wraps what a task runs.
    def __await__(self) -> Generator[Any, Any, Any]:
        return cast("Generator[Any, Any, Any]", self)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any, /) -> Any:
        if self._abandoned:
            # What it waited for has ended although it was cancelled.
            raise asyncio.CancelledError
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        if self._abandoned:
            raise error[0]
        return self._coroutine.throw(*error)

    def close(self) -> None:
        if self._coroutine is not None and not self._abandoned:
            self._coroutine.close()


async def call_hook(call: Callable[[], Any], name: str, work: AbandonableWork) -> None:
    """Calls what an application does at the end of a turn; it gets the time that a handler has for its clean-up.

    Args:
        call: Calls the hook, which may be asynchronous.
        name: The hook's name, for messages.
        work: Runs it, and cancels it when its time is over.

    Raises:
        TimeoutError: The hook did not end in time; ``work.given_up`` is set if it runs on all the same.
        Exception: What the hook raised, or a RuntimeError for what would have ended the loop.
    """
    task = work.start(_outcome(call), name=f"chatkit {name}")
    work.waits = True
    work.schedule_next()
    # What else the turn does at its end is not cut short with it.
    if not await work.wait(task.cancel):
        late = TimeoutError(f"{name}() ignores that it was cancelled and is abandoned.")
        work.abandon(late)
        raise late
    if task.cancelled():
        raise TimeoutError(f"{name}() did not end in time and was cancelled, or it raised CancelledError.")
    error = task.result()
    if isinstance(error, Exception):
        raise error
    if error is not None:
        raise RuntimeError(f"{name}() raised {type(error).__name__}.") from error


async def _outcome(call: Callable[[], Any]) -> BaseException | None:
    try:
        result = call()
        if isawaitable(result):
            await result
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 -- some would end the loop, and are told instead
        return error
    return None


def uncancel_current() -> None:
    """Lets the running task wait again although it was cancelled."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()
