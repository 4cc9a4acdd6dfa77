"""Servers with a log that was written for the earlier port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatkit.limits import Limits
from chatkit.server.wire import added_event, item_json
from chatkit.streams.base import InterruptedTurn, LogEntry, ThreadKey, TurnInfo
from tests.server.support import ADA, LIMIT, ScriptedServer, added, delta, drain, message, texts
from tests.streams.earlier_log import EarlierLog


async def partial(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    yield added()
    yield delta("Part")
    await asyncio.sleep(LIMIT)
    yield delta("Rest")


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer(partial, stream_log=EarlierLog())
    server.limits = Limits(kept_bytes=100_000)
    yield server
    await server.close()


async def test_turns_begin_are_resumed_and_stopped(server: ScriptedServer) -> None:
    result = await server.create(metadata={"resumable": True})
    async with asyncio.timeout(LIMIT):
        async for frame in result:
            if b"Part" in frame:
                break
        await result.aclose()
        cursor = f"{result.turn_id}:1"
        again = await server.send("turns.resume", thread_id=result.thread_id, after=cursor)
        stopped = await server.ask("turns.stop", thread_id=result.thread_id)
        assert stopped == {"stopped": [result.turn_id]}
        assert b"Part" in b"".join(await drain(again))
    assert texts(await server.items(result.thread_id)) == ["Part"]


async def test_turns_of_dead_workers_are_recovered(server: ScriptedServer) -> None:
    thread_id = await server.new_thread()
    log = server._chatkit_turns().log
    assert isinstance(log, EarlierLog)
    info = TurnInfo("turn_dead", thread_id, owner="ada")
    item = message("Partial").model_copy(update={"thread_id": thread_id})
    log.left_behind = [InterruptedTurn(info, [LogEntry(1, added_event(item_json(item)))])]
    await server._chatkit_store().begin_turn(thread_id, "turn_dead", ADA)
    assert await server.recover() == 1
    assert log.settled == [("turn_dead", [])]
    assert texts(await server.items(thread_id)) == ["Partial"]
    assert await log.active(ThreadKey("ada", thread_id)) == []
