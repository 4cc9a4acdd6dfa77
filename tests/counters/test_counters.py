"""The contract of counters, over each place that they count in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chatkit.counters import Count, Counter, MemoryCounter, PostgresCounter, RedisCounter, SQLiteCounter
from chatkit.errors import ConfigurationError, StoreUnavailableError
from chatkit.ids import new_id
from chatkit.store import PostgresStore, SQLiteStore
from chatkit.testing import CounterContract


class TestMemoryCounter(CounterContract):
    shared = False

    def make_counter(self) -> MemoryCounter:
        return MemoryCounter()


class TestSQLiteCounter(CounterContract):
    @pytest.fixture(autouse=True)
    def file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "chatkit.db"

    def make_counter(self) -> SQLiteCounter:
        return SQLiteCounter(SQLiteStore(self.path).database)


class TestSQLiteCounterInMemory(CounterContract):
    shared = False

    def make_counter(self) -> SQLiteCounter:
        return SQLiteCounter(SQLiteStore(":memory:").database)


class TestPostgresCounter(CounterContract):
    @pytest.fixture(autouse=True)
    def database(self, postgres_database: str) -> None:
        self.url = postgres_database

    def make_counter(self) -> PostgresCounter:
        return PostgresCounter(PostgresStore(self.url).database)


class TestPostgresCounterBehindAPooler(TestPostgresCounter):
    def make_counter(self) -> PostgresCounter:
        return PostgresCounter(PostgresStore(self.url, statement_cache_size=0).database)


class TestRedisCounter(CounterContract):
    @pytest.fixture(autouse=True)
    def server(self, redis_url: str) -> None:
        self.url, self.prefix = redis_url, f"{new_id('test')}:"

    def make_counter(self) -> RedisCounter:
        return RedisCounter(self.url, prefix=self.prefix)


async def test_old_counts_of_a_file_are_deleted(tmp_path: Path) -> None:
    moment = 1_000.0
    database = SQLiteStore(tmp_path / "chatkit.db").database
    counter = SQLiteCounter(database, lambda: moment)
    for number in range(40):
        await counter.take(f"old {number}", window=10.0)
    await counter.take("long", window=1_000.0)
    moment += 20
    for number in range(3):
        await counter.take(f"new {number}", window=10.0)

    def keys(connection: object) -> set[str]:
        return {row[0] for row in connection.execute("SELECT key FROM counts")}  # type: ignore[attr-defined]

    assert await database.read(keys) == {"long", "new 0", "new 1", "new 2"}
    await database.close()


async def test_old_counts_in_memory_are_forgotten() -> None:
    moment = 1_000.0
    counter = MemoryCounter(lambda: moment)
    for number in range(40):
        await counter.take(f"old {number}", window=10.0)
    await counter.take("long", window=1_000.0)
    moment += 20
    for number in range(3):
        await counter.take(f"new {number}", window=10.0)
    assert set(counter._windows) == {"long", "new 0", "new 1", "new 2"}


async def test_a_server_that_is_away_is_an_error_with_its_place() -> None:
    counter = RedisCounter("redis://user:secret@127.0.0.1:1/0", timeout=1.0)
    with pytest.raises(StoreUnavailableError, match=r"127\.0\.0\.1:1/0") as raised:
        await counter.check()
    assert "secret" not in str(raised.value)
    await counter.close()


def test_what_is_no_address_of_a_server_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError, match="redis://host"):
        RedisCounter("http://127.0.0.1")


class TakesOnly(Counter):
    """Has no reservations of its own."""

    def __init__(self) -> None:
        self._counter = MemoryCounter()

    async def take(self, key: str, amount: int = 1, *, window: float, limit: int | None = None) -> Count:
        return await self._counter.take(key, amount, window=window, limit=limit)


class TestCounterThatTakesOnly(CounterContract):
    def make_counter(self) -> TakesOnly:
        return TakesOnly()

    def _run(self, scenario: Any, workers: int = 1) -> None:
        # Each would count on its own, though it does not say so.
        super()._run(scenario)
