"""What a verification of the audit log finds, and what it cannot find without a published head."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from chatkit.audit import Actor, AuditEvent, Head, SQLiteAuditLog, Verification, verification, verify_log
from chatkit.audit.entries import hash_of
from chatkit.errors import StoreError

Tamper = Callable[[sqlite3.Connection], None]


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SQLiteAuditLog]:
    """A log with eight entries."""
    made = SQLiteAuditLog(tmp_path / "chatkit.db")
    for number in range(1, 9):
        event = AuditEvent(kind="content.read", actor=Actor("local", "eve"), reason=f"ticket {number}")
        await made.record(event)
    yield made
    await made.close()


async def tampered(log: SQLiteAuditLog, work: Tamper) -> None:
    """Changes what is stored, as one can who has the file: the triggers that refuse it are dropped."""
    with closing(sqlite3.connect(log._database.path)) as connection, connection:
        connection.execute("DROP TRIGGER IF EXISTS audit_is_not_changed")
        connection.execute("DROP TRIGGER IF EXISTS audit_is_not_deleted")
        work(connection)


def rewrite(
    connection: sqlite3.Connection, first: int, change: Callable[[dict[str, object]], None], last: int = 99
) -> None:
    """Writes the chain anew from an entry on, with a change of that one."""
    rows = connection.execute("SELECT number, data, hash FROM audit ORDER BY number").fetchall()
    previous = ""
    for number, stored, stored_hash in rows:
        data, hash_ = stored, stored_hash
        if first <= number <= last:
            fields = json.loads(stored)
            if number == first:
                change(fields)
            else:
                fields["previous"] = previous
            data = json.dumps(fields, sort_keys=True, separators=(",", ":"))
            hash_ = hash_of(data)
            connection.execute("UPDATE audit SET data = ?, hash = ? WHERE number = ?", (data, hash_, number))
        previous = hash_


def deny(fields: dict[str, object]) -> None:
    fields["reason"] = "nothing to see"


def kinds(found: Verification) -> list[tuple[str, int, int]]:
    return [(fault.kind, fault.first, fault.last) for fault in found.faults]


def change_text(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE audit SET data = replace(data, 'ticket 3', 'ticket 9') WHERE number = 3")


def change_text_and_hash(connection: sqlite3.Connection) -> None:
    rewrite(connection, 3, deny, last=3)


def change_column(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE audit SET actor = 'mallory' WHERE number = 3")


def spoil(connection: sqlite3.Connection) -> None:
    connection.execute(
        "UPDATE audit SET data = ?, hash = ?, at = 'x' WHERE number = 3", ("[]", hash_of("[]"))
    )


def delete(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM audit WHERE number IN (3, 4)")


def delete_first(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM audit WHERE number < 3")


def delete_and_close_the_gap(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM audit WHERE number = 3")
    connection.execute("UPDATE audit SET number = -number WHERE number > 3")
    connection.execute("UPDATE audit SET number = -number - 1 WHERE number < 0")


def swap(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE audit SET number = 99 WHERE number = 3")
    connection.execute("UPDATE audit SET number = 3 WHERE number = 4")
    connection.execute("UPDATE audit SET number = 4 WHERE number = 99")


def say_trimmed_up_to_no_number(connection: sqlite3.Connection) -> None:
    rewrite(connection, 8, lambda fields: fields.update(kind="audit.trimmed", details={"through": "x"}))
    connection.execute("UPDATE audit SET kind = 'audit.trimmed', through = 'x' WHERE number = 8")


def say_trimmed(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM audit WHERE number < 3")
    rewrite(
        connection, 8, lambda fields: fields.update(kind="audit.trimmed", details={"through": 2, "hash": "0"})
    )
    connection.execute("UPDATE audit SET kind = 'audit.trimmed', through = 2 WHERE number = 8")


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (change_text, [("changed", 3, 3)]),
        (change_text_and_hash, [("changed", 3, 4)]),
        (change_column, [("changed", 3, 3)]),
        (spoil, [("changed", 3, 3)]),
        (delete, [("missing", 3, 4)]),
        (delete_first, [("missing", 1, 2)]),
        (delete_and_close_the_gap, [("reordered", number, number) for number in range(3, 8)]),
        (swap, [("reordered", 3, 3), ("reordered", 4, 4)]),
        (say_trimmed, [("missing", 3, 3)]),
        (say_trimmed_up_to_no_number, [("changed", 8, 8)]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_what_is_found_without_a_head(
    log: SQLiteAuditLog, tamper: Tamper, expected: list[tuple[str, int, int]]
) -> None:
    await tampered(log, tamper)
    found = await verify_log(log)
    assert kinds(found) == expected
    assert f"ntry {expected[0][1]}" in found.faults[0].message or "ntries" in found.faults[0].message


def cut_tail(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM audit WHERE number > 5")


def cut_all(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM audit")


def rewrite_chain(connection: sqlite3.Connection) -> None:
    rewrite(connection, 3, deny)


def rewrite_last(connection: sqlite3.Connection) -> None:
    rewrite(connection, 8, deny)


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (cut_tail, [("cut", 6, 8)]),
        (cut_all, [("cut", 1, 8)]),
        (rewrite_chain, [("rewritten", 8, 8)]),
        (rewrite_last, [("rewritten", 8, 8)]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_what_is_found_with_a_published_head_only(
    log: SQLiteAuditLog, tamper: Tamper, expected: list[tuple[str, int, int]]
) -> None:
    published = await log.head()
    assert published is not None
    assert (await verify_log(log, [published])).faults == []
    await tampered(log, tamper)
    assert (await verify_log(log)).faults == []
    assert kinds(await verify_log(log, [published])) == expected


async def test_several_heads_say_from_where_on_a_chain_was_rewritten(log: SQLiteAuditLog) -> None:
    published = [entry.head for entry in await log.entries()][1::2]
    await tampered(log, rewrite_chain)
    found = await verify_log(log, published)
    assert found.covered == 2
    assert kinds(found) == [("rewritten", number, number) for number in (4, 6, 8)]


async def test_a_head_of_the_last_entry_that_was_trimmed_is_compared_with_what_the_log_says(
    log: SQLiteAuditLog,
) -> None:
    entries = await log.entries()
    trimmed = await log.trim(entries[5].at, Actor("local", "eve"), "old")
    published = entries[trimmed.count - 1].head
    found = await verify_log(log, [published])
    assert (found.faults, found.covered) == ([], published.number)
    found = await verify_log(log, [published._replace(hash="f" * 64)])
    assert kinds(found) == [("rewritten", published.number, published.number)]


async def test_what_came_after_the_last_head_is_not_covered(log: SQLiteAuditLog) -> None:
    published = (await log.entries())[4].head
    await tampered(log, rewrite_last)
    found = await verify_log(log, [published])
    assert (found.faults, found.covered) == ([], 5)


async def test_entries_that_are_trimmed_while_a_log_is_verified_are_not_missing(
    log: SQLiteAuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "_PAGE", 2)
    entries = await log.entries()
    load = log.rows

    async def rows(*arguments: Any, **options: Any) -> Any:
        found = await load(*arguments, **options)
        if options.get("after") == 2 and found[0].number == 3:
            await log.trim(entries[6].at, Actor("local", "eve"), "old")
        return found

    monkeypatch.setattr(log, "rows", rows)
    found = await verify_log(log)
    assert (found.faults, found.count, found.trimmed) == ([], 3, 6)


async def test_what_cannot_be_read_keeps_nobody_from_recording_more(log: SQLiteAuditLog) -> None:
    await tampered(log, spoil)
    event = AuditEvent(kind="content.read", actor=Actor("server"), subject="thr_1")
    assert await log.record(event, unless_same=True) is not None
    assert await log.record(event, unless_same=True) is None


async def test_an_entry_that_was_changed_is_not_listed(log: SQLiteAuditLog) -> None:
    await tampered(log, spoil)
    with pytest.raises(StoreError, match="Entry 3 of the audit log was changed"):
        await log.entries()


async def test_no_more_than_a_hundred_faults_are_told(tmp_path: Path) -> None:
    log = SQLiteAuditLog(tmp_path / "many.db")
    for _ in range(110):
        await log.record(AuditEvent(kind="content.read", actor=Actor("local", "eve")))
    await tampered(log, lambda c: c.execute("UPDATE audit SET actor = 'mallory'").fetchall() and None)
    assert len((await verify_log(log)).faults) == 100
    await log.close()


def test_heads_are_found_in_any_text() -> None:
    head = Head(17, "ab" * 32)
    lines = f'INFO: the audit log ends at {head}\n{{"head":"{Head(18, "cd" * 32)}"}} 19:{"ef" * 33}'
    assert Head.find(lines) == [head, Head(18, "cd" * 32)]
