"""A message is accepted once, in order, and told, whatever is cut off or asleep meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from chatkit.errors import InvalidRequestError, NotFoundError, StoreUnavailableError, ThreadBusyError
from chatkit.store import Acceptance, MemoryStore, SQLiteStore, TurnStatus
from chatkit.streams import SQLiteStreamLog, StreamLog
from tests.server.support import (
    ADA,
    LIMIT,
    ScriptedServer,
    added,
    decode,
    delta,
    done,
    drain,
    events,
    hello,
    kinds,
    progress,
    read,
    silent,
    texts,
    user_input,
)

KEY = {"idempotency_key": "k1", "resumable": True}
LEASE = 0.2


class FaultyStore(MemoryStore[Any]):
    """Accepts turns, with faults around the transaction.

    Attributes:
        loses: "before" fails before the transaction, "after" once it is committed, "resolve" also where it is asked.
        gate: Waited for once a turn is accepted, before the worker hears of it.
    """

    loses = ""
    gate: asyncio.Event | None = None

    async def accept_turn(self, acceptance: Acceptance, context: Any) -> Any:
        if self.loses == "before":
            raise StoreUnavailableError("The connection was lost.")
        accepted = await super().accept_turn(acceptance, context)
        if self.loses:
            raise StoreUnavailableError("The connection was lost during the commit.")
        if self.gate is not None:
            await self.gate.wait()
        return accepted

    async def resolve_turn(self, turn_id: str, thread_id: str, context: Any) -> Any:
        if self.loses == "resolve":
            raise StoreUnavailableError("The connection is still lost.")
        return await super().resolve_turn(turn_id, thread_id, context)


def worker(store: Any, script: Any = hello, **options: Any) -> ScriptedServer:
    """Returns a server with a log of its own, as another process has one."""
    return ScriptedServer(script, store, stream_log=StreamLog(lease=LEASE), **options)


@pytest.mark.parametrize("metadata", [None, KEY])
async def test_a_commit_whose_answer_is_lost_counts(metadata: Any) -> None:
    store = FaultyStore()
    server = worker(store)
    thread_id = await server.new_thread()
    store.loses = "after"
    frames = await drain(await server.say(thread_id, "Once", metadata))
    store.loses = ""
    assert len(frames) >= 3
    again = await drain(await server.say(thread_id, "Once", metadata)) if metadata else frames
    assert again == frames
    assert [item.type for item in await server.items(thread_id)][1:] == ["user_message", "assistant_message"]


async def test_a_commit_that_did_not_happen_leaves_nothing() -> None:
    store = FaultyStore()
    server = worker(store)
    thread_id = await server.new_thread()
    store.loses = "before"
    with pytest.raises(StoreUnavailableError):
        await server.say(thread_id, "Lost", KEY)
    store.loses = ""
    assert len(await server.items(thread_id)) == 1
    await drain(await server.say(thread_id, "Lost", KEY))
    assert len(await server.items(thread_id)) == 3


async def test_a_commit_of_which_nothing_is_known_is_found_by_its_key() -> None:
    store = FaultyStore()
    server = worker(store)
    thread_id = await server.new_thread()
    store.loses = "resolve"
    with pytest.raises(StoreUnavailableError):
        await server.say(thread_id, "Perhaps", KEY)
    store.loses = ""
    assert len(await server.items(thread_id)) == 2
    seen = await events_of(await server.say(thread_id, "Perhaps", KEY))
    assert kinds(seen)[-1] == "thread.item.done"
    assert [item.type for item in await server.items(thread_id)][1:] == ["user_message", "assistant_message"]


async def events_of(result: Any) -> list[Any]:
    return decode(await drain(result))


@pytest.mark.parametrize("create", [True, False])
async def test_a_message_of_a_worker_that_died_is_begun_by_its_next_sending(create: bool) -> None:
    store = FaultyStore()
    first, second = worker(store), worker(store)
    thread_id = await first.new_thread()

    async def sent(server: ScriptedServer) -> Any:
        return await (server.create("Hi", None, KEY) if create else server.say(thread_id, "Hi", KEY))

    gate = store.gate = asyncio.Event()
    asleep = asyncio.create_task(sent(first))
    async with asyncio.timeout(LIMIT):
        while await store.find_keyed_turn("k1", ADA) is None:
            await asyncio.sleep(0)
    store.gate = None
    seen = await events_of(await sent(second))
    assert kinds(seen).count("thread.created") == create
    assert seen[-1]["item"]["content"][0]["text"] == "Hello!"
    gate.set()
    # It joins the turn as well.
    late = await events_of(await asleep)
    assert [event["item"]["content"][0]["text"] for event in late if "item" in event] == ["Hi", "Hello!"]
    found = await store.find_keyed_turn("k1", ADA)
    assert found is not None
    stored = await second.items(found.thread_id)
    assert [item.type for item in stored][-2:] == ["user_message", "assistant_message"]
    assert len(stored) == (2 if create else 3)


async def test_the_same_key_at_two_workers_is_one_turn() -> None:
    store = MemoryStore[Any]()
    workers = [worker(store) for _ in range(4)]
    thread_id = await workers[0].new_thread()
    results = await asyncio.gather(*(each.say(thread_id, "Once", KEY) for each in workers))
    told = await asyncio.gather(*map(drain, results))
    assert sum(b"Hello!" in b"".join(frames) for frames in told) >= 1
    assert [item.type for item in await workers[0].items(thread_id)][1:] == [
        "user_message",
        "assistant_message",
    ]


async def test_a_key_of_another_request_is_refused() -> None:
    server = worker(MemoryStore())
    thread_id = await server.new_thread()
    await drain(await server.say(thread_id, "One", KEY))
    with pytest.raises(InvalidRequestError):
        await server.say(thread_id, "Two", KEY)


async def test_a_late_retry_does_not_wipe_the_answer() -> None:
    server = worker(MemoryStore())
    thread_id = await server.new_thread()
    message = (await server.items(thread_id))[0]
    retry = {"thread_id": thread_id, "item_id": message.id}
    first = await drain(await server.send("threads.retry_after_item", ADA, KEY, **retry))
    before = await server.items(thread_id)
    assert texts(before) == ["Hello!"]
    assert await drain(await server.send("threads.retry_after_item", ADA, KEY, **retry)) == first
    assert await server.items(thread_id) == before


async def test_a_log_that_cannot_open_the_turn_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    server = worker(MemoryStore())
    thread_id = await server.new_thread()

    async def away(*arguments: Any, **options: Any) -> Any:
        raise StoreUnavailableError("The log is away.")

    with monkeypatch.context() as patch:
        patch.setattr(StreamLog, "open", away)
        with pytest.raises(StoreUnavailableError):
            await server.say(thread_id, "Hi", KEY)
        with pytest.raises(StoreUnavailableError):
            await server.create("Hi", None, {"idempotency_key": "k2"})
    assert len(await server.items(thread_id)) == 1
    assert len((await server.ask("threads.list"))["data"]) == 1
    await drain(await server.say(thread_id, "Hi", KEY))
    assert len(await server.items(thread_id)) == 3


async def test_a_request_that_is_cut_off_while_it_is_accepted_leaves_nothing() -> None:
    store = FaultyStore()
    server = worker(store)
    thread_id = await server.new_thread()
    store.gate = gate = asyncio.Event()
    sending = asyncio.create_task(server.say(thread_id, "Hi", KEY))
    async with asyncio.timeout(LIMIT):
        while len(await server.items(thread_id)) == 1:
            await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        gate.set()
        while len(await server.items(thread_id)) == 2:
            await asyncio.sleep(0)
    store.gate = None
    assert await store.find_keyed_turn("k1", ADA) is None


async def slow(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    yield added("One")
    yield progress()
    await context["gate"].wait()
    yield delta(" two")


async def test_messages_wait_in_order_and_are_stored_in_it() -> None:
    store = MemoryStore[Any]()
    first, second = worker(store, slow, concurrency="enqueue"), worker(store, hello, concurrency="enqueue")
    thread_id = await first.new_thread()
    gate = asyncio.Event()
    context = {"user_id": "ada", "gate": gate}
    say = {"thread_id": thread_id, "input": user_input("First")}
    running = await first.send("threads.add_user_message", context, **say)
    await read(running.json_events, 3)
    waiting = [await second.say(thread_id, text) for text in ("Second", "Third")]
    assert [item.type for item in await first.items(thread_id)][1:] == ["user_message"]
    gate.set()
    await drain(running)
    for result in waiting:
        assert b"Hello!" in b"".join(await drain(result))
    stored = await first.items(thread_id)
    said = [item.content[0].text for item in stored[1:]]
    assert said == ["First", "One two", "Second", "Hello!", "Third", "Hello!"]


async def test_a_waiting_message_of_a_worker_that_died_is_kept_in_its_order() -> None:
    store = FaultyStore()
    alive = worker(store, slow, concurrency="enqueue")
    dead = worker(store, hello, concurrency="enqueue")
    thread_id = await alive.new_thread()
    gate = asyncio.Event()
    say = {"thread_id": thread_id, "input": user_input("First")}
    running = await alive.send("threads.add_user_message", {"user_id": "ada", "gate": gate}, **say)
    await read(running.json_events, 3)
    store.gate = asyncio.Event()
    asleep = asyncio.create_task(dead.say(thread_id, "Second"))
    async with asyncio.timeout(LIMIT):
        while TurnStatus.WAITING not in {entry.turn.status for entry in await store.lapsed_turns(0)}:
            await asyncio.sleep(0.01)
    store.gate, sleeping = None, store.gate
    assert await alive.recover() == 1
    gate.set()
    await drain(running)
    async with asyncio.timeout(LIMIT):
        while len(await alive.items(thread_id)) < 4:
            await asyncio.sleep(0.01)
    stored = await alive.items(thread_id)
    assert [item.content[0].text for item in stored[1:]] == ["First", "One two", "Second"]
    sleeping.set()
    with pytest.raises(ThreadBusyError):
        await asleep
    assert len(await alive.items(thread_id)) == 4


async def test_a_thread_is_free_once_its_turn_has_ended_whatever_the_log_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = MemoryStore[Any]()
    server = worker(store, concurrency="reject")
    thread_id = await server.new_thread()
    result = await server.say(thread_id)
    info = result.info
    await drain(result)

    async def stale(self: Any, thread: Any) -> list[Any]:
        return [info]

    # A server that came back with old data.
    monkeypatch.setattr(StreamLog, "active", stale)
    assert "thread.item.done" in kinds(await events(await server.say(thread_id)))


async def test_two_messages_at_two_workers_at_once_are_not_both_begun() -> None:
    store = MemoryStore[Any]()
    servers = [worker(store, slow, concurrency="reject") for _ in range(3)]
    thread_id = await servers[0].new_thread()
    gate = asyncio.Event()
    say = {"thread_id": thread_id, "input": user_input()}
    sent = [
        server.send("threads.add_user_message", {"user_id": "ada", "gate": gate}, **say) for server in servers
    ]
    results = await asyncio.gather(*sent, return_exceptions=True)
    begun = [result for result in results if not isinstance(result, BaseException)]
    assert len(begun) == 1
    assert sum(isinstance(result, ThreadBusyError) for result in results) == 2
    gate.set()
    await drain(begun[0])
    assert len(await servers[0].items(thread_id)) == 3


@pytest.mark.parametrize("resumable", [True, False])
async def test_an_answer_that_was_cut_off_says_so_when_only_the_store_knows_of_it(resumable: bool) -> None:
    store = MemoryStore[Any]()
    ended, alive = worker(store, slow), worker(store)
    thread_id = await alive.new_thread()
    metadata = {"idempotency_key": "k1", "resumable": resumable}
    say = {"thread_id": thread_id, "input": user_input()}
    context = {"user_id": "ada", "gate": asyncio.Event()}
    running = await ended.send("threads.add_user_message", context, metadata, **say)
    await read(running.json_events, 3)
    await ended.shutdown()
    told = await events_of(await alive.send("threads.add_user_message", ADA, metadata, **say))
    assert told[-1]["type"] == "error"
    assert told[-1]["allow_retry"]


async def test_an_end_that_cannot_be_stored_is_stored_when_the_store_is_back() -> None:
    class Store(MemoryStore[Any]):
        away = False

        async def finish_turn(self, *arguments: Any, **options: Any) -> None:
            if self.away:
                raise StoreUnavailableError("The disk is full.")
            await super().finish_turn(*arguments, **options)

    store = Store()
    server = worker(store, concurrency="reject")
    thread_id = await server.new_thread()
    store.away = True
    first = await drain(await server.say(thread_id, "First"))
    assert b"Hello!" in b"".join(first)
    with pytest.raises(ThreadBusyError):
        await server.say(thread_id, "Second")
    store.away = False
    second = None
    # Nobody sweeps.
    async with asyncio.timeout(LIMIT):
        while second is None:
            with suppress(ThreadBusyError):
                second = await server.say(thread_id, "Second")
            await asyncio.sleep(0.01)
    assert b"Hello!" in b"".join(await drain(second))


async def test_readers_hear_of_an_end_once_the_store_knows_of_it(tmp_path: Path) -> None:
    class Store(SQLiteStore[Any]):
        away = False
        asked = asyncio.Event()

        async def finish_turn(self, *arguments: Any, **options: Any) -> None:
            if self.away:
                self.asked.set()
                raise StoreUnavailableError("The disk is full.")
            await super().finish_turn(*arguments, **options)

    store = Store(tmp_path / "chat.db")
    log = SQLiteStreamLog(store.database, lease=LIMIT)
    server = ScriptedServer(hello, store, stream_log=log)
    thread_id = await server.new_thread()
    store.away = True
    reading = asyncio.create_task(drain(await server.say(thread_id, "Hi", KEY)))
    async with asyncio.timeout(LIMIT):
        await store.asked.wait()
        # Another worker may say of it by then that it was interrupted.
        done, _ = await asyncio.wait({reading}, timeout=0.5)
        assert not done
        store.away = False
        assert b'"completed"' in (await reading)[-1]
    await log.close()
    await store.close()


async def test_a_turn_that_nobody_opened_is_ended_by_a_sweep() -> None:
    store = FaultyStore()
    dead, alive = worker(store), worker(store, concurrency="reject")
    thread_id = await alive.new_thread()
    gate = store.gate = asyncio.Event()
    asleep = asyncio.create_task(dead.say(thread_id, "Kept"))
    async with asyncio.timeout(LIMIT):
        while not (turns := await store.lapsed_turns(0)):
            await asyncio.sleep(0.01)
    store.gate = None
    with pytest.raises(ThreadBusyError):
        await alive.say(thread_id, "Refused")
    assert await alive.recover() == 1
    found = await store.find_turn(turns[0].turn.turn_id, ADA)
    assert found is not None
    assert (found.status, found.end) == (TurnStatus.ENDED, "interrupted")
    await drain(await alive.say(thread_id, "Taken"))
    gate.set()
    with pytest.raises(ThreadBusyError):
        await asleep
    said = [item.content[0].text for item in await alive.items(thread_id)]
    assert said == ["Hi", "Kept", "Taken", "Hello!"]


async def test_a_message_into_a_thread_that_was_deleted_is_not_found() -> None:
    store = FaultyStore()
    server = worker(store)
    thread_id = await server.new_thread()
    thread = await store.load_thread(thread_id, ADA)
    await store.delete_thread(thread_id, ADA)

    async def loaded(thread_id: str, context: Any) -> Any:
        return thread

    # As if it had been deleted just after it was loaded.
    store.load_thread = loaded  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(NotFoundError):
        await server.say(thread_id)


class EncryptingStore(MemoryStore[Any]):
    """A store of an application's own: what it stores goes through one method."""

    stored: list[str]

    async def add_thread_item(self, thread_id: str, item: Any, context: Any) -> None:
        self.stored = [*getattr(self, "stored", []), item.id]
        await super().add_thread_item(thread_id, item, context)


