"""The port of audit logs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from chatkit.audit.entries import Actor, AuditEntry, AuditEvent, AuditKind, AuditRow, Head, load_entry
from chatkit.errors import InvalidRequestError, StoreError

__all__ = ["EVERYTHING", "TRIM_BATCH", "AuditFilter", "AuditLog", "Trimmed"]

TRIM_BATCH: Final = 5000
"""Entries that one transaction deletes."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are wanted; None stands for all.

    Attributes:
        kind: Of this kind.
        owner: About this owner's data, by the pseudonym: see :meth:`AuditLog.pseudonym`.
        actor: By an actor of this name.
        since: Recorded at this moment or later.
        until: Recorded before this moment.
    """

    kind: str | None = None
    owner: str | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None


EVERYTHING: Final = AuditFilter()


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What :meth:`AuditLog.trim` did.

    Attributes:
        count: How many entries were deleted.
        entry: The entry that says so; None if there was nothing to delete.
    """

    count: int
    entry: AuditEntry | None = None


class AuditLog(ABC):
    """Appends entries to a chain: each has the hash of the one before in it, over all processes that append.

    Nothing is changed, and nothing is deleted but by :meth:`trim`. Every method raises
    :class:`chatkit.errors.StoreUnavailableError` when the log cannot be reached.
    """

    @property
    def shared(self) -> bool:
        """Whether several processes append to the same chain, True by default."""
        return True

    async def record(self, event: AuditEvent, *, unless_same: bool = False) -> AuditEntry | None:
        """Appends an entry, and returns it once it is stored.

        What must not happen without an entry is done after this has returned.

        Args:
            event: What happened.
            unless_same: Appends nothing, and returns None, where the last entry of this kind has the same details.

        Raises:
            InvalidRequestError: The event is of the kind that :meth:`trim` appends.
        """
        if event.kind == AuditKind.AUDIT_TRIMMED:
            raise InvalidRequestError("trim() records by itself what it deletes.")
        row = await self._append(event, unless_same=unless_same)
        return None if row is None else load_entry(row)

    async def entries(
        self,
        matching: AuditFilter = EVERYTHING,
        *,
        limit: int = 100,
        after: int | None = None,
        newest_first: bool = False,
    ) -> list[AuditEntry]:
        """Returns entries by their numbers.

        Args:
            matching: Which ones.
            limit: How many at most.
            after: The number after which they begin, in the asked order; None begins at the end.
            newest_first: The order.

        Raises:
            StoreError: One of them was changed and cannot be read.
        """
        found: list[AuditEntry] = []
        for row in await self.rows(matching, limit=limit, after=after, newest_first=newest_first):
            try:
                found.append(load_entry(row))
            except ValueError as error:
                raise StoreError(
                    f"Entry {row.number} of the audit log was changed: {error}. 'chatkit audit verify' says more."
                ) from error
        return found

    async def trim(self, before: datetime, actor: Actor, reason: str) -> Trimmed:
        """Deletes entries that are older than a moment, and records up to which one, with its hash.

        So what is left can still be verified. It goes on with what an earlier call could not finish.

        Args:
            before: The first moment that stays; an entry after one that stays does so, too.
            actor: Who wants that.
            reason: Why.
        """
        last = await self._last_before(before)
        row = None
        if last is not None:
            details = {"through": last.number, "hash": last.hash}
            event = AuditEvent(kind=AuditKind.AUDIT_TRIMMED, actor=actor, reason=reason, details=details)
            row = await self._append(event)
        count = 0
        while deleted := await self._delete_trimmed(TRIM_BATCH):
            count += deleted
        return Trimmed(count, None if row is None else load_entry(row))

    @abstractmethod
    async def rows(
        self,
        matching: AuditFilter = EVERYTHING,
        *,
        limit: int = 100,
        after: int | None = None,
        newest_first: bool = False,
    ) -> Sequence[AuditRow]:
        """Returns entries as they are stored, unchecked.

        Args:
            matching: Which ones.
            limit: How many at most.
            after: The number after which they begin, in the asked order; None begins at the end.
            newest_first: The order.
        """

    @abstractmethod
    async def head(self) -> Head | None:
        """Returns the end of the chain, None if there is no entry."""

    @abstractmethod
    async def pseudonym(self, owner: str) -> str | None:
        """Returns what stands for an owner, None if no entry is about them, or their key was destroyed."""

    @abstractmethod
    async def destroy_key(self, owner: str) -> bool:
        """Destroys an owner's key: nobody can tell any more which entries were about them, and the chain stays.

        An entry that is recorded later gets another pseudonym, with a key of its own.

        Returns:
            Whether there was one.
        """

    @abstractmethod
    async def close(self) -> None:
        """Releases what the log holds alone; it opens that again when it is used."""

    @abstractmethod
    async def _append(self, event: AuditEvent, *, unless_same: bool = False) -> AuditRow | None: ...

    @abstractmethod
    async def _last_before(self, before: datetime) -> Head | None:
        """Returns the last of the entries at the beginning that are older than a moment; None if there is none."""

    @abstractmethod
    async def _delete_trimmed(self, limit: int) -> int:
        """Deletes entries that an entry says are trimmed, the oldest first, and returns how many."""
