"""A thread while requests use it: locks, so that one at a time answers it, edits it or deletes it, and edits of it.

The locks serve one process. What workers of several processes do at once is decided by the store, where it can: see
``save_thread_fields`` and ``save_item_if_unchanged`` of :class:`chatkit.store.Store`.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakValueDictionary

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from chatkit._unicode import well_formed
from chatkit.errors import InvalidEventError, ThreadClosedError, ThreadLockedError
from chatkit.store.base import Store, plain_metadata
from chatkit.streams.base import ThreadKey
from chatkit.types import ThreadMetadata

__all__ = [
    "ThreadEdits",
    "ThreadGuard",
    "ThreadLocks",
    "checked_edits",
    "refuse_messages_unless_active",
    "reload_thread",
]

_FIELDS = ("title", "status", "allowed_image_domains", "metadata")


class ThreadLocks:
    """One lock for each thread; it exists while it is held or waited for, and belongs to one event loop."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[int, ThreadKey], asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def hold(self, thread: ThreadKey) -> AsyncGenerator[None, None]:
        """Waits for the thread's lock and holds it."""
        async with self._locks.setdefault((id(asyncio.get_running_loop()), thread), asyncio.Lock()):
            yield


class ThreadGuard:
    """Lets requests use a thread side by side, and one that deletes it alone; each belongs to one event loop.

    A request that begins a turn uses the thread from its first look at it until the turn has begun, so that no turn
    begins, and no field is saved, in a thread that is deleted at the same time.
    """

    def __init__(self) -> None:
        self._uses: WeakValueDictionary[tuple[int, ThreadKey], _Uses] = WeakValueDictionary()

    @asynccontextmanager
    async def use(self, thread: ThreadKey) -> AsyncGenerator[None, None]:
        """Waits until no request deletes the thread, and keeps it from being deleted."""
        uses = self._of(thread)
        async with uses.entrance:
            uses.users += 1
            uses.unused.clear()
        try:
            yield
        finally:
            uses.users -= 1
            if not uses.users:
                uses.unused.set()

    @asynccontextmanager
    async def delete(self, thread: ThreadKey) -> AsyncGenerator[None, None]:
        """Waits until no request uses the thread, and keeps it from being used."""
        uses = self._of(thread)
        async with uses.entrance:
            await uses.unused.wait()
            yield

    def _of(self, thread: ThreadKey) -> _Uses:
        return self._uses.setdefault((id(asyncio.get_running_loop()), thread), _Uses())


class _Uses:
    """How many requests use a thread now."""

    def __init__(self) -> None:
        self.users = 0
        self.entrance = asyncio.Lock()
        self.unused = asyncio.Event()
        self.unused.set()


class ThreadEdits:
    """Watches a thread that a handler may edit.

    Reassigned fields are found by identity, at any time and at the cost of four pointer comparisons; changes inside of
    ``metadata``, ``allowed_image_domains`` and ``status`` by value, when ``deep`` is asked for.
    """

    def __init__(self, thread: ThreadMetadata) -> None:
        self.thread = thread
        self._remember()

    def _remember(self) -> None:
        thread = self.thread
        self._title = thread.title
        self._status = thread.status
        self._domains = thread.allowed_image_domains
        self._metadata = thread.metadata
        self._values = copy.deepcopy({name: getattr(thread, name) for name in _FIELDS})

    def reassigned(self) -> bool:
        """Returns whether any field holds another object than before."""
        thread = self.thread
        return (
            thread.title is not self._title
            or thread.status is not self._status
            or thread.allowed_image_domains is not self._domains
            or thread.metadata is not self._metadata
        )

    def take(self) -> dict[str, Any]:
        """Returns the fields whose values changed since the last call, as copies, and remembers the present state.

        Raises:
            InvalidEventError: A field holds what no thread may hold. It gets its last value back; edits of other
                fields are returned by the next call.
        """
        before = self._values
        changed = {name: value for name in _FIELDS if (value := getattr(self.thread, name)) != before[name]}
        if changed:
            try:
                changed = checked_edits(changed)
            except InvalidEventError:
                self._take_back(changed)
                raise
        if changed or self.reassigned():
            self._remember()
        return changed

    def _take_back(self, changed: dict[str, Any]) -> None:
        for name, value in changed.items():
            try:
                checked_edits({name: value})
            except InvalidEventError:
                setattr(self.thread, name, copy.deepcopy(self._values[name]))


def checked_edits(changed: dict[str, Any]) -> dict[str, Any]:
    """Returns the values of edited fields as a store would read them back.

    Raises:
        InvalidEventError: A field holds a value that its type does not allow, or that JSON has no form for.
    """
    edited = ThreadMetadata.model_construct(id="", **well_formed(changed))
    for name in changed:
        try:
            ThreadMetadata.__pydantic_serializer__.to_json(edited, include={name}, warnings=False)
        except (PydanticSerializationError, UnicodeError, TypeError, ValueError) as error:
            raise InvalidEventError(f"thread.{name} holds what has no form in JSON: {error}.") from error
    encoded = ThreadMetadata.__pydantic_serializer__.to_json(
        edited, include={"id", *changed}, by_alias=True, warnings=False
    )
    try:
        checked = ThreadMetadata.model_validate_json(encoded)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InvalidEventError(f"thread.{first['loc'][0]} holds a wrong value: {first['msg']}.") from error
    return {name: getattr(checked, name) for name in changed}


def refuse_messages_unless_active(thread: ThreadMetadata) -> None:
    """Raises ThreadLockedError or ThreadClosedError if the thread takes no messages."""
    status = thread.status
    if status.type == "locked":
        raise ThreadLockedError(status.reason)
    if status.type == "closed":
        raise ThreadClosedError(status.reason)


async def reload_thread(thread: ThreadMetadata, store: Store[Any], context: object) -> None:
    """Brings a thread up to date, in place: another turn may have changed it."""
    for name, value in plain_metadata(await store.load_thread(thread.id, context)):
        setattr(thread, name, value)
