"""Budgets are the quotas of tokens and of their cost: what a call of a model uses at most is reserved before it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chatkit.errors import StoreUnavailableError
from chatkit.quotas import BUDGETS, Quota, Use, bounding, counter_key, exceeded

if TYPE_CHECKING:
    from chatkit.counters import Counter

__all__ = ["Reserved", "check_budgets", "count_used", "reserve"]


async def check_budgets(quotas: Sequence[Quota], counter: Counter, owners: Mapping[str, str | None]) -> None:
    """Raises QuotaExceededError where nothing is left of a budget; reserves nothing.

    Args:
        quotas: What may be used.
        counter: Counts.
        owners: The owner and the group, by the names that ``Quota.by`` has; None is not bounded.
    """
    for quota, whose in bounding(quotas, BUDGETS, owners):
        if not quota.units:
            raise exceeded(quota, 1, 0.0)
        count = await counter.reserve(
            counter_key(quota, whose), "", 0, window=quota.seconds, limit=quota.units - 1, lease=0.0
        )
        if not count.taken:
            raise exceeded(quota, 0, count.seconds)


@dataclass(frozen=True, slots=True)
class Reserved:
    """What is reserved of one budget.

    Attributes:
        what: What it is a budget of.
        key: The key of the counter.
        amount: How much is reserved.
        ends_at: When the budget's window ends, by ``time.monotonic``.
    """

    what: Use
    key: str
    amount: int
    ends_at: float

    async def settle(self, counter: Counter, name: str, used: int) -> None:
        """Counts what was used in its place.

        Args:
            counter: The counter.
            name: The name under which it is reserved.
            used: How much was used.
        """
        left = self.ends_at - time.monotonic()
        await counter.settle(self.key, name, self.amount, used, window=max(left, 0.0))


async def reserve(
    quotas: Sequence[Quota],
    counter: Counter,
    most: Mapping[Use, int],
    owners: Mapping[str, str | None],
    *,
    name: str,
    lease: float,
) -> list[Reserved]:
    """Reserves what a call uses at most, of all budgets or of none.

    Args:
        quotas: What may be used.
        counter: Counts.
        most: How much is used at most, by the kind of budget; a cost in billionths.
        owners: The owner and the group, by the names that ``Quota.by`` has; None is not bounded.
        name: Of the call; reserved again under it, as by another attempt of its turn, it counts once.
        lease: Seconds after which it is given back, unless it is renewed.

    Raises:
        QuotaExceededError: A budget has not as much left; nothing is reserved.
        StoreUnavailableError: The counter cannot be reached.
    """
    held: list[Reserved] = []
    try:
        for quota, whose in bounding(quotas, BUDGETS, owners):
            key, amount = counter_key(quota, whose), most[quota.what]
            count = await counter.reserve(
                key, name, amount, window=quota.seconds, limit=quota.units, lease=lease
            )
            if not count.taken:
                raise exceeded(quota, amount, count.seconds)
            held.append(Reserved(quota.what, key, amount, time.monotonic() + count.seconds))
    except BaseException:
        for each in held:
            with suppress(StoreUnavailableError):
                await each.settle(counter, name, 0)
        raise
    return held


async def count_used(
    quotas: Sequence[Quota], counter: Counter, used: Mapping[Use, int], owners: Mapping[str, str | None]
) -> None:
    """Counts what was used and nothing was reserved for, also beyond what a budget has.

    Args:
        quotas: What may be used.
        counter: Counts.
        used: How much was used, by the kind of budget; a cost in billionths.
        owners: The owner and the group, by the names that ``Quota.by`` has; None is not bounded.

    Raises:
        StoreUnavailableError: The counter cannot be reached.
    """
    for quota, whose in bounding(quotas, BUDGETS, owners):
        if used[quota.what]:
            await counter.take(counter_key(quota, whose), used[quota.what], window=quota.seconds)
