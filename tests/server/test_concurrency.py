"""Messages in a thread in which a turn runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatkit.errors import ConflictError, ThreadBusyError, ThreadClosedError
from chatkit.streams import MemoryStreamLog
from chatkit.types import (
    ClientToolCallItem,
    ClosedStatus,
    LockedStatus,
    StructuredInputFreeform,
    StructuredInputItem,
    ThreadItemDoneEvent,
)
from tests.server.support import (
    ADA,
    LIMIT,
    ScriptedServer,
    added,
    all_texts,
    done,
    drain,
    events,
    kinds,
    progress,
    read,
    silent,
    texts,
)

RESUMABLE = {"resumable": True}


class Talk:
    """Answers a message with its own text, when the test lets it."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.running = 0
        self.most = 0

    def open(self, *names: str) -> None:
        for name in names:
            self.gates.setdefault(name, asyncio.Event()).set()

    async def script(self, thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        name = message.content[0].text if message is not None else "none"
        self.began.append(name)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            yield added(f"answer to {name}", f"msg_{name}")
            await self.gates.setdefault(name, asyncio.Event()).wait()
            thread.metadata[name] = list(thread.metadata)
            yield done(f"answer to {name}", f"msg_{name}")
        finally:
            self.running -= 1


async def talking(policy: Any, store: Any = None) -> tuple[ScriptedServer, Talk, str]:
    talk = Talk()
    server = ScriptedServer(talk.script, store, concurrency=policy)
    return server, talk, await server.new_thread()


async def user_texts(server: ScriptedServer, thread_id: str) -> list[str]:
    items = await server.items(thread_id)
    return [item.content[0].text for item in items if item.type == "user_message"]


async def test_allow_runs_turns_side_by_side(store: Any) -> None:
    server, talk, thread_id = await talking("allow", store)
    streams = [await server.say(thread_id, name) for name in "ab"]
    readers = [asyncio.create_task(drain(stream)) for stream in streams]
    async with asyncio.timeout(LIMIT):
        while talk.running < 2:
            await asyncio.sleep(0)
    talk.open("b", "a")
    await asyncio.gather(*readers)
    assert talk.most == 2


async def test_reject_refuses_and_writes_nothing(store: Any) -> None:
    server, talk, thread_id = await talking("reject", store)
    first = await server.say(thread_id, "a")
    await read(first.json_events, 3)
    before = await server.items(thread_id)
    with pytest.raises(ThreadBusyError) as caught:
        await server.say(thread_id, "b")
    assert (caught.value.status, caught.value.code) == (409, "thread_busy")
    message_id = before[0].id
    with pytest.raises(ThreadBusyError):
        await server.send("threads.retry_after_item", thread_id=thread_id, item_id=message_id)
    assert await server.items(thread_id) == before
    # Other threads are not concerned.
    talk.open("c")
    await drain(await server.create("c"))
    talk.open("a", "d")
    await drain(first)
    await drain(await server.say(thread_id, "d"))
    assert await user_texts(server, thread_id) == ["Hi", "a", "d"]


async def test_two_messages_at_once_cannot_both_be_taken(store: Any) -> None:
    server, talk, thread_id = await talking("reject", store)
    found = await asyncio.gather(
        server.say(thread_id, "a"), server.say(thread_id, "b"), return_exceptions=True
    )
    talk.open("a", "b")
    assert sorted(type(result).__name__ for result in found) == ["StreamingResult", "ThreadBusyError"]
    for result in found:
        if not isinstance(result, BaseException):
            await drain(result)


async def test_enqueue_answers_in_order(store: Any) -> None:
    server, talk, thread_id = await talking("enqueue", store)
    streams = [await server.say(thread_id, name) for name in "abc"]
    readers = [asyncio.create_task(events(stream)) for stream in streams]
    talk.open("c", "b")
    await asyncio.sleep(0)
    async with asyncio.timeout(LIMIT):
        while not talk.began:
            await asyncio.sleep(0)
    assert await user_texts(server, thread_id) == ["Hi", "a"]
    talk.open("a")
    found = await asyncio.gather(*readers)
    assert talk.began == ["a", "b", "c"]
    assert talk.most == 1
    assert texts(await server.items(thread_id)) == ["answer to a", "answer to b", "answer to c"]
    assert all(kinds(each)[:2] == ["thread.item.done", "stream_options"] for each in found)
    # Each turn began with the thread as the one before it had left it.
    thread = await server._chatkit_store().load_thread(thread_id, {"user_id": "ada"})
    assert thread.metadata == {"a": [], "b": ["a"], "c": ["a", "b"]}


async def test_enqueued_messages_are_refused_by_a_thread_that_closed_meanwhile() -> None:
    server, talk, thread_id = await talking("enqueue")

    async def close(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield progress()
        await talk.gates.setdefault("close", asyncio.Event()).wait()
        thread.status = ClosedStatus(reason="That is all.")

    server.script = close
    first = await server.say(thread_id, "a")
    second = await server.say(thread_id, "b")
    talk.open("close")
    await drain(first)
    assert await events(second) == [
        {"type": "error", "code": "custom", "message": "That is all.", "allow_retry": False}
    ]
    assert await user_texts(server, thread_id) == ["Hi", "a"]
    with pytest.raises(ThreadClosedError):
        await server.say(thread_id)


async def test_a_queued_message_can_be_stopped_alone() -> None:
    server, talk, thread_id = await talking("enqueue")
    first = await server.say(thread_id, "a", RESUMABLE)
    second = await server.say(thread_id, "b", RESUMABLE)
    stopped = await server.ask("turns.stop", thread_id=thread_id, turn_id=second.turn_id)
    assert stopped == {"stopped": [second.turn_id]}
    assert b'"status":"stopped"' in (await drain(second))[-1]
    talk.open("a")
    await drain(first)
    assert talk.began == ["a"]
    # It was not answered, but what the user wrote is there.
    assert sorted(await user_texts(server, thread_id)) == ["Hi", "a", "b"]


async def test_a_queued_message_is_told_of_the_shutdown() -> None:
    server, _, thread_id = await talking("enqueue")
    streams = [await server.say(thread_id, name, RESUMABLE) for name in "ab"]
    async with asyncio.timeout(LIMIT):
        await server.shutdown()
    for stream in streams:
        frames = await drain(stream)
        assert b'"allow_retry":true' in frames[-2]
        assert b'"status":"interrupted"' in frames[-1]


async def test_interrupt_ends_the_running_turn_first(store: Any) -> None:
    server, talk, thread_id = await talking("interrupt", store)
    first = await server.say(thread_id, "a", RESUMABLE)
    await read(first.json_events, 3)
    talk.open("b")
    await drain(await server.say(thread_id, "b"))
    assert b'"status":"stopped"' in (await drain(first))[-1]
    assert talk.most == 1
    kept = [item.type for item in await server.items(thread_id)]
    assert kept == [
        "user_message",
        "user_message",
        "assistant_message",
        "sdk_hidden_context",
        "user_message",
        "assistant_message",
    ]


@pytest.mark.parametrize("policy", ["enqueue", "interrupt"])
async def test_a_message_comes_after_what_a_dead_worker_left_though_the_log_gives_up_waiting_for_a_sweep(
    policy: Any, store_apart: Any
) -> None:
    log: Any = MemoryStreamLog()
    dead = ScriptedServer(store=store_apart, stream_log=log)
    server = ScriptedServer(silent, store_apart, stream_log=log, concurrency=policy)
    thread_id = await server.new_thread()
    swept, over = asyncio.Event(), asyncio.Event()

    async def first(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        await swept.wait()
        yield done("So far")

    async def give_up(*_: Any) -> bool:
        return True

    async def sweep() -> None:
        swept.set()
        await over.wait()

    dead.script = first
    reading = asyncio.create_task(drain(await dead.say(thread_id, "one")))
    reading.add_done_callback(lambda _: over.set())
    log.stop = log.wait_closed = give_up
    server._chatkit_turns().recover = sweep
    async with asyncio.timeout(LIMIT):
        await drain(await server.say(thread_id, "two"))
        await reading
    assert all_texts(await server.items(thread_id)) == ["Hi", "one", "So far", "two"]


async def test_an_interrupting_message_sees_the_thread_as_it_was_left() -> None:
    seen: list[Any] = []

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        seen.append(dict(thread.metadata))
        yield progress()
        if len(seen) == 1:
            thread.metadata["n"] = 1
            await asyncio.Event().wait()
        thread.metadata["m"] = 2

    server = ScriptedServer(concurrency="interrupt")
    thread_id = await server.new_thread()
    server.script = script
    first = await server.say(thread_id, "a")
    await read(first.json_events, 3)
    await drain(await server.say(thread_id, "b"))
    await drain(first)
    assert seen == [{}, {"n": 1}]
    thread = await server._chatkit_store().load_thread(thread_id, {"user_id": "ada"})
    assert thread.metadata == {"n": 1, "m": 2}


@pytest.mark.parametrize("policy", ["allow", "enqueue", "interrupt"])
async def test_a_retry_ends_the_running_turn_first(policy: Any, store: Any) -> None:
    server, talk, thread_id = await talking(policy, store)
    first = await server.say(thread_id, "a", RESUMABLE)
    await read(first.json_events, 3)
    message_id = (await server.items(thread_id))[1].id
    # The first handler waits at the gate that is replaced here.
    talk.gates["a"] = asyncio.Event()
    retry = await server.send("threads.retry_after_item", thread_id=thread_id, item_id=message_id)
    talk.open("a")
    await drain(retry)
    assert b'"status":"stopped"' in (await drain(first))[-1]
    assert [item.type for item in await server.items(thread_id)] == [
        "user_message",
        "user_message",
        "assistant_message",
    ]


@pytest.mark.parametrize("policy", ["reject", "enqueue", "interrupt"])
async def test_policies_concern_messages_only(policy: Any) -> None:
    class Server(ScriptedServer):
        async def action(self, thread: Any, action: Any, sender: Any, context: Any) -> AsyncIterator[Any]:
            yield progress("acted")

    gate = asyncio.Event()

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        if message is None:
            yield progress("answered")
            return
        question = StructuredInputFreeform(id="q", question="Name?")
        yield ThreadItemDoneEvent(item=StructuredInputItem(id="sin_1", inputs=[question]))
        yield ThreadItemDoneEvent(item=ClientToolCallItem(id="tc_1", call_id="c", name="n", arguments={}))
        await gate.wait()

    server = Server(concurrency=policy)
    thread_id = await server.new_thread()
    server.script = script
    first = await server.say(thread_id)
    await read(first.json_events, 4)
    for kind, params in (
        ("threads.custom_action", {"action": {"type": "go"}}),
        ("threads.add_client_tool_output", {"result": 1}),
        ("threads.add_structured_input", {"item_id": "sin_1", "input": {}}),
    ):
        found = await server.ask(kind, thread_id=thread_id, **params)
        assert found[-1]["text"] in {"acted", "answered"}
    gate.set()
    await drain(first)


async def test_deleting_a_thread_ends_its_turn(store: Any) -> None:
    server, _, thread_id = await talking("allow", store)
    first = await server.say(thread_id, "a", RESUMABLE)
    await read(first.json_events, 3)
    assert await server.ask("threads.delete", thread_id=thread_id) == {}
    assert b'"status":"stopped"' in (await drain(first))[-1]


async def test_a_handler_may_stop_its_own_thread() -> None:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield added("Partial")
        await server.ask("turns.stop", thread_id=thread.id)
        yield progress("never")

    server = ScriptedServer(script)
    found = await events(await server.create())
    assert kinds(found)[3:] == ["thread.item.added", "thread.item.done"]


async def test_an_output_sent_several_times_at_once_is_taken_once(store: Any) -> None:
    async def calls_tool(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        if message is not None:
            yield ThreadItemDoneEvent(
                item=ClientToolCallItem(id="tc_1", call_id="call", name="where", arguments={})
            )
        else:
            answered.append(1)
            yield progress()

    answered: list[int] = []
    server = ScriptedServer(calls_tool, store)
    created = await server.create()
    # A result that nobody reads is a client that leaves, which stops the turn.
    await drain(created)
    thread_id = created.thread_id
    sent = [server.send("threads.add_client_tool_output", thread_id=thread_id, result=n) for n in range(5)]
    results = await asyncio.gather(*sent, return_exceptions=True)
    refused = [result for result in results if isinstance(result, ConflictError)]
    assert len(refused) == 4
    for result in results:
        if not isinstance(result, BaseException):
            await drain(result)
    assert answered == [1]


async def test_a_rename_beside_a_turn_that_locks_the_thread_loses_neither(store: Any) -> None:
    async def locks(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        thread.metadata["seen"] = True
        thread.status = LockedStatus(reason="Enough.")
        yield progress()

    server = ScriptedServer(silent, store)
    for number in range(10):
        thread_id = await server.new_thread()
        server.script = locks
        stream, _ = await asyncio.gather(
            server.say(thread_id),
            server.ask("threads.update", thread_id=thread_id, title=f"Title {number}"),
        )
        await drain(stream)
        found = await server.store.load_thread(thread_id, ADA)
        assert (found.title, found.status.type, found.metadata) == (
            f"Title {number}",
            "locked",
            {"seen": True},
        )
        server.script = silent
