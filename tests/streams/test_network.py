"""Logs that workers share, when the network between a worker and the log's server fails and nobody dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chatkit.errors import StoreUnavailableError
from chatkit.ids import new_id
from chatkit.streams import EndState, StreamLog, ThreadKey, TurnInfo, TurnReader, TurnWriter
from chatkit.streams.postgres import PostgresStreamLog
from chatkit.streams.redis import RedisStreamLog
from tests.support.network import Network, network
from tests.support.scale import is_within, lasting, scaled

LEASE = 1.5
PATIENCE = scaled(30.0)


@pytest.fixture
def wires() -> Iterator[Network]:
    with network() as made:
        yield made


class Place:
    """A server, and ways to it."""

    def __init__(self, wires: Network, url: str, make: Callable[[str], StreamLog]) -> None:
        self.link = wires.link(url)
        self._url = url
        self._make = make

    def near(self) -> StreamLog:
        """Returns the log of a worker that nothing happens to."""
        return self._make(self._url)

    def far(self) -> StreamLog:
        """Returns the log of a worker behind the link."""
        return self._make(self.link.url(self._url))


@pytest.fixture(params=["redis", "postgres"])
def place(request: pytest.FixtureRequest, wires: Network) -> Place:
    if request.param == "redis":
        prefix = new_id("test") + ":"
        return Place(
            wires,
            request.getfixturevalue("redis_url"),
            lambda url: RedisStreamLog(url, lease=LEASE, prefix=prefix, timeout=0.5),
        )
    return Place(
        wires,
        request.getfixturevalue("postgres_database"),
        lambda url: PostgresStreamLog(url, lease=LEASE, statement_timeout=0.5),
    )


@asynccontextmanager
async def closing(*logs: StreamLog) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for log in logs:
            await log.close()


async def opened(log: StreamLog, on_stop: Any = lambda: None) -> tuple[TurnInfo, TurnWriter]:
    info = TurnInfo(new_id("turn"), new_id("thr"), resumable=True)
    return info, await log.open(info, snapshot=lambda _: [b'{"state":1}'], on_stop=on_stop)


async def reader_of(log: StreamLog, turn_id: str) -> TurnReader:
    reader = await log.read(turn_id, None, 0)
    assert reader is not None
    return reader


async def read_to(reader: TurnReader, seq: int) -> list[int]:
    seen: list[int] = []
    async with asyncio.timeout(PATIENCE):
        while not seen or seen[-1] < seq:
            seen += [entry.seq for entry in await anext(reader)]
    return seen


async def append(writer: TurnWriter, count: int) -> None:
    for _ in range(count):
        writer.append(b"{}")
    await writer.flush()


async def test_a_reader_whose_connections_were_forgotten_on_the_way_reads_on(place: Place) -> None:
    writing, reading = place.near(), place.far()
    async with closing(writing, reading):
        info, writer = await opened(writing)
        await append(writer, 1)
        reader = await reader_of(reading, info.id)
        assert await read_to(reader, 1) == [1]
        for seq in range(2, 7):
            rest = asyncio.ensure_future(read_to(reader, seq))
            await append(writer, 1)
            assert await rest == [seq]
            if seq == 3:
                place.link.forget()
        await writer.close(EndState.COMPLETED)
        async with asyncio.timeout(PATIENCE):
            assert await anext(reader, None) is None
        assert reader.end is EndState.COMPLETED


async def test_a_save_of_one_turn_is_told_at_once(postgres_database: str) -> None:
    # So long that nothing but the notification brings what is saved.
    writing, reading = (PostgresStreamLog(postgres_database, lease=300) for _ in range(2))
    async with closing(writing, reading):
        info, writer = await opened(writing)
        await append(writer, 1)
        reader = await reader_of(reading, info.id)
        assert await read_to(reader, 1) == [1]
        for seq in range(2, 12):
            rest = asyncio.ensure_future(read_to(reader, seq))
            await append(writer, 1)
            assert await rest == [seq]
        await writer.close(EndState.COMPLETED)


async def test_a_wait_over_a_connection_that_nobody_answers_ends(redis_url: str, wires: Network) -> None:
    link = wires.link(redis_url)
    log = RedisStreamLog(link.url(redis_url), lease=LEASE, prefix=new_id("test") + ":", timeout=0.3)
    backend = log.make_backend()
    stops: list[str] = []
    assert await backend.changes({}, 0.05, stops.append) == {}
    link.black_hole()
    link.reset()
    async with asyncio.timeout(PATIENCE):
        for _ in range(2):
            # The first one may still find the old connection, the second one takes place on a new one for sure.
            with pytest.raises(StoreUnavailableError):
                await backend.changes({}, 0.05, stops.append)
    link.forget()
    assert await backend.changes({}, 0.05, stops.append) == {}
    await backend.close()


async def test_one_connection_that_was_forgotten_is_enough_to_drop_all(
    redis_url: str, wires: Network
) -> None:
    link = wires.link(redis_url)
    log = RedisStreamLog(link.url(redis_url), lease=LEASE, prefix=new_id("test") + ":", timeout=0.3)
    async with closing(log):
        await asyncio.gather(*(log.active(ThreadKey(None, "thr_a")) for _ in range(6)))
        link.forget()
        with pytest.raises(StoreUnavailableError):
            await log.active(ThreadKey(None, "thr_a"))
        assert await asyncio.gather(*(log.active(ThreadKey(None, "thr_a")) for _ in range(6))) == [[]] * 6


async def test_a_dead_connection_to_postgres_costs_no_lease(postgres_database: str, wires: Network) -> None:
    link = wires.link(postgres_database)
    lease = lasting(6.0)
    log = PostgresStreamLog(link.url(postgres_database), lease=lease)
    other = PostgresStreamLog(postgres_database, lease=lease)
    async with closing(log, other):
        info, writer = await opened(log)
        await append(writer, 1)
        link.forget()
        began = asyncio.get_running_loop().time()
        reader = await reader_of(other, info.id)
        writer.append(b"{}")
        assert (await read_to(reader, 2))[-1] == 2
        assert is_within(asyncio.get_running_loop().time() - began, 6.0)
        await writer.close(EndState.COMPLETED)


async def test_a_stop_is_heard_although_the_connection_was_forgotten_on_the_way(place: Place) -> None:
    running, asking = place.far(), place.near()
    async with closing(running, asking):
        stopped = asyncio.Event()
        info, writer = await opened(running, stopped.set)
        await append(writer, 1)
        place.link.forget()
        asked = asyncio.ensure_future(asking.stop(info.id, None))
        async with asyncio.timeout(PATIENCE):
            await stopped.wait()
            await writer.close(EndState.STOPPED)
            assert await asked


async def test_a_reader_breaks_off_where_the_server_is_out_of_reach_for_long(place: Place) -> None:
    writing, reading = place.near(), place.far()
    async with closing(writing, reading):
        info, writer = await opened(writing)
        await append(writer, 1)
        reader = await reader_of(reading, info.id)
        assert await read_to(reader, 1) == [1]
        place.link.cut()
        async with asyncio.timeout(PATIENCE):
            assert await anext(reader, None) is None
        assert reader.end is None, "the turn goes on, and whoever read it here comes back to another worker"
        place.link.heal()
        await append(writer, 1)
        assert await read_to(await reader_of(reading, info.id), 2) == [1, 2]
        await writer.close(EndState.COMPLETED)


async def test_a_turn_cannot_be_left_to_others_over_a_black_hole_and_that_is_known_soon(
    redis_url: str, wires: Network
) -> None:
    link = wires.link(redis_url)
    limit = 2.0
    log = RedisStreamLog(link.url(redis_url), prefix=new_id("test") + ":", timeout=limit)
    async with closing(log):
        _, writer = await opened(log)
        await append(writer, 1)
        link.black_hole()
        writer.append(b"{}")
        async with asyncio.timeout(1.6 * limit):
            assert not await writer.hand_over()
            await writer.close(EndState.INTERRUPTED)
        link.heal()
