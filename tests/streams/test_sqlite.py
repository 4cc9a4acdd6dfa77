"""The stream log over an SQLite file: what outlives the process, and what must not outlive a turn."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from sqlite3 import Connection
from typing import Any, TypeVar

import pytest

from chatkit import _sqlite
from chatkit._sqlite import Database
from chatkit.errors import ConfigurationError, StaleTurnError
from chatkit.store import SQLiteStore
from chatkit.streams import (
    EndState,
    SQLiteStreamLog,
    StreamLog,
    ThreadKey,
    TurnInfo,
    TurnWriter,
    outgoing,
    sender,
)
from chatkit.streams import log as log_module
from chatkit.streams.backend import SEPARATOR
from chatkit.streams.backends import sqlite as sqlite_log
from chatkit.streams.backends import sqlite_workers
from chatkit.streams.backends.sqlite import SQLiteBackend
from chatkit.streams.base import KeyClaim, LogEntry
from chatkit.streams.worker import Worker
from chatkit.testing import StreamLogContract
from tests.support.scale import is_within, scaled

T = TypeVar("T")

PROGRAM = Path(__file__).with_name("worker_process.py")
BEHIND = 0.25
"""Seconds that checkpoints may be behind."""
ELSEWHERE = Worker("another machine", 1, "1")


def dead_worker() -> Worker:
    here = Worker.current()
    return Worker(here.place, 2**22 + 1, here.started)


class TestSQLiteStreamLog(StreamLogContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make_log(self) -> SQLiteStreamLog:
        return SQLiteStreamLog(Database(self.folder / "chat.db"))


class TestSharedSQLiteStreamLog(StreamLogContract):
    shared = True
    window = 10_000

    @pytest.fixture(autouse=True)
    async def _file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "chat.db"
        database = Database(self.path)
        await database.migrate()
        await database.close()

    def make_log(self) -> SQLiteStreamLog:
        return SQLiteStreamLog(Database(self.path), window=self.window, lease=self.lease)


class CountingDatabase(Database):
    """Tells of each transaction that writes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.reads = 0
        self.writes = 0
        self.writing = asyncio.Event()
        self.written = asyncio.Event()

    async def read(self, work: Callable[[Connection], T]) -> T:
        self.reads += 1
        return await super().read(work)

    async def write(self, work: Callable[[Connection], T], *, wait: float | None = None) -> T:
        self.writes += 1
        self.writing.set()
        result = await super().write(work, wait=wait)
        self.written.set()
        return result


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[CountingDatabase]:
    database = CountingDatabase(tmp_path / "chat.db")
    yield database
    await database.close()


