"""A counter in Redis or Valkey. Needs the extra ``redis``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from chatkit._redis import Server, load_scripts
from chatkit.counters.base import Count, Counter

__all__ = ["RedisCounter"]

_TAKE: Final = load_scripts(Path(__file__).with_name("redis.lua"))["take"]


class RedisCounter(Counter):
    """Counts in a Redis server, by the server's clock; what it forgets, as at a restart, is counted from 0 again.

    Args:
        url: ``redis://user:password@host:6379/0``, ``rediss://`` for TLS, ``unix://`` for a socket.
        prefix: Of all keys, so that several applications can share a server.
        timeout: Seconds that connecting, and each answer, may take.
        max_connections: Of one event loop.

    Raises:
        ConfigurationError: This is no such URL.
    """

    def __init__(
        self, url: str, *, prefix: str = "chatkit:", timeout: float = 5.0, max_connections: int = 8
    ) -> None:
        self._server = Server(url, timeout=timeout, max_connections=max_connections)
        self._prefix = prefix

    async def take(self, key: str, amount: int = 1, *, window: float, limit: int | None = None) -> Count:
        total, taken, left = await self._server.run(
            _TAKE,
            f"{self._prefix}count:{key}",
            amount,
            max(1, round(window * 1000)),
            -1 if limit is None else limit,
        )
        return Count(total, bool(taken), left / 1000)

    async def close(self) -> None:
        await self._server.close()
