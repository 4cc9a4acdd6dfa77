"""Logs that applications wrote for the earlier port."""

from __future__ import annotations

from pathlib import Path

from chatkit._sqlite import Database
from chatkit.limits import Limits
from chatkit.streams import SQLiteStreamLog, StreamLog, base, memory, shared
from chatkit.streams.backends.sqlite import SQLiteBackend
from chatkit.streams.base import InterruptedTurn, KeyClaim, ThreadKey, TurnInfo
from chatkit.streams.shared import SharedStreamLog
from chatkit.streams.worker import Worker
from chatkit.testing import StreamLogContract
from tests.streams.earlier_log import EarlierLog


class TestEarlierLog(StreamLogContract):
    forgets_threads = False

    def make_log(self) -> StreamLog:
        return EarlierLog()


async def test_the_defaults_of_the_port_are_there() -> None:
    log = EarlierLog()
    assert (log.shared, log.sweep_seconds, log.has_backend) == (False, 10.0, False)
    log.limit_kept_bytes(Limits)
    assert log.holds_claim("turn_a")
    assert await log.ended(KeyClaim("turn_a", "thr_a", "", fresh=False)) is None
    assert await StreamLog.claim_interrupted(log) == []
    await StreamLog.settle(log, "turn_a")
    await log.forget_thread(ThreadKey(None, "thr_a"))
    turn = InterruptedTurn(TurnInfo("turn_a", "thr_a"), [])
    assert await log.take_over(turn, snapshot=lambda _: [], on_stop=lambda: None) is None
    await log.close()


async def test_a_log_with_claims_of_its_own_and_no_constructor_takes_nothing_over() -> None:
    class Log(StreamLog):
        shared = True
        sweep_seconds = 1.0

        async def claim_interrupted(self) -> list[InterruptedTurn]:
            return [InterruptedTurn(TurnInfo("turn_a", "thr_a"), [])]

    log = Log()
    (turn,) = await log.claim_interrupted()
    assert await log.take_over(turn, snapshot=lambda _: [], on_stop=lambda: None) is None
    assert (log.shared, log.sweep_seconds) == (True, 1.0)


async def test_a_shared_log_that_makes_its_backend_is_shared(tmp_path: Path) -> None:
    class Log(SharedStreamLog):
        def __init__(self) -> None:
            super().__init__(lease=5.0)

        def make_backend(self) -> SQLiteBackend:
            return SQLiteBackend(
                Database(tmp_path / "chat.db"),
                holder=self.holder,
                worker=Worker.current,
                lease=self.lease,
                retention=self.retention,
            )

    one, other = Log(), SQLiteStreamLog(Database(tmp_path / "chat.db"))
    assert (one.has_backend, one.shared, one.sweep_seconds) == (True, True, 1.0)
    await other.claim_interrupted()
    info = TurnInfo("turn_a", "thr_a", resumable=True)
    writer = await one.open(info, snapshot=lambda _: [], on_stop=lambda: None)
    writer.append(b"1")
    await writer.flush()
    assert await other.find("turn_a", None) == info
    await writer.close(base.EndState.COMPLETED)
    await one.close()
    await other.close()


def test_names_are_where_they_were() -> None:
    from chatkit.streams import backend
    from chatkit.streams.shared import backend as earlier
    from chatkit.streams.shared import records
    from chatkit.streams.shared.log import LEASE

    assert {earlier.Save, earlier.Chunk, earlier.SaveResult} == {
        backend.Save,
        backend.Chunk,
        backend.SaveResult,
    }
    assert {name for name in backend.__all__ if getattr(earlier, name) is not getattr(backend, name)} == set()
    assert records.dump_info(TurnInfo("turn_a", "thr_a"))
    assert shared.Backend is backend.Backend
    assert (memory.KEY_RETENTION, LEASE) == (86400.0, 10.0)
