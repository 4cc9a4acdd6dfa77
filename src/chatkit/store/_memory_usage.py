"""Usage, and the bounds of files, in memory."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from threading import Lock
from typing import Any, TypeVar

from chatkit.quotas import Quota
from chatkit.store import _records as records
from chatkit.store._memory_entries import AttachmentEntry
from chatkit.store._usage_rows import exceeded
from chatkit.store.usage import BoundedFiles, UsageKeeper
from chatkit.types import Attachment
from chatkit.usage import UsageRecord, UsageTotal

__all__ = ["MemoryUsage"]

TContext = TypeVar("TContext")


class MemoryUsage(UsageKeeper[TContext], BoundedFiles[TContext]):
    """The part of a store in memory that keeps usage, and bounds files."""

    _lock: Lock
    _tenants: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self._usage: dict[tuple[str, str, str], UsageRecord] = {}
        self._usage_lock = Lock()

    @abstractmethod
    def owner(self, context: TContext) -> str:
        """Returns the owner of a context."""

    @abstractmethod
    def _fenced(self, owner: str) -> Any:
        """Returns what an owner has, if it may be written."""

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
        owner, data = self.owner(context), records.dump_model(attachment)
        with self._lock:
            tenant = self._fenced(owner)
            files: dict[str, AttachmentEntry] = tenant.attachments
            if size is None:
                size = files[copy_of].size if copy_of in files else 0
            tenants = self._tenants.values() if quotas and group is not None else ()
            of_group = [
                entry for each in tenants for entry in each.attachments.values() if entry.group == group
            ]
            kept = {"owner": _kept(files.values()), "group": _kept(of_group)}
            quota = exceeded(quotas, size, kept if group is not None else {"owner": kept["owner"]})
            if quota is None:
                files[attachment.id] = AttachmentEntry(data, attachment.thread_id, time.time(), size, group)
                self._tenants[owner] = tenant
        return quota

    async def add_usage(self, record: UsageRecord, context: TContext) -> bool:
        key = (self.owner(context), record.turn_id, record.step)
        with self._usage_lock:
            return self._usage.setdefault(key, record) is record

    async def sum_usage(self, since: datetime, until: datetime, context: TContext) -> list[UsageTotal]:
        owner = self.owner(context)
        return self._totals(since, until, lambda other: other == owner)

    async def survey_usage(self, since: datetime, until: datetime) -> list[UsageTotal]:
        return self._totals(since, until, lambda _: True)

    def usage_of(self, owner: str) -> list[UsageRecord]:
        """Returns the records of an owner."""
        with self._usage_lock:
            return [record for key, record in self._usage.items() if key[0] == owner]

    def forget_usage(self, owner: str, *, only_count: bool = False) -> int:
        """Forgets, or only counts, the records of an owner."""
        with self._usage_lock:
            doomed = [key for key in self._usage if key[0] == owner]
            for key in () if only_count else doomed:
                del self._usage[key]
        return len(doomed)

    async def delete_usage(self, before: datetime) -> int:
        with self._usage_lock:
            kept = {key: record for key, record in self._usage.items() if record.created_at >= before}
            deleted, self._usage = len(self._usage) - len(kept), kept
        return deleted

    def _totals(self, since: datetime, until: datetime, counts: Callable[[str], bool]) -> list[UsageTotal]:
        found: dict[tuple[str, str, str | None, str], list[UsageRecord]] = {}
        with self._usage_lock:
            for (owner, _, _), record in self._usage.items():
                if counts(owner) and since <= record.created_at < until:
                    day = record.created_at.astimezone(UTC).date().isoformat()
                    found.setdefault((day, owner, record.group, record.usage.model), []).append(record)
        return [_total(owner, records) for (_, owner, _, _), records in sorted(found.items(), key=_place)]


def _kept(files: Iterable[AttachmentEntry]) -> tuple[int, int]:
    """Returns the bytes that files have, and how many of them no message has come for."""
    found = [(entry.size, entry.thread_id is None) for entry in files]
    return sum(size for size, _ in found), sum(unclaimed for _, unclaimed in found)


def _place(entry: tuple[tuple[str, str, str | None, str], object]) -> tuple[str, str, str, str]:
    day, owner, group, model = entry[0]
    return day, owner, group or "", model


def _total(owner: str, records: list[UsageRecord]) -> UsageTotal:
    usages, costs = [record.usage for record in records], [record.cost for record in records]
    return UsageTotal(
        owner=owner,
        group=records[0].group,
        model=usages[0].model,
        day=records[0].created_at.astimezone(UTC).date(),
        calls=len(records),
        input_tokens=sum(usage.input_tokens for usage in usages),
        cached_tokens=sum(usage.cached_tokens for usage in usages),
        output_tokens=sum(usage.output_tokens for usage in usages),
        reasoning_tokens=sum(usage.reasoning_tokens for usage in usages),
        cost=sum((cost for cost in costs if cost is not None), Decimal(0)),
        unpriced=costs.count(None),
    )
