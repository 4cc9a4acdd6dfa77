"""The port of stores that tell an operator what they keep, without what is said in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime

__all__ = ["OpenTurn", "OwnerSummary", "StoreSurvey", "ThreadSummary"]


@dataclass(frozen=True, slots=True)
class OwnerSummary:
    """What is kept of an owner.

    Attributes:
        owner: The owner.
        threads: How many threads there are.
        items: How many items those have.
        files: How many attachments are recorded.
        file_bytes: The bytes of their files, as far as they are known.
        last_active_at: When a thread was saved, or an item made, for the last time.
    """

    owner: str
    threads: int
    items: int
    files: int
    file_bytes: int
    last_active_at: datetime | None


@dataclass(frozen=True, slots=True)
class ThreadSummary:
    """What is kept of a thread.

    Attributes:
        id: The thread.
        created_at: When it was made.
        updated_at: When it was saved, or an item of it made, for the last time.
        items: How many items it has.
        files: How many attachments are recorded for it.
    """

    id: str
    created_at: datetime
    updated_at: datetime
    items: int
    files: int


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """A turn whose end the store has not seen.

    Attributes:
        owner: The owner.
        turn_id: The turn.
        thread_id: Its thread.
        status: ``"waiting"`` for others of its thread, or ``"begun"``.
        opened: Whether its worker has opened it in the stream log, which knows since then whether the worker lives.
        claimed: Whether another worker than the one that accepted it has taken it over.
        lease_until: When its lease ends, or has ended: of a turn that is not opened, or where no log is shared.
    """

    owner: str
    turn_id: str
    thread_id: str
    status: str
    opened: bool
    claimed: bool
    lease_until: datetime


class StoreSurvey(ABC):
    """Tells what is kept of all owners: an operator's view, which takes no context and shows nothing that is said.

    A store implements it, beside :class:`chatkit.store.Store`, for ``chatkit admin``. Pages are of bounded size; what
    is asked for one costs as much as what is kept of those who are on it.
    """

    @abstractmethod
    async def survey_owners(self, limit: int, after: str | None = None) -> list[OwnerSummary]:
        """Returns owners in the order of their names.

        Args:
            limit: How many at most.
            after: The owner after whom they begin.
        """

    @abstractmethod
    async def survey_owner(self, owner: str, limit: int, after: str | None = None) -> list[ThreadSummary]:
        """Returns an owner's threads, the newest first.

        Args:
            owner: The owner.
            limit: How many at most.
            after: The thread after which they begin.

        Raises:
            NotFoundError: The owner has no thread ``after``.
        """

    @abstractmethod
    async def owners_of_thread(self, thread_id: str) -> list[str]:
        """Returns whose a thread is; ids are unique within an owner only, so that there may be several."""

    @abstractmethod
    async def survey_turns(self, limit: int, after: OpenTurn | None = None) -> list[OpenTurn]:
        """Returns turns of all owners whose end the store has not seen, by owner and id.

        Args:
            limit: How many at most.
            after: The turn after which they begin.
        """
