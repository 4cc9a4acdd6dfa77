"""Workers of this version beside workers of the one before, which kept turns by the id of their thread alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import pytest
from redis.asyncio import Redis

from chatkit.ids import new_id
from chatkit.store import PostgresStore
from chatkit.streams import EndState, StreamLog, TurnInfo, TurnWriter
from chatkit.streams.base import InterruptedTurn
from chatkit.streams.postgres import PostgresStreamLog
from chatkit.streams.redis import RedisStreamLog
from chatkit.testing._log_base import (
    entries,
    event,
    knows_only,
    of,
    open_turn,
    patient,
    reader_of,
    turn,
)
from tests.store.test_postgres_migrations import VERSIONS, migrated
from tests.streams.earlier import EarlierPostgresStreamLog, EarlierRedisStreamLog
from tests.support.scale import scaled

LEASE = 0.5
OWNERS = ("ada", "grace", None)


class Versions(NamedTuple):
    earlier: Callable[[], StreamLog]
    present: Callable[[], StreamLog]


@pytest.fixture(params=["redis", "postgres"])
def versions(request: pytest.FixtureRequest) -> Versions:
    if request.param == "redis":
        url, prefix = request.getfixturevalue("redis_url"), new_id("test") + ":"
        return Versions(
            lambda: EarlierRedisStreamLog(url, prefix=prefix, lease=LEASE),
            lambda: RedisStreamLog(url, prefix=prefix, lease=LEASE),
        )
    url = request.getfixturevalue("postgres_database")
    migrated(url, VERSIONS)
    return Versions(
        lambda: EarlierPostgresStreamLog(url, lease=LEASE), lambda: PostgresStreamLog(url, lease=LEASE)
    )


async def begun(log: StreamLog) -> tuple[list[TurnInfo], list[TurnWriter]]:
    infos = [turn("inbox", resumable=True, owner=owner) for owner in OWNERS]
    writers = [(await open_turn(log, info))[1] for info in infos]
    for writer in writers:
        writer.append(event(1))
        await patient(writer.flush())
    return infos, writers


async def claimed(log: StreamLog, count: int) -> dict[str | None, InterruptedTurn]:
    found: dict[str | None, InterruptedTurn] = {}
    async with asyncio.timeout(scaled(20)):
        while len(found) < count:
            found |= {turn.info.owner: turn for turn in await log.claim_interrupted()}
            await asyncio.sleep(0.02)
    return found


async def test_running_turns_of_the_version_before_are_their_owners(versions: Versions) -> None:
    earlier, present = versions.earlier(), versions.present()
    infos, writers = await begun(earlier)
    later, late = await open_turn(present, turn("inbox", resumable=True, owner="ada"))
    assert await present.active(of("inbox", "ada")) == [infos[0], later], "in the order in which they began"
    await late.close(EndState.COMPLETED)
    assert await present.latest(of("inbox", "ada")) == later
    for info in infos[1:]:
        await knows_only(present, info, OWNERS)
    reader = await reader_of(present, infos[0], 0)
    writers[0].append(event(2))
    await patient(writers[0].flush())
    assert await patient(anext(reader)) == entries(1, 2)
    assert await present.find(infos[0].id, "grace") is None
    for writer in writers:
        await patient(writer.close(EndState.COMPLETED))
    assert await present.active(of("inbox", "ada")) == []
    await earlier.close()
    await present.close()


async def test_a_turn_of_the_version_before_is_stopped_by_its_owner(versions: Versions) -> None:
    earlier, present = versions.earlier(), versions.present()
    asked = asyncio.Event()
    info = turn("inbox", owner="ada")
    writer = await earlier.open(info, snapshot=lambda _: [], on_stop=asked.set)
    assert await patient(present.stop(info.id, "grace")) is False
    stopping = asyncio.ensure_future(present.stop(info.id, "ada"))
    await patient(asked.wait())
    await writer.close(EndState.STOPPED)
    assert await patient(stopping)
    await earlier.close()
    await present.close()


async def test_turns_of_a_dead_worker_of_the_version_before_are_recovered(versions: Versions) -> None:
    earlier, present = versions.earlier(), versions.present()
    infos, _ = await begun(earlier)
    await earlier.close()
    found = await claimed(present, len(infos))
    for info in infos:
        assert found[info.owner].info == info
        assert found[info.owner].entries == entries(1, 1)
    again = replace(found["ada"], info=replace(infos[0], attempt=2))
    writer = await present.take_over(again, snapshot=lambda _: [b"state"], on_stop=lambda: None)
    assert writer is not None
    for info in infos[1:]:
        await present.settle(info.id)
    assert [info.attempt for info in await present.active(of("inbox", "ada"))] == [2]
    assert await present.active(of("inbox", "grace")) == await present.active(of("inbox")) == []
    await patient(writer.close(EndState.COMPLETED))
    assert await present.active(of("inbox", "ada")) == []
    await present.close()


async def test_a_worker_of_the_version_before_reads_and_recovers_turns_of_this_one(
    versions: Versions,
) -> None:
    earlier, present = versions.earlier(), versions.present()
    infos, _ = await begun(present)
    for info in infos:
        assert await patient(anext(await reader_of(earlier, info))) == entries(1, 1)
    await present.close()
    assert (await claimed(earlier, len(infos))).keys() == set(OWNERS)
    for info in infos:
        await earlier.settle(info.id)
    present = versions.present()
    for info in infos:
        assert await present.active(info.thread) == []
        assert await present.latest(info.thread) == info
    await earlier.close()
    await present.close()


async def test_nothing_of_a_turn_stays_in_redis_that_another_version_ended(redis_url: str) -> None:
    prefix = new_id("test") + ":"
    earlier, present = (
        kind(redis_url, prefix=prefix, lease=LEASE) for kind in (EarlierRedisStreamLog, RedisStreamLog)
    )
    for running, ending in ((earlier, present), (present, earlier)):
        infos, _ = await begun(running)
        await running.close()
        await claimed(ending, len(infos))
        for info in infos:
            await ending.settle(info.id)
        await ending.close()
    async with Redis.from_url(redis_url) as client:
        kept = [key async for key in client.scan_iter(match=f"{prefix}thread:*")]
        assert len(kept) == 1 + len(OWNERS)
        assert all([await client.ttl(key) > 0 for key in kept])


async def test_a_running_log_of_the_version_before_outlives_the_migration(postgres_database: str) -> None:
    await asyncio.to_thread(migrated, postgres_database, [name for name in VERSIONS if name < "0005"])
    store = PostgresStore[object](postgres_database)
    earlier = EarlierPostgresStreamLog(postgres_database, lease=LEASE)
    earlier.database._migrated = True
    infos, writers = await begun(earlier)
    assert await store.load_threads(1, None, "asc", {"user_id": "ada"}) is not None
    present = PostgresStreamLog(postgres_database, lease=LEASE)
    for info, writer in zip(infos, writers, strict=True):
        await knows_only(present, info, OWNERS)
        writer.append(event(2))
        await patient(writer.close(EndState.COMPLETED))
    more, writers = await begun(earlier)
    for info in more:
        assert await present.active(info.thread) == [info]
        assert await present.latest(info.thread) == info
    for writer in writers:
        await patient(writer.close(EndState.COMPLETED))
    for log in (earlier, present, store):
        await log.close()
