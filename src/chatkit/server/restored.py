"""A turn whose worker died: its state out of the log, and what is to be told and taken back before it goes on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from pydantic import TypeAdapter, ValidationError

from chatkit.reduce import accumulator
from chatkit.server.pipeline import Pipeline
from chatkit.server.tracked import TrackedItem
from chatkit.server.wire import is_hidden, item_json, string_json
from chatkit.store.base import find_item
from chatkit.streams.base import LogEntry
from chatkit.streams.snapshot import done_event
from chatkit.types import (
    ProgressUpdateEvent,
    StreamOptionsEvent,
    ThreadCreatedEvent,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    ThreadUpdatedEvent,
    UserMessageItem,
)

__all__ = ["RestoredPipeline"]

logger = logging.getLogger("chatkit.server")

_RECENT: Final = 50
"""Items of a thread among which those are looked for that a dead worker stored last."""

_EVENTS: TypeAdapter[ThreadStreamEvent] = TypeAdapter(ThreadStreamEvent, config={"defer_build": True})


class RestoredPipeline(Pipeline):
    """Goes on with a turn that another worker began."""

    _opened = False
    _began_thread = False
    _message: ThreadItem | None = None

    def restore(self, entries: Sequence[LogEntry]) -> None:
        """Brings the turn's state to where its log breaks off: another worker began it. Sends nothing.

        Args:
            entries: The turn's events, or a snapshot of it and the events behind that.
        """
        covered = next((entry.seq for entry in entries if entry.seq), 0)
        for entry in entries:
            try:
                event = _EVENTS.validate_json(entry.data)
            except ValidationError:
                logger.warning("An event of a turn that was cut off cannot be read and is left out")
                continue
            self._restore(event, entry.seq or covered, entry.data)

    def _restore(self, event: ThreadStreamEvent, seq: int, data: bytes) -> None:
        match event:
            case ThreadItemAddedEvent(item=item):
                tracked = self._pending[item.id] = TrackedItem(item)
                tracked.state = self.state.pending(seq, item.id, tracked.render)
                self._shown.add(item.id)
            case ThreadItemUpdatedEvent(item_id=item_id):
                tracked = self._pending.get(item_id)
                if tracked is None:
                    self.state.updated(seq, item_id, data)
                    return
                tracked.accumulate(event)
                if tracked.state is not None:
                    tracked.state.last_seq = seq
            case ThreadItemReplacedEvent(item=item):
                tracked = self._pending.get(item.id)
                self._shown.add(item.id)
                if tracked is None:
                    self.state.finished(seq, item.id, data)
                    return
                tracked.accumulator = accumulator(item)
                tracked.state = self.state.pending(seq, item.id, tracked.render)
            case ThreadItemDoneEvent(item=item):
                self._pending.pop(item.id, None)
                self._stored.add(item.id)
                self._shown.add(item.id)
                self.state.finished(seq, item.id, data)
            case ThreadItemRemovedEvent(item_id=item_id):
                self._pending.pop(item_id, None)
                self._stored.discard(item_id)
                self._shown.discard(item_id)
                self.state.removed(seq, item_id, data)
            case ThreadCreatedEvent() | ThreadUpdatedEvent():
                self.state.thread(seq, data)
            case StreamOptionsEvent():
                self._opened = True
                self.state.options(seq, data)
            case ProgressUpdateEvent():
                self.state.progress(seq, data)
            case _:
                self.state.keep(seq, data)

    @property
    def opened(self) -> bool:
        """Whether the log has all that a turn sends before its handler begins."""
        return self._opened

    async def load_opening(self, user_item_id: str | None) -> None:
        """Looks for what the turn had stored as it began and the log does not have, for ``announce_opening``.

        Args:
            user_item_id: The user message that the turn answers, if any.
        """
        if self._opened or user_item_id is None:
            return
        self._message = await find_item(self._store, self.thread.id, user_item_id, self._context)
        oldest = await self._store.load_thread_items(self.thread.id, None, 1, "asc", self._context)
        self._began_thread = [item.id for item in oldest.data] == [user_item_id]

    def announce_opening(self) -> None:
        """Sends the thread and the user's message, as far as the log does not have them.

        The worker died in the moment between storing them and saving that for readers, or the log's server lost it: a
        client that sends its message again, for it heard nothing, learns its thread from them.
        """
        if self._message is None:
            return
        if self._began_thread and not self.state.knows_thread:
            self.announce_thread(created=True)
        if self._message.id not in self._shown:
            self.announce_user_message(self._message)

    async def take_back(self, keep: str | None, since: datetime, *, alone: bool) -> None:
        """Removes what earlier attempts at the turn have stored and shown.

        Args:
            keep: The user message that the turn answers.
            since: When the first attempt began.
            alone: Whether what is stored and was not told can only be the turn's own; otherwise it stays, and is told.
        """
        told = [item_id for item_id in {**self._pending, **dict.fromkeys(self._stored)} if item_id != keep]
        shown = set(self._shown)
        # At once: nobody who comes now is to take them for the next attempt's.
        for item_id in told:
            self._send_removed(item_id, string_json(item_id))
        self._shown |= shown
        unseen = await self.unseen_items(keep, since)
        for item_id in told:
            # One that is pending in the log may have been stored in the moment before the worker died.
            if item_id in self._stored or await self._is_stored(item_id):
                await self._store.delete_thread_item(self.thread.id, item_id, self._context)
        self._shown.difference_update(told)
        self._pending.clear()
        self._stored = {item_id for item_id in self._stored if item_id == keep}
        if not alone:
            self.announce_unseen(unseen)
            return
        for item in unseen:
            await self._store.delete_thread_item(self.thread.id, item.id, self._context)
            # The readers of the worker that died may have heard of it.
            self._send_removed(item.id, string_json(item.id))

    async def _is_stored(self, item_id: str) -> bool:
        return await find_item(self._store, self.thread.id, item_id, self._context) is not None

    async def unseen_items(self, user_item_id: str | None, since: datetime) -> list[ThreadItem]:
        """Returns what the turn had stored, oldest first, and had not sent when its worker died.

        Args:
            user_item_id: The user message that the turn answers, if any.
            since: When the turn began.
        """
        page = await self._store.load_thread_items(self.thread.id, None, _RECENT, "desc", self._context)
        unseen: list[ThreadItem] = []
        for item in page.data:
            if item.id == user_item_id:
                break
            if item.id in self._shown:
                continue
            if item.created_at < since:
                break
            if isinstance(item, UserMessageItem):
                # What came behind a later message answers that one.
                unseen.clear()
            elif not is_hidden(item):
                unseen.append(item)
        unseen.reverse()
        return unseen

    def announce_unseen(self, items: Sequence[ThreadItem]) -> None:
        """Sends items that are stored already."""
        for item in items:
            self._stored.add(item.id)
            self._send_final(item.id, done_event(item_json(self._own(item))))
