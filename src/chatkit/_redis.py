"""What the Redis adapters share: pools of connections, scripts, the address and the errors of a server.

Needs the extra ``redis``.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha1
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

from chatkit._observers import observers
from chatkit._outages import Source
from chatkit._sql import load_queries
from chatkit.errors import (
    ChatKitError,
    ConfigurationError,
    MissingExtraError,
    StoreError,
    StoreUnavailableError,
)

try:
    from redis import exceptions as driver
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
except ImportError as error:
    raise MissingExtraError("Redis needs a driver: pip install 'chatkit-server[redis]'.") from error

__all__ = [
    "FAILURES",
    "KeySpace",
    "Server",
    "client_of",
    "driver",
    "load_scripts",
    "open_pool",
    "place_of",
    "run_script",
    "translated",
]

_BAD_CONFIGURATION: Final = (
    driver.AuthenticationError,
    driver.AuthorizationError,
    driver.NoPermissionError,
    driver.ClusterError,
    driver.MovedError,
)
FAILURES: Final = (driver.RedisError, OSError, TimeoutError, RuntimeError)
"""What a call raises. A connection that is reset while it is made is a RuntimeError of uvloop's transport."""
_AWAY: Final = (
    driver.ConnectionError,
    driver.TimeoutError,
    driver.BusyLoadingError,
    OSError,
    TimeoutError,
    RuntimeError,
)
_ANSWER_IN_TIME: Final = -1.0

Script = tuple[str, bytes]
"""The digest of a script, and the script."""


@dataclass(frozen=True, slots=True)
class KeySpace:
    """The keys of an application in a server.

    Attributes:
        url: Of the server; it may hold a password.
        prefix: Of all keys.
    """

    url: str = field(repr=False)
    prefix: str


class Server:
    """A server, used from any number of event loops, each with connections of its own.

    Args:
        url: ``redis://user:password@host:6379/0``, ``rediss://`` for TLS, ``unix://`` for a socket.
        timeout: Seconds that connecting, and each answer, may take.
        max_connections: Of one event loop.

    Raises:
        ConfigurationError: This is no such URL.
    """

    def __init__(self, url: str, *, timeout: float = 5.0, max_connections: int = 8) -> None:
        self._url = url
        self._timeout = timeout
        self._max_connections = max_connections
        self._place = place_of(url)
        self._source = Source.of(f"The Redis server {self._place}", logging.getLogger("chatkit.store"))
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = weakref.WeakKeyDictionary()
        # An URL that cannot be read is told at once.
        self._open()

    def _open(self) -> Any:
        return client_of(open_pool(self._url, connections=self._max_connections, timeout=self._timeout))

    async def run(self, script: Script, *arguments: object) -> Any:
        """Returns what a script returns; raises StoreUnavailableError, ConfigurationError or StoreError."""
        return await self._answered(run_script(self._client(), script, *arguments))

    async def command(self, *command: object) -> Any:
        """Returns what a command returns, as the server sends it; raises as ``run``."""
        return await self._answered(self._client().execute_command(*command))

    def _client(self) -> Any:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = self._open()
        return client

    async def _answered(self, asking: Any) -> Any:
        try:
            answer = await asking
        except FAILURES as error:
            partly = isinstance(error, (driver.OutOfMemoryError, driver.ReadOnlyError))
            raise self._source.caused(translated(error, self._place), partly=partly) from error
        self._source.works()
        return answer

    async def close(self) -> None:
        """Closes the connections of the running event loop; the next use opens others."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            with suppress(driver.RedisError, OSError, RuntimeError):
                await client.connection_pool.aclose()


class _Pool(BlockingConnectionPool):
    """A pool that tells observers of its use."""

    async def get_connection(self, *arguments: Any, **options: Any) -> Any:
        """Returns a connection, which is in use from then on."""
        _tell(0, 1)
        try:
            connection = await cast("Any", super()).get_connection(*arguments, **options)
        finally:
            _tell(0, -1)
        _tell(1, 0)
        return connection

    async def release(self, connection: Any) -> None:
        """Takes a connection back."""
        try:
            await super().release(connection)
        finally:
            _tell(-1, 0)


def _tell(in_use: int, waiting: int) -> None:
    for observer in observers():
        observer.used_pool("redis", in_use, waiting)


def open_pool(
    url: str, *, connections: int, timeout: float, answers_within: float | None = _ANSWER_IN_TIME
) -> Any:
    """Returns a pool of connections, which has touched nothing yet.

    Args:
        url: Of the server.
        connections: At most.
        timeout: Seconds that connecting, and waiting for a connection, may take.
        answers_within: Seconds that an answer may take, None for any time; by default the same.

    Raises:
        ConfigurationError: This is no URL of a server.
    """
    try:
        return cast("Any", _Pool).from_url(
            url,
            max_connections=connections,
            timeout=timeout,
            socket_timeout=timeout if answers_within == _ANSWER_IN_TIME else answers_within,
            protocol=2,
            socket_connect_timeout=timeout,
            # The round after a failed one is a retry already.
            retry=Retry(NoBackoff(), 0),
        )
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"This is no URL of a Redis server: {error}. Use redis://host:6379/0, or rediss:// for TLS."
        ) from error


def client_of(pool: Any) -> Any:
    """Returns a client over a pool."""
    return Redis(connection_pool=pool)


def load_scripts(path: Path) -> dict[str, Script]:
    """Returns the scripts of a file by name, each after the one that is named ``common``, if there is one."""
    found = load_queries(path)
    common = found.pop("common", "")
    whole = {name: f"{common}\n{script}" for name, script in found.items()}
    return {
        name: (sha1(text.encode(), usedforsecurity=False).hexdigest(), text.encode())
        for name, text in whole.items()
    }


async def run_script(client: Any, script: Script, *arguments: object) -> Any:
    """Returns what a script returns, which the server may have to be told first."""
    digest, text = script
    try:
        return await client.execute_command("EVALSHA", digest, 0, *arguments)
    except driver.NoScriptError:
        return await client.execute_command("EVAL", text, 0, *arguments)


def place_of(url: str) -> str:
    """Returns host and database of a server as messages may show them: without user and password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(unreadable URL)"
    return f"{parts.netloc.rpartition('@')[2] or 'at the default host'}{parts.path}"


def translated(error: Exception, place: str) -> ChatKitError:
    """Returns the error of this package that says what happened and what to do."""
    name = f"The Redis server {place}"
    if isinstance(error, _BAD_CONFIGURATION):
        return ConfigurationError(
            f"{name} refuses: {error}. Correct user and password in the URL, and what that user may do; it has to be "
            "one primary, not a cluster."
        )
    if isinstance(error, driver.OutOfMemoryError):
        return StoreUnavailableError(f"{name} has no memory left: raise its maxmemory ({error}).")
    if isinstance(error, driver.ReadOnlyError):
        return StoreUnavailableError(f"{name} is read-only: connect to the primary ({error}).")
    if isinstance(error, _AWAY):
        return StoreUnavailableError(
            f"{name} cannot be reached: check that it runs, and the URL ({error!r})."
        )
    return StoreError(f"{name} failed: {error!r}.")
