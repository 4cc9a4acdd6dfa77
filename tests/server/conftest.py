"""Stores to run over, and the rule that no test leaves a task behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from chatkit.store import MemoryStore, PostgresStore, SQLiteStore
from tests.server.support import writes_apart
from tests.support.scale import scaled


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def make_store(request: pytest.FixtureRequest) -> Callable[[], Any]:
    """Returns a function that makes a store of the kind that the test runs over."""
    if request.param == "postgres":
        return partial(PostgresStore[Any], request.getfixturevalue("postgres_database"))
    if request.param == "sqlite":
        return partial(SQLiteStore[Any], request.getfixturevalue("tmp_path") / "chat.db")
    return MemoryStore[Any]


@pytest.fixture
async def store(make_store: Callable[[], Any]) -> AsyncIterator[Any]:
    made = make_store()
    yield made
    log = made.stream_log()
    if log is not None:
        await log.close()
    await made.close()


@pytest.fixture
async def store_apart(store: Any) -> Any:
    """Returns a store that does not accept whole turns: keys are kept in the stream log then."""
    return writes_apart(store)


@pytest.fixture(autouse=True)
async def no_task_left() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    gc.collect()
    await asyncio.sleep(0)
    left = {task for task in asyncio.all_tasks() - before if task.get_name().startswith("chatkit")}
    if left:
        _, left = await asyncio.wait(left, timeout=scaled(2))
    assert not left
