"""What is logged when a database or a log's server is away, or the disk is full, while twenty turns run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from chatkit import _outages
from chatkit.errors import ChatKitError, StoreUnavailableError
from chatkit.store import MemoryStore, PostgresStore, SQLiteStore
from chatkit.streams import RedisStreamLog
from chatkit.web.errors import response_for
from tests.server.support import ScriptedServer, added, delta, done
from tests.support.postgres import postgres_server
from tests.support.redis import redis_server
from tests.support.scale import scaled

TURNS = 20
PATIENCE = scaled(60.0)


class Traffic:
    """Turns that have begun and wait for a word; more that are refused.

    Args:
        server: Its server, whose script is set here.
        caplog: What is logged.
    """

    def __init__(self, server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
        self.server = server
        self._caplog = caplog
        self._go = asyncio.Event()
        server.script = self._answer
        self._readers: list[asyncio.Task[list[bytes]]] = []

    async def _answer(self, thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield added("", f"msg_{thread.id}")
        yield delta("Partial", f"msg_{thread.id}")
        await self._go.wait()
        yield done("x" * 20_000, f"msg_{thread.id}")

    async def begin(self) -> None:
        """Begins turns, all with an idempotency key."""
        results = [
            await self.server.create(f"Hi {n}", None, {"resumable": True, "idempotency_key": f"key-{n}"})
            for n in range(TURNS)
        ]
        self._readers = [asyncio.create_task(_all_of(result)) for result in results]

    async def fail(self) -> None:
        """Lets the turns go on, and sends as many messages, which are answered as an endpoint does."""
        self._go.set()
        await asyncio.gather(*self._readers, *(self.refused(n) for n in range(TURNS)))

    async def refused(self, number: int) -> None:
        """Sends a message, whose turn may begin and fail, or is refused."""
        key = {"resumable": True, "idempotency_key": f"more-{number}"}
        try:
            result = await self.server.create(f"Hi again {number}", None, key)
        except StoreUnavailableError as error:
            response_for(error)
        else:
            await _all_of(result)

    def lines(self) -> list[logging.LogRecord]:
        """What was logged for operators."""
        return [record for record in self._caplog.records if record.levelno >= logging.WARNING]

    def is_one_line(self, text: str) -> None:
        """Fails unless one line was logged, with a text in it and without a traceback."""
        assert [text in record.getMessage() for record in self.lines()] == [True], self._caplog.text
        assert self.lines()[0].exc_info is None

    async def recovers(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        """Answers a message now that all is well; fails unless that is told in one line."""
        for pause in ("_PAUSE_SECONDS", "_REMINDER_SECONDS"):
            monkeypatch.setattr(_outages, pause, 0.0)
        async with asyncio.timeout(PATIENCE):
            while not (back := self._told_again()):
                with suppress(ChatKitError):
                    await _all_of(await self.server.create("Back"))
        assert len(back) == 1, self._caplog.text
        assert f"{name} works again" in back[0]
        assert "more failures were not logged" in back[0]

    def _told_again(self) -> list[str]:
        """Returns what says that something works; what still fails is told each time now that there are no pauses."""
        return [message for record in self.lines() if " works again" in (message := record.getMessage())]


async def _all_of(result: Any) -> list[bytes]:
    async with asyncio.timeout(PATIENCE):
        return [frame async for frame in result]


async def test_a_full_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "chat.db"
    store: SQLiteStore[Any] = SQLiteStore(path)

    async def pages(most: int) -> None:
        def limit(connection: Any) -> None:
            here = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {here if most == 0 else most}").fetchall()

        await store.database.write(limit)

    server = ScriptedServer(store=store)
    traffic = Traffic(server, caplog)
    await traffic.begin()
    await pages(0)
    await traffic.fail()
    traffic.is_one_line("no space left: free space on its disk")
    await pages(1_000_000)
    await traffic.recovers(monkeypatch, f"The database {path}")
    await server.close()


@pytest.mark.parametrize("how", ["refused", "silent"])
def test_postgres_is_away(
    how: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres_server() as database, asyncio.Runner() as runner:
        store: PostgresStore[Any] = PostgresStore(
            database.url,
            acquire_timeout=1.0,
            connect_timeout=1.0,
            reconnect_timeout=0.5,
            statement_timeout=1.0,
        )
        traffic = runner.run(_traffic(lambda: ScriptedServer(store=store), caplog))
        if how == "silent":
            with database.paused():
                runner.run(traffic.fail())
                traffic.is_one_line("PostgreSQL database")
        else:
            database.stop()
            runner.run(traffic.fail())
            traffic.is_one_line("cannot be reached: check that it runs")
            database.start()
        runner.run(traffic.recovers(monkeypatch, f"The PostgreSQL database {store.database.place}"))
        runner.run(traffic.server.close())


@pytest.mark.parametrize("how", ["refused", "silent"])
def test_redis_is_away(how: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    with redis_server("--save", "", "--appendonly", "yes") as redis, asyncio.Runner() as runner:
        log = RedisStreamLog(redis.url, timeout=1.0)
        traffic = runner.run(_traffic(lambda: ScriptedServer(store=MemoryStore(), stream_log=log), caplog))
        if how == "silent":
            redis.pause()
        else:
            redis.stop()
        runner.run(traffic.fail())
        traffic.is_one_line("cannot be reached: check that it runs, and the URL")
        if how == "silent":
            redis.go_on()
        else:
            redis.start()
        runner.run(traffic.recovers(monkeypatch, f"The Redis server {log.place}"))
        runner.run(traffic.server.close())


async def _traffic(make_server: Callable[[], ScriptedServer], caplog: pytest.LogCaptureFixture) -> Traffic:
    traffic = Traffic(make_server(), caplog)
    await traffic.begin()
    return traffic
