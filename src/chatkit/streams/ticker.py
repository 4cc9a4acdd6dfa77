"""When to save: a timer per event loop that runs only while turns do."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Task, TimerHandle, get_running_loop
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Final

__all__ = ["RENEWAL", "Ticker"]

RENEWAL: Final = 3.0
"""Seconds after which leases are renewed although nothing was appended."""

_DELAY: Final = 0.15
"""Seconds from the first unsaved event to the save; with a busy event loop and the write itself still below 0.25."""
_RETRY: Final = 1.0
"""Seconds after which a failed save is tried again."""


class Ticker:
    """Saves from time to time while turns run in one event loop, and leaves nothing in the loop after them."""

    __slots__ = ("_handle", "_overdue", "_save", "_task", "due", "loop", "turns")

    def __init__(self, loop: AbstractEventLoop, save: Callable[[], Awaitable[bool]]) -> None:
        self.loop = loop
        self.turns = 0
        self.due = False
        self._save = save
        self._handle: TimerHandle | None = None
        self._task: Task[None] | None = None
        self._overdue = False

    def soon(self) -> None:
        """Sees to it that what is appended from now on is saved in time."""
        self.due = True
        self._schedule(_DELAY)

    async def release(self) -> None:
        """Says that a turn has ended; after the last one, waits for the save under way."""
        self.turns -= 1
        if self.turns:
            return
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        # A turn whose own loop is gone may be ended from another one.
        if self._task is not None and self.loop is get_running_loop():
            await self._task

    def _schedule(self, delay: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        # In a context of its own: the save is no part of the turn that happened to append first.
        self._handle = self.loop.call_later(delay, self._fire, context=Context())

    def _fire(self) -> None:
        self._handle = None
        if self._task is None:
            self._task = self.loop.create_task(self._tick(), context=Context())
        else:
            self._overdue = True

    async def _tick(self) -> None:
        self.due = False
        try:
            saved = await self._save()
        finally:
            self._task = None
        overdue, self._overdue = self._overdue, False
        if not self.turns:
            return
        if not saved:
            self.due = True
            self._schedule(_RETRY)
        elif overdue:
            self._fire()
        elif self._handle is None:
            self._schedule(RENEWAL)
