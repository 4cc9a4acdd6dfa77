"""Handlers of termination signals that run before those of the HTTP server.

An HTTP server that is asked to end waits for open connections first and tells the application afterwards, so
a stream that is still being written would keep the process alive. Hence a handler of our own in front of the
server's. hypercorn asks its workers to end without a signal: there, the task that waits for that is watched.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import FrameType
from typing import Any, Final

from chatkit._outages import log_failure

__all__ = ["ShutdownHook"]

logger = logging.getLogger("chatkit.web")

_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
)

_ONE_REQUEST_SECONDS: Final = 1.5
"""Seconds within which two signals are one request: a terminal, or a supervisor that signals all processes, asks
workers itself, and so does the process that started them, half a second later."""

_LOOK_SECONDS: Final = 0.1
_LOOKS: Final = 100
"""How often hypercorn's tasks are looked for: it starts them once the application is ready."""


class ShutdownHook:
    """Calls a function when the process is asked to end.

    Several hooks in one process, for several applications, form a chain; each calls what was there before it.
    A signal without a handler ends the process at once, as it did: no server waits for the streams.

    Args:
        callback: Called once, in the event loop that ``install`` was called in last.
        again: Called once, likewise, when a second signal arrives before the callback is over; not when it comes so
            soon that it is the first one told twice.
    """

    def __init__(
        self,
        callback: Callable[[], Awaitable[None]],
        again: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._callback = callback
        self._again = again
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Future[None] | None = None
        self._hurrying: asyncio.Future[None] | None = None
        self._begun_at = 0.0
        self._look: asyncio.TimerHandle | None = None

    @property
    def triggered(self) -> bool:
        """Whether a signal has arrived."""
        return self._task is not None

    def install(self) -> None:
        """Puts the hook in front of the present handlers, if it is not among them.

        Called again, it looks whether the handlers were replaced since. Outside the main thread, where Python has no
        signal handlers, it hears of hypercorn's end only.
        """
        loop = asyncio.get_running_loop()
        is_main = threading.current_thread() is threading.main_thread()
        begins = self._loop is None
        if is_main or self.spent:
            self._loop = loop
        if begins and "hypercorn.utils" in sys.modules:
            self._watch_hypercorn(loop, _LOOKS)
        if not is_main:
            return
        for number in _SIGNALS:
            handler = _without_spent(signal.getsignal(number))
            if callable(handler) and not self._hears(handler):
                signal.signal(number, _Relay(self, handler))

    def uninstall(self) -> None:
        """Restores the handlers that were there before, unless they were replaced since."""
        self._loop = None
        if self._look is not None:
            self._look.cancel()
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            kept = _without_spent(handler)
            if kept is not handler:
                signal.signal(number, kept)

    @property
    def spent(self) -> bool:
        """Whether the hook will not be called any more."""
        return self._loop is None or self._loop.is_closed()

    def notify(self) -> None:
        """Schedules the callback; safe in a signal handler."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # The loop is closed: nothing runs in it that could be ended.
                loop.call_soon_threadsafe(self._begin)

    async def wait(self) -> None:
        """Waits until the callback is over, if it was called."""
        if self._task is not None:
            await self._task

    def _watch_hypercorn(self, loop: asyncio.AbstractEventLoop, looks: int) -> None:
        self._look = None
        waiting = [task for task in asyncio.all_tasks(loop) if _waits_for_end_of_hypercorn(task)]
        for task in waiting:
            task.add_done_callback(lambda _: self.notify())
        if not waiting and looks > 1:
            self._look = loop.call_later(_LOOK_SECONDS, self._watch_hypercorn, loop, looks - 1)

    def _begin(self) -> None:
        if self._task is None:
            self._begun_at = time.monotonic()
            self._task = asyncio.ensure_future(self._run(self._callback))
        elif self._again is None or self._hurrying is not None or self._task.done():
            return
        elif time.monotonic() - self._begun_at > _ONE_REQUEST_SECONDS:
            self._hurrying = asyncio.ensure_future(self._run(self._again))

    async def _run(self, callback: Callable[[], Awaitable[None]]) -> None:
        try:
            await callback()
        except Exception as error:  # noqa: BLE001 -- it is logged
            log_failure(logger, "Running turns could not be ended in order", error)

    def _hears(self, handler: Any) -> bool:
        while isinstance(handler, _Relay):
            if handler.hook is self:
                return True
            handler = handler.previous
        return False


class _Relay:
    """A signal handler that notifies a hook, then calls the handler before it."""

    def __init__(self, hook: ShutdownHook, previous: Callable[[int, FrameType | None], Any]) -> None:
        self.hook = hook
        self.previous = previous

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.hook.notify()
        self.previous(number, frame)


def _without_spent(handler: Any) -> Any:
    while isinstance(handler, _Relay) and handler.hook.spent:
        handler = handler.previous
    return handler


def _waits_for_end_of_hypercorn(task: asyncio.Task[Any]) -> bool:
    # Not part of what hypercorn documents: without it, its workers end streams when they are cut off.
    waiting = getattr(sys.modules.get("hypercorn.utils"), "raise_shutdown", None)
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and code is getattr(waiting, "__code__", None)
