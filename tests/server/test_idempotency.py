"""What is sent again with its key is the same turn: a message, an action, answers to questions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from chatkit.errors import (
    ConflictError,
    InvalidRequestError,
    RequestError,
    ThreadBusyError,
    ThreadLockedError,
    TooManyTurnsError,
)
from chatkit.server.requests import keys_in_log
from chatkit.sse import SSEDecoder
from chatkit.streams import MemoryStreamLog
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
    LIMIT,
    ScriptedServer,
    added,
    all_texts,
    decode,
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
from tests.support.scale import FAST, scaled

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
    log = server._chatkit_turns().log
    monkeypatch.setattr(log, "retention", -1.0)
    monkeypatch.setattr(log._local, "_retention", -1.0)
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
    thread_id = await server.new_thread()
    server.script = locks
    first = await server.say(thread_id, "Lock it", RESUMABLE_KEY)
    frames = await drain(first)
    assert await drain(await server.say(thread_id, "Lock it", RESUMABLE_KEY)) == frames
    with pytest.raises(ThreadLockedError):
        await server.say(thread_id, "Lock it", {"idempotency_key": "k2"})


@pytest.mark.skipif(FAST, reason="waits for seconds, which a fast run does not")
async def test_a_replayed_turn_tells_how_it_ended_and_never_more_than_is_known(
    monkeypatch: pytest.MonkeyPatch, store_apart: Any
) -> None:
    server = ScriptedServer(hello, store_apart)
    first = await server.create(metadata=RESUMABLE_KEY)
    assert b'"status":"completed"' in (await drain(first))[-1]
    log = server._chatkit_turns().log

    async def forgotten(*_: object) -> None:
        return None

    monkeypatch.setattr(log, "find", forgotten)
    assert b'"status":"completed"' in (await drain(await server.create(metadata=RESUMABLE_KEY)))[-1]
    # As after a restart. The store remembers that it completed.
    monkeypatch.setattr(log, "ended", forgotten)
    assert b'"status":"completed"' in (await drain(await server.create(metadata=RESUMABLE_KEY)))[-1]

    async def not_known(*_: object) -> bool:
        return False

    # One that does not: the turn may have been cut off with its process.
    monkeypatch.setattr(store_apart, "find_turn", forgotten)
    monkeypatch.setattr(store_apart, "has_completed", not_known)
    assert b'"status":"interrupted"' in (await drain(await server.create(metadata=RESUMABLE_KEY)))[-1]


async def test_how_a_turn_ended_is_known_by_the_store_when_the_log_has_forgotten_it(
    monkeypatch: pytest.MonkeyPatch, store: Any
) -> None:
    server = ScriptedServer(hello, store)
    await drain(await server.create(metadata=RESUMABLE_KEY))
    log = server._chatkit_turns().log

    async def forgotten(*_: object) -> None:
        return None

    # As after a restart.
    monkeypatch.setattr(log, "find", forgotten)
    monkeypatch.setattr(log, "ended", forgotten)
    assert b'"status":"completed"' in (await drain(await server.create(metadata=RESUMABLE_KEY)))[-1]


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


async def test_an_answer_to_no_message_is_told_by_the_store_when_the_log_has_forgotten_it(
    monkeypatch: pytest.MonkeyPatch, store: Any
) -> None:
    class Shop(ScriptedServer):
        async def action(self, thread: Any, action: Any, sender: Any, context: Any) -> AsyncIterator[Any]:
            yield done("Ordered", "msg_order")

    server = Shop(hello, store)
    thread_id = (first := await server.create()).thread_id
    await drain(first)

    async def order() -> list[bytes]:
        action = {"type": "order", "payload": None}
        return await drain(
            await server.send("threads.custom_action", ADA, RESUMABLE_KEY, thread_id=thread_id, action=action)
        )

    await order()
    await drain(await server.say(thread_id, "Later"))
    log = server._chatkit_turns().log

    async def forgotten(*_: object) -> None:
        return None

    monkeypatch.setattr(log, "find", forgotten)
    monkeypatch.setattr(log, "ended", forgotten)
    told = await order()
    items = [event["item"]["id"] for event in decode(told) if event["type"] == "thread.item.done"]
    assert items == ["msg_order"]
    assert b'"completed"' in told[-1]


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


def workers(store: Any, *, log: Any = None, script: Any = hello) -> list[ScriptedServer]:
    """Returns two servers with registers of their own over one store and one log, as two workers have them."""
    log = MemoryStreamLog() if log is None else log
    return [ScriptedServer(script, store, stream_log=log) for _ in range(2)]


@pytest.mark.parametrize("resumable", [True, False])
@pytest.mark.parametrize("creates", [True, False])
async def test_a_turn_that_begins_while_it_is_looked_up_is_not_called_interrupted(
    creates: bool, resumable: bool, store_apart: Any
) -> None:
    first, second = workers(store_apart)
    thread_id = await first.new_thread()
    metadata = RESUMABLE_KEY if resumable else KEY
    go_on = asyncio.Event()

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        await go_on.wait()
        yield done("Hello!")

    first.script = script

    async def send(server: ScriptedServer) -> Any:
        return await (
            server.create("New", ADA, metadata) if creates else server.say(thread_id, "New", metadata)
        )

    log: Any = first.stream_log
    find, began = log.find, []

    async def find_too_early(*args: Any) -> Any:
        if began:
            return await find(*args)
        # Claimed, and about to begin: the log does not know it yet, the store will a moment later.
        began.append(None)
        found = await find(*args)
        claimed.set()
        began[0] = await sending
        return found

    taken, claimed = asyncio.Event(), asyncio.Event()
    claim = log.claim_key

    async def claim_and_wait(*args: Any) -> Any:
        made = await claim(*args)
        if made.fresh:
            taken.set()
            await claimed.wait()
        return made

    log.find, log.claim_key = find_too_early, claim_and_wait
    sending = asyncio.create_task(send(first))
    async with asyncio.timeout(LIMIT):
        await taken.wait()
        attached = await send(second)
    go_on.set()
    frames = await drain(attached)
    assert frames == await drain(began[0])
    assert b"Hello!" in b"".join(frames)
    assert b"interrupted" not in b"".join(frames)


async def test_a_turn_that_its_worker_has_not_saved_yet_is_not_called_interrupted(store_apart: Any) -> None:
    log: Any = MemoryStreamLog()
    first, second = workers(store_apart, log=log)
    thread_id = await first.new_thread()
    go_on, find, asked = asyncio.Event(), log.find, list[Any]()

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        await go_on.wait()
        yield done("Hello!")

    async def find_late(*args: Any) -> Any:
        # As where its worker was alone on an SQLite file: it saves its turns now and then, and the message is stored.
        asked.append(args)
        return await find(*args) if len(asked) > 4 else None

    first.script = script
    running = await first.say(thread_id, "Once", RESUMABLE_KEY)
    log.find = find_late
    async with asyncio.timeout(LIMIT):
        again = await second.say(thread_id, "Once", RESUMABLE_KEY)
        go_on.set()
        assert await drain(again) == await drain(running)
    assert all_texts(await second.items(thread_id)) == ["Hi", "Once", "Hello!"]


async def test_an_action_that_is_about_to_begin_elsewhere_is_waited_for(store: Any) -> None:
    class Shop(ScriptedServer):
        async def action(self, thread: Any, action: Any, sender: Any, context: Any) -> AsyncIterator[Any]:
            yield done("Ordered")

    log = MemoryStreamLog()
    first, second = (Shop(silent, store, stream_log=log) for _ in range(2))
    thread_id = await first.new_thread()
    ask = {"thread_id": thread_id, "action": {"type": "order"}}
    opened, go_on = log.open, asyncio.Event()

    async def open_later(*args: Any, **rest: Any) -> Any:
        await go_on.wait()
        return await opened(*args, **rest)

    log.open = open_later  # type: ignore[method-assign]
    sending = asyncio.create_task(first.send("threads.custom_action", ADA, RESUMABLE_KEY, **ask))
    await asyncio.sleep(0)
    again = asyncio.create_task(second.send("threads.custom_action", ADA, RESUMABLE_KEY, **ask))
    await asyncio.sleep(0)
    go_on.set()
    assert await drain(await again) == await drain(await sending)
    assert texts(await first.items(thread_id)) == ["Ordered"]


async def attached_to_a_turn_that_never_begins(
    store: Any, metadata: Any, monkeypatch: pytest.MonkeyPatch
) -> tuple[ScriptedServer, Any, Any]:
    """Returns a worker, its stream that reads another worker's turn, and a function that ends that other turn."""
    first, second = workers(store)
    reached = asyncio.Event()
    add, calls = store.add_thread_item, 0

    async def hang_once(*args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            reached.set()
            await asyncio.Event().wait()
        await add(*args)

    monkeypatch.setattr(store, "add_thread_item", hang_once)
    sending = asyncio.create_task(first.create("New", ADA, metadata))
    await reached.wait()
    attached = await second.create("New", ADA, metadata)

    async def end() -> None:
        turn = next(iter(first._chatkit_turns()._running.values()))
        turn.task.cancel()
        await asyncio.wait({sending})

    return second, attached, end


@pytest.mark.parametrize("in_batches", [True, False])
@pytest.mark.parametrize("metadata", [KEY, RESUMABLE_KEY])
async def test_a_message_whose_first_turn_never_stored_it_begins_anew_in_the_same_stream(
    metadata: Any, in_batches: bool, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, attached, end = await attached_to_a_turn_that_never_begins(store, metadata, monkeypatch)
    first_turn = attached.turn_id
    reading = asyncio.create_task(drain(attached.batches() if in_batches else attached))
    await asyncio.sleep(0)
    await end()
    frames = SSEDecoder().feed(b"".join(await reading))
    found = [json.loads(frame.data) for frame in frames]
    assert [event.get("type") for event in found[:4]] == [
        "thread.created",
        "thread.item.done",
        "stream_options",
        "thread.item.done",
    ]
    assert "error" not in [event.get("type") for event in found]
    assert attached.turn_id != first_turn
    threads = (await server.ask("threads.list"))["data"]
    assert [thread["id"] for thread in threads] == [attached.thread_id] == [found[0]["thread"]["id"]]
    assert texts(await server.items(attached.thread_id)) == ["Hello!"]
    if "resumable" in metadata:
        assert [frame.id for frame in frames] == [f"{attached.turn_id}:{n}" for n in (1, 2, 3, 4, 4)]
        assert found[-1] == {"turn_id": attached.turn_id, "status": "completed"}
        cursor = frames[1].id
        rest = await drain(await server.send("turns.resume", thread_id=attached.thread_id, after=cursor))
        assert kinds(decode(rest)) == ["stream_options", "thread.item.done"]
    again = await drain(await server.create("New", ADA, metadata))
    assert SSEDecoder().feed(b"".join(again)) == frames


@pytest.mark.parametrize(
    ("refused", "passes"), [(ConflictError, False), (ThreadBusyError, True), (TooManyTurnsError, True)]
)
async def test_a_message_that_cannot_begin_anew_says_why(
    refused: type[RequestError], passes: bool, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, attached, end = await attached_to_a_turn_that_never_begins(store, RESUMABLE_KEY, monkeypatch)

    async def refuse(*args: Any) -> None:
        raise refused("Not here.")

    monkeypatch.setattr(store, "save_thread", refuse)
    reading = asyncio.create_task(drain(attached))
    await asyncio.sleep(0)
    await end()
    frames = SSEDecoder().feed(b"".join(await reading))
    found = [json.loads(frame.data) for frame in frames]
    assert found[0] == {"type": "error", "code": "custom", "message": "Not here.", "allow_retry": passes}
    assert found[1]["status"] == "failed"
    assert len(found) == 2
    assert (await server.ask("threads.list"))["data"] == []


async def test_a_worker_that_takes_long_to_begin_asks_whether_the_key_is_still_its_own(
    store_apart: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one gives up waiting for it, and takes the message itself: it is stored once."""
    monkeypatch.setattr(keys_in_log, "_BEGINNING_SECONDS", 0.0)
    monkeypatch.setattr(keys_in_log, "_SAFE_SECONDS", -1.0)
    first, second = workers(store_apart)
    log: Any = first.stream_log
    opened, waiting, go_on = log.open, asyncio.Event(), asyncio.Event()

    async def open_late(*args: Any, **rest: Any) -> Any:
        if not waiting.is_set():
            waiting.set()
            await go_on.wait()
        return await opened(*args, **rest)

    log.open = open_late
    slow = asyncio.create_task(first.create("New", ADA, RESUMABLE_KEY))
    await waiting.wait()
    frames = await drain(await second.create("New", ADA, RESUMABLE_KEY))
    go_on.set()
    assert await drain(await slow) == frames
    assert len((await first.ask("threads.list"))["data"]) == 1


@pytest.mark.skipif(FAST, reason="waits for seconds, which a fast run does not")
async def test_two_that_give_up_the_turn_of_a_dead_worker_at_once_store_the_message_once(
    store_apart: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them has the key then, and takes its time to begin: the other one waits for it."""
    monkeypatch.setattr(keys_in_log, "_BEGINNING_SECONDS", scaled(1.0))
    log: Any = MemoryStreamLog()
    servers = workers(store_apart, log=log)
    thread_id = await servers[0].new_thread()
    claim, opened, dead, beaten = log.claim_key, log.open, list[Any](), asyncio.Event()

    async def claim_after_dead(owner: Any, key: str, wanted: Any) -> Any:
        if not dead:
            # Whose worker died before it stored anything.
            dead.append(replace(wanted, turn_id="turn_of_dead", user_item_id="msg_of_dead"))
            await claim(owner, key, dead[0])
        found = await claim(owner, key, wanted)
        if not found.fresh and found.turn_id != dead[0].turn_id:
            beaten.set()
        return found

    async def open_late(*args: Any, **rest: Any) -> Any:
        await beaten.wait()
        return await opened(*args, **rest)

    log.claim_key, log.open = claim_after_dead, open_late
    async with asyncio.timeout(LIMIT):
        sendings = [server.say(thread_id, "New", RESUMABLE_KEY) for server in servers]
        streams = [await drain(result) for result in await asyncio.gather(*sendings)]
    assert streams[0] == streams[1]
    assert all_texts(await servers[0].items(thread_id)) == ["Hi", "New", "Hello!"]
