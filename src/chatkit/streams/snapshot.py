"""The state of a turn, for readers whose cursor is older than the kept events.

The turn's pipeline notes every event that it appends; the work per event does not depend on how much text there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from chatkit.streams.base import StatePart

__all__ = [
    "ItemState",
    "NoState",
    "TurnState",
    "added_event",
    "done_event",
    "removed_event",
    "replaced_event",
]


def added_event(item: bytes) -> bytes:
    """Returns ``thread.item.added`` for an item given as JSON."""
    return b'{"type":"thread.item.added","item":' + item + b"}"


def done_event(item: bytes) -> bytes:
    """Returns ``thread.item.done`` for an item given as JSON."""
    return b'{"type":"thread.item.done","item":' + item + b"}"


def replaced_event(item: bytes) -> bytes:
    """Returns ``thread.item.replaced`` for an item given as JSON."""
    return b'{"type":"thread.item.replaced","item":' + item + b"}"


def removed_event(item_id: bytes) -> bytes:
    """Returns ``thread.item.removed`` for an item id given as a JSON text."""
    return b'{"type":"thread.item.removed","item_id":' + item_id + b"}"


_CREATED: Final = b'{"type":"thread.created",'
_UPDATED: Final = b'{"type":"thread.updated",'
_ADDED: Final = b'{"type":"thread.item.added",'
_REPLACED: Final = b'{"type":"thread.item.replaced",'
_DONE: Final = b'{"type":"thread.item.done",'


@dataclass(slots=True)
class ItemState:
    """What is known of an item of the turn.

    Attributes:
        first_seq: Number of the event that introduced it; 0 for an item of an earlier turn, which every reader has.
        last_seq: Number of its last event; whoever appends an update of a pending item sets it.
        render: Returns the JSON of the item as it is now, if it is pending, or was updated since it was final.
        event: The event that made it final.
        final: Whether an item that is rendered is not pending.
    """

    first_seq: int
    last_seq: int
    render: Callable[[], bytes] | None
    event: bytes = b""
    final: bool = False

    def event_for(self, after: int) -> bytes:
        """Returns the event that shows the item to a reader that has seen everything up to ``after``."""
        is_new = self.first_seq > after
        if self.render is not None and self.final:
            return done_event(self.render()) if is_new else replaced_event(self.render())
        if self.render is not None:
            return added_event(self.render()) if is_new else replaced_event(self.render())
        if is_new and self.event.startswith(_REPLACED):
            return _DONE + self.event.removeprefix(_REPLACED)
        return self.event

    def part(self) -> StatePart:
        """Returns what makes the event for any cursor."""
        if self.render is not None:
            event = replaced_event(self.render())
            head = _DONE if self.final else _ADDED
        else:
            event = self.event
            head = _DONE
        if not event.startswith(_REPLACED):
            return StatePart(0, self.last_seq, b"", b"", event)
        return StatePart(self.first_seq, self.last_seq, head, _REPLACED, event.removeprefix(_REPLACED))


class TurnState:
    """Folds the events of a turn as they are appended.

    ``render`` callables return the JSON of an item as it is when they are called.
    """

    def __init__(self) -> None:
        self._thread: StatePart | None = None
        self._options: tuple[int, bytes] | None = None
        self._progress: tuple[int, bytes] | None = None
        self._items: dict[str, ItemState] = {}
        self._removed: dict[str, tuple[int, bytes]] = {}
        self._kept: list[tuple[int, bytes]] = []
        self._updates: dict[str, list[tuple[int, bytes]]] = {}

    def thread(self, seq: int, event: bytes) -> None:
        """Notes ``thread.created`` or ``thread.updated``.

        Only the latest counts; but whoever has not heard that the thread was created, does so from it.
        """
        kind = _CREATED if event.startswith(_CREATED) else _UPDATED
        first_seq = seq if kind is _CREATED else 0
        if self._thread is not None and self._thread.first_seq:
            first_seq = self._thread.first_seq
        self._thread = StatePart(first_seq, seq, _CREATED, _UPDATED, event.removeprefix(kind))

    @property
    def knows_thread(self) -> bool:
        """Whether the thread was noted."""
        return self._thread is not None

    def options(self, seq: int, event: bytes) -> None:
        """Notes ``stream_options``; only the latest counts."""
        self._options = (seq, event)

    def progress(self, seq: int, event: bytes) -> None:
        """Notes ``progress_update``: it counts until an item changes."""
        self._progress = (seq, event)

    def keep(self, seq: int, event: bytes) -> None:
        """Notes an event that stands for itself: effect, notice, error."""
        self._kept.append((seq, event))

    def updated(self, seq: int, item_id: str, event: bytes) -> None:
        """Notes an update of an item that nobody knows: it counts until the item is replaced or removed."""
        self._progress = None
        self._updates.setdefault(item_id, []).append((seq, event))

    def changed(self, seq: int, item_id: str, render: Callable[[], bytes]) -> None:
        """Notes an update of an item that is not pending.

        A reader that is behind gets the item as it is: of an update, a reader that was cut off within a snapshot,
        before the next event with an id, would get a second copy.
        """
        self._progress = None
        self._put(item_id, ItemState(0, seq, render, final=True))

    def pending(self, seq: int, item_id: str, render: Callable[[], bytes]) -> ItemState:
        """Notes that an item was added; its ``last_seq`` is to be kept up to date as updates are appended."""
        return self._put(item_id, ItemState(seq, seq, render))

    def finished(self, seq: int, item_id: str, event: bytes) -> None:
        """Notes the event that makes an item final: ``thread.item.done`` or ``thread.item.replaced``."""
        self._put(item_id, ItemState(0 if event.startswith(_REPLACED) else seq, seq, None, event))

    def removed(self, seq: int, item_id: str, event: bytes) -> None:
        """Notes that an item was removed."""
        self._progress = None
        self._items.pop(item_id, None)
        self._updates.pop(item_id, None)
        self._removed[item_id] = (seq, event)

    def _put(self, item_id: str, item: ItemState) -> ItemState:
        self._updates.pop(item_id, None)
        known = self._items.get(item_id)
        if known is not None:
            item.first_seq = known.first_seq
        self._items[item_id] = item
        return item

    def events(self, after: int) -> list[bytes]:
        """Returns the events that bring a reader that has seen everything up to ``after`` to the present state.

        The latest thread and stream options come first, then removals, so that an item that came back under its id
        takes its new place, then items in the order of their first event (finished ones as done, or replaced if the
        reader has them; pending ones as added if the reader has not seen them, else as replaced), updates of items
        that are not pending, what was kept (effects, notices, errors), and the progress line that is showing.
        """
        events = [event for part in self._before_items() if (event := part.event_for(after)) is not None]
        events.extend(item.event_for(after) for item in self._items.values() if item.last_seq > after)
        events.extend(event for seq, event in self._behind_items() if seq > after)
        return events

    __call__ = events

    def parts(self) -> list[StatePart]:
        """Returns what makes the events for any cursor, in the same order."""
        return [
            *self._before_items(),
            *(item.part() for item in self._items.values()),
            *(StatePart(0, seq, b"", b"", event) for seq, event in self._behind_items()),
        ]

    def _before_items(self) -> Iterator[StatePart]:
        if self._thread is not None:
            yield self._thread
        for seq, event in (*filter(None, [self._options]), *self._removed.values()):
            yield StatePart(0, seq, b"", b"", event)

    def _behind_items(self) -> Iterator[tuple[int, bytes]]:
        for updates in self._updates.values():
            yield from updates
        yield from self._kept
        if self._progress is not None and self._progress[0] > max(
            (item.last_seq for item in self._items.values()), default=0
        ):
            yield self._progress


class NoState(TurnState):
    """Of a turn that nobody can come back to: notes nothing, so that nothing grows with the turn."""

    def keep(self, seq: int, event: bytes) -> None:
        """Notes nothing."""

    def updated(self, seq: int, item_id: str, event: bytes) -> None:
        """Notes nothing."""

    def removed(self, seq: int, item_id: str, event: bytes) -> None:
        """Notes nothing."""

    def _put(self, item_id: str, item: ItemState) -> ItemState:
        return item
