"""What stays of the turns of a thread that is deleted: nothing, but for what a log that is away keeps for a while."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from chatkit.errors import InvalidRequestError, NotFoundError, StoreUnavailableError
from chatkit.ids import new_id
from chatkit.store import MemoryStore, PostgresStore, SQLiteStore
from chatkit.streams import MemoryStreamLog, ThreadKey
from chatkit.streams.redis import RedisStreamLog
from tests.server.support import ADA, LIMIT, ScriptedServer, added, delta, done, drain, read, writes_apart
from tests.support.redis import redis_server

RESUMABLE = {"resumable": True}
Make = Callable[..., ScriptedServer]


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Returns what makes workers; in memory it is one."""
    if request.param == "memory":
        alone = ScriptedServer(hello, MemoryStore(), stream_log=MemoryStreamLog())
        return lambda: alone
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_database")
        return lambda: ScriptedServer(hello, PostgresStore(url))
    path = str(tmp_path / "chat.db")
    if request.param == "sqlite":
        return lambda: ScriptedServer(hello, SQLiteStore(path))
    url, prefix = request.getfixturevalue("redis_url"), new_id("test") + ":"
    return lambda: ScriptedServer(hello, SQLiteStore(path), stream_log=RedisStreamLog(url, prefix=prefix))


