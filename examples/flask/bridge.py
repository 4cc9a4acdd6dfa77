"""Lets synchronous views use a chat server, whose event loop runs in a thread."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from chatkit.errors import ChatKitError
from chatkit.server import ChatKitServer, NonStreamingResult, StreamingResult
from chatkit.web.errors import response_for

TContext = TypeVar("TContext")
T = TypeVar("T")

KEEP_ALIVE_SECONDS = 15


@dataclass
class Answer:
    """A response, for any framework."""

    status: int
    media_type: str
    body: bytes | Iterator[bytes]


class Bridge(Generic[TContext]):
    """Answers requests from any thread.

    An answer begins in the event loop in which ``process()`` was called, and ends with it. So all requests share one
    loop that lasts as long as the process; ``asyncio.run()`` in each view would end the answer with the view.

    WSGI servers do not say when the process ends. What it cuts off is kept all the same, but for the last quarter of a
    second, and is finished with the first request to the next process.
    """

    def __init__(self, server: ChatKitServer[TContext]) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="chat", daemon=True).start()

    def answer(self, body: bytes, context: TContext) -> Answer:
        """Answers a request of the protocol."""
        try:
            result = self._begin(self._server.process(body, context)).result()
        except ChatKitError as error:
            refused = response_for(error)
            return Answer(refused.status_code, "application/json", bytes(refused.body))
        if isinstance(result, NonStreamingResult):
            return Answer(200, "application/json", result.json)
        return Answer(200, "text/event-stream", self._chunks(result))

    def _chunks(self, result: StreamingResult) -> Iterator[bytes]:
        batches = result.batches()

        async def next_chunk() -> bytes | None:
            return await anext(batches, None)

        async def leave() -> None:
            await batches.aclose()
            await result.aclose()

        following = self._begin(next_chunk())
        try:
            while True:
                if not concurrent.futures.wait([following], KEEP_ALIVE_SECONDS).done:
                    # A client that is gone is noticed by writing to it.
                    yield b": keep-alive\n\n"
                    continue
                chunk = following.result()
                if chunk is None:
                    return
                yield chunk
                following = self._begin(next_chunk())
        finally:
            following.cancel()
            self._begin(leave()).result()

    def _begin(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)
