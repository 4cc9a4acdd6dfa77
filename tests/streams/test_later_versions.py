"""Records to which a later version of the package has added a field: a worker of this one reads them all the same."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from chatkit._sqlite import Database
from chatkit.ids import new_id
from chatkit.streams import EndState, SQLiteStreamLog, StreamLog, TurnInfo
from chatkit.streams.backend import SEPARATOR, decode_parts, encode_parts
from chatkit.streams.base import KeyClaim, StatePart
from chatkit.streams.postgres import PostgresStreamLog
from chatkit.streams.records import dump_claim, dump_info, load_claim, load_end, load_info
from chatkit.streams.redis import RedisStreamLog
from chatkit.testing._log_base import (
    claim_of,
    entries,
    event,
    open_turn,
    patient,
    reader_of,
    rest_of,
    turn,
)
from tests.streams.test_rolling import claimed
from tests.support.scale import scaled

LEASE = 0.5
INFO = TurnInfo(
    "turn_1", "thr_a", "ada", resumable=True, user_item_id="msg_1", context="{}", attempt=2, base=7
)
CLAIM = KeyClaim("turn_1", "thr_a", "body", fresh=False, user_item_id="msg_1")


def test_a_turn_and_a_claim_are_read_without_the_fields_of_a_later_version() -> None:
    info = json.loads(dump_info(INFO)) | {"later": {"a": 1}}
    assert load_info(json.dumps(info)) == INFO
    assert load_claim(json.dumps([*json.loads(dump_claim(CLAIM)), "later"])) == CLAIM


def test_what_an_earlier_version_did_not_write_has_its_default() -> None:
    loaded = load_info('{"id":"turn_1","thread_id":"thr_a"}')
    assert loaded == TurnInfo("turn_1", "thr_a", started_at=loaded.started_at)
    assert load_claim('["turn_1","thr_a","body"]') == replace(CLAIM, user_item_id=None)


def test_an_end_of_a_later_version_is_an_interruption() -> None:
    assert [load_end(text) for text in (None, "", "completed", "later")] == [
        None,
        None,
        EndState.COMPLETED,
        EndState.INTERRUPTED,
    ]


def test_a_state_is_read_up_to_what_a_later_version_has_added() -> None:
    parts = [StatePart(1, 2, b"a", b"b", b"c"), StatePart(0, 3, b"", b"", b"d")]
    for written in ([], parts):
        data = encode_parts(written)
        later = SEPARATOR.join([*([data] if data else []), b"", b"later", b"2"])
        assert decode_parts(data) == decode_parts(later) == written


class Server(ABC):
    """A server of a log, whose records can be changed as a later version might write them."""

    @abstractmethod
    def log(self) -> StreamLog: ...

    @abstractmethod
    async def extend(self, info: TurnInfo, holder: str) -> None:
        """Adds a field to every record of a turn, and an event with one more field, numbered 2."""

    @abstractmethod
    async def extend_key(self) -> None:
        """Adds a field to the claim of the key ``key`` of ada."""

    @abstractmethod
    async def ask_to_stop(self, info: TurnInfo, holder: str) -> None:
        """Asks a turn to stop, and says one thing more."""

    @abstractmethod
    async def end(self, info: TurnInfo) -> None:
        """Has a turn ended in a way of its own."""


class RedisServer(Server):
    def __init__(self, url: str) -> None:
        self.url, self.prefix = url, new_id("test") + ":"
        self.client: Any = None

    def log(self) -> RedisStreamLog:
        return RedisStreamLog(self.url, prefix=self.prefix, lease=LEASE)

    async def _do(self, *command: Any) -> Any:
        async with Redis.from_url(self.url) as client:
            return await client.execute_command(*command)

    async def extend(self, info: TurnInfo, holder: str) -> None:
        record = json.loads(dump_info(info)) | {"later": 1}
        await self._do("HSET", f"{self.prefix}turn:{info.id}", "i", json.dumps(record), "z", "later", "l", 2)
        await self._do("XADD", f"{self.prefix}events:{info.id}", "2-0", "z", "later", "f", 2, "d", event(2))

    async def extend_key(self) -> None:
        key = f'{self.prefix}key:["ada","key"]'
        await self._do("SET", key, json.dumps([*json.loads(await self._do("GET", key)), "later"]))

    async def ask_to_stop(self, info: TurnInfo, holder: str) -> None:
        await self._do("XADD", f"{self.prefix}inbox:{holder}", "*", "z", "later", "s", info.id)

    async def end(self, info: TurnInfo) -> None:
        await self._do("HSET", f"{self.prefix}turn:{info.id}", "e", "later")
        await self._do("SET", f"{self.prefix}end:{info.id}", "later")
        await self._do("XADD", f"{self.prefix}events:{info.id}", "2-1", "e", "later", "z", "later")


class PostgresServer(Server):
    def __init__(self, url: str) -> None:
        self.url = url

    def log(self) -> PostgresStreamLog:
        return PostgresStreamLog(self.url, lease=LEASE)

    async def _do(self, statement: str, *arguments: Any) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(statement, *arguments)
        finally:
            await connection.close()

    async def extend(self, info: TurnInfo, holder: str) -> None:
        for table in ("turns", "chunks", "keys", "ends", "workers"):
            await self._do(f"ALTER TABLE chatkit.stream_{table} ADD COLUMN IF NOT EXISTS later INT DEFAULT 1")
        record = json.dumps(json.loads(dump_info(info)) | {"later": 1})
        await self._do(
            "UPDATE chatkit.stream_turns SET info = $2, last_seq = 2 WHERE id = $1", info.id, record
        )
        await self._do(
            "INSERT INTO chatkit.stream_chunks (turn_id, first_seq, last_seq, events) VALUES ($1, 2, 2, $2)",
            info.id,
            event(2),
        )
        await self._do("SELECT pg_notify('chatkit_streams', $1)", f"{info.id} later")

    async def extend_key(self) -> None:
        change = """
            UPDATE chatkit.stream_keys SET claim = json_build_array(
                claim::json ->> 0, ((claim::json ->> 1)::jsonb || '["later"]'::jsonb)::text, 'later'
            )
        """
        await self._do(change)

    async def ask_to_stop(self, info: TurnInfo, holder: str) -> None:
        await self._do("SELECT pg_notify('chatkit_streams', $1)", f"!{info.id} later")

    async def end(self, info: TurnInfo) -> None:
        ended = "ended = 'later', forget_at = clock_timestamp() + interval '1 hour'"
        await self._do(f"UPDATE chatkit.stream_turns SET {ended} WHERE id = $1", info.id)
        await self._do(
            "INSERT INTO chatkit.stream_ends VALUES ($1, 'later', clock_timestamp() + interval '1 hour')",
            info.id,
        )


@pytest.fixture(params=["redis", "postgres"])
def server(request: pytest.FixtureRequest) -> Server:
    if request.param == "redis":
        return RedisServer(request.getfixturevalue("redis_url"))
    return PostgresServer(request.getfixturevalue("postgres_database"))


async def begun(server: Server) -> tuple[Any, TurnInfo, Any]:
    """Returns a worker, and its turn, whose records have a field more than this version knows."""
    log: Any = server.log()
    info, writer = await open_turn(log, turn("thr_a", resumable=True, owner="ada"))
    writer.append(event(1))
    await patient(writer.flush())
    await server.extend(info, log.holder())
    return log, info, writer


async def test_a_turn_of_a_later_version_is_found_read_and_ended(server: Server) -> None:
    later, info, writer = await begun(server)
    log = server.log()
    assert await log.active(info.thread) == [info]
    assert await log.latest(info.thread) == await log.find(info.id, "ada") == info
    reader = await reader_of(log, info, 0)
    assert await patient(anext(reader)) == entries(1, 2)
    await patient(writer.close(EndState.COMPLETED))
    assert await rest_of(reader) == []
    assert reader.end is EndState.COMPLETED
    await later.close()
    await log.close()


async def test_a_turn_of_a_later_version_is_recovered(server: Server) -> None:
    later, info, _ = await begun(server)
    await later.close()
    log = server.log()
    found = (await claimed(log, 1))["ada"]
    assert (found.info, found.entries) == (info, entries(1, 2))
    again = replace(found, info=replace(found.info, attempt=2))
    writer = await log.take_over(again, snapshot=lambda _: [b"state"], on_stop=lambda: None)
    assert writer is not None
    await patient(writer.close(EndState.INTERRUPTED))
    assert await log.active(info.thread) == []
    await log.close()


async def test_an_end_of_a_later_version_ends_the_turn_here(server: Server) -> None:
    later, info, _ = await begun(server)
    await server.end(info)
    log = server.log()
    assert await log.active(info.thread) == []
    reader = await reader_of(log, info, 0)
    assert await rest_of(reader) == entries(1, 2)
    assert reader.end is EndState.INTERRUPTED
    assert await log.ended(claim_of(info)) is EndState.INTERRUPTED
    await later.close()
    await log.close()


async def test_a_request_to_stop_of_a_later_version_is_heard(server: Server) -> None:
    log: Any = server.log()
    asked = asyncio.Event()
    info = turn("thr_a")
    writer = await log.open(info, snapshot=lambda _: [], on_stop=asked.set)
    async with asyncio.timeout(scaled(20)):
        while not asked.is_set():
            # Until somebody listens.
            await server.ask_to_stop(info, log.holder())
            await asyncio.sleep(0.05)
    await writer.close(EndState.STOPPED)
    await log.close()


async def test_a_claim_of_a_later_version_is_met_and_released(server: Server) -> None:
    log = server.log()
    claim = KeyClaim("turn_1", "thr_a", "body", fresh=True)
    assert await log.claim_key("ada", "key", claim) == claim
    await server.extend_key()
    held = await log.claim_key("ada", "key", replace(claim, turn_id="turn_2"))
    assert held == replace(claim, fresh=False)
    await log.release_key("ada", "key", replace(claim, turn_id="turn_"))
    assert not (await log.claim_key("ada", "key", claim)).fresh
    await log.release_key("ada", "key", held)
    assert (await log.claim_key("ada", "key", claim)).fresh
    await log.close()


async def test_tables_of_sqlite_may_have_further_columns(tmp_path: Path) -> None:
    database = Database(tmp_path / "chat.db")

    def extend(connection: Any) -> None:
        for table in ("stream_turns", "stream_chunks", "stream_keys"):
            connection.execute(f"ALTER TABLE {table} ADD COLUMN later INTEGER NOT NULL DEFAULT 1")

    await database.write(extend)
    log, other = SQLiteStreamLog(database), SQLiteStreamLog(database)
    info, writer = await open_turn(log, turn("thr_a", resumable=True, owner="ada"))
    writer.append(event(1))
    await patient(writer.flush())
    await database.write(
        lambda connection: connection.execute("UPDATE stream_turns SET lease_expires_at = 0").rowcount
    )
    (found,) = await other.claim_interrupted()
    assert (found.info, found.entries) == (info, entries(1, 1))
    await other.settle(info.id)
    claim = KeyClaim("turn_1", "thr_a", "body", fresh=True)
    assert (await log.claim_key("ada", "key", claim)).fresh
    assert await other.claim_key("ada", "key", claim) == replace(claim, fresh=False)
    await writer.close(EndState.INTERRUPTED)
    await database.close()
