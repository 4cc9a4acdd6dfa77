"""What belongs to a turn and has to be over before the turn is: started by helpers that a handler calls."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar, Token
from typing import TypeAlias

__all__ = ["Belongings", "current_belongings"]

logger = logging.getLogger("chatkit.server")

Release: TypeAlias = Callable[[], Awaitable[object]]


class Belongings:
    """What a turn has to release at its end, newest first.

    A generator that a handler leaves in the middle of an ``async for`` is closed by nobody before the garbage
    collector, which does it in a task that the turn does not know.

    Attributes:
        continued: Ids of items of earlier turns that go on in this one. Once it changes them they are its own, which it
            stores and closes however it ends.
    """

    __slots__ = ("_releases", "continued")

    def __init__(self) -> None:
        self.continued: set[str] = set()
        self._releases: dict[object, Release] = {}

    def add(self, key: object, release: Release) -> None:
        """Has ``release`` called and awaited at the end of the turn."""
        self._releases[key] = release

    def discard(self, key: object) -> None:
        """Forgets what is released already."""
        self._releases.pop(key, None)

    async def release(self) -> None:
        """Releases everything, whatever fails on the way."""
        while self._releases:
            _, release = self._releases.popitem()
            try:
                await release()
            except Exception:
                logger.exception("Releasing what a turn had started failed")

    def enter(self) -> Token[Belongings | None]:
        """Makes this the collection of the running turn."""
        return current_belongings.set(self)


current_belongings: ContextVar[Belongings | None] = ContextVar("chatkit_belongings", default=None)
"""Those of the turn that the running code belongs to; None outside of turns."""
