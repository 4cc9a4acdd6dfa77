"""A turn as a client sees it: the thread and its items."""

from __future__ import annotations

from chatkit.reduce import ItemAccumulator
from chatkit.reduce.turn import TurnItems
from chatkit.types import (
    AssistantMessageItem,
    ClientToolCallItem,
    ErrorEvent,
    Thread,
    ThreadCreatedEvent,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadStreamEvent,
    ThreadUpdatedEvent,
)

__all__ = ["TurnState", "TurnView"]


class TurnView(TurnItems):
    """Assembles the items of a turn from its events.

    Attributes:
        thread: The thread as an event told it last.
        error: The last error event.
    """

    def __init__(self) -> None:
        super().__init__()
        self.thread: Thread | None = None
        self.error: ErrorEvent | None = None

    def apply(self, event: ThreadStreamEvent, seq: int = 0, data: bytes = b"") -> None:
        """Takes in one event; the cost does not depend on what came before."""
        match event:
            case ThreadCreatedEvent() | ThreadUpdatedEvent():
                self.thread = event.thread
            case ErrorEvent():
                self.error = event
            case _:
                super().apply(event, seq, data)
                if isinstance(event, ThreadItemAddedEvent):
                    # Also if it was done before: what it is now is still to be confirmed.
                    self.records[event.item.id].stored = False

    def drop_unconfirmed(self) -> None:
        """Forgets items that were begun and not done: the server does not have them as they are shown.

        A worker showed them in the moment before it died, and another one ended the turn. The last workflow stays if
        the turn ended at a client tool call: more is added to it when the output has been posted.
        """
        told = self.told()
        waits = any(
            isinstance(record.content, ClientToolCallItem) and record.content.status == "pending"
            for record in told
        )
        workflows = [
            record
            for record in told
            if isinstance(record.content, ItemAccumulator) and record.content.type == "workflow"
        ]
        kept = workflows[-1:] if waits else []
        for record in told:
            if not record.stored and record not in kept:
                self.pending.pop(record.id, None)
                del self.records[record.id]

    @property
    def items(self) -> list[ThreadItem]:
        """The items that the turn added or changed, in the order of their first appearance."""
        return [record.item() for record in self.told()]

    @property
    def text(self) -> str:
        """Text of the last assistant message so far, its parts joined; empty if there is none."""
        for record in reversed(self.told()):
            item = record.item()
            if isinstance(item, AssistantMessageItem):
                return "".join(part.text for part in item.content)
        return ""

    def item(self, item_id: str) -> ThreadItem | None:
        """Returns an item by id as it is now, or None if the turn has not touched it."""
        record = self.records.get(item_id)
        return None if record is None or not record.place else record.item()


TurnState = TurnView
"""Its earlier name."""
