"""What a message costs: the statements of one turn, and its commands for Redis."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from chatkit.ids import new_id
from chatkit.store import PostgresStore, SQLiteStore
from chatkit.streams import MemoryStreamLog, RedisStreamLog
from tests.server.support import ScriptedServer, done, drain, writes_apart

CREATE, ADD = "threads.create", "threads.add_user_message"
ROUNDS = 20
MOST = {
    # Of the store, with a log in memory.
    ("sqlite", "accepting", "memory", CREATE): (29, 33),
    ("sqlite", "accepting", "memory", ADD): (32, 36),
    ("sqlite", "apart", "memory", CREATE): (25, 25),
    ("sqlite", "apart", "memory", ADD): (25, 25),
    ("postgres", "accepting", "memory", CREATE): (15, 16),
    ("postgres", "accepting", "memory", ADD): (16, 17),
    ("postgres", "apart", "memory", CREATE): (23, 23),
    ("postgres", "apart", "memory", ADD): (18, 18),
    # Of the store and its own log.
    ("sqlite", "accepting", "own", CREATE): (30, 35),
    ("sqlite", "accepting", "own", ADD): (33, 38),
    ("sqlite", "apart", "own", CREATE): (26, 30),
    ("sqlite", "apart", "own", ADD): (26, 30),
    ("postgres", "accepting", "own", CREATE): (18, 20),
    ("postgres", "accepting", "own", ADD): (19, 21),
    ("postgres", "apart", "own", CREATE): (26, 27),
    ("postgres", "apart", "own", ADD): (21, 22),
    # Of the store, and the commands of the log.
    ("postgres", "accepting", "redis", CREATE): (15 + 3, 16 + 4),
    ("postgres", "accepting", "redis", ADD): (16 + 3, 17 + 4),
    ("postgres", "apart", "redis", CREATE): (23 + 3, 23 + 4),
    ("postgres", "apart", "redis", ADD): (18 + 3, 18 + 4),
}
"""Of a turn without an idempotency key, and of one with a key. What begins and ends a transaction counts, too.

Before messages were accepted in one transaction these were, over SQLite and its own log, 23 and 27 for a new thread, 24
and 28 for a message in a thread; over PostgreSQL and its own log 25 and 26, 20 and 21. Search takes four of SQLite for
each text, and one of PostgreSQL for the message that is accepted; what is written apart is not searched.
"""


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns the statements that were run so far, and the commands for Redis."""
    found: list[str] = []
    connect, execute_command = sqlite3.connect, Redis.execute_command

    def connected(*arguments: Any, **options: Any) -> Any:
        connection = connect(*arguments, **options)
        connection.set_trace_callback(trace)
        return connection

    def trace(statement: str) -> None:
        if not is_inner(statement):
            found.append(statement)

    def is_inner(statement: str) -> bool:
        # A statement that fires triggers is told of once more for each, and FTS5 has statements of its own.
        head = statement.partition("\n")[0]
        return statement in found[-1:] or (head.startswith("-- ") and "'main'." in head)

    def counted(method: Any) -> Any:
        def call(self: Any, statement: str, *arguments: Any, **options: Any) -> Any:
            found.append(statement)
            return method(self, statement, *arguments, **options)

        return call

    monkeypatch.setattr(sqlite3, "connect", connected)
    for name in ("execute", "fetch", "fetchval"):
        monkeypatch.setattr(asyncpg.Connection, name, counted(getattr(asyncpg.Connection, name)))
    monkeypatch.setattr(Redis, "execute_command", counted(execute_command))
    return found


async def answer(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    # A new id of this package's: such an item is stored by put_thread_item().
    yield done("Hello!", new_id("message"))


@pytest.fixture
def server(request: pytest.FixtureRequest, setup: str, way: str, log: str) -> ScriptedServer:
    store: Any
    if setup == "sqlite":
        store = SQLiteStore(request.getfixturevalue("tmp_path") / "chat.db")
    else:
        store = PostgresStore(request.getfixturevalue("postgres_database"))
    stream_log = None if log == "own" else MemoryStreamLog()
    if log == "redis":
        stream_log = RedisStreamLog(request.getfixturevalue("redis_url"), prefix=new_id("test") + ":")
    return ScriptedServer(answer, writes_apart(store) if way == "apart" else store, stream_log=stream_log)


@pytest.mark.parametrize(("setup", "way", "log", "kind"), MOST)
async def test_a_turn_makes_no_more_statements_than(
    server: ScriptedServer, statements: list[str], setup: str, way: str, log: str, kind: str
) -> None:
    thread_id = await server.new_thread()
    for keyed, most in zip((False, True), MOST[setup, way, log, kind], strict=True):
        fewest: list[str] = []
        for _ in range(ROUNDS):
            metadata: dict[str, Any] = {"resumable": True}
            metadata |= {"idempotency_key": new_id("key")} if keyed else {}
            statements.clear()
            if kind == CREATE:
                result = await server.create(metadata=metadata)
            else:
                result = await server.say(thread_id, metadata=metadata)
            await drain(result)
            # A worker that looks for others counts nothing by that.
            made = [statement for statement in statements if statement != "PRAGMA data_version"]
            # SQLite traces a trigger under the text of its statement, values and all.
            made = [text for text, before in zip(made, [None, *made], strict=False) if text != before]
            fewest = min(fewest or made, made, key=len)
            if len(fewest) <= most:
                # On a machine that does other things too, a log may save a turn twice.
                break
        assert len(fewest) <= most, fewest
    await server.close()
