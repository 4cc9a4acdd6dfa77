"""Turns of a real server over PostgreSQL, which restarts or goes away in their middle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from chatkit.store import PostgresStore
from tests.server.support import ScriptedServer, added, delta, done, drain, events, kinds, parse, read, texts
from tests.support.postgres import PostgresServer, postgres_server


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """Returns a server that the test may stop."""
    with postgres_server() as made:
        yield made


class Interrupted:
    """A handler that shows one whole message and half of another, waits, and goes on."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def respond(self, thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield done("The first message.", id="msg_first")
        yield added("", id="msg_second")
        yield delta("One, ", id="msg_second")
        await self.go_on.wait()
        yield delta("two, ", id="msg_second")
        yield delta("three.", id="msg_second")
        yield done("One, two, three.", id="msg_second")
        yield done("The last message.", id="msg_third")

    async def begin(self, chat: ScriptedServer) -> tuple[Any, Any, list[Any]]:
        """Returns a turn's stream, its frames that are still to come, and its events up to the wait."""
        stream = await chat.create()
        frames = aiter(stream)
        shown: list[Any] = []
        while not shown or shown[-1]["type"] != "thread.item.updated":
            shown += [parse(frame) for frame in await read(frames, 1)]
        return stream, frames, shown


async def test_a_turn_survives_a_restart_of_the_database(server: PostgresServer) -> None:
    handler = Interrupted()
    store = PostgresStore(server.url)
    chat = ScriptedServer(handler.respond, store)
    stream, frames, shown = await handler.begin(chat)
    await asyncio.to_thread(server.restart)
    handler.go_on.set()
    shown += [parse(frame) for frame in await drain(frames)]
    assert "error" not in kinds(shown)
    expected = ["The first message.", "One, two, three.", "The last message."]
    assert texts(await chat.items(stream.thread_id)) == expected
    await chat.close()


async def test_a_turn_waits_for_a_database_that_is_restarting(server: PostgresServer) -> None:
    handler = Interrupted()
    chat = ScriptedServer(handler.respond, PostgresStore(server.url, reconnect_timeout=30))
    stream, frames, shown = await handler.begin(chat)
    await asyncio.to_thread(server.stop)
    handler.go_on.set()
    # The writes meet no server at first.
    shown += [parse(frame) for frame in await read(frames, 2)]
    await asyncio.to_thread(server.start)
    shown += [parse(frame) for frame in await drain(frames)]
    assert "error" not in kinds(shown)
    expected = ["The first message.", "One, two, three.", "The last message."]
    assert texts(await chat.items(stream.thread_id)) == expected
    await chat.close()


async def test_a_turn_whose_database_stays_away_ends_with_an_error_that_can_be_retried(
    server: PostgresServer,
) -> None:
    handler = Interrupted()
    chat = ScriptedServer(handler.respond, PostgresStore(server.url, reconnect_timeout=0.1))
    stream, frames, shown = await handler.begin(chat)
    await asyncio.to_thread(server.stop)
    handler.go_on.set()
    shown += [parse(frame) for frame in await drain(frames)]
    assert shown[-1]["type"] == "error"
    assert shown[-1]["allow_retry"] is True
    assert str(server.port) not in str(shown[-1])
    await asyncio.to_thread(server.start)
    stored = await chat.items(stream.thread_id)
    shown_as_done = [event["item"]["id"] for event in shown if event["type"] == "thread.item.done"]
    assert shown_as_done == [item.id for item in stored][: len(shown_as_done)]
    assert "msg_first" in shown_as_done
    # The user tries again, and it works.
    message = next(item for item in stored if item.type == "user_message")
    retried = await chat.send("threads.retry_after_item", thread_id=stream.thread_id, item_id=message.id)
    assert "error" not in kinds(await events(retried))
    expected = ["The first message.", "One, two, three.", "The last message."]
    assert texts(await chat.items(stream.thread_id)) == expected
    await chat.close()


async def test_turns_at_once_during_a_crash_store_what_they_showed(server: PostgresServer) -> None:
    async def count(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        for n in range(30):
            yield done(f"{n}", id=f"msg_{n:02}")
            running.set()

    running = asyncio.Event()
    chat = ScriptedServer(count, PostgresStore(server.url, reconnect_timeout=30))
    await chat.new_thread()
    streams = [await chat.create() for _ in range(8)]
    reading = [asyncio.create_task(drain(stream)) for stream in streams]
    await running.wait()
    await asyncio.to_thread(server.restart)
    for stream, task in zip(streams, reading, strict=True):
        shown = [parse(frame) for frame in await task]
        stored = [item.id for item in await chat.items(stream.thread_id)]
        shown_as_done = [event["item"]["id"] for event in shown if event["type"] == "thread.item.done"]
        # A write that was lost in its commit may be stored without having been shown.
        assert [item_id for item_id in stored if item_id in shown_as_done] == shown_as_done
        assert len(stored) <= len(shown_as_done) + 1
        if shown[-1]["type"] == "error":
            assert shown[-1]["allow_retry"] is True
        else:
            assert len(stored) == 31
    await chat.close()
