"""What sharing streams costs: each log against the one in memory, with turns at the pace of a model.

``scripts/bench logs [--turns N] [--deltas N] [--pace SECONDS] [--rounds N] [--check]``. Rounds alternate between the
logs; CPU time is this process's, the best of the rounds. It is measured of whole turns of a server with a store in
memory, whose goal is a ratio of 1.5, and of the bare log, which is mostly the timers of the pace. The Redis commands
are those of ``INFO commandstats``, scripts' own commands included.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).parent)]

from application import Application, DictStore  # noqa: E402

from chatkit._sqlite import Database  # noqa: E402
from chatkit.ids import new_id  # noqa: E402
from chatkit.streams import EndState, MemoryStreamLog, SQLiteStreamLog, StreamLog, TurnInfo  # noqa: E402
from chatkit.streams.postgres import PostgresStreamLog  # noqa: E402
from chatkit.streams.redis import RedisStreamLog  # noqa: E402
from chatkit.types import ThreadMetadata, ThreadStreamEvent, UserMessageItem  # noqa: E402
from tests.support.postgres import postgres_server  # noqa: E402
from tests.support.redis import redis_server  # noqa: E402

GOAL = 1.5
EVENT = (
    b'{"type":"thread.item.updated","item_id":"msg_0123456789abcdefghijklmnop","update":{"type":'
    b'"assistant_message.content_part.text_delta","content_index":0,"delta":" token"}}'
)


class PacedApplication(Application):
    """Answers at the pace of a model."""

    def __init__(self, log: StreamLog, deltas: int, pace: float) -> None:
        super().__init__(DictStore(), deltas)
        self.stream_log = log
        self.pace = pace

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: dict[str, Any]
    ) -> AsyncIterator[ThreadStreamEvent]:
        async for event in super().respond(thread, input_user_message, context):
            await asyncio.sleep(self.pace)
            yield event


async def bare_turn(log: StreamLog, deltas: int, pace: float) -> None:
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


async def served_turn(server: PacedApplication, deltas: int) -> None:
    message = {
        "type": "threads.create",
        "params": {
            "input": {
                "content": [{"type": "input_text", "text": "hello"}],
                "attachments": [],
                "inference_options": {},
            }
        },
        "metadata": {"resumable": True},
    }
    result: Any = await server.process(json.dumps(message).encode(), {"user_id": "u"})
    assert sum([1 async for _ in result.batches()]) > 1
    assert result.resumable
    assert deltas


async def run(
    make_log: Callable[[], StreamLog], turns: int, deltas: int, pace: float, *, bare: bool
) -> float:
    """Returns microseconds of CPU time per delta."""
    log = make_log()
    server = PacedApplication(log, deltas, pace)
    cpu = time.process_time()

    async def one(number: int) -> None:
        # Turns do not begin together, or their timers would fire together.
        await asyncio.sleep(pace * number / turns)
        await (bare_turn(log, deltas, pace) if bare else served_turn(server, deltas))

    await asyncio.gather(*map(one, range(turns)))
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
    costs: dict[str, dict[str, list[float]]] = {"served": {}, "bare": {}}
    calls: dict[str, int] = {}
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
            for kind, found in costs.items():
                for name, make_log in logs.items():
                    client.config_resetstat()
                    cost = asyncio.run(run(make_log, *workload, bare=kind == "bare"))
                    found.setdefault(name, []).append(cost)
                    if name == "redis" and kind == "served":
                        calls = commands(client)
        asyncio.run(file.close())
    print(
        f"{options.turns} turns of {options.deltas} deltas at {options.pace * 1000:g} ms, "
        f"best of {options.rounds} rounds, CPU of the worker in us a delta"
    )
    missed = False
    for kind, title in (("served", "turns of a server"), ("bare", "the log alone, and its timers")):
        print(f"  {title}")
        memory = min(costs[kind]["memory"])
        for name, values in costs[kind].items():
            ratio = min(values) / memory
            mark = ("ok" if ratio <= GOAL else "MISSED") if kind == "served" else ""
            missed |= mark == "MISSED"
            print(f"    {name:>8}: {min(values):6.1f}   ratio {ratio:.2f}   {mark}")
    thousands = options.turns * options.deltas / 1000
    for name in ("config|resetstat", "info"):
        calls.pop(name, None)
    sent = sum(calls.get(name, 0) for name in ("evalsha", "eval", "xread"))
    most = sorted(calls.items(), key=lambda call: -call[1])[:6]
    busy = ", ".join(f"{name} {count / thousands:.0f}" for name, count in most)
    print(
        f"  Redis commands per 1,000 deltas: {sent / thousands:.0f} sent, "
        f"{sum(calls.values()) / thousands:.0f} with those of scripts ({busy})"
    )
    return 1 if options.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
