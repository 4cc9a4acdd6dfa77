"""The stream log over PostgreSQL."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest

from chatkit._postgres.pools import connect, wait_given_up
from chatkit.streams.postgres import PostgresStreamLog
from chatkit.testing import StreamLogContract


class TestPostgresStreamLog(StreamLogContract):
    shared = True
    window = 10_000

    @pytest.fixture(autouse=True)
    def _server(self, postgres_database: str) -> None:
        self.url = postgres_database

    def make_log(self) -> PostgresStreamLog:
        return PostgresStreamLog(self.url, window=self.window, lease=self.lease)


async def test_a_connection_whose_caller_is_cancelled_as_it_is_made_leaves_nothing(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    failures: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: failures.append(context))
    create_connection = loop.create_connection

    async def create(factory: Callable[[], Any], *arguments: Any, **options: Any) -> Any:
        def make() -> Any:
            loop.call_soon(connecting.cancel)
            return factory()

        return await create_connection(make, *arguments, **options)

    monkeypatch.setattr(loop, "create_connection", create)
    before = asyncio.all_tasks()
    connecting = asyncio.ensure_future(connect(postgres_database, timeout=5))
    with pytest.raises(asyncio.CancelledError):
        await connecting
    # The caller need not wait for it.
    await wait_given_up()
    assert asyncio.all_tasks() == before
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()
    assert failures == []
