"""Entries of a store in memory, in the order in which they were added."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from chatkit.store import _records as records

if TYPE_CHECKING:
    from chatkit.types import ThreadItem

__all__ = ["AttachmentEntry", "EntrySequence", "ThreadEntry", "change_entry"]

T = TypeVar("T")


@dataclass(slots=True)
class AttachmentEntry:
    """The record of an attachment, as JSON, and what is known of its file."""

    data: str
    thread_id: str | None
    created_at: float
    size: int = 0
    group: str | None = None


class EntrySequence(Generic[T]):
    """Entries by id in the order in which they were added; pages are found by bisection."""

    def __init__(self) -> None:
        self._last = 0
        self._numbers: list[int] = []
        self._entries: dict[int, tuple[str, T]] = {}
        self._number_of: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, key: str) -> bool:
        return key in self._number_of

    def get(self, key: str) -> T | None:
        number = self._number_of.get(key)
        return None if number is None else self._entries[number][1]

    def put(self, key: str, entry: T) -> None:
        number = self._number_of.get(key)
        if number is None:
            self._last += 1
            number = self._number_of[key] = self._last
            self._numbers.append(number)
        self._entries[number] = (key, entry)

    def remove(self, key: str) -> None:
        number = self._number_of.pop(key, None)
        if number is not None:
            del self._numbers[bisect_left(self._numbers, number)]
            del self._entries[number]

    def truncate_after(self, key: str) -> None:
        later = bisect_right(self._numbers, self._number_of[key])
        for number in self._numbers[later:]:
            del self._number_of[self._entries.pop(number)[0]]
        del self._numbers[later:]

    def page(self, after: str | None, count: int, *, ascending: bool) -> list[T]:
        if ascending:
            start = 0 if after is None else bisect_right(self._numbers, self._number_of[after])
            numbers = self._numbers[start : start + count]
        else:
            end = len(self._numbers) if after is None else bisect_left(self._numbers, self._number_of[after])
            numbers = self._numbers[max(0, end - count) : end][::-1]
        return [self._entries[number][1] for number in numbers]


@dataclass(slots=True)
class ThreadEntry:
    """A thread: its fields as JSON, and its items."""

    data: str
    items: EntrySequence[str] = field(default_factory=EntrySequence[str])

    def newest_message(self) -> str | None:
        """Returns the id of the user message that was added last."""
        items = map(json.loads, self.items.page(None, len(self.items), ascending=False))
        return next((item["id"] for item in items if item["type"] == "user_message"), None)


def change_entry(items: EntrySequence[str], thread_id: str, before: ThreadItem, after: ThreadItem) -> None:
    """Puts an item in the place of what was loaded before, if that is still what is stored.

    Args:
        items: The items of the thread.
        thread_id: The thread.
        before: The item as it was loaded.
        after: The item as it is to be.

    Raises:
        ConflictError: The item was changed meanwhile.
        NotFoundError: There is none any more.
    """
    stored = items.get(before.id)
    if stored is None:
        records.no_item(thread_id, before.id)
    records.check_unchanged(stored, records.dump_model(before), thread_id, before.id)
    items.put(before.id, records.dump_model(after))
