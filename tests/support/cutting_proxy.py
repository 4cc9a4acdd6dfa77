"""A TCP proxy that breaks connections: of event streams after so many bytes, or all at once."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from tests.support.scale import scaled

__all__ = ["CuttingProxy", "cutting_proxy"]

_STREAM = b"content-type: text/event-stream"


class CuttingProxy:
    """Relays to a server, in a thread of its own; its methods are called from other threads.

    Attributes:
        url: Where it listens.
        cut: How many event streams it has broken so far.
        streams: How many event streams have begun.
    """

    def __init__(self, target: str) -> None:
        address = urlsplit(target)
        self._target = (address.hostname or "127.0.0.1", address.port or 80)
        self._plan: deque[int] = deque()
        self._down = False
        self._unanswered: bytes | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._frozen = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="cutting-proxy", daemon=True)
        self.url = ""
        self.cut = 0
        self.streams = 0

    def cut_streams(self, *after: int) -> None:
        """Breaks the next event streams, each after so many bytes of its answer."""
        self._call(lambda: self._plan.extend(after))

    def lose_answer_to(self, request: bytes) -> None:
        """Breaks the connection that next sends these bytes, once the server has answered them."""
        self._call(lambda: setattr(self, "_unanswered", request))

    def take_down(self) -> None:
        """Breaks every connection and takes no new ones."""
        self._call(self._take_down)

    def bring_up(self) -> None:
        """Takes connections again."""
        self._call(lambda: setattr(self, "_down", False))

    def freeze(self) -> None:
        """Has the connections of now stay open and carry nothing any more; new ones work."""
        self._call(self._freeze)

    def start(self) -> None:
        self._thread.start()
        assert self._started.wait(scaled(10))

    def close(self) -> None:
        self._call(self._stop.set)
        self._thread.join(scaled(10))
        assert not self._thread.is_alive()

    def _call(self, function: Callable[[], object]) -> None:
        done = threading.Event()

        def call() -> None:
            function()
            done.set()

        self._loop.call_soon_threadsafe(call)
        assert done.wait(scaled(10))

    def _take_down(self) -> None:
        self._down = True
        for writer in list(self._connections):
            writer.transport.abort()

    def _freeze(self) -> None:
        self._frozen.set()
        self._frozen = asyncio.Event()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        self._started.set()
        await self._stop.wait()
        listener.close()
        self._take_down()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=scaled(5))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._down:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._connections.add(writer)
        upstream: asyncio.StreamWriter | None = None
        try:
            # Cancelled at the end only.
            with suppress(OSError, asyncio.CancelledError):
                answers, upstream = await asyncio.open_connection(*self._target)
                self._connections.add(upstream)
                await self._relay(reader, writer, answers, upstream)
        finally:
            for side in (writer, upstream):
                if side is not None:
                    side.transport.abort()
                    self._connections.discard(side)
            self._tasks.discard(task)

    async def _relay(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
    ) -> None:
        lost = asyncio.Event()
        frozen = self._frozen

        async def forward() -> None:
            while data := await reader.read(65536):
                if self._unanswered is not None and self._unanswered in data:
                    self._unanswered = None
                    lost.set()
                if not frozen.is_set():
                    upstream.write(data)

        back = self._back(answers, writer, lost, frozen)
        ways = {asyncio.ensure_future(forward()), asyncio.ensure_future(back)}
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _back(
        self,
        answers: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        lost: asyncio.Event,
        frozen: asyncio.Event,
    ) -> None:
        left: int | None = None
        while data := await answers.read(65536):
            if lost.is_set():
                self.cut += 1
                return
            if frozen.is_set():
                # Until the other side closes the connection.
                await asyncio.Future()
            head, mark, body = data.lower().partition(_STREAM)
            if mark:
                self.streams += 1
                left = self._plan.popleft() if self._plan else None
                # The bytes are counted from the end of the head, so that 0 leaves an answer without a body.
                head_end = len(head) + len(mark) + body.find(b"\r\n\r\n") + 4
                if left is not None:
                    left += head_end
            if left is not None and len(data) >= left:
                writer.write(data[:left])
                self.cut += 1
                # Closed, not aborted: what was written arrives.
                writer.close()
                await writer.wait_closed()
                return
            if left is not None:
                left -= len(data)
            writer.write(data)
            await writer.drain()


@contextmanager
def cutting_proxy(target: str) -> Iterator[CuttingProxy]:
    """Runs a proxy before a server while the block runs."""
    proxy = CuttingProxy(target)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.close()
