"""The state of a turn, for readers whose cursor is older than the kept events.

The turn's pipeline notes every event that it appends; the work per event does not depend on how much text there is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["TurnState", "added_event", "done_event", "removed_event", "replaced_event"]


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


@dataclass(slots=True)
class _ItemState:
    first_seq: int
    last_seq: int
    render: Callable[[], bytes] | None
    event: bytes = b""


class TurnState:
    """Folds the events of a turn as they are appended.

    ``render`` callables return the JSON of an item as it is when they are called.
    """

    def __init__(self) -> None:
        self._thread: tuple[int, bytes] | None = None
        self._options: tuple[int, bytes] | None = None
        self._progress: tuple[int, bytes] | None = None
        self._items: dict[str, _ItemState] = {}
        self._removed: dict[str, tuple[int, bytes]] = {}
        self._kept: list[tuple[int, bytes]] = []

    def thread(self, seq: int, event: bytes) -> None:
        """Notes ``thread.created`` or ``thread.updated``; only the latest counts."""
        self._thread = (seq, event)

    def options(self, seq: int, event: bytes) -> None:
        """Notes ``stream_options``; only the latest counts."""
        self._options = (seq, event)

    def progress(self, seq: int, event: bytes) -> None:
        """Notes ``progress_update``: it counts until an item changes."""
        self._progress = (seq, event)

    def keep(self, seq: int, event: bytes) -> None:
        """Notes an event that stands for itself: effect, notice, error, update of an earlier turn's item."""
        self._kept.append((seq, event))

    def pending(self, seq: int, item_id: str, render: Callable[[], bytes]) -> None:
        """Notes that an item was added."""
        self._progress = None
        self._removed.pop(item_id, None)
        known = self._items.get(item_id)
        self._items[item_id] = _ItemState(known.first_seq if known else seq, seq, render)

    def changed(self, seq: int, item_id: str) -> None:
        """Notes that a pending item was updated."""
        self._progress = None
        self._items[item_id].last_seq = seq

    def finished(self, seq: int, item_id: str, event: bytes) -> None:
        """Notes the event that makes an item final: ``thread.item.done`` or ``thread.item.replaced``."""
        self._progress = None
        self._removed.pop(item_id, None)
        known = self._items.get(item_id)
        self._items[item_id] = _ItemState(known.first_seq if known else seq, seq, None, event)

    def removed(self, seq: int, item_id: str, event: bytes) -> None:
        """Notes that an item was removed."""
        self._items.pop(item_id, None)
        self._removed[item_id] = (seq, event)

    def events(self, after: int) -> list[bytes]:
        """Returns the events that bring a reader that has seen everything up to ``after`` to the present state.

        The latest thread and stream options come first, then items in the order of their first event (done ones as
        done, pending ones as added if the reader has not seen them, else as replaced), removals, what was kept
        (effects, notices, errors), and the progress line that is showing.
        """
        events = [event for seq, event in filter(None, (self._thread, self._options)) if seq > after]
        for item in self._items.values():
            if item.last_seq <= after:
                continue
            if item.render is None:
                events.append(item.event)
            elif item.first_seq > after:
                events.append(added_event(item.render()))
            else:
                events.append(replaced_event(item.render()))
        events.extend(event for seq, event in self._removed.values() if seq > after)
        events.extend(event for seq, event in self._kept if seq > after)
        if self._progress is not None and self._progress[0] > after:
            events.append(self._progress[1])
        return events
