"""A turn that another worker has taken over."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

from chatkit.ids import new_id
from chatkit.server import ChatKitServer
from chatkit.store import MemoryStore
from chatkit.streams import RedisStreamLog
from chatkit.types import ThreadStreamEvent
from tests.support.scale import scaled

MESSAGE = {
    "type": "threads.create",
    "params": {
        "input": {
            "content": [{"type": "input_text", "text": "hello"}],
            "attachments": [],
            "inference_options": {},
        }
    },
}


class Waiting(ChatKitServer[Any]):
    cancelled = False
    stopped_hooks = 0

    async def respond(self, thread: Any, item: Any, context: Any) -> AsyncIterator[ThreadStreamEvent]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        yield  # pyright: ignore

    async def handle_stream_cancelled(self, thread: Any, pending_items: Any, context: Any) -> None:
        self.stopped_hooks += 1


@pytest.mark.parametrize("resumable", [True, False])
async def test_it_stops_and_its_readers_come_back_or_are_told(resumable: bool, redis_url: str) -> None:
    prefix = new_id("test") + ":"
    log = RedisStreamLog(redis_url, prefix=prefix, lease=0.3)
    server = Waiting(MemoryStore(owner=lambda _: "ada"), stream_log=log)
    result: Any = await server.process(
        json.dumps(MESSAGE | {"metadata": {"resumable": resumable}}).encode(), {}
    )
    with redis.Redis.from_url(redis_url) as client:
        client.hset(f"{prefix}turn:{result.turn_id}", "h", "another worker")
    async with asyncio.timeout(scaled(20)):
        frames = [frame async for frame in result]
    told = b'"allow_retry":true' in frames[-1]
    assert told is not resumable, "a reader with a cursor finds the turn at the worker that has it"
    assert not any(b"turn.end" in frame for frame in frames)
    assert server.cancelled
    assert server.stopped_hooks == 0, "nobody stopped it, and the other worker keeps what there is"
    await server.close()
