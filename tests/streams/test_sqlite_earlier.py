"""A file that the version before wrote, whose turns only their own process could read, while turns ran."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from chatkit._sqlite import Database
from chatkit.streams import EndState, SQLiteStreamLog
from chatkit.streams.base import JUMP, InterruptedTurn, KeyClaim, LogEntry, ThreadKey
from chatkit.testing._log_base import patient, reader_of, rest_of

DUMP = Path(__file__).parent / "before" / "sqlite.sql"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    path = tmp_path / "chat.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(DUMP.read_text("utf-8"))
        connection.execute("UPDATE stream_keys SET created_at = ?", [time.time() - 60])
        connection.commit()
    database = Database(path)
    yield database
    await database.close()


def event(number: int) -> bytes:
    return f'{{"number":{number},"text":"ä→"}}'.encode()


async def claimed(log: SQLiteStreamLog) -> dict[str, InterruptedTurn]:
    return {turn.info.id: turn for turn in await log.claim_interrupted()}


async def test_its_running_turns_are_claimed_with_all_their_events(database: Database) -> None:
    log = SQLiteStreamLog(database)
    found = await claimed(log)
    assert found.keys() == {"turn_a", "turn_b", "turn_c"}
    assert found["turn_a"].entries == [LogEntry(number, event(number)) for number in range(1, 8)]
    assert found["turn_b"].entries == []
    first, second, third, fourth = found["turn_c"].entries
    assert [first, second] == [LogEntry(1, event(1)), LogEntry(2, event(2))]
    assert third.seq > JUMP, "of the process that took it over"
    assert [third, fourth] == [LogEntry(third.seq, event(3)), LogEntry(third.seq + 1, event(4))]
    info = found["turn_a"].info
    assert (info.owner, info.thread_id, info.user_item_id) == ("ada", "thr_a", "msg_1")
    assert (info.resumable, info.context, info.attempt, info.base) == (True, '{"user":"ada"}', 1, 0)
    assert found["turn_c"].info.attempt == 2
    assert found["turn_c"].next_base > third.seq + JUMP
    for turn_id in found:
        await log.settle(turn_id)
    assert await log.active(info.thread) == []
    await log.close()


async def test_its_running_turns_are_read_and_taken_over(database: Database) -> None:
    log, elsewhere = SQLiteStreamLog(database), SQLiteStreamLog(database)
    info = (await elsewhere.active(ThreadKey("ada", "thr_a")))[0]
    reader = await reader_of(elsewhere, info, 5)
    found = (await claimed(log))["turn_a"]
    again = replace(found, info=replace(found.info, attempt=2))
    writer = await log.take_over(again, snapshot=lambda _: [b"state"], on_stop=lambda: None)
    assert writer is not None
    writer.append(event(8))
    await patient(writer.close(EndState.COMPLETED))
    assert [entry.data for entry in await rest_of(reader)] == [event(6), event(7), b"state"]
    assert reader.end is EndState.COMPLETED
    await log.close()
    await elsewhere.close()


async def test_its_idempotency_keys_hold(database: Database) -> None:
    log = SQLiteStreamLog(database)
    held = await log.claim_key("ada", "key", KeyClaim("turn_z", "thr_a", "other", fresh=True))
    assert held == KeyClaim("turn_a", "thr_a", "body", fresh=False, user_item_id="msg_1")
    await log.close()
