"""How much is kept in memory for readers that come back: bounded per turn, owner and process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chatkit._sqlite import Database
from chatkit.ids import new_id
from chatkit.limits import Limits
from chatkit.server.turns.state import TurnState
from chatkit.server.wire import done_event
from chatkit.streams import EndState, MemoryStreamLog, SQLiteStreamLog, ThreadKey, TurnInfo, TurnWriter
from chatkit.streams.redis import RedisStreamLog
from chatkit.streams.window import LEAST_WINDOW, WINDOW

PIECE = 10_000
SLACK = 20_000
"""Bytes of a running turn that are not counted so far."""


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MemoryStreamLog]:
    """Returns a log of each kind: what is kept in memory is bounded in the base of all."""
    if request.param == "redis":
        made: Any = RedisStreamLog(request.getfixturevalue("redis_url"), prefix=new_id("test") + ":")
    else:
        made = (
            MemoryStreamLog() if request.param == "memory" else SQLiteStreamLog(Database(tmp_path / "a.db"))
        )
    yield made
    await made.close()


def limit(log: MemoryStreamLog, owner: int | None = None, all_: int | None = None) -> None:
    log.limit_kept_bytes(lambda: Limits(kept_bytes_per_owner=owner, kept_bytes=all_))


class Turn:
    """A turn whose events finish an item each, so that its state grows with it."""

    def __init__(self, log: MemoryStreamLog, owner: str, *, resumable: bool = True) -> None:
        self.log = log
        self.state = TurnState()
        self.info = TurnInfo(new_id("turn"), "thr_a", owner, resumable=resumable)
        self.writer: TurnWriter

    async def begin(self) -> Turn:
        self.writer = await self.log.open(self.info, snapshot=self.state, on_stop=lambda: None)
        return self

    def write(self, size: int, item_id: str = "item") -> None:
        event = done_event(b'"' + b"x" * size + b'"')
        self.state.tell(self.state.record(item_id), self.writer.append(event), event)

    async def end(self) -> Turn:
        await self.writer.close(EndState.COMPLETED)
        return self

    async def is_kept(self) -> bool:
        return self.info.id in self.log._local._turns


async def ended(log: MemoryStreamLog, owner: str, size: int = PIECE) -> Turn:
    turn = await Turn(log, owner).begin()
    turn.write(size)
    return await turn.end()


async def test_an_owners_oldest_ended_turns_go_first(log: MemoryStreamLog) -> None:
    limit(log, owner=6 * PIECE)
    other = await ended(log, "grace")
    turns = [await ended(log, "ada") for _ in range(5)]
    assert log.kept_bytes_of("ada") <= 6 * PIECE
    assert [await turn.is_kept() for turn in turns] == [False, False, False, True, True]
    assert await other.is_kept(), "it is another owner's"
    for turn in turns[3:]:
        assert await log.find(turn.info.id, "ada") == turn.info


async def test_of_all_owners_the_oldest_ended_turns_go_first(log: MemoryStreamLog) -> None:
    limit(log, all_=6 * PIECE)
    turns = [await ended(log, owner) for owner in ("ada", "grace", "joan", "ada", "grace")]
    assert log.kept_bytes <= 6 * PIECE
    assert [await turn.is_kept() for turn in turns] == [False, False, False, True, True]


async def test_a_turn_that_is_larger_than_the_bound_is_not_kept_when_it_has_ended(
    log: MemoryStreamLog,
) -> None:
    limit(log, owner=6 * PIECE)
    small = await ended(log, "ada")
    large = await Turn(log, "ada").begin()
    reader = await log.read(large.info.id, "ada", None)
    assert reader is not None
    for number in range(10):
        large.write(PIECE, f"item_{number}")
    await large.end()
    assert not await large.is_kept()
    assert not await small.is_kept()
    assert log.kept_bytes_of("ada") == 0
    # Who has begun to read gets all of it.
    read = [entry async for entries in reader for entry in entries]
    assert ([len(entry.data) > PIECE for entry in read], read[-1].seq) == ([True] * 10, 10)
    assert reader.end is EndState.COMPLETED


async def test_the_windows_of_running_turns_shrink_once_no_ended_turn_is_left(log: MemoryStreamLog) -> None:
    limit(log, owner=2 * LEAST_WINDOW)
    old = await ended(log, "ada")
    running = await Turn(log, "ada").begin()
    for _ in range(30):
        # One item in ever new states: the state is small, the window is not.
        running.write(PIECE)
    assert not await old.is_kept()
    assert log.kept_bytes_of("ada") <= 2 * LEAST_WINDOW + SLACK
    late = await log.read(running.info.id, "ada", 1)
    assert late is not None
    assert [(entry.seq, len(entry.data)) for entry in await anext(late)] == [
        (30, len(done_event(b'""')) + PIECE)
    ], "it gets the state"
    new = await log.read(running.info.id, "ada", 27)
    assert new is not None
    assert [entry.seq for entry in await anext(new)] == [28, 29, 30]
    await running.end()


async def test_a_running_turn_is_never_forgotten_for_its_size(log: MemoryStreamLog) -> None:
    limit(log, owner=PIECE, all_=PIECE)
    running = await Turn(log, "ada").begin()
    for number in range(20):
        running.write(PIECE, f"item_{number}")
    reader = await log.read(running.info.id, "ada", 0)
    assert reader is not None
    assert len(await anext(reader)) == 20
    await running.end()
    assert log.kept_bytes == 0


async def test_an_event_beyond_the_window_is_kept_once_the_turn_has_ended_as_part_of_its_state_only(
    log: MemoryStreamLog,
) -> None:
    turn = await ended(log, "ada", 2 * WINDOW)
    assert log.kept_bytes_of("ada") == turn.state.size
    reader = await log.read(turn.info.id, "ada", 0)
    assert reader is not None
    assert [entry.seq for entry in await anext(reader)] == [1]
    again = await log.read(turn.info.id, "ada", 1)
    assert again is not None
    assert await anext(again, None) is None


async def test_nothing_is_counted_of_what_is_not_kept(log: MemoryStreamLog) -> None:
    limit(log, owner=100 * PIECE, all_=100 * PIECE)
    plain = await Turn(log, "ada", resumable=False).begin()
    plain.write(2 * PIECE)
    assert log.kept_bytes == 0
    await plain.end()
    turn = await Turn(log, "ada").begin()
    turn.write(2 * PIECE)
    assert log.kept_bytes_of("ada") == log.kept_bytes > 0
    log.let_go(turn.info.id)
    turn.write(2 * PIECE)
    assert log.kept_bytes_of("ada") == log.kept_bytes == 0
    await turn.end()
    assert log.kept_bytes == 0


async def test_nothing_is_kept_of_a_thread_that_was_deleted(log: MemoryStreamLog) -> None:
    await ended(log, "ada")
    other = await ended(log, "grace")
    running = await Turn(log, "ada").begin()
    running.write(2 * PIECE)
    await log.forget_thread(ThreadKey("ada", "thr_a"))
    assert await running.is_kept()
    await running.end()
    assert log.kept_bytes_of("ada") == 0
    assert await other.is_kept()


async def test_the_limits_may_change_at_any_time(log: MemoryStreamLog) -> None:
    limits = Limits()
    log.limit_kept_bytes(lambda: limits)
    turns = [await ended(log, "ada") for _ in range(5)]
    assert all([await turn.is_kept() for turn in turns])
    limits = Limits(kept_bytes_per_owner=2 * PIECE + 1000).for_service()
    await ended(log, "ada", 1)
    assert not any([await turn.is_kept() for turn in turns[:-1]])


async def test_who_stops_a_turn_that_has_ended_holds_nothing_of_it(log: MemoryStreamLog) -> None:
    turn = await ended(log, "ada")
    assert await log.stop(turn.info.id, "ada") is False
    assert log._local._turns[turn.info.id].on_stop.__name__ == "_nothing"
