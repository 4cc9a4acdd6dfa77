"""What every audit log does, in memory, in SQLite and in PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chatkit.audit import (
    Actor,
    AuditEvent,
    AuditFilter,
    AuditKind,
    AuditLog,
    MemoryAuditLog,
    PostgresAuditLog,
    SQLiteAuditLog,
    audit_log_of,
    verify_log,
)
from chatkit.errors import InvalidRequestError, StoreError
from chatkit.store import MemoryStore, PostgresStore, SQLiteStore

EVE = Actor("local", "eve")
FOREVER = datetime(9999, 1, 1, tzinfo=UTC)


def read_by(name: str = "eve", owner: str | None = "ada-lovelace", **more: Any) -> AuditEvent:
    return AuditEvent(kind=AuditKind.CONTENT_READ, actor=Actor("local", name), owner=owner, **more)


@pytest.fixture
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], AuditLog]:
    """Returns what makes a log, always over the same database."""
    if request.param == "memory":
        return MemoryAuditLog
    if request.param == "sqlite":
        return lambda: SQLiteAuditLog(tmp_path / "chatkit.db")
    url = request.getfixturevalue("postgres_database")
    return lambda: PostgresAuditLog(url)


@pytest.fixture
async def log(make: Callable[[], AuditLog]) -> AsyncIterator[AuditLog]:
    made = make()
    yield made
    await made.close()


everywhere = pytest.mark.parametrize("make", ["memory", "sqlite", "postgres"], indirect=True)
in_databases = pytest.mark.parametrize("make", ["sqlite", "postgres"], indirect=True)


@everywhere
async def test_entries_continue_one_another(log: AuditLog) -> None:
    assert await log.head() is None
    assert await log.entries() == []
    first = await log.record(
        read_by(
            subject="thr_1", reason="ticket 7: Ünïcödé", details={"items": 3, "nested": {"a": [None, True]}}
        )
    )
    second = await log.record(AuditEvent(kind="ticket.opened", actor=Actor("server")))
    assert first is not None
    assert second is not None
    assert (first.number, second.number) == (1, 2)
    assert second.previous == first.hash
    assert await log.entries() == [first, second]
    assert first.details == {"items": 3, "nested": {"a": [None, True]}}
    assert second.owner is None
    assert await log.head() == second.head
    found = await verify_log(log, [first.head, second.head])
    assert (found.faults, found.count, found.head, found.covered) == ([], 2, second.head, 2)


@everywhere
async def test_entries_are_found_by_what_they_are_about(log: AuditLog) -> None:
    for name, owner in [("eve", "ada-lovelace"), ("mallory", "ada-lovelace"), ("eve", "bob"), ("eve", None)]:
        await log.record(read_by(name, owner))
    await log.record(AuditEvent(kind=AuditKind.DATA_ERASED, actor=EVE, owner="bob"))

    async def numbers(
        *, limit: int = 100, after: int | None = None, newest_first: bool = False, **wanted: Any
    ):
        found = await log.entries(AuditFilter(**wanted), limit=limit, after=after, newest_first=newest_first)
        return [entry.number for entry in found]

    assert await numbers(kind="content.read") == [1, 2, 3, 4]
    assert await numbers(actor="mallory") == [2]
    assert await numbers(owner=await log.pseudonym("bob")) == [3, 5]
    assert await numbers(limit=2) == [1, 2]
    assert await numbers(limit=2, after=2) == [3, 4]
    assert await numbers(limit=2, newest_first=True) == [5, 4]
    assert await numbers(limit=2, after=4, newest_first=True) == [3, 2]
    (third,) = await log.entries(limit=1, after=2)
    assert await numbers(since=third.at) == [3, 4, 5]
    assert await numbers(until=third.at) == [1, 2]


@everywhere
async def test_an_owner_is_a_pseudonym_that_nobody_can_tell_once_its_key_is_destroyed(log: AuditLog) -> None:
    assert await log.pseudonym("ada-lovelace") is None
    for owner in ("ada-lovelace", "bob", "ada-lovelace"):
        await log.record(read_by(owner=owner))
    first, second, third = await log.entries()
    assert first.owner == third.owner == await log.pseudonym("ada-lovelace") != second.owner
    assert "ada-lovelace" not in str(await log.rows())
    assert await log.destroy_key("ada-lovelace")
    assert not await log.destroy_key("ada-lovelace")
    assert await log.pseudonym("ada-lovelace") is None
    later = await log.record(read_by(owner="ada-lovelace"))
    assert later is not None
    assert later.owner != first.owner
    assert [entry.owner for entry in await log.entries()] == [
        first.owner,
        second.owner,
        first.owner,
        later.owner,
    ]
    assert (await verify_log(log)).faults == []


@everywhere
async def test_what_is_as_before_is_not_recorded_again(log: AuditLog) -> None:
    def limits(**details: Any) -> AuditEvent:
        return AuditEvent(kind=AuditKind.LIMITS_CHANGED, actor=Actor("server"), details=details)

    assert await log.record(limits(messages=20, files={"bytes": 1}), unless_same=True) is not None
    await log.record(read_by())
    assert await log.record(limits(files={"bytes": 1}, messages=20), unless_same=True) is None
    assert await log.record(limits(messages=30, files={"bytes": 1}), unless_same=True) is not None
    assert await log.record(limits(messages=20, files={"bytes": 1}), unless_same=True) is not None
    assert len(await log.entries()) == 4


@everywhere
async def test_old_entries_are_deleted_by_an_entry_that_says_so(log: AuditLog) -> None:
    for _ in range(5):
        await log.record(read_by())
    fourth = (await log.entries())[3]
    published = (await log.entries())[2].head
    trimmed = await log.trim(fourth.at, EVE, "kept for a year")
    assert trimmed.count == 3
    assert trimmed.entry is not None
    assert trimmed.entry.number == 6
    assert trimmed.entry.details == {"through": 3, "hash": published.hash}
    assert [entry.number for entry in await log.entries()] == [4, 5, 6]
    found = await verify_log(log, [published])
    assert (found.faults, found.first, found.trimmed, found.covered) == ([], 4, 3, 3)
    assert (await log.trim(fourth.at, EVE, "again")).entry is None
    # Everything, but for the entry that says so.
    assert (await log.trim(FOREVER, EVE, "all")).count == 3
    assert [entry.number for entry in await log.entries()] == [7]
    assert (await verify_log(log)).faults == []
    last = await log.record(read_by())
    assert last is not None
    assert last.number == 8


@everywhere
async def test_nothing_is_trimmed_that_is_young(log: AuditLog) -> None:
    await log.record(read_by())
    trimmed = await log.trim(datetime.now(UTC) - timedelta(days=1), EVE, "kept for a day")
    assert (trimmed.count, trimmed.entry) == (0, None)


@everywhere
async def test_only_trimming_says_that_entries_were_trimmed(log: AuditLog) -> None:
    with pytest.raises(InvalidRequestError, match="trim"):
        await log.record(
            AuditEvent(kind=AuditKind.AUDIT_TRIMMED, actor=EVE, details={"through": 7, "hash": ""})
        )


@in_databases
async def test_workers_that_append_at_once_make_one_chain(make: Callable[[], AuditLog]) -> None:
    logs = [make() for _ in range(3)]
    await asyncio.gather(
        *(
            log.record(read_by(f"worker {number}", "ada-lovelace"))
            for number, log in enumerate(logs)
            for _ in range(20)
        )
    )
    found = await verify_log(logs[0])
    assert (found.faults, found.count) == ([], 60)
    entries = await logs[1].entries()
    assert len({entry.owner for entry in entries}) == 1
    assert len({entry.actor.name for entry in entries}) == 3
    for log in logs:
        await log.close()


@in_databases
async def test_a_database_refuses_changes(log: AuditLog) -> None:
    for _ in range(3):
        await log.record(read_by())
    prefix = "chatkit." if isinstance(log, PostgresAuditLog) else ""
    changes = [
        f"UPDATE {prefix}audit SET actor = 'nobody' WHERE number = 2",
        f"DELETE FROM {prefix}audit WHERE number = 2",
        f"DELETE FROM {prefix}audit",
    ]
    if prefix:
        changes.append("TRUNCATE chatkit.audit")
    for change in changes:
        with pytest.raises(StoreError, match="entries of the audit log are"):
            await execute(log, change)
    assert (await verify_log(log)).count == 3


async def execute(log: AuditLog, statement: str) -> None:
    """Has the database of a log do something."""
    if isinstance(log, SQLiteAuditLog):
        await log._database.write(lambda connection: connection.execute(statement))
    elif isinstance(log, PostgresAuditLog):
        await log._database.write(lambda transaction: transaction.rows(statement))


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "Content read"},
        {"kind": ""},
        {"reason": "two\nlines"},
        {"reason": "\u202etxet"},
        {"reason": "x" * 1001},
        {"subject": "x" * 513},
        {"details": {"x": object()}},
        {"details": {"x": float("nan")}},
        {"details": {"x": "x" * 20_000}},
    ],
)
def test_what_cannot_be_recorded_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        AuditEvent(**{"kind": "content.read", "actor": EVE, **wrong})


@pytest.mark.parametrize(
    "actor", [("local", ""), ("local", "x" * 300), ("signed_in", "a\x1b[2J"), ("owner", "", "\n")]
)
def test_who_cannot_be_an_actor(actor: Any) -> None:
    with pytest.raises(InvalidRequestError):
        Actor(*actor)


async def test_a_store_has_its_log_in_the_same_database(tmp_path: Path, postgres_database: str) -> None:
    for store in (SQLiteStore[Any](tmp_path / "chatkit.db"), PostgresStore[Any](postgres_database)):
        log = audit_log_of(store)
        assert log is not None
        await log.record(read_by())
        await log.close()
        # The store's connections are the store's to close.
        await store.check()
        await store.close()
    assert audit_log_of(MemoryStore[Any]()) is None
    assert audit_log_of(object()) is None
