"""The stream log over Redis or Valkey, for any number of workers. Needs the extra ``redis``."""

from __future__ import annotations

from urllib.parse import urlsplit

from chatkit.errors import MissingExtraError
from chatkit.streams.memory import LAG_LIMIT, RETENTION, WINDOW
from chatkit.streams.shared import Backend, SharedStreamLog
from chatkit.streams.shared.log import LEASE

try:
    from chatkit.streams.redis.backend import RedisBackend
except ImportError as error:
    raise MissingExtraError("RedisStreamLog needs redis: pip install 'chatkit-server[redis]'.") from error

__all__ = ["RedisStreamLog"]


class RedisStreamLog(SharedStreamLog):
    """Keeps turns in memory for the readers of this process, and in Redis for all other workers.

    Works with Redis 6.2 and newer and with Valkey: one primary, with replicas or without, not a cluster. Nothing is
    connected before the first use. What a turn appends is in Redis at most 50 ms later. When Redis is away, running
    turns and their readers in the same process go on, and what they append is kept and written when it is back; new
    turns are refused with :class:`chatkit.errors.StoreUnavailableError`.

    Args:
        url: ``redis://user:password@host:6379/0``, ``rediss://`` for TLS, ``unix://`` for a socket.
        prefix: Of all keys, so that several applications can share a server.
        window: Bytes of events kept of a turn whose readers may come back, here and in Redis.
        retention: Seconds for which such a turn is kept after its end.
        lag_limit: Bytes that the reader of another turn may lag behind before the turn waits.
        lease: Seconds for which turns and claims are a worker's without renewal; it renews at a third of that.
        timeout: Seconds that connecting, and each answer, may take.
        max_connections: Connections of one event loop, but for the one that it reads others' turns over.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "chatkit:",
        window: int = WINDOW,
        retention: float = RETENTION,
        lag_limit: int = LAG_LIMIT,
        lease: float = LEASE,
        timeout: float = 5.0,
        max_connections: int = 8,
    ) -> None:
        super().__init__(window=window, retention=retention, lag_limit=lag_limit, lease=lease)
        self._url = url
        self._prefix = prefix
        self._timeout = timeout
        self._max_connections = max_connections
        self.place = _place_of(url)

    def make_backend(self) -> Backend:
        """Returns the server, for the running event loop."""
        return RedisBackend(
            self._url,
            self.place,
            prefix=self._prefix,
            holder=self.holder,
            lease=self.lease,
            retention=self._retention,
            timeout=self._timeout,
            max_connections=self._max_connections,
        )


def _place_of(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(unreadable URL)"
    return f"{parts.netloc.rpartition('@')[2] or 'at the default host'}{parts.path}"
