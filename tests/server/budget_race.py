"""Requests at once over three worker processes, whose owner has a budget: what they spend beyond it.

``python -m tests.server.budget_race 1000`` sends a thousand over SQLite; ``postgresql://...`` and ``redis://...`` after
the number take a server's place. One of the workers dies with what it had reserved.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatkit.counters import Counter, RedisCounter
from chatkit.errors import QuotaExceededError
from chatkit.limits import Limits
from chatkit.quotas import Quota
from chatkit.server import ChatKitServer, model_call
from chatkit.store import MemoryStore, PostgresStore, SQLiteStore, Store
from chatkit.usage import Usage
from tests.support.scale import scaled

__all__ = ["Race", "race"]

WORKERS = 3
RESERVED = 100
WINDOW = 3_600.0
LEASE = 1.0
"""Of what the worker that dies has reserved."""
CONTEXT = {"user_id": "ada"}


@dataclass(frozen=True, slots=True)
class Race:
    """How a race went.

    Attributes:
        budget: What the owner may use.
        answered: How many requests were.
        refused: How many were not.
        used: What those that were answered have used.
        counted: What the counter has counted at the end.
        left: Whether what is left could be reserved once more, when the dead worker's lease was over.
    """

    budget: int
    answered: int
    refused: int
    used: int
    counted: int
    left: bool


class Spender(ChatKitServer[Any]):
    """Uses as many tokens as the message says."""

    async def respond(self, thread: Any, input: Any, context: Any) -> AsyncIterator[Any]:
        used = int(input.content[0].text)
        async with model_call("m", input_tokens=RESERVED - 10, output_tokens=10) as call:
            await asyncio.sleep(0)
            call.usage = Usage("m", input_tokens=used)
            yield "Hello."


def opened(place: str) -> tuple[Store[Any], Counter | None]:
    if place.startswith("redis://"):
        return MemoryStore(), RedisCounter(place, prefix="race:", timeout=60.0)
    return (PostgresStore(place) if place.startswith("postgresql://") else SQLiteStore(place)), None


async def work(place: str, number: int, requests: int, budget: int) -> None:
    store, counter = opened(place)
    server = Spender(store, counter=counter, limits=Limits(quotas=(Quota("tokens", budget, WINDOW),)))

    async def send(used: int) -> int | None:
        content = [{"type": "input_text", "text": str(used)}]
        message: dict[str, Any] = {"content": content, "attachments": [], "inference_options": {}}
        body = json.dumps({"type": "threads.create", "params": {"input": message}})
        try:
            frames: list[bytes] = [frame async for frame in await server.process(body, CONTEXT)]  # type: ignore[union-attr]
        except QuotaExceededError:
            return None
        text = b"".join(frames)
        if b"Hello." in text:
            return used
        assert b"Less may be left" in text, text
        return None

    # Each its own, and none more than was reserved.
    spent = await asyncio.gather(*(send((7 * each + number) % (RESERVED + 1)) for each in range(requests)))
    sys.stdout.write(json.dumps([used for used in spent if used is not None]))
    sys.stdout.flush()
    if number == 0:
        server = Spender(store, counter=server.counter, limits=server.limits)
        counter = server.counter
        assert counter is not None
        await counter.reserve(key(), "dead", RESERVED, window=WINDOW, limit=budget + RESERVED, lease=LEASE)
        os._exit(9)
    await server.close()


def key() -> str:
    return f"quota:tokens:{WINDOW:g}:owner:ada"


async def race(place: str, requests: int) -> Race:
    """Lets three processes race for a budget of a quarter of what all requests reserve.

    Args:
        place: Path of a file, or URL of a server.
        requests: How many, of all workers.
    """
    budget = requests * RESERVED // 4
    store, counter = opened(place)
    await store.check()
    counter = counter or store.quota_counter()
    assert counter is not None
    async with AsyncExitStack() as stack:
        processes = [
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                __name__ if __name__ != "__main__" else "tests.server.budget_race",
                "work",
                place,
                str(number),
                str(-(-requests // WORKERS)),
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
    return Race(budget, len(used), -(-requests // WORKERS) * WORKERS - len(used), sum(used), counted, left)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def main() -> None:
    match sys.argv[1:]:
        case ["work", place, number, requests, budget]:
            asyncio.run(work(place, int(number), int(requests), int(budget)))
        case [requests, *places]:
            with tempfile.TemporaryDirectory() as folder:
                for place in places or [str(Path(folder) / "chat.db")]:
                    found = asyncio.run(race(place, int(requests)))
                    beyond = max(0, found.used - found.budget)
                    kind = place.partition(":")[0] if places else "sqlite"
                    sys.stdout.write(f"{kind}: {found}\n  spent beyond the budget: {beyond}\n")
        case _:
            sys.stdout.write(__doc__ or "")


if __name__ == "__main__":
    main()
