"""A small HTTP client for thousands of events a second: one connection per request, chunked bodies, no more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

__all__ = [
    "AWAY",
    "LONGEST_PATIENCE",
    "PATIENCE",
    "PAUSE",
    "Broken",
    "Refused",
    "Response",
    "ask_json",
    "frames",
    "open_request",
]

PATIENCE: Final = 5.0
"""Seconds that a client waits for the head of an answer, and for the next sign of life of a stream twice.

Each time in a row that nothing came it waits twice as long: servers that are slow, since their machine does other
things too, get no slower for all who come again.
"""
LONGEST_PATIENCE: Final = 40.0
PAUSE: Final = 0.25
"""Seconds, about, after which it comes again."""
AWAY: Final = {429, 502, 503, 504}
"""Statuses that ask it to."""


class Broken(Exception):  # noqa: N818 -- what happens to connections here, not a mistake
    """The connection ended before the answer did."""


class Refused(Exception):  # noqa: N818
    """An answer other than 200.

    Attributes:
        status: Its status.
        body: Its body.
    """

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status}: {body[:300]!r}")
        self.status = status
        self.body = body


class Response:
    """An answer that is being read.

    Attributes:
        worker: The port of the worker that answers, as nginx tells it.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._chunked = False
        self._length: int | None = None
        self.worker = ""

    async def head(self) -> None:
        """Reads status and headers.

        Raises:
            Refused: The status is not 200.
            Broken: The connection ended.
        """
        lines = (await self._until(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        for line in lines[1:]:
            name, _, value = line.partition(":")
            match name.lower():
                case "transfer-encoding":
                    self._chunked = "chunked" in value
                case "content-length":
                    self._length = int(value)
                case "x-worker":
                    # After a retry of nginx the last one is who answered.
                    self.worker = value.rpartition(":")[2].strip()
                case _:
                    pass
        if status != 200:
            raise Refused(status, await self.body())

    async def _until(self, mark: bytes) -> bytes:
        try:
            return await self._reader.readuntil(mark)
        except (asyncio.IncompleteReadError, OSError) as error:
            raise Broken from error

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yields the body as it comes.

        Raises:
            Broken: The connection ended before the body did.
        """
        if not self._chunked:
            yield await self._exactly(self._length or 0)
            return
        while True:
            size = int(await self._until(b"\r\n"), 16)
            chunk = (await self._exactly(size + 2))[:-2]
            if size == 0:
                return
            yield chunk

    async def _exactly(self, size: int) -> bytes:
        try:
            return await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, OSError) as error:
            raise Broken from error

    async def body(self) -> bytes:
        """Returns the whole body."""
        return b"".join([chunk async for chunk in self.chunks()])

    def cut(self) -> None:
        """Drops the connection, as a device does that loses its network."""
        self._writer.transport.abort()


async def open_request(port: int, user: str, body: dict[str, Any]) -> Response:
    """Sends a request and reads the head of its answer.

    Raises:
        Refused: The answer's status is not 200.
        Broken: There is nobody, or the connection ended.
    """
    data = json.dumps(body).encode()
    head = (
        f"POST /chatkit HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"X-User: {user}\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    )
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4 * 1024 * 1024)
        writer.write(head.encode() + data)
        await writer.drain()
    except OSError as error:
        raise Broken from error
    response = Response(reader, writer)
    try:
        await response.head()
    except BaseException:
        response.cut()
        raise
    return response


async def ask_json(port: int, user: str, body: dict[str, Any], *, seconds: float = 180.0) -> Any:
    """Returns the answer to a request that is not streamed; comes again where nobody can answer it.

    Raises:
        Refused: It is refused.
        TimeoutError: Nobody answers.
    """
    patience = PATIENCE
    async with asyncio.timeout(seconds):
        while True:
            try:
                async with asyncio.timeout(patience):
                    response = await open_request(port, user, body)
                    try:
                        return json.loads(await response.body() or b"null")
                    finally:
                        response.cut()
            except Refused as error:
                if error.status not in AWAY:
                    raise
            except (Broken, TimeoutError):
                patience = min(2 * patience, LONGEST_PATIENCE)
            await asyncio.sleep(PAUSE)


async def frames(response: Response, patience: float) -> AsyncIterator[tuple[str | None, str, bytes]]:
    """Yields id, event name and data of each frame.

    Args:
        response: The stream.
        patience: Seconds in which something has to come.

    Raises:
        Broken: The connection broke, or nothing came for so long that a page would try anew.
    """
    rest = b""
    chunks = aiter(response.chunks())
    while True:
        try:
            async with asyncio.timeout(patience):
                chunk = await anext(chunks)
        except TimeoutError as error:
            raise Broken from error
        except StopAsyncIteration:
            return
        *frames, rest = (rest + chunk).split(b"\n\n")
        for frame in frames:
            event_id, name, data = None, "", b""
            for line in frame.split(b"\n"):
                field_name, _, value = line.partition(b": ")
                if field_name == b"id":
                    event_id = value.decode()
                elif field_name == b"event":
                    name = value.decode()
                elif field_name == b"data":
                    data = value
            if data:
                yield event_id, name, data
