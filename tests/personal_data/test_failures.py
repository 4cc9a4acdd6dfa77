"""What is away, locked or still running keeps an erasure from its end, and loses nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from chatkit._sqlite import rewriting
from chatkit.audit import MemoryAuditLog, Operator, Role
from chatkit.counters import RedisCounter
from chatkit.errors import (
    ConfigurationError,
    ErasureRunningError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    StoreUnavailableError,
)
from chatkit.files import S3FileStore
from chatkit.personal_data import PersonalData
from chatkit.personal_data._memory import MemoryPlace
from chatkit.personal_data.places import RunningTurn
from chatkit.store import MemoryStore, OwnerContext, SQLiteStore
from chatkit.streams import RedisStreamLog
from chatkit.testing._store_samples import message
from chatkit.types import FileAttachment, ThreadMetadata
from tests.personal_data.sample import ADA, BOB, fill
from tests.personal_data.worlds import World

NOWHERE = "redis://127.0.0.1:1/0"


async def filled(path: Path) -> SQLiteStore[Any]:
    store = SQLiteStore[Any](path)
    for owner in ("ada", "bob"):
        await store.save_thread(ThreadMetadata(id="thr"), OwnerContext(owner))
        await store.add_thread_item("thr", message("m"), OwnerContext(owner))
    return store


async def test_a_redis_that_is_away_keeps_all(tmp_path: Path) -> None:
    store = await filled(tmp_path / "chat.db")
    data = PersonalData(
        store, stream_log=RedisStreamLog(NOWHERE), beside=[RedisCounter(NOWHERE, prefix="b:")]
    )
    assert len(data.places) == 3
    for work in (data.erase("ada"), data.export("ada", tmp_path / "ada")):
        with pytest.raises(StoreUnavailableError, match="cannot be reached"):
            await work
    await data.close()
    assert not (tmp_path / "ada").exists()
    assert (await store.load_threads(9, None, "asc", OwnerContext("ada"))).data
    await store.close()


async def test_a_bucket_that_is_away_keeps_the_record_of_its_file(tmp_path: Path) -> None:
    store = await filled(tmp_path / "chat.db")
    record = FileAttachment(id="atc_1", name="a.txt", mime_type="text/plain", thread_id="thr")
    await store.save_attachment(record, OwnerContext("ada"))
    files = S3FileStore("b", endpoint="http://127.0.0.1:1", access_key_id="a", secret_access_key="s")
    data = PersonalData(store, files)
    with pytest.raises(StoreUnavailableError, match="cannot be used"):
        await data.erase("ada")
    assert (await store.load_attachment("atc_1", OwnerContext("ada"))).name == "a.txt"
    # The owner stays refused until it is done.
    with pytest.raises(ErasureRunningError):
        await store.save_thread(ThreadMetadata(id="thr_2"), OwnerContext("ada"))
    receipt = await PersonalData(store).erase("ada")
    assert receipt.erased["attachments"] == 1
    await store.save_thread(ThreadMetadata(id="thr_2"), OwnerContext("ada"))
    await store.close()


async def test_a_file_that_cannot_be_rewritten_is_told_and_done_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewriting, "_PATIENCE_SECONDS", 0.1)
    store = await filled(tmp_path / "chat.db")
    data = PersonalData(store)
    with closing(sqlite3.connect(tmp_path / "chat.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM threads").fetchall()
        receipt = await data.erase("ada")
        assert receipt.erased["threads"] == 1
        assert any("something reads the database all the time" in problem for problem in receipt.problems)
        assert "Not done:" in receipt.text()
        reader.execute("COMMIT")
    # Nobody knows any more whose it was.
    again = await data.erase("eve")
    assert (again.id, again.owner, again.problems) == (receipt.id, "", [])
    assert again.erased == receipt.erased
    with pytest.raises(NotFoundError, match=f"The last erasure, {receipt.id}, ended"):
        await data.erase("ada")
    await store.close()


async def test_no_vacuum_leaves_that_to_the_operator(tmp_path: Path) -> None:
    store = await filled(tmp_path / "chat.db")
    receipt = await PersonalData(store).erase("ada", vacuum="none")
    assert [problem for problem in receipt.problems if "run VACUUM" in problem]
    await store.close()


async def test_a_turn_that_does_not_end_keeps_all(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore[Any]()
    await store.save_thread(ThreadMetadata(id="thr"), OwnerContext("ada"))
    running = [RunningTurn("turn_1", lapsed=False)]

    async def still(self: Any, owner: str) -> list[RunningTurn]:
        return running

    monkeypatch.setattr(MemoryPlace, "running_turns", still)
    data = PersonalData(store)
    with pytest.raises(StoreUnavailableError, match=r"1 turns of .ada. did not end within 0\.1 s: turn_1"):
        await data.erase("ada", patience=0.1)
    assert await data.count("ada") == {"threads": 1}
    with pytest.raises(ErasureRunningError):
        await store.save_thread(ThreadMetadata(id="thr_2"), OwnerContext("ada"))
    running.clear()
    assert (await data.erase("ada")).erased == {"threads": 1}


async def test_sessions_and_uses_of_one_who_is_erased_are_refused(world: World) -> None:
    async with world.server() as (server, sessions):
        await fill(server, ADA, sessions)
        async with world.data() as data:
            await data.main.begin_erasure(ADA, "erasure_1")
            if world.redis is None:
                session = await sessions.find("cksess_adalovelace")
                with pytest.raises(ErasureRunningError):
                    await sessions.add(session.model_copy(update={"id": "cksess_other"}))
                with pytest.raises(ErasureRunningError):
                    await server.counter.take(f"quota:messages:60:owner:{ADA}", window=60.0)
            await server.counter.take(f"quota:messages:60:owner:{BOB}", window=60.0)
            with pytest.raises(ErasureRunningError):
                await server.send(ADA, "threads.list")
            await fill(server, BOB, sessions)


async def test_what_an_operator_may(tmp_path: Path) -> None:
    store, log = await filled(tmp_path / "chat.db"), MemoryAuditLog()
    reader = Operator("eve", frozenset({Role.READ}))
    data = PersonalData(store, operator=reader, audit=log)
    for work in (data.export("ada", tmp_path / "ada", reason="R"), data.erase("ada", reason="R")):
        with pytest.raises(PermissionDeniedError, match="eve needs the role"):
            await work
    allowed = PersonalData(store, operator=Operator("eve", frozenset({Role.ERASE})), audit=log)
    with pytest.raises(InvalidRequestError, match="Give a reason"):
        await allowed.erase("ada")
    assert await log.entries() == []
    await allowed.erase("ada", reason="R-1")
    entries = await log.entries()
    assert [(entry.kind, entry.actor.name, entry.reason) for entry in entries] == [
        ("data.erased", "eve", "R-1")
    ] * 2
    # Its key is destroyed in a log of its own, too.
    assert await log.pseudonym("ada") is None
    await store.close()


async def test_no_operator_is_given_content_without_an_audit_log(tmp_path: Path) -> None:
    store = MemoryStore()
    await store.save_thread(ThreadMetadata(id="thr"), OwnerContext("ada"))
    reader = Operator("eve", frozenset({Role.EXPORT}))
    with pytest.raises(ConfigurationError, match="no audit log"):
        await PersonalData(store, operator=reader).export("ada", tmp_path / "ada", reason="R")
    assert not (tmp_path / "ada").exists()
    # A person who asks for their own data needs none.
    await PersonalData(store).export("ada", tmp_path / "ada")


async def test_two_erasures_of_one_owner_at_once_are_one(world: World) -> None:
    async with world.server() as (server, sessions):
        await fill(server, ADA, sessions)
    async with world.data() as data, world.data() as other:
        kept = await data.count(ADA)
        done = await asyncio.gather(data.erase(ADA), other.erase(ADA), return_exceptions=True)
    receipts = [entry for entry in done if not isinstance(entry, BaseException)]
    assert receipts
    assert len({receipt.id for receipt in receipts}) == 1
    erased = dict(receipts[-1].erased)
    assert {name: erased[name] for name in kept} == kept
