"""A counter in Redis or Valkey. Needs the extra ``redis``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from chatkit._redis import KeySpace, Server, load_scripts
from chatkit.counters.base import Count, Counter

__all__ = ["RedisCounter"]

_SCRIPTS: Final = load_scripts(Path(__file__).with_name("redis.lua"))


class RedisCounter(Counter):
    """Counts in a Redis server, by the server's clock; what it forgets, as at a restart, is counted from 0 again.

    Args:
        url: ``redis://user:password@host:6379/0``, ``rediss://`` for TLS, ``unix://`` for a socket.
        prefix: Of all keys, so that several applications can share a server.
        timeout: Seconds that connecting, and each answer, may take.
        max_connections: Of one event loop.

    Attributes:
        key_space: Where its keys are.

    Raises:
        ConfigurationError: This is no such URL.
    """

    def __init__(
        self, url: str, *, prefix: str = "chatkit:", timeout: float = 5.0, max_connections: int = 8
    ) -> None:
        self._server = Server(url, timeout=timeout, max_connections=max_connections)
        self._prefix = prefix
        self.key_space = KeySpace(url, prefix)

    async def take(self, key: str, amount: int = 1, *, window: float, limit: int | None = None) -> Count:
        total, taken, left = await self._server.run(
            _SCRIPTS["take"], *self._keys(key), _milliseconds(window), amount, -1 if limit is None else limit
        )
        return Count(total, bool(taken), left / 1000)

    async def reserve(
        self, key: str, name: str, amount: int, *, window: float, limit: int, lease: float
    ) -> Count:
        total, taken, left = await self._server.run(
            _SCRIPTS["reserve"],
            *self._keys(key),
            _milliseconds(window),
            amount,
            limit,
            name,
            _milliseconds(lease),
        )
        return Count(total, bool(taken), left / 1000)

    async def renew(self, key: str, name: str, *, lease: float) -> None:
        await self._server.run(_SCRIPTS["renew"], *self._keys(key), name, _milliseconds(lease))

    async def settle(self, key: str, name: str, amount: int, used: int, *, window: float) -> None:
        left = _milliseconds(window) if window > 0 else 0
        await self._server.run(_SCRIPTS["settle"], *self._keys(key), left, used, name)

    def _keys(self, key: str) -> tuple[str, str, str]:
        return tuple(f"{self._prefix}{kind}:{key}" for kind in ("count", "reserved", "lapses"))  # pyright: ignore[reportReturnType]

    async def close(self) -> None:
        await self._server.close()


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
