"""Whether requests of an owner are let in: not while what is kept of the owner is being erased."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from chatkit.errors import ErasureRunningError, StoreError

__all__ = ["LOOK_SECONDS", "Admission"]

LOOK_SECONDS: Final = 1.0
"""How old the answer may be: the database itself refuses rows of such an owner at once."""


class Admission:
    """Knows whose data is being erased, looked up once a second at most.

    Args:
        look_up: Returns these owners.
    """

    def __init__(self, look_up: Callable[[], Awaitable[frozenset[str]]]) -> None:
        self._look_up = look_up
        self._refused: frozenset[str] = frozenset()
        self._looked_at = 0.0

    async def check(self, owner: str) -> None:
        """Raises ErasureRunningError for an owner who is being erased."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            # A database that cannot be asked says so to what needs it.
            with suppress(StoreError):
                self._refused = await self._look_up()
        if owner in self._refused:
            raise ErasureRunningError
