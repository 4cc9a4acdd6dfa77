"""What is sent again with its key is the same turn: a message, an action, answers to questions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatkit.errors import ConflictError, InvalidRequestError, ThreadLockedError
from chatkit.types import (
    HiddenContextItem,
    LockedStatus,
    StructuredInputFreeform,
    StructuredInputItem,
    ThreadItemDoneEvent,
)
from tests.server.support import (
    ADA,
    BOB,
    ScriptedServer,
    added,
    delta,
    done,
    drain,
    events,
    hello,
    kinds,
    read,
    silent,
    texts,
    user_input,
)

KEY = {"idempotency_key": "k1"}
RESUMABLE_KEY = {"idempotency_key": "k1", "resumable": True}


async def test_the_same_message_joins_the_running_turn(store: Any) -> None:
    gate = asyncio.Event()

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield added("One")
        await gate.wait()
        yield delta(" two")

    server = ScriptedServer(script, store)
    first = await server.create(metadata=RESUMABLE_KEY)
    begun = await read(first.json_events, 4)
    second = await server.create(metadata=RESUMABLE_KEY)
    assert (second.turn_id, second.thread_id) == (first.turn_id, first.thread_id)
    gate.set()
    assert await drain(second) == begun + await drain(first)
    assert len((await server.ask("threads.list"))["data"]) == 1
    assert texts(await server.items(first.thread_id)) == ["One two"]


@pytest.mark.parametrize("metadata", [KEY, RESUMABLE_KEY])
async def test_the_same_message_gets_the_finished_turn(metadata: Any, store: Any) -> None:
    server = ScriptedServer(hello, store)
    thread_id = await server.new_thread()
    frames = await drain(await server.say(thread_id, metadata=metadata))
    assert await drain(await server.say(thread_id, metadata=metadata)) == frames
    assert len(await server.items(thread_id)) == 3


@pytest.mark.parametrize("create", [True, False])
async def test_the_same_message_is_replayed_from_the_store_later(
    create: bool, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield done("One", "msg_1")
        yield ThreadItemDoneEvent(item=HiddenContextItem(id="hid", content="secret"))
        yield done("Two", "msg_2")

    server = ScriptedServer(script, store)
    # A log that others share tells its server of it as a turn ends.
    monkeypatch.setattr(server._chatkit_turns().log, "_retention", -1.0)
    if create:
        thread_id = (first := await server.create(metadata=KEY)).thread_id
    else:
        thread_id = await server.new_thread()
        first = await server.say(thread_id, metadata=KEY)
    known = await events(first)
    server.script = silent
    await drain(await server.say(thread_id, "Next"))
    again = await (server.create(metadata=KEY) if create else server.say(thread_id, metadata=KEY))
    found = await events(again)
    assert kinds(found) == [
        "thread.created" if create else "thread.updated",
        *["thread.item.done"] * 3,
    ]
    assert found[1:] == [event for event in known if event["type"] == "thread.item.done"]
    assert "secret" not in str(found)
    assert len((await server.ask("threads.list"))["data"]) == 1


async def test_another_message_under_the_same_key_is_refused(store: Any) -> None:
    server = ScriptedServer(hello, store)
    await drain(await server.create("One", metadata=KEY))
    with pytest.raises(InvalidRequestError):
        await server.create("Two", metadata=KEY)
    thread_id = (await server.ask("threads.list"))["data"][0]["id"]
    with pytest.raises(InvalidRequestError):
        await server.say(thread_id, "One", KEY)
    assert len((await server.ask("threads.list"))["data"]) == 1
    assert len(await server.items(thread_id)) == 2


async def test_owners_have_their_own_keys(store: Any) -> None:
    server = ScriptedServer(hello, store)
    await drain(await server.create("One", ADA, metadata=KEY))
    await drain(await server.create("Two", BOB, metadata=KEY))
    for context in (ADA, BOB):
        assert len((await server.ask("threads.list", context))["data"]) == 1


async def test_a_refused_message_frees_its_key(store: Any) -> None:
    server = ScriptedServer(hello, store)
    put = store.add_thread_item

    async def refuse(*args: Any) -> None:
        raise ConflictError

    store.add_thread_item = refuse
    with pytest.raises(ConflictError):
        await server.create("One", metadata=KEY)
    store.add_thread_item = put
    found = await server.ask("threads.create", ADA, KEY, input=user_input("Another"))
    assert kinds(found)[-1] == "thread.item.done"


@pytest.mark.parametrize("key", ["", "x" * 256, 1, True, [], {}])
async def test_what_is_no_key(key: Any) -> None:
    server = ScriptedServer()
    with pytest.raises(InvalidRequestError):
        await server.create(metadata={"idempotency_key": key})
    assert (await server.ask("threads.list"))["data"] == []


async def test_a_second_sending_that_overtakes_the_opening(store: Any) -> None:
    server = ScriptedServer(hello, store)
    found = await asyncio.gather(*(server.create(metadata=KEY) for _ in range(4)))
    assert len({result.thread_id for result in found}) == 1
    streams = [await drain(result) for result in found]
    assert all(stream == streams[0] for stream in streams)
    assert len((await server.ask("threads.list"))["data"]) == 1


async def test_a_second_sending_while_the_first_waits_to_begin() -> None:
    cleaning, cleaned = asyncio.Event(), asyncio.Event()

    async def slow_to_stop(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        try:
            yield added("One", "msg_0")
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await cleaned.wait()

    server = ScriptedServer(slow_to_stop, concurrency="interrupt")
    running = await server.create(metadata={"resumable": True})
    await read(running.json_events, 4)
    server.script = hello
    sendings = [asyncio.create_task(server.say(running.thread_id, metadata=KEY)) for _ in range(2)]
    await cleaning.wait()
    await asyncio.sleep(0)
    cleaned.set()
    first, second = await asyncio.gather(*sendings)
    assert first.turn_id == second.turn_id
    assert await drain(first) == await drain(second)
    await drain(running)
    assert texts(await server.items(running.thread_id)) == ["One", "Hello!"]


async def test_the_same_message_is_the_same_turn_though_it_locked_the_thread(store: Any) -> None:
    async def locks(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield done("Locked now")
        thread.status = LockedStatus()

    server = ScriptedServer(silent, store)
    thread_id = (await server.create()).thread_id
    server.script = locks
    first = await server.say(thread_id, "Lock it", RESUMABLE_KEY)
    frames = await drain(first)
    assert await drain(await server.say(thread_id, "Lock it", RESUMABLE_KEY)) == frames
    with pytest.raises(ThreadLockedError):
        await server.say(thread_id, "Lock it", {"idempotency_key": "k2"})


async def test_a_replayed_turn_tells_how_it_ended_and_never_more_than_is_known(
    monkeypatch: pytest.MonkeyPatch, store: Any
) -> None:
    server = ScriptedServer(hello, store)
    first = await server.create(metadata=RESUMABLE_KEY)
    assert b'"status":"completed"' in (await drain(first))[-1]
    log = server._chatkit_turns().log

    async def forgotten(turn_id: str) -> None:
        return None

    monkeypatch.setattr(log, "find", forgotten)
    assert b'"status":"completed"' in (await drain(await server.create(metadata=RESUMABLE_KEY)))[-1]
    # As after a restart: the turn may have been cut off with its process.
    monkeypatch.setattr(log, "ended", forgotten)
    assert b'"status":"interrupted"' in (await drain(await server.create(metadata=RESUMABLE_KEY)))[-1]


async def test_an_action_that_is_sent_again_is_carried_out_once(store: Any) -> None:
    class Shop(ScriptedServer):
        orders = 0

        async def action(self, thread: Any, action: Any, sender: Any, context: Any) -> AsyncIterator[Any]:
            self.orders += 1
            yield done(f"Order {self.orders}", f"msg_{self.orders}")

    server = Shop(silent, store)
    thread_id = await server.new_thread()

    async def order(metadata: Any, payload: Any = None) -> list[bytes]:
        action = {"type": "order", "payload": payload}
        return await drain(
            await server.send("threads.custom_action", ADA, metadata, thread_id=thread_id, action=action)
        )

    frames = await order(RESUMABLE_KEY)
    assert await order(RESUMABLE_KEY) == frames
    assert server.orders == 1
    with pytest.raises(InvalidRequestError):
        await order(RESUMABLE_KEY, {"other": True})
    await order({"idempotency_key": "k2"})
    await order({})
    assert server.orders == 3


async def test_answers_that_are_sent_again_are_given_once(store: Any) -> None:
    async def asks(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        question = StructuredInputFreeform(id="q", question="Why?")
        yield ThreadItemDoneEvent(item=StructuredInputItem(id="asked", inputs=[question]))

    server = ScriptedServer(asks, store)
    thread_id = (first := await server.create()).thread_id
    await drain(first)
    server.script = hello
    ask = {
        "thread_id": thread_id,
        "item_id": "asked",
        "input": {"status": "answered", "answers": {"q": {"values": ["So"]}}},
    }
    results = await asyncio.gather(
        *(server.send("threads.add_structured_input", ADA, RESUMABLE_KEY, **ask) for _ in range(3))
    )
    streams = [await drain(result) for result in results]
    assert all(stream == streams[0] for stream in streams)
    assert texts(await server.items(thread_id)) == ["Hello!"]
    with pytest.raises(ConflictError):
        await server.ask("threads.add_structured_input", ADA, {"idempotency_key": "k2"}, **ask)
