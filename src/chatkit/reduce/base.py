"""What the accumulators of all kinds share, and the one of the kinds that take no updates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NoReturn

from chatkit.errors import InvalidEventError
from chatkit.types import ThreadItem, ThreadItemUpdate

__all__ = ["ItemAccumulator"]


class ItemAccumulator:
    """An item that takes updates. This class is that of the kinds without any; :func:`accumulator` knows which.

    Args:
        item: The item as it was added.
    """

    __slots__ = ("_item",)

    _takes: ClassVar[Mapping[str, Callable[[Any, Any], None]]] = MappingProxyType({})

    def __init__(self, item: ThreadItem) -> None:
        self._item: Any = item.model_copy(deep=True)

    @property
    def id(self) -> str:
        """The item's id."""
        return self._item.id

    @property
    def type(self) -> str:
        """The item's type, such as ``assistant_message``."""
        return self._item.type

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to see yet, so that nothing is lost with the item.

        So is a message without citations whose text is blank, an image that has no picture, and a workflow
        without tasks. Items of other kinds are never empty.
        """
        return False

    def add(self, update: ThreadItemUpdate) -> None:
        """Adds an update.

        Raises:
            InvalidEventError: The update does not fit the item, which stays as it was.
        """
        take = self._takes.get(update.type)
        if take is None:
            self.refuse(f"is of type {self.type} and takes no update {update.type}")
        take(self, update)

    def append_text(self, text: str) -> list[ThreadItemUpdate]:
        """Appends text to the last part of a message, opening one first if there is none.

        Returns:
            The updates that say the same; they have been added.

        Raises:
            InvalidEventError: The item is no assistant message.
        """
        self.refuse(f"is of type {self.type} and takes no text_delta")

    def item(self) -> ThreadItem:
        """Returns the item as it is now, an object of its own."""
        return self._item.model_copy(deep=True)

    def refuse(self, reason: str) -> NoReturn:
        """Raises the error of an update that does not fit."""
        raise InvalidEventError(f"Item {self.id} {reason}.")

    def check_index(self, name: str, index: int, end: int) -> None:
        """Raises InvalidEventError unless the index is from 0 to ``end``."""
        if not 0 <= index <= end:
            self.refuse(f"takes no {name} {index}: it must be from 0 to {end}")
