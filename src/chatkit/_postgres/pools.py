"""Pools of connections, one for each event loop that uses a database."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs] -- published without

from chatkit._observers import observers

__all__ = ["Connection", "Pools", "Settings", "connect", "wait_given_up"]

Connection = Any
"""A connection of asyncpg, which has no published types."""

_CLOSE_SECONDS: Final = 10.0
"""How long a pool that is closed waits for transactions that still run."""

_GIVEN_UP_SECONDS: Final = 1.0
"""How long what is closed waits for connections that are being made for callers that were cancelled."""
_given_up: set[asyncio.Task[Connection]] = set()

_FROZEN_SECONDS: Final = 5.0
"""How long a process that stands still in the middle of a transaction keeps its locks, which others wait for. They
renew the leases of their turns, which last 10 s, before and after that."""

_NETWORK_SECONDS: Final = 5.0
"""How much later than the server the client itself gives up, for a server that is not heard of any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to connect; :class:`chatkit.store.PostgresStore` explains each setting."""

    connection_string: str
    max_connections: int = 10
    idle_timeout: float = 300.0
    acquire_timeout: float = 10.0
    connect_timeout: float = 10.0
    reconnect_timeout: float = 5.0
    statement_timeout: float | None = 30.0
    statement_cache_size: int = 100

    @property
    def stateless(self) -> bool:
        """Whether each transaction may meet another session of the server."""
        return self.statement_cache_size == 0

    @property
    def limits(self) -> dict[str, str]:
        """The server's time limits by name, in milliseconds."""
        if self.statement_timeout is None:
            return {}
        idle = min(self.statement_timeout, _FROZEN_SECONDS)
        limits = {"statement_timeout": self.statement_timeout, "idle_in_transaction_session_timeout": idle}
        return {name: str(max(1, round(seconds * 1000))) for name, seconds in limits.items()}


async def connect(*arguments: Any, **options: Any) -> Connection:
    """Opens a connection as ``asyncpg.connect`` does.

    The driver leaves things behind where it is cancelled while it connects: an open connection, or a failed future
    that nothing asks for. So it goes on when the caller is cancelled, and its connection is ended once there is one.
    """
    opening = asyncio.create_task(cast("Any", asyncpg).connect(*arguments, **options))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        _given_up.add(opening)
        opening.add_done_callback(_end)
        raise


def _end(opening: asyncio.Task[Connection]) -> None:
    _given_up.discard(opening)
    if not opening.cancelled() and opening.exception() is None:
        opening.result().terminate()


async def wait_given_up() -> None:
    """Waits a moment for the connections of this event loop that are being made for callers that were cancelled."""
    loop = asyncio.get_running_loop()
    mine = {opening for opening in list(_given_up) if opening.get_loop() is loop}
    if mine:
        await asyncio.wait(mine, timeout=_GIVEN_UP_SECONDS)


class _LoopPool:
    """The pool of one event loop."""

    def __init__(self, settings: Settings) -> None:
        limit = settings.statement_timeout
        self._connections: weakref.WeakSet[Any] = weakref.WeakSet()
        self._acquire_timeout = settings.acquire_timeout
        self._close_seconds = _CLOSE_SECONDS
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()
        self._pool = cast("Any", asyncpg).create_pool(
            settings.connection_string,
            min_size=0,
            max_size=settings.max_connections,
            max_inactive_connection_lifetime=settings.idle_timeout,
            timeout=settings.connect_timeout,
            command_timeout=None if limit is None else limit + _NETWORK_SECONDS,
            statement_cache_size=settings.statement_cache_size,
            server_settings=None if settings.stateless else settings.limits,
            connect=connect,
            init=self._remember,
            reset=_keep_as_it_is,
        )

    async def _remember(self, connection: Connection) -> None:
        self._connections.add(connection)

    async def open(self) -> None:
        await self._pool

    async def close(self) -> None:
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._close_seconds):
                    await self._unused.wait()
                    await self._pool.close()
        finally:
            # What a transaction still held after that time, or the cancelled caller left.
            self._pool.terminate()
            await wait_given_up()

    def hurry(self, seconds: float) -> None:
        """Makes closing wait for so long only."""
        self._close_seconds = min(self._close_seconds, seconds)

    async def acquire(self) -> Connection:
        self._users += 1
        self._unused.clear()
        _tell(0, 1)
        try:
            connection = await self._pool.acquire(timeout=self._acquire_timeout)
        except BaseException:
            _tell(0, -1)
            self._leave()
            raise
        _tell(1, -1)
        return connection

    async def release(self, connection: Connection) -> None:
        try:
            await self._pool.release(connection)
        finally:
            _tell(-1, 0)
            self._leave()

    def _leave(self) -> None:
        self._users -= 1
        if self._users == 0:
            self._unused.set()

    async def expire(self) -> None:
        await self._pool.expire_connections()

    def abandon(self) -> None:
        """Ends the sessions of a pool whose loop was closed without being shut down."""
        for connection in list(self._connections):
            # The farewell is sent at once; what asyncio does afterwards needs the loop.
            with suppress(RuntimeError, OSError, asyncpg.InterfaceError):
                connection.terminate()


