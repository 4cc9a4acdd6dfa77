"""The table of sessions in Redis or Valkey. Needs the extra ``redis``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from chatkit._redis import KeySpace, Server, load_scripts
from chatkit.hosted.models import Session
from chatkit.hosted.sessions import KEPT_SECONDS, Sessions

__all__ = ["RedisSessions"]

_SCRIPTS: Final = load_scripts(Path(__file__).with_name("redis.lua"))


class RedisSessions(Sessions):
    """Keeps sessions in a Redis server; those that it forgets, as at a restart, have ended.

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

    async def _run(self, script: str, session_id: str, *arguments: object) -> Any:
        # Bytes: not every text is UTF-8.
        key = f"{self._prefix}session:{session_id}".encode("utf-8", "surrogatepass")
        return await self._server.run(_SCRIPTS[script], key, *arguments)

    async def add(self, session: Session) -> None:
        data = session.model_dump_json(exclude={"cancelled"})
        await self._run("add", session.id, data, session.expires_at + KEPT_SECONDS)

    async def find(self, session_id: str) -> Session | None:
        data, cancelled = await self._run("find", session_id)
        if data is None:
            return None
        return Session.read(data, cancelled=cancelled is not None)

    async def cancel(self, session_id: str) -> None:
        await self._run("cancel", session_id)

    async def close(self) -> None:
        await self._server.close()
