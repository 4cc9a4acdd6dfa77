"""Where the events of a run and those that tools send come together, in the order in which they came."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from typing import Any, Final

__all__ = ["Inbox"]

_READ_AHEAD: Final = 64
"""Entries that may wait for the reader before the run is no longer read."""


class Inbox:
    """A queue with one reader, in one event loop; entries may be put in from any thread.

    Attributes:
        lock: Held while the state that entries tell of is changed, so that they are in the order of the changes.
        readers: Those of runs that have the same context; the first one takes what tools send.
    """

    __slots__ = ("_entries", "_loop", "_room", "_thread", "_waiter", "lock", "readers")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.readers: list[Any] = []
        self._entries: deque[Any] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    def __reduce__(self) -> tuple[type[Inbox], tuple[()]]:
        # What is copied or pickled with a context is nobody's inbox yet.
        return Inbox, ()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The reader's loop, if it is known yet."""
        return self._loop

    @property
    def is_here(self) -> bool:
        """Whether the calling code runs in the reader's loop, so that nothing has to be handed over."""
        return self._loop is None or threading.get_ident() == self._thread

    def bind(self) -> None:
        """Makes the running loop that of the reader."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._waiter = self._room = None

    def put(self, entry: object) -> None:
        """Adds an entry; from any thread, whether there is a loop or not."""
        # The entry itself is not handed over: its place is behind all that was put in before.
        self._entries.append(entry)
        if self.is_here:
            self.wake()
        else:
            self.call(self.wake)

    def call(self, callback: Any, *given: Any) -> None:
        """Has something called in the reader's loop; nothing happens if it is closed."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(callback, *given)

    def wake(self) -> None:
        """Lets the reader look again."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def take(self) -> Any:
        """Returns the next entry.

        Raises:
            IndexError: There is none at the moment.
        """
        return self._entries.popleft()

    def __len__(self) -> int:
        return len(self._entries)

    def make_room(self) -> None:
        """Lets the run go on that waits for room."""
        room = self._room
        if room is not None and not room.done():
            room.set_result(None)

    async def wait(self) -> None:
        """Waits until somebody wakes the reader. Only where nothing is left to take."""
        self.make_room()
        loop = self._loop or asyncio.get_running_loop()
        self._waiter = loop.create_future()
        try:
            if not self._entries:
                await self._waiter
        finally:
            self._waiter = None

    async def wait_for_room(self) -> None:
        """Waits, where much lies ahead of the reader, until it has taken all of it."""
        if len(self._entries) < _READ_AHEAD:
            return
        self._room = (self._loop or asyncio.get_running_loop()).create_future()
        try:
            await self._room
        finally:
            self._room = None
