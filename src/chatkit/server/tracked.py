"""Items that a turn changes, as the pipeline keeps them: what they are by now, and what of it the client sees."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from chatkit.errors import InvalidEventError
from chatkit.reduce import ItemAccumulator, accumulator
from chatkit.server.wire import (
    is_hidden,
    item_json,
    string_json,
    text_delta_event,
    text_delta_head,
    update_event,
)
from chatkit.streams.snapshot import ItemState
from chatkit.types import (
    AssistantMessageContentPartTextDelta,
    ThreadItem,
    ThreadItemUpdate,
    ThreadItemUpdatedEvent,
    WorkflowItem,
)

__all__ = ["TrackedItem", "keepable_items"]

logger = logging.getLogger("chatkit.server")


class TrackedItem:
    """An item that the turn changes: pending, or stored by an earlier turn.

    Attributes:
        accumulator: What it is by now.
        id: Its id.
        id_json: The same as JSON text.
        hidden: Whether clients do not see it.
        changed: Whether it differs from what is stored.
        state: Its place in what readers that come late get; None where nobody sees it.
    """

    __slots__ = ("_delta_heads", "_warned", "accumulator", "changed", "hidden", "id", "id_json", "state")

    def __init__(self, item: ThreadItem) -> None:
        self.accumulator: ItemAccumulator = accumulator(item)
        self.id = item.id
        self.id_json = string_json(item.id)
        self.hidden = is_hidden(item)
        self.changed = False
        self._warned = False
        self.state: ItemState | None = None
        self._delta_heads: dict[int, bytes] = {}

    def render(self) -> bytes:
        """Returns the item as JSON, as it is now."""
        return item_json(self.accumulator.item())

    def accumulate(self, event: ThreadItemUpdatedEvent) -> list[ThreadItemUpdate]:
        """Adds the event to the item and returns the updates to send.

        Raises:
            InvalidEventError: The event holds no update.
        """
        if event.delta is not None:
            return self.accumulator.append_text(event.delta.text)
        if event.update is None:  # pyright: ignore[reportUnnecessaryComparison] -- neither of the two was given
            raise InvalidEventError("ThreadItemUpdatedEvent needs either update= or delta=.")
        try:
            self.accumulator.add(event.update)
        except InvalidEventError as error:
            # Sent all the same: the final item decides what is stored, and clients ignore what does not fit.
            if not self._warned:
                self._warned = True
                logger.warning("An update of item %s does not fit and is not accumulated: %s", self.id, error)
        return [event.update]

    def encode(self, update: ThreadItemUpdate) -> bytes:
        """Returns the event of an update of this item."""
        if type(update) is not AssistantMessageContentPartTextDelta:
            return update_event(self.id_json, update)
        index = update.content_index
        head = self._delta_heads.get(index)
        if head is None:
            head = self._delta_heads[index] = text_delta_head(self.id_json, index)
        return text_delta_event(head, update.delta)


def keepable_items(pending: Sequence[ItemAccumulator]) -> list[ThreadItem]:
    """Returns unfinished items as they are to be stored: empty ones are left out, no task goes on spinning.

    A tool call that was not done is left out too: it never reached the page.
    """
    return [
        _settled(entry.item()) for entry in pending if entry.type != "client_tool_call" and not entry.is_empty
    ]


def _settled(item: ThreadItem) -> ThreadItem:
    if not isinstance(item, WorkflowItem):
        return item
    tasks = [
        task.model_copy(update={"status_indicator": "none"}) if task.status_indicator == "loading" else task
        for task in item.workflow.tasks
    ]
    return item.model_copy(update={"workflow": item.workflow.model_copy(update={"tasks": tasks})})
