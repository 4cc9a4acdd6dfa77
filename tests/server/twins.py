"""Two owners whose stores give the same ids to everything: threads, items and attachments."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any

from chatkit.store import MemoryStore, PostgresStore, SQLiteStore
from chatkit.streams import MemoryStreamLog, StreamLog
from chatkit.streams.postgres import PostgresStreamLog
from chatkit.streams.redis import RedisStreamLog
from chatkit.types import SyncCustomActionResponse
from tests.server.support import ScriptedServer, added, delta, done

INBOX = "inbox"


class _SameIds:
    """Calls every first thread of an owner the same, and counts each owner's items from one."""

    _counts: defaultdict[str, Callable[[], int]]

    def generate_thread_id(self, context: Any) -> str:
        return INBOX

    def generate_item_id(self, item_type: Any, thread: Any, context: Any) -> str:
        if "_counts" not in vars(self):
            self._counts = defaultdict(lambda: itertools.count(1).__next__)
        return f"{item_type}_{self._counts[self.owner(context)]()}"  # type: ignore[attr-defined]


class SameIdsMemoryStore(_SameIds, MemoryStore[Any]):
    pass


class SameIdsSQLiteStore(_SameIds, SQLiteStore[Any]):
    pass


class SameIdsPostgresStore(_SameIds, PostgresStore[Any]):
    pass


class Twins(ScriptedServer):
    """Says that its handler may run twice."""

    def dump_context(self, context: Any) -> Any:
        return context

    def load_context(self, data: Any) -> Any:
        return data

    async def action(self, thread: Any, action: Any, sender: Any, context: Any) -> AsyncIterator[Any]:
        yield done(secret(context), "msg_acted")

    async def sync_action(self, *_: Any) -> SyncCustomActionResponse:
        return SyncCustomActionResponse()


def secret(context: Any) -> str:
    """Returns a text that nobody but one owner may read."""
    return f"secret of {context['user_id']}"


async def half(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    """Begins an answer and waits until the process dies."""
    yield added("", "msg_answer")
    yield delta(secret(context), "msg_answer")
    await asyncio.Event().wait()


def make_twins(kind: str, place: str, log: str = "", lease: float = 10.0) -> Callable[..., Twins]:
    """Returns what makes servers over one store and one log.

    Args:
        kind: ``memory``, ``sqlite``, ``redis`` (with SQLite as the store) or ``postgres``.
        place: The file, or the database.
        log: Of Redis, the URL and the prefix with a space between them.
        lease: Seconds.
    """

    def make(script: Any = half, **options: Any) -> Twins:
        store: Any
        stream_log: StreamLog | None = None
        if kind == "memory":
            store, stream_log = SameIdsMemoryStore(), MemoryStreamLog()
        elif kind == "postgres":
            store, stream_log = SameIdsPostgresStore(place), PostgresStreamLog(place, lease=lease)
        else:
            store = SameIdsSQLiteStore(place)
            if kind == "redis":
                url, prefix = log.split()
                stream_log = RedisStreamLog(url, prefix=prefix, lease=lease)
        return Twins(script, store, stream_log=stream_log, **options)

    return make
