"""The state of a turn: its items, and what readers get in the place of events that are no longer kept."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from chatkit._unicode import well_formed
from chatkit.errors import InvalidEventError
from chatkit.reduce.turn import ItemRecord, TurnItems
from chatkit.server.wire import is_hidden, item_json, item_part, replaced_event, thread_part
from chatkit.streams.base import StatePart
from chatkit.types import (
    ProgressUpdateEvent,
    StreamOptionsEvent,
    TextDelta,
    ThreadCreatedEvent,
    ThreadItem,
    ThreadItemUpdate,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    ThreadUpdatedEvent,
    WorkflowItem,
)

__all__ = ["TurnState", "closed_item", "storable", "update_of"]

logger = logging.getLogger("chatkit.server")

_ITEMS: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem, config={"defer_build": True})


class TurnState(TurnItems):
    """The state of a turn, kept up to date with each event at the cost of that event.

    A log of streams takes it as the source of its snapshots.
    """

    def __init__(self, *, resumable: bool = True) -> None:
        super().__init__(resumable=resumable)
        self._thread: StatePart | None = None
        self._options: StatePart | None = None
        self._progress: StatePart | None = None
        self._kept: list[StatePart] = []

    @property
    def knows_thread(self) -> bool:
        """Whether the thread was told."""
        return self._thread is not None

    @property
    def knows_options(self) -> bool:
        """Whether the stream options were told: the last event that comes before those of the handler."""
        return self._options is not None

    # Taking events in.

    def apply(self, event: ThreadStreamEvent, seq: int = 0, data: bytes = b"") -> None:
        """Takes in one event; see ``TurnItems.apply``."""
        match event:
            case ThreadCreatedEvent() | ThreadUpdatedEvent():
                self.thread(seq, data)
            case StreamOptionsEvent():
                self._options = self._latest(self._options, _part(seq, data))
            case ProgressUpdateEvent():
                # It counts until an item changes.
                self._progress = self._latest(self._progress, _part(seq, data))
            case _ if event.type.startswith("thread.item."):
                super().apply(event, seq, data)
            case _:
                self.keep(seq, data)

    def thread(self, seq: int, event: bytes) -> None:
        """Notes ``thread.created`` or ``thread.updated``; only the latest counts."""
        self._thread = self._latest(self._thread, thread_part(seq, event, self._thread))

    def keep(self, seq: int, event: bytes) -> None:
        """Notes an event that stands for itself: effect, notice, error."""
        if self.resumable:
            self._kept.append(self._latest(None, _part(seq, event)))

    def _latest(self, before: StatePart | None, now: StatePart) -> StatePart:
        self.size += _size(now) - (0 if before is None else _size(before))
        return now

    def begin(self, item: ThreadItem) -> ItemRecord:
        """Makes an item pending."""
        record = super().begin(item)
        record.hidden = is_hidden(item)
        return record

    def accumulate(self, record: ItemRecord, event: ThreadItemUpdatedEvent) -> list[ThreadItemUpdate]:
        """Adds an update to an item and returns the updates to send.

        Raises:
            InvalidEventError: The event holds no update.
        """
        content: Any = record.content
        if isinstance(event.delta, TextDelta):
            return content.append_text(event.delta.text)
        update = update_of(event)
        try:
            content.add(update)
        except InvalidEventError as error:
            # Sent all the same: the final item decides what is stored, and clients ignore what does not fit.
            if not record.warned:
                record.warned = True
                logger.warning(
                    "An update of item %s does not fit and is not accumulated: %s", record.id, error
                )
        return [update]

    def closed_pending(self) -> list[ThreadItem]:
        """Returns the pending items as they are to be stored unless they are done, but for those not worth keeping."""
        kept: list[ThreadItem] = []
        for record in self.pending.values():
            try:
                item = closed_item(record)
                if item is not None:
                    record.kept = storable(item)
                    kept.append(record.kept)
            except Exception:
                # The application may have assigned anything to it.
                logger.exception("Item %s holds values that cannot be stored and is left out", record.id)
        return kept

    # Telling it.

    def events(self, after: int) -> list[bytes]:
        """Returns the events that bring a reader that has seen everything up to ``after`` to the present state.

        The latest thread and stream options come first, then removals, so that an item that came back under its id
        takes its new place, then items in the order of their first event (finished ones as done, or replaced if the
        reader has them; pending ones as added if the reader has not seen them, else as replaced), updates of items
        that are not known here, what was kept (effects, notices, errors), and the progress line that is showing.
        """
        parts = self._parts(after)
        return [event for part in parts if (event := part.event_for(after)) is not None]

    __call__ = events

    def parts(self) -> list[StatePart]:
        """Returns what makes the events for any cursor, in the same order."""
        return list(self._parts(-1))

    def _parts(self, after: int) -> Iterator[StatePart]:
        if self._thread is not None:
            yield self._thread
        if self._options is not None:
            yield self._options
        removals = [record.removal for record in self.records.values() if record.removal is not None]
        for seq, event in sorted(removals, key=_seq):
            yield _part(seq, event)
        last_seq = self.last_seq
        for record in self.told():
            last_seq = max(last_seq, record.last_seq)
            if record.last_seq > after:
                yield item_part(
                    record.first_seq,
                    record.last_seq,
                    record.event or replaced_event(item_json(record.item())),
                    final=record.final or bool(record.event),
                )
        updates = [record.updates for record in self.records.values() if record.updates]
        for of_item in sorted(updates, key=lambda of_item: of_item[0][0]):
            for seq, event in of_item:
                yield _part(seq, event)
        yield from self._kept
        if self._progress is not None and self._progress.last_seq > last_seq:
            yield self._progress

    def seal(self) -> None:
        """Lets go of the turn's objects, for it has ended: from now on its events are held as bytes."""
        for record in self.records.values():
            if record.place and record.final and not record.event:
                try:
                    record.event = replaced_event(item_json(record.item()))
                except Exception:
                    # The application may have assigned anything to it.
                    logger.exception("Item %s cannot be rendered at the end of its turn", record.id)
                self.size += len(record.event)
            record.kept = None
            if record.event or not record.place:
                record.content = None


