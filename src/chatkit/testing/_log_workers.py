"""Tests of stream logs that workers share: reading, stopping and knowing of turns elsewhere."""

from __future__ import annotations

import asyncio

from chatkit.errors import InvalidRequestError
from chatkit.streams import (
    EndState,
    KeyClaim,
    LogEntry,
    StreamLog,
    TurnReader,
)
from chatkit.testing._log_base import (
    LogSuite,
    State,
    claim_of,
    entries,
    event,
    knows_only,
    no_state,
    of,
    open_turn,
    patient,
    reader_of,
    rest_of,
    turn,
)

__all__ = ["LogWorkerTests"]


class LogWorkerTests(LogSuite):
    """What living workers do with one another's turns."""

    def test_it_says_that_it_is_shared(self) -> None:
        self._needs_workers()
        assert self.make_log().shared

    def test_a_turn_is_read_elsewhere_from_every_cursor_exactly_once(self) -> None:
        async def scenario(writing: StreamLog, reading: StreamLog) -> None:
            info, writer = await open_turn(writing, turn("thr_a", resumable=True))
            readers: list[tuple[int, TurnReader]] = []
            for number in range(1, 9):
                writer.append(event(number))
                if number % 2:
                    await patient(writer.flush())
                readers += [(cut, await reader_of(reading, info, cut)) for cut in range(number)]
            running = [asyncio.ensure_future(rest_of(reader)) for _, reader in readers]
            for number in range(9, 40):
                writer.append(event(number))
                await asyncio.sleep(0)
            await patient(writer.close(EndState.COMPLETED))
            late = [(cut, await reader_of(reading, info, cut)) for cut in (0, 20, 38, 39)]
            for (cut, reader), got in zip(readers, running, strict=True):
                assert await patient(got) == entries(cut + 1, 39)
                assert reader.end is EndState.COMPLETED
            for cut, reader in late:
                assert await rest_of(reader) == entries(cut + 1, 39)
                assert reader.end is EndState.COMPLETED
            try:
                await reading.read(info.id, None, 40)
            except InvalidRequestError:
                return
            raise AssertionError("a cursor that an ended turn never had must be refused")

        self._run_workers(scenario)

    def test_a_reader_elsewhere_may_be_ahead_of_what_is_saved(self) -> None:
        async def scenario(writing: StreamLog, reading: StreamLog) -> None:
            info, writer = await open_turn(writing, turn("thr_a", resumable=True))
            writer.append(event(1))
            await patient(writer.flush())
            # The client has seen three, from the memory of the turn's own worker.
            reader = await reader_of(reading, info, 3)
            got = asyncio.ensure_future(rest_of(reader))
            for number in range(2, 6):
                writer.append(event(number))
                await patient(writer.flush())
            await patient(writer.close(EndState.COMPLETED))
            assert await patient(got) == entries(4, 5)

        self._run_workers(scenario)

    def test_a_cursor_older_than_the_window_gets_the_state_elsewhere_too(self) -> None:
        async def scenario(writing: StreamLog, reading: StreamLog) -> None:
            state = State()
            info, writer = await open_turn(writing, turn("thr_a", resumable=True), state)
            big = b'"' + b"x" * (self.window // 4) + b'"'
            following = await reader_of(reading, info)
            sizes: list[int] = []
            for _ in range(20):
                state.seq = writer.append(big)
                await patient(writer.flush())
            fresh, old = await reader_of(reading, info), await reader_of(reading, info, 5)
            new = await reader_of(reading, info, 19)
            writer.append(event(21))
            await patient(writer.close(EndState.COMPLETED))
            for reader, head in ((following, b"new"), (fresh, b"new"), (old, b"known")):
                got = await rest_of(reader)
                numbers = [entry.seq for entry in got if entry.seq]
                assert got[0] == LogEntry(0, head)
                assert got[1].data == b"last"
                assert numbers == list(range(got[1].seq, 22)), "gap or repetition after the state"
                assert got[-1] == LogEntry(21, event(21))
                sizes.append(len(got))
            assert max(sizes) < 14, "far more is kept than the window"
            assert await rest_of(new) == [LogEntry(20, big), LogEntry(21, event(21))]

        self._run_workers(scenario)

    def test_what_is_known_elsewhere(self) -> None:
        async def scenario(writing: StreamLog, other: StreamLog) -> None:
            plain = turn("thr_a", user_item_id="msg_1")
            first, second = (turn("thr_a", resumable=True) for _ in range(2))
            writers = [
                (await open_turn(log, info))[1]
                for log, info in ((writing, plain), (other, first), (writing, second))
            ]
            for log in (writing, other):
                assert await log.active(of("thr_a")) == [plain, first, second]
                assert await log.latest(of("thr_a")) == second
                assert await log.find(plain.id, plain.owner) == plain
                assert await log.active(of("thr_b")) == []
                assert await log.find("turn_unknown", None) is None
                assert await log.read("turn_unknown", None, None) is None
                assert await log.ended(claim_of(first)) is None
            for writer in writers:
                await patient(writer.close(EndState.FAILED))
            for log in (writing, other):
                assert await log.active(of("thr_a")) == []
                assert await log.latest(of("thr_a")) == second
                assert await log.find(plain.id, plain.owner) is None
                assert await log.read(plain.id, plain.owner, None) is None
                assert await log.find(first.id, None) == first
                assert await log.ended(claim_of(first)) is EndState.FAILED

        self._run_workers(scenario)

    def test_owners_with_the_same_thread_id_know_nothing_of_each_other_elsewhere(self) -> None:
        async def scenario(writing: StreamLog, other: StreamLog) -> None:
            owners = ("ada", "grace", None)
            infos = [turn("inbox", resumable=True, owner=owner) for owner in owners]
            writers = [(await open_turn(writing, info))[1] for info in infos]
            for writer in writers:
                writer.append(event(1))
                await patient(writer.flush())
            for info in infos:
                await knows_only(other, info, owners)
            for writer in writers:
                await patient(writer.close(EndState.COMPLETED))
            for info in infos:
                await knows_only(other, info, owners, running=False)

        self._run_workers(scenario)

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
                stops = [asyncio.ensure_future(other.stop(info.id, None)) for _ in range(2)]
                waiting = asyncio.ensure_future(other.wait_closed(info.id, None))
                await patient(asked.wait())
                writer.append(event(2))
                await patient(writer.flush())
                assert not any(task.done() for task in (*stops, waiting))
                await patient(writer.close(EndState.STOPPED))
                # The second one may have come when the turn had ended.
                assert any(await patient(asyncio.gather(*stops)))
                await patient(waiting)
                assert calls == [None]
                assert await patient(other.stop(info.id, None)) is False
                await patient(other.wait_closed(info.id, None))

        self._run_workers(scenario)

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

        self._run_workers(scenario, workers=5)
