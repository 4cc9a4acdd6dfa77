"""Tests of stream logs that workers share: workers that die, stand still or leave."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from dataclasses import replace
from typing import Any, Final

from chatkit.errors import StaleTurnError
from chatkit.streams import (
    EndState,
    InterruptedTurn,
    LogEntry,
    StreamLog,
)
from chatkit.testing._log_base import (
    PAUSE,
    Gone,
    LogSuite,
    claim_of,
    claimed_by,
    entries,
    event,
    of,
    open_turn,
    patient,
    reader_of,
    rest_of,
    turn,
    unasked,
)

__all__ = ["LogClaimTests"]

_TRIES: Final = 5


class LogClaimTests(LogSuite):
    """What becomes of the turns of workers that die, stand still or leave."""

    def test_what_a_dead_worker_ran_for_one_owner_is_ended_for_that_one(self) -> None:
        async def scenario(dead: StreamLog, other: StreamLog, reading: StreamLog) -> None:
            infos = [turn("inbox", resumable=True, owner=owner) for owner in ("ada", "grace")]
            for info in infos:
                _, writer = await open_turn(dead, info)
                writer.append(event(1))
                await patient(writer.flush())
            await dead.close()
            claimed: dict[str | None, InterruptedTurn] = {}
            async with asyncio.timeout(20):
                while len(claimed) < len(infos):
                    claimed |= {found.info.owner: found for found in await other.claim_interrupted()}
                    await asyncio.sleep(PAUSE)
            assert [claimed[info.owner].info for info in infos] == infos
            again = claimed["ada"]
            again = replace(again, info=replace(again.info, attempt=2))
            mine = await other.take_over(again, snapshot=Gone(), on_stop=unasked)
            assert mine is not None
            await other.settle(infos[1].id)
            assert [found.attempt for found in await reading.active(infos[0].thread)] == [2]
            assert await reading.active(infos[1].thread) == []
            assert await reading.find(infos[0].id, "grace") is None
            await patient(mine.close(EndState.COMPLETED))
            assert await reading.ended(claim_of(infos[0])) is EndState.COMPLETED
            assert await reading.ended(claim_of(infos[1])) is EndState.INTERRUPTED

        self._run_workers(scenario, workers=3)

    def test_a_dead_worker_does_not_hold_up_a_stop(self) -> None:
        async def scenario(dead: StreamLog, other: StreamLog) -> None:
            info, writer = await open_turn(dead, turn("thr_a", resumable=True))
            writer.append(event(1))
            await patient(writer.flush())
            await dead.close()
            await patient(other.stop(info.id, None))

        self._run_workers(scenario)

    def test_of_workers_that_claim_at_once_one_gets_a_dead_workers_turn(self) -> None:
        async def scenario(dead: StreamLog, reading: StreamLog, *others: StreamLog) -> None:
            infos = [turn(f"thr_{number}", resumable=number > 0) for number in range(3)]
            for info in infos:
                _, writer = await open_turn(dead, info)
                for number in (1, 2, 3):
                    writer.append(event(number))
                await patient(writer.flush())
            living, living_writer = await open_turn(reading, turn("thr_c", resumable=True))
            readers = [await reader_of(reading, info, 2) for info in infos[1:]]
            # What its own readers saw, and what was never saved.
            ahead = await reader_of(reading, infos[1], 5)
            assert await others[0].claim_interrupted() == []
            await dead.close()
            claimed: list[InterruptedTurn] = []
            async with asyncio.timeout(20):
                while len(claimed) < len(infos):
                    for turns in await asyncio.gather(*(log.claim_interrupted() for log in others)):
                        claimed += turns
                    await asyncio.sleep(PAUSE)
            assert sorted(found.info.id for found in claimed) == sorted(info.id for info in infos)
            for found in claimed:
                assert found.entries == entries(1, 3)
            last = b'{"type":"last words"}'
            for log in others:
                for info in infos:
                    await log.settle(info.id, [last])
            for reader in readers:
                got = await rest_of(reader)
                assert [entry.data for entry in got] == [event(3), last]
                assert reader.end is EndState.INTERRUPTED
            assert [entry.data for entry in await rest_of(ahead)] == [last]
            for info in infos:
                assert await others[0].active(info.thread) == []
            assert await others[0].active(of("thr_c")) == [living]
            assert [found for log in others for found in await log.claim_interrupted()] == []
            living_writer.append(event(1))
            await patient(living_writer.close(EndState.COMPLETED))

        self._run_workers(scenario, workers=6)

    def test_last_words_come_after_what_an_adopter_showed_and_never_saved(self) -> None:
        async def scenario(
            dead: StreamLog, adopting: StreamLog, settling: StreamLog, reading: StreamLog
        ) -> None:
            info, writer = await open_turn(dead, turn("thr_a", resumable=True))
            writer.append(event(1))
            await patient(writer.flush())
            await dead.close()
            (found,) = await claimed_by(adopting)
            again = replace(found, info=replace(found.info, attempt=2))
            mine = await adopting.take_over(again, snapshot=Gone(), on_stop=unasked)
            assert mine is not None
            seen = mine.append(event(2))
            await adopting.close()
            await claimed_by(settling)
            reader = await reader_of(reading, info, seen)
            last = b'{"type":"last words"}'
            await settling.settle(info.id, [last])
            assert [entry.data for entry in await rest_of(reader)] == [last]
            assert reader.end is EndState.INTERRUPTED

        self._run_workers(scenario, workers=4)

    def test_a_claim_that_is_not_settled_can_be_claimed_again(self) -> None:
        async def scenario(dead: StreamLog, first: StreamLog, second: StreamLog) -> None:
            info, writer = await open_turn(dead, turn("thr_a", resumable=True))
            writer.append(event(1))
            await patient(writer.flush())
            await dead.close()
            assert [found.info for found in await claimed_by(first)] == [info]
            assert [found.info for found in await claimed_by(second)] == [info]
            await first.settle(info.id)
            assert await second.active(of("thr_a")) == [info], "the first claim has run out"
            await second.settle(info.id)
            assert await second.active(of("thr_a")) == []

        self._run_workers(scenario, workers=3)

    def test_a_worker_that_stood_still_cannot_write_and_learns_it(self) -> None:
        self._needs_workers()
        frozen = FrozenWorker(self.make_log())
        info = frozen.info

        async def scenario(other: StreamLog) -> None:
            reader = await reader_of(other, info)
            claimed = await claimed_by(other)
            assert [found.entries for found in claimed] == [entries(1, 1)]
            await asyncio.to_thread(frozen.thaw)
            await other.settle(info.id)
            assert await rest_of(reader) == entries(1, 1)
            assert reader.end is EndState.INTERRUPTED

        with frozen:
            self._run_workers(scenario, workers=1)
        assert frozen.told == entries(1, 1), "readers saw what the worker had no right to add"

    def test_a_worker_that_stood_still_goes_on_where_no_other_claims(self) -> None:
        async def scenario(writing: StreamLog, reading: StreamLog) -> None:
            info, writer = await open_turn(writing, turn("thr_a", resumable=True))
            reader = await reader_of(reading, info)
            local = await reader_of(writing, info)
            writer.append(event(1))
            await patient(writer.flush())
            threading.Event().wait(1.5 * self.lease)
            writer.append(event(2))
            await patient(writer.flush())
            writer.append(event(3))
            await patient(writer.close(EndState.COMPLETED))
            assert await rest_of(reader) == entries(1, 3)
            assert await rest_of(local) == entries(1, 3)

        self._run_workers(scenario)

    def test_a_claimed_turn_goes_on_for_its_readers_wherever_they_are(self) -> None:
        async def scenario(dead: StreamLog, other: StreamLog, reading: StreamLog) -> None:
            info, writer = await open_turn(dead, turn("thr_a", resumable=True))
            for number in (1, 2, 3):
                writer.append(event(number))
            await patient(writer.flush())
            readers = [await reader_of(reading, info, seen) for seen in (0, 2)]
            # What the dead worker's own readers saw and was not saved comes after no event that follows.
            ahead = await reader_of(reading, info, 5)
            await dead.close()
            found = (await claimed_by(other))[0]
            again = replace(found, info=replace(found.info, attempt=2))
            mine = await other.take_over(again, snapshot=Gone(), on_stop=unasked)
            assert mine is not None
            assert [running.attempt for running in await reading.active(of("thr_a"))] == [2]
            local = await reader_of(other, info, 3)
            mine.append(event(4))
            await patient(mine.flush())
            mine.append(event(5))
            await patient(mine.close(EndState.COMPLETED))
            assert [entry.data for entry in await rest_of(readers[0])] == [
                *map(event, (1, 2, 3)),
                b"state",
                event(5),
            ]
            for reader in (readers[1], local, ahead):
                got = [entry.data for entry in await rest_of(reader)]
                # The state may be that of the end.
                assert b"state" in got
                assert got[-1] in {b"state", event(5)}
                assert got.count(event(5)) <= 1
                assert reader.end is EndState.COMPLETED
            assert await other.claim_interrupted() == []
            assert await reading.active(of("thr_a")) == []

        self._run_workers(scenario, workers=3)

    def test_each_attempt_has_numbers_of_its_own_though_none_of_it_was_saved(self) -> None:
        async def scenario(dead: StreamLog, *others: StreamLog) -> None:
            info, writer = await open_turn(dead, turn("thr_a", resumable=True))
            writer.append(event(1))
            await patient(writer.flush())
            await dead.close()
            numbers = [1]
            for attempt, log in enumerate(others, 2):
                found = (await claimed_by(log))[0]
                assert found.entries == entries(1, 1)
                again = replace(found, info=replace(info, attempt=attempt))
                mine = await log.take_over(again, snapshot=Gone(), on_stop=unasked)
                assert mine is not None
                # Its own readers see that; the server does not.
                numbers.append(mine.append(event(2)))
                await log.close()
            assert all(later - earlier > 1000 for earlier, later in itertools.pairwise(numbers)), numbers

        self._run_workers(scenario, workers=4)

    def test_a_worker_that_claims_a_turn_learns_that_it_was_to_stop(self) -> None:
        async def scenario(dead: StreamLog, other: StreamLog) -> None:
            infos = [turn("thr_a", resumable=True) for _ in range(2)]
            for info in infos:
                _, writer = await open_turn(dead, info)
                writer.append(event(1))
                await patient(writer.flush())
            await dead.close()
            stopping = asyncio.ensure_future(other.stop(infos[0].id, None))
            claimed: list[InterruptedTurn] = []
            async with asyncio.timeout(20):
                while len(claimed) < len(infos):
                    claimed += await other.claim_interrupted()
                    await asyncio.sleep(PAUSE)
            assert {found.info.id: found.stop for found in claimed} == {infos[0].id: True, infos[1].id: False}
            for info in infos:
                assert other.holds_claim(info.id)
                await other.settle(info.id)
                assert not other.holds_claim(info.id)
            await patient(stopping)

        self._run_workers(scenario)

    def test_a_claim_that_is_over_gives_no_right_to_a_turn(self) -> None:
        async def scenario(dead: StreamLog, first: StreamLog, second: StreamLog) -> None:
            info, writer = await open_turn(dead, turn("thr_a", resumable=True))
            writer.append(event(1))
            await patient(writer.flush())
            await dead.close()
            slow = (await claimed_by(first))[0]
            quick = (await claimed_by(second))[0]
            try:
                await first.take_over(slow, snapshot=Gone(), on_stop=unasked)
            except StaleTurnError:
                mine = await second.take_over(quick, snapshot=Gone(), on_stop=unasked)
                assert mine is not None
                await patient(mine.close(EndState.INTERRUPTED))
                assert await first.active(info.thread) == []
                return
            raise AssertionError("a turn was given to two workers")

        self._run_workers(scenario, workers=3)

    def test_a_turn_that_is_handed_over_can_be_claimed_at_once(self) -> None:
        async def scenario(leaving: StreamLog, other: StreamLog) -> None:
            # A worker claims only after it has been there for a lease.
            _, lasting = await open_turn(other, turn("thr_b"))
            await asyncio.sleep(1.5 * self.lease)
            # On a busy machine the lease may run out meanwhile, which says nothing: then it is tried again.
            for number in range(_TRIES):
                began = time.monotonic()
                info, writer = await open_turn(leaving, turn(f"thr_{number}", resumable=True))
                writer.append(event(1))
                local = await reader_of(leaving, info)
                assert await patient(writer.hand_over())
                assert await rest_of(local) == entries(1, 1)
                assert local.end is None, "it goes on elsewhere"
                claimed = [(found.info, found.entries) for found in await claimed_by(other)]
                assert claimed == [(info, entries(1, 1))]
                at_once = time.monotonic() - began < self.lease
                assert not await patient(writer.hand_over())
                await patient(writer.close(EndState.COMPLETED))
                assert await other.active(of(f"thr_{number}")) == [info], "it is not the first one's to end"
                await other.settle(info.id)
                if at_once:
                    break
            else:
                raise AssertionError("It could only be claimed when the lease had run out.")
            await patient(lasting.close(EndState.COMPLETED))

        self._run_workers(scenario)

    def test_a_wait_for_a_turn_that_is_handed_over_is_one_for_its_next_worker(self) -> None:
        async def scenario(leaving: StreamLog, other: StreamLog) -> None:
            _, lasting = await open_turn(other, turn("thr_b"))
            await asyncio.sleep(1.5 * self.lease)
            info, writer = await open_turn(leaving, turn("thr_a", resumable=True))
            waiting: list[asyncio.Future[Any]] = [
                asyncio.ensure_future(leaving.wait_closed(info.id, None)),
                asyncio.ensure_future(leaving.stop(info.id, None)),
            ]
            await asyncio.sleep(0)
            assert await patient(writer.hand_over())
            (found,) = await claimed_by(other)
            # The request to stop may reach the next worker, or come when the turn has ended.
            mine = await other.take_over(found, snapshot=Gone(), on_stop=lambda: None)
            assert mine is not None
            mine.append(event(2))
            await patient(mine.flush())
            await asyncio.sleep(0)
            assert not any(task.done() for task in waiting)
            await patient(mine.close(EndState.INTERRUPTED))
            assert await patient(asyncio.gather(*waiting)) == [None, True]
            await patient(lasting.close(EndState.COMPLETED))

        self._run_workers(scenario)


class FrozenWorker:
    """A worker in a thread whose event loop stands still once its turn has saved an event, until it is thawed."""

    def __init__(self, log: StreamLog) -> None:
        self.info = turn("thr_a", resumable=True)
        self.told: list[LogEntry] = []
        self._log = log
        self._failures: list[BaseException] = []
        self._saved, self._thawed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()
        assert self._saved.wait(30)

    def __exit__(self, *_: object) -> None:
        self.thaw()

    def thaw(self) -> None:
        self._thawed.set()
        self._thread.join(30)
        if self._failures:
            raise self._failures[0]

    def _run(self) -> None:
        try:
            asyncio.run(self._work())
        except BaseException as error:  # noqa: BLE001 -- told by the test
            self._failures.append(error)
            self._saved.set()

    async def _work(self) -> None:
        log, info = self._log, self.info
        stopped = asyncio.Event()
        writer = await log.open(info, snapshot=lambda _: [], on_stop=stopped.set)
        reader = await reader_of(log, info)
        writer.append(event(1))
        await writer.flush()
        self._saved.set()
        self._thawed.wait(30)
        writer.append(event(2))
        await patient(stopped.wait())
        refused = False
        try:
            writer.append(event(3))
        except StaleTurnError:
            refused = True
        assert refused, "a stale writer must be told"
        assert writer.lost
        self.told += reader.ready()
        await patient(writer.close(EndState.COMPLETED))
        assert await patient(anext(reader, None)) is None
        assert reader.end is None, "it goes on elsewhere, where the reader comes back to"
        assert await log.find(info.id, None) == info
        await log.close()
