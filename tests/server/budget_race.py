"""Calls of models at once over three worker processes, whose owner has a budget: what they spend beyond it.

``python -m tests.server.budget_race 1000`` makes a thousand over SQLite; ``postgresql://...`` and ``redis://...`` after
the number take a server's place. One of the workers dies with what it had reserved.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from chatkit.counters import Counter, RedisCounter
from chatkit.errors import QuotaExceededError, StoreUnavailableError
from chatkit.quotas import Quota
from chatkit.server.turns.budgets import reserve
from chatkit.server.turns.renewal import LEASE_SECONDS
from chatkit.store import MemoryStore, PostgresStore, SQLiteStore, Store
from tests.support.scale import scaled

__all__ = ["Race", "race"]

WORKERS = 3
RESERVED = 100
WINDOW = 3_600.0
LEASE = 1.0
"""Of what the worker that dies has reserved."""
OWNERS = {"owner": "ada", "group": None}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Race:
    """How a race went.

    Attributes:
        budget: What the owner may use.
        made: How many calls were.
        refused: How many were not.
        used: What those that were made have used.
        counted: What the counter has counted at the end.
        left: Whether what is left could be reserved once more, when the dead worker's lease was over.
    """

    budget: int
    made: int
    refused: int
    used: int
    counted: int
    left: bool


def opened(place: str) -> tuple[Store[Any], Counter]:
    if place.startswith("redis://"):
        return MemoryStore(), RedisCounter(place, prefix="race:", timeout=60.0)
    store: Any = PostgresStore(place, acquire_timeout=120.0) if "://" in place else SQLiteStore(place)
    return store, store.quota_counter()


async def work(place: str, number: int, calls: int, budget: int) -> None:
    store, counter = opened(place)
    quotas, most = (Quota("tokens", budget, WINDOW),), {"tokens": RESERVED, "cost": 0}

    async def spend(name: str, used: int) -> int | None:
        try:
            reserved = await patiently(
                lambda: reserve(quotas, counter, most, OWNERS, name=name, lease=LEASE_SECONDS)  # type: ignore[arg-type]
            )
        except QuotaExceededError:
            return None
        # As while a model answers.
        await asyncio.sleep(0)
        for each in reserved:
            await patiently(lambda: each.settle(counter, name, used))  # noqa: B023 -- awaited at once
        return used

    # Each its own, and none more than was reserved.
    spent = await asyncio.gather(
        *(spend(f"{number}:{each}", (7 * each + number) % (RESERVED + 1)) for each in range(calls))
    )
    sys.stdout.write(json.dumps([used for used in spent if used is not None]))
    sys.stdout.flush()
    if number == 0:
        await counter.reserve(key(), "dead", RESERVED, window=WINDOW, limit=budget + RESERVED, lease=LEASE)
        os._exit(9)
    await counter.close()
    await store.close()


async def patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """Tries again what a machine with much else to do has kept waiting for too long; nothing was done then."""
    while True:
        try:
            return await attempt()
        except StoreUnavailableError:
            await asyncio.sleep(0.1)


def key() -> str:
    return f"quota:tokens:{WINDOW:g}:owner:ada"


async def race(place: str, calls: int) -> Race:
    """Lets three processes race for a budget of a quarter of what all calls reserve.

    Args:
        place: Path of a file, or URL of a server.
        calls: How many, of all workers.
    """
    budget = calls * RESERVED // 4
    store, counter = opened(place)
    await store.check()
    async with AsyncExitStack() as stack:
        processes = [
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                __name__ if __name__ != "__main__" else "tests.server.budget_race",
                "work",
                place,
                str(number),
                str(-(-calls // WORKERS)),
                str(budget),
                stdout=asyncio.subprocess.PIPE,
            )
            for number in range(WORKERS)
        ]
        for process in processes:
            stack.push_async_callback(_end, process)
        outputs = await asyncio.gather(*(process.communicate() for process in processes))
        answers = [json.loads(output) for output, _ in outputs]
    used = [each for answer in answers for each in answer]
    dead = await counter.take(key(), 0, window=WINDOW)
    assert dead.total - sum(used) in {0, RESERVED}, (dead, sum(used))

    async def until_given_back() -> bool:
        rest = budget - sum(used)
        while not (await counter.reserve(key(), "rest", rest, window=WINDOW, limit=budget, lease=60.0)).taken:
            await asyncio.sleep(LEASE / 10)
        await counter.settle(key(), "rest", rest, 0, window=WINDOW)
        return True

    async with asyncio.timeout(scaled(20)):
        left = await until_given_back()
    counted = (await counter.take(key(), 0, window=WINDOW)).total
    await counter.close()
    await store.close()
    return Race(budget, len(used), -(-calls // WORKERS) * WORKERS - len(used), sum(used), counted, left)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def main() -> None:
    match sys.argv[1:]:
        case ["work", place, number, calls, budget]:
            asyncio.run(work(place, int(number), int(calls), int(budget)))
        case [calls, *places]:
            with tempfile.TemporaryDirectory() as folder:
                for place in places or [str(Path(folder) / "chat.db")]:
                    found = asyncio.run(race(place, int(calls)))
                    beyond = max(0, found.used - found.budget)
                    kind = place.partition(":")[0] if places else "sqlite"
                    sys.stdout.write(f"{kind}: {found}\n  spent beyond the budget: {beyond}\n")
        case _:
            sys.stdout.write(__doc__ or "")


if __name__ == "__main__":
    main()
