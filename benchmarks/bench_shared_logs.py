"""What sharing streams costs: each log against the one in memory, with turns at the pace of a model.

``scripts/bench logs [--turns N] [--deltas N] [--pace SECONDS] [--rounds N] [--check]``. Rounds alternate between the
logs; CPU time is this process's, as the best of the rounds, less nothing: the timers that pace the turns and their
readers are in all of them. The Redis commands are those of ``INFO commandstats``, scripts' own commands included.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import redis

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from chatkit._sqlite import Database
from chatkit.ids import new_id
from chatkit.streams import EndState, MemoryStreamLog, SQLiteStreamLog, StreamLog, TurnInfo
from chatkit.streams.postgres import PostgresStreamLog
from chatkit.streams.redis import RedisStreamLog
from tests.support.postgres import postgres_server
from tests.support.redis import redis_server

GOAL = 1.5
EVENT = (
    b'{"type":"thread.item.updated","item_id":"msg_0123456789abcdefghijklmnop","update":{"type":'
    b'"assistant_message.content_part.text_delta","content_index":0,"delta":" token"}}'
)


async def turn(log: StreamLog, deltas: int, pace: float, begin: float) -> None:
    await asyncio.sleep(begin)
    info = TurnInfo(new_id("turn"), new_id("thr"), resumable=True)
    writer = await log.open(info, snapshot=lambda _: [b"{}"], on_stop=lambda: None)
    reader = await log.read(info.id, None)
    assert reader is not None

    async def read() -> int:
        return sum([len(entries) async for entries in reader])

    reading = asyncio.create_task(read())
    for _ in range(deltas):
        writer.append(EVENT)
        await asyncio.sleep(pace)
    await writer.close(EndState.COMPLETED)
    assert await reading == deltas


async def run(make_log: Callable[[], StreamLog], turns: int, deltas: int, pace: float) -> float:
    """Returns microseconds of CPU time per delta."""
    log = make_log()
    cpu = time.process_time()
    # Turns do not begin together, or their timers would fire together.
    await asyncio.gather(*(turn(log, deltas, pace, pace * number / turns) for number in range(turns)))
    cpu = time.process_time() - cpu
    await log.close()
    return cpu / (turns * deltas) * 1e6


def commands(client: redis.Redis) -> dict[str, int]:
    stats = client.info("commandstats")
    return {name.removeprefix("cmdstat_"): int(found["calls"]) for name, found in stats.items()}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=100)
    parser.add_argument("--deltas", type=int, default=200)
    parser.add_argument("--pace", type=float, default=0.03, help="seconds between deltas (default 0.03)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--check", action="store_true", help="fail when a goal is missed")
    options = parser.parse_args()
    workload = (options.turns, options.deltas, options.pace)
    costs: dict[str, list[float]] = {}
    with ExitStack() as stack:
        server = stack.enter_context(redis_server())
        url = stack.enter_context(postgres_server()).url
        client = stack.enter_context(redis.Redis.from_url(server.url, protocol=2))
        file = Database(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "chat.db")
        logs: dict[str, Callable[[], StreamLog]] = {
            "memory": MemoryStreamLog,
            "sqlite": lambda: SQLiteStreamLog(file),
            "redis": lambda: RedisStreamLog(server.url),
            "postgres": lambda: PostgresStreamLog(url),
        }
        for _ in range(options.rounds):
            for name, make_log in logs.items():
                if name == "redis":
                    client.config_resetstat()
                costs.setdefault(name, []).append(asyncio.run(run(make_log, *workload)))
                if name == "redis":
                    calls = commands(client)
        asyncio.run(file.close())
    print(
        f"{options.turns} turns of {options.deltas} deltas at {options.pace * 1000:g} ms, best of {options.rounds} rounds"
    )
    memory = min(costs["memory"])
    missed = False
    for name, found in costs.items():
        ratio = min(found) / memory
        missed |= ratio > GOAL
        print(
            f"  {name:>8}: {min(found):6.1f} us of CPU a delta   ratio {ratio:.2f}   {'ok' if ratio <= GOAL else 'MISSED'}"
        )
    thousands = options.turns * options.deltas / 1000
    for name in ("config|resetstat", "info"):
        calls.pop(name, None)
    sent = sum(calls.get(name, 0) for name in ("evalsha", "eval", "xread"))
    busy = "  ".join(
        f"{name} {count / thousands:.0f}" for name, count in sorted(calls.items(), key=lambda c: -c[1])[:6]
    )
    print(
        f"  Redis commands per 1,000 deltas: {sent / thousands:.0f} sent, {sum(calls.values()) / thousands:.0f} in all ({busy})"
    )
    return 1 if options.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
