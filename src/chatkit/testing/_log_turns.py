"""Tests of every stream log: turns, their readers, idempotency keys."""

from __future__ import annotations

import asyncio
from functools import partial

from chatkit.errors import InvalidRequestError
from chatkit.streams import (
    EndState,
    KeyClaim,
    LogEntry,
    StreamLog,
    TurnInfo,
    TurnReader,
    TurnWriter,
)
from chatkit.testing._log_base import (
    LogSuite,
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
    until_blocked,
)

__all__ = ["LogTurnTests"]


class LogTurnTests(LogSuite):
    """What every log does."""

    def test_events_are_numbered_from_one_and_read_in_order(self) -> None:
        async def scenario(log: StreamLog) -> None:
            info, writer = await open_turn(log, turn("thr_a"))
            reader = await reader_of(log, info)
            assert writer.last_seq == 0
            assert [writer.append(event(number)) for number in (1, 2, 3)] == [1, 2, 3]
            assert writer.last_seq == 3
            assert await patient(anext(reader)) == entries(1, 3)
            writer.append(event(4))
            assert reader.ready() == entries(4, 4)
            assert reader.ready() == []
            await writer.close(EndState.COMPLETED)
            assert await rest_of(reader) == []
            assert reader.end is EndState.COMPLETED

        self._run(scenario)

    def test_a_waiting_reader_wakes_for_an_event_and_for_the_end(self) -> None:
        async def scenario(log: StreamLog) -> None:
            for resumable in (False, True):
                info, writer = await open_turn(log, turn("thr_a", resumable=resumable))
                reader = await reader_of(log, info)
                waiting = asyncio.ensure_future(anext(reader))
                await until_blocked()
                assert not waiting.done()
                writer.append(event(1))
                assert await patient(waiting) == entries(1, 1)
                waiting = asyncio.ensure_future(anext(reader, None))
                await until_blocked()
                assert not waiting.done()
                await writer.close(EndState.STOPPED)
                assert await patient(waiting) is None
                assert reader.end is EndState.STOPPED

        self._run(scenario)

    def test_each_end_reaches_the_readers_and_the_first_one_counts(self) -> None:
        async def scenario(log: StreamLog) -> None:
            for end in EndState:
                info, writer = await open_turn(log, turn("thr_a"))
                reader = await reader_of(log, info)
                writer.append(event(1))
                await patient(writer.close(end))
                await patient(writer.close(EndState.FAILED))
                assert await rest_of(reader) == entries(1, 1)
                assert reader.end is end

        self._run(scenario)

    def test_a_resumable_turn_replays_after_any_cursor_and_has_many_readers(self) -> None:
        async def scenario(log: StreamLog) -> None:
            info, writer = await open_turn(log, turn("thr_a", resumable=True))
            for number in range(1, 6):
                writer.append(event(number))
            readers = [await reader_of(log, info, after) for after in (None, 0, 1, 4, 5)]
            writer.append(event(6))
            await writer.close(EndState.COMPLETED)
            late = await reader_of(log, info, 2)
            for reader, first in zip([*readers, late], (1, 1, 2, 5, 6, 3), strict=True):
                assert await rest_of(reader) == entries(first, 6)
                assert reader.end is EndState.COMPLETED

        self._run(scenario)

    def test_a_cursor_that_the_turn_has_not_reached_is_refused(self) -> None:
        async def scenario(log: StreamLog) -> None:
            info, writer = await open_turn(log, turn("thr_a", resumable=True))
            writer.append(event(1))
            try:
                await log.read(info.id, None, 2)
            except InvalidRequestError:
                pass
            else:
                raise AssertionError("a cursor from the future must be refused")
            await writer.close(EndState.COMPLETED)

        self._run(scenario)

    def test_a_cursor_older_than_the_window_gets_the_state_under_the_last_id(self) -> None:
        async def scenario(log: StreamLog) -> None:
            asked: list[int] = []

            def snapshot(after: int) -> list[bytes]:
                asked.append(after)
                return [b'{"type":"state","part":1}', b'{"type":"state","part":2}']

            info, writer = await open_turn(log, turn("thr_a", resumable=True), snapshot)
            big = b'"' + b"x" * (self.window // 4) + b'"'
            for _ in range(8):
                writer.append(big)
            old = await reader_of(log, info, 1)
            assert await patient(anext(old)) == [
                LogEntry(0, b'{"type":"state","part":1}'),
                LogEntry(8, b'{"type":"state","part":2}'),
            ]
            assert asked == [1]
            new = await reader_of(log, info, 7)
            assert await patient(anext(new)) == [LogEntry(8, big)]
            fresh = await reader_of(log, info, None)
            assert [entry.seq for entry in await patient(anext(fresh))] == [0, 8]
            assert asked == [1, 0]
            writer.append(event(9))
            await writer.close(EndState.COMPLETED)
            for reader in (old, new, fresh):
                assert await rest_of(reader) == entries(9, 9)

        self._run(scenario)

    def test_a_second_reader_of_a_plain_turn_sees_each_change_once(self) -> None:
        async def scenario(log: StreamLog) -> None:
            sent: list[int] = []

            def snapshot(after: int) -> list[bytes]:
                return [event(number) for number in sent if number > after]

            def append() -> None:
                sent.append(writer.append(event(len(sent) + 1)))

            info, writer = await open_turn(log, turn("thr_a"), snapshot)
            first = await reader_of(log, info)
            second = await reader_of(log, info)
            seen: dict[TurnReader, list[bytes]] = {first: [], second: []}
            for order in ((first, second), (second, first), (second,), (first,), (first, second)):
                append()
                append()
                for reader in order:
                    seen[reader] += [entry.data for entry in reader.ready()]
            await writer.close(EndState.COMPLETED)
            for reader in (first, second):
                seen[reader] += [entry.data for entry in await rest_of(reader)]
                assert seen[reader] == [event(number) for number in sent]

        self._run(scenario)

    def test_a_plain_turn_is_congested_until_its_reader_catches_up_or_leaves(self) -> None:
        async def scenario(log: StreamLog) -> None:
            big = b'"' + b"x" * (self.lag_limit // 2) + b'"'
            info, writer = await open_turn(log, turn("thr_a"))
            reader = await reader_of(log, info)
            assert not writer.congested
            await patient(writer.drain())
            for _ in range(3):
                writer.append(big)
            assert writer.congested
            draining = asyncio.ensure_future(writer.drain())
            await until_blocked()
            assert not draining.done()
            assert len(reader.ready()) == 3
            await patient(draining)
            assert not writer.congested
            for _ in range(3):
                writer.append(big)
            draining = asyncio.ensure_future(writer.drain())
            await until_blocked()
            assert not draining.done()
            writer.detach()
            await patient(draining)
            for _ in range(6):
                writer.append(big)
                await patient(writer.drain())
            assert not writer.congested
            assert writer.last_seq == 12
            await writer.close(EndState.STOPPED)

        self._run(scenario)

    def test_a_resumable_turn_never_waits_for_readers(self) -> None:
        async def scenario(log: StreamLog) -> None:
            big = b'"' + b"x" * self.lag_limit + b'"'
            info, writer = await open_turn(log, turn("thr_a", resumable=True), lambda _: [])
            for _ in range(20):
                writer.append(big)
                await patient(writer.drain())
                assert not writer.congested
            writer.detach()
            reader = await reader_of(log, info, 19)
            assert reader.ready() == [LogEntry(20, big)]
            await writer.close(EndState.COMPLETED)

        self._run(scenario)

    def test_a_reader_that_comes_after_the_others_left_follows_the_turn(self) -> None:
        async def scenario(log: StreamLog) -> None:
            sent: list[int] = []
            info, writer = await open_turn(
                log, turn("thr_a"), lambda after: [event(number) for number in sent if number > after]
            )
            writer.detach()
            sent.append(writer.append(event(1)))
            reader = await reader_of(log, info)
            assert [entry.data for entry in await patient(anext(reader))] == [event(1)]
            waiting = asyncio.ensure_future(anext(reader))
            await until_blocked()
            sent.append(writer.append(event(2)))
            assert [entry.data for entry in await patient(waiting)] == [event(2)]
            await writer.close(EndState.COMPLETED)

        self._run(scenario)

    def test_a_closed_reader_yields_nothing_and_ends_a_wait(self) -> None:
        async def scenario(log: StreamLog) -> None:
            info, writer = await open_turn(log, turn("thr_a", resumable=True))
            reader = await reader_of(log, info)
            waiting = asyncio.ensure_future(anext(reader, None))
            await until_blocked()
            await reader.aclose()
            await reader.aclose()
            assert await patient(waiting) is None
            writer.append(event(1))
            assert await rest_of(reader) == []
            assert reader.end is None
            await writer.close(EndState.COMPLETED)

        self._run(scenario)

    def test_a_cancelled_wait_loses_nothing(self) -> None:
        async def scenario(log: StreamLog) -> None:
            info, writer = await open_turn(log, turn("thr_a", resumable=True))
            reader = await reader_of(log, info)
            waiting = asyncio.ensure_future(anext(reader))
            await until_blocked()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            writer.append(event(1))
            assert await patient(anext(reader)) == entries(1, 1)
            await writer.close(EndState.COMPLETED)

        self._run(scenario)

    def test_what_is_known_of_running_and_ended_turns(self) -> None:
        async def scenario(log: StreamLog) -> None:
            plain = turn("thr_a", user_item_id="msg_1")
            first, second = (turn("thr_a", resumable=True) for _ in range(2))
            elsewhere = turn("thr_b", resumable=True)
            writers = [(await open_turn(log, info))[1] for info in (plain, first, second, elsewhere)]
            assert await log.active(of("thr_a")) == [plain, first, second]
            assert await log.active(of("thr_b")) == [elsewhere]
            assert await log.active(of("thr_c")) == []
            assert await log.latest(of("thr_a")) == second
            assert await log.latest(of("thr_c")) is None
            assert await log.find(plain.id, plain.owner) == plain
            assert await log.find("turn_unknown", None) is None
            assert await log.read("turn_unknown", None, None) is None
            for writer in writers:
                await writer.close(EndState.COMPLETED)
            assert await log.active(of("thr_a")) == []
            assert await log.find(plain.id, plain.owner) is None
            assert await log.read(plain.id, plain.owner, None) is None
            assert await log.find(first.id, None) == first
            assert await log.latest(of("thr_a")) == second
            assert await log.latest(of("thr_b")) == elsewhere

        self._run(scenario)

    def test_owners_with_the_same_thread_id_know_nothing_of_each_other(self) -> None:
        async def scenario(log: StreamLog) -> None:
            owners = ("ada", "grace", None)
            infos = [turn("inbox", resumable=True, owner=owner) for owner in owners]
            asked: list[str | None] = []
            writers: list[TurnWriter] = []
            for info in infos:
                on_stop = partial(asked.append, info.owner)
                writers.append(await log.open(info, snapshot=no_state, on_stop=on_stop))
            for info, writer in zip(infos, writers, strict=True):
                writer.append(event(1))
                await patient(writer.flush())
                await knows_only(log, info, owners)
            assert asked == []
            stopping = asyncio.ensure_future(log.stop(infos[0].id, "ada"))
            await until_blocked()
            assert asked == ["ada"]
            await writers[0].close(EndState.STOPPED)
            assert await patient(stopping)
            assert [await log.active(info.thread) for info in infos] == [[], [infos[1]], [infos[2]]]
            for writer in writers[1:]:
                await writer.close(EndState.COMPLETED)
            for info in infos:
                await knows_only(log, info, owners, running=False)
            claims = [KeyClaim(info.id, "inbox", "body", fresh=True) for info in infos]
            for info, claim in zip(infos, claims, strict=True):
                assert await log.claim_key(info.owner, "key", claim) == claim
            await log.release_key("ada", "key")
            assert not (await log.claim_key("grace", "key", claims[0])).fresh

        self._run(scenario)

    def test_stop_asks_the_turn_waits_for_its_end_and_is_idempotent(self) -> None:
        async def scenario(log: StreamLog) -> None:
            info = turn("thr_a", resumable=True)
            asked = asyncio.Event()
            writer = await log.open(info, snapshot=no_state, on_stop=asked.set)
            stops = [asyncio.ensure_future(log.stop(info.id, None)) for _ in range(2)]
            await patient(asked.wait())
            await until_blocked()
            assert not any(stop.done() for stop in stops)
            waiting = asyncio.ensure_future(log.wait_closed(info.id, None))
            await until_blocked()
            assert not waiting.done()
            await writer.close(EndState.STOPPED)
            assert await patient(asyncio.gather(*stops)) == [True, True]
            await patient(waiting)
            assert await patient(log.stop(info.id, None)) is False
            assert await patient(log.stop("turn_unknown", None)) is False
            await patient(log.wait_closed(info.id, None))
            await patient(log.wait_closed("turn_unknown", None))

        self._run(scenario)

    def test_flush_returns_and_costs_no_event(self) -> None:
        async def scenario(log: StreamLog) -> None:
            info, writer = await open_turn(log, turn("thr_a"))
            await patient(writer.flush())
            reader = await reader_of(log, info)
            writer.append(event(1))
            await patient(writer.flush())
            await patient(writer.flush())
            assert reader.ready() == entries(1, 1)
            await writer.close(EndState.COMPLETED)
            await patient(writer.flush())

        self._run(scenario)

    def test_an_idempotency_key_belongs_to_the_turn_that_claimed_it_first(self) -> None:
        async def scenario(log: StreamLog) -> None:
            mine = KeyClaim("turn_1", "thr_a", "body one", fresh=True)
            other = KeyClaim("turn_2", "thr_b", "body two", fresh=True)
            held = KeyClaim("turn_1", "thr_a", "body one", fresh=False)
            assert await log.claim_key("ada", "key", mine) == mine
            assert await log.claim_key("ada", "key", other) == held
            assert await log.claim_key("ada", "key", mine) == held
            assert await log.claim_key("ada", "another key", other) == other
            assert await log.claim_key("grace", "key", other) == other
            assert await log.claim_key(None, "key", other) == other
            await log.release_key("ada", "key", other)
            assert await log.claim_key("ada", "key", other) == held
            await log.release_key("ada", "key", held)
            await log.release_key("ada", "key")
            assert await log.claim_key("ada", "key", other) == other
            assert await log.claim_key("grace", "key", mine) == KeyClaim(
                "turn_2", "thr_b", "body two", fresh=False
            )

        self._run(scenario)

    def test_of_claims_at_the_same_time_one_is_fresh(self) -> None:
        async def scenario(log: StreamLog) -> None:
            claims = [KeyClaim(f"turn_{number}", "thr_a", "body", fresh=True) for number in range(8)]
            answers = await asyncio.gather(*(log.claim_key("ada", "key", claim) for claim in claims))
            assert sum(answer.fresh for answer in answers) == 1
            assert len({answer.turn_id for answer in answers}) == 1

        self._run(scenario)

    def test_turns_that_run_or_ended_are_not_interrupted(self) -> None:
        async def scenario(log: StreamLog) -> None:
            running, running_writer = await open_turn(log, turn("thr_a"))
            running_writer.append(event(1))
            await running_writer.flush()
            _, ended = await open_turn(log, turn("thr_a", resumable=True))
            ended.append(event(1))
            await ended.flush()
            await ended.close(EndState.FAILED)
            assert await log.claim_interrupted() == []
            await log.settle("turn_unknown")
            assert [info.id for info in await log.active(of("thr_a"))] == [running.id]
            await running_writer.close(EndState.COMPLETED)

        self._run(scenario)

    def test_the_log_serves_several_event_loops_in_turn(self) -> None:
        log = self.make_log()
        infos = [turn("thr_a", resumable=True) for _ in range(3)]

        async def write(info: TurnInfo) -> None:
            _, writer = await open_turn(log, info)
            writer.append(event(1))
            await patient(writer.flush())
            writer.append(event(2))
            await patient(writer.close(EndState.COMPLETED))

        async def read(info: TurnInfo) -> None:
            assert await rest_of(await reader_of(log, info, 1)) == entries(2, 2)

        for info in infos:
            asyncio.run(write(info))
        for info in infos:
            asyncio.run(read(info))
        asyncio.run(log.close())

    def test_a_closed_log_opens_again(self) -> None:
        async def scenario(log: StreamLog) -> None:
            await log.close()
            await log.close()
            info, writer = await open_turn(log, turn("thr_a", resumable=True))
            writer.append(event(1))
            await patient(writer.flush())
            await writer.close(EndState.COMPLETED)
            assert await rest_of(await reader_of(log, info)) == entries(1, 1)

        self._run(scenario)
