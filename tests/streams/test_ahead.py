"""Readers whose cursor is ahead of what their worker has sent: another one goes on with the turn, or they are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chatkit.errors import InvalidRequestError
from chatkit.store import SQLiteStore
from chatkit.streams import JUMP, MemoryStreamLog, SQLiteStreamLog
from chatkit.streams.base import EndState, TurnInfo
from tests.server.support import LIMIT


async def test_a_reader_of_a_later_attempt_is_led_to_the_log_that_all_share(tmp_path: Path) -> None:
    store = SQLiteStore[Any](tmp_path / "chat.db")
    log = SQLiteStreamLog(store.database, lease=LIMIT)
    writer = await log.open(
        TurnInfo("turn_1", "thr_1", resumable=True), snapshot=lambda _: [], on_stop=lambda: None
    )
    writer.append(b"{}")
    await writer.flush()
    with pytest.raises(InvalidRequestError):
        await log.read("turn_1", None, 2)
    # What another worker has numbered, which took this one for dead.
    reader = await log.read("turn_1", None, 1 + JUMP + 1)
    assert reader is not None
    await writer.close(EndState.COMPLETED)
    await reader.aclose()
    await log.close()
    await store.close()


async def test_a_log_of_one_process_knows_no_later_attempt() -> None:
    log = MemoryStreamLog()
    writer = await log.open(
        TurnInfo("turn_1", "thr_1", resumable=True), snapshot=lambda _: [], on_stop=lambda: None
    )
    writer.append(b"{}")
    assert await log.read("turn_1", None, 1 + JUMP + 1) is None
    await writer.close(EndState.COMPLETED)
