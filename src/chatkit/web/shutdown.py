"""A prompt end: the signals that ask a process to end are heard before the HTTP server acts on them.

An HTTP server that is asked to end waits for open connections first and tells the application afterwards, so
a stream that is still being written would keep the process alive. Hence a handler of our own in front of the
server's.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import FrameType
from typing import Any, Final

__all__ = ["ShutdownHook"]

logger = logging.getLogger("chatkit.web")

_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
)

_ONE_REQUEST: Final = 1.5
"""Seconds within which two signals are one request: a terminal, or a supervisor that signals all processes, asks
workers itself, and so does the process that started them, half a second later."""


class ShutdownHook:
    """Calls a function when the process is asked to end.

    Several hooks in one process, for several applications, form a chain; each calls what was there before it.
    A signal without a handler ends the process at once, as it did: there is nobody to wait for the streams.

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

    @property
    def triggered(self) -> bool:
        """Whether a signal has arrived."""
        return self._task is not None

    def install(self) -> None:
        """Puts the hook in front of the present handlers, if it is not among them.

        Idempotent; called again it finds out whether somebody has replaced the handlers since. Does nothing
        outside the main thread, where Python has no signal handlers.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        self._loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            handler = _without_spent(signal.getsignal(number))
            if callable(handler) and not self._hears(handler):
                signal.signal(number, _Relay(self, handler))

    def uninstall(self) -> None:
        """Restores the handlers that were there before, where nobody else has replaced them since."""
        self._loop = None
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

    def _begin(self) -> None:
        if self._task is None:
            self._begun_at = time.monotonic()
            self._task = asyncio.ensure_future(self._run(self._callback))
        elif self._again is None or self._hurrying is not None or self._task.done():
            return
        elif time.monotonic() - self._begun_at > _ONE_REQUEST:
            self._hurrying = asyncio.ensure_future(self._run(self._again))

    async def _run(self, callback: Callable[[], Awaitable[None]]) -> None:
        try:
            await callback()
        except Exception:
            logger.exception("Running turns could not be ended in order.")

    def _hears(self, handler: Any) -> bool:
        while isinstance(handler, _Relay):
            if handler.hook is self:
                return True
            handler = handler.previous
        return False


class _Relay:
    """A signal handler that tells a hook and goes on to the handler before it."""

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
