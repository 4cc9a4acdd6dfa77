"""Renewal: keeps what is reserved in a counter reserved, for as long as its worker lives."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Final

from chatkit.errors import ChatKitError

if TYPE_CHECKING:
    from chatkit.counters import Counter

__all__ = ["LEASE_SECONDS", "Renewal"]

LEASE_SECONDS: Final = 60.0
"""How long what a dead worker had reserved stays reserved."""


class Renewal:
    """Renews reservations in the event loop that it was made in, from whichever thread they are held.

    Args:
        counter: The counter.
    """

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._loop = asyncio.get_running_loop()
        self._held: set[tuple[str, str]] = set()
        self._task: asyncio.Task[None] | None = None

    def hold(self, keys: Iterable[str], name: str) -> None:
        """Renews the reservations of a name from now on.

        Args:
            keys: The keys of the counter.
            name: The name that they have under each.
        """
        self._held.update((key, name) for key in keys)
        self._loop.call_soon_threadsafe(self._begin, context=Context())

    def let_go(self, keys: Iterable[str], name: str) -> None:
        """Renews them no more; takes what ``hold`` takes."""
        self._held.difference_update((key, name) for key in keys)
        if not self._held:
            # A loop that was closed has ended the task.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._end)

    def _begin(self) -> None:
        if self._held and (self._task is None or self._task.done()):
            self._task = self._loop.create_task(self._renew(), name="chatkit reservations")

    def _end(self) -> None:
        if not self._held and self._task is not None:
            self._task.cancel()

    async def _renew(self) -> None:
        while self._held:
            await asyncio.sleep(LEASE_SECONDS / 3)
            for key, name in list(self._held):
                # What cannot be renewed now may be in time the next time.
                with suppress(ChatKitError):
                    await self._counter.renew(key, name, lease=LEASE_SECONDS)
