"""The databases that hold data of owners, and what personal data work asks of each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from chatkit.personal_data.registry import TABLES, Table

__all__ = [
    "AgingPlace",
    "ErasureState",
    "IdleThread",
    "Place",
    "Row",
    "RunningTurn",
    "StorePlace",
    "tables_of",
]


Row: TypeAlias = Mapping[str, Any]
"""A row by the names of its columns."""


@dataclass(frozen=True, slots=True)
class ErasureState:
    """How far an erasure is.

    Attributes:
        id: Its id.
        state: ``running``, ``cleaning`` (nothing of the owner is left but what the database has not overwritten), or
            ``ended``.
        begun_at: When it began.
        ended_at: When nothing was left.
        counts: What was erased, by table and kind.
    """

    id: str
    state: str
    begun_at: datetime
    ended_at: datetime | None
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class RunningTurn:
    """A turn that has not ended; ``lapsed`` is whether its worker has not renewed its lease in the store."""

    turn_id: str
    lapsed: bool


@dataclass(frozen=True, slots=True)
class IdleThread:
    """A thread in which nothing was saved for long; the place is the cursor of the next page."""

    owner: str
    thread_id: str
    last_activity: datetime
    place: Any


class Place(ABC):
    """A database. Every method raises :class:`chatkit.errors.StoreError` when it cannot be used."""

    kind: str
    """``sqlite``, ``postgres``, ``redis`` or ``memory``."""
    name: str
    """As messages may show it."""

    @abstractmethod
    async def count(self, owner: str) -> dict[str, int]:
        """Returns how much there is of an owner, by table or kind, without what there is none of."""

    @abstractmethod
    def rows(self, owner: str) -> AsyncIterator[tuple[str, Row]]:
        """Yields what export has as rows: the table, and a row of it whose values are JSON's."""

    @abstractmethod
    async def begin_erasure(
        self, owner: str, erasure_id: str, turn_ids: frozenset[str] = frozenset()
    ) -> ErasureState:
        """Refuses what would be added of an owner from now on, and returns the erasure, the one under way if any.

        Args:
            owner: The owner.
            erasure_id: Of a new one.
            turn_ids: Turns of the owner that another database knows of.
        """

    @abstractmethod
    async def erase(self, owner: str, erasure_id: str) -> AsyncIterator[int]:
        """Deletes what is kept of an owner, counting it in the same transaction; yields after each piece."""
        yield 0

    @abstractmethod
    async def end_erasure(self, erasure_id: str, state: str, more: Mapping[str, int] | None = None) -> None:
        """Forgets whose an erasure is, and adds what was erased in other places."""

    @abstractmethod
    async def clean(self, how: str) -> list[str]:
        """Has the database overwrite what was deleted; returns in sentences what it could not."""

    @abstractmethod
    async def running_turns(self, owner: str) -> list[RunningTurn]:
        """Returns the turns of an owner that have not ended, as this database knows."""


class StorePlace(Place):
    """Where a store keeps its data, and how far erasures are."""

    @abstractmethod
    def usage(self, owner: str) -> AsyncIterator[Row]:
        """Yields an owner's records of usage."""

    @abstractmethod
    async def attachments(self, owner: str, after: str) -> list[tuple[str, int, str | None]]:
        """Returns a page of an owner's attachments after an id: ids, sizes and groups of their files."""

    @abstractmethod
    async def has_attachment_of_others(self, owner: str, attachment_id: str) -> bool:
        """Returns whether another owner has an attachment of that id, as far as the place knows: files go by the id."""

    @abstractmethod
    async def find_erasure(
        self, erasure_id: str | None = None, owner: str | None = None
    ) -> ErasureState | None:
        """Returns an erasure by its id, or that of an owner; else the oldest one that is not cleaned up after."""

    @abstractmethod
    async def last_erasure(self) -> ErasureState | None:
        """Returns the erasure that ended last."""

    @abstractmethod
    async def erase_attachment(self, owner: str, attachment_id: str, erasure_id: str) -> None:
        """Deletes the record of an attachment whose file is deleted, and counts both."""

    @abstractmethod
    async def add_counts(self, erasure_id: str, more: Mapping[str, int]) -> None:
        """Counts what was erased in another way."""

    @abstractmethod
    async def turn_ids(self, owner: str) -> frozenset[str]:
        """Returns the ids of an owner's turns of the last day."""


class AgingPlace(StorePlace):
    """A database whose old threads can be found and deleted in one transaction, with the tables of the registry."""

    async def rows(self, owner: str) -> AsyncIterator[tuple[str, Row]]:
        for table in tables_of(self.kind):
            if table.exported == "rows":
                async for row in self._rows_of(table, owner):
                    yield table.name, row

    async def usage(self, owner: str) -> AsyncIterator[Row]:
        table = next(table for table in TABLES if table.name == "usage")
        async for row in self._rows_of(table, owner):
            yield row

    @abstractmethod
    def _rows_of(self, table: Table, owner: str) -> AsyncIterator[Row]:
        """Yields an owner's rows of a table, page by page."""

    @abstractmethod
    async def take_lease(self, name: str, holder: str, seconds: float) -> bool:
        """Takes or renews a lease; returns whether it is the holder's."""

    @abstractmethod
    async def release_lease(self, name: str, holder: str) -> None:
        """Gives a lease back."""

    @abstractmethod
    async def idle_threads(self, before: datetime, after: Any, limit: int) -> list[IdleThread]:
        """Returns a page of all owners' threads that were not saved since a moment, and in which nothing runs."""

    @abstractmethod
    async def delete_idle_thread(self, found: IdleThread, before: datetime) -> list[str] | None:
        """Deletes a thread unless something happened in it; returns its attachments, which no message has from now on.

        Their records stay, as if no message had come for them, until their files are deleted; None where the thread
        stays.
        """


def tables_of(kind: str) -> list[Table]:
    """Returns the tables of a kind of database that hold data of persons, in the order of erasure."""
    return [table for table in TABLES if table.where is not None and table.only in {None, kind}]
