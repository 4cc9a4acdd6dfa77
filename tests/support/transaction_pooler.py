"""A pooler that gives each transaction another session, as PgBouncer does in transaction mode."""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.support.scale import scaled

_ALLOWED = {"user", "database", "client_encoding", "application_name"}
_CANCEL, _TLS = 80877102, 80877103

Session = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class TransactionPooler:
    """Relays PostgreSQL's protocol; sessions go round among the clients, whichever of them logged in with one.

    Attributes:
        port: Where it listens on the loopback interface.
        switches: How often a client continued in another session than the one before.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._idle: deque[Session] = deque()
        self._returned = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.switches = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            # Cancelled at the end only.
            with suppress(asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
                await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = await _read_startup(reader)
        while struct.unpack("!I", body[:4])[0] == _TLS:
            writer.write(b"N")
            body = await _read_startup(reader)
        if struct.unpack("!I", body[:4])[0] == _CANCEL:
            return
        names = body[4:].split(b"\0")[0:-2:2]
        refused = sorted({name.decode() for name in names if name} - _ALLOWED)
        if refused:
            text = f"unsupported startup parameter: {refused[0]}"
            fields = f"SFATAL\0VFATAL\0C08P01\0M{text}\0\0".encode()
            writer.write(b"E" + struct.pack("!I", len(fields) + 4) + fields)
            await writer.drain()
            return
        session = await asyncio.open_connection("127.0.0.1", self._server_port)
        session[1].write(struct.pack("!I", len(body) + 4) + body)
        await self._until_idle(session, reader, writer)
        await self._give_back(session)
        last = session
        while True:
            message = await _read_message(reader)
            if message[:1] == b"X":
                return
            session = await self._take()
            self.switches += session is not last
            last = session
            session[1].write(message)
            await self._until_idle(session, reader, writer)
            await self._give_back(session)

    async def _until_idle(
        self, session: Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Relays both ways until the session is ready and in no transaction."""

        async def forward() -> None:
            while True:
                session[1].write(await _read_message(reader))

        forwarding = asyncio.ensure_future(forward())
        try:
            while True:
                message = await _read_message(session[0])
                idle = message[:1] == b"Z" and message[5:] == b"I"
                if idle:
                    # Whatever the client sends next belongs to its next transaction.
                    forwarding.cancel()
                    await asyncio.wait([forwarding])
                writer.write(message)
                if idle:
                    return
        finally:
            forwarding.cancel()

    async def _take(self) -> Session:
        async with self._returned:
            await self._returned.wait_for(lambda: self._idle)
            return self._idle.popleft()

    async def _give_back(self, session: Session) -> None:
        async with self._returned:
            self._idle.append(session)
            self._returned.notify()

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=scaled(10))
        for _, writer in self._idle:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def _read_startup(reader: asyncio.StreamReader) -> bytes:
    (length,) = struct.unpack("!I", await reader.readexactly(4))
    return await reader.readexactly(length - 4)


async def _read_message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(5)
    return head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)


@asynccontextmanager
async def transaction_pooler(server_port: int) -> AsyncIterator[TransactionPooler]:
    """Runs a pooler before a server on the loopback interface while the block runs."""
    pooler = TransactionPooler(server_port)
    listener = await asyncio.start_server(pooler.serve, "127.0.0.1", 0)
    pooler.port = listener.sockets[0].getsockname()[1]
    try:
        yield pooler
    finally:
        listener.close()
        await pooler.close()
        await listener.wait_closed()
