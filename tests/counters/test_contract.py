"""The contract suite of counters itself: each of these is wrong in one way, and a test of the suite says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from chatkit.counters import Count, MemoryCounter
from chatkit.testing import CounterContract


class TakesTooMuch(MemoryCounter):
    async def take(self, key: str, amount: int = 1, *, window: float, limit: int | None = None) -> Count:
        return await super().take(key, amount, window=window, limit=None if limit is None else limit + 1)


class CountsWhatIsRefused(MemoryCounter):
    async def take(self, key: str, amount: int = 1, *, window: float, limit: int | None = None) -> Count:
        count = await super().take(key, amount, window=window)
        return Count(count.total, limit is None or count.total <= limit, count.seconds)


class LooksFirst(MemoryCounter):
    async def take(self, key: str, amount: int = 1, *, window: float, limit: int | None = None) -> Count:
        so_far = await super().take(key, 0, window=window)
        await asyncio.sleep(0)
        if limit is not None and so_far.total + amount > limit:
            return Count(so_far.total, False, so_far.seconds)
        return await super().take(key, amount, window=window)


class OneKey(MemoryCounter):
    async def take(self, key: str, amount: int = 1, *, window: float, limit: int | None = None) -> Count:
        return await super().take("key", amount, window=window, limit=limit)


class NeverEnds(MemoryCounter):
    def __init__(self) -> None:
        super().__init__(lambda: 0.0)


class Slides(MemoryCounter):
    async def take(self, key: str, amount: int = 1, *, window: float, limit: int | None = None) -> Count:
        count = await super().take(key, amount, window=window, limit=limit)
        self._windows[key] = (count.total, self._clock() + window)
        return Count(count.total, count.taken, window)


@pytest.mark.parametrize(
    ("counter", "test"),
    [
        (TakesTooMuch, CounterContract.test_a_use_beyond_the_limit_is_not_taken_and_changes_nothing),
        (TakesTooMuch, CounterContract.test_a_first_use_beyond_the_limit_is_not_taken),
        (CountsWhatIsRefused, CounterContract.test_a_use_beyond_the_limit_is_not_taken_and_changes_nothing),
        (LooksFirst, CounterContract.test_of_many_at_once_no_more_than_the_limit_are_taken),
        (OneKey, CounterContract.test_uses_are_added_up_by_key),
        (NeverEnds, CounterContract.test_a_window_ends_and_another_one_begins),
        (Slides, CounterContract.test_a_later_use_does_not_move_the_end_of_the_window),
    ],
)
def test_a_wrong_counter_fails(
    counter: type[MemoryCounter], test: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from chatkit.testing import counter_contract

    class Suite(CounterContract):
        shared = False

        def make_counter(self) -> MemoryCounter:
            return counter()

    monkeypatch.setattr(counter_contract, "_PATIENCE", 0.3)
    with pytest.raises((AssertionError, TimeoutError)):
        test(Suite())
