"""Takes the events of a turn: normalises them, keeps the turn's state, stores items, encodes events and appends them.

A pipeline belongs to one turn. It is the only one that stores items in it, and decides what a client sees of them.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any, Final, cast

from chatkit._observers import observers
from chatkit.errors import ChatKitError, InvalidEventError, NotFoundError, StaleTurnError, ThreadBusyError
from chatkit.reduce import accumulator
from chatkit.reduce.turn import ItemRecord
from chatkit.server.handler_results import event_error, passed_through, wrong_value
from chatkit.server.message_writer import MessageWriter
from chatkit.server.threads import ThreadEdits, reload_thread
from chatkit.server.tool_calls import queue_item, queued_calls
from chatkit.server.turns.announcements import Announcements
from chatkit.server.turns.resources import is_continued
from chatkit.server.turns.state import TurnState, closed_item, storable, update_of
from chatkit.server.turns.unnamed import UnnamedItems
from chatkit.server.wire import is_hidden, update_event
from chatkit.store.base import Store
from chatkit.streams.base import TurnWriter
from chatkit.types import (
    ClientEffectEvent,
    ClientToolCallItem,
    ErrorEvent,
    NoticeEvent,
    ProgressUpdateEvent,
    SDKHiddenContextItem,
    StreamOptionsEvent,
    ThreadCreatedEvent,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdate,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    ThreadUpdatedEvent,
)

__all__ = ["Pipeline"]

logger = logging.getLogger("chatkit.server")


class Pipeline(Announcements):
    """Takes the events of one turn.

    Args:
        thread: The thread as the handler sees and edits it.
        store: The full store.
        context: The request's context.
        state: The turn's state.
        writer: The turn's log.
        save_fields: Saves changed fields of the thread, and returns it as it is stored.
        persist_item_updates: Whether updates of items of earlier turns are stored.
    """

    def __init__(
        self,
        *,
        thread: ThreadMetadata,
        store: Store[Any],
        context: object,
        state: TurnState,
        writer: TurnWriter,
        save_fields: Callable[[dict[str, Any]], Awaitable[ThreadMetadata]],
        persist_item_updates: bool = False,
    ) -> None:
        super().__init__(thread, store, context, state, writer)
        self._store = store
        self._context = context
        self._save_fields = save_fields
        self._persist_item_updates = persist_item_updates
        self._edits = ThreadEdits(thread)
        self._awaits_client_tool = False
        self._queue: SDKHiddenContextItem | None = None
        self._refuses = False

    @cached_property
    def _message(self) -> MessageWriter:
        return MessageWriter(self.thread, self._store, self._context)

    # What a turn calls.

    def refuse_events(self) -> None:
        """Takes nothing more from the handler, which was abandoned, but for the error event that says so."""
        self._handlers = {ErrorEvent: Pipeline._error}
        self._refuses = True

    def tell_first_delta(self, tell: Callable[[], None]) -> None:
        """Has ``tell`` called with the first update of an item, or text; those after it cost nothing."""

        def first(handler: Callable[[Pipeline, Any], Awaitable[None] | None]) -> Callable[..., Any]:
            def handle(pipeline: Pipeline, event: Any) -> Awaitable[None] | None:
                del pipeline._handlers
                tell()
                return handler(pipeline, event)

            return handle

        firsts = {kind: first(Pipeline._handlers[kind]) for kind in (ThreadItemUpdatedEvent, str)}
        self._handlers = Pipeline._handlers | firsts

    async def reload_thread(self) -> None:
        """Brings the thread up to date, before the handler has seen it."""
        await reload_thread(self.thread, self._store, self._context)
        self._edits = ThreadEdits(self.thread)

    async def why_stale(self, error: StaleTurnError) -> Exception:
        """Returns what to tell of a turn that may not write any more before it has begun."""
        try:
            await self._store.load_thread(self.thread.id, self._context)
        except NotFoundError as deleted:
            # Deleted between the look at it and the first write.
            return deleted
        except Exception:  # noqa: BLE001 -- the first error says what is wrong
            return error
        return ThreadBusyError("Another worker has taken this message over. Load the thread again.")

    def accept(self, event: ThreadStreamEvent | str) -> Awaitable[None] | None:
        """Takes an event; what it returns, if anything, must be awaited before the next one.

        Raises:
            InvalidEventError: The event does not fit the state of the turn.
        """
        kind = type(event)
        handler = self._handlers.get(kind) or self._handler_of_subclass(event)
        try:
            rest = handler(self, event)
        except ChatKitError:
            raise
        except Exception as error:
            # Made without validation, it may hold anything.
            raise wrong_value(event, error) from error
        if rest is not None:
            return self._finish(rest)
        if kind is ThreadItemAddedEvent or self._edits.reassigned():
            return self.publish_edits()
        return None

    async def _finish(self, rest: Awaitable[None]) -> None:
        await rest
        publishing = self.publish_edits()
        if publishing is not None:
            await publishing

    def _handler_of_subclass(self, event: object) -> Callable[[Pipeline, Any], Awaitable[None] | None]:
        kinds = type(event).__mro__
        for kind, handler in self._handlers.items():
            if kind in kinds:
                return handler
        if self._handlers is _WRITING:
            return Pipeline._end_text
        # What is sent as it is could hold anything of an answer.
        if not (self._refuses or self.holds_back):
            encoded = passed_through(event)
            if encoded is not None:

                def pass_through(_pipeline: Pipeline, _event: object) -> None:
                    self._output.as_it_is(encoded)

                return pass_through
        raise event_error(event, self.handler)

    def publish_edits(self) -> Awaitable[None] | None:
        """Saves and sends what the handler changed on the thread; None if there is nothing."""
        changed = self._edits.take()
        return self._publish(changed) if changed else None

    async def _publish(self, changed: dict[str, Any]) -> None:
        self._output.thread(await self._save_fields(changed))

    async def complete(self) -> None:
        """Ends a turn whose handler is done: what it left pending is closed, edits of the thread are published."""
        self.remove_uncontinued()
        await self.save_updates()
        for record in list(self._pending.values()):
            if self._awaits_client_tool and record.accumulator.type == "workflow":
                # The next turn adds to the workflow, when the page has posted the tool's output.
                await self.storage.put(record.item())
                self._pending.pop(record.id)
            else:
                await self._close(record)
        publishing = self.publish_edits()
        if publishing is not None:
            await publishing

    async def _close(self, record: ItemRecord) -> None:
        """Completes an item that the handler left pending."""
        added_as = record.id
        item = closed_item(record)
        if item is None:
            await self._withdraw(record)
        else:
            item = await self.storage.put(item)
            if not record.hidden:
                self._tell_done(record, item)
        self._pending.pop(added_as, None)

    async def save_updates(self) -> None:
        """Stores the updates of items of earlier turns, if that was asked for."""
        if self._persist_item_updates:
            await self.storage.save_updates()

    def _id_of(self, event: object, item_id: str | None) -> str:
        """Returns the id of the item that an event means; one that is empty means the item that was added without."""
        if not isinstance(item_id, str):
            raise InvalidEventError(f"{type(event).__qualname__} needs the id of an item, a string.")
        return self.storage.id_of(item_id) if item_id else self._unnamed.only_id(event)

    # One method per kind of event.

    def _added(self, event: ThreadItemAddedEvent) -> Awaitable[None] | None:
        item = self._own(event.item, UnnamedItems.add)
        if self.continued is not None and self.continued.take(item):
            item = self.storage.named(item)
            record = self.state.begin(item)
            if not record.event:
                self._output.pending_replaced(record, item)
            return None
        known = self.state.records.get(item.id)
        if (
            (known is not None and known.stored)
            or item.id in self._pending
            or not self.storage.has_own_id(item.id)
        ):
            return self._added_beside(item)
        self._begin(item)
        return None

    async def _added_beside(self, item: ThreadItem) -> None:
        pending = self._pending.get(self.storage.id_of(item.id))
        if pending is None:
            item = await self.storage.identified(item)
        elif self.storage.updates(self.storage.named(item), pending.item()):
            item = self.storage.named(item)
        else:
            await self._close(pending)
            item = await self.storage.identified(item)
        self._begin(item)

    def _begin(self, item: ThreadItem) -> None:
        record = self.state.begin(item)
        if record.hidden:
            self._hide(record)
        else:
            self._output.added(record, item)

    def _updated(self, event: ThreadItemUpdatedEvent) -> Awaitable[None] | None:
        record = self._pending.get(event.item_id) or self._pending.get(self.storage.id_of(event.item_id))
        if record is None:
            record = self._pending.get(self._id_of(event, event.item_id))
        if record is None:
            return self._updated_elsewhere(event)
        for update in self.state.accumulate(record, event):
            if not (record.hidden or record.event):
                record.last_seq = self.writer.append(update_event(record.id, update, record.delta_heads))
        return None

    async def _updated_elsewhere(self, event: ThreadItemUpdatedEvent) -> None:
        record = await self.storage.look_up(self.storage.id_of(event.item_id))
        known = record.content is not None
        if known and is_continued(record.id):
            self._pending[record.id] = record
            record.looked_up = record.changed = False
            self.state.tell(record, 0)
            self._updated(event)
            return
        try:
            updates = self._updates_of(event, record)
            encoded = [update_event(record.id, update, record.delta_heads) for update in updates]
        except ChatKitError:
            raise
        except Exception as error:
            # Made without validation, it may hold anything.
            raise wrong_value(event, error) from error
        record.changed = known
        if not (known and record.hidden):
            for data in encoded:
                self._output.update_of_earlier(record, data)

    def _updates_of(self, event: ThreadItemUpdatedEvent, record: ItemRecord) -> list[ThreadItemUpdate]:
        if record.content is not None:
            return self.state.accumulate(record, event)
        if event.delta is not None:
            raise InvalidEventError(f"There is no item {event.item_id} to append text to.")
        return [update_of(event)]

    async def _done(self, event: ThreadItemDoneEvent) -> None:
        item = cast("ThreadItem | None", event.item)
        if item is None:
            pending = self._pending.get(self._id_of(event, event.id))
            if pending is None:
                raise InvalidEventError(
                    f"ThreadItemDoneEvent(id={event.id!r}) names no pending item of this turn; "
                    "add it first, or give the whole item."
                )
            item = pending.item()
        item = self.storage.named(self._own(item, UnnamedItems.complete))
        if self.continued is not None and item.id not in self._pending and self.continued.take(item):
            item = self.storage.named(item)
            self.state.begin(item)
        record = self.state.record(item.id)
        if item.id not in self._pending and (record.stored or not self.storage.has_own_id(item.id)):
            item = await self.storage.identified(item)
        if self._awaits_client_tool and _is_pending_call(item) and not self.state.record(item.id).shown:
            await self._ask_later(cast("ClientToolCallItem", item))
            return
        added = self.state.record(item.id)
        item = await self.storage.put(item)
        if _is_pending_call(item):
            self._awaits_client_tool = True
        pending = self._pending.pop(added.id, None)
        if is_hidden(item):
            self._hide(added)
        else:
            self._tell_done(pending, item)
        for record in (added, self.state.record(item.id)):
            record.looked_up = record.changed = False
            if record.event or not record.place:
                record.content = None

    async def _ask_later(self, call: ClientToolCallItem) -> None:
        """Keeps a call for later: pages know one at a time."""
        queue = self._queue
        calls = [call] if queue is None else [*queued_calls(queue), call]
        item_id = self._store.generate_item_id("sdk_hidden_context", self.thread, self._context)
        self._queue = queue_item(item_id if queue is None else queue.id, self.thread.id, calls)
        await self.storage.put(self._queue)

    def _hide(self, record: ItemRecord) -> None:
        """Removes from the client's view what this turn has shown of an item that is hidden now."""
        if record.shown:
            self._output.removed(record)

    async def _removed(self, event: ThreadItemRemovedEvent) -> None:
        item_id = self._id_of(event, event.item_id)
        record = self._pending.get(item_id) or await self.storage.look_up(item_id)
        await self.storage.delete(item_id)
        if record.content is None or not record.hidden:
            self._output.removed(record)
        self.state.forget(record)

    async def _replaced(self, event: ThreadItemReplacedEvent) -> None:
        item = storable(self.storage.named(self._own(event.item, UnnamedItems.replace)))
        saved_as = item.id
        pending = self._pending.get(saved_as)
        hides = is_hidden(item)
        was_visible = False
        if hides:
            before = pending or await self.storage.look_up(saved_as)
            was_visible = before.content is not None and not before.hidden
        item = await self.storage.replace(item)
        record = self.state.record(saved_as)
        if item.id != saved_as:
            # Under a new id it is an item that is not pending, as in 1.6.5.
            self._pending.pop(saved_as, None)
        elif pending is not None:
            pending.content = accumulator(item)
            pending.hidden = hides or self.holds_back
        if hides:
            if was_visible:
                self._output.removed(record)
        elif pending is not None and item.id == saved_as:
            if not (self.holds_back or pending.event):
                self._output.pending_replaced(pending, item)
        else:
            self._output.replaced(item, saved_as)

    def _thread(self, event: ThreadCreatedEvent | ThreadUpdatedEvent) -> None:
        # Items in it have passed no review.
        items = None if self.holds_back else event.thread.items
        self._output.thread(event.thread, items, created=isinstance(event, ThreadCreatedEvent))

    def _send(self, event: Any) -> None:
        self._output.event(event)

    def _error(self, event: ErrorEvent) -> None:
        for observer in observers():
            observer.failed(str(getattr(event.code, "value", event.code)), "stream")
        self._send(event)

    # Strings: a message that is written until something else comes.

    def _write(self, text: str) -> Awaitable[None] | None:
        events = self._message.write(text)
        if len(events) == 1:
            return self._updated(cast("ThreadItemUpdatedEvent", events[0]))
        if not events:
            return None
        self._handlers = _WRITING
        return self._take(events)

    async def _take(self, events: list[ThreadStreamEvent]) -> None:
        for event in events:
            rest = Pipeline._handlers[type(event)](self, event)
            if rest is not None:
                await rest

    async def _end_text(self, event: ThreadStreamEvent) -> None:
        """Ends the message of the strings before an event, and takes the event."""
        del self._handlers
        record = self._pending.get(self.storage.id_of(self._message.item_id or ""))
        self._message.end()
        if record is not None:
            await self._close(record)
        rest = self.accept(event)
        if rest is not None:
            await rest

    _handlers: dict[type, Callable[[Pipeline, Any], Awaitable[None] | None]] = {  # noqa: RUF012 -- read only
        ThreadItemUpdatedEvent: _updated,
        ThreadItemAddedEvent: _added,
        ThreadItemDoneEvent: _done,
        ThreadItemRemovedEvent: _removed,
        ThreadItemReplacedEvent: _replaced,
        ThreadCreatedEvent: _thread,
        ThreadUpdatedEvent: _thread,
        StreamOptionsEvent: _send,
        ProgressUpdateEvent: _send,
        ClientEffectEvent: _send,
        ErrorEvent: _error,
        NoticeEvent: _send,
        str: _write,
    }


_WRITING: Final[dict[type, Callable[[Pipeline, Any], Awaitable[None] | None]]] = {
    str: Pipeline._write,  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001
}
"""The handlers while strings are written: any other kind ends their message first, at no cost to turns without."""


def _is_pending_call(item: ThreadItem) -> bool:
    return isinstance(item, ClientToolCallItem) and item.status == "pending"
