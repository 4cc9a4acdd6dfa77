"""Tests of the backends of stream logs that workers share: what a log relies on and cannot show of itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from chatkit.ids import new_id
from chatkit.streams import (
    SEPARATOR,
    Backend,
    EndState,
    Save,
    SaveStatus,
    Standing,
    StreamLog,
    TurnInfo,
)
from chatkit.streams.session import load_entries
from chatkit.testing._log_base import PAUSE, LogSuite, entries, event, of, patient, turn

__all__ = ["LogBackendTests"]

_LONG: Final = 60.0
"""Seconds of a wait that has to end earlier."""


class LogBackendTests(LogSuite):
    """What a backend promises to the log."""

    def test_a_save_that_is_sent_again_counts_once(self) -> None:
        async def scenario(mine: Worker, other: Worker) -> None:
            for resumable in (True, False):
                info = await mine.begin(turn("thr_a", resumable=resumable))
                for save in (
                    save_of(info, 1, 2),
                    save_of(info, 1, 2),
                    # The answer was lost, and more was appended before it was sent again.
                    save_of(info, 1, 4),
                    save_of(info, 3, 4),
                    save_of(info, 5, 5),
                ):
                    assert await mine.save(save) is SaveStatus.SAVED
                assert await load_entries(other.backend, info.id) == entries(1, 5)
                end = save_of(info, 6, 6, end=EndState.STOPPED)
                for _ in range(2):
                    assert await mine.save(end) is SaveStatus.SAVED
                loaded = await other.backend.load(info.id, 5)
                assert loaded is not None
                assert (loaded.last_seq, loaded.record.end) == (6, EndState.STOPPED)
                assert [chunk.end for chunk in loaded.chunks] == [None, EndState.STOPPED]
                assert await load_entries(other.backend, info.id) == entries(1, 6)

        self._run_backends(scenario)

    def test_a_turn_of_another_worker_is_left_alone_when_it_is_opened(self) -> None:
        async def scenario(mine: Worker, other: Worker) -> None:
            info = await mine.begin(turn("thr_a", resumable=True))
            assert await mine.save(save_of(info, 1, 2)) is SaveStatus.SAVED
            await other.begin(info)
            assert await other.save(save_of(info, 1, 1)) is SaveStatus.LOST
            assert await mine.save(save_of(info, 3, 3)) is SaveStatus.SAVED
            assert await load_entries(other.backend, info.id) == entries(1, 3)

        self._run_backends(scenario)

    def test_a_save_after_a_gap_is_refused_unless_a_snapshot_fills_it(self) -> None:
        async def scenario(mine: Worker, other: Worker) -> None:
            info = await mine.begin(turn("thr_a", resumable=True))
            assert await mine.save(save_of(info, 1, 2)) is SaveStatus.SAVED
            for end in (None, EndState.COMPLETED):
                late = save_of(info, 5, 6, end=end)
                result = (await mine.backend.save(mine.holder, [late], renew=False))[info.id]
                assert (result.status, result.last_seq) == (SaveStatus.GAP, 2)
                loaded = await other.backend.load(info.id, 0)
                assert loaded is not None
                assert (loaded.last_seq, loaded.record.end) == (2, None)
                assert await load_entries(other.backend, info.id) == entries(1, 2)
            covered = save_of(info, 5, 6)._replace(snapshot_seq=6, snapshot=b"state", keep_from=5)
            assert await mine.save(covered) is SaveStatus.SAVED
            assert await other.backend.load_snapshot(info.id) == (6, b"state")
            loaded = await other.backend.load(info.id, 4)
            assert loaded is not None
            assert [chunk.entries(4) for chunk in loaded.chunks] == [entries(5, 6)]
            assert await mine.save(save_of(info, 7, 7)) is SaveStatus.SAVED

        self._run_backends(scenario)

    def test_when_the_leases_of_all_have_run_out_the_living_renew_theirs_first(self) -> None:
        async def scenario(*workers: Worker) -> None:
            if not workers[0].backend.comes_back:
                # No server can have been away.
                return
            infos = [await worker.begin(turn("thr_a", resumable=True)) for worker in workers]
            for info in infos:
                await until_dead(workers[0].backend, info)
            # The server was away, and is back.
            for worker in workers:
                assert await worker.backend.claim(worker.holder, new_id("claim")) == []
            for worker, info in zip(workers, infos, strict=True):
                assert await worker.save(save_of(info, 1, 1)) is SaveStatus.SAVED

        self._run_backends(scenario)

    def test_a_worker_claims_nothing_before_it_was_there_for_a_lease(self) -> None:
        async def scenario(dead: Worker, mine: Worker) -> None:
            if not mine.backend.comes_back:
                return
            info = await dead.begin(turn("thr_a", resumable=True))
            await until_dead(mine.backend, info)
            began = time.monotonic()
            claimed = await mine.backend.claim(mine.holder, "claim")
            async with asyncio.timeout(20):
                while not claimed:
                    await asyncio.sleep(PAUSE)
                    claimed = await mine.backend.claim(mine.holder, "claim")
            # A server may count in milliseconds.
            assert time.monotonic() - began > self.lease - 0.01
            assert claimed == [(info, False)]
            await mine.backend.settle(info.id, "claim", [])

        self._run_backends(scenario)

    def test_wake_ends_a_wait_for_changes_that_runs_or_is_about_to_begin(self) -> None:
        async def scenario(mine: Worker, _: Worker) -> None:
            asked: list[str] = []
            await mine.backend.wake()
            assert await patient(mine.backend.changes({}, _LONG, asked.append)) == {}
            waiting = asyncio.ensure_future(mine.backend.changes({}, _LONG, asked.append))
            # Long enough for it to wait, as a rule; it has to end in any case.
            await asyncio.sleep(PAUSE)
            await mine.backend.wake()
            assert await patient(waiting) == {}
            assert asked == []

        self._run_backends(scenario)

    def _run_backends(self, scenario: Callable[..., Awaitable[None]]) -> None:
        """Runs a scenario with the backends of two workers that know of each other."""

        async def main(*logs: StreamLog) -> None:
            workers = [Worker(log) for log in logs]
            try:
                for worker in workers:
                    await worker.backend.turns(of("thr_a"))
                await scenario(*workers)
            finally:
                for worker in workers:
                    await worker.backend.close()

        self._run_workers(main)


class Worker:
    """A worker that asks its backend itself."""

    def __init__(self, log: StreamLog) -> None:
        self.backend: Backend = log.make_backend()
        self.holder = log.holder()

    async def begin(self, info: TurnInfo) -> TurnInfo:
        await self.backend.open_turn(info, self.holder)
        return info

    async def save(self, save: Save) -> SaveStatus:
        result = (await self.backend.save(self.holder, [save], renew=False)).get(save.turn_id)
        return SaveStatus.SAVED if result is None else result.status


def save_of(info: TurnInfo, first: int, last: int, end: EndState | None = None) -> Save:
    events = SEPARATOR.join(event(number) for number in range(first, last + 1))
    return Save(info.id, first, last, events, end=end, plain=not info.resumable)


async def until_dead(backend: Backend, info: TurnInfo) -> None:
    async with asyncio.timeout(20):
        standings = await backend.standings([info.id])
        while standings[info.id] is not Standing.DEAD:
            await asyncio.sleep(PAUSE)
            standings = await backend.standings([info.id])
