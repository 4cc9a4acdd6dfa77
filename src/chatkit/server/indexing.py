"""Indexes for search what an earlier version stored, piece by piece, beside all else."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Any, Final

from chatkit.store.search import ThreadSearch, can_search

if TYPE_CHECKING:
    from chatkit.server.turns.background import BackgroundWork
    from chatkit.store.base import Store

__all__ = ["SearchIndexing"]

_PIECE: Final = 100
"""Texts that are indexed in one transaction, some ten milliseconds' work."""
_LOOK_AGAIN_SECONDS: Final = 60.0
_LIMIT_SECONDS: Final = 24 * 3600.0


class SearchIndexing:
    """Indexes what waits, in one task at a time."""

    def __init__(self, background: BackgroundWork) -> None:
        self._background = background
        self._task: asyncio.Task[None] | None = None
        self._looked_at = -math.inf

    async def run(self, store: Store[Any]) -> None:
        """Indexes a piece of what waits, and begins to index the rest; nothing if it did so a short time ago."""
        if not can_search(store):
            return
        now = time.monotonic()
        if now - self._looked_at < _LOOK_AGAIN_SECONDS or not (self._task is None or self._task.done()):
            return
        self._looked_at = now
        if await store.index_waiting(_PIECE):
            self._task = self._background.run(
                _index(store), name="Indexing texts for search", seconds=_LIMIT_SECONDS
            )


async def _index(store: ThreadSearch[Any]) -> None:
    while True:
        began = time.monotonic()
        if not await store.index_waiting(_PIECE):
            return
        # As long for what others write.
        await asyncio.sleep(time.monotonic() - began)
