"""What a turn's events add up to: the thread and its items as a reader sees them."""

from __future__ import annotations

from chatkit.errors import InvalidEventError
from chatkit.reduce import ItemAccumulator, accumulator
from chatkit.types import (
    AssistantMessageItem,
    ClientToolCallItem,
    ErrorEvent,
    Thread,
    ThreadCreatedEvent,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    ThreadUpdatedEvent,
)

__all__ = ["TurnState"]


class TurnState:
    """Assembles the items of a turn from its events.

    Attributes:
        thread: The thread as an event told it last.
        error: The last error event.
    """

    def __init__(self) -> None:
        self.thread: Thread | None = None
        self.error: ErrorEvent | None = None
        self._items: dict[str, ThreadItem | ItemAccumulator] = {}
        self._unconfirmed: set[str] = set()

    def apply(self, event: ThreadStreamEvent) -> None:
        """Takes in one event; the cost does not depend on what came before."""
        match event:
            case ThreadItemUpdatedEvent():
                pending = self._items.get(event.item_id)
                if isinstance(pending, ItemAccumulator):
                    self._update(pending, event)
            case ThreadItemAddedEvent():
                self._items[event.item.id] = accumulator(event.item)
                self._unconfirmed.add(event.item.id)
            case ThreadItemDoneEvent():
                self._items[event.item.id] = event.item
                self._unconfirmed.discard(event.item.id)
            case ThreadItemReplacedEvent():
                # A stream that came back begins with what is pending as it is now, and goes on with updates.
                self._items[event.item.id] = accumulator(event.item)
                self._unconfirmed.discard(event.item.id)
            case ThreadItemRemovedEvent():
                self._items.pop(event.item_id, None)
                self._unconfirmed.discard(event.item_id)
            case ThreadCreatedEvent() | ThreadUpdatedEvent():
                self.thread = event.thread
            case ErrorEvent():
                self.error = event
            case _:
                pass

    def drop_unconfirmed(self) -> None:
        """Forgets items that were begun, and that no later event has told to be known to the server.

        At the end of a turn these are what a worker showed in the moment before it died; another one ended the turn.
        The workflow stays that is open at a client tool call, the last one, for it goes on when the output has been
        posted.
        """
        waits = any(
            isinstance(entry, ClientToolCallItem) and entry.status == "pending"
            for entry in self._items.values()
        )
        open_workflow = next(
            (item_id for item_id in reversed(self._items) if self._is_open_workflow(item_id)), None
        )
        for item_id in self._unconfirmed - {open_workflow if waits else None}:
            del self._items[item_id]
        self._unconfirmed.clear()

    def _is_open_workflow(self, item_id: str) -> bool:
        entry = self._items[item_id]
        return isinstance(entry, ItemAccumulator) and entry.type == "workflow"

    @property
    def items(self) -> list[ThreadItem]:
        """The items that the turn added or changed, in the order of their first appearance."""
        return [_built(entry) for entry in self._items.values()]

    @property
    def text(self) -> str:
        """Text of the last assistant message so far, its parts joined; empty if there is none."""
        for entry in reversed(self._items.values()):
            item = _built(entry)
            if isinstance(item, AssistantMessageItem):
                return "".join(part.text for part in item.content)
        return ""

    def item(self, item_id: str) -> ThreadItem | None:
        """Returns an item by id as it is now, or None if the turn has not touched it."""
        entry = self._items.get(item_id)
        return None if entry is None else _built(entry)

    @staticmethod
    def _update(pending: ItemAccumulator, event: ThreadItemUpdatedEvent) -> None:
        try:
            pending.add(event.update)
        except InvalidEventError:
            # A server of another make may send what does not fit; its final item still comes with "done".
            return


def _built(entry: ThreadItem | ItemAccumulator) -> ThreadItem:
    return entry.item() if isinstance(entry, ItemAccumulator) else entry
