"""What a stream log that workers share must do beside :class:`StreamLogContract`, as a test class to subclass.

Example::

    class TestMySharedLog(SharedStreamLogContract):
        def make_log(self) -> StreamLog:
            return MyLog(self.server, lease=self.lease)
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

from chatkit.errors import InvalidRequestError, StaleTurnError
from chatkit.streams.base import (
    EndState,
    InterruptedTurn,
    KeyClaim,
    LogEntry,
    StatePart,
    StreamLog,
    TurnReader,
)
from chatkit.testing.stream_log_contract import (
    entries,
    event,
    no_state,
    open_turn,
    patient,
    reader_of,
    rest_of,
    turn,
)

__all__ = ["SharedStreamLogContract"]

_PAUSE: Final = 0.02


class SharedStreamLogContract(ABC):
    """Test cases for a shared :class:`chatkit.streams.StreamLog`: each log that is made plays a worker of its own.

    Subclass it in a test module, name the subclass ``Test...`` and write ``make_log``.
    """

    window: int = 1024 * 1024
    """Bytes of events that the log keeps of a turn whose readers may come back."""
    lease: float = 0.5
    """Seconds of the leases of the logs that are made."""

    @abstractmethod
    def make_log(self) -> StreamLog:
        """Returns a log on the server of this test, with the lease of this class; called several times in a test."""

    def test_it_says_that_it_is_shared(self) -> None:
        assert self.make_log().shared

    def test_a_turn_is_read_elsewhere_from_every_cursor_exactly_once(self) -> None:
        async def scenario(writing: StreamLog, reading: StreamLog) -> None:
            info, writer = await open_turn(writing, turn("thr_a", resumable=True))
            readers: list[tuple[int, TurnReader]] = []
            for number in range(1, 9):
                writer.append(event(number))
                if number % 2:
                    await patient(writer.flush())
                readers += [(cut, await reader_of(reading, info.id, cut)) for cut in range(number)]
            running = [asyncio.ensure_future(rest_of(reader)) for _, reader in readers]
            for number in range(9, 40):
                writer.append(event(number))
                await asyncio.sleep(0)
            await patient(writer.close(EndState.COMPLETED))
            late = [(cut, await reader_of(reading, info.id, cut)) for cut in (0, 20, 38, 39)]
            for (cut, reader), got in zip(readers, running, strict=True):
                assert await patient(got) == entries(cut + 1, 39)
                assert reader.end is EndState.COMPLETED
            for cut, reader in late:
                assert await rest_of(reader) == entries(cut + 1, 39)
                assert reader.end is EndState.COMPLETED
            try:
                await reading.read(info.id, 40)
            except InvalidRequestError:
                return
            raise AssertionError("a cursor that an ended turn never had must be refused")

        self._run(scenario)

    def test_a_reader_elsewhere_may_be_ahead_of_what_is_saved(self) -> None:
        async def scenario(writing: StreamLog, reading: StreamLog) -> None:
            info, writer = await open_turn(writing, turn("thr_a", resumable=True))
            writer.append(event(1))
            await patient(writer.flush())
            # The client has seen three, from the memory of the turn's own worker.
            reader = await reader_of(reading, info.id, 3)
            got = asyncio.ensure_future(rest_of(reader))
            for number in range(2, 6):
                writer.append(event(number))
                await patient(writer.flush())
            await patient(writer.close(EndState.COMPLETED))
            assert await patient(got) == entries(4, 5)

        self._run(scenario)

    def test_a_cursor_older_than_the_window_gets_the_state_elsewhere_too(self) -> None:
        async def scenario(writing: StreamLog, reading: StreamLog) -> None:
            state = _State()
            info, writer = await open_turn(writing, turn("thr_a", resumable=True), state)
            big = b'"' + b"x" * (self.window // 4) + b'"'
            following = await reader_of(reading, info.id)
            sizes: list[int] = []
            for _ in range(20):
                state.seq = writer.append(big)
                await patient(writer.flush())
            fresh, old = await reader_of(reading, info.id), await reader_of(reading, info.id, 5)
            new = await reader_of(reading, info.id, 19)
            writer.append(event(21))
            await patient(writer.close(EndState.COMPLETED))
            for reader, head in ((following, b"new"), (fresh, b"new"), (old, b"known")):
                got = await rest_of(reader)
                numbers = [entry.seq for entry in got if entry.seq]
                assert got[0] == LogEntry(0, head)
                assert got[1].data == b"last"
                assert numbers == list(range(got[1].seq, 22)), "gap or repetition behind the state"
                assert got[-1] == LogEntry(21, event(21))
                sizes.append(len(got))
            assert max(sizes) < 14, "far more is kept than the window"
            assert await rest_of(new) == [LogEntry(20, big), LogEntry(21, event(21))]

        self._run(scenario)

    def test_what_is_known_elsewhere(self) -> None:
        async def scenario(writing: StreamLog, other: StreamLog) -> None:
            plain = turn("thr_a", owner="ada", user_item_id="msg_1")
            first, second = (turn("thr_a", resumable=True) for _ in range(2))
            writers = [
                (await open_turn(log, info))[1]
                for log, info in ((writing, plain), (other, first), (writing, second))
            ]
            for log in (writing, other):
                assert await log.active("thr_a") == [plain, first, second]
                assert await log.latest("thr_a") == second
                assert await log.find(plain.id) == plain
                assert await log.active("thr_b") == []
                assert await log.find("turn_unknown") is None
                assert await log.read("turn_unknown", None) is None
                assert await log.ended(first.id) is None
            for writer in writers:
                await patient(writer.close(EndState.FAILED))
            for log in (writing, other):
                assert await log.active("thr_a") == []
                assert await log.latest("thr_a") == second
                assert await log.find(plain.id) is None
                assert await log.read(plain.id, None) is None
                assert await log.find(first.id) == first
                assert await log.ended(first.id) is EndState.FAILED

        self._run(scenario)

    def test_a_turn_is_stopped_elsewhere_and_the_stop_waits_for_its_end(self) -> None:
        async def scenario(writing: StreamLog, other: StreamLog) -> None:
            for resumable in (True, False):
                info = turn("thr_a", resumable=resumable)
                asked = asyncio.Event()
                calls: list[None] = []

                def on_stop(calls: list[None] = calls, asked: asyncio.Event = asked) -> None:
                    calls.append(None)
                    asked.set()

                writer = await writing.open(info, snapshot=no_state, on_stop=on_stop)
                writer.append(event(1))
                await patient(writer.flush())
                stops = [asyncio.ensure_future(other.stop(info.id)) for _ in range(2)]
                waiting = asyncio.ensure_future(other.wait_closed(info.id))
                await patient(asked.wait())
                writer.append(event(2))
                await patient(writer.flush())
                assert not any(task.done() for task in (*stops, waiting))
                await patient(writer.close(EndState.STOPPED))
                # The second one may have come when the turn had ended.
                assert any(await patient(asyncio.gather(*stops)))
                await patient(waiting)
                assert calls == [None]
                assert await patient(other.stop(info.id)) is False
                await patient(other.wait_closed(info.id))

        self._run(scenario)

    def test_a_dead_worker_does_not_hold_up_a_stop(self) -> None:
        async def scenario(dead: StreamLog, other: StreamLog) -> None:
            info, writer = await open_turn(dead, turn("thr_a", resumable=True))
            writer.append(event(1))
            await patient(writer.flush())
            await dead.close()
            await patient(other.stop(info.id))

        self._run(scenario)

    def test_of_workers_that_claim_at_once_one_gets_a_dead_workers_turn(self) -> None:
        async def scenario(dead: StreamLog, reading: StreamLog, *others: StreamLog) -> None:
            infos = [turn(f"thr_{number}", resumable=number > 0) for number in range(3)]
            for info in infos:
                _, writer = await open_turn(dead, info)
                for number in (1, 2, 3):
                    writer.append(event(number))
                await patient(writer.flush())
            living, living_writer = await open_turn(reading, turn("thr_c", resumable=True))
            readers = [await reader_of(reading, info.id, 2) for info in infos[1:]]
            # What its own readers saw, and what was never saved.
            ahead = await reader_of(reading, infos[1].id, 5)
            assert await others[0].claim_interrupted() == []
            await dead.close()
            claimed: list[InterruptedTurn] = []
            async with asyncio.timeout(20):
                while len(claimed) < len(infos):
                    for turns in await asyncio.gather(*(log.claim_interrupted() for log in others)):
                        claimed += turns
                    await asyncio.sleep(_PAUSE)
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
                assert await others[0].active(info.thread_id) == []
            assert await others[0].active("thr_c") == [living]
            assert [found for log in others for found in await log.claim_interrupted()] == []
            living_writer.append(event(1))
            await patient(living_writer.close(EndState.COMPLETED))

        self._run(scenario, workers=6)

    def test_a_claim_that_nobody_settles_can_be_claimed_again(self) -> None:
        async def scenario(dead: StreamLog, first: StreamLog, second: StreamLog) -> None:
            info, writer = await open_turn(dead, turn("thr_a", resumable=True))
            writer.append(event(1))
            await patient(writer.flush())
            await dead.close()
            assert [found.info for found in await _claimed(first)] == [info]
            assert [found.info for found in await _claimed(second)] == [info]
            await first.settle(info.id)
            assert await second.active("thr_a") == [info], "the first claim has run out"
            await second.settle(info.id)
            assert await second.active("thr_a") == []

        self._run(scenario, workers=3)

    def test_a_worker_that_stood_still_cannot_write_and_learns_it(self) -> None:
        frozen = _FrozenWorker(self.make_log())
        info = frozen.info

        async def scenario(other: StreamLog) -> None:
            reader = await reader_of(other, info.id)
            claimed = await _claimed(other)
            assert [found.entries for found in claimed] == [entries(1, 1)]
            await asyncio.to_thread(frozen.thaw)
            await other.settle(info.id)
            assert await rest_of(reader) == entries(1, 1)
            assert reader.end is EndState.INTERRUPTED

        with frozen:
            self._run(scenario, workers=1)
        assert frozen.told == entries(1, 1), "readers saw what the worker had no right to add"

    def test_a_worker_that_stood_still_goes_on_where_nobody_claimed(self) -> None:
        async def scenario(writing: StreamLog, reading: StreamLog) -> None:
            info, writer = await open_turn(writing, turn("thr_a", resumable=True))
            reader = await reader_of(reading, info.id)
            local = await reader_of(writing, info.id)
            writer.append(event(1))
            await patient(writer.flush())
            threading.Event().wait(1.5 * self.lease)
            writer.append(event(2))
            await patient(writer.flush())
            writer.append(event(3))
            await patient(writer.close(EndState.COMPLETED))
            assert await rest_of(reader) == entries(1, 3)
            assert await rest_of(local) == entries(1, 3)

        self._run(scenario)

    def test_a_claimed_turn_goes_on_for_its_readers_wherever_they_are(self) -> None:
        async def scenario(dead: StreamLog, other: StreamLog, reading: StreamLog) -> None:
            info, writer = await open_turn(dead, turn("thr_a", resumable=True))
            for number in (1, 2, 3):
                writer.append(event(number))
            await patient(writer.flush())
            readers = [await reader_of(reading, info.id, seen) for seen in (0, 2)]
            # What the dead worker's own readers saw and nobody saved is behind no event that follows.
            ahead = await reader_of(reading, info.id, 5)
            await dead.close()
            found = (await _claimed(other))[0]
            again = replace(found, info=replace(found.info, attempt=2))
            mine = await other.take_over(again, snapshot=_Gone(), on_stop=_unasked)
            assert mine is not None
            assert [running.attempt for running in await reading.active("thr_a")] == [2]
            local = await reader_of(other, info.id, 3)
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
            assert await reading.active("thr_a") == []

        self._run(scenario, workers=3)

    def test_each_attempt_has_numbers_of_its_own_though_none_of_it_was_saved(self) -> None:
        async def scenario(dead: StreamLog, *others: StreamLog) -> None:
            info, writer = await open_turn(dead, turn("thr_a", resumable=True))
            writer.append(event(1))
            await patient(writer.flush())
            await dead.close()
            numbers = [1]
            for attempt, log in enumerate(others, 2):
                found = (await _claimed(log))[0]
                assert found.entries == entries(1, 1)
                again = replace(found, info=replace(info, attempt=attempt))
                mine = await log.take_over(again, snapshot=_Gone(), on_stop=_unasked)
                assert mine is not None
                # Its own readers see that; the server does not.
                numbers.append(mine.append(event(2)))
                await log.close()
            assert all(later - earlier > 1000 for earlier, later in itertools.pairwise(numbers)), numbers

        self._run(scenario, workers=4)

    def test_whoever_claims_a_turn_learns_that_it_was_to_stop(self) -> None:
        async def scenario(dead: StreamLog, other: StreamLog) -> None:
            infos = [turn("thr_a", resumable=True) for _ in range(2)]
            for info in infos:
                _, writer = await open_turn(dead, info)
                writer.append(event(1))
                await patient(writer.flush())
            await dead.close()
            stopping = asyncio.ensure_future(other.stop(infos[0].id))
            claimed: list[InterruptedTurn] = []
            async with asyncio.timeout(20):
                while len(claimed) < len(infos):
                    claimed += await other.claim_interrupted()
                    await asyncio.sleep(_PAUSE)
            assert {found.info.id: found.stop for found in claimed} == {infos[0].id: True, infos[1].id: False}
            for info in infos:
                assert other.holds_claim(info.id)
                await other.settle(info.id)
                assert not other.holds_claim(info.id)
            await patient(stopping)

        self._run(scenario)

    def test_a_claim_that_is_over_gives_no_right_to_a_turn(self) -> None:
        async def scenario(dead: StreamLog, first: StreamLog, second: StreamLog) -> None:
            info, writer = await open_turn(dead, turn("thr_a", resumable=True))
            writer.append(event(1))
            await patient(writer.flush())
            await dead.close()
            slow = (await _claimed(first))[0]
            quick = (await _claimed(second))[0]
            try:
                await first.take_over(slow, snapshot=_Gone(), on_stop=_unasked)
            except StaleTurnError:
                mine = await second.take_over(quick, snapshot=_Gone(), on_stop=_unasked)
                assert mine is not None
                await patient(mine.close(EndState.INTERRUPTED))
                assert await first.active(info.thread_id) == []
                return
            raise AssertionError("a turn was given to two workers")

        self._run(scenario, workers=3)

    def test_a_turn_that_is_handed_over_can_be_claimed_at_once(self) -> None:
        async def scenario(leaving: StreamLog, other: StreamLog) -> None:
            # Whoever claims has to have been there for a lease.
            _, lasting = await open_turn(other, turn("thr_b"))
            await asyncio.sleep(1.5 * self.lease)
            info, writer = await open_turn(leaving, turn("thr_a", resumable=True))
            writer.append(event(1))
            local = await reader_of(leaving, info.id)
            assert await patient(writer.hand_over())
            assert await rest_of(local) == entries(1, 1)
            assert local.end is None, "it goes on elsewhere"
            claimed = await other.claim_interrupted()
            assert [(found.info, found.entries) for found in claimed] == [(info, entries(1, 1))]
            assert not await patient(writer.hand_over())
            await patient(writer.close(EndState.COMPLETED))
            assert await other.active("thr_a") == [info], "it is not the first one's to end"
            await other.settle(info.id)
            await patient(lasting.close(EndState.COMPLETED))

        self._run(scenario)

    def test_who_waits_for_a_turn_that_is_handed_over_waits_for_its_next_worker(self) -> None:
        async def scenario(leaving: StreamLog, other: StreamLog) -> None:
            _, lasting = await open_turn(other, turn("thr_b"))
            await asyncio.sleep(1.5 * self.lease)
            info, writer = await open_turn(leaving, turn("thr_a", resumable=True))
            waiting: list[asyncio.Future[Any]] = [
                asyncio.ensure_future(leaving.wait_closed(info.id)),
                asyncio.ensure_future(leaving.stop(info.id)),
            ]
            await asyncio.sleep(0)
            assert await patient(writer.hand_over())
            (found,) = await other.claim_interrupted()
            mine = await other.take_over(found, snapshot=_Gone(), on_stop=_unasked)
            assert mine is not None
            mine.append(event(2))
            await patient(mine.flush())
            await asyncio.sleep(0)
            assert not any(task.done() for task in waiting)
            await patient(mine.close(EndState.INTERRUPTED))
            assert await patient(asyncio.gather(*waiting)) == [None, True]
            await patient(lasting.close(EndState.COMPLETED))

        self._run(scenario)

    def test_idempotency_keys_hold_across_workers(self) -> None:
        async def scenario(*logs: StreamLog) -> None:
            claims = [KeyClaim(f"turn_{n}", "thr_a", "body", fresh=True) for n in range(len(logs))]
            answers = await asyncio.gather(
                *(log.claim_key("ada", "key", claim) for log, claim in zip(logs, claims, strict=True))
            )
            assert sum(answer.fresh for answer in answers) == 1
            assert len({answer.turn_id for answer in answers}) == 1
            bound = next(answer for answer in answers if answer.fresh)
            others = [claim for claim in claims if claim.turn_id != bound.turn_id]
            await logs[0].release_key("ada", "key", others[0])
            assert not (await logs[1].claim_key("ada", "key", others[1])).fresh, "it was not that one's"
            await logs[0].release_key("ada", "key", bound)
            assert (await logs[1].claim_key("ada", "key", claims[1])).fresh
            assert not (await logs[0].claim_key("ada", "key", claims[0])).fresh

        self._run(scenario, workers=5)

    def _run(self, scenario: Callable[..., Awaitable[None]], *, workers: int = 2) -> None:
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


def _unasked() -> None:
    raise AssertionError("nobody asks this turn to stop")


class _Gone:
    """The state of a turn of which nothing but the present is left."""

    def __call__(self, after: int) -> list[bytes]:
        return [b"state"]


class _State:
    """The state of a turn with one item, which began with the first event, and a last word."""

    seq = 0

    def __call__(self, after: int) -> list[bytes]:
        return [found for part in self.parts() if (found := part.event_for(after)) is not None]

    def parts(self) -> list[StatePart]:
        return [StatePart(1, self.seq, b"new", b"known", b""), StatePart(0, self.seq, b"", b"", b"last")]


class _FrozenWorker:
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
        reader = await reader_of(log, info.id)
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
        assert await log.find(info.id) == info
        await log.close()


async def _claimed(log: StreamLog) -> list[InterruptedTurn]:
    found: list[InterruptedTurn] = []
    async with asyncio.timeout(20):
        while not found:
            found = await log.claim_interrupted()
            await asyncio.sleep(_PAUSE)
    return found
