"""Real sockets for the client's tests: a server that follows a script, and a proxy that cuts connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from chatkit.sse import encode_event


class Reply:
    """Answers one request."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def answer(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        lines = [f"HTTP/1.1 {status} Status", f"content-type: {kind}", f"content-length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self._writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await self._writer.drain()

    async def json(self, value: object, status: int = 200, **headers: str) -> None:
        await self.answer(status, json.dumps(value).encode(), **headers)

    async def begin(self, kind: str = "text/event-stream") -> None:
        self._writer.write(
            f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        )
        await self._writer.drain()

    async def send(self, data: bytes) -> None:
        self._writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await self._writer.drain()

    async def event(self, event: dict[str, Any], id: str | None = None) -> None:
        await self.send(encode_event(json.dumps(event).encode(), id=id))

    async def turn_end(self, id: str, status: str = "completed", **more: Any) -> None:
        data = json.dumps({"turn_id": id.partition(":")[0], "status": status, **more}).encode()
        await self.send(encode_event(data, id=id, event="turn.end"))

    async def end(self) -> None:
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    def cut(self) -> None:
        self._writer.transport.abort()


Answer = Callable[[dict[str, Any], Reply], Awaitable[None]]


class ScriptedServer:
    """Answers each request by the next function of a script.

    Attributes:
        url: The endpoint.
        requests: The bodies that came.
        headers: The headers that came with each.
    """

    def __init__(self, script: Iterator[Answer]) -> None:
        self.url = ""
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.gone = asyncio.Event()
        self._script = script

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {
                    name.lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in head[1:] if line)
                }
                body = json.loads(await reader.readexactly(int(headers["content-length"])))
                self.requests.append(body)
                self.headers.append(headers)
                await next(self._script)(body, Reply(writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
        finally:
            writer.close()


@asynccontextmanager
async def _listening(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """Serves while the block runs, then ends the connections that are left; yields ``http://host:port``."""
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def serve() -> None:
            await handle(reader, writer)

        tasks.add(asyncio.create_task(serve()))

    listener = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def scripted(*script: Answer) -> AsyncIterator[ScriptedServer]:
    """Runs a scripted server while the block runs."""
    server = ScriptedServer(iter(script))
    async with _listening(server.handle) as url:
        server.url = f"{url}/chatkit"
        yield server


class CuttingProxy:
    """Passes connections on to a server and cuts each after a number of bytes of its answer.

    Attributes:
        url: Where it listens.
        connections: How many connections it has passed on.
    """

    def __init__(self, target: tuple[str, int], cuts: Iterator[int]) -> None:
        self.url = ""
        self.connections = 0
        self._target = target
        self._cuts = cuts

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        left = next(self._cuts, -1)
        upstream_reader, upstream_writer = await asyncio.open_connection(*self._target)

        async def forward() -> None:
            while data := await reader.read(65536):
                upstream_writer.write(data)
                await upstream_writer.drain()

        sending = asyncio.create_task(forward())
        try:
            while data := await upstream_reader.read(65536):
                if 0 <= left <= len(data):
                    writer.write(data[:left])
                    await writer.drain()
                    break
                left -= len(data) if left >= 0 else 0
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            sending.cancel()
            await asyncio.wait({sending})
            if not sending.cancelled():
                sending.exception()
            for side in (writer, upstream_writer):
                side.close()


@asynccontextmanager
async def cutting_proxy(url: str, *cuts: int) -> AsyncIterator[CuttingProxy]:
    """Runs a proxy in front of ``url`` whose first connections are cut after ``cuts`` bytes; later ones are not."""
    host, _, port = url.removeprefix("http://").partition("/")[0].partition(":")
    proxy = CuttingProxy((host, int(port)), iter(cuts))
    async with _listening(proxy.handle) as listening:
        proxy.url = f"{listening}/chatkit"
        yield proxy
