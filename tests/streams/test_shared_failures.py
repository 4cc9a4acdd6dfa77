"""Logs that workers share, when workers die or stand still and when servers go down."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chatkit._sqlite import Database
from chatkit.errors import ConfigurationError, StoreUnavailableError
from chatkit.ids import new_id
from chatkit.store import SQLiteStore
from chatkit.streams import (
    Backend,
    EndState,
    SQLiteStreamLog,
    StreamLog,
    ThreadKey,
    TurnInfo,
    TurnReader,
    TurnWriter,
)
from chatkit.streams.base import InterruptedTurn, LogEntry
from chatkit.streams.postgres import PostgresStreamLog
from chatkit.streams.redis import RedisStreamLog
from tests.support.postgres import postgres_server
from tests.support.redis import RedisServer, redis_server
from tests.support.scale import scaled

PROGRAM = Path(__file__).with_name("shared_worker_process.py")
LEASE = 1.0

MakeLog = Callable[[], StreamLog]
Arguments = tuple[str, ...]


@pytest.fixture(params=["redis", "postgres", "sqlite"])
def worker(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[MakeLog, Arguments]:
    if request.param == "sqlite":
        path = str(tmp_path / "chat.db")
        # The file is there before any worker.
        asyncio.run(SQLiteStore(path).check())
        return lambda: SQLiteStreamLog(Database(path), lease=LEASE), ("sqlite", path, str(LEASE))
    if request.param == "redis":
        url, prefix = request.getfixturevalue("redis_url"), new_id("test") + ":"
        return lambda: RedisStreamLog(url, lease=LEASE, prefix=prefix), ("redis", url, str(LEASE), prefix)
    url = request.getfixturevalue("postgres_database")
    return lambda: PostgresStreamLog(url, lease=LEASE), ("postgres", url, str(LEASE))


@contextmanager
def child(arguments: Arguments) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=scaled(10))


def read_until(process: subprocess.Popen[str], number: int) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == str(number):
            return
    raise AssertionError("the process ended too early")


def event(number: int) -> bytes:
    return b'{"number":%d}' % number


def entries(first: int, last: int) -> list[LogEntry]:
    return [LogEntry(number, event(number)) for number in range(first, last + 1)]


async def claimed(log: StreamLog) -> InterruptedTurn:
    found: list[InterruptedTurn] = []
    async with asyncio.timeout(scaled(30)):
        while not found:
            found = await log.claim_interrupted()
            await asyncio.sleep(0.02)
    assert len(found) == 1
    return found[0]


async def rest_of(reader: TurnReader) -> list[LogEntry]:
    async with asyncio.timeout(scaled(40)):
        return [entry async for ready in reader for entry in ready]


async def open_turn(log: StreamLog, *, resumable: bool = True) -> tuple[TurnInfo, TurnWriter]:
    info = TurnInfo(new_id("turn"), "thr_a", resumable=resumable)
    return info, await log.open(info, snapshot=lambda _: [b'{"state":1}'], on_stop=lambda: None)


async def reader_of(
    log: StreamLog, turn_id: str, after: int | None = None, owner: str | None = None
) -> TurnReader:
    reader = await log.read(turn_id, owner, after)
    assert reader is not None
    return reader


async def test_a_killed_workers_turn_is_finished_by_another(worker: tuple[MakeLog, Arguments]) -> None:
    make_log, arguments = worker
    log, elsewhere = make_log(), make_log()
    with child(arguments) as process:
        await asyncio.to_thread(read_until, process, 40)
        reader = await reader_of(elsewhere, "turn_child", owner="ada")
        got = asyncio.ensure_future(rest_of(reader))
        await asyncio.to_thread(read_until, process, 80)
        process.send_signal(signal.SIGKILL)
    turn = await claimed(log)
    assert turn.info == await elsewhere.find("turn_child", "ada")
    assert turn.entries == entries(1, len(turn.entries))
    assert len(turn.entries) >= 40
    await log.settle("turn_child", [b"end"])
    *before, last = await got
    assert before == turn.entries
    assert last.data == b"end"
    assert reader.end is EndState.INTERRUPTED
    await log.close()
    await elsewhere.close()


async def test_a_turn_that_a_worker_has_claimed_and_does_not_end_holds_up_no_stop(
    worker: tuple[MakeLog, Arguments],
) -> None:
    make_log, arguments = worker
    log, elsewhere = make_log(), make_log()
    with child(arguments) as process:
        await asyncio.to_thread(read_until, process, 40)
        process.send_signal(signal.SIGKILL)
    await claimed(log)

    async def sweep() -> None:
        while True:
            await log.claim_interrupted()
            await asyncio.sleep(log.sweep_seconds)

    sweeping = asyncio.create_task(sweep())
    try:
        async with asyncio.timeout(scaled(6 * LEASE)):
            assert await asyncio.gather(
                log.stop("turn_child", "ada"), elsewhere.stop("turn_child", "ada")
            ) == [True, True]
    finally:
        sweeping.cancel()
    await log.close()
    await elsewhere.close()


async def test_a_turn_that_has_ended_is_not_asked_for_while_its_reader_does_not_read_on(
    worker: tuple[MakeLog, Arguments],
) -> None:
    make_log, _ = worker
    writing, reading = make_log(), make_log()
    info, writer = await open_turn(writing)
    writer.append(event(1))
    await writer.flush()
    reader = await reading.read(info.id, None, None)
    session = await reading._session()
    assert reader is not None
    assert session is not None
    async with asyncio.timeout(scaled(20)):
        assert await anext(reader) == [LogEntry(1, event(1))]
        asked: list[int] = []
        changes = session.backend.changes

        async def counted(cursors: Any, limit: float, on_stop: Any) -> Any:
            asked.append(len(cursors))
            return await changes(cursors, limit, on_stop)

        session.backend.changes = counted  # pyright: ignore[reportAttributeAccessIssue] -- to count
        await writer.close(EndState.COMPLETED)
        while len(asked) < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        assert len(asked) < 10
        assert [entry async for entries in reader for entry in entries] == []
    assert reader.end is EndState.COMPLETED
    await writing.close()
    await reading.close()


async def test_a_stop_of_a_turn_that_ends_before_it_is_told_has_stopped_it(
    worker: tuple[MakeLog, Arguments],
) -> None:
    make_log, _ = worker
    writing, other = make_log(), make_log()
    reached, goes_on = held_stops(other)
    info, writer = await open_turn(writing)
    writer.append(event(1))
    await writer.flush()
    stopping = asyncio.ensure_future(other.stop(info.id, None))
    async with asyncio.timeout(scaled(20)):
        await reached.wait()
        await writer.close(EndState.COMPLETED)
        goes_on.set()
        assert await stopping is True
        assert await other.stop(info.id, None) is False
    await writing.close()
    await other.close()


async def test_a_stop_of_a_turn_that_is_left_to_another_worker_and_ends_there_has_stopped_it(
    worker: tuple[MakeLog, Arguments],
) -> None:
    make_log, _ = worker
    leaving, other = make_log(), make_log()
    reached, goes_on = held_stops(leaving)
    info, writer = await open_turn(leaving)
    stopping = asyncio.ensure_future(leaving.stop(info.id, None))
    await asyncio.sleep(0)
    assert await writer.hand_over()
    found = await claimed(other)
    async with asyncio.timeout(scaled(20)):
        await reached.wait()
        await other.settle(found.info.id)
        goes_on.set()
        assert await stopping is True
    await leaving.close()
    await other.close()


def held_stops(log: StreamLog) -> tuple[asyncio.Event, asyncio.Event]:
    """Holds requests to stop back; returns what says that there is one, and what lets it go on."""
    reached, goes_on = asyncio.Event(), asyncio.Event()
    make_backend = log.make_backend

    def make() -> Backend:
        backend = make_backend()
        request_stop = backend.request_stop

        async def request(turn_id: str) -> bool:
            reached.set()
            await goes_on.wait()
            return await request_stop(turn_id)

        backend.request_stop = request  # type: ignore[method-assign] -- a slow network
        return backend

    log.make_backend = make  # type: ignore[method-assign]
    return reached, goes_on


async def test_a_worker_frozen_past_its_lease_writes_nothing_more(worker: tuple[MakeLog, Arguments]) -> None:
    make_log, arguments = worker
    log = make_log()
    with child(arguments) as process:
        await asyncio.to_thread(read_until, process, 40)
        process.send_signal(signal.SIGSTOP)
        try:
            turn = await claimed(log)
        finally:
            process.send_signal(signal.SIGCONT)
        out, err = await asyncio.to_thread(process.communicate, timeout=scaled(30))
        assert out.splitlines()[-1] == "lost", err
        assert "Task" not in err
    assert [found.info.id for found in await log.claim_interrupted()] in ([], ["turn_child"])
    await log.settle("turn_child")
    reader = await reader_of(log, "turn_child", owner="ada")
    assert await rest_of(reader) == turn.entries
    assert reader.end is EndState.INTERRUPTED
    await log.close()


@pytest.fixture
def empty_redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


async def test_a_server_that_comes_back_empty_gets_running_turns_again(empty_redis: RedisServer) -> None:
    writing, reading = (RedisStreamLog(empty_redis.url, lease=LEASE, timeout=1) for _ in range(2))
    info, writer = await open_turn(writing)
    plain, plain_writer = await open_turn(writing, resumable=False)
    local = await reader_of(writing, info.id)
    remote = asyncio.ensure_future(rest_of(await reader_of(reading, info.id)))
    numbers = iter(range(1, 1000))

    async def append(count: int) -> None:
        for _ in range(count):
            writer.append(event(next(numbers)))
            plain_writer.append(b"{}")
            await asyncio.sleep(0.002)

    await append(20)
    await writer.flush()
    await asyncio.to_thread(empty_redis.stop, signal.SIGKILL)
    await append(20)
    assert local.ready() == entries(1, 40), "readers of the same process go on"
    with pytest.raises(StoreUnavailableError, match="Redis server"):
        await open_turn(writing)
    await asyncio.to_thread(empty_redis.start)
    async with asyncio.timeout(scaled(20)):
        while not await reading_finds(reading, info.id):
            await asyncio.sleep(0.02)
    await append(20)
    assert [found.id for found in await reading.active(ThreadKey(None, "thr_a"))] == [info.id, plain.id]
    await plain_writer.close(EndState.COMPLETED)
    await writer.close(EndState.COMPLETED)
    assert await remote == entries(1, 60)
    assert await rest_of(await reader_of(reading, info.id, 30)) == entries(31, 60)
    await writing.close()
    await reading.close()


async def reading_finds(log: StreamLog, turn_id: str) -> bool:
    try:
        return await log.find(turn_id, None) is not None
    except StoreUnavailableError:
        return False


async def test_a_turn_that_a_server_lost_with_its_worker_ends_its_readers(empty_redis: RedisServer) -> None:
    dead, reading = (RedisStreamLog(empty_redis.url, lease=0.5, timeout=1) for _ in range(2))
    info, writer = await open_turn(dead)
    writer.append(event(1))
    await writer.flush()
    reader = await reader_of(reading, info.id)
    got = asyncio.ensure_future(rest_of(reader))
    await dead.close()
    await asyncio.to_thread(empty_redis.restart)
    assert await got in ([], entries(1, 1))
    assert reader.end is EndState.INTERRUPTED
    await reading.close()


async def test_a_reader_of_a_turn_that_nobody_ends_is_not_told_an_end(
    worker: tuple[MakeLog, Arguments],
) -> None:
    """Its worker may only stand still, and say another one."""
    make_log, _ = worker
    dead, reading = make_log(), make_log()
    info, writer = await open_turn(dead)
    writer.append(event(1))
    await writer.flush()
    reader = await reader_of(reading, info.id)
    await dead.close()
    assert await rest_of(reader) == entries(1, 1)
    assert reader.end is None
    await reading.close()


async def test_a_turn_that_ends_while_the_server_is_away_is_ended_there_later(
    empty_redis: RedisServer,
) -> None:
    writing, reading = (RedisStreamLog(empty_redis.url, lease=LEASE, timeout=1) for _ in range(2))
    info, writer = await open_turn(writing)
    writer.append(event(1))
    await writer.flush()
    remote = asyncio.ensure_future(rest_of(await reader_of(reading, info.id)))
    await asyncio.to_thread(empty_redis.stop, signal.SIGKILL)
    local = await reader_of(writing, info.id)
    writer.append(event(2))
    async with asyncio.timeout(scaled(10)):
        await writer.close(EndState.COMPLETED)
    assert await rest_of(local) == entries(1, 2)
    await asyncio.to_thread(empty_redis.start)
    assert await remote == entries(1, 2)
    await writing.close()
    await reading.close()


async def test_events_that_a_crash_of_the_server_took_are_written_again() -> None:
    with redis_server("--appendonly", "yes", "--appendfsync", "no", "--save", "") as server:
        writing, reading = (RedisStreamLog(server.url, lease=LEASE, timeout=1, prefix="p:") for _ in range(2))
        info, writer = await open_turn(writing)
        for number in range(1, 21):
            writer.append(event(number))
            await writer.flush()
        remote = asyncio.ensure_future(rest_of(await reader_of(reading, info.id)))
        # As after a failover to a replica that was behind.
        import redis

        with redis.Redis.from_url(server.url) as client:
            client.xtrim(f"p:events:{info.id}", maxlen=0)
            for number in range(1, 6):
                client.xadd(f"p:copy:{info.id}", {"f": number, "d": event(number)}, id=f"{number}-0")
            client.rename(f"p:copy:{info.id}", f"p:events:{info.id}")
            client.hset(f"p:turn:{info.id}", "l", 5)
        for number in range(21, 31):
            writer.append(event(number))
            await writer.flush()
        await writer.close(EndState.COMPLETED)
        assert await remote == entries(1, 30)
        assert await rest_of(await reader_of(reading, info.id)) == entries(1, 30)
        await writing.close()
        await reading.close()


@contextmanager
def old_redis() -> Iterator[tuple[RedisServer, Callable[[], None]]]:
    """Runs a server that has, after a crash, what it had when the function that comes with it was called."""
    import redis

    # As with Redis' own settings, where a copy is written now and then; or after a failover to a replica.
    with redis_server("--save", "", "--appendonly", "no") as server:

        def remember() -> None:
            with redis.Redis.from_url(server.url) as client:
                client.save()

        yield server, remember


@pytest.mark.parametrize("seconds", [0.0, 1.5 * LEASE])
async def test_turns_that_began_after_what_a_server_remembers_are_written_again(seconds: float) -> None:
    with old_redis() as (server, remember):
        writing, reading = (RedisStreamLog(server.url, lease=LEASE, timeout=1) for _ in range(2))
        _, earlier = await open_turn(writing)
        await asyncio.to_thread(remember)
        info, writer = await open_turn(writing)
        plain, plain_writer = await open_turn(writing, resumable=False)
        for number in range(1, 6):
            writer.append(event(number))
            await writer.flush()
        await asyncio.to_thread(server.stop, signal.SIGKILL)
        for number in range(6, 11):
            writer.append(event(number))
        # Nobody can have taken over what is not told to a server that is down, however long it is.
        await asyncio.sleep(seconds)
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(scaled(20)):
            while not await reading_finds(reading, info.id):
                await asyncio.sleep(0.02)
            while seconds > LEASE and not plain_writer.lost:
                await asyncio.sleep(0.02)
        assert not writer.lost
        assert seconds > LEASE or not plain_writer.lost
        writer.append(event(11))
        for closing in (writer, plain_writer, earlier):
            await closing.close(EndState.COMPLETED)
        assert await rest_of(await reader_of(reading, info.id)) == entries(1, 11)
        assert await reading.find(plain.id, None) is None
        await writing.close()
        await reading.close()


async def test_who_takes_a_turn_over_that_a_server_forgot_was_taken_over_has_numbers_of_its_own() -> None:
    with old_redis() as (server, remember):
        first, second = (RedisStreamLog(server.url, lease=LEASE, timeout=1) for _ in range(2))
        with child(("redis", server.url, str(LEASE), "chatkit:")) as process:
            await asyncio.to_thread(read_until, process, 40)
        await asyncio.to_thread(remember)
        turn = await claimed(first)
        writer = await take_over(first, turn, b"first")
        reader = await reader_of(first, turn.info.id, turn.entries[-1].seq, "ada")
        for number in range(20):
            writer.append(event(number))
        cursor = writer.last_seq
        await read_to(reader, cursor)
        await asyncio.to_thread(server.restart)
        again = await claimed(second)
        assert again.info.attempt == turn.info.attempt
        writer = await take_over(second, again, b"second")
        # Fewer than the readers of the first one have seen.
        writer.append(event(1))
        await writer.close(EndState.COMPLETED)
        told = await rest_of(await reader_of(second, turn.info.id, cursor, "ada"))
        assert told[-1].seq > cursor, "the reader would take the one's events for the other's"
        await first.close()
        await second.close()


async def take_over(log: StreamLog, turn: InterruptedTurn, name: bytes) -> TurnWriter:
    next_attempt = replace(turn, info=replace(turn.info, attempt=turn.info.attempt + 1))
    writer = await log.take_over(
        next_attempt, snapshot=lambda _: [b'{"state":"' + name + b'"}'], on_stop=lambda: None
    )
    assert writer is not None
    return writer


async def read_to(reader: TurnReader, seq: int) -> None:
    """Reads up to the event of that number, and stops."""
    async with asyncio.timeout(scaled(20)):
        while (await anext(reader))[-1].seq < seq:
            pass
    await reader.aclose()


async def test_a_turn_whose_end_a_server_forgot_does_not_run_for_ever() -> None:
    with old_redis() as (server, remember):
        writing, reading = (RedisStreamLog(server.url, lease=LEASE, timeout=1) for _ in range(2))
        going, lasting = await open_turn(writing)
        ended, writer = await open_turn(writing)
        plain, plain_writer = await open_turn(writing, resumable=False)
        for appending in (writer, plain_writer):
            appending.append(event(1))
            await appending.flush()
        await asyncio.to_thread(remember)
        writer.append(event(2))
        await writer.close(EndState.COMPLETED)
        await plain_writer.close(EndState.COMPLETED)
        assert await reading.active(ThreadKey(None, "thr_a")) == [going]
        await asyncio.to_thread(server.restart)
        async with asyncio.timeout(scaled(20)):
            left = [ended, plain, going]
            while left != [going]:
                for log in (writing, reading):
                    for found in await log.claim_interrupted():
                        # Of a turn that nobody can come back to, nobody knows that it ended here.
                        assert found.info == plain
                        await log.settle(found.info.id)
                left = await reading.active(ThreadKey(None, "thr_a"))
                await asyncio.sleep(0.1)
        reader = await reader_of(reading, ended.id)
        assert await rest_of(reader) == entries(1, 2)
        assert reader.end is EndState.COMPLETED, (
            "its worker, which has it in memory, wrote again what was lost"
        )
        lasting.append(event(1))
        await lasting.close(EndState.COMPLETED)
        assert await rest_of(await reader_of(reading, going.id)) == entries(1, 1)
        await writing.close()
        await reading.close()


async def test_a_turn_that_began_for_the_server_only_does_not_run_for_ever(empty_redis: RedisServer) -> None:
    writing, reading = (RedisStreamLog(empty_redis.url, lease=LEASE, timeout=0.5) for _ in range(2))
    going, lasting = await open_turn(writing)
    empty_redis.pause()
    try:
        with pytest.raises(StoreUnavailableError):
            await open_turn(writing)
    finally:
        empty_redis.go_on()
    async with asyncio.timeout(scaled(20)):
        # What the server was told while it stood still it does now.
        while len(await reading.active(ThreadKey(None, "thr_a"))) == 1:
            await asyncio.sleep(0.02)
        while await reading.active(ThreadKey(None, "thr_a")) != [going]:
            for log in (writing, reading):
                for found in await log.claim_interrupted():
                    await log.settle(found.info.id)
            await asyncio.sleep(0.1)
    await lasting.close(EndState.COMPLETED)
    await writing.close()
    await reading.close()


async def test_a_restart_of_postgres_loses_nothing() -> None:
    with postgres_server() as server:
        # Readers wait for three leases, and a busy machine may take longer than that to start the server again.
        writing, reading = (PostgresStreamLog(server.url, lease=5 * LEASE) for _ in range(2))
        info, writer = await open_turn(writing)
        remote = asyncio.ensure_future(rest_of(await reader_of(reading, info.id)))
        for number in range(1, 21):
            writer.append(event(number))
            await asyncio.sleep(0.01)
        await asyncio.to_thread(server.stop, signal.SIGQUIT)
        for number in range(21, 41):
            writer.append(event(number))
        await writer.flush()
        with pytest.raises(StoreUnavailableError):
            await open_turn(writing)
        await asyncio.to_thread(server.start)
        for number in range(41, 61):
            writer.append(event(number))
            await asyncio.sleep(0.01)
        await writer.close(EndState.COMPLETED)
        assert await remote == entries(1, 60)
        await writing.close()
        await reading.close()


async def test_a_server_that_is_not_there_is_named(unused_port: int) -> None:
    log = RedisStreamLog(f"redis://user:secret@127.0.0.1:{unused_port}/3", timeout=1)
    with pytest.raises(StoreUnavailableError) as raised:
        await open_turn(log)
    assert f"127.0.0.1:{unused_port}/3" in str(raised.value)
    assert "secret" not in str(raised.value)
    await log.close()
    for url in ("http://example.com", "redis://localhost:notaport"):
        bad = RedisStreamLog(url)
        with pytest.raises(ConfigurationError, match="redis://host"):
            await open_turn(bad)


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
