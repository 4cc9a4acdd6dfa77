"""What the contract suite of stream logs stands on: how its tests run, and what they share."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, TypeVar

from chatkit.ids import new_id
from chatkit.streams import (
    InterruptedTurn,
    KeyClaim,
    LogEntry,
    StatePart,
    StreamLog,
    ThreadKey,
    TurnInfo,
    TurnReader,
    TurnWriter,
)
from chatkit.streams.records import SnapshotSource

__all__ = [
    "PAUSE",
    "Gone",
    "LogSuite",
    "State",
    "claim_of",
    "claimed_by",
    "entries",
    "event",
    "knows_only",
    "no_state",
    "of",
    "open_turn",
    "patient",
    "reader_of",
    "rest_of",
    "turn",
    "unasked",
    "until_blocked",
]

T = TypeVar("T")

PATIENCE: Final = 10.0
"""Seconds after which a wait that should end counts as hung."""
PAUSE: Final = 0.02
"""Seconds between two looks for turns of dead workers."""


class LogSuite(ABC):
    """How the tests of a stream log run: each in an event loop of its own, with logs of its own."""

    window: int = 1024 * 1024
    """Bytes of events that the log keeps of a turn whose readers may come back."""
    lag_limit: int = 256 * 1024
    """Bytes that the only reader of another turn may lag behind before the turn is congested."""
    lease: float = 0.5
    """Seconds of the leases of logs that workers share."""
    shared: bool = False
    """Whether several workers share turns through it; what only those can do is skipped otherwise."""

    @abstractmethod
    def make_log(self) -> StreamLog:
        """Returns a log with no turns in it; called outside any event loop.

        Where ``shared`` is true it is called several times in a test: each log, of the same server and with the lease
        of this class, plays a worker of its own.
        """

    def _run(self, scenario: Callable[..., Awaitable[None]], *, workers: int = 1) -> None:
        logs = [self.make_log() for _ in range(workers)]

        async def main() -> None:
            try:
                await scenario(*logs)
            finally:
                for log in logs:
                    await log.close()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"tasks outlive their turns: {left}"

        asyncio.run(main())

    def _run_workers(self, scenario: Callable[..., Awaitable[None]], *, workers: int = 2) -> None:
        self._needs_workers()
        self._run(scenario, workers=workers)

    def _needs_workers(self) -> None:
        if not self.shared:
            # pytest is no dependency of the package: only a run of the suite needs it.
            import pytest

            pytest.skip("shared is False for this log")


def turn(
    thread_id: str, *, resumable: bool = False, owner: str | None = None, user_item_id: str | None = None
) -> TurnInfo:
    return TurnInfo(new_id("turn"), thread_id, owner=owner, resumable=resumable, user_item_id=user_item_id)


def no_state(after: int) -> list[bytes]:
    raise AssertionError(f"no reader should need the state after {after}")


async def open_turn(
    log: StreamLog, info: TurnInfo, snapshot: SnapshotSource = no_state
) -> tuple[TurnInfo, TurnWriter]:
    return info, await patient(log.open(info, snapshot=snapshot, on_stop=lambda: None))


def of(thread_id: str, owner: str | None = None) -> ThreadKey:
    return ThreadKey(owner, thread_id)


def claim_of(info: TurnInfo) -> KeyClaim:
    return KeyClaim(info.id, info.thread_id, "body", fresh=False)


async def reader_of(log: StreamLog, info: TurnInfo, after: int | None = None) -> TurnReader:
    reader = await patient(log.read(info.id, info.owner, after))
    assert reader is not None, "the log does not know the turn"
    return reader


async def knows_only(
    log: StreamLog, info: TurnInfo, owners: Sequence[str | None], *, running: bool = True
) -> None:
    """Fails unless a turn that has one event is known to its owner, and to no other one."""
    assert await log.active(info.thread) == ([info] if running else [])
    assert await log.latest(info.thread) == info
    assert await log.find(info.id, info.owner) == info
    reader = await reader_of(log, info)
    assert await patient(anext(reader)) == entries(1, 1)
    await reader.aclose()
    for other in owners:
        if other != info.owner:
            assert info not in await log.active(of(info.thread_id, other))
            assert await log.latest(of(info.thread_id, other)) != info
            assert await log.find(info.id, other) is None
            assert await log.read(info.id, other, None) is None
            assert await patient(log.stop(info.id, other)) is False
            await patient(log.wait_closed(info.id, other))


async def rest_of(reader: TurnReader) -> list[LogEntry]:
    return [entry async for ready in _patiently(reader) for entry in ready]


async def _patiently(reader: TurnReader) -> AsyncIterator[list[LogEntry]]:
    while (ready := await patient(anext(reader, None))) is not None:
        yield ready


async def patient(awaitable: Awaitable[T]) -> T:
    async with asyncio.timeout(PATIENCE):
        return await awaitable


async def until_blocked() -> None:
    """Lets every task that can go on do so; a hop to a thread is not waited for."""
    for _ in range(10):
        await asyncio.sleep(0)


def event(number: int) -> bytes:
    return b'{"number":%d}' % number


def entries(first: int, last: int) -> list[LogEntry]:
    return [LogEntry(number, event(number)) for number in range(first, last + 1)]


def unasked() -> None:
    raise AssertionError("no request to stop this turn was expected")


class Gone:
    """The state of a turn of which nothing but the present is left."""

    def __call__(self, after: int) -> list[bytes]:
        return [b"state"]


class State:
    """The state of a turn with one item, which began with the first event, and a last word."""

    seq = 0

    def __call__(self, after: int) -> list[bytes]:
        return [found for part in self.parts() if (found := part.event_for(after)) is not None]

    def parts(self) -> list[StatePart]:
        return [StatePart(1, self.seq, b"new", b"known", b""), StatePart(0, self.seq, b"", b"", b"last")]


async def claimed_by(log: StreamLog) -> list[InterruptedTurn]:
    found: list[InterruptedTurn] = []
    async with asyncio.timeout(20):
        while not found:
            found = await log.claim_interrupted()
            await asyncio.sleep(PAUSE)
    return found
