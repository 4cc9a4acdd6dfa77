"""An assistant message that is written piece by piece, as the events that make it.

Used for strings that a handler yields, and for the text steps of agents.
"""

from __future__ import annotations

from typing import Any

from chatkit.store.base import Store
from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
)

__all__ = ["MessageWriter"]


class MessageWriter:
    """Writes messages of one part, one after the other, each with an id of the store's.

    Args:
        thread: The thread.
        store: The full store; makes the ids.
        context: The request's context.

    Attributes:
        item_id: The open message; None if there is none.
    """

    def __init__(self, thread: ThreadMetadata, store: Store[Any], context: Any) -> None:
        self._thread = thread
        self._store = store
        self._context = context
        self._citations = 0
        self.item_id: str | None = None

    def write(self, text: str) -> list[ThreadStreamEvent]:
        """Returns the events of more text, which opens a message if none is open; an empty text has none."""
        if not text:
            return []
        events: list[ThreadStreamEvent] = []
        if self.item_id is None:
            events = self._begin(self._store.generate_item_id("message", self._thread, self._context))
        delta = AssistantMessageContentPartTextDelta(content_index=0, delta=text)
        return [*events, ThreadItemUpdatedEvent(item_id=self.item_id or "", update=delta)]

    def _begin(self, item_id: str) -> list[ThreadStreamEvent]:
        self.item_id, self._citations = item_id, 0
        message = AssistantMessageItem(id=item_id, thread_id=self._thread.id, content=[])
        part = AssistantMessageContentPartAdded(content_index=0, content=AssistantMessageContent(text=""))
        return [ThreadItemAddedEvent(item=message), ThreadItemUpdatedEvent(item_id=item_id, update=part)]

    def cite(self, annotation: Annotation) -> list[ThreadStreamEvent]:
        """Returns the event of a citation in the open message; nothing if none is open."""
        if self.item_id is None:
            return []
        update = AssistantMessageContentPartAnnotationAdded(
            content_index=0, annotation_index=self._citations, annotation=annotation
        )
        self._citations += 1
        return [ThreadItemUpdatedEvent(item_id=self.item_id, update=update)]

    def end(self) -> list[ThreadStreamEvent]:
        """Returns the event that completes the open message; nothing if none is open."""
        item_id, self.item_id = self.item_id, None
        return [] if item_id is None else [ThreadItemDoneEvent(id=item_id)]
