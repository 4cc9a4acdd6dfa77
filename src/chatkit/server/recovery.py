"""Finalising what a crash cut off: the partial items of a dead worker's turns are stored."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter, ValidationError

from chatkit.errors import InvalidEventError, NotFoundError, StoreError
from chatkit.reduce import ItemAccumulator, accumulator
from chatkit.server.pipeline import keepable_items
from chatkit.store.base import OwnerContext, Store
from chatkit.streams.base import InterruptedTurn, StreamLog
from chatkit.types import (
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    WorkflowItem,
)

__all__ = ["Recovery"]

logger = logging.getLogger("chatkit.server")

_EVENTS: TypeAdapter[ThreadStreamEvent] = TypeAdapter(ThreadStreamEvent, config={"defer_build": True})


class Recovery:
    """Finalises turns whose worker died.

    Args:
        log: Knows them.
    """

    def __init__(self, log: StreamLog) -> None:
        self._log = log
        self._orphans: dict[str, dict[str, InterruptedTurn]] = {}

    async def recover(self, store: Store[Any], context_of: Callable[[str | None, str], Any]) -> int:
        """Finalises the turns whose worker died; returns how many.

        Args:
            store: The full store.
            context_of: Returns a context for an owner and a thread id, or None: then the turn waits for the next
                request in its thread.
        """
        finalised = 0
        for turn in await self._log.claim_interrupted():
            takes_owners = store.knows_owners and turn.info.owner is not None
            context = (
                OwnerContext(str(turn.info.owner))
                if takes_owners
                else context_of(turn.info.owner, turn.info.thread_id)
            )
            if context is None:
                # A log hands out again what nobody settled in time.
                self._orphans.setdefault(turn.info.thread_id, {})[turn.info.id] = turn
                continue
            finalised += await self._finalise(turn, store, context)
        return finalised

    async def finalise_orphans(self, thread_id: str, store: Store[Any], context: object) -> None:
        """Finalises turns of a thread that waited for a request, now that there is one.

        Raises:
            NotFoundError: The thread is not the owner's.
        """
        if thread_id not in self._orphans:
            return
        # Another owner's request must not use up what waits for this one's.
        await store.load_thread(thread_id, context)
        for turn in self._orphans.pop(thread_id, {}).values():
            await self._finalise(turn, store, context)

    async def _finalise(self, turn: InterruptedTurn, store: Store[Any], context: object) -> bool:
        info = turn.info
        try:
            token = await store.begin_turn(info.thread_id, info.id, context)
            for item in keepable_items(_replay(turn)):
                if not await _is_stored(store, info.thread_id, item, context):
                    await store.put_thread_item(info.thread_id, item, context)
            await store.end_turn(info.id, token, context)
        except StoreError:
            logger.exception("Finalising turn %s failed; it is tried again later", info.id)
            return False
        except Exception:
            logger.exception("Turn %s of a worker that died could not be finalised", info.id)
        await self._log.settle(info.id)
        return True


async def _is_stored(store: Store[Any], thread_id: str, item: ThreadItem, context: object) -> bool:
    """Tells whether the store has the item already: done in the moment between the last checkpoint and the crash."""
    try:
        stored = await store.load_item(thread_id, item.id, context)
    except NotFoundError:
        return False
    # A workflow is stored open at a client tool call and goes on after it.
    if isinstance(item, WorkflowItem) and isinstance(stored, WorkflowItem):
        return len(stored.workflow.tasks) >= len(item.workflow.tasks)
    return True


def _replay(turn: InterruptedTurn) -> list[ItemAccumulator]:
    """Returns the items that were pending when the log of a turn breaks off."""
    pending: dict[str, ItemAccumulator] = {}
    for entry in turn.entries:
        try:
            event = _EVENTS.validate_json(entry.data)
        except ValidationError:
            logger.warning("An event of turn %s cannot be read and is left out", turn.info.id)
            continue
        _apply(pending, event)
    return list(pending.values())


def _apply(pending: dict[str, ItemAccumulator], event: ThreadStreamEvent) -> None:
    if isinstance(event, ThreadItemAddedEvent):
        pending[event.item.id] = accumulator(event.item)
    elif isinstance(event, ThreadItemUpdatedEvent):
        if event.item_id in pending:
            try:
                pending[event.item_id].add(event.update)
            except InvalidEventError:
                logger.warning("An update of item %s does not fit and is left out", event.item_id)
    elif isinstance(event, ThreadItemReplacedEvent):
        if event.item.id in pending:
            pending[event.item.id] = accumulator(event.item)
    elif isinstance(event, ThreadItemDoneEvent):
        pending.pop(event.item.id, None)
    elif isinstance(event, ThreadItemRemovedEvent):
        pending.pop(event.item_id, None)
