"""The stream log in memory."""

from __future__ import annotations

import asyncio

import pytest

from chatkit.streams import EndState, MemoryStreamLog, ThreadKey, TurnInfo, TurnWriter, local, window
from chatkit.streams.base import KeyClaim
from chatkit.testing import StreamLogContract
from tests.support.scale import scaled


class TestMemoryStreamLog(StreamLogContract):
    def make_log(self) -> MemoryStreamLog:
        return MemoryStreamLog()


class TestSmallMemoryStreamLog(StreamLogContract):
    window = 1000
    lag_limit = 500

    def make_log(self) -> MemoryStreamLog:
        return MemoryStreamLog(window=self.window, lag_limit=self.lag_limit)


class Clock:
    """Stands for the module ``time``, so that two minutes pass in a test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(local, "time", clock)
    monkeypatch.setattr(window, "time", clock)
    return clock


async def open_turn(log: MemoryStreamLog, turn_id: str) -> TurnWriter:
    info = TurnInfo(turn_id, "thr_a", resumable=True)
    return await log.open(info, snapshot=lambda _: [], on_stop=lambda: None)


async def test_an_ended_turn_is_kept_for_two_minutes(clock: Clock) -> None:
    log = MemoryStreamLog()
    first, second = [await open_turn(log, turn_id) for turn_id in ("turn_1", "turn_2")]
    await first.close(EndState.COMPLETED)
    clock.now += 119
    await second.close(EndState.COMPLETED)
    assert await log.find("turn_1", None) is not None
    clock.now += 2
    assert await log.read("turn_1", None, None) is None
    assert await log.find("turn_1", None) is None
    latest = await log.latest(ThreadKey(None, "thr_a"))
    assert latest is not None
    assert latest.id == "turn_2"
    clock.now += 120
    assert await log.latest(ThreadKey(None, "thr_a")) is None
    assert await log.find("turn_2", None) is None


async def test_a_running_turn_is_never_forgotten(clock: Clock) -> None:
    log = MemoryStreamLog()
    writer = await open_turn(log, "turn_1")
    clock.now += 3600
    assert [info.id for info in await log.active(ThreadKey(None, "thr_a"))] == ["turn_1"]
    assert await log.find("turn_1", None) is not None
    await writer.close(EndState.COMPLETED)


async def test_keys_are_forgotten_after_a_day(clock: Clock) -> None:
    log = MemoryStreamLog()
    first, second = (KeyClaim(f"turn_{number}", "thr_a", "body", fresh=True) for number in range(2))
    await log.claim_key("ada", "key", first)
    clock.now += 24 * 3600 - 1
    assert not (await log.claim_key("ada", "key", second)).fresh
    clock.now += 1
    assert await log.claim_key("ada", "key", second) == second


async def test_what_is_over_goes_with_a_sweep_though_nobody_asks_for_it(clock: Clock) -> None:
    log = MemoryStreamLog()
    await log.claim_key("ada", "key", KeyClaim("turn_1", "thr_a", "body", fresh=True))
    writer = await open_turn(log, "turn_1")
    writer.append(b"{}")
    await writer.close(EndState.COMPLETED)
    turns, ends, keys = log._local._turns, log._local._ends, log._keys._keys
    assert await log.claim_interrupted() == []
    assert (len(turns), len(ends), len(keys), log.kept_bytes) == (1, 1, 1, 2)
    clock.now += 121
    assert await log.claim_interrupted() == []
    assert (len(turns), len(ends), len(keys), log.kept_bytes) == (0, 1, 1, 0)
    clock.now += 24 * 3600
    assert await log.claim_interrupted() == []
    assert (len(ends), len(keys)) == (0, 0)


async def test_a_full_list_of_keys_forgets_the_oldest_for_a_new_one_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local, "KEY_LIMIT", 2)
    log = MemoryStreamLog()
    claim = KeyClaim("turn_1", "thr_a", "body", fresh=True)
    assert (await log.claim_key("ada", "oldest", claim)).fresh
    assert (await log.claim_key("ada", "older", claim)).fresh
    assert not (await log.claim_key("ada", "oldest", claim)).fresh
    assert (await log.claim_key("ada", "new", claim)).fresh
    assert not (await log.claim_key("ada", "older", claim)).fresh
    assert (await log.claim_key("ada", "oldest", claim)).fresh


def test_a_reader_in_another_event_loop_is_woken() -> None:
    log = MemoryStreamLog()

    async def read(waits: asyncio.Event) -> list[int]:
        reader = await log.read("turn_1", None, None)
        assert reader is not None
        writer_loop.call_soon_threadsafe(waits.set)
        return [entry.seq async for ready in reader for entry in ready]

    async def main() -> list[int]:
        nonlocal writer_loop
        writer_loop = asyncio.get_running_loop()
        writer = await open_turn(log, "turn_1")
        waits = asyncio.Event()
        reading = asyncio.ensure_future(asyncio.to_thread(asyncio.run, read(waits)))
        await waits.wait()
        for _ in range(200):
            writer.append(b"{}")
            # The other thread gets its turn.
            await asyncio.to_thread(lambda: None)
        await writer.close(EndState.COMPLETED)
        async with asyncio.timeout(scaled(10)):
            return await reading

    writer_loop: asyncio.AbstractEventLoop
    assert asyncio.run(main()) == list(range(1, 201))
