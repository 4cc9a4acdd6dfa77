"""Usage as rows of a database, whose costs are whole billionths, which add up exactly; and the files of an owner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

from chatkit.quotas import Quota
from chatkit.usage import UsageRecord, UsageTotal

__all__ = ["as_cost", "exceeded", "totals", "values_of"]

_PARTS: Final = 10**9


def values_of(record: UsageRecord) -> dict[str, str | int | None]:
    """Returns the columns of a record, but for the owner and the time."""
    usage = record.usage
    return {
        "turn_id": record.turn_id,
        "step": record.step,
        "thread_id": record.thread_id,
        "group_id": record.group,
        "model": usage.model,
        "input_tokens": usage.input_tokens,
        "cached_tokens": usage.cached_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cost": None if record.cost is None else int(record.cost * _PARTS),
    }


def as_cost(parts: int | Decimal | None) -> Decimal:
    """Returns the cost that whole billionths are."""
    return Decimal(int(parts or 0)).scaleb(-9)


def totals(rows: Iterable[tuple[Any, ...]]) -> list[UsageTotal]:
    """Returns the totals that are in the rows of a statement."""
    return [
        UsageTotal(
            owner=owner,
            group=group,
            model=model,
            day=date.fromisoformat(day) if isinstance(day, str) else day,
            calls=calls,
            input_tokens=int(given),
            cached_tokens=int(cached),
            output_tokens=int(made),
            reasoning_tokens=int(reasoned),
            cost=as_cost(cost),
            unpriced=calls - priced,
        )
        for owner, group, model, day, calls, given, cached, made, reasoned, cost, priced in rows
    ]


def exceeded(quotas: Sequence[Quota], size: int, kept: Mapping[str, tuple[int, int]]) -> Quota | None:
    """Returns the quota that one file more would exceed, None if it fits.

    Args:
        quotas: The quotas.
        size: Bytes of the file.
        kept: Bytes that are kept, and files without a message, by the names that ``Quota.by`` has.
    """
    for quota in quotas:
        if quota.by in kept:
            stored, unclaimed = kept[quota.by]
            if (stored + size if quota.what == "stored_bytes" else unclaimed + 1) > quota.units:
                return quota
    return None
