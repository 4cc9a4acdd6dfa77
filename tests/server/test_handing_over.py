"""A process that ends leaves turns that may run twice to the next one on the same database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chatkit.store import SQLiteStore
from tests.server.support import LIMIT, ScriptedServer, added, decode, delta, done, drain, read, silent


class Server(ScriptedServer):
    def __init__(self, path: Path, script: Any = silent, **options: Any) -> None:
        super().__init__(script, SQLiteStore(str(path)), rerun_on_crash=1, **options)

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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


async def handed_over(path: Path) -> tuple[str, str]:
    """Returns the thread of a turn that its process left behind, and the last id that its reader got."""
    server = Server(path, half)
    result = await server.create(metadata={"resumable": True})
    frames = await read(result.json_events, 5)
    async with asyncio.timeout(LIMIT):
        await server.close()
        rest = await drain(result.json_events)
    assert not rest, "no error and no end: the turn goes on elsewhere"
    assert b'"delta":" an answer"' in frames[-1]
    cursor = frames[-1].split(b"\n")[0].removeprefix(b"id: ").decode()
    return result.thread_id, cursor


async def test_the_next_process_runs_the_turn_again_for_the_readers_of_the_first(path: Path) -> None:
    thread_id, cursor = await handed_over(path)
    server = Server(path, whole)
    assert await server.recover() == 1
    frames = await drain(await server.send("turns.resume", thread_id=thread_id, after=cursor))
    assert [event["type"] for event in decode(frames)] == ["thread.item.removed", "thread.item.done"]
    assert decode(frames)[0]["item_id"] == "msg_1"
    assert b'"status":"completed"' in frames[-1]
    assert [item.id for item in await server.items(thread_id)][1:] == ["msg_2"]
    await server.close()
    again = Server(path, whole)
    assert await again.recover() == 0, "it is over"
    await again.close()


async def test_a_reader_without_a_cursor_gets_the_state(path: Path) -> None:
    thread_id, _ = await handed_over(path)
    server = Server(path, half)
    assert await server.recover() == 1
    result = await server.send("turns.resume", thread_id=thread_id)
    frames = await read(result.json_events, 6)
    kinds = [event["type"] for event in decode(frames)]
    assert kinds[:3] == ["thread.created", "thread.item.done", "stream_options"]
    await server.ask("turns.stop", thread_id=thread_id)
    await result.aclose()
    assert [
        item.content[0].text for item in await server.items(thread_id) if item.type == "assistant_message"
    ] == ["Half an answer"]
    await server.close()


async def test_a_turn_that_was_run_as_often_as_it_may_is_interrupted(path: Path) -> None:
    thread_id, cursor = await handed_over(path)
    server = Server(path, half)
    assert await server.recover() == 1
    result = await server.send("turns.resume", thread_id=thread_id, after=cursor)
    await read(result.json_events, 3)
    await server.close()
    frames = await drain(result.json_events)
    assert [event["type"] for event in decode(frames)] == ["thread.item.done", "error"]
    assert b'"status":"interrupted"' in frames[-1]
    last = Server(path)
    assert await last.recover() == 0
    assert (await last.items(thread_id))[1].content[0].text == "Half an answer"
    await last.close()


async def test_a_server_that_may_not_run_turns_again_finalises_what_was_left_to_it(path: Path) -> None:
    thread_id, _ = await handed_over(path)
    server = Server(path)
    server.rerun_on_crash = 0
    assert await server.recover() == 1
    assert (await server.items(thread_id))[1].content[0].text == "Half an answer"
    await server.close()
