"""Sends the events of a turn: encodes them, appends them to its log, and notes them in its state."""

from __future__ import annotations

from chatkit.reduce.turn import ItemRecord
from chatkit.server.turns.state import TurnState
from chatkit.server.wire import (
    added_event,
    done_event,
    item_json,
    removed_event,
    replaced_event,
    thread_event,
    thread_json,
)
from chatkit.streams.base import TurnWriter
from chatkit.types import Page, ThreadItem, ThreadMetadata, ThreadStreamEvent, to_wire

__all__ = ["TurnOutput"]


class TurnOutput:
    """Sends the events of one turn."""

    def __init__(self, state: TurnState, writer: TurnWriter) -> None:
        self._state = state
        self._writer = writer

    def thread(
        self, thread: ThreadMetadata, items: Page[ThreadItem] | None = None, *, created: bool = False
    ) -> None:
        """Sends ``thread.created`` or ``thread.updated``."""
        event = thread_event(thread_json(thread, items), created=created)
        self._state.thread(self._writer.append(event), event)

    def event(self, event: ThreadStreamEvent) -> None:
        """Sends an event about neither the thread nor an item, as it is; the state knows what is kept of it."""
        encoded = to_wire(event)
        self._state.apply(event, self._writer.append(encoded), encoded)

    def as_it_is(self, event: bytes) -> None:
        """Sends an object that is no event. It is no part of the turn's state: what it means is not known here."""
        self._writer.append(event)

    def added(self, record: ItemRecord, item: ThreadItem) -> None:
        """Sends an item that was made pending."""
        seq = self._writer.append(added_event(item_json(item)))
        self._state.tell(record, seq, first_seq=seq)

    def update_of_earlier(self, record: ItemRecord, event: bytes) -> None:
        """Sends an update of an item that is not pending: readers that come back get the item as it is.

        Of an update, a reader that was cut off within a snapshot, before the next event with an id, would get a second
        copy.

        Args:
            record: The item; without content if it is not known.
            event: The update, encoded.
        """
        seq = self._writer.append(event)
        if record.content is None:
            self._state.updated(record, seq, event)
        else:
            self._state.tell(record, seq, final=True)

    def done(self, item: ThreadItem, added_as: str | None = None) -> None:
        """Sends an item that is stored.

        Args:
            item: The item as it is stored.
            added_as: The id that it was added under, if not that under which it was stored.
        """
        record, added_id = self._renamed(item, added_as)
        event = done_event(item_json(item), added_id)
        seq = self._writer.append(event)
        self._state.tell(record, seq, event, first_seq=seq)

    def replaced(self, item: ThreadItem, added_as: str | None = None) -> None:
        """Sends the new state of an item that is not pending; the arguments are those of ``done``."""
        record, added_id = self._renamed(item, added_as)
        event = replaced_event(item_json(item), added_id)
        self._state.tell(record, self._writer.append(event), event)

    def pending_replaced(self, record: ItemRecord, item: ThreadItem) -> None:
        """Sends the new state of a pending item."""
        seq = self._writer.append(replaced_event(item_json(item)))
        self._state.tell(record, seq, first_seq=seq)

    def _renamed(self, item: ThreadItem, added_as: str | None) -> tuple[ItemRecord, str | None]:
        """Returns the record of an item, and the id that the client knows it by if the store gave it another one."""
        record = self._state.record(item.id)
        added_as = added_as or record.put_as or item.id
        record.put_as = None
        if added_as == item.id:
            return record, None
        # Readers that come back are told which item this is; those of an ordinary stream get what 1.6.5 sends.
        return self._state.rename(added_as, item.id), added_as if self._state.resumable else None

    def removed(self, record: ItemRecord) -> None:
        """Takes an item from the client's view."""
        event = removed_event(record.id)
        self._state.removed(record, self._writer.append(event), event)
