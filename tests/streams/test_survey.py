"""What an operator is told of the turns that run in all workers, and of the workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from chatkit.errors import UnsupportedOperationError
from chatkit.ids import new_id
from chatkit.store import SQLiteStore
from chatkit.streams import (
    EndState,
    MemoryStreamLog,
    PostgresStreamLog,
    RedisStreamLog,
    SQLiteStreamLog,
    StreamLog,
    TurnInfo,
)
from chatkit.streams.worker import Worker
from chatkit.testing._log_base import event, open_turn, patient, turn
from tests.support.scale import lasting, scaled

LEASE = lasting(3.0)
NOBODY = Worker("elsewhere", 1, "1")


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], StreamLog]:
    """Returns what makes a log for one more worker."""
    if request.param == "sqlite":
        # Each plays a process of another machine, so that the lease says whether it lives.
        return lambda: SQLiteStreamLog(
            SQLiteStore(tmp_path / "chatkit.db").database, lease=LEASE, worker=lambda: NOBODY
        )
    if request.param == "redis":
        url, prefix = request.getfixturevalue("redis_url"), f"{new_id('test')}:"
        return lambda: RedisStreamLog(url, prefix=prefix, lease=LEASE)
    url = request.getfixturevalue("postgres_database")
    return lambda: PostgresStreamLog(url, lease=LEASE)


@pytest.fixture
async def logs(make: Callable[[], StreamLog]) -> AsyncIterator[list[StreamLog]]:
    async with AsyncExitStack() as stack:
        made = [make() for _ in range(3)]
        for log in made:
            stack.push_async_callback(log.close)
        yield made


async def test_turns_of_all_workers_and_the_workers_are_told(logs: list[StreamLog]) -> None:
    first, second, looking = logs
    began: dict[str, StreamLog] = {}
    infos: dict[str, TurnInfo] = {}
    for number, log in enumerate([first, second, first]):
        info, writer = await open_turn(
            log, turn(f"thr_{number}", owner=f"owner_{number}", resumable=number > 0)
        )
        writer.append(event(1))
        await patient(writer.flush())
        began[info.id], infos[info.id] = log, info
    _, writer = await open_turn(first, turn("thr_9"))
    await patient(writer.close(EndState.COMPLETED))
    found = await looking.survey_turns(10)
    assert [held.info for held in found] == [infos[turn_id] for turn_id in sorted(infos)]
    assert [held.holder for held in found] == [began[turn_id].holder() for turn_id in sorted(began)]
    assert not any(held.claimed or held.stop or held.lapsed for held in found)
    assert all(held.lease_seconds is not None and held.lease_seconds <= LEASE for held in found)
    assert await looking.find_of_any(found[0].info.id) == found[0].info
    assert await looking.find_of_any("turn_that_never_was") is None
    pages = [held.info for held in await looking.survey_turns(2)]
    pages += [held.info for held in await looking.survey_turns(2, pages[-1].id)]
    assert pages == [held.info for held in found]
    workers = {worker.id: worker for worker in await looking.survey_workers(10)}
    assert workers[first.holder()].turns == 2
    assert workers[second.holder()].turns == 1
    assert not workers[first.holder()].dead
    asking = asyncio.create_task(looking.stop(found[0].info.id, found[0].info.owner))
    async with asyncio.timeout(scaled(10)):
        while not (await looking.survey_turns(1))[0].stop:
            await asyncio.sleep(0.02)
    asking.cancel()


async def test_a_dead_workers_turn_is_told_and_so_is_its_claim(logs: list[StreamLog]) -> None:
    dead, claiming, looking = logs
    info, writer = await open_turn(dead, turn("thr_1", owner="ada", resumable=True))
    writer.append(event(1))
    await patient(writer.flush())
    # A worker claims nothing before it has been there for a whole lease.
    assert await claiming.claim_interrupted() == []
    await dead.close()
    async with asyncio.timeout(scaled(20)):
        while not (held := (await looking.survey_turns(10))[0]).lapsed:
            await asyncio.sleep(0.05)
        assert held.lease_seconds is None or held.lease_seconds < 0
        assert not held.claimed
        while not await claiming.claim_interrupted():
            await asyncio.sleep(0.05)
    (held,) = await looking.survey_turns(10)
    assert held.claimed
    assert held.info == info
    assert held.holder.startswith(f"{claiming.holder()}/")
    await claiming.settle(info.id)
    assert await looking.survey_turns(10) == []


async def test_a_log_in_memory_tells_of_its_process() -> None:
    log = MemoryStreamLog()
    info, writer = await open_turn(log, turn("thr_1", owner="ada"))
    (held,) = await log.survey_turns(10)
    assert (held.info, held.holder, held.lapsed) == (info, log.holder(), False)
    assert await log.survey_turns(10, info.id) == []
    assert await log.find_of_any(info.id) == info
    (worker,) = await log.survey_workers(10)
    assert (worker.id, worker.turns, worker.dead) == (log.holder(), 1, False)
    await patient(writer.close(EndState.COMPLETED))
    assert await log.survey_turns(10) == []


async def test_a_log_of_an_application_that_cannot_tell_says_so() -> None:
    class Own(StreamLog):
        def __init__(self) -> None:
            """Implements everything on its own."""

    with pytest.raises(UnsupportedOperationError, match="Own cannot list"):
        await Own().survey_turns(10)
    with pytest.raises(UnsupportedOperationError, match="Own cannot list"):
        await Own().survey_workers(10)
