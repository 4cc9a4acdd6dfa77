"""Workers that share a store and a log: what one of them runs, any other can follow, stop and wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from chatkit.errors import ThreadBusyError
from chatkit.ids import new_id
from chatkit.store import PostgresStore, SQLiteStore
from chatkit.streams.base import KeyClaim, ThreadKey
from chatkit.streams.postgres import PostgresStreamLog
from chatkit.streams.redis import RedisStreamLog
from tests.server.support import (
    LIMIT,
    ScriptedServer,
    added,
    decode,
    delta,
    done,
    drain,
    kinds,
    read,
    texts,
)

Make = Callable[..., ScriptedServer]
RESUMABLE = {"resumable": True}


@pytest.fixture(params=["redis", "postgres"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Returns what makes workers."""
    if request.param == "redis":
        url, prefix, path = (
            request.getfixturevalue("redis_url"),
            new_id("test") + ":",
            str(tmp_path / "chat.db"),
        )
        return lambda script=greet, **options: ScriptedServer(
            script, SQLiteStore(path), stream_log=RedisStreamLog(url, prefix=prefix), **options
        )
    database = request.getfixturevalue("postgres_database")
    return lambda script=greet, **options: ScriptedServer(
        script, PostgresStore(database), stream_log=PostgresStreamLog(database), **options
    )


