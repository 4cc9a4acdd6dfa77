"""What a search of threads costs: a mix of queries over a corpus of many owners, and what indexing costs a turn.

Usage: ``scripts/bench search [--items 1000000] [--db sqlite|postgres] [--keep FOLDER] [--check]``. The default of
100,000 items takes some minutes; a million, over 1,000 owners, is what the documentation tells of. Words are drawn as
they are in a language: the commonest is in nearly every text, most are rare. With ``--check`` the exit code says
whether the 95th percentile of an owner with at most 20,000 items is below the goal.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from chatkit.store import PostgresStore, SQLiteStore  # noqa: E402
from chatkit.types import ThreadMetadata  # noqa: E402
from tests.support.postgres import PostgresServer, on_server  # noqa: E402

GOAL_MS = 100.0
OWNERS = 1_000
LARGE = 20_000
"""Items of a large owner, where there are a million."""
THREAD_ITEMS = 40
WORDS = 40_000
TEXT_WORDS = (5, 150)
COMMONEST = "the"
PIECE = 200
_SIZE = "SELECT pg_total_relation_size($1::text::regclass)"
MIX = ("word", "word", "prefix", "prefix", "two words", "phrase", "common word", "nothing")


def vocabulary(random_: random.Random) -> tuple[list[str], list[float]]:
    """Returns words, the commonest first, and the sums of their weights."""
    syllables = [f"{a}{b}" for a in "bcdfghjklmnprstvwz" for b in ("a", "e", "i", "o", "u", "an", "er", "is")]
    made = {COMMONEST: None}
    while len(made) < WORDS:
        made["".join(random_.choices(syllables, k=random_.randint(1, 4)))] = None
    return list(made), list(accumulate(1 / (rank + 2) for rank in range(WORDS)))


def sizes(items: int) -> list[int]:
    """Returns how many items each owner has: one a tenth of all, nine as many as a large one, the others the rest."""
    large = max(1, LARGE * items // 1_000_000)
    first = [items // 10, *[large] * 9]
    rest = (items - sum(first)) // (OWNERS - len(first))
    return [*first, *[rest] * (OWNERS - len(first))]


class Corpus:
    """Texts that are the same each time, and what is searched in them."""

    def __init__(self, items: int) -> None:
        self.sizes = sizes(items)
        self._random = random.Random(7)
        self._words, self._weights = vocabulary(self._random)

    def text(self) -> str:
        count = self._random.randint(*TEXT_WORDS)
        return " ".join(self._random.choices(self._words, cum_weights=self._weights, k=count))

    def rows(self) -> Iterator[tuple[int, int, str, str, str]]:
        """Yields owner, number of its thread, and the item's id, type and JSON, in the order of their writing."""
        order = [owner for owner, size in enumerate(self.sizes) for _ in range(size)]
        self._random.shuffle(order)
        counts = [0] * len(self.sizes)
        for number, owner in enumerate(order):
            thread, counts[owner] = counts[owner] // THREAD_ITEMS, counts[owner] + 1
            kind = "user_message" if number % 2 else "assistant_message"
            part = {"type": "input_text" if number % 2 else "output_text", "text": self.text()}
            item = {"id": f"msg_{number}", "type": kind, "thread_id": f"thr_{owner}_{thread}"}
            item |= {"created_at": "2026-01-01T00:00:00Z", "content": [part]}
            if number % 2:
                item |= {"attachments": [], "inference_options": {}}
            yield owner, thread, item["id"], kind, json.dumps(item)

    def query(self, kind: str, random_: random.Random) -> str:
        rank = int(random_.paretovariate(0.4)) + 20
        word = self._words[min(rank, WORDS - 1)]
        other = self._words[random_.randint(20, 2_000)]
        match kind:
            case "word":
                return f'"{word}"'
            case "prefix":
                return f"{word[: random_.randint(3, 5)]}*" if len(word) > 3 else f"{other[:3]}*"
            case "two words":
                return f"{word} {other}"
            case "phrase":
                return f'"{self._words[random_.randint(1, 60)]} {other}"'
            case "common word":
                return f'"{self._words[random_.randint(0, 10)]}"'
            case _:
                return "quxquux"


