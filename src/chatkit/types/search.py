"""What a search of threads finds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from chatkit.types.base import Model, UTCDateTime
from chatkit.types.threads import Page, ThreadMetadata

__all__ = ["FoundItem", "FoundThread", "SearchPage"]


class FoundItem(Model):
    """An item that was found.

    Attributes:
        id: The item.
        type: Its type.
        created_at: When it was made, UTC.
        text: The piece of its text around what was found, on one line.
        ranges: Where in ``text`` that is: pairs of the first character and the one after the last, counted in Unicode
            characters (code points, not the units of UTF-16).
    """

    id: str
    type: Literal["user_message", "assistant_message"]
    created_at: UTCDateTime
    text: str
    ranges: list[tuple[int, int]]


class FoundThread(Model):
    """A thread that was found, by its title or by some of its items.

    Attributes:
        thread: The thread.
        title_ranges: Where in its title what was searched for is, as in ``FoundItem.ranges``; empty where it is not.
        items: The items that answer best, three at most.
        item_count: How many items were found in it, among those that were ranked.
    """

    thread: ThreadMetadata
    title_ranges: list[tuple[int, int]] = Field(default_factory=list[tuple[int, int]])
    items: list[FoundItem] = Field(default_factory=list[FoundItem])
    item_count: int = 0


class SearchPage(Page[FoundThread]):
    """A page of the threads that were found, the best first.

    Attributes:
        complete: False while texts that an earlier version of the server stored are still being indexed.
    """

    complete: bool = True