async def greet(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    yield done("Hello!", "msg_2")


class Telling:
    """A handler that shows a text and goes on when it is allowed to."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def __call__(self, thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield added("One")
        yield delta(" two")
        await self.go_on.wait()
        yield delta(" three")
        yield done("One two three")


@pytest.fixture
def telling() -> Telling:
    return Telling()


async def begun(server: ScriptedServer) -> tuple[str, list[bytes], Any]:
    """Begins a turn and returns its thread, the frames up to its second word, and the stream."""
    result = await server.create(metadata=RESUMABLE)
    frames = await read(result.json_events, 5)
    assert b" two" in frames[-1]
    # Until the other workers can know of it.
    await server._chatkit_turns()._running[result.turn_id].writer.flush()
    return result.thread_id, frames, result


async def closed(*servers: ScriptedServer) -> None:
    for server in servers:
        await server.close()


async def test_a_turn_is_resumed_in_another_worker_exactly_once_from_every_cursor(
    make: Make, telling: Telling
) -> None:
    first, second = make(telling), make()
    thread_id, frames, result = await begun(first)
    assert (await second.ask("threads.get_by_id", thread_id=thread_id))["active_turn"]["id"] == result.turn_id
    cursors = [frame.split(b"\n")[0].removeprefix(b"id: ").decode() for frame in frames]
    readers = [await second.send("turns.resume", thread_id=thread_id, after=cursor) for cursor in cursors]
    reading = [asyncio.ensure_future(drain(reader)) for reader in readers]
    telling.go_on.set()
    rest = await drain(result.json_events)
    for number, got in enumerate(reading, 1):
        assert await got == frames[number:] + rest
    await closed(first, second)


async def test_a_stop_from_another_worker_returns_when_the_partial_text_is_stored(
    make: Make, telling: Telling
) -> None:
    first, second, third = make(telling), make(), make()
    thread_id, _, result = await begun(first)
    stopped, again = await asyncio.gather(
        second.ask("turns.stop", thread_id=thread_id),
        third.ask("turns.stop", thread_id=thread_id, turn_id=result.turn_id),
    )
    assert result.turn_id in stopped["stopped"] + again["stopped"]
    assert texts(await second.items(thread_id)) == ["One two"]
    assert (await second.ask("turns.stop", thread_id=thread_id))["stopped"] == []
    assert b'"status":"stopped"' in (await drain(result.json_events))[-1]
    await closed(first, second, third)


async def test_a_stop_that_names_another_turn_stops_nothing(make: Make, telling: Telling) -> None:
    first, second = make(telling), make()
    thread_id, _, result = await begun(first)
    assert (await second.ask("turns.stop", thread_id=thread_id, turn_id="turn_earlier"))["stopped"] == []
    telling.go_on.set()
    assert b'"status":"completed"' in (await drain(result.json_events))[-1]
    await closed(first, second)


async def test_a_busy_thread_is_busy_for_all_workers(make: Make, telling: Telling) -> None:
    first, second = make(telling), make(concurrency="reject")
    thread_id, _, result = await begun(first)
    with pytest.raises(ThreadBusyError):
        await second.say(thread_id)
    telling.go_on.set()
    await drain(result.json_events)
    assert texts(decode_items(await drain(await second.say(thread_id, metadata=RESUMABLE)))) == ["Hello!"]
    await closed(first, second)


def decode_items(frames: list[bytes]) -> list[Any]:
    """Returns the assistant's messages among the items that were done."""
    from pydantic import TypeAdapter

    from chatkit.types import ThreadItem

    items = [event["item"] for event in decode(frames) if event["type"] == "thread.item.done"]
    return [TypeAdapter(ThreadItem).validate_python(item) for item in items]


async def test_a_message_waits_for_the_turn_of_another_worker(make: Make, telling: Telling) -> None:
    first, second = make(telling), make(concurrency="enqueue")
    thread_id, _, result = await begun(first)
    queued = asyncio.ensure_future(drain(await second.say(thread_id, metadata=RESUMABLE)))
    await asyncio.sleep(0)
    assert not queued.done()
    telling.go_on.set()
    await drain(result.json_events)
    await queued
    assert texts(await second.items(thread_id)) == ["One two three", "Hello!"]
    await closed(first, second)


async def test_a_message_interrupts_the_turn_of_another_worker(make: Make, telling: Telling) -> None:
    first, second = make(telling), make(concurrency="interrupt")
    thread_id, _, result = await begun(first)
    async with asyncio.timeout(LIMIT):
        await drain(await second.say(thread_id, metadata=RESUMABLE))
    assert texts(await second.items(thread_id)) == ["One two", "Hello!"]
    assert b'"status":"stopped"' in (await drain(result.json_events))[-1]
    await closed(first, second)


async def test_a_message_that_is_sent_again_to_another_worker_is_the_same_turn(
    make: Make, telling: Telling
) -> None:
    key = {"idempotency_key": "k1", "resumable": True}
    first, second = make(telling), make()
    result = await first.create(metadata=key)
    again = await second.create(metadata=key)
    assert again.turn_id == result.turn_id
    telling.go_on.set()
    assert decode(await drain(again)) == decode(await drain(result))
    await closed(first, second)


async def test_a_message_that_is_sent_again_while_its_worker_makes_room_for_it_is_the_same_turn(
    make: Make,
) -> None:
    """The first worker has bound the key, and waits for an earlier turn to be stopped: nobody knows its own yet."""
    leaving, left = asyncio.Event(), asyncio.Event()

    async def slow_to_leave(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield added("One")
        yield delta(" two")
        try:
            await asyncio.Event().wait()
        finally:
            leaving.set()
            await left.wait()

    running, first, second = make(slow_to_leave), make(concurrency="interrupt"), make(concurrency="interrupt")
    thread_id, _, result = await begun(running)
    key = {"idempotency_key": "k1", "resumable": True}
    sent = asyncio.ensure_future(first.say(thread_id, metadata=key))
    async with asyncio.timeout(LIMIT):
        await leaving.wait()
        again = asyncio.ensure_future(second.say(thread_id, metadata=key))
        while not await knows_key(second, again):
            await asyncio.sleep(0.01)
        left.set()
        streams = await asyncio.gather(sent, again)
    assert len({stream.turn_id for stream in streams}) == 1
    for stream in (*streams, result):
        await drain(stream)
    items = await second.items(thread_id)
    assert [item.type for item in items].count("user_message") == 2
    assert texts(items) == ["One two", "Hello!"]
    await closed(running, first, second)


async def knows_key(server: ScriptedServer, sending: asyncio.Future[Any]) -> bool:
    """Whether the second sending has asked twice for the turn that the key is bound to, or is over."""
    log = server._chatkit_turns().log
    if not hasattr(log, "asked"):
        log.asked = 0
        ended = log.ended

        async def counted(claim: KeyClaim) -> Any:
            log.asked += 1
            return await ended(claim)

        log.ended = counted
    return sending.done() or log.asked >= 4


@pytest.mark.parametrize("waits", ["turns.stop", "enqueue"])
async def test_who_asks_a_worker_that_leaves_its_turn_to_another_waits_for_that_one(
    redis_url: str, tmp_path: Path, telling: Telling, waits: str
) -> None:
    lease, prefix = 0.5, new_id("test") + ":"

    def made() -> ScriptedServer:
        log = RedisStreamLog(redis_url, prefix=prefix, lease=lease)
        server = ScriptedServer(
            telling,
            SQLiteStore(str(tmp_path / "chat.db")),
            stream_log=log,
            rerun_on_crash=1,
            concurrency="enqueue",
        )
        server.dump_context = server.load_context = lambda context: context
        return server

    first, second = made(), made()
    thread_id, _, result = await begun(first)
    turn = first._chatkit_turns()._running[result.turn_id]
    # It leaves while somebody waits for it.
    if waits == "turns.stop":
        turn.request_stop("shutdown")
        asking = asyncio.ensure_future(first.ask("turns.stop", thread_id=thread_id))
    else:
        queued = await first.say(thread_id, metadata=RESUMABLE)
        asking = asyncio.ensure_future(drain(queued))
        turn.request_stop("shutdown")
    await turn.wait_finished()
    assert turn.moved
    async with asyncio.timeout(LIMIT):
        while not await second.recover():
            await asyncio.sleep(0.02)
    if waits == "turns.stop":
        assert (await asking)["stopped"] == [result.turn_id]
        assert await second._chatkit_turns().log.active(ThreadKey("ada", thread_id)) == []
    else:
        assert not asking.done()
        assert texts(await second.items(thread_id)) == []
        telling.go_on.set()
        await asking
        # Both answers, though the handler gave them the same id.
        assert texts(await second.items(thread_id)) == ["One two three"] * 2
    await closed(first, second)


async def test_a_reader_that_gives_a_turn_up_is_told_that_it_may_be_tried_again(
    make: Make, telling: Telling
) -> None:
    first, second = make(telling), make()
    thread_id, frames, result = await begun(first)
    cursor = frames[-1].split(b"\n")[0].removeprefix(b"id: ").decode()
    reader = await second.send("turns.resume", thread_id=thread_id, after=cursor)
    # As where no worker is there to end it.
    reader._feed._reader.give_up()
    told = await drain(reader)
    assert kinds(decode(told)) == ["error"]
    assert b'"allow_retry":true' in told[0]
    assert b'"status":"interrupted"' in told[-1]
    telling.go_on.set()
    await drain(result.json_events)
    await closed(first, second)
