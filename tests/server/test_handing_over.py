"""A worker that ends leaves turns that may run twice to another one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from chatkit.errors import ThreadBusyError
from chatkit.ids import new_id
from chatkit.store import PostgresStore, SQLiteStore
from chatkit.streams.postgres import PostgresStreamLog
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
    read,
    silent,
    writes_apart,
)


class Server(ScriptedServer):
    def __init__(self, store: Any, log: Any, script: Any = silent) -> None:
        super().__init__(script, store, stream_log=log, rerun_on_crash=1)

    def dump_context(self, context: Any) -> Any:
        return context

    def load_context(self, data: Any) -> Any:
        return data


async def half(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    yield added("Half")
    yield delta(" an answer")
    await asyncio.get_running_loop().create_future()


async def whole(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    yield done("The whole answer", "msg_2")


Make = Callable[..., Server]


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Returns what makes workers: servers over one store and one log."""
    path = str(tmp_path / "chat.db")
    if request.param == "sqlite":
        return lambda script=silent: Server(SQLiteStore(path), None, script)
    if request.param == "redis":
        url, prefix = request.getfixturevalue("redis_url"), new_id("test") + ":"
        return lambda script=silent: Server(
            SQLiteStore(path), RedisStreamLog(url, prefix=prefix, lease=0.5), script
        )
    url = request.getfixturevalue("postgres_database")
    return lambda script=silent: Server(PostgresStore(url), PostgresStreamLog(url, lease=0.5), script)


async def until_shown(result: Any) -> list[Any]:
    """Reads until the item is there with all its text, which a reader that comes late may get at once."""
    frames: list[bytes] = []
    while not any(b" an answer" in frame for frame in frames):
        frames += await read(result.json_events, 1)
    return decode(frames)


async def recovered(server: Server) -> None:
    """Waits until the server has taken over what was left to it: not before it has been there for a lease."""
    async with asyncio.timeout(LIMIT):
        while not await server.recover():
            await asyncio.sleep(0.02)


async def handed_over(make: Make) -> tuple[str, str]:
    """Returns the thread of a turn that its process left behind, and the last id that its reader got."""
    server = make(half)
    result = await server.create(metadata={"resumable": True})
    frames = await read(result.json_events, 5)
    async with asyncio.timeout(LIMIT):
        await server.close()
        rest = await drain(result.json_events)
    assert not rest, "no error and no end: the turn goes on elsewhere"
    assert b'"delta":" an answer"' in frames[-1]
    cursor = frames[-1].split(b"\n")[0].removeprefix(b"id: ").decode()
    return result.thread_id, cursor


async def test_the_next_process_runs_the_turn_again_for_the_readers_of_the_first(make: Make) -> None:
    thread_id, cursor = await handed_over(make)
    server = make(whole)
    await recovered(server)
    frames = await drain(await server.send("turns.resume", thread_id=thread_id, after=cursor))
    assert [event["type"] for event in decode(frames)] == ["thread.item.removed", "thread.item.done"]
    assert decode(frames)[0]["item_id"] == "msg_1"
    assert b'"status":"completed"' in frames[-1]
    assert [item.id for item in await server.items(thread_id)][1:] == ["msg_2"]
    await server.close()
    again = make(whole)
    assert await again.recover() == 0, "it is over"
    await again.close()


async def test_a_reader_without_a_cursor_gets_the_state(make: Make) -> None:
    thread_id, _ = await handed_over(make)
    server = make(half)
    await recovered(server)
    result = await server.send("turns.resume", thread_id=thread_id)
    shown = await until_shown(result)
    assert shown[0]["type"] == "thread.created"
    assert {"stream_options", "thread.item.done"} <= {event["type"] for event in shown}
    await server.ask("turns.stop", thread_id=thread_id)
    await result.aclose()
    assert [
        item.content[0].text for item in await server.items(thread_id) if item.type == "assistant_message"
    ] == ["Half an answer"]
    await server.close()


async def test_a_turn_that_was_run_as_often_as_it_may_is_interrupted(make: Make) -> None:
    thread_id, cursor = await handed_over(make)
    server = make(half)
    await recovered(server)
    result = await server.send("turns.resume", thread_id=thread_id, after=cursor)
    await until_shown(result)
    await server.close()
    frames = await drain(result.json_events)
    assert [event["type"] for event in decode(frames)][-2:] == ["thread.item.done", "error"]
    assert b'"status":"interrupted"' in frames[-1]
    last = make()
    assert await last.recover() == 0
    assert (await last.items(thread_id))[1].content[0].text == "Half an answer"
    await last.close()


async def test_a_server_that_may_not_run_turns_again_finalises_what_was_left_to_it(make: Make) -> None:
    thread_id, _ = await handed_over(make)
    server = make()
    server.rerun_on_crash = 0
    await recovered(server)
    assert (await server.items(thread_id))[1].content[0].text == "Half an answer"
    await server.close()


@pytest.mark.parametrize("policy", ["reject", "enqueue", "interrupt"])
async def test_a_turn_that_is_begun_again_as_a_message_looks_around_is_not_overlooked(
    policy: Any, tmp_path: Path
) -> None:
    """It was no turn of this process when that was asked, and is one when the log answers."""

    def make(script: Any) -> Server:
        server = Server(writes_apart(SQLiteStore(tmp_path / "chat.db")), None, script)
        server.concurrency = policy
        return server

    thread_id, _ = await handed_over(make)
    goes_on = asyncio.Event()

    async def answer(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        (text,) = all_texts([message])
        yield added("Half", f"msg_{text}")
        if text == "Hi":
            await goes_on.wait()
        yield done(f"To {text}", f"msg_{text}")

    server = make(answer)
    turns: Any = server._chatkit_turns()
    recover, ask = server.recover, turns.log.active

    async def recover_later() -> int:
        return 0

    async def begin_again_meanwhile(thread: Any) -> Any:
        turns.log.active = ask
        found = await ask(thread)
        assert turns.running(found[0].id) is None
        async with asyncio.timeout(LIMIT):
            while turns.running(found[0].id) is None:
                await recover()
        return found

    server.recover = recover_later  # type: ignore[method-assign]
    turns.log.active = begin_again_meanwhile
    async with asyncio.timeout(LIMIT):
        if policy == "reject":
            with pytest.raises(ThreadBusyError):
                await server.say(thread_id, "Next")
            goes_on.set()
        else:
            said = await server.say(thread_id, "Next")
            goes_on.set()
            await drain(said)
        texts = all_texts(await server.items(thread_id))
        if policy == "enqueue":
            assert texts == ["Hi", "To Hi", "Next", "To Next"]
        elif policy == "interrupt":
            # It may have been ended before it had said anything.
            assert [text for text in texts if text != "Half"] == ["Hi", "Next", "To Next"]
        else:
            assert "Next" not in texts
        await server.close()