async def fill(store: Any, corpus: Corpus, add: Any) -> None:
    began = time.perf_counter()
    for owner, size in enumerate(corpus.sizes):
        for thread in range(-(-size // THREAD_ITEMS)):
            title = " ".join(corpus.text().split(" ")[:4])
            await store.save_thread(
                ThreadMetadata(id=f"thr_{owner}_{thread}", title=title), {"user_id": f"owner_{owner}"}
            )
    print(f"  {sum(corpus.sizes):,} items of {len(corpus.sizes):,} owners", flush=True)
    await add(corpus)
    print(f"  stored in {time.perf_counter() - began:.0f} s", flush=True)
    began, longest, pieces = time.perf_counter(), 0.0, 0
    waiting = True
    while waiting:
        started = time.perf_counter()
        waiting = await store.index_waiting(PIECE)
        longest = max(longest, time.perf_counter() - started)
        pieces += 1
    seconds = time.perf_counter() - began
    each = seconds * 100_000 / sum(corpus.sizes)
    print(
        f"  indexed in {seconds:.0f} s: {each:.1f} s for 100,000 items, {longest * 1e3:.0f} ms a piece at most",
        flush=True,
    )


async def fill_sqlite(store: SQLiteStore, corpus: Corpus) -> None:
    def add(connection: Any) -> None:
        # As a file of an earlier version, which has no index.
        connection.execute("DELETE FROM search_state")
        threads = {row[1]: row[0] for row in connection.execute("SELECT seq, id FROM threads")}
        connection.executemany(
            "INSERT INTO items (thread, id, type, data) VALUES (?, ?, ?, ?)",
            (
                (threads[f"thr_{owner}_{thread}"], item, kind, data)
                for owner, thread, item, kind, data in corpus.rows()
            ),
        )
        connection.execute(
            "INSERT INTO search_changes (late, place) "
            "SELECT 1, seq FROM items WHERE type IN ('user_message', 'assistant_message')"
        )
        connection.execute("INSERT INTO search_state (begun) VALUES (1)")

    await store.database.write(add)


async def fill_postgres(url: str, corpus: Corpus) -> None:
    async def add(connection: Any) -> None:
        rows = await connection.fetch("SELECT number, id FROM chatkit.threads")
        threads = {row["id"]: row["number"] for row in rows}
        records = (
            (threads[f"thr_{owner}_{thread}"], item, kind, data)
            for owner, thread, item, kind, data in corpus.rows()
        )
        columns = ["thread", "id", "type", "data"]
        await connection.copy_records_to_table(
            "items", records=records, columns=columns, schema_name="chatkit", timeout=3600
        )

    await asyncio.to_thread(on_server, url, add)


async def measure(
    store: Any, corpus: Corpus, owner: int, queries: list[tuple[str, str]]
) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {}
    for kind, query in queries:
        began = time.perf_counter()
        await store.search_threads(query, 20, None, {"user_id": f"owner_{owner}"})
        times.setdefault(kind, []).append((time.perf_counter() - began) * 1e3)
    return times


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


async def search(store: Any, corpus: Corpus, count: int) -> bool:
    """Prints the figures, and returns whether the goal is met."""
    random_ = random.Random(11)
    owners = {"a large owner": 3, "a usual owner": 500, "the largest owner": 0}
    met = True
    for name, owner in owners.items():
        queries = [(kind, corpus.query(kind, random_)) for kind in MIX for _ in range(count)]
        random_.shuffle(queries)
        times = await measure(store, corpus, owner, queries)
        everything = [value for values in times.values() for value in values]
        p95 = percentile(everything, 0.95)
        commonest = [
            (await measure(store, corpus, owner, [("", f'"{COMMONEST}"')]))[""][0]
            for _ in range(min(count, 10))
        ]
        two = [(await measure(store, corpus, owner, [("", "th")]))[""][0] for _ in range(min(count, 10))]
        print(f"  {name}, {corpus.sizes[owner]:,} items: p50 {percentile(everything, 0.5):.1f} ms, p95 {p95:.1f} ms, "
              f"most {max(everything):.1f} ms; the commonest word {statistics.median(commonest):.1f} ms, "
              f"two letters {statistics.median(two):.1f} ms", flush=True)  # fmt: skip
        for kind, values in times.items():
            print(
                f"    {kind:<12} p50 {percentile(values, 0.5):7.1f} ms   p95 {percentile(values, 0.95):7.1f} ms",
                flush=True,
            )
        met = met and (owner == 0 or p95 < GOAL_MS)
    return met


async def run_sqlite(folder: Path, corpus: Corpus, count: int) -> bool:
    path = folder / "chat.db"
    is_new = not path.exists()
    store = SQLiteStore(path)
    try:
        if is_new:
            await fill(store, corpus, lambda corpus: fill_sqlite(store, corpus))
        print(f"  file: {path.stat().st_size / 1e6:,.0f} MB", flush=True)
        return await search(store, corpus, count)
    finally:
        await store.close()


async def run_postgres(url: str, corpus: Corpus, count: int) -> bool:
    store = PostgresStore(url)
    try:
        await fill(store, corpus, lambda corpus: fill_postgres(url, corpus))
        await asyncio.to_thread(on_server, url, lambda connection: connection.execute("ANALYZE"))
        for name in ("items", "search_items", "search_items_words"):
            size: int = await asyncio.to_thread(
                on_server, url, lambda connection, name=name: connection.fetchval(_SIZE, f"chatkit.{name}")
            )
            print(f"  {name}: {size / 1e6:,.0f} MB", flush=True)
        return await search(store, corpus, count)
    finally:
        await store.close()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=100_000, help="items of the corpus (default 100,000)")
    parser.add_argument("--db", choices=("sqlite", "postgres"), action="append", help="default: both")
    parser.add_argument("--queries", type=int, default=40, help="queries of each kind (default 40)")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="where SQLite's file stays, for the next time"
    )
    parser.add_argument("--check", action="store_true", help="fail when the goal is missed")
    options = parser.parse_args()
    met = True
    for kind in options.db or ("sqlite", "postgres"):
        print(kind, flush=True)
        if kind == "sqlite":
            folder = options.keep or Path(tempfile.mkdtemp(prefix="chatkit-bench-"))
            try:
                met = asyncio.run(run_sqlite(folder, Corpus(options.items), options.queries)) and met
            finally:
                if options.keep is None:
                    shutil.rmtree(folder)
        else:
            # On a disk: the servers of tests are in memory.
            folder = Path(tempfile.mkdtemp(prefix="chatkit-bench-"))
            server = PostgresServer(folder)
            try:
                server.start()
                met = asyncio.run(run_postgres(server.url, Corpus(options.items), options.queries)) and met
            finally:
                server.stop()
                shutil.rmtree(folder)
    print(f"goal: p95 below {GOAL_MS:g} ms for at most 20,000 items: {'ok' if met else 'MISSED'}")
    return 1 if options.check and not met else 0


if __name__ == "__main__":
    sys.exit(main())
