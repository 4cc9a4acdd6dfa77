"""The one connection of an event loop that hears what others write."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Callable, Set
from contextlib import suppress
from typing import Any, Final, cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs] -- published without

from chatkit._postgres import Database
from chatkit._postgres.errors import translated
from chatkit._postgres.pools import connect, wait_given_up
from chatkit.errors import ChatKitError

__all__ = ["Listener"]

_CHANNEL: Final = "chatkit_streams"
_STOP: Final = "!"
_SHORTEST_LIMIT: Final = 1.0
"""Seconds that the server may take, at least, to say that it still talks to this connection."""


class Listener:
    """Listens for notifications.

    Args:
        database: Where; the connection is one of its own, beside those of the pools.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Any = None
        # A connection that its event loop did not close is ended with the last reference to it.
        self._held: list[Any] = []
        weakref.finalize(self, _abandon, self._held).atexit = False
        self._changed: set[str] = set()
        self._followed: Set[str] = frozenset()
        self._stops: list[str] = []
        self._news = asyncio.Event()
        self._heard_at = 0.0
        self._lost = False
        self._end_listener: Callable[[object], None] = lambda _: None

    async def wait(self, limit: float, followed: Set[str], on_stop: Callable[[str], None]) -> set[str]:
        """Returns which of the followed turns changed, once one did, ``wake`` was called or the time is over.

        Raises:
            ChatKitError: The connection cannot be made, or was lost.
        """
        self._followed = followed
        fresh = self._connection is None
        if fresh:
            await self._connect()
        elif limit > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await self._news.wait()
            if not self._lost and time.monotonic() - self._heard_at > limit:
                await self._ask(max(_SHORTEST_LIMIT, limit))
        if self._lost:
            await self.close()
            error = ConnectionError("the connection that listens was lost")
            raise self._failure(error)
        self._news.clear()
        changed, self._changed = self._changed, set()
        stops, self._stops = self._stops, []
        for turn_id in stops:
            on_stop(turn_id)
        # Nothing was heard before.
        return set(followed) if fresh else changed & followed

    def wake(self) -> None:
        """Ends the wait."""
        self._news.set()

    async def close(self) -> None:
        """Closes the connection."""
        connection, self._connection = self._connection, None
        self._lost = False
        await wait_given_up()
        if connection is not None:
            connection.remove_termination_listener(self._end_listener)
            try:
                with suppress(Exception):
                    async with asyncio.timeout(2):
                        await connection.close()
            finally:
                # The end of the event loop may cut that short.
                connection.terminate()
                self._held.clear()

    async def _ask(self, limit: float) -> None:
        """Notices a connection that is gone without a word: only to listen would be to wait for ever."""
        try:
            await self._connection.execute("SELECT 1", timeout=limit)
        except (OSError, TimeoutError, cast("Any", asyncpg).PostgresError, asyncpg.InterfaceError):
            self._lost = True
        self._heard_at = time.monotonic()

    async def _connect(self) -> None:
        settings = self._database.settings
        self._lost = False
        try:
            # Makes the schema, if it is not there yet.
            await self._database.migrate()
            connection = await connect(
                settings.connection_string, timeout=settings.connect_timeout, statement_cache_size=0
            )
            try:
                self._held.append(connection)
                # The connection must not keep the listener alive, which has to end it.
                me: weakref.ref[Any] = weakref.ref(self)
                self._end_listener = lambda _: _call(me, Listener._on_end)
                connection.add_termination_listener(self._end_listener)

                def on_notification(_connection: object, _pid: int, _channel: str, payload: str) -> None:
                    _call(me, Listener._on_notification, payload)

                await connection.add_listener(_CHANNEL, on_notification)
            except BaseException:
                connection.terminate()
                self._held.clear()
                raise
        except (OSError, TimeoutError, cast("Any", asyncpg).PostgresError, asyncpg.InterfaceError) as error:
            raise self._failure(error) from error
        self._connection = connection
        self._heard_at = time.monotonic()

    def _failure(self, error: Exception) -> ChatKitError:
        failure = translated(error, self._database.place, committing=False, limit=None)
        return self._database.source.caused(failure)

    def _on_notification(self, payload: str) -> None:
        self._heard_at = time.monotonic()
        if payload.startswith(_STOP):
            # What a later version may add stands after the id.
            self._stops.append(payload.removeprefix(_STOP).partition(" ")[0])
            self._news.set()
        elif self._followed and (changed := self._followed & set(payload.split(" "))):
            self._changed |= changed
            self._news.set()

    def _on_end(self) -> None:
        self._lost = True
        self._news.set()


def _call(reference: weakref.ref[Any], method: Callable[..., None], *arguments: object) -> None:
    listener = reference()
    if listener is not None:
        method(listener, *arguments)


def _abandon(connections: list[Any]) -> None:
    for connection in connections:
        # The farewell is sent at once; what asyncio does afterwards needs the loop.
        with suppress(RuntimeError, OSError, asyncpg.InterfaceError):
            connection.terminate()
