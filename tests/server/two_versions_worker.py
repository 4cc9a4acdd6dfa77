"""A worker of this version, or of a made-up later one that knows a migration and a field of each record more.

Served by uvicorn. The environment variable ``TWO_VERSIONS`` has the lease in seconds, for a later version a folder for
its migrations, and a database and a log by the kind of the log; each kind is served under its name. A message says how
many pieces its answer has.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount

from chatkit._postgres import schema
from chatkit._sqlite import connection_thread
from chatkit.ids import new_id
from chatkit.server import ChatKitServer
from chatkit.store import PostgresStore, SQLiteStore, _records
from chatkit.streams import PostgresStreamLog, RedisStreamLog, SQLiteStreamLog, StreamLog, backend, records
from chatkit.streams.backends import postgres, redis
from chatkit.types import (
    AssistantMessageItem,
    TextContent,
    TextDelta,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
)
from chatkit.web import create_app, single_user
from tests.support.later_schema import later_migrations

PACE = 0.02


@dataclass(frozen=True, slots=True)
class LaterTurnInfo(records.TurnInfo):
    """With a field more."""

    later: str = "later"


class Counting(ChatKitServer[Any]):
    """Counts up to the number that a message says."""

    async def respond(self, thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        item = AssistantMessageItem(id=new_id("message"), content=[TextContent(text="")])
        yield ThreadItemAddedEvent(item=item)
        text = ""
        for number in range(int(message.content[0].text)):
            piece = f"{number} "
            text += piece
            yield ThreadItemUpdatedEvent(id=item.id, delta=TextDelta(text=piece))
            await asyncio.sleep(PACE)
        yield ThreadItemDoneEvent(item=item.model_copy(update={"content": [TextContent(text=text)]}))


def be_later(folder: Path) -> None:
    """Makes this process one of a later version."""
    connection_thread.MIGRATIONS = later_migrations(connection_thread.MIGRATIONS, folder)
    schema.MIGRATIONS = later_migrations(schema.MIGRATIONS, folder)
    put_in_place(records.TurnInfo, LaterTurnInfo)
    put_in_place(records._KNOWN, frozenset(LaterTurnInfo.__dataclass_fields__))
    dump_claim, encode_parts = records.dump_claim, backend.encode_parts
    put_in_place(dump_claim, lambda claim: json.dumps([*json.loads(dump_claim(claim)), "later"]))
    put_in_place(
        encode_parts, lambda parts: b"\x1e".join([*filter(None, [encode_parts(parts)]), b"", b"later"])
    )
    for name in ("dump_model", "dump_thread"):
        setattr(_records, name, extended(getattr(_records, name)))
    for query in ("save", "settle", "stop"):
        said = postgres._SQL[query].replace("string_agg(id, ' ')", "string_agg(id, ' ') || ' later'")
        said = said.replace("'!' || id", "'!' || id || ' later'")
        postgres._SQL[query] = said.replace(
            "_notify('chatkit_streams', id)", "_notify('chatkit_streams', id || ' later')"
        )
    for name, (_, script) in redis._SCRIPTS.items():
        text = script.replace(b"'r', ARGV[8])", b"'r', ARGV[8], 'z', 'later')")
        text = text.replace(b"'*', 's',", b"'*', 'z', 'later', 's',")
        text = text.replace(b"'e', state)\n  redis", b"'e', state, 'z', 'later')\n  redis")
        text = text.replace(b"0', 'f',", b"0', 'z', 'later', 'f',")
        redis._SCRIPTS[name] = (sha1(text, usedforsecurity=False).hexdigest(), text)


def extended(dump: Any) -> Any:
    return lambda model: json.dumps(json.loads(dump(model)) | {"later": {"a": 1}})


def put_in_place(old: Any, new: Any) -> None:
    """Replaces what modules of the package have imported."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "chatkit":
            for key, value in list(vars(module).items()):
                if value is old:
                    setattr(module, key, new)


def make_server(kind: str, database: str, log: str, lease: float) -> Counting:
    """Returns a server.

    Args:
        kind: Of the log.
        database: Of the store.
        log: A prefix of Redis and its URL, otherwise unused.
        lease: Seconds.
    """
    store: Any = SQLiteStore(database) if kind == "sqlite" else PostgresStore(database)
    streams: StreamLog
    if kind == "sqlite":
        streams = SQLiteStreamLog(store.database, lease=lease)
    elif kind == "redis":
        prefix, _, url = log.partition(" ")
        streams = RedisStreamLog(url, prefix=prefix, lease=lease)
    else:
        streams = PostgresStreamLog(store.database, lease=lease)
    return Counting(store, stream_log=streams)


def make_app() -> Starlette:
    """Returns the application."""
    lease, later, places = json.loads(os.environ["TWO_VERSIONS"])
    if later is not None:
        be_later(Path(later))
    apps = {
        kind: create_app(make_server(kind, database, log, lease), context=single_user())
        for kind, (database, log) in places.items()
    }

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as running:
            for app in apps.values():
                await running.enter_async_context(app.router.lifespan_context(app))
            yield

    return Starlette(routes=[Mount(f"/{kind}", app) for kind, app in apps.items()], lifespan=lifespan)
