"""Stores to run over, and the rule that no test leaves a task behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chatkit.store import MemoryStore, SQLiteStore


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    made = MemoryStore[Any]() if request.param == "memory" else SQLiteStore[Any](str(tmp_path / "chat.db"))
    yield made
    log = made.stream_log()
    if log is not None:
        await log.close()
    await made.close()


@pytest.fixture(autouse=True)
async def no_task_left() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    gc.collect()
    await asyncio.sleep(0)
    left = {task for task in asyncio.all_tasks() - before if task.get_name().startswith("chatkit")}
    if left:
        _, left = await asyncio.wait(left, timeout=2)
    assert not left
