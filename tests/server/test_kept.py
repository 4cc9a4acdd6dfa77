"""What a server keeps in memory for readers that come back, whatever its handlers write."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatkit.errors import TurnNotFoundError
from chatkit.limits import Limits
from chatkit.streams import MemoryStreamLog
from tests.server.support import ADA, BOB, ScriptedServer, done, drain

RESUMABLE = {"resumable": True}
MIB = 1024 * 1024


def writing(items: int, size: int) -> Any:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        for number in range(items):
            yield done("x" * size, f"msg_{number}")

    return script


@pytest.mark.parametrize("metadata", [RESUMABLE, {"idempotency_key": "key"}])
async def test_turns_that_write_much_are_kept_up_to_the_bound_of_their_owner(metadata: Any) -> None:
    log = MemoryStreamLog()
    server = ScriptedServer(writing(20, MIB), stream_log=log)
    server.limits = Limits().for_service()
    results = []
    for number, context in enumerate((ADA, ADA, BOB)):
        key = {name: f"{value}{number}" if value is not True else True for name, value in metadata.items()}
        results.append(await server.create("Hi", context, metadata=key))
        await drain(results[-1])
    for context in (ADA, BOB):
        assert 20 * MIB < log.kept_bytes_of(context["user_id"]) < 32 * MIB
    if metadata is RESUMABLE:
        with pytest.raises(TurnNotFoundError):
            await server.send("turns.resume", ADA, thread_id=results[0].thread_id)
        again = await server.send("turns.resume", ADA, thread_id=results[1].thread_id)
        assert sum(map(len, await drain(again.json_events))) > 20 * MIB
    assert len(await server.items(results[0].thread_id)) == 21


async def test_limits_that_are_set_later_hold(caplog: pytest.LogCaptureFixture) -> None:
    log = MemoryStreamLog()
    server = ScriptedServer(writing(4, 10_000), stream_log=log)
    for _ in range(5):
        await drain(await server.create(metadata=RESUMABLE))
    assert log.kept_bytes > 200_000
    server.limits = Limits(kept_bytes=150_000)
    await drain(await server.create(metadata=RESUMABLE))
    assert log.kept_bytes <= 150_000