async def test_a_store_that_overrides_how_items_are_written_is_asked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = EncryptingStore()
    with caplog.at_level(logging.WARNING):
        server = worker(store)
        thread_id = await server.new_thread()
        await drain(await server.say(thread_id, "Hi", KEY))
        await drain(await server.say(thread_id, "Hi", KEY))
    assert [item.id for item in await server.items(thread_id)] == store.stored
    said = [record.getMessage() for record in caplog.records if "add_thread_item" in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith("EncryptingStore overrides add_thread_item")


async def test_a_store_that_writes_one_by_one_is_told_how_its_turns_ended() -> None:
    store = EncryptingStore()
    server = worker(store, slow)
    thread_id = await server.new_thread()
    say = {"thread_id": thread_id, "input": user_input()}
    context = {"user_id": "ada", "gate": asyncio.Event()}
    running = await server.send("threads.add_user_message", context, **say)
    await read(running.json_events, 3)
    await server.ask("turns.stop", thread_id=thread_id)
    await drain(running)
    found = await store.find_turn(running.turn_id, ADA)
    assert found is not None
    assert (found.status, found.end) == (TurnStatus.ENDED, "stopped")
    server.script = silent
    silence = await server.say(thread_id)
    await drain(silence)
    found = await store.find_turn(silence.turn_id, ADA)
    assert found is not None
    assert found.end == "completed"


async def test_a_handler_that_runs_is_not_taken_for_dead_by_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore[Any]()

    async def away(held: Any, lease: float) -> None:
        raise StoreUnavailableError("Leases cannot be renewed.")

    monkeypatch.setattr(store, "renew_turns", away)
    server = worker(store, slow)
    thread_id = await server.new_thread()
    gate = asyncio.Event()
    say = {"thread_id": thread_id, "input": user_input()}
    running = await server.send("threads.add_user_message", {"user_id": "ada", "gate": gate}, **say)
    await read(running.json_events, 3)
    async with asyncio.timeout(LIMIT):
        while not await store.lapsed_turns(0):
            await asyncio.sleep(0.01)
    assert await server.recover() == 0
    gate.set()
    assert b" two" in b"".join(await drain(running))
    assert texts(await server.items(thread_id)) == ["One two"]


async def test_a_turn_that_was_stopped_while_it_waited_keeps_its_message() -> None:
    server = worker(MemoryStore(), slow, concurrency="enqueue")
    thread_id = await server.new_thread()
    gate = asyncio.Event()
    say = {"thread_id": thread_id, "input": user_input("First")}
    running = await server.send("threads.add_user_message", {"user_id": "ada", "gate": gate}, **say)
    await read(running.json_events, 3)
    server.script = silent
    waiting = await server.say(thread_id, "Second")
    assert await server.ask("turns.stop", thread_id=thread_id, turn_id=waiting.turn_id) == {
        "stopped": [waiting.turn_id]
    }
    gate.set()
    await drain(running)
    await drain(waiting)
    assert "Second" in [getattr(item.content[0], "text", "") for item in await server.items(thread_id)]


async def ended_in_the_store(store: Any, turn_id: str, thread_id: str) -> None:
    """Ends a turn as a sweep of another worker does, whose log does not know that it runs."""
    token = await store.begin_turn(thread_id, turn_id, ADA)
    assert await store.finish_turn(turn_id, token, "interrupted", ADA)


@pytest.mark.parametrize("stores_more", [True, False])
async def test_a_turn_that_was_ended_in_the_store_alone_is_told_as_it_ended_there(stores_more: bool) -> None:
    store = MemoryStore[Any]()
    go_on = asyncio.Event()

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield added("One") if stores_more else done("One")
        await go_on.wait()
        if stores_more:
            yield delta(" two")

    server = worker(store, script)
    result = await server.create(metadata=KEY)
    await read(result.json_events, 4)
    await ended_in_the_store(store, result.turn_id, result.thread_id)
    go_on.set()
    frames = await drain(result.json_events)
    assert kinds(decode(frames))[-1] == "error"
    assert ("thread.item.removed" in kinds(decode(frames))) is stores_more
    assert b'"reason":"interrupted"' in frames[-2]
    assert b'"status":"interrupted"' in frames[-1]
    assert (await drain(await server.create(metadata=KEY)))[-1] == frames[-1]


async def test_a_waiting_turn_that_was_ended_in_the_store_alone_may_be_tried_again() -> None:
    store = MemoryStore[Any]()
    server = worker(store, slow, concurrency="enqueue")
    thread_id = await server.new_thread()
    gate = asyncio.Event()
    say = {"thread_id": thread_id, "input": user_input("First")}
    running = await server.send("threads.add_user_message", {"user_id": "ada", "gate": gate}, **say)
    await read(running.json_events, 3)
    waiting = await server.say(thread_id, "Second", KEY)
    await ended_in_the_store(store, waiting.turn_id, thread_id)
    gate.set()
    await drain(running)
    frames = await drain(waiting)
    assert kinds(decode(frames)) == ["error"]
    assert b'"allow_retry":true' in frames[0]
    assert b'"status":"interrupted"' in frames[-1]
