"""Tests of every stream log: what is left of the turns of a thread that was deleted."""

from __future__ import annotations

from contextlib import suppress

from chatkit.errors import StaleTurnError
from chatkit.streams import EndState, KeyClaim, StreamLog, TurnInfo
from chatkit.testing._log_base import (
    LogSuite,
    claim_of,
    claimed_by,
    entries,
    event,
    knows_only,
    of,
    open_turn,
    patient,
    reader_of,
    rest_of,
    turn,
)

__all__ = ["LogForgottenTests"]


class LogForgottenTests(LogSuite):
    """What a log forgets with a thread."""

    forgets_threads: bool = True
    """Whether it forgets the turns of a thread that was deleted; otherwise they go when their time is over."""

    def _needs_forgetting(self) -> None:
        if not self.forgets_threads:
            import pytest

            pytest.skip("forgets_threads is False for this log")

    def test_a_thread_that_is_deleted_leaves_no_streams_and_others_keep_theirs(self) -> None:
        self._needs_forgetting()

        async def scenario(log: StreamLog) -> None:
            gone = [await ended(log, turn("thr_a", resumable=True, owner="ada")) for _ in range(2)]
            kept = [
                await ended(log, turn(thread_id, resumable=True, owner=owner))
                for thread_id, owner in (("thr_a", "grace"), ("thr_a", None), ("thr_b", "ada"))
            ]
            for _ in range(2):
                await log.forget_thread(of("thr_a", "ada"))
            for info in gone:
                await is_gone(log, info)
            for info in kept:
                await knows_only(log, info, [info.owner], running=False)

        self._run(scenario)

    def test_a_message_that_is_sent_again_after_its_thread_was_deleted_is_known_as_sent(self) -> None:
        self._needs_forgetting()

        async def scenario(log: StreamLog) -> None:
            info = turn("thr_a", resumable=True, owner="ada")
            assert (await log.claim_key("ada", "key", KeyClaim(info.id, "thr_a", "body", fresh=True))).fresh
            await ended(log, info)
            await log.forget_thread(info.thread)
            held = await log.claim_key("ada", "key", KeyClaim("turn_new", "thr_a", "body", fresh=True))
            assert held == claim_of(info)
            assert await log.ended(held) is EndState.COMPLETED

        self._run(scenario)

    def test_of_a_turn_that_ends_after_its_thread_was_deleted_nothing_is_kept(self) -> None:
        self._needs_forgetting()

        async def scenario(log: StreamLog) -> None:
            for resumable in (True, False):
                info, writer = await open_turn(log, turn("thr_a", resumable=resumable))
                writer.append(event(1))
                await patient(writer.flush())
                await log.forget_thread(info.thread)
                try:
                    writer.append(event(2))
                    await patient(writer.flush())
                except StaleTurnError:
                    assert writer.lost
                await patient(writer.close(EndState.COMPLETED))
                await is_gone(log, info)
                assert await log.claim_interrupted() == []

        self._run(scenario)

    def test_a_thread_that_is_deleted_leaves_no_streams_elsewhere(self) -> None:
        self._needs_forgetting()

        async def scenario(writing: StreamLog, deleting: StreamLog, reading: StreamLog) -> None:
            for log in (deleting, reading):
                # A worker that is alone need not keep what nobody can read.
                assert await log.claim_interrupted() == []
            kept = [
                await ended(writing, turn(thread_id, resumable=True, owner=owner))
                for thread_id, owner in (("thr_a", "grace"), ("thr_b", None))
            ]
            info, writer = await open_turn(writing, turn("thr_a", resumable=True))
            for number in (1, 2, 3):
                writer.append(event(number))
            following, behind = await reader_of(reading, info), await reader_of(reading, info)
            await patient(writer.close(EndState.STOPPED))
            assert await rest_of(following) == entries(1, 3)
            await deleting.forget_thread(info.thread)
            for log in (deleting, reading):
                await is_gone(log, info)
                assert await log.ended(claim_of(info)) is EndState.STOPPED
                for other in kept:
                    await knows_only(log, other, [other.owner], running=False)
            # What it lacks is gone: it must not wait for it, nor take the turn for whole.
            assert await rest_of(behind) == []
            assert behind.end is EndState.INTERRUPTED

        self._run_workers(scenario, workers=3)

    def test_a_worker_out_of_reach_adds_nothing_to_a_thread_that_was_deleted(self) -> None:
        self._needs_forgetting()

        async def scenario(away: StreamLog, deleting: StreamLog, reading: StreamLog) -> None:
            for resumable in (True, False):
                info, writer = await open_turn(away, turn("thr_a", resumable=resumable))
                writer.append(event(1))
                await patient(writer.flush())
                reader = await reader_of(reading, info)
                assert await patient(anext(reader)) == entries(1, 1)
                await deleting.forget_thread(info.thread)
                assert await reading.ended(claim_of(info)) is EndState.INTERRUPTED
                # It may have heard of it already.
                with suppress(StaleTurnError):
                    writer.append(event(2))
                await patient(writer.flush())
                assert writer.lost
                assert await rest_of(reader) == []
                assert reader.end is EndState.INTERRUPTED
                await patient(writer.close(EndState.COMPLETED))
                for log in (away, deleting, reading):
                    await is_gone(log, info)
                assert await reading.ended(claim_of(info)) is EndState.INTERRUPTED

        self._run_workers(scenario, workers=3)

    def test_a_claimed_turn_is_gone_with_its_thread(self) -> None:
        self._needs_forgetting()

        async def scenario(dead: StreamLog, claiming: StreamLog, deleting: StreamLog) -> None:
            info, writer = await open_turn(dead, turn("thr_a", resumable=True))
            writer.append(event(1))
            await patient(writer.flush())
            await dead.close()
            (found,) = await claimed_by(claiming)
            await deleting.forget_thread(info.thread)
            stale = False
            try:
                await claiming.take_over(found, snapshot=lambda _: [], on_stop=lambda: None)
            except StaleTurnError:
                stale = True
            assert stale, "a turn of a deleted thread must not go on"
            await claiming.settle(info.id, [event(2)])
            for log in (claiming, deleting):
                await is_gone(log, info)
                assert await log.claim_interrupted() == []

        self._run_workers(scenario, workers=3)


async def ended(log: StreamLog, info: TurnInfo) -> TurnInfo:
    _, writer = await open_turn(log, info)
    writer.append(event(1))
    await patient(writer.flush())
    await patient(writer.close(EndState.COMPLETED))
    return info


async def is_gone(log: StreamLog, info: TurnInfo) -> None:
    assert await log.find(info.id, info.owner) is None
    assert await log.read(info.id, info.owner, None) is None
    assert await log.latest(info.thread) is None
    assert await log.active(info.thread) == []
    assert await patient(log.stop(info.id, info.owner)) is False
    await patient(log.wait_closed(info.id, info.owner))
