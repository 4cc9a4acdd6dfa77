"""The ports of stores that keep what calls of models have used, and that bound the files of owners."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Generic, TypeVar

from chatkit.quotas import Quota
from chatkit.types import Attachment
from chatkit.usage import UsageRecord, UsageTotal

__all__ = ["BoundedFiles", "UsageKeeper"]

TContext = TypeVar("TContext")


class UsageKeeper(ABC, Generic[TContext]):
    """Keeps usage by owner, turn and step. A store that implements it, beside :class:`chatkit.store.Store`, gets it."""

    @abstractmethod
    async def add_usage(self, record: UsageRecord, context: TContext) -> bool:
        """Keeps what a step has used, and returns True; False where that step of the turn was recorded before.

        What was recorded first stays. It outlives the thread, and no right to write is asked for: the model was called.

        Args:
            record: What was used.
            context: The request's context, which names the owner.
        """

    @abstractmethod
    async def sum_usage(self, since: datetime, until: datetime, context: TContext) -> list[UsageTotal]:
        """Returns what an owner has used, by day, group and model, oldest first.

        Args:
            since: The first moment that counts.
            until: The first moment after it that does not.
            context: The request's context, which names the owner.
        """

    @abstractmethod
    async def survey_usage(self, since: datetime, until: datetime) -> list[UsageTotal]:
        """Returns what all owners have used, as ``sum_usage`` does; for an operator's work, no request of a user.

        Args:
            since: The first moment that counts.
            until: The first moment after it that does not.
        """

    @abstractmethod
    async def delete_usage(self, before: datetime) -> int:
        """Deletes what was recorded earlier than a moment, of all owners, and returns how many records there were.

        Args:
            before: The first moment that stays.
        """


class BoundedFiles(ABC, Generic[TContext]):
    """Knows what files owners keep. A store implements it, beside :class:`chatkit.store.Store`, for quotas of them."""

    @abstractmethod
    async def add_attachment(
        self,
        attachment: Attachment,
        size: int | None,
        group: str | None,
        quotas: Sequence[Quota],
        context: TContext,
        *,
        copy_of: str | None = None,
    ) -> Quota | None:
        """Saves the record of a new attachment, in one transaction with the look at what there is.

        Args:
            attachment: The record.
            size: Bytes of its file; None for as many as ``copy_of`` has.
            group: The group whose it is, too.
            quotas: Those of ``stored_bytes`` and ``unclaimed_files`` that are to be kept.
            context: The request's context, which names the owner.
            copy_of: The attachment that it is a copy of.

        Returns:
            The quota that it would exceed, and nothing was saved; None if it was saved.
        """
