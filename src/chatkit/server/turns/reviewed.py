"""The pipeline of applications that review answers: an item is shown and stored whole, after its review."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from chatkit.errors import InvalidEventError, RequestError, ReviewFailedError
from chatkit.reduce import accumulator
from chatkit.reduce.turn import ItemRecord
from chatkit.server.reviews import review_output, reviews_output, stream_error
from chatkit.server.turns.pipeline import Pipeline
from chatkit.server.turns.resources import is_continued
from chatkit.server.turns.state import TurnState, closed_item
from chatkit.server.turns.storage import ItemStorage
from chatkit.streams.base import TurnWriter
from chatkit.types import (
    ClientToolCallItem,
    EndOfTurnItem,
    SDKHiddenContextItem,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
)

if TYPE_CHECKING:
    from chatkit.server.turns.turn import Turn

__all__ = ["ReviewedPipeline", "make_pipeline"]

Review: TypeAlias = Callable[[ThreadItem], Awaitable[ThreadItem]]
"""Returns an item as it may be shown and stored."""


def make_pipeline(
    turn: Turn,
    state: TurnState,
    writer: TurnWriter,
    save_fields: Callable[[dict[str, Any]], Awaitable[ThreadMetadata]],
) -> Pipeline:
    """Returns the pipeline of a turn.

    Args:
        turn: The turn.
        state: Its state.
        writer: Its log.
        save_fields: Saves changed fields of its thread.
    """
    scope = turn.scope
    options: dict[str, Any] = {
        "thread": turn.thread,
        "store": scope.store,
        "context": scope.context,
        "state": state,
        "writer": writer,
        "save_fields": save_fields,
        "persist_item_updates": scope.application.persist_item_updates,
    }
    if not reviews_output(scope):
        return Pipeline(**options)

    async def review(item: ThreadItem) -> ThreadItem:
        return await turn.interruptible(review_output(scope, turn.thread, item))

    return ReviewedPipeline(review=review, **options)


class ReviewedPipeline(Pipeline):
    """Takes the events of one turn, and holds items back until they are done and reviewed.

    What is pending when a turn ends early was not reviewed, and is not kept.

    Args:
        review: Reviews an item.
        options: Those of :class:`Pipeline`.
    """

    holds_back = True

    def __init__(self, *, review: Review, **options: Any) -> None:
        super().__init__(**options)
        self._reviewed_storage = self.storage = _ReviewedStorage(
            options["store"], self.thread, options["context"], self.state, self._output.replaced
        )
        self._reviewed_storage.review = review

    def closed_pending(self) -> list[ThreadItem]:
        return []

    async def complete(self) -> None:
        for record in list(self._pending.values()):
            await self._close(record)
        await super().complete()

    def _begin(self, item: ThreadItem) -> None:
        self.state.begin(item).hidden = True

    async def _close(self, record: ItemRecord) -> None:
        item = closed_item(record)
        if item is None:
            await super()._close(record)
        else:
            await self._done(ThreadItemDoneEvent(item=item))

    async def _ask_later(self, call: ClientToolCallItem) -> None:
        reviewed: Any = await self._reviewed_storage.reviewed(call)
        await super()._ask_later(reviewed)

    async def _updated_elsewhere(self, event: ThreadItemUpdatedEvent) -> None:
        record = await self.storage.look_up(self.storage.id_of(event.item_id))
        if record.content is None:
            raise InvalidEventError(f"There is no item {event.item_id} that could be reviewed.")
        if is_continued(record.id):
            self._pending[record.id] = record
            record.looked_up = record.changed = False
            record.hidden = True
            self._updated(event)
            return
        item = await self._reviewed_storage.reviewed(self._updated_item(event, record))
        record.content = accumulator(item)
        record.changed = True
        if not record.hidden:
            # Sent as an event of its own: readers must not get a later state of the record that was not reviewed.
            self._output.replaced(item)

    def _updated_item(self, event: ThreadItemUpdatedEvent, record: ItemRecord) -> ThreadItem:
        """Returns an item with an update; the record, which may be stored and told any time, stays as it was."""
        before, record.content = record.content, accumulator(record.item())
        try:
            self._updates_of(event, record)
            return record.item()
        finally:
            record.content = before


class _ReviewedStorage(ItemStorage):
    """Stores the items of one turn as their review leaves them."""

    review: Review

    async def put(self, item: ThreadItem) -> ThreadItem:
        return await super().put(await self.reviewed(item))

    async def replace(self, item: ThreadItem) -> ThreadItem:
        return await super().replace(await self.reviewed(item))

    async def reviewed(self, item: ThreadItem) -> ThreadItem:
        """Returns an item as it may be shown and stored.

        Raises:
            CustomStreamError: It may not be, or that is not known.
        """
        if isinstance(item, SDKHiddenContextItem | EndOfTurnItem):
            return item
        try:
            return await self.review(item)
        except (RequestError, ReviewFailedError) as error:
            raise stream_error(error) from error
