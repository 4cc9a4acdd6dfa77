"""Items that an earlier attempt at a turn has shown: this one goes on with them, so that readers see them in place.

One that was done keeps its event while it is pending again: readers have it so until it is done anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter

from chatkit.ids import made_at
from chatkit.reduce.turn import ItemRecord
from chatkit.server.turns.state import TurnState
from chatkit.server.turns.storage import ItemStorage
from chatkit.types import ThreadItem, ThreadStreamEvent

__all__ = ["ContinuedItems", "can_continue", "told_items"]

_EVENTS: TypeAdapter[ThreadStreamEvent] = TypeAdapter(ThreadStreamEvent, config={"defer_build": True})


def can_continue(record: ItemRecord) -> bool:
    """Returns whether another attempt may go on with an item: its id was made for it, not chosen by the application."""
    return made_at(record.id) is not None


def told_items(state: TurnState) -> list[ThreadItem]:
    """Returns the items that readers are told of as done, and that a later attempt was perhaps to go on with."""
    return [_told_item(record) for record in state.told() if record.event and can_continue(record)]


def _told_item(record: ItemRecord) -> ThreadItem:
    event: Any = _EVENTS.validate_json(record.event)
    return event.item


class ContinuedItems:
    """The items of earlier attempts that this one has not come to yet. The store does not have them meanwhile.

    Args:
        records: The items, in the order in which they were shown.
        state: The turn's state.
        storage: Stores the items of the turn.
    """

    def __init__(self, records: Iterable[ItemRecord], state: TurnState, storage: ItemStorage) -> None:
        self._state = state
        self._storage = storage
        self._items: dict[str, tuple[ItemRecord, ThreadItem]] = {}
        for record in records:
            state.pending.pop(record.id, None)
            self._items[record.id] = record, _told_item(record) if record.event else record.item()

    def take(self, item: ThreadItem) -> bool:
        """Has an item go on with the same item, else with the first of its type; returns whether there was one.

        From then on the item's id stands for that one's.
        """
        found = self._items.get(item.id)
        if found is None and made_at(item.id) is not None:
            found = next((each for each in self._items.values() if each[1].type == item.type), None)
        if found is None:
            return False
        record = found[0]
        del self._items[record.id]
        self._storage.stand_for(item.id, record.id)
        return True

    def rest(self) -> list[ItemRecord]:
        """Returns the items that this attempt has not come to, which are no part of it."""
        left, self._items = self._items, {}
        return [record for record, _ in left.values()]

    def give_back(self) -> None:
        """Leaves the items as the earlier attempts had them, for this one ends before it comes to them."""
        left, self._items = self._items, {}
        pending = self._state.pending
        # In the order in which readers see them, those that they do not see last.
        records = [*(record for record, _ in left.values()), *pending.values()]
        records.sort(key=lambda record: (not record.place, record.place))
        pending.clear()
        for record in records:
            if record.id in left:
                self._state.begin(left[record.id][1])
            elif record.event:
                self._state.begin(_told_item(record))
            else:
                pending[record.id] = record
