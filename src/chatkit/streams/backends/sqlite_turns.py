"""Statements on the turns, chunks and keys of an SQLite file, each within a transaction of its caller."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from chatkit.streams.backend import (
    FORGET_BATCH,
    SEPARATOR,
    Chunk,
    Loaded,
    Save,
    SaveResult,
    SaveStatus,
    TurnRecord,
)
from chatkit.streams.backends.sqlite_workers import SQL
from chatkit.streams.records import EndState, KeyClaim, ThreadKey, TurnInfo, fields_of, load_end
from chatkit.streams.window import KEY_RETENTION

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = [
    "PAGE",
    "bind_key",
    "end_turn",
    "forget_old",
    "forget_thread",
    "info_of",
    "load_chunks",
    "load_key",
    "old_since",
    "record_of",
    "row_of",
    "save_one",
]

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


def old_since() -> dict[str, object]:
    """Returns the moments up to which what is kept is old."""
    now = time.time()
    return {"now": now, "horizon": now - KEY_RETENTION}


def forget_old(connection: Connection) -> bool:
    """Deletes what was kept for long enough, and returns whether there may be more of it."""
    row = old_since() | {"limit": FORGET_BATCH}
    connection.execute(SQL["forget_chunks"], row)
    queries = ("forget_turns", "forget_ends", "forget_keys")
    return max([connection.execute(SQL[query], row).rowcount for query in queries]) >= FORGET_BATCH


def forget_thread(connection: Connection, thread: ThreadKey) -> None:
    """Deletes the turns of a thread, and keeps of those that still run that they are over."""
    row = {"thread_id": thread.thread_id, "owner": thread.owner}
    connection.execute(SQL["end_turns_of_thread"], row | {"forget_at": time.time() + KEY_RETENTION})
    connection.execute(SQL["forget_chunks_of_thread"], row)
    connection.execute(SQL["forget_turns_of_thread"], row)


def bind_key(connection: Connection, owner: str, key: str, claim: KeyClaim) -> KeyClaim | None:
    """Binds an idempotency key; returns what it is bound to if it is bound already."""
    now = time.time()
    row = {
        "owner": owner,
        "key": key,
        "fingerprint": claim.fingerprint,
        "turn_id": claim.turn_id,
        "thread_id": claim.thread_id,
        "user_item_id": claim.user_item_id,
        "created_at": now,
    }
    connection.execute(SQL["forget_key_if_old"], row | {"horizon": now - KEY_RETENTION})
    if connection.execute(SQL["claim_key"], row).rowcount:
        return None
    return load_key(connection, owner, key)


def load_key(connection: Connection, owner: str, key: str) -> KeyClaim | None:
    """Returns what an idempotency key is bound to."""
    found = connection.execute(SQL["load_key"], {"owner": owner, "key": key}).fetchone()
    if found is None:
        return None
    turn_id, thread_id, fingerprint, item_id = found
    return KeyClaim(turn_id, thread_id, fingerprint, fresh=False, user_item_id=item_id)
