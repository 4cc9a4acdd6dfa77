"""What a turn tells its readers beside the events of its handler: what is stored already, and how items ended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import Any, TypeAlias

from chatkit.errors import InvalidEventError, StaleTurnError
from chatkit.reduce.turn import ItemRecord
from chatkit.server.turns.continued import ContinuedItems
from chatkit.server.turns.output import TurnOutput
from chatkit.server.turns.state import TurnState
from chatkit.server.turns.storage import ItemStorage
from chatkit.server.turns.unnamed import UnnamedItems
from chatkit.server.wire import is_hidden
from chatkit.store.base import Store
from chatkit.streams.base import TurnWriter
from chatkit.types import ThreadItem, ThreadItemBase, ThreadMetadata

__all__ = ["Announcements"]

Naming: TypeAlias = Callable[[UnnamedItems, ThreadItem], ThreadItem]


class Announcements:
    """The half of :class:`Pipeline` that needs no event of a handler.

    Args:
        thread: The thread as the handler sees and edits it.
        store: The full store.
        context: The request's context.
        state: The turn's state.
        writer: The turn's log.

    Attributes:
        holds_back: Whether items are shown when they are done, not while they are written.
        continued: Items of earlier attempts at the turn that this one may go on with.
    """

    holds_back = False
    continued: ContinuedItems | None = None

    def __init__(
        self,
        thread: ThreadMetadata,
        store: Store[Any],
        context: object,
        state: TurnState,
        writer: TurnWriter,
    ) -> None:
        self.thread = thread
        self.state = state
        self.writer = writer
        self.handler = "respond"
        self._pending = state.pending
        self._output = TurnOutput(state, writer)
        self.storage = ItemStorage(store, thread, context, state, self._output.replaced)

    @cached_property
    def _unnamed(self) -> UnnamedItems:
        # Made for the turns that need it.
        return UnnamedItems(self.state, self.storage)

    def closed_pending(self) -> list[ThreadItem]:
        """Returns the pending items of a turn that ends early, as they are to be stored unless they are done."""
        return self.state.closed_pending()

    async def announce_closed(self, kept: list[ThreadItem]) -> None:
        """Tells the client how pending items ended: the kept ones are done, the others withdrawn."""
        by_id = {item.id: item for item in kept}
        for added_as, record in list(self._pending.items()):
            # The store may have given it another id.
            item = by_id.get(added_as if record.kept is None else record.kept.id)
            if item is None:
                await self._withdraw(record)
            elif not record.hidden:
                self._tell_done(record, item, added_as)
            self._pending.pop(added_as, None)

    def _tell_done(self, record: ItemRecord | None, item: ThreadItem, added_as: str | None = None) -> None:
        """Sends an item that is stored.

        Args:
            record: The item, if it was pending. Readers have one with an event as an earlier attempt has told it.
            item: The item as it is stored.
            added_as: The id that it was added under, if not that under which it was stored.
        """
        if record is not None and record.event:
            self._output.replaced(item, added_as)
        else:
            self._output.done(item, added_as)

    def take_back_pending(self) -> None:
        """Removes what is pending from the client's view: it is not known what the store has of it."""
        pending = list(self._pending.values())
        self._pending.clear()
        with suppress(StaleTurnError):
            for record in pending:
                if not record.hidden:
                    self._output.removed(record)

    def remove_uncontinued(self) -> None:
        """Removes what earlier attempts at the turn have shown, and this one has not come to."""
        for record in () if self.continued is None else self.continued.rest():
            self._output.removed(record)
            self.state.forget(record)

    def announce_removal(self, record: ItemRecord) -> None:
        """Takes an item from the client's view."""
        self._output.removed(record)

    def announce_stored(self, item: ThreadItem) -> None:
        """Sends an item that is stored already, as done."""
        self.state.record(item.id).stored = True
        self._output.done(self._own(item))

    def announce_replacement(self, item: ThreadItem) -> None:
        """Sends an item of an earlier turn in its new state, which is stored already."""
        self.state.record(item.id).stored = True
        self._output.replaced(self._own(item))

    def announce_thread(self, *, created: bool) -> None:
        """Sends the thread."""
        self._output.thread(self.thread, created=created)

    async def _withdraw(self, record: ItemRecord) -> None:
        """Takes back an item that is not worth keeping: what the store has under its id, if anything, stands."""
        stored = await self.storage.find(record.id)
        if record.hidden:
            return
        if stored is not None and not is_hidden(stored):
            self._output.done(stored)
        else:
            self._output.removed(record)

    def _own(self, item: ThreadItem, name: Naming | None = None) -> ThreadItem:
        """Returns an item with an id, which ``name`` gives it if it has none, and with the id of its thread."""
        if ThreadItemBase not in type(item).__mro__ or not isinstance(item.id, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidEventError(
                f"An event of {self.handler}() needs an item of chatkit.types, not {type(item).__name__}."
            )
        if not item.id and name is not None:
            item = name(self._unnamed, item)
        return item if item.thread_id else item.model_copy(update={"thread_id": self.thread.id})
