"""Statements on the turns and chunks of an SQLite file, each within a transaction of its caller."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from chatkit.streams.backend import SEPARATOR, Chunk, Loaded, Save, SaveResult, SaveStatus, TurnRecord
from chatkit.streams.backends.sqlite_workers import SQL
from chatkit.streams.records import EndState, TurnInfo, fields_of, load_end
from chatkit.streams.window import KEY_RETENTION

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["PAGE", "end_turn", "forget_old", "info_of", "load_chunks", "record_of", "row_of", "save_one"]

PAGE: Final = 64
"""Chunks that one load brings: some 256 KiB."""
_PLAIN_RETENTION_SECONDS: Final = 10.0
"""Time for which a turn that is not resumable is kept for those that are reading it."""


def save_one(
    connection: Connection,
    holder: str,
    save: Save,
    known: tuple[Any, ...] | None,
    retention: float,
    *,
    private: bool,
) -> SaveResult:
    """Saves what a turn has appended, as far as ``holder`` still has it.

    Args:
        connection: The file.
        holder: The worker.
        save: What to save.
        known: How the turn stands, None where the file has nothing of it.
        retention: Seconds for which a turn is kept after its end.
        private: Deletes the turn at its end, for no other worker has seen it.
    """
    if known is None:
        return SaveResult(SaveStatus.MISSING, 0, stop=False)
    found_holder, last_seq, stop, ended, resumable = known
    if found_holder != holder or (ended and save.end is None):
        return SaveResult(SaveStatus.LOST, last_seq, bool(stop))
    if ended:
        return SaveResult(SaveStatus.SAVED, last_seq, bool(stop))
    if save.first_seq > last_seq + 1 and not save.snapshot_seq:
        return SaveResult(SaveStatus.GAP, last_seq, bool(stop))
    row: dict[str, object] = {"turn_id": save.turn_id}
    if save.end is not None and private:
        connection.execute(SQL["delete_turn"], row)
        connection.execute(SQL["delete_chunks"], row)
        return SaveResult(SaveStatus.SAVED, save.last_seq, bool(stop))
    if save.last_seq > last_seq:
        last_seq = save.last_seq
        if save.first_seq <= save.last_seq:
            chunk = {"first_seq": save.first_seq, "events": save.events, "jumps": 0}
            connection.execute(SQL["save_chunk"], row | chunk)
        connection.execute(SQL["save_progress"], row | {"last_seq": last_seq})
    if save.snapshot_seq:
        state = {"snapshot_seq": save.snapshot_seq, "snapshot": save.snapshot}
        connection.execute(SQL["save_snapshot"], row | state)
        connection.execute(SQL["trim_chunks"], row | {"keep_from": save.keep_from})
    if save.end is not None:
        end_turn(connection, save.turn_id, save.end, retention, resumable=bool(resumable))
    return SaveResult(SaveStatus.SAVED, last_seq, bool(stop))


def end_turn(
    connection: Connection, turn_id: str, end: EndState, retention: float, *, resumable: bool
) -> None:
    """Marks a turn as ended.

    Args:
        connection: The file.
        turn_id: The turn.
        end: How it ended.
        retention: Seconds for which it is kept.
        resumable: Whether readers may come back to it.
    """
    now = time.time()
    kept = retention if resumable else min(retention, _PLAIN_RETENTION_SECONDS)
    row = {"turn_id": turn_id, "ended": end.value}
    connection.execute(SQL["end_turn"], row | {"forget_at": now + kept})
    if resumable:
        connection.execute(SQL["keep_end"], row | {"forget_at": now + KEY_RETENTION})


def row_of(info: TurnInfo) -> dict[str, object]:
    """Returns the columns of a turn."""
    fields = fields_of(info)
    return {"turn_id": fields.pop("id")} | fields


def info_of(row: tuple[Any, ...]) -> TurnInfo:
    """Returns the turn of a row."""
    turn_id, thread_id, owner, resumable, user_item_id, started_at, context, attempt, base = row[:9]
    started = datetime.fromisoformat(started_at)
    return TurnInfo(turn_id, thread_id, owner, bool(resumable), user_item_id, started, context, attempt, base)


def record_of(row: tuple[Any, ...]) -> TurnRecord:
    """Returns the turn of a row, and how it ended."""
    return TurnRecord(info_of(row), load_end(row[9]))


def load_chunks(connection: Connection, turn_id: str, after: int) -> Loaded | None:
    """Returns a turn and the chunks with events after a number.

    Args:
        connection: The file.
        turn_id: The turn.
        after: The number.
    """
    row = connection.execute(SQL["load_turn"], {"turn_id": turn_id, "now": time.time()}).fetchone()
    if row is None:
        return None
    record, turn_seq = record_of(row), row[10]
    found = connection.execute(
        SQL["load_chunks"], {"turn_id": turn_id, "after": after, "limit": PAGE}
    ).fetchall()
    chunks: list[Chunk] = []
    for first_seq, events, jumps in found:
        last_seq = first_seq + events.count(SEPARATOR)
        if last_seq > after:
            chunks.append(Chunk(first_seq, last_seq, events, bool(jumps)))
    if record.end is not None and len(found) < PAGE:
        chunks.append(Chunk(turn_seq + 1, turn_seq, end=record.end))
    return Loaded(record, turn_seq, chunks)


def forget_old(connection: Connection) -> None:
    """Deletes what was kept for long enough."""
    now = {"now": time.time()}
    for query in ("forget_chunks", "forget_turns", "forget_ends"):
        connection.execute(SQL[query], now)
