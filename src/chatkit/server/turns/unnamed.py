"""Items that a handler yields without an id: the store makes one, and later events without an id mean the same item."""

from __future__ import annotations

from chatkit.errors import InvalidEventError
from chatkit.server.turns.state import TurnState
from chatkit.server.turns.storage import ItemStorage
from chatkit.types import ThreadItem

__all__ = ["UnnamedItems"]


class UnnamedItems:
    """The items of a turn that were added without an id.

    The object that was yielded is left as it is: an application may yield the same one in many turns.

    Args:
        state: The turn's state.
        storage: Makes the ids.
    """

    def __init__(self, state: TurnState, storage: ItemStorage) -> None:
        self._pending = state.pending
        self._storage = storage
        self._given: dict[str, ThreadItem] = {}

    def add(self, item: ThreadItem) -> ThreadItem:
        """Returns a new item under an id of the store's."""
        # Those that are done are not kept.
        self._given = self._open()
        named = self._storage.with_new_id(item)
        self._given[named.id] = item
        return named

    def complete(self, item: ThreadItem) -> ThreadItem:
        """Returns the final state of the item of the same type that is open, or else a new item.

        Raises:
            InvalidEventError: Several of its type are open, and it is none of the objects that were added.
        """
        of_type = self._of_type(item)
        if not of_type:
            return self._storage.with_new_id(item)
        return item.model_copy(update={"id": _only(of_type, f"A final {item.type} item")})

    def replace(self, item: ThreadItem) -> ThreadItem:
        """Returns the new state of the item of the same type that is open.

        Raises:
            InvalidEventError: There is none, or several are open.
        """
        return item.model_copy(update={"id": _only(self._of_type(item), f"A replacing {item.type} item")})

    def only_id(self, event: object) -> str:
        """Returns the id of the item that is open, for an event that names none.

        Raises:
            InvalidEventError: There is none, or several are open.
        """
        return _only(self._open(), type(event).__qualname__)

    def _open(self) -> dict[str, ThreadItem]:
        found = {self._storage.id_of(item_id): given for item_id, given in self._given.items()}
        return {item_id: given for item_id, given in found.items() if item_id in self._pending}

    def _of_type(self, item: ThreadItem) -> dict[str, ThreadItem]:
        of_type = {item_id: given for item_id, given in self._open().items() if given.type == item.type}
        same = {item_id: given for item_id, given in of_type.items() if given is item}
        return same or of_type


def _only(found: dict[str, ThreadItem], what: str) -> str:
    if len(found) == 1:
        return next(iter(found))
    number = "no item that was added without an id is" if not found else f"{len(found)} such items are"
    raise InvalidEventError(
        f"{what} has no id, and {number} open in this turn, so that it does not say which item it means. Give the item "
        "an id, such as self.store.generate_item_id('message', thread, context), and name it in its events."
    )
