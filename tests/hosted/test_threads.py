"""A tenant's threads over several workflows, databases and stores: what is listed, and what a list costs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openai
import pytest

from chatkit._secrets import SECRET_VARIABLE
from chatkit.errors import NotFoundError
from chatkit.hosted import HostedContext, create_hosted_app
from chatkit.hosted.paging import PageRequest
from chatkit.hosted.workflows import Workflows
from chatkit.ids import new_id
from chatkit.store import MemoryStore, OwnerContext, PostgresStore, SQLiteStore, Store
from chatkit.types import ThreadMetadata
from tests.dialects.reference.test_store import PlainStore
from tests.hosted.sample import KEYS, OTHER, Caller, EchoServer, Hosted, Page, answer, hosted
from tests.support.live_server import live_server

OLD = HostedContext(tenant="acme", user="ada", workflow="wf_old")


class CountingStore(SQLiteStore[Any]):
    surveys = 0

    async def survey_threads(self, *arguments: Any, **options: Any) -> Any:
        self.surveys += 1
        return await super().survey_threads(*arguments, **options)


def context_of(workflow: str) -> HostedContext:
    return HostedContext(tenant="acme", user="ada", workflow=workflow)


async def fill(store: Store[Any], context: Any, count: int) -> list[str]:
    made = [ThreadMetadata(id=new_id("thread")) for _ in range(count)]
    for thread in made:
        await store.save_thread(thread, context)
    return [thread.id for thread in made]


async def page_of(workflows: Workflows, **query: Any) -> list[str]:
    given = {"limit": 20, "order": "desc", "after": None, "before": None, **query}
    page = await PageRequest(**given).load(workflows.load_threads("acme", None))
    return [entry["id"] for entry in page["data"]]


@pytest.mark.parametrize("same_store", [True, False])
async def test_workflows_that_share_a_database_are_listed_by_one_question(
    same_store: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = CountingStore(tmp_path / "chat.db")
    second = first if same_store else CountingStore("./chat.db")
    workflows = Workflows({"wf_a": EchoServer(first), "wf_b": EchoServer(second)})
    (rare,) = await fill(first, context_of("wf_b"), 1)
    usual = await fill(first, context_of("wf_a"), 60)
    assert await page_of(workflows) == usual[:-21:-1]
    assert await page_of(workflows, order="asc", limit=1) == [rare]
    assert sum(store.surveys for store in {first, second}) == 2


async def test_rows_that_are_not_of_hosted_chatkit_are_skipped_many_at_once(tmp_path: Path) -> None:
    store = CountingStore(tmp_path / "chat.db")
    workflows = Workflows({"wf_a": EchoServer(store)})
    (oldest,) = await fill(store, context_of("wf_a"), 1)
    await fill(store, OwnerContext("acme/of/another/application"), 300)
    assert await page_of(workflows) == [oldest]
    assert store.surveys == 2


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store[Any]:
    if request.param == "postgres":
        return PostgresStore(request.getfixturevalue("postgres_database"))
    return MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "chat.db")


@pytest.fixture
def running(store: Store[Any]) -> Iterator[Hosted]:
    with hosted(store, requests_per_minute=None) as found:
        yield found


def test_threads_of_a_workflow_that_is_gone_are_seen_and_deleted(running: Hosted, tmp_path: Path) -> None:
    import asyncio

    async def make() -> str:
        store = running.servers["wf_a"].store
        (thread_id,) = await fill(store, OLD, 1)
        await store.add_thread_item(thread_id, answer(thread_id, "of old"), OLD)
        return thread_id

    async def remains() -> bool:
        try:
            await running.servers["wf_a"].store.load_thread(thread_id, OLD)
        except NotFoundError:
            return False
        return True

    store = running.servers["wf_a"].store
    thread_id = asyncio.run(make())
    if isinstance(store, PostgresStore | SQLiteStore):
        asyncio.run(store.close())
    call, other = Caller("sync", running.url), Caller("sync", running.url, OTHER)
    assert [thread.id for thread in call("threads.list", user="ada")] == [thread_id]
    assert call("threads.retrieve", thread_id).user == "ada"
    (item,) = call("threads.list_items", thread_id)
    assert item.content[0].text == "of old"
    assert other("threads.list") == []
    for name in ("threads.retrieve", "threads.list_items", "threads.delete"):
        with pytest.raises(openai.NotFoundError):
            other(name, thread_id)
    # No session opens it.
    with pytest.raises(openai.NotFoundError):
        running.session(workflow="wf_old")
    assert running.page(running.session().client_secret).post("threads.list").json()["data"] == []
    call("threads.delete", thread_id)
    assert call("threads.list") == []
    assert not asyncio.run(remains())


def test_threads_of_a_workflow_that_moved_to_another_database_are_seen_and_deleted(tmp_path: Path) -> None:
    import asyncio

    paths = [tmp_path / "a.db", tmp_path / "b.db"]

    async def make() -> tuple[str, ThreadMetadata]:
        copied = ThreadMetadata(id=new_id("thread"))
        for path in paths:
            store: SQLiteStore[Any] = SQLiteStore(path)
            await store.save_thread(copied, context_of("wf_b"))
            if path is paths[0]:
                (left,) = await fill(store, context_of("wf_b"), 1)
            await store.close()
        return left, copied

    def kept(path: Path) -> set[str]:
        with sqlite3.connect(path) as connection:
            return {row[0] for row in connection.execute("SELECT id FROM threads")}

    left, copied = asyncio.run(make())
    with hosted(SQLiteStore(paths[0]), SQLiteStore(paths[1])) as running:
        call = Caller("sync", running.url)
        assert {thread.id for thread in call("threads.list")} == {left, copied.id}
        call("threads.delete", left)
        # The one that its workflow shows, first.
        call("threads.delete", copied.id)
        assert (kept(paths[0]), kept(paths[1])) == ({copied.id}, set())
        call("threads.delete", copied.id)
        assert call("threads.list") == []


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_loop_that_deletes_what_it_lists_deletes_all(running: Hosted, order: Any) -> None:
    page = running.page(running.session().client_secret)
    for number in range(7):
        page.say(str(number))
    with running.openai() as client:
        threads = client.beta.chatkit.threads
        for thread in threads.list(user="ada", limit=2, order=order):
            threads.delete(thread.id)
        assert list(threads.list(user="ada")) == []


async def test_a_list_goes_on_where_a_deleted_thread_was() -> None:
    store: MemoryStore[Any] = MemoryStore()
    workflows = Workflows({"wf_a": EchoServer(store)})
    now = datetime.now(UTC)
    made = [new_id("thread") for _ in range(3)]
    for thread_id, seconds in zip(made, (-60, 0, 60), strict=True):
        moment = now + timedelta(seconds=seconds)
        await store.save_thread(ThreadMetadata(id=thread_id, created_at=moment), context_of("wf_a"))
    await store.delete_thread(made[1], context_of("wf_a"))
    assert await page_of(workflows, after=made[1]) == [made[0]]
    assert await page_of(workflows, after=made[1], order="asc") == [made[2]]
    assert await page_of(workflows, before=made[1]) == [made[2]]
    for unknown in ("thr_1", "nothing", new_id("message"), f"thr_{'z' * 26}"):
        with pytest.raises(NotFoundError):
            await page_of(workflows, after=unknown)


def test_a_store_that_cannot_list_all_threads_leaves_the_others_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, "a secret")
    workflows = {"wf_p": EchoServer(PlainStore()), "wf_a": EchoServer(MemoryStore())}
    with live_server(create_hosted_app(workflows, KEYS)) as running:
        call = Caller("sync", running.url)
        secrets = {
            name: call("sessions.create", user="ada", workflow={"id": name}).client_secret
            for name in workflows
        }
        threads = {name: Page(running.url, secret).say("hello") for name, secret in secrets.items()}
        assert call("threads.retrieve", threads["wf_a"]).user == "ada"
        assert len(call("threads.list_items", threads["wf_a"])) == 2
        for name, arguments in (
            ("threads.list", ()),
            ("threads.retrieve", (threads["wf_p"],)),
            ("threads.delete", (threads["wf_p"],)),
        ):
            with pytest.raises(
                openai.InternalServerError, match="PlainStore, the store of wf_p, cannot"
            ) as raised:
                call(name, *arguments)
            assert raised.value.status_code == 501
        call("threads.delete", threads["wf_a"])
