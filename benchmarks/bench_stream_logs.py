"""What durability costs an append: the SQLite stream log against the one in memory.

Run ``python benchmarks/bench_stream_logs.py``. Rounds alternate between the logs; the median of each is printed, and
the ratio. CPU time is the whole process's, so that it has the database's thread in it.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from chatkit._sqlite import Database
from chatkit.ids import new_id
from chatkit.streams import EndState, MemoryStreamLog, SQLiteStreamLog, StreamLog, TurnInfo

ROUNDS = 7
EVENTS = 200_000
BETWEEN_YIELDS = 64
"""Events after which a turn lets its event loop breathe."""
EVENT = (
    b'{"type":"thread.item.updated","item_id":"msg_0123456789abcdefghijklmnop","update":{"type":'
    b'"assistant_message.content_part.text_delta","content_index":0,"delta":" token"}}'
)


class Cost(NamedTuple):
    append: float
    """Microseconds of wall time per call of ``append``, the event loop's own work left out."""
    turn: float
    """Microseconds of CPU time per event of a whole turn: opened, read, saved, closed."""


async def run(make_log: Callable[[], StreamLog]) -> Cost:
    log = make_log()
    info = TurnInfo(new_id("turn"), "thr_a", resumable=True)
    cpu = time.process_time()
    writer = await log.open(info, snapshot=lambda _: [b"{}"], on_stop=lambda: None)
    reader = await log.read(info.id, None)
    assert reader is not None
    appending = 0.0
    for _ in range(EVENTS // BETWEEN_YIELDS):
        began = time.perf_counter()
        for _ in range(BETWEEN_YIELDS):
            writer.append(EVENT)
        appending += time.perf_counter() - began
        reader.ready()
        if writer.congested:
            await writer.drain()
        await asyncio.sleep(0)
    await writer.flush()
    await writer.close(EndState.COMPLETED)
    cpu = time.process_time() - cpu
    await log.close()
    return Cost(appending / EVENTS * 1e6, cpu / EVENTS * 1e6)


def main() -> None:
    costs: dict[str, list[Cost]] = {"memory": [], "sqlite": []}
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "chat.db")
        logs: dict[str, Callable[[], StreamLog]] = {
            "memory": MemoryStreamLog,
            "sqlite": lambda: SQLiteStreamLog(database),
        }
        for _ in range(ROUNDS):
            for name, make_log in logs.items():
                costs[name].append(asyncio.run(run(make_log)))
        asyncio.run(database.close())
    lines = [f"{EVENTS:,} events of {len(EVENT)} bytes, {ROUNDS} rounds, medians in microseconds per event"]
    for field in Cost._fields:
        memory, sqlite = (statistics.median(getattr(cost, field) for cost in costs[name]) for name in logs)
        lines.append(f"{field:>6}: memory {memory:.3f}  sqlite {sqlite:.3f}  ratio {sqlite / memory:.2f}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
