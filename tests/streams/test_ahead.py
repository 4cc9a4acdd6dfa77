"""Readers that are ahead of what their worker has sent, or would be: of events, of a state, of an end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from chatkit.errors import InvalidRequestError
from chatkit.ids import new_id
from chatkit.store import SQLiteStore
from chatkit.streams import JUMP, MemoryStreamLog, RedisStreamLog, SQLiteStreamLog
from chatkit.streams.base import EndState, TurnInfo
from tests.server.support import LIMIT
from tests.support.network import network
from tests.support.scale import scaled


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


async def test_a_reader_that_has_read_elsewhere_what_its_worker_holds_back_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that stood still shows nothing before it knows whose the turn is; others know it a moment earlier."""
    store = SQLiteStore[Any](tmp_path / "chat.db")
    mine, other = (SQLiteStreamLog(store.database, lease=LIMIT) for _ in range(2))
    info = TurnInfo("turn_1", "thr_1", resumable=True)
    writer: Any = await mine.open(info, snapshot=lambda _: [], on_stop=lambda: None)
    writer.append(b'{"number":1}')
    await writer.flush()
    saved, told = asyncio.Event(), asyncio.Event()
    session: Any = await mine._session()
    save = session.backend.save

    async def save_and_wait(*args: Any, **rest: Any) -> Any:
        results = await save(*args, **rest)
        saved.set()
        await told.wait()
        return results

    monkeypatch.setattr(session.backend, "save", save_and_wait)
    session.sender.frozen_from = 0.0
    writer.append(b'{"number":2}')
    async with asyncio.timeout(LIMIT):
        await saved.wait()
        elsewhere = await other.read("turn_1", None, 0)
        assert elsewhere is not None
        seen = [entry.seq for entry in await anext(elsewhere)]
        assert seen == [1, 2]
        with pytest.raises(InvalidRequestError):
            await mine.read("turn_1", None, 3)
        back = await mine.read("turn_1", None, 2)
        assert back is not None
        reading = asyncio.ensure_future(anext(back))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not reading.done()
        told.set()
        writer.append(b'{"number":3}')
        assert [entry.seq for entry in await reading] == [3]
    await back.aclose()
    await elsewhere.aclose()
    await writer.close(EndState.COMPLETED)
    await mine.close()
    await other.close()
    await store.close()


async def test_a_state_that_has_what_is_held_back_is_not_shown(tmp_path: Path) -> None:
    store = SQLiteStore[Any](tmp_path / "chat.db")
    # Of each turn the window keeps the last event alone: who has not read it gets the state.
    log = SQLiteStreamLog(store.database, lease=LIMIT, window=1)
    told: list[bytes] = []
    info = TurnInfo("turn_1", "thr_1", resumable=True)
    writer: Any = await log.open(info, snapshot=lambda _: [b"+".join(told)], on_stop=lambda: None)

    def append(data: bytes) -> None:
        told.append(data)
        writer.append(data)

    append(b"1")
    append(b"2")
    await writer.flush()
    session: Any = await log._session()
    session.sender.frozen_from = 0.0
    append(b"3")
    assert writer.memory.held
    reader = await log.read("turn_1", None, 0)
    assert reader is not None
    assert reader.ready() == []
    async with asyncio.timeout(LIMIT):
        assert [(entry.seq, entry.data) for entry in await anext(reader)] == [(3, b"1+2+3")]
    await reader.aclose()
    await writer.close(EndState.COMPLETED)
    await log.close()
    await store.close()


@pytest.mark.parametrize("known", [True, False])
async def test_an_end_that_another_worker_may_contradict_is_told_once_the_server_has_it(
    known: bool, redis_url: str
) -> None:
    with network() as wires:
        link, prefix = wires.link(redis_url), new_id("test") + ":"
        mine = RedisStreamLog(link.url(redis_url), prefix=prefix, timeout=scaled(1.0))
        other = RedisStreamLog(redis_url, prefix=prefix)
        info = TurnInfo("turn_1", "thr_1", resumable=True)
        writer = await mine.open(info, snapshot=lambda _: [], on_stop=lambda: None)
        writer.append(b'{"number":1}')
        await writer.flush()
        here, there = await mine.read("turn_1", None, 1), await other.read("turn_1", None, 1)
        assert here is not None
        assert there is not None
        link.cut()
        async with asyncio.timeout(LIMIT):
            await (writer.close if known else writer.close_once_saved)(EndState.FAILED)
            assert [entries async for entries in here] == []
            assert here.end is (EndState.FAILED if known else None)
            link.heal()
            assert [entries async for entries in there] == []
            assert there.end is EndState.FAILED
            # As everywhere, whoever asks.
            again = await mine.read("turn_1", None, 1)
            assert again is not None
            assert [entries async for entries in again] == []
            assert again.end is EndState.FAILED
        await mine.close()
        await other.close()
