"""The items of a turn, folded from its events: one record for each item."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

from chatkit.errors import InvalidEventError
from chatkit.reduce import ItemAccumulator, accumulator
from chatkit.types import (
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdate,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
)

__all__ = ["ItemRecord", "TurnItems"]


@dataclass(slots=True, eq=False)
class ItemRecord:
    """What is known of one item.

    Attributes:
        id: Its id.
        content: What it is by now: an accumulator while it takes updates, the item itself once it is done. None where
            only ``event`` has it, or nothing does.
        hidden: Whether clients do not see items of its type.
        shown: Whether the turn has shown it to the client.
        stored: Whether the turn knows that the store has it.
        looked_up: Whether ``content`` is what the store has; None there means that the store does not have the item.
        changed: Whether an item of an earlier turn differs from what is stored.
        put_as: The id that it was stored under, where the store gave it the one that it has now.
        kept: The item as it is to be stored although it was not done.
        place: Its place among the items that readers are told of; 0 for an item that they are not told of.
        first_seq: Number of the event that introduced it; 0 for an item of an earlier turn, which every reader has.
        last_seq: Number of its last event.
        event: The event that made it final; empty where readers are told ``content``.
        final: Whether readers are told ``content`` as done.
        updates: Updates of an item that is not known here, which readers are told as they are.
        removal: The event that removed it.
        delta_heads: What its encoded text deltas begin with, by content index.
        warned: Whether a warning of an update that does not fit was logged.
    """

    id: str
    content: ItemAccumulator | ThreadItem | None = None
    hidden: bool = False
    shown: bool = False
    stored: bool = False
    looked_up: bool = False
    changed: bool = False
    put_as: str | None = None
    kept: ThreadItem | None = None
    place: int = 0
    first_seq: int = 0
    last_seq: int = 0
    event: bytes = b""
    final: bool = False
    updates: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])
    removal: tuple[int, bytes] | None = None
    delta_heads: dict[int, bytes] = field(default_factory=dict[int, bytes])
    warned: bool = False

    @property
    def accumulator(self) -> ItemAccumulator:
        """The accumulator of an item that takes updates."""
        return cast("ItemAccumulator", self.content)

    def item(self) -> ThreadItem:
        """Returns the item as it is now."""
        content = self.content
        return content.item() if isinstance(content, ItemAccumulator) else cast("ThreadItem", content)


class TurnItems:
    """The items that a turn's events tell of.

    Args:
        resumable: Whether readers may come back. If not, nothing is kept for them, so that nothing grows with the turn.

    Attributes:
        records: One record for each item, by id.
        pending: Those that are being written, in the order in which they were begun.
        size: Bytes of events that are held.
        last_seq: Number of the last event about an item, but for updates of pending ones.
    """

    def __init__(self, *, resumable: bool = True) -> None:
        self.resumable = resumable
        self.records: dict[str, ItemRecord] = {}
        self.pending: dict[str, ItemRecord] = {}
        self.size = 0
        self.last_seq = 0
        self._places = 0

    def apply(self, event: ThreadStreamEvent, seq: int = 0, data: bytes = b"") -> None:
        """Takes in one event; the cost does not depend on what came before.

        Args:
            event: The event.
            seq: Its number in the turn.
            data: The event as JSON, for readers who come back; without it, final items are held as objects.
        """
        match event:
            case ThreadItemUpdatedEvent(item_id=item_id):
                record = self.records.get(item_id)
                if record is not None and isinstance(record.content, ItemAccumulator):
                    self.accumulate(record, event)
                    record.last_seq = seq
                elif data:
                    self.updated(self.record(item_id), seq, data)
            case ThreadItemAddedEvent(item=item):
                self.tell(self.begin(item), seq, first_seq=seq)
            case ThreadItemDoneEvent(item=item, added_id=added_id):
                record = self.rename(added_id, item.id)
                self.pending.pop(item.id, None)
                record.content = None if data else item
                record.stored = True
                self.tell(record, seq, data, first_seq=seq)
            case ThreadItemReplacedEvent(item=item, added_id=added_id):
                record = self.rename(added_id, item.id)
                if added_id is not None:
                    self.pending.pop(item.id, None)
                goes_on = not data or item.id in self.pending
                record.content = accumulator(item) if goes_on else None
                record.stored = record.stored or goes_on or added_id is not None
                self.tell(record, seq, b"" if goes_on else data)
            case ThreadItemRemovedEvent(item_id=item_id):
                if data or item_id in self.records:
                    record = self.record(item_id)
                    self.forget(record)
                    self.removed(record, seq, data)
            case _:
                pass

    def accumulate(self, record: ItemRecord, event: ThreadItemUpdatedEvent) -> list[ThreadItemUpdate]:
        """Adds an update to an item and returns what it consists of. One that does not fit is left out."""
        with suppress(InvalidEventError):
            record.accumulator.add(event.update)
        return [event.update]

    def record(self, item_id: str) -> ItemRecord:
        """Returns the record of an item, a new one if there is none."""
        record = self.records.get(item_id)
        if record is None:
            record = self.records[item_id] = ItemRecord(item_id)
        return record

    def begin(self, item: ThreadItem) -> ItemRecord:
        """Makes an item pending."""
        record = self.pending[item.id] = self.record(item.id)
        record.content = accumulator(item)
        record.looked_up = record.changed = record.final = False
        return record

    def tell(
        self, record: ItemRecord, seq: int, event: bytes = b"", *, first_seq: int = 0, final: bool = False
    ) -> None:
        """Notes an event after which readers are told of an item.

        Args:
            record: The item.
            seq: Number of the event.
            event: The event, if it made the item final; without it readers are told ``record.content``.
            first_seq: The same as ``seq`` for an item that is new to the client; one that is told already stays so.
            final: Whether the item is told as done.
        """
        record.shown = True
        if not self.resumable:
            return
        self.last_seq = max(self.last_seq, seq)
        self._forget_events(record)
        self.size += len(event)
        if not record.place:
            self._places += 1
            record.place = self._places
            record.first_seq = first_seq
        record.last_seq = seq
        record.event = event
        record.final = final

    def updated(self, record: ItemRecord, seq: int, event: bytes) -> None:
        """Notes an update of an item that is not known here: it counts until the item is replaced or removed."""
        if self.resumable:
            self.last_seq = max(self.last_seq, seq)
            self.size += len(event)
            record.updates.append((seq, event))

    def rename(self, added_id: str | None, item_id: str) -> ItemRecord:
        """Returns the record of an item, and moves what is known of it there from the id that it was added under."""
        if added_id is None or added_id == item_id:
            return self.record(item_id)
        record = self.records.pop(added_id, None)
        if record is None:
            return self.record(item_id)
        self.pending.pop(added_id, None)
        self.pending.pop(item_id, None)
        known = self.records.pop(item_id, None)
        if known is not None:
            self._forget_events(known)
            record.stored = record.stored or known.stored
        record.id = item_id
        record.delta_heads.clear()
        self.records[item_id] = record
        return record

    def forget(self, record: ItemRecord) -> None:
        """Forgets what an item is, and that it is stored: it was deleted."""
        self.pending.pop(record.id, None)
        record.content = None
        record.stored = record.looked_up = record.changed = False

    def removed(self, record: ItemRecord, seq: int, event: bytes = b"") -> None:
        """Notes the event that took an item from the client's view."""
        record.shown = False
        if not self.resumable:
            return
        self.last_seq = max(self.last_seq, seq)
        self._forget_events(record)
        self.size += len(event) - (len(record.removal[1]) if record.removal else 0)
        record.removal = (seq, event)
        record.place = 0

    def told(self) -> list[ItemRecord]:
        """Returns the items that readers are told of, in the order of their first appearance."""
        return sorted(
            (record for record in self.records.values() if record.place), key=lambda each: each.place
        )

    def _forget_events(self, record: ItemRecord) -> None:
        self.size -= len(record.event) + sum(len(event) for _, event in record.updates)
        record.event = b""
        record.updates.clear()
