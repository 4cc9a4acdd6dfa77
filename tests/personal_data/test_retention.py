"""Old threads are deleted with their files, by one worker at a time, and never one in which something runs."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chatkit.errors import ConfigurationError, NotFoundError
from chatkit.files import FileMetadata
from chatkit.ids import utc_now
from chatkit.personal_data import PersonalData, RetentionRule
from chatkit.personal_data.retention import rule_for
from chatkit.store import MemoryStore, OwnerContext, SQLiteStore
from chatkit.store._records import saved_at
from chatkit.testing._store_samples import message
from chatkit.types import FileAttachment, ThreadMetadata
from chatkit.usage import Usage, UsageRecord
from chatkit.web import create_app
from tests.personal_data.sample import LIMIT, BusyServer, threads_of
from tests.personal_data.worlds import World

YEAR = RetentionRule(365 * 86_400)


async def old_thread(
    store: Any, owner: str, name: str, days: float, *, answered: float | None = None
) -> None:
    """Saves a thread as if that had been days ago, with an item that is as old, or answered later."""
    context, then = OwnerContext(owner), utc_now() - timedelta(days=days)
    token = saved_at.set(then)
    try:
        await store.save_thread(ThreadMetadata(id=name, created_at=then), context)
    finally:
        saved_at.reset(token)
    when = then if answered is None else utc_now() - timedelta(days=answered)
    await store.add_thread_item(name, message("m").model_copy(update={"created_at": when}), context)


async def ids(store: Any, owner: str) -> list[str]:
    return [thread.id for thread in await threads_of(store, owner)]


async def test_threads_go_by_their_last_activity_and_the_first_rule_of_their_owner(world: World) -> None:
    async with world.data() as data:
        store: Any = data.store
        await old_thread(store, "ada", "old", 400)
        await old_thread(store, "ada", "answered", 400, answered=10)
        await old_thread(store, "ada", "young", 300)
        await old_thread(store, "acme/bob/wf", "a month", 31)
        await old_thread(store, "acme/bob/wf", "a week", 7)
        await old_thread(store, "eve", "kept", 4000)
        files: Any = data.managed_files
        for number in range(2):
            metadata = FileMetadata(content_type="text/plain", name="a.txt", size=3)
            source = world.folder / "given"
            source.write_bytes(b"abc")
            await files.put_back(f"atc_{number}", source, metadata)
            record = FileAttachment(
                id=f"atc_{number}", name="a.txt", mime_type="text/plain", thread_id=("old", "young")[number]
            )
            await store.save_attachment(record, OwnerContext("ada"))
            await files.claim(record.id)
        rules = [RetentionRule(None, "eve"), RetentionRule(30 * 86_400, "acme/*"), YEAR]
        dry = await data.retain(rules, dry_run=True)
        assert (dry.threads, dry.dry_run) == ({"ada": 1, "acme/bob/wf": 1}, True)
        assert await ids(store, "ada") == ["old", "answered", "young"]
        done = await data.retain(rules)
        assert done.threads == dry.threads
        assert await ids(store, "ada") == ["answered", "young"]
        assert await ids(store, "acme/bob/wf") == ["a week"]
        assert await ids(store, "eve") == ["kept"]
        with pytest.raises(NotFoundError):
            await files.read("atc_0")
        assert await files.read("atc_1") == b"abc"
        with pytest.raises(NotFoundError):
            await store.load_attachment("atc_0", OwnerContext("ada"))
        assert (await data.retain(rules)).threads == {}


async def test_the_words_of_a_thread_leave_the_index_with_it(tmp_path: Path) -> None:
    """At once, not with the next write of a server."""
    path = tmp_path / "chat.db"
    store = SQLiteStore[Any](path)
    await old_thread(store, "ada", "old", 400)
    assert (await PersonalData(store).retain([YEAR])).threads == {"ada": 1}
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        left = connection.execute(
            "SELECT (SELECT count(*) FROM search_texts), (SELECT count(*) FROM search_changes)"
        )
        assert left.fetchone() == (0, 0)


async def test_a_thread_with_a_running_or_waiting_turn_stays(world: World) -> None:
    async with world.server() as (server, _):
        server.concurrency = "enqueue"
        owner = "acme/ada/wf"
        first = await server.chat(owner, 1)
        second = await server.chat(owner, 2)
        running = await server.begin(owner, first.thread_id)
        waiting = asyncio.create_task(server.chat(owner, 3, first.thread_id))
        async with world.data() as data:
            report = await data.retain([RetentionRule(1e-6)])
            assert report.threads == {owner: 1}
            assert await ids(data.store, owner) == [first.thread_id]
        server.gate.set()
        async for _ in running.json_events:
            pass
        await waiting
        async with world.data() as data:
            assert (await data.retain([RetentionRule(1e-6)])).threads == {owner: 1}
            assert await data.store.load_threads(10, None, "asc", OwnerContext(owner))
        with pytest.raises(NotFoundError):
            await server.send(owner, "threads.get_by_id", thread_id=second.thread_id)


async def test_one_worker_at_a_time(world: World) -> None:
    async with world.data() as data, world.data() as other:
        await old_thread(data.store, "ada", "old", 400)
        main: Any = data.main
        assert await main.take_lease("retention", "somebody else", 60.0)
        report = await other.retain([YEAR])
        assert (report.ran, report.threads) == (False, {})
        # One that died gives way in time.
        assert await main.take_lease("retention", "somebody else", 0.0)
        reports = await asyncio.gather(data.retain([YEAR]), other.retain([YEAR]))
        assert sorted(sum(report.threads.values()) for report in reports) == [0, 1]
        assert await ids(data.store, "ada") == []


async def test_a_message_that_comes_meanwhile_keeps_its_thread(world: World) -> None:
    async with world.data() as data:
        await old_thread(data.store, "ada", "old", 400)
        main: Any = data.main
        before = utc_now() - timedelta(days=365)
        (found,) = await main.idle_threads(before, None, 10)
        await data.store.add_thread_item("old", message("new"), OwnerContext("ada"))
        assert await main.delete_idle_thread(found, before) is None
        assert await ids(data.store, "ada") == ["old"]


async def test_more_threads_than_a_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatkit.personal_data.retention._PAGE", 2)
    async with world.data() as data:
        for number in range(7):
            await old_thread(data.store, f"owner_{number % 3}", f"thr_{number}", 400 + number % 2)
        assert sum((await data.retain([YEAR])).threads.values()) == 7


async def test_usage_goes_by_its_own_time(world: World) -> None:
    async with world.data() as data:
        store: Any = data.store
        for number, days in enumerate((800, 10)):
            then = utc_now() - timedelta(days=days)
            record = UsageRecord(f"turn_{number}", "1", "thr", None, Usage("m", 1), None, then)
            await store.add_usage(record, OwnerContext("ada"))
        report = await data.retain([], usage_seconds=730 * 86_400)
        assert (report.threads, report.usage) == ({}, 1)


async def test_an_application_does_so_by_itself() -> None:
    server = BusyServer(MemoryStore[Any](), retention=[YEAR])
    await old_thread(server.store, "ada", "old", 400)
    app = create_app(server, context=lambda request: {"user_id": "ada"})
    async with asyncio.timeout(LIMIT), app.router.lifespan_context(app):
        while await ids(server.store, "ada"):
            await asyncio.sleep(0)


async def test_a_server_in_memory_keeps_threads_for_a_time_too() -> None:
    server = BusyServer(MemoryStore[Any](), retention=[YEAR])
    await old_thread(server.store, "ada", "old", 400)
    await old_thread(server.store, "ada", "young", 300)
    report = await server.apply_retention()
    assert report is not None
    assert report.threads == {"ada": 1}
    assert await ids(server.store, "ada") == ["young"]
    server.retention = ()
    assert await server.apply_retention() is None
    await server.close()


@pytest.mark.parametrize(
    ("text", "seconds", "owners"),
    [
        ("365d", 365 * 86_400.0, "*"),
        ("acme/*=30d", 30 * 86_400.0, "acme/*"),
        ("a=b=2w", 14 * 86_400.0, "a=b"),
        ("ada=forever", None, "ada"),
        ("90s", 90.0, "*"),
    ],
)
def test_a_rule_as_text(text: str, seconds: float | None, owners: str) -> None:
    assert RetentionRule.parse(text) == RetentionRule(seconds, owners)


@pytest.mark.parametrize("text", ["", "365", "d", "1.5d", "-1d", "=", "0d", "ada=", "ten days"])
def test_what_is_no_rule(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"rule of retention|RetentionRule"):
        RetentionRule.parse(text)


def test_the_first_rule_that_fits_counts() -> None:
    rules = [RetentionRule(1.0, "acme/*"), RetentionRule(2.0)]
    assert rule_for(rules, "acme/ada") == rules[0]
    assert rule_for(rules, "ACME/ada") == rules[1]
    assert rule_for(rules[:1], "ada") is None


async def test_what_a_killed_run_has_left_is_swept(world: World) -> None:
    """Files of a thread that is gone, whose records say that no message came for them."""
    async with world.data() as data:
        store: Any = data.store
        await old_thread(store, "ada", "old", 400)
        record = FileAttachment(id="atc_1", name="a.txt", mime_type="text/plain", thread_id="old")
        await store.save_attachment(record, OwnerContext("ada"))
        main: Any = data.main
        before = utc_now() - timedelta(days=365)
        (found,) = await main.idle_threads(before, None, 10)
        assert await main.delete_idle_thread(found, before) == ["atc_1"]
        assert await store.unclaimed_attachments(86_400.0) == [("ada", "atc_1")]
