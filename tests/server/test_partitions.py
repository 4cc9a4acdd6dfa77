"""A worker that the network cuts off from the server of its log: others take its turns, and its readers find them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatkit.errors import StoreUnavailableError
from chatkit.ids import new_id
from chatkit.store import SQLiteStore
from chatkit.streams.redis import RedisStreamLog
from tests.server.support import (
    LIMIT,
    ScriptedServer,
    added,
    all_texts,
    decode,
    delta,
    done,
    drain,
    kinds,
    read,
    texts,
)
from tests.support.network import Network, network
from tests.support.scale import lasting

# Longer than a busy machine takes to answer.
LEASE = lasting(2.0)
TIMEOUT = lasting(1.2)


@pytest.fixture
def wires() -> Iterator[Network]:
    with network() as made:
        yield made


async def script(thread: Any, message: Any, context: Any) -> Any:
    """Answers a part, and no more."""
    yield added("One")
    yield delta(" two")
    await asyncio.Event().wait()


def worker(
    url: str,
    prefix: str,
    folder: Path,
    script: Any,
    *,
    kind: type[ScriptedServer] = ScriptedServer,
    **options: Any,
) -> ScriptedServer:
    """Returns a worker of those that share a database in a folder, and a log under a prefix."""
    log = RedisStreamLog(url, prefix=prefix, lease=LEASE, timeout=TIMEOUT)
    return kind(script, SQLiteStore(str(folder / "chat.db")), stream_log=log, **options)


@pytest.mark.parametrize("way", ["cut", "black_hole"])
@pytest.mark.parametrize("heals", ["before the answer is done", "after"])
@pytest.mark.parametrize("stores_more", [True, False])
async def test_its_readers_are_neither_told_of_a_failure_nor_of_an_end_that_is_not_theirs(
    stores_more: bool, way: str, heals: str, redis_url: str, wires: Network, tmp_path: Path
) -> None:
    link, prefix = wires.link(redis_url), new_id("test") + ":"
    go_on = asyncio.Event()

    async def script(thread: Any, message: Any, context: Any) -> Any:
        yield added("One")
        yield delta(" two")
        if stores_more:
            await go_on.wait()
            yield delta(" three")
            yield done("One two three")
        else:
            yield done("One two")
            await go_on.wait()

    far, near = (worker(url, prefix, tmp_path, script) for url in (link.url(redis_url), redis_url))
    result = await far.create(metadata={"resumable": True})
    frames = await read(result.json_events, 5 if stores_more else 6)
    await far._chatkit_turns()._running[result.turn_id].writer.flush()
    getattr(link, way)()
    async with asyncio.timeout(LIMIT):
        while not await near.recover():
            await asyncio.sleep(0.02)
    if heals == "before the answer is done":
        link.heal()
    go_on.set()
    async with asyncio.timeout(LIMIT):
        rest = await drain(result.json_events)
    assert not any(b"turn.end" in frame for frame in rest)
    assert set(kinds(decode(rest))) <= {"thread.item.updated"}, "no error: it goes on elsewhere"
    cursor = [frame for frame in frames + rest if frame.startswith(b"id: ")][-1].split(b"\n")[0]
    again = await near.send(
        "turns.resume", thread_id=result.thread_id, after=cursor.removeprefix(b"id: ").decode()
    )
    told = await drain(again)
    assert kinds(decode(told)) == ["thread.item.done", "error"][not stores_more :]
    assert b'"status":"interrupted"' in told[-1]
    assert texts(await near.items(result.thread_id)) == ["One two"]
    link.heal()
    await far.close()
    await near.close()


async def test_a_worker_whose_turn_another_one_has_claimed_does_not_say_how_it_ended(
    redis_url: str, wires: Network, tmp_path: Path
) -> None:
    """It would say that it was cut off, and the other one, which has its text, would keep nothing of it."""
    link, prefix = wires.link(redis_url), new_id("test") + ":"

    far, near = (worker(url, prefix, tmp_path, script) for url in (link.url(redis_url), redis_url))
    result = await far.create(metadata={"resumable": True})
    frames = await read(result.json_events, 5)
    turn = far._chatkit_turns()._running[result.turn_id]
    await turn.writer.flush()
    link.cut()
    async with asyncio.timeout(LIMIT):
        # And stands still before it has ended it.
        while not await near._chatkit_turns().log.claim_interrupted():
            await asyncio.sleep(0.02)
        link.heal()
        assert not any(b"turn.end" in frame for frame in await drain(result.json_events))
        await turn.wait_finished()
        while not await near.recover():
            await asyncio.sleep(0.02)
    assert texts(await near.items(result.thread_id)) == ["One two"]
    cursor = frames[-1].split(b"\n")[0].removeprefix(b"id: ").decode()
    told = await drain(await near.send("turns.resume", thread_id=result.thread_id, after=cursor))
    assert kinds(decode(told)) == ["thread.item.done", "error"]
    assert b'"status":"interrupted"' in told[-1]
    await far.close()
    await near.close()


async def test_a_turn_whose_end_cannot_be_stored_is_not_told_as_ended(
    redis_url: str, wires: Network, tmp_path: Path
) -> None:
    """Its thread is taken still: who is told of the end, and sends the next message, would be refused."""
    link, prefix = wires.link(redis_url), new_id("test") + ":"

    far, near = (
        worker(url, prefix, tmp_path, script, concurrency="reject")
        for url in (link.url(redis_url), redis_url)
    )
    result = await far.create(metadata={"resumable": True})
    await read(result.json_events, 5)
    await far._chatkit_turns()._running[result.turn_id].writer.flush()
    link.cut()
    store: Any = near.store
    end_turn, asked = store.end_turn, asyncio.Event()

    async def away(*_: Any) -> None:
        asked.set()
        raise StoreUnavailableError("The database is away.")

    store.end_turn = away
    async with asyncio.timeout(LIMIT):
        while not asked.is_set():
            assert await near.recover() == 0
            await asyncio.sleep(0.02)
        info = await near._chatkit_turns().log.find(result.turn_id, "ada")
        assert [info] == await near._chatkit_turns().log.active(info.thread)
        store.end_turn = end_turn
        while not await near.recover():
            await asyncio.sleep(0.02)
    assert texts(await near.items(result.thread_id)) == ["One two"]
    told = await drain(await near.send("turns.resume", thread_id=result.thread_id))
    assert kinds(decode(told))[-2:] == ["thread.item.done", "error"]
    assert b'"status":"interrupted"' in told[-1]
    link.heal()
    await drain(result.json_events)
    await far.close()
    await near.close()


@pytest.mark.parametrize("key", [None, "one"])
async def test_a_stream_that_cannot_come_back_is_told_what_the_other_worker_has_kept(
    key: str | None, redis_url: str, wires: Network, tmp_path: Path
) -> None:
    """Its page would show more than is stored, or an item that never ends."""
    link, prefix = wires.link(redis_url), new_id("test") + ":"

    far, near = (worker(url, prefix, tmp_path, script) for url in (link.url(redis_url), redis_url))
    result = await far.create(metadata={} if key is None else {"idempotency_key": key})
    told = await read(result.json_events, 5)
    turn = far._chatkit_turns()._running[result.turn_id]
    await turn.writer.flush()
    link.cut()
    async with asyncio.timeout(LIMIT):
        while not await near.recover():
            await asyncio.sleep(0.02)
        link.heal()
        told += await drain(result.json_events)
    assert kinds(decode(told))[-3:] == ["thread.item.updated", "thread.item.done", "error"]
    assert decode(told)[-2]["item"]["content"][0]["text"] == "One two"
    assert decode(told)[-1]["reason"] == "interrupted"
    assert texts(await near.items(result.thread_id)) == ["One two"]
    await far.close()
    await near.close()


class Rerunning(ScriptedServer):
    """Runs turns of dead workers again."""

    def dump_context(self, context: Any) -> Any:
        return context

    def load_context(self, data: Any) -> Any:
        return data


async def test_a_stream_that_cannot_come_back_reads_the_answer_that_is_made_anew(
    redis_url: str, wires: Network, tmp_path: Path
) -> None:
    link, prefix = wires.link(redis_url), new_id("test") + ":"

    def made(url: str, answer: str, *, ends: bool) -> ScriptedServer:
        async def script(thread: Any, message: Any, context: Any) -> Any:
            yield added(answer)
            yield delta(" more")
            if not ends:
                await asyncio.Event().wait()
            yield done(answer + " more")

        options: Any = {"kind": Rerunning, "rerun_on_crash": 1, "on_disconnect": "continue"}
        return worker(url, prefix, tmp_path, script, **options)

    far, near = made(link.url(redis_url), "First", ends=False), made(redis_url, "Second", ends=True)
    result = await far.create(metadata={"idempotency_key": "one"})
    told = await read(result.json_events, 5)
    await far._chatkit_turns()._running[result.turn_id].writer.flush()
    link.cut()
    async with asyncio.timeout(LIMIT):
        while not await near.recover():
            await asyncio.sleep(0.02)
        link.heal()
        told += await drain(result.json_events)
    events = decode(told)
    assert not [event for event in events if event["type"] == "error"]
    assert events[-1]["item"]["content"][0]["text"] == "Second more"
    first = next(event for event in events if event["type"] == "thread.item.added")
    assert {"type": "thread.item.removed", "item_id": first["item"]["id"]} in events
    assert texts(await near.items(result.thread_id)) == ["Second more"]
    await far.close()
    await near.close()


async def test_a_message_that_waits_takes_no_place_once_another_worker_has_claimed_its_turn(
    redis_url: str, wires: Network, tmp_path: Path
) -> None:
    """It would stand in the thread before the answer that it waits for."""
    link, prefix = wires.link(redis_url), new_id("test") + ":"

    async def script(thread: Any, message: Any, context: Any) -> Any:
        yield added("Answer")
        yield delta(" to one")
        await asyncio.Event().wait()

    far, near = (
        worker(url, prefix, tmp_path, script, concurrency="enqueue")
        for url in (link.url(redis_url), redis_url)
    )
    first = await far.create("one", metadata={"resumable": True})
    await read(first.json_events, 5)
    second = await far.say(first.thread_id, "two", metadata={"resumable": True})
    turns = far._chatkit_turns()._running
    running, waiting = turns[first.turn_id], turns[second.turn_id]
    await running.writer.flush()
    await waiting.writer.flush()
    link.cut()
    async with asyncio.timeout(LIMIT):
        claimed = list[Any]()
        # And stands still before it has looked at any of them.
        while len(claimed) < 2:
            claimed += await near._chatkit_turns().log.claim_interrupted()
            await asyncio.sleep(0.02)
        link.heal()
        await waiting.wait_finished()
        await running.wait_finished()
        assert all_texts(await near.items(first.thread_id)) == ["one"]
        while len(await near.items(first.thread_id)) < 3:
            await near.recover()
            await asyncio.sleep(0.02)
    assert all_texts(await near.items(first.thread_id)) == ["one", "Answer to one", "two"]
    for result in (first, second):
        await drain(result.json_events)
    await far.close()
    await near.close()