def _tell(in_use: int, waiting: int) -> None:
    for observer in observers():
        observer.used_pool("postgresql", in_use, waiting)


async def _keep_as_it_is(connection: Connection) -> None:
    """Leaves a connection as it is when it comes back: nothing of ours outlives a transaction."""


async def _guarded(pool: _LoopPool) -> AsyncGenerator[None]:
    await pool.open()
    try:
        yield
    finally:
        await pool.close()


@dataclass(frozen=True, slots=True)
class _Entry:
    """An open pool.

    Attributes:
        pool: The pool.
        guard: An open generator. An event loop closes such ones when it shuts down, and when nothing refers to them any
            more: so the pool ends in its own loop, the only one that can close it. Nothing else may refer to it.
    """

    pool: _LoopPool
    guard: AsyncGenerator[None]


_Entries = dict[asyncio.AbstractEventLoop, _Entry]
_inherited: list[_Entries] = []


class Pools:
    """The pools of all event loops; each is opened at the loop's first use and ends with the loop at the latest."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = Lock()
        self._process = os.getpid()
        self._open: _Entries = {}
        weakref.finalize(self, _abandon_closed, self._open).atexit = False

    async def current(self) -> _LoopPool:
        """Returns the pool of the running loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            self._forget_closed()
            entry = self._open.get(loop)
        if entry is None:
            pool = _LoopPool(self._settings)
            entry = _Entry(pool, _guarded(pool))
            await anext(entry.guard)
            with self._lock:
                entry = self._open.setdefault(loop, entry)
        return entry.pool

    async def close(self, seconds: float = _CLOSE_SECONDS) -> None:
        """Closes all pools once their transactions are over; the next use opens a new one.

        Args:
            seconds: How long to wait for transactions, and for a server that takes leave.
        """
        with self._lock:
            self._forget_closed()
            found = dict(self._open)
            self._open.clear()
        for entry in found.values():
            entry.pool.hurry(seconds)
        here = asyncio.get_running_loop()
        for loop, entry in found.items():
            if loop is here:
                await entry.guard.aclose()
            elif loop.is_running():
                await _close_elsewhere(entry.guard, loop)
            else:
                entry.pool.abandon()

    def _forget_closed(self) -> None:
        if self._process != os.getpid():
            # A forked child must not end sessions that its parent uses.
            _inherited.append(dict(self._open))
            self._open.clear()
            self._process = os.getpid()
        _abandon_closed(self._open)


def _abandon_closed(entries: _Entries) -> None:
    for loop in [loop for loop in entries if loop.is_closed()]:
        entries.pop(loop).pool.abandon()


async def _close_elsewhere(guard: AsyncGenerator[None], loop: asyncio.AbstractEventLoop) -> None:
    async def close() -> None:
        await guard.aclose()

    closing = close()
    try:
        future = asyncio.run_coroutine_threadsafe(closing, loop)
        await asyncio.wait_for(asyncio.wrap_future(future), _CLOSE_SECONDS)
    except (RuntimeError, TimeoutError):
        # That loop ends at this moment and closes the pool itself.
        closing.close()