def _part(seq: int, event: bytes) -> StatePart:
    return StatePart(0, seq, b"", b"", event)


def _size(part: StatePart) -> int:
    return len(part.known_head) + len(part.rest)


def _seq(noted: tuple[int, bytes]) -> int:
    return noted[0]


def update_of(event: ThreadItemUpdatedEvent) -> ThreadItemUpdate:
    """Returns the update of an event without a delta.

    Raises:
        InvalidEventError: The event holds none; one that was made without validation may.
    """
    if not isinstance(event.update, BaseModel):  # pyright: ignore[reportUnnecessaryIsInstance] -- not checked yet
        raise InvalidEventError("ThreadItemUpdatedEvent needs either update= or delta=, of chatkit.types.")
    return event.update


def closed_item(record: ItemRecord) -> ThreadItem | None:
    """Returns an unfinished item as it is to be stored: no task stays in progress; None if it is empty.

    None for a tool call too: it never reached the page.
    """
    content = record.accumulator
    if content.type == "client_tool_call" or content.is_empty:
        return None
    item = content.item()
    if not isinstance(item, WorkflowItem):
        return item
    tasks = [
        task.model_copy(update={"status_indicator": "none"}) if task.status_indicator == "loading" else task
        for task in item.workflow.tasks
    ]
    return item.model_copy(update={"workflow": item.workflow.model_copy(update={"tasks": tasks})})


def storable(item: ThreadItem) -> ThreadItem:
    """Returns the item as a store can read it back: itself, or a copy with U+FFFD in the place of lone surrogates.

    Assigning to a field of a model checks nothing.

    Raises:
        InvalidEventError: A field holds a value that its type does not allow, or that JSON has no form for.
    """
    try:
        _ITEMS.validate_json(type(item).__pydantic_serializer__.to_json(item, by_alias=True, warnings=False))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        raise InvalidEventError(
            f"Item {item.id} cannot be stored: its field {field!r} holds a wrong value ({first['msg']})."
        ) from error
    except (PydanticSerializationError, UnicodeError, TypeError, ValueError) as error:
        repaired = well_formed(item)
        if repaired is not item:
            return storable(repaired)
        raise InvalidEventError(
            f"Item {item.id} cannot be stored: it has no form in JSON ({error})."
        ) from error
    return item
