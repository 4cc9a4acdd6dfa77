"""What an operator may look at and do, with which role, and what is recorded of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from chatkit.admin import Admin
from chatkit.audit import AuditLog, MemoryAuditLog, Operator, Role, audit_log_of, verify_log
from chatkit.errors import (
    ConfigurationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    StoreUnavailableError,
    UnsupportedOperationError,
)
from chatkit.ids import utc_now
from chatkit.store import Acceptance, MemoryStore, OwnerContext, SQLiteStore, TurnWrites
from chatkit.streams import EndState, MemoryStreamLog
from chatkit.testing._log_base import open_turn, patient, turn
from chatkit.testing._store_samples import message, user_message
from chatkit.types import ThreadMetadata
from chatkit.usage import Usage, UsageRecord
from tests.support.scale import scaled

REASON = "ticket 7"


def operator(*roles: Role) -> Operator:
    return Operator("eve", frozenset(roles))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLiteStore[Any]]:
    made = SQLiteStore[Any](tmp_path / "chatkit.db")
    for owner, thread_id in (("ada", "thr_1"), ("ada", "thr_2"), ("bob", "thr_1")):
        context = OwnerContext(owner)
        metadata = {"chatkit.feedback": {f"{thread_id}_0": "positive"}} if owner == "ada" else {}
        await made.save_thread(
            ThreadMetadata(id=thread_id, title="the diagnosis", metadata=metadata), context
        )
        for number in range(3):
            await made.add_thread_item(thread_id, message(f"{thread_id}_{number}", "the illness"), context)
    yield made
    await made.close()


def audit_of(store: SQLiteStore[Any]) -> AuditLog:
    log = audit_log_of(store)
    assert log is not None
    return log


class Untouchable(SQLiteStore[Any]):
    """A store whose content nobody may load."""

    async def load_thread(self, *arguments: Any) -> Any:
        raise AssertionError("Content was read.")

    load_thread_items = load_item = load_threads = load_thread


async def test_content_is_shown_once_it_is_recorded(store: SQLiteStore[Any]) -> None:
    admin = Admin(store, operator=operator(Role.READ))
    opened = await admin.open_thread("thr_2", f"  {REASON} ")
    assert opened.thread.title == "the diagnosis"
    assert [item.id async for item in opened.items()] == ["thr_2_0", "thr_2_1", "thr_2_2"]
    log = audit_of(store)
    (entry,) = await log.entries()
    assert (entry.kind, entry.subject, entry.reason) == ("content.read", "thr_2", REASON)
    assert (entry.actor.kind, entry.actor.name) == ("signed_in", "eve")
    assert entry.owner == await log.pseudonym("ada")
    assert "the " not in str(await log.rows())
    assert (await verify_log(log)).faults == []


@pytest.mark.parametrize("reason", [None, "", "   ", "two\nlines"])
async def test_content_without_a_reason_is_refused_before_anything_is_read(
    store: SQLiteStore[Any], reason: str | None
) -> None:
    untouchable = Untouchable(store.database.path)
    with pytest.raises(InvalidRequestError, match="reason"):
        await Admin(untouchable, operator=operator(Role.READ)).open_thread("thr_2", reason)
    assert await audit_of(store).entries() == []
    await untouchable.close()


@pytest.mark.parametrize("roles", [(), (Role.EXPORT, Role.ERASE, Role.DECIDE)])
async def test_content_without_the_role_is_refused_before_anything_is_read(
    store: SQLiteStore[Any], roles: tuple[Role, ...]
) -> None:
    untouchable = Untouchable(store.database.path)
    with pytest.raises(PermissionDeniedError, match="the role 'read'"):
        await Admin(untouchable, operator=operator(*roles)).open_thread("thr_2", REASON)
    assert await audit_of(store).entries() == []
    await untouchable.close()


async def test_content_is_refused_while_that_cannot_be_recorded(store: SQLiteStore[Any]) -> None:
    class Away(MemoryAuditLog):
        async def _append(self, *arguments: Any, **options: Any) -> Any:
            raise StoreUnavailableError("The audit log is away.")

    untouchable = Untouchable(store.database.path)
    with pytest.raises(StoreUnavailableError, match="The audit log is away"):
        await Admin(untouchable, audit=Away(), operator=operator(Role.READ)).open_thread("thr_2", REASON)
    await untouchable.close()


async def test_whose_thread_is_meant_is_asked_where_two_have_one(store: SQLiteStore[Any]) -> None:
    admin = Admin(store, operator=operator(Role.READ))
    with pytest.raises(ConflictError, match="2 owners have a thread 'thr_1'"):
        await admin.open_thread("thr_1", REASON)
    with pytest.raises(NotFoundError, match="no thread 'thr_9'"):
        await admin.open_thread("thr_9", REASON)
    with pytest.raises(NotFoundError, match="no thread 'thr_2'"):
        await admin.open_thread("thr_2", REASON, owner="bob")
    assert await audit_of(store).entries() == []
    opened = await admin.open_thread("thr_1", REASON, owner="bob")
    assert opened.owner == "bob"


async def test_any_role_looks_at_counts_and_none_at_nothing(store: SQLiteStore[Any]) -> None:
    admin = Admin(store, operator=operator(Role.ERASE))
    assert [owner.owner for owner in await admin.owners()] == ["ada", "bob"]
    assert [thread.id for thread in await admin.threads("ada")] == ["thr_2", "thr_1"]
    assert [(rating.owner, rating.thread_id, rating.item_id) async for rating in admin.feedback()] == [
        ("ada", "thr_2", "thr_2_0"),
        ("ada", "thr_1", "thr_1_0"),
    ]
    assert [rating.kind async for rating in admin.feedback("ada")] == ["positive", "positive"]
    assert [rating async for rating in admin.feedback("bob")] == []
    assert await admin.running() == []
    nobody = Admin(store, operator=operator())
    with pytest.raises(PermissionDeniedError, match="eve needs a role"):
        await nobody.owners()
    with pytest.raises(PermissionDeniedError):
        await nobody.running()
    with pytest.raises(PermissionDeniedError):
        [rating async for rating in nobody.feedback()]
    assert await audit_of(store).entries() == []


async def test_what_an_application_keeps_beside_thumbs_is_content(store: SQLiteStore[Any]) -> None:
    kept = {"msg_1": "negative", "msg_2": {"kind": "negative", "comment": "my illness"}, "msg_3": "\x1b[2J"}
    thread = ThreadMetadata(id="thr_1", metadata={"chatkit.feedback": kept})
    await store.save_thread(thread, OwnerContext("bob"))
    found = [rating async for rating in Admin(store, operator=operator(Role.ERASE)).feedback("bob")]
    assert [(rating.item_id, rating.kind) for rating in found] == [("msg_1", "negative")]


async def test_usage_is_that_of_all_owners_or_of_one(store: SQLiteStore[Any]) -> None:
    now = utc_now()
    for owner in ("ada", "bob"):
        record = UsageRecord("turn", "1", "thr", None, Usage("m", 10, output_tokens=5), Decimal(1), now)
        await store.add_usage(record, OwnerContext(owner))
    admin = Admin(store, operator=operator(Role.READ))
    day = timedelta(days=1)
    assert {total.owner for total in await admin.usage(now - day, now + day)} == {"ada", "bob"}
    assert [total.owner for total in await admin.usage(now - day, now + day, "bob")] == ["bob"]


async def test_a_turn_is_stopped_once_that_is_recorded(store: SQLiteStore[Any]) -> None:
    log, stops = MemoryStreamLog(), list[str]()
    info = replace(turn("thr_1", owner="ada"), context='{"token":"secret"}')
    writer = await log.open(info, snapshot=lambda after: [], on_stop=lambda: stops.append(info.id))
    admin = Admin(store, log, operator=operator(Role.DECIDE))
    (held,) = await admin.running()
    assert held.info == replace(info, context=None)
    for who, reason, error in (
        (operator(Role.READ), REASON, PermissionDeniedError),
        (operator(Role.DECIDE), "", InvalidRequestError),
    ):
        with pytest.raises(error):
            await Admin(store, log, operator=who).stop(info.id, reason)
    with pytest.raises(NotFoundError, match="no turn 'turn_9'"):
        await admin.stop("turn_9", REASON)
    assert await audit_of(store).entries() == []
    assert stops == []

    stopping = asyncio.create_task(admin.stop(info.id, REASON))
    async with asyncio.timeout(scaled(10)):
        while not stops:
            await asyncio.sleep(0.01)
        await writer.close(EndState.STOPPED)
        assert await stopping
    (entry,) = await audit_of(store).entries()
    assert (entry.kind, entry.subject, entry.details) == ("turn.stopped", info.id, {"thread": "thr_1"})


async def test_turns_that_nobody_goes_on_with_are_told(store: SQLiteStore[Any]) -> None:
    context = OwnerContext("ada")
    for number, opened in enumerate([False, True, True]):
        writes = TurnWrites(message=user_message(f"msg_{number}"))
        turn_id = f"turn_{number}"
        accepted = await store.accept_turn(
            Acceptance(turn_id, "thr_1", 0.001, writes, f"msg_{number}"), context
        )
        if opened:
            await store.open_turn(turn_id, accepted.token, context)
    waiting = Acceptance(
        "turn_3", "thr_1", 0.001, TurnWrites(message=user_message("msg_3")), "msg_3", policy="enqueue"
    )
    await store.accept_turn(waiting, context)
    log = store.stream_log()
    # One of them runs, as the log knows.
    info = replace(turn("thr_1", owner="ada", resumable=True), id="turn_2")
    _, writer = await open_turn(log, info)
    await patient(writer.flush())
    admin = Admin(store, operator=operator(Role.READ))
    found = {stuck.turn_id: stuck async for stuck in admin.stuck()}
    assert set(found) == {"turn_0", "turn_1", "turn_3"}
    assert found["turn_0"].why == "It was accepted, and its worker is gone before it began."
    assert found["turn_1"].why == "The store has not heard of its end, and the stream log does not know it."
    assert found["turn_3"].why == "It waits in its thread's queue, and its worker is gone."
    assert all(stuck.owner == "ada" and (stuck.seconds or 0) > 0 for stuck in found.values())
    await patient(writer.close(EndState.COMPLETED))
    await log.close()


async def test_a_store_that_cannot_tell_says_so() -> None:
    store = MemoryStore[Any]()
    admin = Admin(store, operator=operator(*Role))
    for asking in (admin.owners(), admin.threads("ada"), admin.open_thread("thr", REASON, owner="ada")):
        with pytest.raises((UnsupportedOperationError, ConfigurationError), match="MemoryStore"):
            await asking
    with pytest.raises(UnsupportedOperationError, match="MemoryStore brings no stream log"):
        await admin.running()
    with pytest.raises(UnsupportedOperationError, match=r"object is no chatkit\.store\.Store"):
        Admin(object(), operator=operator(*Role))  # type: ignore[arg-type]


async def test_no_content_without_an_audit_log(store: SQLiteStore[Any]) -> None:
    class NoDatabase(SQLiteStore[Any]):
        pass

    bare = NoDatabase(store.database.path)
    database, bare.database = bare.database, None  # type: ignore[assignment]
    with pytest.raises(ConfigurationError, match="brings no audit log"):
        await Admin(bare, operator=operator(Role.READ)).open_thread("thr_2", REASON)
    await database.close()
