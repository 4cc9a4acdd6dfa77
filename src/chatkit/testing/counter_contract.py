"""The contract suite of counters."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Final

from chatkit.counters import Count, Counter
from chatkit.ids import new_id

__all__ = ["CounterContract"]

_LONG: Final = 3_600.0
_SHORT: Final = 0.05
_PATIENCE: Final = 20.0


class CounterContract(ABC):
    """The tests of a counter: subclass it with ``make_counter`` and run it with pytest.

    Attributes:
        shared: Whether several workers count together; what only those can do is skipped otherwise.
    """

    shared: bool = True

    @abstractmethod
    def make_counter(self) -> Counter:
        """Returns a counter; called outside any event loop. Each of a shared counter's plays a worker of its own."""

    def _run(self, scenario: Callable[..., Awaitable[None]], workers: int = 1) -> None:
        counters = [self.make_counter() for _ in range(workers)]

        async def main() -> None:
            try:
                await scenario(*counters)
            finally:
                for counter in counters:
                    await counter.close()

        asyncio.run(main())

    def test_uses_are_added_up_by_key(self) -> None:
        async def scenario(counter: Counter) -> None:
            first, second = new_id("a"), new_id("b")
            totals = [await counter.take(first, window=_LONG) for _ in range(3)]
            assert [count.total for count in totals] == [1, 2, 3]
            assert (await counter.take(second, 40, window=_LONG)).total == 40
            assert (await counter.take(second, 2, window=_LONG)).total == 42
            assert (await counter.take(first, window=_LONG)).total == 4

        self._run(scenario)

    def test_a_use_beyond_the_limit_is_not_taken_and_changes_nothing(self) -> None:
        async def scenario(counter: Counter) -> None:
            key = new_id("a")
            assert (await counter.take(key, 8, window=_LONG, limit=10)).taken
            refused = await counter.take(key, 3, window=_LONG, limit=10)
            assert (refused.total, refused.taken) == (8, False)
            assert 0 < refused.seconds < _LONG + 1
            # What still fits is taken.
            fits = await counter.take(key, 2, window=_LONG, limit=10)
            assert (fits.total, fits.taken) == (10, True)
            assert not (await counter.take(key, window=_LONG, limit=10)).taken
            # Another limit, or none, counts the same window.
            assert (await counter.take(key, window=_LONG, limit=11)).total == 11
            assert (await counter.take(key, 5, window=_LONG)).total == 16

        self._run(scenario)

    def test_a_first_use_beyond_the_limit_is_not_taken(self) -> None:
        async def scenario(counter: Counter) -> None:
            key = new_id("a")
            refused = await counter.take(key, 11, window=_LONG, limit=10)
            assert (refused.total, refused.taken) == (0, False)
            assert (await counter.take(key, 10, window=_LONG, limit=10)).taken

        self._run(scenario)

    def test_nothing_asks_for_the_total(self) -> None:
        async def scenario(counter: Counter) -> None:
            key = new_id("a")
            assert (await counter.take(key, 0, window=_LONG)).total == 0
            await counter.take(key, 7, window=_LONG)
            assert (await counter.take(key, 0, window=_LONG, limit=7)).taken
            assert (await counter.take(key, 0, window=_LONG)).total == 7

        self._run(scenario)

    def test_a_window_ends_and_another_one_begins(self) -> None:
        async def scenario(counter: Counter) -> None:
            key = new_id("a")
            assert (await counter.take(key, window=_SHORT, limit=1)).taken

            async def until_taken() -> Count:
                while not (count := await counter.take(key, window=_LONG, limit=1)).taken:
                    assert count.seconds < _SHORT + 1
                    await asyncio.sleep(count.seconds)
                return count

            async with asyncio.timeout(_PATIENCE):
                again = await until_taken()
            assert again.total == 1
            assert _LONG - _PATIENCE < again.seconds < _LONG + 1

        self._run(scenario)

    def test_a_later_use_does_not_move_the_end_of_the_window(self) -> None:
        async def scenario(counter: Counter) -> None:
            key = new_id("a")
            first = await counter.take(key, window=_LONG)
            second = await counter.take(key, window=10 * _LONG)
            assert second.seconds < first.seconds + 1

        self._run(scenario)

    def test_of_many_at_once_no_more_than_the_limit_are_taken(self) -> None:
        async def scenario(*counters: Counter) -> None:
            key = new_id("a")
            uses = (counter.take(key, window=_LONG, limit=10) for counter in counters for _ in range(15))
            counts = await asyncio.gather(*uses)
            assert sum(count.taken for count in counts) == 10
            assert max(count.total for count in counts) == 10

        self._run(scenario, workers=2 if self.shared else 1)

    def test_what_is_reserved_counts_until_it_is_settled(self) -> None:
        async def scenario(counter: Counter) -> None:
            key = new_id("a")
            count = await self._reserve(counter, key, "one", 60)
            assert (count.total, count.taken) == (60, True)
            refused = await self._reserve(counter, key, "two", 41)
            assert (refused.total, refused.taken) == (60, False)
            assert (await self._reserve(counter, key, "two", 40)).taken
            await counter.settle(key, "one", 60, 25, window=_LONG)
            assert (await counter.take(key, 0, window=_LONG)).total == 65
            await counter.settle(key, "two", 40, 0, window=_LONG)
            assert (await counter.take(key, 0, window=_LONG)).total == 25
            # More than was reserved counts, too.
            await self._reserve(counter, key, "three", 10)
            await counter.settle(key, "three", 10, 90, window=_LONG)
            assert (await counter.take(key, 0, window=_LONG)).total == 115

        self._run(scenario)

    def test_nothing_is_reserved_to_ask_for_room(self) -> None:
        async def scenario(counter: Counter) -> None:
            key = new_id("a")
            for _ in range(2):
                assert (await self._reserve(counter, key, "", 0, limit=99)).taken
            await counter.take(key, 100, window=_LONG)
            assert not (await self._reserve(counter, key, "", 0, limit=99)).taken

        self._run(scenario)

    def test_what_was_reserved_in_a_window_is_not_settled_in_the_next_one(self) -> None:
        async def scenario(counter: Counter) -> None:
            key = new_id("a")
            await counter.reserve(key, "one", 80, window=_SHORT, limit=100, lease=_LONG)
            async with asyncio.timeout(_PATIENCE):
                while (count := await counter.take(key, 0, window=_LONG)).total:
                    assert count.total == 80
                    await asyncio.sleep(count.seconds)
            await counter.settle(key, "one", 80, 70, window=0.0)
            assert (await self._reserve(counter, key, "one", 100)).total == 100

        self._run(scenario)

    def test_what_is_reserved_again_under_its_name_counts_once(self) -> None:
        self._need_names()

        async def scenario(counter: Counter) -> None:
            key = new_id("a")
            assert (await self._reserve(counter, key, "one", 60)).total == 60
            assert (await self._reserve(counter, key, "one", 70)).total == 70
            # Refused, it leaves the earlier one.
            assert not (await self._reserve(counter, key, "one", 101)).taken
            assert (await self._reserve(counter, key, "two", 30)).total == 100
            await counter.settle(key, "one", 70, 5, window=_LONG)
            assert (await counter.take(key, 0, window=_LONG)).total == 35

        self._run(scenario)

    def test_what_a_dead_worker_had_reserved_is_given_back_and_what_is_renewed_is_not(self) -> None:
        self._need_names()

        async def scenario(counter: Counter) -> None:
            key = new_id("a")
            await self._reserve(counter, key, "dead", 50, lease=_SHORT)
            await self._reserve(counter, key, "alive", 10, lease=_SHORT)
            await counter.renew(key, "alive", lease=_LONG)

            async def until_given_back() -> Count:
                while not (count := await self._reserve(counter, key, "new", 90)).taken:
                    assert count.total in {10, 60}
                    await asyncio.sleep(_SHORT)
                return count

            async with asyncio.timeout(_PATIENCE):
                assert (await until_given_back()).total == 100
            # It was not dead after all: what it has used counts, but not what it had reserved.
            await counter.settle(key, "dead", 50, 7, window=_LONG)
            await counter.settle(key, "alive", 10, 4, window=_LONG)
            assert (await counter.take(key, 0, window=_LONG)).total == 101

        self._run(scenario)

    def test_of_many_reserved_at_once_no_more_than_the_limit_are_taken(self) -> None:
        async def scenario(*counters: Counter) -> None:
            key = new_id("a")

            async def reserve(counter: Counter, name: str) -> bool:
                taken = (await self._reserve(counter, key, name, 10)).taken
                if taken:
                    await asyncio.sleep(0)
                    await counter.settle(key, name, 10, 10, window=_LONG)
                return taken

            uses = (reserve(counter, new_id("n")) for counter in counters for _ in range(12))
            assert sum(await asyncio.gather(*uses)) == 10
            assert (await counters[0].take(key, 0, window=_LONG)).total == 100

        self._run(scenario, workers=2 if self.shared else 1)

    def _need_names(self) -> None:
        if type(self.make_counter()).reserve is Counter.reserve:
            import pytest

            pytest.skip("this counter reserves by take() alone")

    async def _reserve(
        self, counter: Counter, key: str, name: str, amount: int, *, limit: int = 100, lease: float = _LONG
    ) -> Count:
        return await counter.reserve(key, name, amount, window=_LONG, limit=limit, lease=lease)

    def test_windows_that_are_over_are_forgotten(self) -> None:
        """Not seen from outside; what is seen is that thousands of keys leave the others right."""

        async def scenario(counter: Counter) -> None:
            kept = new_id("a")
            await counter.take(kept, 3, window=_LONG)
            for _ in range(50):
                await counter.take(new_id("b"), window=0.001)
            assert (await counter.take(kept, window=_LONG)).total == 4

        self._run(scenario)

    def test_it_can_be_checked_and_used_after_it_was_closed(self) -> None:
        async def scenario(counter: Counter) -> None:
            await counter.check()
            await counter.close()
            assert (await counter.take(new_id("a"), window=_LONG)).total == 1

        self._run(scenario)

    def test_it_says_whether_workers_share_it(self) -> None:
        assert self.make_counter().shared is self.shared
