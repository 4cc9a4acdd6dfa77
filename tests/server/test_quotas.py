"""How many turns of one owner run at once: one more is refused before anything is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatkit.errors import RateLimitedError, TooManyTurnsError
from chatkit.limits import Limits
from chatkit.server import StreamingResult
from chatkit.server.requests.turns import turn_again
from chatkit.streams.base import InterruptedTurn
from chatkit.types import (
    ClientToolCallItem,
    StructuredInputFreeform,
    StructuredInputItem,
    ThreadItemDoneEvent,
    TranscriptionResult,
)
from tests.server.support import (
    ADA,
    BOB,
    LIMIT,
    ScriptedServer,
    added,
    drain,
    events,
    read,
    silent,
    user_input,
)

RESUMABLE = {"resumable": True}


class Hanging(ScriptedServer):
    """Its turns go on until the test lets them end."""

    def __init__(self, most: int | None = 2, store: Any = None, **options: Any) -> None:
        super().__init__(self.hang, store, limits=Limits(running_turns_per_owner=most), **options)
        self.gate = asyncio.Event()
        self.called = 0

    async def hang(self, thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        self.called += 1
        yield added("One")
        await self.gate.wait()

    def action(self, thread: Any, action: Any, sender: Any, context: Any) -> Any:
        return self.hang(thread, None, context)

    async def sync_action(self, thread: Any, action: Any, sender: Any, context: Any) -> None:
        self.called += 1
        await self.gate.wait()

    async def transcribe(self, audio_input: Any, context: Any) -> TranscriptionResult:
        self.called += 1
        await self.gate.wait()
        return TranscriptionResult(text="Hi")

    async def threads(self, context: Any = ADA) -> int:
        return len((await self.ask("threads.list", context, limit=200))["data"])


async def full(server: Hanging, most: int = 2) -> list[StreamingResult]:
    return [await server.create("Hi", ADA, RESUMABLE) for _ in range(most)]


async def test_a_hundred_at_once_begin_as_many_as_may(store: Any) -> None:
    server = Hanging(20, store)
    found = await asyncio.gather(
        *(server.create("Hi", ADA, RESUMABLE) for _ in range(100)), return_exceptions=True
    )
    refused = [error for error in found if isinstance(error, TooManyTurnsError)]
    begun = [result for result in found if isinstance(result, StreamingResult)]
    assert (len(begun), len(refused)) == (20, 80)
    assert (refused[0].status, refused[0].code) == (429, "too_many_turns")
    assert isinstance(refused[0], RateLimitedError)
    assert "20 answers" in str(refused[0])
    assert "stop one" in str(refused[0])
    assert await server.threads() == 20
    # Another owner is not concerned.
    begun.append(await server.create("Hi", BOB, RESUMABLE))
    server.gate.set()
    for result in begun:
        await drain(result)
    assert server._chatkit_turns()._turns_of == {}
    server.gate.clear()
    again = await server.create("Hi", ADA, RESUMABLE)
    server.gate.set()
    await drain(again)


async def test_every_request_that_begins_a_turn_is_refused_and_writes_nothing(store: Any) -> None:
    server = Hanging(2, store)
    thread_id = await server.new_thread()

    async def asks(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        question = StructuredInputFreeform(id="q", question="Why?")
        yield ThreadItemDoneEvent(item=StructuredInputItem(id="asked", inputs=[question]))
        yield ThreadItemDoneEvent(item=ClientToolCallItem(id="call", call_id="c", name="n", arguments={}))

    server.script = asks
    await drain(await server.say(thread_id))
    server.script = server.hang
    running = await full(server)
    before = await server.items(thread_id)
    ask = {"status": "answered", "answers": {"q": {"values": ["So"]}}}
    requests: list[tuple[str, dict[str, Any]]] = [
        ("threads.create", {"input": user_input()}),
        ("threads.add_user_message", {"thread_id": thread_id, "input": user_input()}),
        ("threads.retry_after_item", {"thread_id": thread_id, "item_id": before[0].id}),
        ("threads.custom_action", {"thread_id": thread_id, "action": {"type": "x"}}),
        ("threads.add_client_tool_output", {"thread_id": thread_id, "result": {}}),
        ("threads.add_structured_input", {"thread_id": thread_id, "item_id": "asked", "input": ask}),
    ]
    for kind, params in requests:
        for metadata in (None, {"idempotency_key": f"key of {kind}"}):
            with pytest.raises(TooManyTurnsError):
                await server.send(kind, ADA, metadata, **params)
    assert await server.items(thread_id) == before
    assert await server.threads() == 3
    # What begins no turn goes on.
    resumed = await server.send("turns.resume", thread_id=running[0].thread_id)
    await resumed.aclose()
    server.gate.set()
    for result in running:
        await drain(result)
    # A refused key is free.
    for kind, params in requests[:2]:
        await drain(await server.send(kind, ADA, {"idempotency_key": f"key of {kind}"}, **params))


async def test_a_message_that_is_sent_again_joins_its_turn() -> None:
    server = Hanging(1)
    key = {"resumable": True, "idempotency_key": "k"}
    first = await server.create("Hi", ADA, key)
    second = await server.create("Hi", ADA, key)
    assert second.turn_id == first.turn_id
    server.gate.set()
    assert await drain(second) == await drain(first)
    assert server.called == 1


async def test_queued_messages_count_until_they_are_answered() -> None:
    server = Hanging(2, concurrency="enqueue")
    thread_id = await server.new_thread()
    queue = [await server.say(thread_id, text, RESUMABLE) for text in ("a", "b")]
    with pytest.raises(TooManyTurnsError):
        await server.say(thread_id, "c")
    server.gate.set()
    for result in queue:
        await drain(result)
    await drain(await server.say(thread_id, "c"))


async def test_a_message_that_interrupts_takes_the_place_of_the_turn_that_it_ends() -> None:
    server = Hanging(1, concurrency="interrupt")
    first = await server.create("a", ADA, RESUMABLE)
    await read(first.json_events, 4)
    second = await server.say(first.thread_id, "b", RESUMABLE)
    with pytest.raises(TooManyTurnsError):
        await server.create("c")
    server.gate.set()
    await drain(first)
    await drain(second)


async def stop(server: Hanging, result: StreamingResult) -> None:
    await server.send("turns.stop", thread_id=result.thread_id)


async def leave(server: Hanging, result: StreamingResult) -> None:
    await result.aclose()


async def delete(server: Hanging, result: StreamingResult) -> None:
    await server.send("threads.delete", thread_id=result.thread_id)


async def fail(server: Hanging, result: StreamingResult) -> None:
    next(iter(server._chatkit_turns()._running.values())).task.cancel()


@pytest.mark.parametrize("end", [stop, leave, delete, fail])
async def test_every_end_makes_room(end: Any) -> None:
    server = Hanging(1)
    result = await server.create("Hi", ADA, None)
    await read(result.json_events, 4)
    with pytest.raises(TooManyTurnsError):
        await server.create()
    await end(server, result)
    if end is not leave:
        try:
            await drain(result)
        except asyncio.CancelledError:
            assert end is fail
    server.gate.set()
    await drain(await server.create())
    assert server._chatkit_turns()._turns_of == {}


async def test_an_opening_that_fails_makes_room() -> None:
    server = Hanging(1)
    kept = server.store.add_thread_item

    async def refuse(*args: Any) -> None:
        raise RuntimeError

    server.store.add_thread_item = refuse  # type: ignore[method-assign]
    for _ in range(3):
        with pytest.raises(RuntimeError):
            await server.create()
    server.store.add_thread_item = kept  # type: ignore[method-assign]
    server.gate.set()
    await drain(await server.create())


@pytest.mark.parametrize(
    ("limits", "counts"),
    [(Limits(running_turns_per_owner=20), True), (Limits().for_service(), False), (Limits(), False)],
)
async def test_those_without_an_owner_are_one_where_the_number_was_chosen(
    limits: Limits, counts: bool
) -> None:
    class Foreign(Hanging):
        pass

    from tests.stateful.plain_store import PlainStore

    server = Foreign(None, PlainStore())
    server.limits = limits
    begun = [await server.create("Hi", {"anybody": True}, RESUMABLE) for _ in range(20)]
    if counts:
        with pytest.raises(TooManyTurnsError):
            await server.create("Hi", {"anybody": True})
    else:
        begun.append(await server.create("Hi", {"anybody": True}, RESUMABLE))
    server.gate.set()
    for result in begun:
        await drain(result)


async def test_calls_that_are_no_turns_are_bounded_as_well() -> None:
    server = Hanging(2)
    thread_id = await server.new_thread()

    def act() -> Any:
        return server.send("threads.sync_custom_action", thread_id=thread_id, action={"type": "x"})

    def speak() -> Any:
        return server.send("input.transcribe", audio_base64="", mime_type="audio/webm")

    calls = [asyncio.create_task(act()), asyncio.create_task(speak())]
    async with asyncio.timeout(LIMIT):
        while server.called < 2:
            await asyncio.sleep(0)
    for call in (act, speak):
        with pytest.raises(TooManyTurnsError):
            await call()
    server.gate.set()
    await asyncio.gather(*calls)
    await act()
    # They take no place of a turn.
    server.script = silent
    assert await events(await server.create())


async def test_a_turn_that_runs_again_is_never_refused() -> None:
    """Recovery begins what was accepted before; it counts from then on."""
    server = Hanging(1)
    running = await server.create("Hi", ADA, RESUMABLE)
    turns = server._chatkit_turns()
    info = next(iter(turns._running.values())).info
    other = await turn_again(server._chatkit_scope(ADA), info)
    assert other is not None
    from dataclasses import replace

    moved = InterruptedTurn(replace(info, id="turn_other"), [])
    assert await turns.begin_again(moved, other, others=None)
    assert turns._turns_of == {"ada": 2}
    server.gate.set()
    await drain(running)
    await turns.log.wait_closed("turn_other", "ada")
    async with asyncio.timeout(LIMIT):
        while turns._running:
            await asyncio.sleep(0)
    assert turns._turns_of == {}