async def hello(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    yield done("A secret", "msg_2")


async def waiting(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    yield added("A")
    yield delta(" secret")
    await asyncio.Event().wait()


async def is_gone(server: ScriptedServer, thread_id: str, turn_id: str) -> None:
    log = server._chatkit_turns().log
    assert await log.find(turn_id, "ada") is None
    assert await log.read(turn_id, "ada", None) is None
    assert await log.latest(ThreadKey("ada", thread_id)) is None
    with pytest.raises(NotFoundError):
        await server.send("turns.resume", thread_id=thread_id)


async def test_a_thread_goes_with_the_streams_of_its_turns(make: Make) -> None:
    first, second = make(), make()
    await second.recover()
    ended = await first.create(metadata=RESUMABLE)
    await drain(ended)
    other = await first.create(metadata=RESUMABLE)
    await drain(other)
    # The next one runs.
    first.script = waiting
    running = await first.say(ended.thread_id, metadata=RESUMABLE)
    await read(running.json_events, 3)
    assert await first.ask("threads.delete", thread_id=ended.thread_id) == {}
    await drain(running)
    for server in (first, second):
        for turn_id in (ended.turn_id, running.turn_id):
            await is_gone(server, ended.thread_id, turn_id)
        assert await server._chatkit_turns().log.find(other.turn_id, "ada") is not None
    for server in {first, second}:
        await server.close()


async def test_a_worker_deletes_the_streams_of_another_ones_turns(make: Make) -> None:
    running, deleting, third = make(), make(), make()
    running.script = waiting
    await deleting.recover()
    result = await running.create(metadata=RESUMABLE)
    frames = await read(result.json_events, 5)
    assert b"secret" in frames[-1]
    await running._chatkit_turns()._running[result.turn_id].writer.flush()
    assert await deleting.ask("threads.delete", thread_id=result.thread_id) == {}
    await drain(result.json_events)
    for server in (deleting, third):
        await is_gone(server, result.thread_id, result.turn_id)
    with pytest.raises(NotFoundError):
        await running.send("turns.resume", thread_id=result.thread_id)
    for server in {running, deleting, third}:
        await server.close()


async def test_a_log_that_is_away_keeps_no_thread_from_being_deleted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_server() as redis:
        log = RedisStreamLog(redis.url, timeout=1, lease=0.5)
        server = ScriptedServer(hello, SQLiteStore(str(tmp_path / "chat.db")), stream_log=log)
        ended = await server.create(metadata=RESUMABLE)
        await drain(ended)
        server.script = waiting
        running = await server.say(ended.thread_id, metadata=RESUMABLE)
        await read(running.json_events, 3)
        await asyncio.to_thread(redis.stop)
        with caplog.at_level(logging.WARNING, "chatkit.server"):
            assert await server.ask("threads.delete", thread_id=ended.thread_id) == {}
        told = [record for record in caplog.records if record.name == "chatkit.server"]
        assert [record.levelno for record in told] == [logging.WARNING]
        assert "its stream log keeps of it goes when its time is over" in told[0].getMessage()
        async with asyncio.timeout(LIMIT):
            # What ran here was stopped.
            await drain(running)
        assert server._chatkit_turns()._running == {}
        assert log.kept_bytes_of("ada") == 0
        with pytest.raises(NotFoundError):
            await server.store.load_thread(ended.thread_id, ADA)
        await asyncio.to_thread(redis.start)
        await server.close()


KEY = {"idempotency_key": "k1"}


async def test_a_message_that_is_sent_again_does_not_bring_its_thread_back(make: Make) -> None:
    """A client that was offline sends what began a thread, which its user has deleted on another device since."""
    first, second = make(), make()
    result = await first.create(metadata=KEY | RESUMABLE)
    thread_id = result.thread_id
    await drain(result)
    said = await first.say(thread_id, metadata={"idempotency_key": "k2"})
    await drain(said)
    assert await second.ask("threads.delete", thread_id=thread_id) == {}
    for server in (first, second):
        with pytest.raises(NotFoundError):
            await server.create(metadata=KEY | RESUMABLE)
        with pytest.raises(NotFoundError):
            await server.say(thread_id, metadata={"idempotency_key": "k2"})
        with pytest.raises(InvalidRequestError):
            await server.create("Another", metadata=KEY)
    assert (await second.ask("threads.list"))["data"] == []
    # A message with a key of its own is a new one.
    await drain(await second.create(metadata={"idempotency_key": "k3"}))
    assert len((await second.ask("threads.list"))["data"]) == 1
    for server in {first, second}:
        await server.close()


async def test_one_that_was_never_begun_does_not_either() -> None:
    store = MemoryStore[Any]()
    server = ScriptedServer(hello, store)

    async def dies(*_: Any, **__: Any) -> Any:
        raise asyncio.CancelledError

    # A worker accepts it and dies; a sweep ends what it accepted, which stays in the thread.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryStreamLog, "open", dies)
        patch.setattr(MemoryStore, "withdraw_turn", dies)
        with pytest.raises(asyncio.CancelledError):
            await server.create(metadata=KEY)
    (thread,) = (await server.ask("threads.list"))["data"]
    accepted = await store.find_keyed_turn("k1", ADA)
    assert accepted is not None
    await store.finish_turn(accepted.turn_id, accepted.token, "interrupted", ADA)
    assert await server.ask("threads.delete", thread_id=thread["id"]) == {}
    with pytest.raises(NotFoundError):
        await server.create(metadata=KEY)
    assert (await server.ask("threads.list"))["data"] == []


async def test_a_store_whose_keys_are_in_the_log_brings_no_thread_back_either() -> None:
    server = ScriptedServer(hello, writes_apart(MemoryStore()), stream_log=MemoryStreamLog())
    result = await server.create(metadata=KEY)
    await drain(result)
    assert await server.ask("threads.delete", thread_id=result.thread_id) == {}
    with pytest.raises(NotFoundError):
        await server.create(metadata=KEY)
    assert (await server.ask("threads.list"))["data"] == []


async def test_a_store_that_is_away_keeps_the_thread_and_its_streams() -> None:
    server = ScriptedServer(hello, MemoryStore(), stream_log=MemoryStreamLog())
    ended = await server.create(metadata=RESUMABLE)
    await drain(ended)

    async def fails(thread_id: str, context: Any) -> None:
        raise StoreUnavailableError("The disk is full.")

    server.store.delete_thread = fails
    with pytest.raises(StoreUnavailableError):
        await server.send("threads.delete", thread_id=ended.thread_id)
    assert await drain(await server.send("turns.resume", thread_id=ended.thread_id))
    await server.close()
