"""Stores the items of one turn, each new one under an id that no other item of its thread has.

A handler may give an id that an earlier turn used, such as a constant one. What is stored under it would be lost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, cast

from chatkit.errors import ConflictError, InvalidEventError
from chatkit.ids import made_at, new_id, to_utc
from chatkit.reduce import accumulator
from chatkit.reduce.turn import ItemRecord
from chatkit.server.turns.resources import is_continued
from chatkit.server.turns.state import TurnState, storable
from chatkit.server.wire import is_hidden
from chatkit.store.base import Store, StoreItemType, find_item
from chatkit.types import AssistantMessageItem, ClientToolCallItem, ThreadItem, ThreadMetadata, WorkflowItem

__all__ = ["ItemStorage", "stored_items"]

logger = logging.getLogger("chatkit.server")

_KINDS: Final[dict[str, StoreItemType]] = {
    "client_tool_call": "tool_call",
    "task": "task",
    "workflow": "workflow",
    "hidden_context_item": "sdk_hidden_context",
    "sdk_hidden_context": "sdk_hidden_context",
}
"""Kinds of ids by the type of the item; all others are messages."""


class ItemStorage:
    """Stores the items of one turn.

    Args:
        store: The full store.
        thread: The turn's thread.
        context: The request's context.
        state: Notes what is stored.
        show: Shows the client what another turn stored under the id of an item that it sees.

    Attributes:
        given: Ids of items that the handler was given to change, such as the widget whose action it answers.
        continues: Whether the turn adds to what an earlier one began, as after a client tool call.
    """

    def __init__(
        self,
        store: Store[Any],
        thread: ThreadMetadata,
        context: object,
        state: TurnState,
        show: Callable[[ThreadItem], None],
    ) -> None:
        self.given: set[str] = set()
        self.continues = False
        self._store = store
        self._thread = thread
        self._context = context
        self._state = state
        self._show = show
        self._upserts = store.upserts
        self._began = time.time_ns() // 1000
        self._instead: dict[str, str] = {}
        for record in state.records.values():
            if record.put_as is not None:
                self._stored_as(record.put_as, record.id)

    async def put(self, item: ThreadItem) -> ThreadItem:
        """Stores an item and returns it as it is stored.

        Raises:
            InvalidEventError: The item cannot be stored.
        """
        item = storable(item)
        thread_id, context, put_as = self._thread.id, self._context, item.id
        stored = self._state.record(item.id).stored
        if not stored and self._upserts and not self.has_own_id(item.id):
            # Never in the place of what another turn, which runs at the same time, has stored meanwhile.
            try:
                await self._store.add_thread_item(thread_id, item, context)
            except ConflictError:
                return await self._put_beside(item)
        elif self._upserts or isinstance(item, WorkflowItem):
            await self._store.put_thread_item(thread_id, item, context)
        elif stored:
            await self._store.save_item(thread_id, item, context)
        else:
            await self._store.add_thread_item(thread_id, item, context)
        self._note(put_as, item)
        return item

    async def _put_beside(self, item: ThreadItem) -> ThreadItem:
        record = self._state.record(item.id)
        stored = await self.find(item.id)
        if stored is None or self.updates(item, stored):
            record.stored = True
            return await self.put(item)
        if record.shown and not is_hidden(stored):
            self._show(stored)
        return await self.put(self._renamed(item))

    async def replace(self, item: ThreadItem) -> ThreadItem:
        """Stores an item in the place of the one that has its id, and returns it as it is stored."""
        put_as = item.id
        await self._store.save_item(self._thread.id, item, self._context)
        self._note(put_as, item)
        record = self._state.record(put_as)
        record.looked_up = record.changed = False
        return item

    async def delete(self, item_id: str) -> None:
        """Deletes an item."""
        await self._store.delete_thread_item(self._thread.id, item_id, self._context)

    def _note(self, put_as: str, item: ThreadItem) -> None:
        record = self._state.record(item.id)
        record.stored = True
        if item.id != put_as:
            self._stored_as(put_as, item.id)
            record.put_as = put_as

    def has_own_id(self, item_id: str) -> bool:
        """Returns whether nothing of another turn can be stored under an id: it was made in this turn, or continues."""
        made = made_at(item_id)
        return (made is not None and self._began <= made <= time.time_ns() // 1000) or is_continued(item_id)

    async def identified(self, item: ThreadItem) -> ThreadItem:
        """Returns a new item under an id that nothing else in the thread has, or an update under that of its item."""
        item = self.named(item)
        stored = await self.find(item.id)
        if stored is None:
            return item
        record = self._state.record(item.id)
        if self.updates(item, stored, of_turn=record.stored):
            record.stored = True
            return item
        return self._renamed(item)

    async def find(self, item_id: str) -> ThreadItem | None:
        """Returns what the store has under an id."""
        return await find_item(self._store, self._thread.id, item_id, self._context)

    async def look_up(self, item_id: str) -> ItemRecord:
        """Returns the record of an item that is not pending; its content is what the store has."""
        record = self._state.record(item_id)
        if not record.looked_up:
            item = await self.find(item_id)
            record.content = None if item is None else accumulator(item)
            record.hidden = item is not None and is_hidden(item)
            record.looked_up = True
        return record

    async def save_updates(self) -> None:
        """Stores the updates of items of earlier turns.

        Raises:
            InvalidEventError: An item cannot be stored.
        """
        for record in list(self._state.records.values()):
            if record.changed:
                try:
                    item = storable(record.item())
                except InvalidEventError:
                    record.changed = False
                    raise
                await self._store.save_item(self._thread.id, item, self._context)
                record.changed = False

    # Ids.

    def id_of(self, item_id: str) -> str:
        """Returns the id of the item that the handler calls so."""
        return self._instead.get(item_id, item_id) if self._instead else item_id

    def named(self, item: ThreadItem) -> ThreadItem:
        """Returns the item under the id that stands for its own."""
        item_id = self.id_of(item.id)
        return item if item_id == item.id else item.model_copy(update={"id": item_id})

    def with_new_id(self, item: ThreadItem) -> ThreadItem:
        """Returns a copy of the item under an id that the store makes."""
        kind = _KINDS.get(item.type, "message")
        fresh = self._store.generate_item_id(kind, self._thread, self._context)
        return item.model_copy(update={"id": new_id(kind) if fresh == item.id else fresh})

    def stand_for(self, given: str, item_id: str) -> None:
        """Notes that an id which the handler gives means the item with another one."""
        if given != item_id:
            self._instead[given] = item_id

    def _renamed(self, item: ThreadItem) -> ThreadItem:
        """Returns the item under an id of its own, which from now on stands for the one that it has."""
        renamed = self.with_new_id(item)
        self._instead[item.id] = renamed.id
        _warn(item.id, item.type)
        return renamed

    def _stored_as(self, put_as: str, stored_id: str) -> None:
        """Notes that the store gave an item an id of its own in the place of the one that it was put under."""
        for given, instead in self._instead.items():
            if instead == put_as:
                self._instead[given] = stored_id
        self._instead[put_as] = stored_id

    def updates(self, item: ThreadItem, stored: object, *, of_turn: bool = False) -> bool:
        """Returns whether an item under the id of a stored one is that one's new state, not another item.

        An item that was loaded and changed keeps its ``created_at``. A message must still say what it said: of two
        answers none is lost, even if both were given the same id and time.

        Args:
            item: The item.
            stored: What the store has under its id, as the store returned it.
            of_turn: Whether this turn has stored that.
        """
        if item == stored:
            return True
        before = cast("ThreadItem", stored)
        if getattr(before, "type", None) != item.type:
            return False
        if before.id in self.given:
            return True
        if isinstance(item, ClientToolCallItem) and item.status == "completed":
            return item.call_id == cast("ClientToolCallItem", before).call_id
        if isinstance(item, WorkflowItem) and (self.continues or of_turn):
            return len(item.workflow.tasks) >= len(cast("WorkflowItem", before).workflow.tasks)
        if to_utc(item.created_at) != to_utc(before.created_at):
            return False
        return not isinstance(item, AssistantMessageItem) or _extends(
            item, cast("AssistantMessageItem", before)
        )


async def stored_items(
    store: Store[Any], thread_id: str, items: list[ThreadItem], context: object
) -> list[ThreadItem]:
    """Returns those of the items that a store has, as it has them."""
    found = [await find_item(store, thread_id, item.id, context) for item in items]
    return [item for item in found if item is not None]


def _extends(item: AssistantMessageItem, before: AssistantMessageItem) -> bool:
    """Returns whether a message has the text of another one, perhaps with more after it."""
    parts: list[Any] = [*before.content]
    return len(item.content) >= len(parts) and all(
        now.text.startswith(then.text) for now, then in zip(item.content, parts, strict=False)
    )


@lru_cache(maxsize=1000)
def _warn(item_id: str, kind: str) -> None:
    logger.warning(
        "A handler gave a new item (%s) the id %r, which another item of the thread has: it gets an id of its own, so "
        "that both stay. Make a new id for each item, with self.store.generate_item_id() or chatkit.ids.new_id(); to "
        "change an item that is stored, yield ThreadItemReplacedEvent.",
        kind,
        item_id,
    )
