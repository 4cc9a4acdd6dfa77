"""A network that fails: TCP links to a server that are cut, or that swallow what is sent over them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

from tests.support.scale import scaled

__all__ = ["Link", "Network", "network"]


class Link:
    """A way to one server; its methods are called from other threads than the network's.

    Attributes:
        port: Where it listens.
        taken: Connections that it has taken so far.
    """

    def __init__(self, network: Network, host: str, port: int) -> None:
        self._network = network
        self._target = (host, port)
        self._down = False
        self._flows = asyncio.Event()
        self._flows.set()
        self._connections: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.taken = 0

    def url(self, target: str) -> str:
        """Returns a URL of the server that leads over this link."""
        parts = urlsplit(target)
        user, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user}{at}127.0.0.1:{self.port}"))

    def cut(self) -> None:
        """Resets all connections, and each new one, until ``heal``."""
        self._network.call(self._cut)

    def reset(self) -> None:
        """Resets all connections, and takes new ones."""
        self._network.call(self._reset)

    def black_hole(self) -> None:
        """Takes what is sent, in both directions, and delivers nothing, the end of a connection included."""
        self._network.call(self._flows.clear)

    def forget(self) -> None:
        """Swallows for ever what is sent over the present connections; new ones work.

        So it looks when what is on the way, such as a translator of addresses, or the server's machine, has lost its
        memory of them.
        """
        self._network.call(self._forget)

    def heal(self, *, deliver: bool = True) -> None:
        """Lets everything through again.

        Args:
            deliver: Whether what was swallowed arrives now, also over connections that one side has closed meanwhile;
                otherwise the connections are reset.
        """
        self._network.call(lambda: self._heal(deliver=deliver))

    def _cut(self) -> None:
        self._down = True
        self._reset()

    def _reset(self) -> None:
        for writer in list(self._connections):
            writer.transport.abort()

    def _forget(self) -> None:
        self._flows.clear()
        self._flows = asyncio.Event()
        self._flows.set()
        self._connections = set()

    def _heal(self, *, deliver: bool) -> None:
        if not deliver:
            self._reset()
        self._down = False
        self._flows.set()

    async def listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = int(server.sockets[0].getsockname()[1])
        return server

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._down:
            writer.transport.abort()
            return
        with self._network.working():
            flows, connections = self._flows, self._connections
            connections.add(writer)
            self.taken += 1
            server: asyncio.StreamWriter | None = None
            try:
                # Cancelled at the end only.
                with suppress(OSError, asyncio.CancelledError):
                    answers, server = await asyncio.open_connection(*self._target)
                    connections.add(server)
                    # Where one side has closed, what it sent before is delivered, and the end as well.
                    await asyncio.gather(_relay(reader, server, flows), _relay(answers, writer, flows))
            finally:
                for side in (writer, server):
                    if side is not None:
                        side.transport.abort()
                        connections.discard(side)


async def _relay(source: asyncio.StreamReader, sink: asyncio.StreamWriter, flows: asyncio.Event) -> None:
    swallowed: asyncio.Queue[bytes] = asyncio.Queue()

    async def swallow() -> None:
        data = b"begin"
        while data:
            try:
                data = await source.read(65536)
            except OSError:
                # The other side is told that it is over, after what was sent before.
                data = b""
            swallowed.put_nowait(data)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(swallow())
        while data := await swallowed.get():
            await flows.wait()
            with suppress(OSError):
                if not sink.is_closing():
                    sink.write(data)
                    await sink.drain()
        await flows.wait()
    sink.close()


class Network:
    """Links, served by a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()
        self._listeners: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def link(self, target: str) -> Link:
        """Makes a link to the server that a URL names."""
        parts = urlsplit(target)
        assert parts.hostname is not None
        assert parts.port is not None
        made = Link(self, parts.hostname, parts.port)

        async def listen() -> None:
            self._listeners.append(await made.listen())

        asyncio.run_coroutine_threadsafe(listen(), self._loop).result(scaled(10))
        return made

    def call(self, function: Callable[[], object]) -> None:
        """Calls a function in the network's thread and returns when that is done."""

        async def call() -> None:
            function()

        asyncio.run_coroutine_threadsafe(call(), self._loop).result(scaled(10))

    @contextmanager
    def working(self) -> Iterator[None]:
        """Notes that the running task serves a connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)

    def close(self) -> None:
        """Ends all links."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(scaled(20))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(scaled(10))
        assert not self._thread.is_alive()
        self._loop.close()

    async def _close(self) -> None:
        for listener in self._listeners:
            listener.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=scaled(10))
        # What they have aborted is closed in the next round.
        await asyncio.sleep(0)


@contextmanager
def network() -> Iterator[Network]:
    """Has links while the block runs."""
    made = Network()
    try:
        yield made
    finally:
        made.close()
