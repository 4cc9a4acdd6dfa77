"""What a method returns that has done its work already, and may be awaited all the same."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Awaitable, Callable, Generator
from typing import Any

__all__ = ["Acted", "Running"]


class Acted:
    """Needs no running loop to be awaited, unless an override in a subclass left something to wait for."""

    __slots__ = ("_rest",)

    def __init__(self, *results: Any) -> None:
        self._rest: list[Awaitable[Any]] = [
            result for result in results if isinstance(result, Awaitable) and not isinstance(result, Acted)
        ]

    def __await__(self) -> Generator[Any, None, None]:
        for result in self._rest:
            yield from result.__await__()
        self._rest.clear()


class Running(Acted):
    """Work that has begun in the reader's loop; to await it means to wait for its end, in whatever loop."""

    __slots__ = ("_future", "awaited")

    def __init__(self, future: asyncio.Future[None] | concurrent.futures.Future[None]) -> None:
        super().__init__()
        self._future = future
        self.awaited = False

    def when_done(self, callback: Callable[[Any], None]) -> None:
        """Has ``callback`` called with the work when it is over."""
        self._future.add_done_callback(callback)

    def __await__(self) -> Generator[Any, None, None]:
        self.awaited = True
        future = self._future
        if isinstance(future, concurrent.futures.Future):
            future = asyncio.wrap_future(future)
        yield from future.__await__()
