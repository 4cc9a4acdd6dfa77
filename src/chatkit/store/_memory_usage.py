"""Usage in memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from threading import Lock
from typing import TypeVar

from chatkit.store.usage import UsageKeeper
from chatkit.usage import UsageRecord, UsageTotal

__all__ = ["MemoryUsage"]

TContext = TypeVar("TContext")


class MemoryUsage(UsageKeeper[TContext]):
    """The part of a store in memory that keeps usage."""

    def __init__(self) -> None:
        self._usage: dict[tuple[str, str, str], UsageRecord] = {}
        self._usage_lock = Lock()

    @abstractmethod
    def owner(self, context: TContext) -> str:
        """Returns the owner of a context."""

    async def add_usage(self, record: UsageRecord, context: TContext) -> bool:
        key = (self.owner(context), record.turn_id, record.step)
        with self._usage_lock:
            return self._usage.setdefault(key, record) is record

    async def sum_usage(self, since: datetime, until: datetime, context: TContext) -> list[UsageTotal]:
        owner = self.owner(context)
        return self._totals(since, until, lambda other: other == owner)

    async def survey_usage(self, since: datetime, until: datetime) -> list[UsageTotal]:
        return self._totals(since, until, lambda _: True)

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
