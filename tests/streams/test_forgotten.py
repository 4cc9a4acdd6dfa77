"""What is over goes, though nobody writes any more: the sweeps of an idle worker, and the lifetimes of Redis's keys."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from chatkit._sqlite import Database
from chatkit.errors import StoreUnavailableError
from chatkit.ids import new_id
from chatkit.streams import Backend, EndState, KeyClaim, SQLiteStreamLog, StreamLog, TurnInfo
from chatkit.streams.backends import postgres, sqlite, sqlite_turns
from chatkit.streams.following import Follower
from chatkit.streams.postgres import PostgresStreamLog
from chatkit.streams.redis import RedisStreamLog
from chatkit.testing._log_base import State, claim_of, claimed_by, event, open_turn, patient, reader_of, turn
from tests.support.scale import scaled

SHORT = 0.01
"""Seconds for which ended turns are kept."""
LEASE = 0.5
TABLES = ("stream_turns", "stream_chunks", "stream_ends", "stream_keys", "stream_workers")


class Server(ABC):
    """A database with a log in it, whose tables can be looked at."""

    @abstractmethod
    def log(self) -> StreamLog:
        """Returns a log of a worker of its own."""

    @abstractmethod
    async def do(self, statement: str) -> list[Any]:
        """Carries a statement out, and returns its rows."""

    @abstractmethod
    async def age(self, table: str) -> None:
        """Makes the rows of a table two days older that are kept for a day."""

    async def counts(self) -> dict[str, int]:
        """Returns how many rows the tables have, those that have any."""
        counts = {
            table: (await self.do(f"SELECT count(*) FROM {self.schema}{table}"))[0][0] for table in TABLES
        }
        return {table: count for table, count in counts.items() if count}

    schema = ""


class PostgresServer(Server):
    schema = "chatkit."

    def __init__(self, url: str) -> None:
        self.url = url

    def log(self) -> PostgresStreamLog:
        return PostgresStreamLog(self.url, lease=LEASE, retention=SHORT)

    async def do(self, statement: str) -> list[Any]:
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetch(statement)
        finally:
            await connection.close()

    async def age(self, table: str) -> None:
        column = "expires_at" if table == "stream_workers" else "forget_at"
        await self.do(f"UPDATE chatkit.{table} SET {column} = {column} - interval '2 days'")


class SQLiteServer(Server):
    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = Database(path)

    def log(self) -> SQLiteStreamLog:
        return SQLiteStreamLog(self.database, lease=LEASE, retention=SHORT)

    async def do(self, statement: str) -> list[Any]:
        return await self.database.write(lambda connection: connection.execute(statement).fetchall())

    async def age(self, table: str) -> None:
        column = {"stream_ends": "forget_at", "stream_keys": "created_at", "stream_workers": "seen_at"}[table]
        await self.do(f"UPDATE {table} SET {column} = {column} - 172800")


@pytest.fixture(params=["postgres", "sqlite"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    if request.param == "postgres":
        yield PostgresServer(request.getfixturevalue("postgres_database"))
        return
    made = SQLiteServer(tmp_path / "chat.db")
    yield made
    asyncio.run(made.database.close())


async def ended(log: StreamLog, count: int = 1) -> None:
    """Has turns of each kind begin, and end, with all that a log may keep of them."""
    for _ in range(count):
        for resumable in (True, False):
            state = State()
            info, writer = await open_turn(log, turn("thr_a", resumable=resumable, owner="ada"), state)
            await log.claim_key("ada", new_id("key"), replace(claim_of(info), fresh=True))
            for number in (1, 2, 3):
                state.seq = writer.append(event(number))
                await patient(writer.flush())
            await patient(writer.close(EndState.COMPLETED))


async def until_only(server: Server, idle: StreamLog, left: dict[str, int]) -> None:
    async with asyncio.timeout(scaled(10)):
        while await server.counts() != left:
            assert await idle.claim_interrupted() == []


async def test_what_is_over_goes_while_nobody_writes(server: Server) -> None:
    busy, idle = server.log(), server.log()
    assert await idle.claim_interrupted() == []
    assert await busy.claim_interrupted() == []
    await ended(busy, 3)
    dead, writer = await open_turn(busy, turn("thr_a", resumable=True, owner="ada"))
    writer.append(event(1))
    await patient(writer.flush())
    await busy.close()
    (found,) = await claimed_by(idle)
    assert found.info == dead
    await idle.settle(dead.id)
    # The ends of the turns that could be resumed, the keys, and perhaps the workers' rows are there for longer.
    left = {
        "stream_ends": 4,
        "stream_keys": 6,
        "stream_workers": (await server.counts())["stream_workers"],
    }
    await until_only(server, idle, left)
    for table in ("stream_ends", "stream_keys"):
        await server.age(table)
        del left[table]
        await until_only(server, idle, left)
    await server.age("stream_workers")
    await until_only(server, idle, {"stream_workers": 1})
    await idle.close()


async def test_one_sweep_deletes_a_bounded_number_and_the_next_ones_the_rest(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (postgres, sqlite_turns):
        monkeypatch.setattr(module, "FORGET_BATCH", 2)
    for module in (postgres, sqlite):
        monkeypatch.setattr(module, "FORGET_ROUNDS", 2)
    busy, idle = server.log(), server.log()
    assert await idle.claim_interrupted() == []
    assert await busy.claim_interrupted() == []
    await ended(busy, 6)
    await busy.close()
    for table in ("stream_ends", "stream_keys", "stream_workers"):
        await server.age(table)
    table = f"{server.schema}stream_turns"
    forget_at = "clock_timestamp()" if server.schema else "0"
    await server.do(f"UPDATE {table} SET forget_at = {forget_at}")
    left = [(await server.counts()).get("stream_keys", 0)]
    turns = [(await server.counts()).get("stream_turns", 0)]
    while left[-1]:
        assert await idle.claim_interrupted() == []
        counts = await server.counts()
        left.append(counts.get("stream_keys", 0))
        turns.append(counts.get("stream_turns", 0))
    assert left == [12, 8, 4, 0]
    assert turns == [12, 8, 4, 0]
    assert await server.counts() == {"stream_workers": 1}
    await idle.close()


async def test_what_cannot_be_deleted_keeps_nobodys_turn_from_being_claimed(server: Server) -> None:
    dead, idle = server.log(), server.log()
    make_backend = idle.make_backend

    def make() -> Backend:
        backend = make_backend()

        async def fails() -> None:
            raise StoreUnavailableError("The disk is full.")

        backend.forget_old = fails  # type: ignore[method-assign] -- as a full disk would
        return backend

    idle.make_backend = make  # type: ignore[method-assign]
    assert await idle.claim_interrupted() == []
    info, writer = await open_turn(dead, turn("thr_a", resumable=True))
    writer.append(event(1))
    await patient(writer.flush())
    await dead.close()
    (found,) = await claimed_by(idle)
    assert found.info == info
    await idle.settle(info.id)
    await idle.close()


async def test_the_text_of_a_deleted_thread_is_in_no_table(server: Server) -> None:
    busy, idle = server.log(), server.log()
    assert await idle.claim_interrupted() == []
    assert await busy.claim_interrupted() == []
    # They are kept for long.
    busy.retention = 300.0
    await ended(busy, 2)
    running, writer = await open_turn(busy, turn("thr_a", owner="ada"))
    writer.append(event(1))
    await patient(writer.flush())
    await idle.forget_thread(running.thread)
    counts = await server.counts()
    assert counts.keys().isdisjoint({"stream_turns", "stream_chunks"})
    # Two that can be sent again, and what tells the running one that it is over.
    assert counts["stream_ends"] == 3
    await patient(writer.close(EndState.COMPLETED))
    assert await server.counts() == counts
    await busy.close()
    await idle.close()


# Redis.


async def keys_of(client: Any, prefix: str) -> dict[str, int]:
    """Returns the keys, and for how many milliseconds they stay; -1 is for ever."""
    names = [key async for key in client.scan_iter(match=f"{prefix}*")]
    return {name.decode().removeprefix(prefix): await client.pttl(name) for name in names}


async def test_every_key_in_redis_has_an_end(redis_url: str) -> None:
    prefix = new_id("test") + ":"
    logs = [RedisStreamLog(redis_url, prefix=prefix, lease=LEASE) for _ in range(3)]
    leaving, dead, idle = logs
    await ended(leaving, 2)
    asked = asyncio.Event()
    info = turn("thr_b", resumable=True)
    stopped = await leaving.open(info, snapshot=lambda _: [], on_stop=asked.set)
    stopping = asyncio.ensure_future(idle.stop(info.id, None))
    await patient(asked.wait())
    await stopped.close(EndState.STOPPED)
    assert await patient(stopping)
    for thread_id in ("thr_a", "thr_c", "thr_d"):
        _, writer = await open_turn(dead, turn(thread_id, resumable=thread_id != "thr_d"))
        writer.append(event(1))
        await patient(writer.flush())
    left, writer = await open_turn(leaving, turn("thr_e", resumable=True))
    assert await patient(writer.hand_over())
    forgotten, writer = await open_turn(leaving, turn("thr_f", resumable=True))
    writer.append(event(1))
    await patient(writer.flush())
    await leaving.close()
    await dead.close()
    found: list[str] = []
    while len(found) < 5:
        for interrupted in await claimed_by(idle):
            found.append(interrupted.info.id)
            if interrupted.info.id == left.id:
                taken = await idle.take_over(interrupted, snapshot=lambda _: [b"state"], on_stop=lambda: None)
                assert taken is not None
                await patient(taken.close(EndState.COMPLETED))
            elif interrupted.info.id != forgotten.id:
                await idle.settle(interrupted.info.id, [b"end"])
    await idle.forget_thread(forgotten.thread)
    async with Redis.from_url(redis_url) as client, asyncio.timeout(scaled(20)):
        while await client.zrange(f"{prefix}workers", 0, -1) != [idle.holder().encode()]:
            assert await idle.claim_interrupted() == []
        keys = await keys_of(client, prefix)
        assert {name for name, ends in keys.items() if ends < 0} == {"epoch", "workers", "since"}
        assert await client.hkeys(f"{prefix}since") == [idle.holder().encode()]
    kinds = {name.partition(":")[0] for name in keys}
    assert kinds == {"epoch", "workers", "since", "turn", "events", "thread", "end", "key", "inbox"}
    await idle.close()


async def test_a_turn_in_redis_is_found_by_its_thread_for_as_long_as_it_is_kept(redis_url: str) -> None:
    prefix = new_id("test") + ":"
    log = RedisStreamLog(redis_url, prefix=prefix, lease=LEASE, retention=120.0)
    for resumable in (True, False):
        _, writer = await open_turn(log, turn("thr_a", resumable=resumable))
        await patient(writer.close(EndState.COMPLETED))
    async with Redis.from_url(redis_url) as client:
        keys = await keys_of(client, prefix)
    assert keys['thread:[null,"thr_a"]'] > 100_000
    await log.close()


async def test_the_text_of_a_deleted_thread_is_in_no_key(redis_url: str) -> None:
    prefix = new_id("test") + ":"
    busy, idle = (RedisStreamLog(redis_url, prefix=prefix, lease=LEASE) for _ in range(2))
    infos: list[TurnInfo] = []
    for _ in range(2):
        info, writer = await open_turn(busy, turn("thr_a", resumable=True, owner="ada"))
        writer.append(event(1))
        await patient(writer.close(EndState.COMPLETED))
        infos.append(info)
    running, writer = await open_turn(busy, turn("thr_a", owner="ada"))
    writer.append(event(1))
    await patient(writer.flush())
    await idle.forget_thread(running.thread)
    async with Redis.from_url(redis_url) as client:
        keys = set(await keys_of(client, prefix))
        ends = {f"end:{info.id}" for info in (*infos, running)}
        assert keys - {f"inbox:{busy.holder()}"} == {"epoch", "workers", "since"} | ends
        await patient(writer.close(EndState.COMPLETED))
        assert set(await keys_of(client, prefix)) - {f"inbox:{busy.holder()}"} == keys
    await busy.close()
    await idle.close()


async def test_a_reader_that_lacks_what_was_forgotten_is_not_told_of_a_good_end(redis_url: str) -> None:
    """It was slow: the turn's time was over before the reader had all of it."""
    prefix = new_id("test") + ":"
    writing, reading = (RedisStreamLog(redis_url, prefix=prefix, lease=60, retention=SHORT) for _ in range(2))
    info, writer = await open_turn(writing, turn("thr_a", resumable=True))
    writer.append(event(1))
    await patient(writer.flush())
    reader = await reader_of(reading, info)
    await patient(writer.close(EndState.COMPLETED))
    async with asyncio.timeout(scaled(10)):
        while await reading.find(info.id, None) is not None:
            await asyncio.sleep(SHORT)
        assert [entry async for ready in reader for entry in ready] == []
    assert reader.end is EndState.INTERRUPTED
    await writing.close()
    await reading.close()


async def test_a_reader_elsewhere_learns_soon_that_the_thread_was_deleted(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So long does it wait for a turn that a server may have lost.
    monkeypatch.setattr(Follower.doubt, "__kwdefaults__", {"leases": 1000})
    prefix = new_id("test") + ":"
    away, deleting, reading = (RedisStreamLog(redis_url, prefix=prefix, lease=LEASE) for _ in range(3))
    info, writer = await open_turn(away, turn("thr_a", resumable=True))
    writer.append(event(1))
    await patient(writer.flush())
    reader = await reader_of(reading, info)
    assert await patient(anext(reader))
    await deleting.forget_thread(info.thread)
    assert await patient(anext(reader, None)) is None
    assert reader.end is EndState.INTERRUPTED
    await patient(writer.close(EndState.COMPLETED))
    for log in (away, deleting, reading):
        await log.close()


def test_a_claim_says_nothing_of_the_text() -> None:
    """Why keys, and ends, may stay when a thread is deleted."""
    assert set(KeyClaim.__dataclass_fields__) == {
        "turn_id",
        "thread_id",
        "fingerprint",
        "fresh",
        "user_item_id",
    }
