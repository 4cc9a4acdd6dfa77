"""The way of an event: normalise, accumulate, persist, project to the wire, append to the stream log.

A pipeline belongs to one turn. It owns all pending state of the turn, is the only one that stores items in it, and is
the only place that decides what a client may see.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

from chatkit.errors import InvalidEventError
from chatkit.reduce import accumulator
from chatkit.server.lifetime import current_belongings
from chatkit.server.storable import check_storable
from chatkit.server.thread_edits import ThreadEdits
from chatkit.server.threads import ThreadEditor
from chatkit.server.tracked import TrackedItem, keepable_items
from chatkit.server.wire import (
    is_hidden,
    item_json,
    string_json,
    thread_json,
    update_event,
)
from chatkit.store.base import Store, find_item, plain_metadata
from chatkit.streams.base import TurnWriter
from chatkit.streams.snapshot import (
    NoState,
    TurnState,
    added_event,
    done_event,
    removed_event,
    replaced_event,
)
from chatkit.types import (
    ClientEffectEvent,
    ClientToolCallItem,
    ErrorEvent,
    NoticeEvent,
    ProgressUpdateEvent,
    StreamOptionsEvent,
    ThreadCreatedEvent,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    ThreadUpdatedEvent,
    WorkflowItem,
    to_wire,
)

__all__ = ["Pipeline"]

logger = logging.getLogger("chatkit.server")


class Pipeline:
    """Takes the events of one turn.

    Args:
        thread: The thread as the handler sees and edits it.
        store: The full store.
        context: The request's context.
        persist_item_updates: Whether updates of items of earlier turns are stored.
        resumable: Whether readers may come back, and may need the turn's state.
        editor: Saves edits of the thread; shared by all that edit threads of one server.
    """

    def __init__(
        self,
        *,
        thread: ThreadMetadata,
        store: Store[Any],
        context: object,
        persist_item_updates: bool = False,
        resumable: bool = True,
        editor: ThreadEditor | None = None,
    ) -> None:
        self.thread = thread
        self._editor = editor or ThreadEditor()
        self.state = TurnState() if resumable else NoState()
        self.writer: TurnWriter = cast("TurnWriter", None)
        self._store = store
        self._context = context
        self._persist_item_updates = persist_item_updates
        self._edits = ThreadEdits(thread)
        self._pending: dict[str, TrackedItem] = {}
        self._elsewhere: dict[str, TrackedItem | None] = {}
        self._stored: set[str] = set()
        self._shown: set[str] = set()
        self._awaits_client_tool = False
        self._upserts = store.upserts
        self._handlers: dict[type, Callable[[Any], Awaitable[None] | None]] = {
            ThreadItemUpdatedEvent: self._updated,
            ThreadItemAddedEvent: self._added,
            ThreadItemDoneEvent: self._done,
            ThreadItemRemovedEvent: self._removed,
            ThreadItemReplacedEvent: self._replaced,
            ThreadCreatedEvent: self._thread,
            ThreadUpdatedEvent: self._thread,
            StreamOptionsEvent: self._options,
            ProgressUpdateEvent: self._progress,
            ClientEffectEvent: self._kept,
            ErrorEvent: self._kept,
            NoticeEvent: self._kept,
        }

    # What a turn calls.

    def refuse_events(self) -> None:
        """Takes nothing more from the handler, which was left behind: only the error event that tells of it."""
        self._handlers = {ErrorEvent: self._kept}

    async def reload_thread(self) -> None:
        """Brings the thread up to date, in place, before the handler has seen it: another turn may have changed it."""
        stored = await self._store.load_thread(self.thread.id, self._context)
        for name, value in plain_metadata(stored):
            setattr(self.thread, name, value)
        self._edits = ThreadEdits(self.thread)

    def accept(self, event: ThreadStreamEvent) -> Awaitable[None] | None:
        """Takes an event; what it returns, if anything, must be awaited before the next one.

        Raises:
            InvalidEventError: The event does not fit the state of the turn.
        """
        kind = type(event)
        rest = (self._handlers.get(kind) or self._handler_of_subclass(event))(event)
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

    def _handler_of_subclass(self, event: object) -> Callable[[Any], Awaitable[None] | None]:
        for kind, handler in self._handlers.items():
            if isinstance(event, kind):
                return handler
        raise InvalidEventError(
            f"A handler must yield thread stream events (see chatkit.types), not {type(event).__name__}."
        )

    def publish_edits(self) -> Awaitable[None] | None:
        """Saves and sends what the handler changed on the thread; None if there is nothing."""
        changed = self._edits.take()
        return self._publish(changed) if changed else None

    async def _publish(self, changed: dict[str, Any]) -> None:
        updated = await self._editor.edit(self._store, self.thread.id, changed, self._context)
        self._send_thread(b"thread.updated", thread_json(updated))

    async def complete(self) -> None:
        """Ends a turn whose handler is done: what it left pending is closed, edits of the thread are published."""
        await self.save_updates()
        for tracked in list(self._pending.values()):
            if self._awaits_client_tool and tracked.accumulator.type == "workflow":
                # The workflow goes on when the page has posted the tool's output.
                await self._put(tracked.accumulator.item())
                del self._pending[tracked.id]
                continue
            for item in keepable_items([tracked.accumulator]):
                await self._put(item)
                self._announce_done(tracked, item)
                break
            else:
                await self._withdraw(tracked)
            del self._pending[tracked.id]
        publishing = self.publish_edits()
        if publishing is not None:
            await publishing

    async def save_updates(self) -> None:
        """Stores the updates of items of earlier turns, if that was asked for."""
        if not self._persist_item_updates:
            return
        for tracked in self._elsewhere.values():
            if tracked is not None and tracked.changed:
                item = tracked.accumulator.item()
                try:
                    check_storable(item)
                except InvalidEventError:
                    tracked.changed = False
                    raise
                await self._store.save_item(self.thread.id, item, self._context)
                tracked.changed = False

    def pending_items(self) -> list[ThreadItem]:
        """Returns the pending items in the state reached, closed, but for those not worth keeping."""
        kept: list[ThreadItem] = []
        for tracked in self._pending.values():
            try:
                for item in keepable_items([tracked.accumulator]):
                    check_storable(item)
                    kept.append(item)
            except Exception:
                # The application may have assigned anything to it.
                logger.exception("Item %s holds values that cannot be stored and is left out", tracked.id)
        return kept

    async def stored_of(self, items: list[ThreadItem]) -> list[ThreadItem]:
        """Returns those of the items that the store has, as it has them: an application's hook decided."""
        found: list[ThreadItem] = []
        for item in items:
            stored = await find_item(self._store, self.thread.id, item.id, self._context)
            if stored is not None:
                found.append(stored)
        return found

    async def announce_closed(self, kept: list[ThreadItem]) -> None:
        """Tells the client how pending items ended: the kept ones are done, the others withdrawn."""
        by_id = {item.id: item for item in kept}
        for tracked in self._pending.values():
            item = by_id.get(tracked.id)
            if item is None:
                await self._withdraw(tracked)
            else:
                self._announce_done(tracked, item)
        self._pending.clear()

    def announce_user_message(self, item: ThreadItem) -> None:
        """Sends the user's message, which is stored already."""
        self._stored.add(item.id)
        self._send_final(item.id, done_event(item_json(item)))

    def announce_replacement(self, item: ThreadItem) -> None:
        """Sends an item of an earlier turn in its new state, which is stored already."""
        self._stored.add(item.id)
        self._send_final(item.id, replaced_event(item_json(self._own(item))))

    def announce_thread(self, *, created: bool) -> None:
        """Sends the thread."""
        self._send_thread(b"thread.created" if created else b"thread.updated", thread_json(self.thread))

    # Emitting.

    def _emit(self, event: bytes) -> int:
        return self.writer.append(event)

    def _send_thread(self, kind: bytes, thread: bytes) -> None:
        event = b'{"type":"' + kind + b'","thread":' + thread + b"}"
        self.state.thread(self._emit(event), event)

    def _send_final(self, item_id: str, event: bytes) -> None:
        self._shown.add(item_id)
        self.state.finished(self._emit(event), item_id, event)

    def _announce_done(self, tracked: TrackedItem, item: ThreadItem) -> None:
        if not tracked.hidden:
            self._send_final(tracked.id, done_event(item_json(item)))

    async def _withdraw(self, tracked: TrackedItem) -> None:
        """Takes back an item that is not worth keeping: what the store has under its id, if anything, stands."""
        stored = await self.stored_of([tracked.accumulator.item()])
        if stored and not is_hidden(stored[0]):
            self._announce_done(tracked, stored[0])
        elif not tracked.hidden:
            self._send_removed(tracked.id, tracked.id_json)

    def _send_removed(self, item_id: str, id_json: bytes) -> None:
        self._shown.discard(item_id)
        event = removed_event(id_json)
        self.state.removed(self._emit(event), item_id, event)

    # Storing.

    async def _put(self, item: ThreadItem) -> None:
        check_storable(item)
        thread_id, context = self.thread.id, self._context
        if self._upserts or isinstance(item, WorkflowItem):
            await self._store.put_thread_item(thread_id, item, context)
        elif item.id in self._stored:
            await self._store.save_item(thread_id, item, context)
        else:
            await self._store.add_thread_item(thread_id, item, context)
        self._stored.add(item.id)

    def _own(self, item: ThreadItem) -> ThreadItem:
        return item if item.thread_id else item.model_copy(update={"thread_id": self.thread.id})

    async def _stored_elsewhere(self, item_id: str) -> TrackedItem | None:
        """Returns what an earlier turn, or this one, stored under the id."""
        if item_id not in self._elsewhere:
            item = await find_item(self._store, self.thread.id, item_id, self._context)
            self._elsewhere[item_id] = None if item is None else TrackedItem(item)
        return self._elsewhere[item_id]

    # One method per kind of event.

    def _added(self, event: ThreadItemAddedEvent) -> None:
        item = self._own(event.item)
        tracked = self._pending[item.id] = TrackedItem(item)
        self._elsewhere.pop(item.id, None)
        if tracked.hidden:
            self._hide(item.id)
        else:
            self._shown.add(item.id)
            seq = self._emit(added_event(item_json(item)))
            tracked.state = self.state.pending(seq, item.id, tracked.render)

    def _updated(self, event: ThreadItemUpdatedEvent) -> Awaitable[None] | None:
        tracked = self._pending.get(event.item_id)
        if tracked is None:
            return self._updated_elsewhere(event)
        for update in tracked.accumulate(event):
            if tracked.state is not None:
                tracked.state.last_seq = self.writer.append(tracked.encode(update))
        return None

    async def _updated_elsewhere(self, event: ThreadItemUpdatedEvent) -> None:
        tracked = await self._stored_elsewhere(event.item_id)
        if tracked is not None and _goes_on(tracked):
            self._pending[tracked.id] = tracked
            del self._elsewhere[tracked.id]
            tracked.state = self.state.pending(0, tracked.id, tracked.render)
            self._updated(event)
            return
        if tracked is not None:
            updates = tracked.accumulate(event)
            tracked.changed = True
        elif event.delta is not None:
            raise InvalidEventError(f"There is no item {event.item_id} to append text to.")
        else:
            updates = [event.update]
        if tracked is None or not tracked.hidden:
            for update in updates:
                encoded = update_event(string_json(event.item_id), update)
                seq = self._emit(encoded)
                if tracked is None:
                    self.state.updated(seq, event.item_id, encoded)
                else:
                    self.state.changed(seq, event.item_id, tracked.render)

    async def _done(self, event: ThreadItemDoneEvent) -> None:
        item = cast("ThreadItem | None", event.item)
        if item is None:
            tracked = self._pending.get(cast("str", event.id))
            if tracked is None:
                raise InvalidEventError(
                    f"ThreadItemDoneEvent(id={event.id!r}) names no pending item of this turn; "
                    "add it first, or give the whole item."
                )
            item = tracked.accumulator.item()
        item = self._own(item)
        await self._put(item)
        self._pending.pop(item.id, None)
        self._elsewhere.pop(item.id, None)
        if isinstance(item, ClientToolCallItem) and item.status == "pending":
            self._awaits_client_tool = True
        if is_hidden(item):
            self._hide(item.id)
        else:
            self._send_final(item.id, done_event(item_json(item)))

    def _hide(self, item_id: str) -> None:
        """Removes from the client's view what this turn has shown under the id of an item that is hidden now."""
        if item_id in self._shown:
            self._send_removed(item_id, string_json(item_id))

    async def _removed(self, event: ThreadItemRemovedEvent) -> None:
        tracked = self._pending.get(event.item_id) or await self._stored_elsewhere(event.item_id)
        await self._store.delete_thread_item(self.thread.id, event.item_id, self._context)
        self._pending.pop(event.item_id, None)
        self._elsewhere.pop(event.item_id, None)
        self._stored.discard(event.item_id)
        if tracked is None or not tracked.hidden:
            self._send_removed(event.item_id, string_json(event.item_id))

    async def _replaced(self, event: ThreadItemReplacedEvent) -> None:
        item = self._own(event.item)
        check_storable(item)
        pending = self._pending.get(item.id)
        hides = is_hidden(item)
        was_visible = (
            hides
            and (before := pending or await self._stored_elsewhere(item.id)) is not None
            and not before.hidden
        )
        await self._store.save_item(self.thread.id, item, self._context)
        self._stored.add(item.id)
        self._elsewhere.pop(item.id, None)
        if pending is not None:
            pending.accumulator = accumulator(item)
            pending.hidden = hides
        if hides:
            if pending is not None:
                pending.state = None
            if was_visible:
                self._send_removed(item.id, string_json(item.id))
            return
        encoded = replaced_event(item_json(item))
        self._shown.add(item.id)
        if pending is not None:
            pending.state = self.state.pending(self._emit(encoded), item.id, pending.render)
        else:
            self._send_final(item.id, encoded)

    def _thread(self, event: ThreadCreatedEvent | ThreadUpdatedEvent) -> None:
        page = event.thread.items
        self._send_thread(event.type.encode(), thread_json(event.thread, page))

    def _options(self, event: StreamOptionsEvent) -> None:
        encoded = to_wire(event)
        self.state.options(self._emit(encoded), encoded)

    def _progress(self, event: ProgressUpdateEvent) -> None:
        encoded = to_wire(event)
        self.state.progress(self._emit(encoded), encoded)

    def _kept(self, event: ClientEffectEvent | ErrorEvent | NoticeEvent) -> None:
        encoded = to_wire(event)
        self.state.keep(self._emit(encoded), encoded)


def _goes_on(tracked: TrackedItem) -> bool:
    """Tells whether an item of an earlier turn was taken up in this one."""
    belongings = current_belongings.get()
    return belongings is not None and tracked.id in belongings.continued
