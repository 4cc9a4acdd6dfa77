"""Context variables, event loops, and servers that are put together in unusual ways."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from chatkit.errors import ConfigurationError, ShuttingDownError
from chatkit.server import ChatKitServer
from chatkit.store import MemoryStore, SQLiteStore
from tests.server.support import (
    ADA,
    LIMIT,
    ScriptedServer,
    done,
    drain,
    events,
    hello,
    progress,
    read,
    silent,
    texts,
    user_input,
)

request_id: ContextVar[str] = ContextVar("request_id", default="none")


async def tells_request_id(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    yield progress(request_id.get())
    request_id.set("changed inside")
    await asyncio.sleep(0)
    yield progress(request_id.get())


async def test_handlers_see_the_callers_context_variables() -> None:
    server = ScriptedServer(tells_request_id)

    async def call(name: str) -> list[str]:
        request_id.set(name)
        result = await server.create()
        found = await events(result)
        assert request_id.get() == name
        return [event["text"] for event in found if event["type"] == "progress_update"]

    names = [f"request {number}" for number in range(5)]
    found = await asyncio.gather(*map(call, names))
    assert found == [[name, "changed inside"] for name in names]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_one_server_in_several_event_loops(kind: str, tmp_path: Path) -> None:
    store: Any = MemoryStore() if kind == "memory" else SQLiteStore(str(tmp_path / "chat.db"))
    server = ScriptedServer(hello, store)

    async def first() -> tuple[str, list[bytes]]:
        result = await server.create(metadata={"resumable": True})
        return result.thread_id, await drain(result)

    async def cut_off(thread_id: str) -> None:
        async def waits(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
            yield done("Whole", "msg_2")
            await asyncio.Event().wait()

        server.script = waits
        result = await server.say(thread_id, metadata={"resumable": True})
        await read(result.json_events, 3)

    async def second(thread_id: str, frames: list[bytes]) -> None:
        server.script = hello
        again = await server.send("turns.resume", thread_id=thread_id, after=server_cursor(frames[0]))
        assert await drain(again) == frames[1:]
        await drain(await server.say(thread_id, "Again"))
        assert await server.ask("turns.stop", thread_id=thread_id) == {"stopped": []}

    async def third(thread_id: str) -> None:
        server.script = silent
        assert "active_turn" not in await server.ask("threads.get_by_id", thread_id=thread_id)
        await drain(await server.say(thread_id))
        assert sorted(texts(await server.items(thread_id))) == ["Hello!", "Hello!", "Whole"]
        await server.close()

    def server_cursor(frame: bytes) -> str:
        return frame.split(b"\n")[0].removeprefix(b"id: ").decode()

    thread_id, frames = asyncio.run(first())
    asyncio.run(second(thread_id, frames))
    # The loop ends while a turn runs: its tasks are cancelled, and it keeps what it had.
    asyncio.run(cut_off(thread_id))
    asyncio.run(third(thread_id))


class WithoutInit(ChatKitServer[Any]):
    """Sets what it needs by itself."""

    def __init__(self, store: Any) -> None:
        self.store = store

    async def respond(self, thread: Any, input: Any, context: Any) -> AsyncIterator[Any]:
        yield done("Hello!")


def test_a_stream_whose_loop_is_gone_says_so() -> None:
    """A synchronous view may call asyncio.run(process(...)): there a CancelledError would tell nobody anything."""

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield done("never")

    server = ScriptedServer(script)
    result = asyncio.run(server.create())
    with pytest.raises(RuntimeError, match="Read the stream in the same loop"):
        asyncio.run(drain(result))


async def test_a_subclass_that_does_not_call_init(store: Any) -> None:
    server = WithoutInit(store)
    body = json.dumps({"type": "threads.create", "params": {"input": user_input()}})
    result: Any = await server.process(body, ADA)
    assert len(await events(result)) == 4
    assert server.attachment_store is server.file_store is None
    assert server.on_disconnect == "stop"


async def test_the_store_may_be_exchanged() -> None:
    server = ScriptedServer(hello)
    first, second = server.store, MemoryStore[Any]()
    await drain(await server.create())
    server.store = second
    assert (await server.ask("threads.list"))["data"] == []
    await drain(await server.create())
    await drain(await server.create())
    assert server.store is second
    server.store = first
    assert len((await server.ask("threads.list"))["data"]) == 1


async def test_both_names_of_the_file_store_at_once() -> None:
    with pytest.raises(ConfigurationError, match="attachment_store="):
        ScriptedServer(hello, None, object(), file_store=object())


def test_more_workers_than_the_log_serves() -> None:
    server = ScriptedServer(hello)
    server.check_workers(1)
    with pytest.raises(ConfigurationError, match="stream_log="):
        server.check_workers(2)


async def test_after_the_shutdown_nothing_begins_until_it_is_closed(store: Any) -> None:
    server = ScriptedServer(hello, store)
    await server.check()
    await server.shutdown()
    with pytest.raises(ShuttingDownError) as caught:
        await server.create()
    assert caught.value.status == 503
    assert (await server.ask("threads.list"))["data"] == []
    async with asyncio.timeout(LIMIT):
        await server.close()
    await drain(await server.create())


async def test_recovery_finds_nothing_after_turns_that_ended(store: Any) -> None:
    server = ScriptedServer(hello, store)
    await drain(await server.create())
    assert await server.recover() == 0


async def test_respond_is_required() -> None:
    with pytest.raises(TypeError, match="respond"):
        ChatKitServer(MemoryStore())  # pyright: ignore[reportAbstractUsage]


async def test_what_a_handler_left_running_may_write_after_the_turn(store: Any) -> None:
    server = ScriptedServer(silent, store)
    go = asyncio.Event()
    titles: list[asyncio.Task[None]] = []

    async def name_thread(thread: Any, context: Any) -> None:
        await go.wait()
        stored = await server.store.load_thread(thread.id, context)
        await server.store.save_thread(stored.model_copy(update={"title": "Named later"}), context)

    async def respond(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        titles.append(asyncio.create_task(name_thread(thread, context)))
        yield progress()

    server.script = respond
    result = await server.create()
    await drain(result)
    go.set()
    async with asyncio.timeout(LIMIT):
        await titles[0]
    found = await server.store.load_thread(result.thread_id, ADA)
    assert found.title == "Named later"
