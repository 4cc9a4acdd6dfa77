"""What a server records in the audit log: refused sign-ins, deletions, its limits; and heads that it publishes."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import httpx2
import pytest
from fastapi import FastAPI

from chatkit import _observers
from chatkit.audit import Auditing, AuditLog, Head, MemoryAuditLog, SQLiteAuditLog, verify_log
from chatkit.errors import ConfigurationError, StoreUnavailableError
from chatkit.hosted import create_hosted_app
from chatkit.limits import Limits
from chatkit.quotas import Quota
from chatkit.store import MemoryStore, SQLiteStore
from chatkit.web import api_keys, create_app
from chatkit.web.fastapi import chatkit_router
from tests.web.sample import JSON, SampleServer, message

KEYS = {"a long random text": "ada"}
ADA = {"Authorization": "Bearer a long random text", **JSON}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def client_of(app: Any, address: str = "203.0.113.7") -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app, client=(address, 1))
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://x") as client,
    ):
        yield client


async def told(log: AuditLog, kind: str) -> list[Any]:
    return [entry for entry in await log.entries(limit=1000) if entry.kind == kind]


async def test_refused_sign_ins_are_recorded_once_a_minute(tmp_path: Path) -> None:
    log, clock = MemoryAuditLog(), Clock()
    auditing = Auditing(log, clock=clock)
    app = create_app(SampleServer(MemoryStore(), audit=auditing), context=api_keys(KEYS))
    async with client_of(app) as client:
        for _ in range(500):
            answer = await client.post("/chatkit", json=message("hi"), headers={"Authorization": "Bearer no"})
            assert answer.status_code == 401
        assert (await client.post("/chatkit", json=message("hi"))).status_code == 401
        assert (await client.post("/chatkit", json=message("hi"), headers=ADA)).status_code == 200
        clock.now += 61
        await auditing.tend()
        assert sum(entry.details["count"] for entry in await told(log, "sign_in.refused")) == 501
        clock.now += 61
        await auditing.tend()
    found = await told(log, "sign_in.refused")
    assert {entry.subject for entry in found} == {"203.0.113.7"}
    assert {entry.details["code"] for entry in found} == {"unauthenticated"}
    assert sum(entry.details["count"] for entry in found if not entry.details["credentials"]) == 1
    # One of them may have been recorded before the minute began.
    assert len(found) <= 3
    assert {entry.owner for entry in found} == {None}


async def test_a_flood_from_many_sources_does_not_flood_the_log() -> None:
    log, clock = MemoryAuditLog(), Clock()
    auditing = Auditing(log, clock=clock)
    auditing.tended = True
    for number in range(5000):
        await auditing.refused(f"2001:db8:0:{number:x}::1", "unauthenticated", has_credentials=True)
    await auditing.tend()
    found = await told(log, "sign_in.refused")
    assert len(found) == 101
    assert sum(entry.details["count"] for entry in found) == 5000
    assert found[0].subject == "2001:db8::/64"
    assert found[-1].subject == "others"
    await auditing.refused("2001:db8::1", "unauthenticated", has_credentials=True)
    await auditing.tend()
    assert len(await told(log, "sign_in.refused")) == 101
    # What is left is recorded at the end.
    await auditing.close()
    assert len(await told(log, "sign_in.refused")) == 102


async def test_a_flood_while_the_log_is_away_takes_no_more_room_by_the_minute() -> None:
    class Away(MemoryAuditLog):
        is_away = True

        async def record(self, *arguments: Any, **options: Any) -> Any:
            if not self.is_away:
                return await super().record(*arguments, **options)
            # It takes a while to notice, and the flood goes on.
            await flood()
            raise StoreUnavailableError("away")

    async def flood() -> None:
        nonlocal sent
        for _ in range(150):
            sent += 1
            await auditing.refused(f"2001:db8:0:{sent:x}::1", "unauthenticated", has_credentials=True)

    sent, log, clock = 0, Away(), Clock()
    auditing = Auditing(log, clock=clock)
    auditing.tended = True
    for _ in range(10):
        await flood()
        await auditing.tend()
        clock.now += 61
    log.is_away = False
    await auditing.tend()
    found = await told(log, "sign_in.refused")
    assert len(found) == 101
    assert sum(entry.details["count"] for entry in found) == sent == 3000


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (None, "unknown"),
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("a\x1b[2J", "a\\x1b[2J"),
    ],
)
async def test_where_a_refused_sign_in_came_from(address: str | None, shown: str) -> None:
    log = MemoryAuditLog()
    await Auditing(log, clock=Clock()).refused(address, "forbidden", has_credentials=False)
    assert [entry.subject for entry in await log.entries()] == [shown]


async def test_refusals_of_a_router_and_of_hosted_chatkit_are_recorded() -> None:
    log = MemoryAuditLog()
    app = FastAPI()
    server = SampleServer(MemoryStore(), audit=Auditing(log))
    router = chatkit_router(server, context=api_keys(KEYS))
    app.include_router(router)
    async with client_of(app) as client:
        assert (
            await client.post("/chatkit", json={}, headers={"Authorization": "Bearer no"})
        ).status_code == 401
    assert len(await told(log, "sign_in.refused")) == 1
    workflows = {"wf_1": SampleServer(MemoryStore(), audit=Auditing(log))}
    hosted = create_hosted_app(workflows, {"ck-for-the-tests-of-refusals": "acme"})
    async with client_of(hosted) as client:
        assert (
            await client.post("/v1/chatkit/sessions", headers={"Authorization": "Bearer no"})
        ).status_code == 401
        assert (await client.post("/chatkit", headers={"Authorization": "Bearer no"})).status_code == 401
    assert sum(entry.details["count"] for entry in await told(log, "sign_in.refused")) == 3


async def test_deletions_are_recorded_before_they_are_done(tmp_path: Path) -> None:
    store = SQLiteStore[Any](tmp_path / "chatkit.db")
    app = create_app(SampleServer(store, audit=True), context=api_keys(KEYS))
    log = SQLiteAuditLog(tmp_path / "chatkit.db")
    async with client_of(app) as client:
        answer = await client.post("/chatkit", json=message("hi"), headers=ADA)
        thread_id = json.loads(answer.text.splitlines()[0].removeprefix("data: "))["thread"]["id"]
        body = {"type": "threads.delete", "params": {"thread_id": thread_id}}
        assert (await client.post("/chatkit", json=body, headers=ADA)).status_code == 200
        assert (await client.post("/chatkit", json=body, headers=ADA)).status_code == 404
    (entry,) = await told(log, "thread.deleted")
    assert (entry.subject, entry.actor.kind, entry.actor.name) == (thread_id, "owner", "")
    assert entry.owner == await log.pseudonym("ada")
    assert (await verify_log(log)).faults == []
    await log.close()


class Away(MemoryAuditLog):
    """A log that cannot be reached."""

    async def _append(self, event: Any, *, unless_same: bool = False) -> Any:
        if event.kind != "limits.changed":
            raise StoreUnavailableError("The audit log is away.")
        return await super()._append(event, unless_same=unless_same)


async def test_nothing_is_deleted_that_cannot_be_recorded(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore[Any]()
    clock = Clock()
    auditing = Auditing(Away(), clock=clock)
    app = create_app(SampleServer(store, audit=auditing), context=api_keys(KEYS))
    async with client_of(app) as client:
        answer = await client.post("/chatkit", json=message("hi"), headers=ADA)
        thread_id = json.loads(answer.text.splitlines()[0].removeprefix("data: "))["thread"]["id"]
        body = {"type": "threads.delete", "params": {"thread_id": thread_id}}
        assert (await client.post("/chatkit", json=body, headers=ADA)).status_code == 503
        assert (await store.load_thread(thread_id, {"user_id": "ada"})).id == thread_id
        # Who is refused is told so, whatever becomes of the log.
        assert (await client.post("/chatkit", json=body)).status_code == 401
        clock.now += 61
        await auditing.tend()
    assert "The audit log cannot be written" in caplog.text
    assert auditing._refusals.total() == 1


async def test_limits_are_recorded_when_they_change(tmp_path: Path) -> None:
    async def start(limits: Limits) -> None:
        store = SQLiteStore[Any](tmp_path / "chatkit.db")
        app = create_app(SampleServer(store, audit=True, limits=limits), context=api_keys(KEYS))
        async with client_of(app):
            pass

    few = Limits(quotas=(Quota("messages", 5),))
    for limits in (few, few, Limits(), Limits(), few):
        await start(limits)
    log = SQLiteAuditLog(tmp_path / "chatkit.db")
    found = await told(log, "limits.changed")
    assert [len(entry.details["limits"]["quotas"]) for entry in found] == [1, 0, 1]
    assert found[0].details["limits"]["quotas"] == [
        {"by": "owner", "most": "5", "seconds": 60.0, "what": "messages"}
    ]
    assert found[0].subject == "tests.web.sample.SampleServer"
    await log.close()


async def test_heads_are_published(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Seen(_observers.Observer):
        heads: ClassVar[list[str]] = []

        def published_head(self, head: str) -> None:
            self.heads.append(head)

    log, clock, seen = MemoryAuditLog(), Clock(), Seen()
    auditing = Auditing(log, head_file=tmp_path / "heads.jsonl", clock=clock)
    app = create_app(SampleServer(MemoryStore(), audit=auditing), context=api_keys(KEYS))
    _observers.add_observer(seen)
    try:
        with caplog.at_level(logging.INFO, "chatkit.audit"):
            async with client_of(app) as client:
                await client.post("/chatkit", json={})
                clock.now += 61
                await auditing.tend()
                # Published once, for nothing came after it.
                clock.now += 61
                await auditing.tend()
    finally:
        _observers.remove_observer(seen)
    heads = Head.find((tmp_path / "heads.jsonl").read_text())
    assert [head.number for head in heads] == sorted({head.number for head in heads})
    assert heads[-1] == await log.head()
    assert Head.find(caplog.text) == heads
    assert seen.heads == [str(head) for head in heads]
    found = await verify_log(log, heads)
    assert (found.faults, found.covered) == ([], 2)


async def test_a_file_for_heads_that_cannot_be_written_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = MemoryAuditLog()
    auditing = Auditing(log, head_file=tmp_path / "nowhere" / "heads.jsonl", clock=Clock())
    await auditing.refused("10.0.0.1", "unauthenticated", has_credentials=True)
    assert "The audit log cannot be written" in caplog.text
    assert len(await log.entries()) == 1


def test_a_store_that_brings_no_log_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError, match="audit=SQLiteAuditLog"):
        SampleServer(MemoryStore(), audit=True)

    class Audited(SampleServer):
        audit = True

    with pytest.raises(ConfigurationError, match="audit=SQLiteAuditLog"):
        Audited(MemoryStore())


async def test_nothing_is_recorded_unless_that_is_asked_for(tmp_path: Path) -> None:
    app = create_app(SampleServer(SQLiteStore[Any](tmp_path / "chatkit.db")), context=api_keys(KEYS))
    async with client_of(app) as client:
        assert (await client.post("/chatkit", json={})).status_code == 401
        await client.post("/chatkit", json=message("hi"), headers=ADA)
    log = SQLiteAuditLog(tmp_path / "chatkit.db")
    assert await log.entries() == []
    await log.close()


def test_an_option_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="audit="):
        SampleServer(MemoryStore(), audit="on")  # type: ignore[arg-type]


async def test_what_an_application_has_under_that_name_is_its_own() -> None:
    class Own(SampleServer):
        def audit(self, what: str) -> str:  # type: ignore[override]
            return f"noted: {what}"

    server = Own(MemoryStore())
    app = create_app(server, context=api_keys(KEYS))
    async with client_of(app) as client:
        assert (await client.post("/chatkit", json={})).status_code == 401
        assert (await client.post("/chatkit", json=message("hi"), headers=ADA)).status_code == 200
    assert server.audit("it") == "noted: it"
