"""When checkpoints are saved."""

from __future__ import annotations

import asyncio
import contextvars

import pytest

from chatkit.streams import ticker as ticker_module
from chatkit.streams.ticker import Ticker


class Disk:
    """Saves that take as long as the test says."""

    def __init__(self) -> None:
        self.begun = 0
        self.works = True
        self.free = asyncio.Event()
        self.free.set()
        self._news = asyncio.Condition()

    async def save(self) -> bool:
        async with self._news:
            self.begun += 1
            self._news.notify_all()
        await self.free.wait()
        return self.works

    async def has_begun(self, times: int) -> None:
        async with asyncio.timeout(10), self._news:
            await self._news.wait_for(lambda: self.begun >= times)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticker_module, "_DELAY", 0.001)
    monkeypatch.setattr(ticker_module, "_RETRY", 0.001)


def started(disk: Disk) -> Ticker:
    ticker = Ticker(asyncio.get_running_loop(), disk.save)
    ticker.turns = 1
    return ticker


async def loop_is_idle() -> bool:
    await asyncio.sleep(0)
    timers: list[asyncio.TimerHandle] = vars(asyncio.get_running_loop())["_scheduled"]
    return len(asyncio.all_tasks()) == 1 and all(timer.cancelled() for timer in timers)


async def test_what_comes_during_a_save_is_saved_by_the_next_one() -> None:
    disk = Disk()
    ticker = started(disk)
    disk.free.clear()
    ticker.soon()
    await disk.has_begun(1)
    assert not ticker.due
    ticker.soon()
    # Its moment comes while the first save is still at work.
    async with asyncio.timeout(10):
        while not ticker._overdue:
            await asyncio.sleep(0.001)
    assert disk.begun == 1
    disk.free.set()
    await disk.has_begun(2)
    await ticker.release()
    assert await loop_is_idle()


async def test_a_failed_save_is_tried_again_until_it_works() -> None:
    disk = Disk()
    disk.works = False
    ticker = started(disk)
    ticker.soon()
    await disk.has_begun(5)
    disk.works = True
    await disk.has_begun(6)
    await ticker.release()
    assert await loop_is_idle()


async def test_the_last_turn_waits_for_the_save_under_way() -> None:
    disk = Disk()
    ticker = started(disk)
    ticker.turns = 2
    disk.free.clear()
    ticker.soon()
    await disk.has_begun(1)
    async with asyncio.timeout(10):
        await ticker.release()
    releasing = asyncio.ensure_future(ticker.release())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not releasing.done()
    disk.free.set()
    async with asyncio.timeout(10):
        await releasing
    assert await loop_is_idle()
    assert disk.begun == 1


async def test_a_save_does_not_run_in_the_context_of_a_turn() -> None:
    request = contextvars.ContextVar("request", default="none")
    seen: list[str] = []
    saved = asyncio.Event()

    async def save() -> bool:
        seen.append(request.get())
        saved.set()
        return True

    ticker = Ticker(asyncio.get_running_loop(), save)
    ticker.turns = 1
    request.set("ada's")
    ticker.soon()
    async with asyncio.timeout(10):
        await saved.wait()
    await ticker.release()
    assert seen == ["none"]
