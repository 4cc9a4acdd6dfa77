"""The event stream response.

An ASGI application of its own rather than the framework's streaming response: that one waits for the next
chunk while a client is gone, differs by version of ASGI, and enters a task group for every stream.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from contextlib import aclosing, suppress
from typing import Final

import anyio
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from chatkit._outages import log_failure
from chatkit.server import StreamingResult
from chatkit.server.wire import FAILED, INTERRUPTED
from chatkit.sse import KEEP_ALIVE, MEDIA_TYPE, encode_event

__all__ = ["DEFAULT_KEEP_ALIVE", "EventStreamResponse"]

logger = logging.getLogger("chatkit.web")

DEFAULT_KEEP_ALIVE: Final = 15.0
"""Seconds of silence after which a comment is sent; proxies cut connections that are silent for long."""

# The media type has no charset: event streams are UTF-8 by definition, and some clients compare the whole
# value.
_HEADERS: Final = {
    "content-type": MEDIA_TYPE,
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
}
# How servers, and middleware that hands messages on, say that the client is gone.
_CLIENT_GONE: Final = (OSError, ClientDisconnect, anyio.BrokenResourceError, anyio.ClosedResourceError)
_NEWS_SECONDS: Final = 0.05
"""Seconds in which a client's leaving is told, where it is why the stream is cut off."""
_CUT_OFF_SECONDS: Final = 1.0
"""Seconds in which a stream that is cut off may come to its end."""


class EventStreamResponse(Response):
    """Streams the events of a turn.

    It reads the result and watches for the client's leaving at the same time; however it ends, the result is
    closed before it returns.

    Args:
        result: What ``ChatKitServer.process()`` returned.
        keep_alive: Seconds of silence after which a comment is sent.
        headers: Added to the answer.
        background: Run after the stream.
    """

    def __init__(
        self,
        result: StreamingResult,
        *,
        keep_alive: float = DEFAULT_KEEP_ALIVE,
        headers: Mapping[str, str] | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        # The framework's constructor would set a body and with it a length.
        self.status_code = 200
        self.background = background
        self._result = result
        self._keep_alive = keep_alive
        self._reading: asyncio.Task[None] | None = None
        self._left = False
        self.init_headers({**_HEADERS, **(headers or {})})

    def leave(self) -> None:
        """Ends the stream although its turn goes on, since the process ends; safe in any thread.

        Clients of resumable turns go on reading elsewhere. Others are left to the HTTP server: to them an end without
        a last event would look like that of the turn.
        """
        self._left = True
        reading = self._reading
        if reading is not None and self._result.resumable:
            with suppress(RuntimeError):  # The loop is closed, and the stream with it.
                reading.get_loop().call_soon_threadsafe(reading.cancel)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._stream(_Channel(send), receive)
        except asyncio.CancelledError:
            if not self._left:
                raise
            # HTTP servers end what outlasts their patience so, and would take it for an exception of ours.
            logger.info("A client did not read the end of its stream and was cut off.")
        except _SendError as failed:
            if not isinstance(failed.error, _CLIENT_GONE):
                raise failed.error from None
            logger.debug("A client left before its stream had ended.")
        if self.background is not None:
            await self.background()

    async def _stream(self, channel: _Channel, receive: Receive) -> None:
        pump = self._reading = asyncio.create_task(self._pump(channel))
        watch = asyncio.create_task(_watch(receive))
        keep_alive = asyncio.create_task(channel.keep_alive(self._keep_alive))
        try:
            done, _ = await asyncio.wait({pump, watch, keep_alive}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            # The HTTP server, or middleware, cuts the stream off. Who leaves says so to ``watch``.
            if not self._left:
                await _uninterrupted(self._end_cut_off(channel, pump, watch))
            raise
        finally:
            await _uninterrupted(self._end_tasks([pump, watch, keep_alive]))
        if pump in done:
            # A cancelled pump passes on that the handler was cancelled; its stream has ended all the same.
            failure = None if pump.cancelled() else pump.exception()
            if isinstance(failure, _SendError):
                raise failure
            if failure is not None:
                log_failure(logger, "A stream broke off", failure)
                await channel.send(encode_event(FAILED))
            await channel.end()
        elif keep_alive in done:
            keep_alive.result()

    async def _end_cut_off(
        self, channel: _Channel, pump: asyncio.Task[None], watch: asyncio.Task[None]
    ) -> None:
        """Ends the turn as interrupted, where it does not outlive its reader, and lets the client hear of the end."""
        # Middleware cancels for a client that left too, of which ``watch`` is about to hear.
        await asyncio.wait({watch}, timeout=_NEWS_SECONDS)
        if watch.done():
            return
        with suppress(_SendError, TimeoutError):
            async with asyncio.timeout(_CUT_OFF_SECONDS):
                if self._result.interrupt():
                    await asyncio.wait({pump})
                    if pump.cancelled() or pump.exception() is not None:
                        return
                elif not self._result.resumable:
                    await channel.send(encode_event(INTERRUPTED))
                await channel.end()

    async def _pump(self, channel: _Channel) -> None:
        await channel.start(self.status_code, self.raw_headers)
        async with aclosing(self._result.batches()) as batches:
            async for chunk in batches:
                await channel.send(chunk)

    async def _end_tasks(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.exception()
        await self._result.aclose()


class _SendError(Exception):
    """The server could not send any more: ``error`` is what it raised."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class _Channel:
    """The way to the client, one message at a time."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lock = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        await self._put({"type": "http.response.start", "status": status, "headers": headers})

    async def send(self, chunk: bytes) -> None:
        await self._put({"type": "http.response.body", "body": chunk, "more_body": True})

    async def end(self) -> None:
        await self._put({"type": "http.response.body", "body": b"", "more_body": False})

    async def keep_alive(self, interval: float) -> None:
        """Sends a comment whenever nothing was sent for ``interval`` seconds; runs until it is cancelled."""
        while True:
            silence = self._loop.time() - self._last
            if silence < interval:
                await asyncio.sleep(interval - silence)
            elif self._lock.locked():
                # Something is on its way to a slow client already.
                await asyncio.sleep(interval)
            else:
                await self.send(KEEP_ALIVE)

    async def _put(self, message: Message) -> None:
        async with self._lock:
            try:
                await self._send(message)
            except Exception as error:
                raise _SendError(error) from error
            self._last = self._loop.time()


async def _watch(receive: Receive) -> None:
    """Returns when the client is gone."""
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    except Exception as error:  # A channel that cannot be watched says nothing about the client.
        logger.debug("A client cannot be watched.", exc_info=error)
        await asyncio.get_running_loop().create_future()


async def _uninterrupted(work: Awaitable[None]) -> None:
    """Awaits to the end, then passes on a cancellation that came meanwhile."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()
        raise cancelled
