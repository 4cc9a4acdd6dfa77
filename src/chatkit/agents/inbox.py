"""The queue in which a run's events and what its tools send are merged.

- ``Inbox``: the queue
- ``WorkflowEntry``: an entry that is about a workflow
- ``WorkflowCursor``: the place of the queue's reader among the workflows that tools change ahead of it
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from chatkit.types import ThreadStreamEvent, WorkflowItem

__all__ = ["Inbox", "WorkflowCursor", "WorkflowEntry"]

_READ_AHEAD: Final = 64
"""Entries that may wait for the reader before the run is no longer read."""


class Inbox:
    """A queue with one reader, in one event loop; entries may be put in from any thread.

    Attributes:
        lock: Held while the state that entries report is changed, so that entries are in the order of the changes.
        readers: Those of runs that have the same context; the first one takes what tools send.
        workflows: The reader's place among the workflows.
    """

    __slots__ = ("_entries", "_loop", "_room", "_thread", "_waiter", "lock", "readers", "workflows")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.readers: list[Any] = []
        self.workflows = WorkflowCursor()
        self._entries: deque[Any] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    def __reduce__(self) -> tuple[type[Inbox], tuple[()]]:
        # A context that is copied or unpickled begins with an empty inbox.
        return Inbox, ()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The reader's loop, if it is known yet."""
        return self._loop

    @property
    def is_in_loop(self) -> bool:
        """True in the reader's loop, and as long as the reader's loop is not known."""
        return self._loop is None or threading.get_ident() == self._thread

    def bind(self) -> None:
        """Makes the running loop that of the reader."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._waiter = self._room = None

    def put(self, entry: object) -> None:
        """Adds an entry; from any thread, whether there is a loop or not."""
        # Only the wake-up goes through the loop: the entry's place is after all that was put in before.
        self._entries.append(entry)
        if self.is_in_loop:
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
        """Lets a run continue that waits for room."""
        room = self._room
        if room is not None and not room.done():
            room.set_result(None)

    async def wait(self) -> None:
        """Waits until there is something to take, or ``wake()`` is called; called where nothing is left."""
        self.make_room()
        loop = self._loop or asyncio.get_running_loop()
        self._waiter = loop.create_future()
        try:
            if not self._entries:
                await self._waiter
        finally:
            self._waiter = None

    async def wait_for_room(self, *, read_ahead: bool = True) -> None:
        """Waits until the reader has taken all entries, if there are many, or any at all without ``read_ahead``."""
        if len(self._entries) < (_READ_AHEAD if read_ahead else 1):
            return
        self._room = (self._loop or asyncio.get_running_loop()).create_future()
        try:
            await self._room
        finally:
            self._room = None


@dataclass(frozen=True, slots=True)
class WorkflowEntry:
    """An entry of the inbox that is about a workflow.

    Attributes:
        event: An event.
        begins: Instead of an event: the id of a workflow that a tool began.
    """

    event: ThreadStreamEvent | None = None
    begins: str | None = None


@dataclass(slots=True)
class WorkflowCursor:
    """The place of an inbox's reader among the workflows that tools change ahead of it.

    Used with the inbox's lock held.

    Attributes:
        overtaken: The workflow that is open at the reader's place, where a tool has begun a later one.
    """

    overtaken: WorkflowItem | None = None
    _unread: int = 0
    _ahead: set[str] = field(default_factory=set[str])

    def current(self, latest: WorkflowItem | None) -> WorkflowItem | None:
        """Returns the workflow that is open at the reader's place.

        Args:
            latest: The one that was begun last, if it is open.
        """
        return self.overtaken if latest is not None and latest.id in self._ahead else latest

    def overtake(self, latest: WorkflowItem | None) -> None:
        """Keeps a workflow of thoughts, some of which may be unread, open at the reader's place."""
        if latest is not None and latest.workflow.type == "reasoning" and latest.id not in self._ahead:
            self.overtaken = latest

    def put_begin(self, inbox: Inbox, item_id: str) -> None:
        """Adds an entry that says that a tool began a workflow."""
        self._ahead.add(item_id)
        inbox.put(WorkflowEntry(begins=item_id))

    def put(self, inbox: Inbox, event: ThreadStreamEvent) -> None:
        """Adds an entry with an event about a workflow."""
        self._unread += 1
        inbox.put(WorkflowEntry(event))

    def in_order(self, inbox: Inbox, events: list[ThreadStreamEvent]) -> list[ThreadStreamEvent]:
        """Returns ``events``, or none while events about workflows are unread: then they are queued after those."""
        if not self._unread:
            return events
        for event in events:
            self.put(inbox, event)
        return []

    def take(self, entry: WorkflowEntry) -> ThreadStreamEvent | None:
        """Returns the event of an entry that the reader has come to."""
        if entry.begins is not None:
            self._ahead.discard(entry.begins)
        else:
            self._unread -= 1
        return entry.event
