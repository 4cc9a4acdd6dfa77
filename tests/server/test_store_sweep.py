"""Workers renew in the store what they run; a sweep ends what nobody renews, and leaves alone what somebody does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatkit.errors import StoreUnavailableError
from chatkit.store import Acceptance, MemoryStore, TurnStatus
from chatkit.streams import StreamLog
from tests.server.support import ADA, LIMIT, ScriptedServer, added, drain, hello, read, texts, user_input
from tests.support.scale import lasting

LEASE = lasting(0.2)


async def slow(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    yield added("One")
    await context["gate"].wait()


def worker(store: Any, script: Any = hello, **options: Any) -> ScriptedServer:
    """Returns a server with a log of its own in memory, as another process has one."""
    return ScriptedServer(script, store, stream_log=StreamLog(lease=LEASE), **options)


async def running_turn(server: ScriptedServer, thread_id: str) -> tuple[Any, asyncio.Event]:
    gate = asyncio.Event()
    context = {"user_id": "ada", "gate": gate}
    result = await server.send(
        "threads.add_user_message", context, thread_id=thread_id, input=user_input("Hi")
    )
    await read(result.json_events, 3)
    return result, gate


async def swept_for(server: ScriptedServer, seconds: float) -> int:
    """Returns how many turns the sweeps of a while have ended."""
    loop = asyncio.get_running_loop()
    until, count = loop.time() + seconds, 0
    while loop.time() < until:
        count += await server.recover()
        await asyncio.sleep(LEASE / 10)
    return count


async def test_a_turn_in_the_memory_of_another_process_is_left_alone_while_that_lives(store: Any) -> None:
    alive, other = worker(store, slow), worker(store)
    thread_id = await alive.new_thread()
    running, gate = await running_turn(alive, thread_id)
    assert await swept_for(other, 12 * LEASE) == 0
    gate.set()
    await drain(running)
    assert texts(await other.items(thread_id)) == ["One"]
    found = await store.find_turn(running.turn_id, ADA)
    assert (found.status, found.end) == (TurnStatus.ENDED, "completed")


async def test_a_message_that_waits_in_another_process_is_left_alone_while_that_lives(store: Any) -> None:
    alive, other = worker(store, slow, concurrency="enqueue"), worker(store, concurrency="enqueue")
    thread_id = await alive.new_thread()
    running, gate = await running_turn(alive, thread_id)
    alive.script = hello
    waiting = await alive.say(thread_id, "Second")
    assert await swept_for(other, 12 * LEASE) == 0
    gate.set()
    await drain(running)
    assert b"Hello!" in b"".join(await drain(waiting))
    assert texts(await other.items(thread_id)) == ["One", "Hello!"]


async def test_a_turn_in_the_memory_of_a_process_that_died_is_ended_soon(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, other = worker(store, slow), worker(store, concurrency="reject")
    thread_id = await dead.new_thread()
    running, gate = await running_turn(dead, thread_id)
    # A process that is gone renews nothing, and nobody else knows what it ran.
    monkeypatch.setattr(dead._chatkit_turns(), "running_turns", list)
    async with asyncio.timeout(LIMIT):
        while not await other.recover():
            await asyncio.sleep(LEASE / 10)
    found = await store.find_turn(running.turn_id, ADA)
    assert (found.status, found.end) == (TurnStatus.ENDED, "interrupted")
    await drain(await other.say(thread_id, "Next"))
    assert texts(await other.items(thread_id)) == ["Hello!"]
    gate.set()
    # It has only stood still: nothing that it writes counts any more.
    await drain(running)
    assert texts(await other.items(thread_id)) == ["Hello!"]


async def test_turns_that_run_are_not_looked_at_by_sweeps() -> None:
    store = MemoryStore[Any]()
    server = worker(store, slow)
    thread_id = await server.new_thread()
    turns = [await running_turn(server, thread_id) for _ in range(3)]
    dead = await store.accept_turn(Acceptance("turn_dead", thread_id, LEASE), ADA)
    found: set[str] = set()
    async with asyncio.timeout(LIMIT):
        while dead.turn_id not in found:
            await asyncio.sleep(LEASE / 10)
            found |= {entry.turn.turn_id for entry in await store.lapsed_turns(0)}
    assert found == {dead.turn_id}
    for running, gate in turns:
        gate.set()
        await drain(running)
    # Nothing is renewed any more, and nothing is left to do so.
    async with asyncio.timeout(LIMIT):
        while server._chatkit_turns().renewing:
            await asyncio.sleep(LEASE / 10)


async def test_a_dead_turn_is_found_behind_many_that_may_live(store: Any) -> None:
    server = ScriptedServer(hello, store, stream_log=StreamLog(lease=LIMIT))
    thread_id = await server.new_thread()
    for number in range(120):
        # Of workers that cannot renew them just now.
        accepted = await store.accept_turn(Acceptance(f"turn_{number}", thread_id, -2.0), ADA)
        await store.open_turn(accepted.turn_id, accepted.token, ADA)
    await store.accept_turn(Acceptance("turn_dead", thread_id, -1.0), ADA)
    assert await server.recover() == 1
    found = await store.find_turn("turn_dead", ADA)
    assert (found.status, found.end) == (TurnStatus.ENDED, "interrupted")


@pytest.mark.parametrize("opened", [True, False])
async def test_a_turn_that_was_claimed_and_could_not_be_ended_is_ended_by_the_next_sweep(
    store: Any, opened: bool
) -> None:
    """Not after three leases more: its thread takes no message meanwhile."""
    other = worker(store)
    thread_id = await other.new_thread()
    accepted = await store.accept_turn(Acceptance("left", thread_id, 0.0), ADA)
    if opened:
        await store.open_turn("left", accepted.token, ADA)
    finish, tried = store.finish_turn, list[Any]()

    async def finish_the_second_time(*args: Any, **rest: Any) -> Any:
        tried.append(args)
        if len(tried) == 1:
            raise StoreUnavailableError("The disk is full.")
        return await finish(*args, **rest)

    store.finish_turn = finish_the_second_time
    async with asyncio.timeout(LIMIT):
        while not tried:
            await other.recover()
            await asyncio.sleep(LEASE / 10)
    assert await other.recover() == 1
    found = await store.find_turn("left", ADA)
    assert (found.status, found.end) == (TurnStatus.ENDED, "interrupted")
