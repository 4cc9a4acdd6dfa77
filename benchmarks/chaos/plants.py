"""Faults that are planted in the workers, to see whether the judge finds them."""

from __future__ import annotations

import json
from asyncio import Future, get_running_loop
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from chatkit.server import NonStreamingResult, StreamingResult
from chatkit.store import _records

if TYPE_CHECKING:
    from benchmarks.chaos.application import Teller

__all__ = ["PLANTS", "planted"]


def _without_fence(teller: type[Teller]) -> type[Teller]:
    """Stores check no fence: a turn that another worker has taken over writes on."""
    # The one thing here that is not public. A store asks it before each write.
    assert callable(_records.active_fence)
    _records.active_fence = lambda: None
    return teller


def _without_keys(teller: type[Teller]) -> type[Teller]:
    """Idempotency keys are ignored: a message that is sent again is a new one."""

    class Planted(teller):
        async def process(self, request: Any, context: Any) -> StreamingResult | NonStreamingResult:
            body = json.loads(request)
            body.get("metadata", {}).pop("idempotency_key", None)
            return await super().process(json.dumps(body).encode(), context)

    return Planted


def _without_order(teller: type[Teller]) -> type[Teller]:
    """Messages that wait in a thread are answered the newest first."""
    # By thread, those that wait while one of this worker is answered.
    waiting: dict[str, list[Future[None]]] = {}

    class Planted(teller):
        async def process(self, request: Any, context: Any) -> StreamingResult | NonStreamingResult:
            body = json.loads(request)
            if body["type"] != "threads.add_user_message":
                return await super().process(request, context)
            process, thread_id = super().process, body["params"]["thread_id"]

            async def frames() -> AsyncGenerator[bytes, None]:
                if thread_id in waiting:
                    turn = get_running_loop().create_future()
                    waiting[thread_id].append(turn)
                    await turn
                else:
                    waiting[thread_id] = []
                try:
                    async for frame in _frames(await process(request, context)):
                        yield frame
                finally:
                    left = [turn for turn in waiting.pop(thread_id) if not turn.done()]
                    if left:
                        waiting[thread_id] = left
                        left.pop().set_result(None)

            return StreamingResult(frames())

    return Planted


def _without_end(teller: type[Teller]) -> type[Teller]:
    """Of some turns, always the same, no reader hears the end."""

    class Planted(teller):
        async def process(self, request: Any, context: Any) -> StreamingResult | NonStreamingResult:
            result = await super().process(request, context)
            return result if isinstance(result, NonStreamingResult) else StreamingResult(frames(result))

    async def frames(result: StreamingResult) -> AsyncGenerator[bytes, None]:
        async for frame in _frames(result):
            if not (b"event: turn.end" in frame and sum(result.turn_id.encode()) % 3 == 0):
                yield frame

    return Planted


async def _frames(result: StreamingResult | NonStreamingResult) -> AsyncIterator[bytes]:
    assert isinstance(result, StreamingResult)
    try:
        async with aclosing(result.json_events) as frames:
            async for frame in frames:
                yield frame
    finally:
        await result.aclose()


PLANTS: dict[str, Callable[[type[Teller]], type[Teller]]] = {
    "fence": _without_fence,
    "key": _without_keys,
    "order": _without_order,
    "end": _without_end,
}


def planted(teller: type[Teller], name: str) -> type[Teller]:
    """Returns the worker's server with a fault of :data:`PLANTS`; the name of none leaves it whole."""
    return PLANTS[name](teller) if name else teller
