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
from chatkit.store import SQLiteStore
from chatkit.streams import EndState, SQLiteStreamLog, TurnInfo, TurnWriter, checkpoints, ticker
from chatkit.streams import sqlite as sqlite_log
from chatkit.streams.base import KeyClaim, LogEntry
from chatkit.streams.worker import Worker
from chatkit.testing import StreamLogContract

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


class CountingDatabase(Database):
    """Tells of each transaction that writes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.writes = 0
        self.writing = asyncio.Event()
        self.written = asyncio.Event()

    async def write(self, work: Callable[[Connection], T]) -> T:
        self.writes += 1
        self.writing.set()
        result = await super().write(work)
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
        child.communicate(timeout=10)


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
    def count(connection: Connection) -> tuple[int, int]:
        tables = ("stream_turns", "stream_chunks")
        turns, chunks = (
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables
        )
        return turns, chunks

    return await database.read(count)


async def change(database: Database, statement: str) -> None:
    await database.write(lambda connection: connection.execute(statement).rowcount)


async def eventually(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
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
        rest, _ = child.communicate(timeout=10)
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
    assert await counts(database) == (0, 0)


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
        answers = [child.communicate(timeout=20)[0].split() for child in (first, second)]
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
        child.wait(10)
        assert await claimed(log) == {"turn_blocked": entries(3)}


async def test_a_log_never_claims_the_turns_that_it_runs(database: CountingDatabase) -> None:
    log = SQLiteStreamLog(database, worker=dead_worker)
    writer = await open_turn(log, "turn_a")
    append(writer, 1)
    await writer.flush()
    await change(database, "UPDATE stream_turns SET lease_expires_at = 0")
    assert await log.claim_interrupted() == []
    await writer.close(EndState.COMPLETED)


async def test_an_idle_turn_keeps_its_lease(
    database: CountingDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (ticker, checkpoints):
        monkeypatch.setattr(module, "RENEWAL", 0.02)
    log = SQLiteStreamLog(database)
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
    assert await dead._checkpoints.save()
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
    assert await counts(database) == (0, 0)


async def test_a_turn_that_was_claimed_in_its_life_writes_no_more(
    database: CountingDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    stalled, other = SQLiteStreamLog(database), SQLiteStreamLog(database)
    writer = await open_turn(stalled, "turn_a", resumable=True)
    append(writer, 2)
    await writer.flush()
    await change(database, "UPDATE stream_turns SET lease_expires_at = 0")
    assert await claimed(other) == {"turn_a": entries(2)}
    append(writer, 1)
    await writer.flush()
    append(writer, 1)
    await writer.flush()
    assert [record.getMessage() for record in caplog.records] == [checkpoints._LOST % "turn_a"]
    await writer.close(EndState.COMPLETED)
    assert await counts(database) == (1, 1)
    await other.settle("turn_a")
    assert await counts(database) == (0, 0)
    reader = await stalled.read("turn_a", None)
    assert reader is not None
    assert reader.ready() == entries(4), "readers of this process have everything"


# Saving.


async def test_one_transaction_saves_all_turns_and_only_when_there_is_something(
    database: CountingDatabase,
) -> None:
    log = SQLiteStreamLog(database)
    writers = [await open_turn(log, f"turn_{number}") for number in range(10)]
    for writer in writers:
        append(writer, 50)
    assert database.writes == 0
    async with asyncio.timeout(10):
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
        async with asyncio.timeout(10):
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


def test_saves_that_overlap_are_read_once_and_nothing_behind_a_gap() -> None:
    def chunk(first: int, last: int) -> tuple[int, bytes]:
        return first, checkpoints.SEPARATOR.join(event(number) for number in range(first, last + 1))

    # As the saves of several event loops leave them: each may be unaware of the one before.
    chunks = [chunk(1, 8), chunk(5, 9), chunk(6, 7), chunk(9, 12)]
    assert sqlite_log._entries(chunks) == entries(12)
    assert sqlite_log._entries([*chunks, chunk(14, 15)]) == entries(12)
    assert sqlite_log._entries([]) == []


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
        taken = await log.take_over(again, snapshot=lambda _: [], on_stop=lambda: None)
        assert taken is not None
        numbers.append(taken.append(event(3)))
    await taken.flush()
    assert numbers[1] - numbers[0] > 1000
    assert numbers[2] - numbers[1] > 1000
    (found,) = await SQLiteStreamLog(database).claim_interrupted()
    assert found.entries == [*entries(2), LogEntry(numbers[2], event(3))]


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
    reader = await log.read("turn_a", 1)
    assert reader is not None
    assert [ready async for ready in reader] == []
    assert reader.end is EndState.STOPPED
    await log.close()
    assert await counts(database) == (0, 0)


def test_turns_of_several_event_loops_at_the_same_time(tmp_path: Path) -> None:
    database = Database(tmp_path / "chat.db")
    log = SQLiteStreamLog(database)
    together = threading.Barrier(2, timeout=20)
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
        one.join(60)
    assert failures == []
    asyncio.run(database.close())


def test_a_turn_whose_loop_was_closed_under_it_loses_its_lease(tmp_path: Path) -> None:
    database = Database(tmp_path / "chat.db")
    log = SQLiteStreamLog(database)

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
        assert await claimed(log) == {"turn_a": entries(2)}
        await writer.close(EndState.COMPLETED)
        await log.settle("turn_a")
        assert await counts(database) == (0, 0)
        await database.close()

    asyncio.run(go_on())


# A database that cannot be written.


def pages(limit: int) -> Callable[[Connection], int]:
    """A full disk, as SQLite itself knows it: the file may not grow beyond so many pages."""
    return lambda connection: connection.execute(f"PRAGMA max_page_count = {limit}").fetchone()[0]


async def test_a_full_disk_does_not_end_the_turn(
    database: CountingDatabase, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticker, "_RETRY", 0.01)
    dead = SQLiteStreamLog(database, worker=dead_worker)
    big = b'"' + b"x" * 100_000 + b'"'
    await database.write(pages(1))
    writers = [await open_turn(dead, f"turn_{number}", resumable=True) for number in range(2)]
    for writer in writers:
        writer.append(big)
    reader = await dead.read("turn_0", None)
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
    assert [record.args[0] for record in warnings if isinstance(record.args, tuple)] == ["turn_0", "turn_1"]
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
    dead = SQLiteStreamLog(database, worker=dead_worker)
    writer = await open_turn(dead, "turn_a", resumable=True)
    big = b'"' + b"x" * 100_000 + b'"'
    waits = 0
    for _ in range(100):
        writer.append(big)
        if writer.congested:
            waits += 1
            async with asyncio.timeout(10):
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
    monkeypatch.setattr(checkpoints, "_BUFFER", 10_000)
    dead = SQLiteStreamLog(database, worker=dead_worker)
    await database.write(pages(1))
    writer = await open_turn(dead, "turn_a")
    writer.append(b'"' + b"x" * 9_980 + b'"')
    assert not await dead._checkpoints.save()
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
    assert (await log.active("thr_a")) == []
    assert await counts(database) == (1, 1)
    assert await log.claim_interrupted() == [], "the turn has ended, its items are in the store"
    await log.close()
    assert await counts(database) == (0, 0)


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
    left = await database.read(
        lambda connection: connection.execute("SELECT key FROM stream_keys").fetchall()
    )
    assert sorted(left) == [("old",), ("young",)]


async def test_the_store_gives_the_log_of_its_file(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "chat.db")
    log = store.stream_log()
    assert store.stream_log() is log
    assert not log.shared
    writer = await open_turn(log, "turn_a")
    append(writer, 1)
    await writer.flush()
    assert await counts(store.database) == (1, 1)
    await writer.close(EndState.COMPLETED)
    await log.close()
    await store.check()
    await store.close()