@contextmanager
def process(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [sys.executable, str(PROGRAM), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate(timeout=scaled(10))


def line_of(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    line = child.stdout.readline()
    assert line, "the process ended too early"
    return line.strip()


async def open_turn(log: SQLiteStreamLog, turn_id: str, **fields: Any) -> TurnWriter:
    return await log.open(TurnInfo(turn_id, "thr_a", **fields), snapshot=lambda _: [], on_stop=lambda: None)


def append(writer: TurnWriter, count: int) -> None:
    for _ in range(count):
        writer.append(event(writer.last_seq + 1))


def event(number: int) -> bytes:
    return b'{"n":%d}' % number


def entries(count: int) -> list[LogEntry]:
    return [LogEntry(number, event(number)) for number in range(1, count + 1)]


async def claimed(log: SQLiteStreamLog) -> dict[str, list[LogEntry]]:
    return {turn.info.id: turn.entries for turn in await log.claim_interrupted()}


async def counts(database: Database) -> tuple[int, int]:
    """Returns how many turns there are, and how many chunks."""
    return await _counts(database, "SELECT turn_id FROM stream_turns")


async def running(database: Database) -> tuple[int, int]:
    """Returns the same of turns that have not ended: those that have are kept for a while."""
    return await _counts(database, "SELECT turn_id FROM stream_turns WHERE ended IS NULL")


async def _counts(database: Database, turns: str) -> tuple[int, int]:
    def count(connection: Connection) -> tuple[int, int]:
        chunks = f"SELECT count(*) FROM stream_chunks WHERE turn_id IN ({turns})"
        if "WHERE" not in turns:
            chunks = "SELECT count(*) FROM stream_chunks"
        return (
            connection.execute(f"SELECT count(*) FROM ({turns})").fetchone()[0],
            connection.execute(chunks).fetchone()[0],
        )

    return await database.read(count)


async def change(database: Database, statement: str) -> None:
    await database.write(lambda connection: connection.execute(statement).rowcount)


async def eventually(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(scaled(10)):
        while not await holds():
            await asyncio.sleep(0.01)


# Death of a worker.


async def test_a_killed_process_leaves_all_but_the_last_moment(database: CountingDatabase) -> None:
    log = SQLiteStreamLog(database)
    stamps: list[float] = []
    with process("write", database.path, 3) as child:
        while not stamps or stamps[-1] - stamps[0] < 4 * BEHIND:
            number, stamp = line_of(child).split()
            assert int(number) == len(stamps) + 1
            stamps.append(float(stamp))
        assert await log.claim_interrupted() == [], "the process is alive"
        child.kill()
        rest, _ = child.communicate(timeout=scaled(10))
    # A line that the kill cut off does not count.
    stamps += [float(line.split()[1]) for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    due = sum(stamp < stamps[-1] - BEHIND for stamp in stamps)
    assert due > 100
    turns = {turn.info.id: turn for turn in await log.claim_interrupted()}
    assert turns.keys() == {"turn_0", "turn_1", "turn_2", "turn_idle"}
    assert turns.pop("turn_idle").entries == []
    for turn in turns.values():
        assert due <= len(turn.entries) <= len(stamps) + 1
        assert turn.entries == entries(len(turn.entries))
        assert (turn.info.thread_id, turn.info.owner, turn.info.user_item_id) == ("thr_a", "ada", "msg_1")
        assert not turn.info.resumable
        assert turn.info.started_at.utcoffset() is not None
    assert await log.claim_interrupted() == []
    for turn_id in [*turns, "turn_idle"]:
        await log.settle(turn_id)
    assert await running(database) == (0, 0)


async def test_processes_that_race_claim_each_turn_once(database: CountingDatabase) -> None:
    dead = SQLiteStreamLog(database, worker=dead_worker)
    writers = [await open_turn(dead, f"turn_{number:02}") for number in range(40)]
    for writer in writers:
        append(writer, 2)
    await writers[0].flush()
    with process("claim", database.path) as first, process("claim", database.path) as second:
        for child in (first, second):
            assert line_of(child) == "ready"
        for child in (first, second):
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        answers = [line_of(child).split() for child in (first, second)]
    assert sorted([*answers[0], *answers[1]]) == [f"turn_{number:02}" for number in range(40)]
    for writer in writers:
        await writer.close(EndState.COMPLETED)


async def test_a_worker_elsewhere_counts_as_dead_when_its_lease_has_run_out(
    database: CountingDatabase,
) -> None:
    far, near = SQLiteStreamLog(database, worker=lambda: ELSEWHERE), SQLiteStreamLog(database)
    writer = await open_turn(far, "turn_far")
    append(writer, 3)
    await writer.flush()
    assert await near.claim_interrupted() == []
    await change(database, "UPDATE stream_turns SET lease_expires_at = 0")
    await writer.flush()
    assert await claimed(near) == {"turn_far": entries(3)}
    await writer.close(EndState.COMPLETED)


async def test_a_process_that_lives_keeps_its_turn_while_its_loop_is_blocked(
    database: CountingDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    with process("block", database.path) as child:
        assert line_of(child) == "saved"
        log = SQLiteStreamLog(database)
        now = time.time()
        await change(database, f"UPDATE stream_turns SET lease_expires_at = {now - 500}")
        assert await claimed(log) == {}
        # It is not left there for ever.
        monkeypatch.setattr(sqlite_log, "SILENCE", 400.0)
        assert await claimed(log) == {"turn_blocked": entries(3)}


async def test_a_blocked_process_that_is_killed_leaves_its_turn_at_once(database: CountingDatabase) -> None:
    with process("block", database.path) as child:
        assert line_of(child) == "saved"
        log = SQLiteStreamLog(database)
        assert await claimed(log) == {}
        child.kill()
        child.wait(scaled(10))
        assert await claimed(log) == {"turn_blocked": entries(3)}


async def test_a_log_never_claims_the_turns_that_it_runs(database: CountingDatabase) -> None:
    log = SQLiteStreamLog(database, worker=dead_worker)
    writer = await open_turn(log, "turn_a")
    append(writer, 1)
    await writer.flush()
    await change(database, "UPDATE stream_turns SET lease_expires_at = 0")
    assert await log.claim_interrupted() == []
    await writer.close(EndState.COMPLETED)


async def test_an_idle_turn_keeps_its_lease(database: CountingDatabase) -> None:
    log = SQLiteStreamLog(database, lease=0.6)
    writers = [await open_turn(log, f"turn_{number}") for number in range(3)]
    await writers[0].flush()

    async def renewed() -> bool:
        return await database.read(
            lambda connection: connection.execute(
                "SELECT count(*) FROM stream_turns WHERE lease_expires_at > 0"
            ).fetchone()[0]
        ) == len(writers)

    await eventually(renewed)
    await change(database, "UPDATE stream_turns SET lease_expires_at = 0")
    await eventually(renewed)
    for writer in writers:
        await writer.close(EndState.COMPLETED)
    assert await counts(database) == (0, 0)


async def test_a_claim_whose_claimer_died_can_be_claimed_again(database: CountingDatabase) -> None:
    dead = SQLiteStreamLog(database, worker=dead_worker)
    append(await open_turn(dead, "turn_a"), 2)
    await (await open_turn(dead, "turn_b")).flush()
    append(await open_turn(dead, "turn_c"), 1)
    await dead.open(TurnInfo("turn_d", "thr_a"), snapshot=lambda _: [], on_stop=lambda: None)

    async def saved() -> bool:
        return await counts(database) == (4, 2)

    await eventually(saved)
    expected = {"turn_a": entries(2), "turn_b": [], "turn_c": entries(1), "turn_d": []}

    dying = SQLiteStreamLog(database, worker=dead_worker)
    assert await claimed(dying) == expected
    far = SQLiteStreamLog(database, worker=lambda: ELSEWHERE)
    assert await claimed(far) == expected
    near = SQLiteStreamLog(database)
    assert await claimed(near) == {}
    await change(database, "UPDATE stream_turns SET lease_expires_at = 0")
    assert await claimed(near) == expected
    # The claim has passed on: a late settlement must not take the rows away.
    await far.settle("turn_a")
    assert await counts(database) == (4, 2)
    for turn_id in expected:
        await near.settle(turn_id)
    assert await running(database) == (0, 0)


async def test_a_turn_that_was_claimed_in_its_life_writes_no_more(
    database: CountingDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    stalled, other = SQLiteStreamLog(database), SQLiteStreamLog(database)
    writer = await open_turn(stalled, "turn_a", resumable=True)
    append(writer, 2)
    await writer.flush()
    await change(database, "UPDATE stream_turns SET lease_expires_at = 0")
    assert await claimed(other) == {"turn_a": entries(2)}
    reader = await stalled.read("turn_a", None, None)
    assert reader is not None
    append(writer, 1)
    await writer.flush()
    with pytest.raises(StaleTurnError):
        append(writer, 1)
    assert [record.getMessage() for record in caplog.records] == [
        "Turn turn_a was taken over by another worker and stops here"
    ]
    await writer.close(EndState.COMPLETED)
    assert await running(database) == (1, 1)
    await other.settle("turn_a")
    assert await running(database) == (0, 0)
    assert [entry async for ready in reader for entry in ready] == entries(3)
    assert reader.end is None, "readers of this process come back to the worker that has it"


# Saving.


async def test_one_transaction_saves_all_turns_and_only_when_there_is_something(
    database: CountingDatabase,
) -> None:
    log = SQLiteStreamLog(database)
    writers = [await open_turn(log, f"turn_{number}") for number in range(10)]
    for writer in writers:
        append(writer, 50)
    assert database.writes == 0
    async with asyncio.timeout(scaled(10)):
        await database.written.wait()
    assert database.writes == 1
    assert await counts(database) == (10, 10)
    for writer in writers:
        await writer.flush()
    assert database.writes == 1, "everything was on disk already"
    append(writers[0], 1)
    await writers[0].flush()
    assert database.writes == 2
    for writer in writers:
        await writer.close(EndState.COMPLETED)
    assert await counts(database) == (0, 0)
    timers: list[asyncio.TimerHandle] = vars(asyncio.get_running_loop())["_scheduled"]
    assert all(timer.cancelled() for timer in timers)


async def test_a_short_turn_never_touches_the_file(database: CountingDatabase) -> None:
    log = SQLiteStreamLog(database)
    writer = await open_turn(log, "turn_a")
    append(writer, 20)
    await writer.close(EndState.COMPLETED)
    await log.close()
    assert not Path(database.path).exists()


async def test_a_turn_that_ends_during_its_first_save_leaves_nothing(database: CountingDatabase) -> None:
    log = SQLiteStreamLog(database)
    for number in range(3):
        database.writing.clear()
        writer = await open_turn(log, f"turn_{number}")
        append(writer, 20)
        async with asyncio.timeout(scaled(10)):
            await database.writing.wait()
        await writer.close(EndState.COMPLETED)
        assert await counts(database) == (0, 0)


async def test_events_of_several_saves_are_claimed_in_order(database: CountingDatabase) -> None:
    dead = SQLiteStreamLog(database, worker=dead_worker)
    writer = await open_turn(dead, "turn_a")
    for _ in range(12):
        append(writer, 7)
        await writer.flush()
    assert await counts(database) == (1, 12)
    assert await claimed(SQLiteStreamLog(database)) == {"turn_a": entries(84)}
    await writer.close(EndState.COMPLETED)


@pytest.mark.parametrize("beyond", [[], [(14, 15)]])
async def test_saves_that_overlap_are_read_once_and_nothing_after_a_gap(
    database: CountingDatabase, beyond: list[tuple[int, int]]
) -> None:
    dead = SQLiteStreamLog(database, worker=dead_worker)
    await (await open_turn(dead, "turn_a")).hand_over()
    # As the saves of several event loops leave them: each may be unaware of the one before.
    rows = [
        ("turn_a", first, SEPARATOR.join(event(number) for number in range(first, last + 1)))
        for first, last in [(1, 8), (5, 9), (6, 7), (9, 12), *beyond]
    ]
    statement = "INSERT INTO stream_chunks (turn_id, first_seq, events) VALUES (?, ?, ?)"
    await database.write(lambda connection: connection.executemany(statement, rows).rowcount)
    assert await claimed(SQLiteStreamLog(database)) == {"turn_a": entries(12)}


async def test_each_process_that_takes_a_turn_over_has_numbers_of_its_own(database: CountingDatabase) -> None:
    """The readers of a process that dies at once have seen what it appended, and the file has not."""
    dead = SQLiteStreamLog(database, worker=dead_worker)
    writer = await open_turn(dead, "turn_a", resumable=True)
    append(writer, 2)
    await writer.flush()
    numbers = [2]
    for attempt in (2, 3):
        log = SQLiteStreamLog(database, worker=dead_worker)
        (found,) = await log.claim_interrupted()
        assert found.entries == entries(2)
        again = replace(found, info=replace(found.info, attempt=attempt))
        taken = await log.take_over(again, snapshot=lambda _: [b"state"], on_stop=lambda: None)
        assert taken is not None
        numbers.append(taken.append(event(3)))
    await taken.flush()
    assert numbers[1] - numbers[0] > 1000
    assert numbers[2] - numbers[1] > 1000
    (found,) = await SQLiteStreamLog(database).claim_interrupted()
    assert found.entries == [LogEntry(numbers[2], b"state")]


async def test_a_save_that_was_cut_off_is_repeated_without_a_double(database: CountingDatabase) -> None:
    dead = SQLiteStreamLog(database, worker=dead_worker)
    writer = await open_turn(dead, "turn_a")
    for _ in range(5):
        append(writer, 10)
        flushing = asyncio.ensure_future(writer.flush())
        # The task has handed its transaction over and is cancelled before it hears of the commit.
        await asyncio.sleep(0)
        flushing.cancel()
        await asyncio.gather(flushing, return_exceptions=True)
        await change(database, "SELECT 1")
    append(writer, 1)
    await writer.flush()
    assert await claimed(SQLiteStreamLog(database)) == {"turn_a": entries(51)}
    await writer.close(EndState.COMPLETED)


async def test_a_cancelled_close_still_ends_the_turn(database: CountingDatabase) -> None:
    log = SQLiteStreamLog(database)
    writer = await open_turn(log, "turn_a", resumable=True)
    append(writer, 1)
    await writer.flush()
    closing = asyncio.ensure_future(writer.close(EndState.STOPPED))
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    reader = await log.read("turn_a", None, 1)
    assert reader is not None
    assert [ready async for ready in reader] == []
    assert reader.end is EndState.STOPPED
    await log.close()
    assert await counts(database) == (0, 0)


def test_turns_of_several_event_loops_at_the_same_time(tmp_path: Path) -> None:
    database = Database(tmp_path / "chat.db")
    log = SQLiteStreamLog(database)
    together = threading.Barrier(2, timeout=scaled(20))
    failures: list[BaseException] = []

    async def run(name: str) -> None:
        for round_number in range(5):
            writer = await open_turn(log, f"turn_{name}_{round_number}")
            append(writer, 30)
            await asyncio.to_thread(together.wait)
            await writer.flush()
            await asyncio.to_thread(together.wait)
            assert await counts(database) == (2, 2)
            await asyncio.to_thread(together.wait)
            await writer.close(EndState.COMPLETED)
            await asyncio.to_thread(together.wait)
            assert await counts(database) == (0, 0)
            await asyncio.to_thread(together.wait)

    def thread(name: str) -> None:
        try:
            asyncio.run(run(name))
        except BaseException as error:  # noqa: BLE001 -- told to the test
            failures.append(error)
            together.abort()

    threads = [threading.Thread(target=thread, args=(name,)) for name in "ab"]
    for one in threads:
        one.start()
    for one in threads:
        one.join(scaled(60))
    assert failures == []
    asyncio.run(database.close())


def test_a_turn_whose_loop_was_closed_under_it_loses_its_lease(tmp_path: Path) -> None:
    database = Database(tmp_path / "chat.db")
    log = SQLiteStreamLog(database, lease=0.3)

    async def abandon() -> None:
        writer = await open_turn(log, "turn_a")
        append(writer, 2)
        await writer.flush()
        assert await log.claim_interrupted() == []
        await change(database, "UPDATE stream_turns SET lease_expires_at = 0")

    async def go_on() -> None:
        writer = await open_turn(log, "turn_b")
        await asyncio.to_thread(asyncio.run, abandon())
        append(writer, 2)
        await writer.flush()
        found: dict[str, list[LogEntry]] = {}

        async def is_claimed() -> bool:
            found.update(await claimed(log))
            return bool(found)

        await eventually(is_claimed)
        assert found == {"turn_a": entries(2)}
        await writer.close(EndState.COMPLETED)
        await log.settle("turn_a")
        assert await running(database) == (0, 0)
        await database.close()

    asyncio.run(go_on())


# A database that cannot be written.


def pages(limit: int) -> Callable[[Connection], int]:
    """A full disk, as SQLite itself knows it: the file may not grow beyond so many pages."""
    return lambda connection: connection.execute(f"PRAGMA max_page_count = {limit}").fetchone()[0]


async def test_a_full_disk_does_not_end_the_turn(
    database: CountingDatabase, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "FIRST_RETRY", 0.01)
    monkeypatch.setattr(sender, "LONGEST_RETRY", 0.01)
    dead = SQLiteStreamLog(database, worker=dead_worker)
    big = b'"' + b"x" * 100_000 + b'"'
    await database.write(pages(1))
    writers = [await open_turn(dead, f"turn_{number}", resumable=True) for number in range(2)]
    for writer in writers:
        writer.append(big)
    reader = await dead.read("turn_0", None, None)
    assert reader is not None
    for _ in range(3):
        writers[0].append(big)
        await writers[0].flush()
    assert [entry.data for entry in await anext(reader)] == [big] * 4
    writes = database.writes

    async def tried_again() -> bool:
        return database.writes > writes + 3

    await eventually(tried_again)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.getMessage()[:29] for record in warnings] == ["What 2 running turns append c"]
    assert "no space left" in warnings[0].getMessage()
    assert await counts(database) == (0, 0)

    await database.write(pages(1_000_000))

    async def saved() -> bool:
        return await counts(database) == (2, 2)

    await eventually(saved)
    assert await claimed(SQLiteStreamLog(database)) == {
        "turn_0": [LogEntry(seq, big) for seq in (1, 2, 3, 4)],
        "turn_1": [LogEntry(1, big)],
    }
    for writer in writers:
        await writer.close(EndState.COMPLETED)


async def test_a_turn_that_is_faster_than_the_disk_waits_for_it(database: CountingDatabase) -> None:
    dead = SQLiteStreamLog(database, worker=dead_worker, window=64 * 1024 * 1024)
    writer = await open_turn(dead, "turn_a", resumable=True)
    big = b'"' + b"x" * 100_000 + b'"'
    waits = 0
    for _ in range(100):
        writer.append(big)
        if writer.congested:
            waits += 1
            async with asyncio.timeout(scaled(10)):
                await writer.drain()
            assert not writer.congested
    assert waits == 9
    await writer.flush()
    assert await claimed(SQLiteStreamLog(database)) == {
        "turn_a": [LogEntry(seq, big) for seq in range(1, 101)]
    }
    await writer.close(EndState.COMPLETED)


async def test_what_waits_for_the_disk_is_bounded_and_gapless(
    database: CountingDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "BUFFER", 10_000)
    dead = SQLiteStreamLog(database, worker=dead_worker)
    await database.write(pages(1))
    writer = await open_turn(dead, "turn_a")
    writer.append(b'"' + b"x" * 9_980 + b'"')
    await writer.flush()
    assert await counts(database) == (0, 0)
    for _ in range(10_000):
        writer.append(event(writer.last_seq + 1))
    await writer.flush()
    await database.write(pages(1_000_000))
    await writer.flush()
    writer.append(event(writer.last_seq + 1))
    await writer.flush()
    (turn,) = await SQLiteStreamLog(database).claim_interrupted()
    assert [entry.seq for entry in turn.entries] == [1, 2, 3, 4], "the fourth one exceeds the limit"
    assert writer.last_seq == 10_002
    await writer.close(EndState.COMPLETED)


@pytest.mark.parametrize("resumable", [False, True])
async def test_a_healthy_disk_keeps_all_of_a_long_turn(
    database: CountingDatabase, monkeypatch: pytest.MonkeyPatch, resumable: bool
) -> None:
    monkeypatch.setattr(outgoing, "BUFFER", 1000)
    dead = SQLiteStreamLog(database, worker=dead_worker)
    writer = await open_turn(dead, "turn_a", resumable=resumable)
    for _ in range(10):
        append(writer, 50)
        await writer.flush()
    assert await claimed(SQLiteStreamLog(database)) == {"turn_a": entries(500)}
    await writer.close(EndState.COMPLETED)


async def test_a_turn_that_is_not_on_disk_as_a_whole_is_not_left_to_others(
    database: CountingDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "BUFFER", 10_000)
    log = SQLiteStreamLog(database)
    await database.write(pages(1))
    writer = await open_turn(log, "turn_a")
    writer.append(b'"' + b"x" * 9_980 + b'"')
    await writer.flush()
    append(writer, 10_000)
    await writer.flush()
    await database.write(pages(1_000_000))
    assert not await writer.hand_over()
    await writer.close(EndState.INTERRUPTED)
    assert await running(database) == (0, 0)


async def test_rows_that_could_not_be_deleted_are_not_claimed_and_go_later(
    database: CountingDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sqlite.database, "_BUSY_SECONDS", 0.01)
    log = SQLiteStreamLog(database)
    writer = await open_turn(log, "turn_a", resumable=True)
    append(writer, 1)
    await writer.flush()
    await change(database, "UPDATE stream_turns SET lease_expires_at = 0")
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await writer.close(EndState.COMPLETED)
        other.execute("ROLLBACK")
    assert (await log.active(ThreadKey(None, "thr_a"))) == []
    assert await counts(database) == (1, 1)
    assert await log.claim_interrupted() == [], "the turn has ended, its items are in the store"
    await log.close()
    assert await counts(database) == (0, 0)


@pytest.mark.parametrize("patience", [0.0, 10.0])
async def test_closing_tries_once_more_to_write_what_could_not_be_written(
    database: CountingDatabase, monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    monkeypatch.setattr(_sqlite.database, "_BUSY_SECONDS", 0.01)
    log = SQLiteStreamLog(database)
    writers = [await open_turn(log, f"turn_{number}", resumable=True) for number in range(3)]
    for writer in writers:
        append(writer, 1)
    await writers[0].flush()
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for writer in writers:
            await writer.close(EndState.COMPLETED)
        # The file is locked for a moment by what takes long, or it cannot be written at all.
        monkeypatch.setattr(_sqlite.database, "_BUSY_SECONDS", patience)
        began = time.monotonic()
        await log.close()
        took = time.monotonic() - began
        other.execute("ROLLBACK")
    assert is_within(took, 2 if not patience else 8), "the turns are not waited for one after the other"


# Who is there.


async def test_a_process_that_is_alone_looks_for_nobody(database: CountingDatabase) -> None:
    log = SQLiteStreamLog(database)
    assert await log.claim_interrupted() == []
    writer = await open_turn(log, "turn_a", resumable=True)
    append(writer, 1)
    await writer.flush()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await writer.close(EndState.COMPLETED)
    await log.close()


async def test_a_turn_that_began_alone_is_shared_with_who_comes(database: CountingDatabase) -> None:
    log = SQLiteStreamLog(database)
    assert await log.claim_interrupted() == []
    asked = asyncio.Event()
    info = TurnInfo("turn_a", "thr_a", resumable=True)
    writer = await log.open(info, snapshot=lambda _: [], on_stop=asked.set)
    append(writer, 1)
    newcomer = SQLiteStreamLog(database)
    assert await newcomer.active(info.thread) == [info]
    reader = await newcomer.read("turn_a", None, None)
    assert reader is not None
    append(writer, 1)
    stopping = asyncio.ensure_future(newcomer.stop("turn_a", None))
    async with asyncio.timeout(scaled(10)):
        await asked.wait()
    await writer.close(EndState.STOPPED)
    assert await stopping
    assert [entry async for ready in reader for entry in ready] == entries(2)
    assert reader.end is EndState.STOPPED
    assert await newcomer.find("turn_a", None) == info, "it is kept for others"
    await newcomer.close()
    await log.close()


async def workers(database: Database) -> int:
    return await database.read(
        lambda connection: connection.execute("SELECT count(*) FROM stream_workers").fetchone()[0]
    )


async def test_a_file_that_cannot_be_written_can_be_asked(
    database: CountingDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    await database.migrate()
    log = SQLiteStreamLog(database)
    thread = ThreadKey(None, "thr_a")
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with asyncio.timeout(scaled(5)):
            assert await log.claim_interrupted() == []
            assert await log.active(thread) == []
            assert await log.find("turn_a", None) is None
            claim = KeyClaim("turn_a", "thr_a", "body", fresh=True)
            assert await log.ended(claim) is None
            assert await log.claim_interrupted() == []
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert await workers(database) == 0
        other.execute("ROLLBACK")
    writer = await open_turn(log, "turn_a")
    append(writer, 1)
    await writer.flush()
    assert await workers(database) == 1
    await writer.close(EndState.COMPLETED)
    await log.close()


async def test_a_process_that_cannot_be_seen_is_forgotten_after_some_minutes(
    database: CountingDatabase,
) -> None:
    far, near = SQLiteStreamLog(database, worker=lambda: ELSEWHERE), SQLiteStreamLog(database)
    await far.claim_interrupted()
    await near.claim_interrupted()
    # Each tells that it lives.
    await change(database, "UPDATE stream_workers SET seen_at = seen_at - 60")
    await far.claim_interrupted()
    await change(database, "UPDATE stream_workers SET seen_at = seen_at - 100")
    await near.claim_interrupted()
    assert await workers(database) == 2
    # Now one does not.
    await change(database, "UPDATE stream_workers SET seen_at = seen_at - 100")
    await near.claim_interrupted()
    assert await workers(database) == 1
    await near.close()
    await far.close()


async def test_on_a_network_file_system_a_second_worker_is_refused(
    database: CountingDatabase, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sqlite_workers, "is_on_network", lambda _: True)
    log, other = SQLiteStreamLog(database), SQLiteStreamLog(database)
    assert await log.claim_interrupted() == []
    assert await log.claim_interrupted() == []
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    with pytest.raises(ConfigurationError, match="network file system"):
        await other.claim_interrupted()
    await log.close()
    assert await other.claim_interrupted() == []
    await other.close()


async def test_of_workers_that_start_at_once_on_a_network_file_system_one_stays(
    database: CountingDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_workers, "is_on_network", lambda _: True)
    await database.migrate()
    databases = [Database(database.path) for _ in range(3)]
    logs = [SQLiteStreamLog(each) for each in databases]
    answers = await asyncio.gather(*(log.claim_interrupted() for log in logs), return_exceptions=True)
    assert sum(isinstance(answer, ConfigurationError) for answer in answers) == 2
    (log,) = (log for log, answer in zip(logs, answers, strict=True) if answer == [])
    # It stays, whoever else is there when it tells again that it lives.
    await change(
        database,
        "INSERT INTO stream_workers SELECT 'loop_b', 'log_b', 'elsewhere', 1, '', seen_at FROM stream_workers",
    )
    await change(database, "UPDATE stream_workers SET seen_at = seen_at - 60")
    assert await log.claim_interrupted() == []
    for log, each in zip(logs, databases, strict=True):
        await log.close()
        await each.close()


async def test_a_sweep_forgets_what_was_kept_for_readers_of_short_turns(database: CountingDatabase) -> None:
    log, other = SQLiteStreamLog(database, retention=0.01), SQLiteStreamLog(database)
    await other.claim_interrupted()
    await log.claim_interrupted()
    writer = await open_turn(log, "turn_a", resumable=True)
    append(writer, 3)
    await writer.close(EndState.COMPLETED)
    assert await counts(database) == (1, 1)
    await asyncio.sleep(0.02)
    with closing(sqlite3.connect(database.path, isolation_level=None)) as locking:
        locking.execute("BEGIN IMMEDIATE")
        async with asyncio.timeout(scaled(5)):
            assert await other.claim_interrupted() == []
        locking.execute("ROLLBACK")
    assert await other.claim_interrupted() == []
    assert await counts(database) == (0, 0)
    writes = database.writes
    assert await other.claim_interrupted() == []
    assert database.writes == writes
    await log.close()
    await other.close()


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("load_stops", "stream_turns_running"),
        ("load_held", "stream_turns_running"),
        ("load_running_turns", "stream_turns_running"),
        ("forget_turns", "stream_turns_old"),
        ("forget_chunks", "stream_turns_old"),
        ("find_old", "stream_turns_old"),
        ("find_old", "stream_ends_old"),
        ("find_old", "stream_keys_by_age"),
        ("forget_ends", "stream_ends_old"),
        ("forget_keys", "stream_keys_by_age"),
        ("forget_turns_of_thread", "stream_turns_of_thread"),
    ],
)
async def test_what_is_asked_often_does_not_read_the_turns_that_have_ended(
    database: CountingDatabase, query: str, index: str
) -> None:
    row = {"holder": "log_a", "now": 0.0, "horizon": 0.0, "limit": 1, "thread_id": "thr_a", "owner": None}
    plan = await database.read(
        lambda connection: connection.execute(
            f"EXPLAIN QUERY PLAN {sqlite_workers.SQL[query]}", row
        ).fetchall()
    )
    assert any(index in step[3] for step in plan), plan
    whole = {"SCAN stream_turns", "SCAN stream_ends", "SCAN stream_keys"}
    assert whole.isdisjoint(step[3] for step in plan), plan


async def test_a_process_that_is_alone_and_idle_sweeps_seldom_and_reads_once(
    database: CountingDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, other = SQLiteStreamLog(database), SQLiteStreamLog(database)
    assert await log.claim_interrupted() == []
    often = log.sweep_seconds
    assert often <= 2, "others may be about to start"
    monkeypatch.setattr(log_module, "LONE_AFTER", 0.0)
    reads = database.reads
    assert await log.claim_interrupted() == []
    assert database.reads == reads + 1
    assert log.sweep_seconds == 10
    writer = await open_turn(log, "turn_a")
    assert await log.claim_interrupted() == []
    assert log.sweep_seconds == often
    await writer.close(EndState.COMPLETED)
    assert await log.claim_interrupted() == []
    assert log.sweep_seconds == 10
    assert await other.active(ThreadKey(None, "thr_a")) == []
    assert await log.claim_interrupted() == []
    assert log.sweep_seconds == often
    await other.close()
    await log.close()


async def test_closing_a_log_after_its_database_opens_that_no_more(database: CountingDatabase) -> None:
    log = SQLiteStreamLog(database)
    await log.claim_interrupted()
    assert await workers(database) == 1
    await database.close()
    for file in Path(database.path).parent.iterdir():
        file.unlink()
    await log.close()
    assert list(Path(database.path).parent.iterdir()) == []


async def test_a_silent_turn_that_began_alone_hears_of_a_stop_with_the_next_sweep(
    database: CountingDatabase,
) -> None:
    # So long that the lease is not renewed meanwhile.
    log, newcomer = SQLiteStreamLog(database, lease=300), SQLiteStreamLog(database)
    await log.claim_interrupted()
    asked = asyncio.Event()
    info = TurnInfo("turn_a", "thr_a", resumable=True)
    writer = await log.open(info, snapshot=lambda _: [], on_stop=asked.set)
    append(writer, 1)
    await writer.flush()
    assert await newcomer.active(info.thread) == [info]
    stopping = asyncio.ensure_future(newcomer.stop("turn_a", None))
    await log.claim_interrupted()
    async with asyncio.timeout(scaled(5)):
        await asked.wait()
    await writer.close(EndState.STOPPED)
    assert await stopping
    await newcomer.close()
    await log.close()


def test_rows_of_event_loops_that_are_closed_go(tmp_path: Path) -> None:
    database = Database(tmp_path / "chat.db")
    log, other = SQLiteStreamLog(database), SQLiteStreamLog(database)
    loops = [asyncio.new_event_loop() for _ in range(4)]
    for loop in loops[:3]:
        # As some test clients do: without closing what the loop has open.
        loop.run_until_complete(log.claim_interrupted())
        loop.run_until_complete(other.claim_interrupted())
    assert loops[2].run_until_complete(workers(database)) == 6
    for loop in loops[:2]:
        loop.close()
    loops[3].run_until_complete(log.claim_interrupted())
    assert loops[3].run_until_complete(workers(database)) == 3
    for loop in loops[2:]:
        loop.run_until_complete(log.close())
        loop.run_until_complete(other.close())
    loops[3].run_until_complete(database.close())
    for loop in loops[2:]:
        loop.close()


# Idempotency keys.


async def test_keys_are_shared_by_logs_on_one_file_and_survive(tmp_path: Path) -> None:
    claims = [KeyClaim(f"turn_{number}", "thr_a", "body", fresh=True) for number in range(6)]
    databases = [Database(tmp_path / "chat.db") for _ in claims]
    answers = await asyncio.gather(
        *(
            SQLiteStreamLog(database).claim_key("ada", "key", claim)
            for database, claim in zip(databases, claims, strict=True)
        )
    )
    (winner,) = (answer for answer in answers if answer.fresh)
    assert {answer.turn_id for answer in answers} == {winner.turn_id}
    for database in databases:
        await database.close()
    later = Database(tmp_path / "chat.db")
    held = await SQLiteStreamLog(later).claim_key("ada", "key", claims[0])
    assert held == KeyClaim(winner.turn_id, "thr_a", "body", fresh=False)
    await later.close()


async def test_keys_expire_after_a_day(database: CountingDatabase) -> None:
    log = SQLiteStreamLog(database)
    first, second = (KeyClaim(f"turn_{number}", "thr_a", "body", fresh=True) for number in range(2))
    for key in ("young", "old", "forgotten"):
        await log.claim_key("ada", key, first)
    day = 24 * 3600
    await change(
        database, f"UPDATE stream_keys SET created_at = {time.time() - day + 60} WHERE key = 'young'"
    )
    await change(
        database, f"UPDATE stream_keys SET created_at = {time.time() - day - 1} WHERE key <> 'young'"
    )
    assert not (await log.claim_key("ada", "young", second)).fresh
    assert await log.claim_key("ada", "old", second) == second
    assert await log.claim_interrupted() == []
    left = await database.read(
        lambda connection: connection.execute("SELECT key FROM stream_keys").fetchall()
    )
    assert sorted(left) == [("old",), ("young",)]


async def test_a_log_is_given_a_function_that_makes_its_backend(database: CountingDatabase) -> None:
    def make(log: StreamLog) -> SQLiteBackend:
        return SQLiteBackend(
            database, holder=log.holder, worker=Worker.current, lease=log.lease, retention=log.retention
        )

    logs = [StreamLog(make) for _ in range(2)]
    assert all(log.shared for log in logs)
    await database.migrate()
    writer = await logs[0].open(TurnInfo("turn_a", "thr_a"), snapshot=lambda _: [], on_stop=lambda: None)
    reader = await logs[1].read("turn_a", None, None)
    assert reader is not None
    append(writer, 2)
    await writer.close(EndState.COMPLETED)
    assert [entry async for ready in reader for entry in ready] == entries(2)
    assert reader.end is EndState.COMPLETED
    for log in logs:
        await log.close()


async def test_the_store_gives_the_log_of_its_file(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "chat.db")
    log = store.stream_log()
    assert store.stream_log() is log
    assert log.shared
    writer = await open_turn(log, "turn_a")
    append(writer, 1)
    await writer.flush()
    assert await counts(store.database) == (1, 1)
    await writer.close(EndState.COMPLETED)
    await log.close()
    await store.check()
    await store.close()
