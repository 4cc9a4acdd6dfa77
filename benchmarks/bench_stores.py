"""What a long thread costs: page, open, append and retry in threads of 100, 10,000 and 1,000,000 items.

Usage: ``scripts/bench stores [--check]``. One database of each kind holds all three threads. Rounds alternate between
the threads; the least time of each counts, since machines are noisy, and its ratio in the longest and shortest thread.
With ``--check`` the exit code tells whether every ratio is below the goal.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from chatkit.ids import new_id  # noqa: E402
from chatkit.store import PostgresStore, SQLiteStore  # noqa: E402
from chatkit.types import AssistantMessageItem, TextContent, ThreadMetadata  # noqa: E402
from tests.support.postgres import on_server, postgres_server  # noqa: E402

SIZES = (100, 10_000, 1_000_000)
ROUNDS = 300
GOAL = 1.5
CONTEXT = {"user_id": "ada"}
TEXT = "An answer of a few lines, as they are in a chat. " * 4
_PLACE = "_ITS_ID_"
_FILL_SQLITE = """
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :size)
INSERT INTO items (thread, id, type, data)
SELECT (SELECT seq FROM threads WHERE id = :thread), printf('msg_%08d', n), 'assistant_message',
    replace(:template, '_ITS_ID_', printf('msg_%08d', n))
FROM numbers
"""
_FILL_POSTGRES = """
INSERT INTO chatkit.items (thread, id, type, data)
SELECT (SELECT number FROM chatkit.threads WHERE id = $2), 'msg_' || lpad(n::text, 8, '0'), 'assistant_message',
    replace($3, '_ITS_ID_', 'msg_' || lpad(n::text, 8, '0'))::jsonb
FROM generate_series(1, $1) AS n
"""

Action = Callable[[], Awaitable[object]]


def answer(thread_id: str, item_id: str | None = None) -> AssistantMessageItem:
    return AssistantMessageItem(
        id=item_id or new_id("message"), thread_id=thread_id, content=[TextContent(text=TEXT)]
    )


def name_of(size: int) -> str:
    return f"thr_{size}"


def template_of(size: int) -> str:
    return answer(name_of(size), _PLACE).model_dump_json()


@contextmanager
def sqlite() -> Iterator[tuple[Any, Callable[[], Awaitable[None]]]]:
    folder = Path(tempfile.mkdtemp(prefix="chatkit-bench-"))
    store = SQLiteStore[Any](folder / "chat.db")

    async def fill() -> None:
        for size in SIZES:
            parameters = {"size": size, "thread": name_of(size), "template": template_of(size)}
            await store.database.write(
                lambda connection, parameters=parameters: (
                    connection.execute(_FILL_SQLITE, parameters).rowcount
                )
            )
        # Or the first appends would have to move it all into the file.
        await store.close()

    try:
        yield store, fill
    finally:
        shutil.rmtree(folder)


@contextmanager
def postgres() -> Iterator[tuple[Any, Callable[[], Awaitable[None]]]]:
    with postgres_server() as server:
        store = PostgresStore[Any](server.url, statement_timeout=None)

        async def fill() -> None:
            for size in SIZES:
                arguments = (size, name_of(size), template_of(size))
                await store.database.write(
                    lambda transaction, arguments=arguments: transaction.value(_FILL_POSTGRES, *arguments)
                )
            vacuum = "VACUUM (ANALYZE) chatkit.items"
            await asyncio.to_thread(on_server, server.url, lambda connection: connection.execute(vacuum))

        yield store, fill


def operations(store: Any, size: int) -> dict[str, Callable[[], Action]]:
    """Returns what is measured; each makes its action first, so that only the store's work is timed."""
    thread_id, last = name_of(size), f"msg_{size:08d}"

    def page() -> Action:
        return lambda: store.load_thread_items(thread_id, None, 20, "desc", CONTEXT)

    def open_thread() -> Action:
        async def run() -> None:
            await store.load_thread(thread_id, CONTEXT)
            await store.load_thread_items(thread_id, None, 20, "asc", CONTEXT)

        return run

    def append() -> Action:
        item = answer(thread_id)
        return lambda: store.add_thread_item(thread_id, item, CONTEXT)

    def retry() -> Action:
        item = answer(thread_id)

        async def run() -> None:
            await store.delete_items_after(thread_id, last, CONTEXT)
            await store.add_thread_item(thread_id, item, CONTEXT)

        return run

    return {"page": page, "open": open_thread, "append": append, "retry": retry}


async def measure(
    store: Any, fill: Callable[[], Awaitable[None]], rounds: int
) -> dict[str, dict[int, float]]:
    """Returns seconds by operation and size."""
    for size in SIZES:
        await store.save_thread(ThreadMetadata(id=name_of(size)), CONTEXT)
    await fill()
    made = {size: operations(store, size) for size in SIZES}
    least = {name: dict.fromkeys(SIZES, float("inf")) for name in made[SIZES[0]]}
    sizes = count()
    for _ in range(rounds):
        for name, times in least.items():
            first = next(sizes) % len(SIZES)
            for size in SIZES[first:] + SIZES[:first]:
                action = made[size][name]()
                began = time.perf_counter()
                await action()
                times[size] = min(times[size], time.perf_counter() - began)
    await store.close()
    return least


def run(rounds: int = ROUNDS) -> bool:
    """Measures and prints; returns whether every goal is met."""
    met = True
    print(
        f"Least of {rounds} rounds in microseconds, threads of {', '.join(f'{size:,}' for size in SIZES)} items"
    )
    for kind, make in (("sqlite", sqlite), ("postgres", postgres)):
        with make() as (store, fill):
            began = time.perf_counter()
            least = asyncio.run(measure(store, fill, rounds))
        for name, times in least.items():
            ratio = times[SIZES[-1]] / times[SIZES[0]]
            met = met and ratio < GOAL
            figures = "".join(f"{times[size] * 1e6:>10.0f}" for size in SIZES)
            mark = "ok" if ratio < GOAL else "MISSED"
            print(f"  {kind:<9}{name:<7}{figures}   ratio {ratio:.2f}   goal < {GOAL}   {mark}")
        print(f"  {kind} took {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return met


if __name__ == "__main__":
    sys.exit(0 if run() or "--check" not in sys.argv[1:] else 1)
