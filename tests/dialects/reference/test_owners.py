"""Owners over a ten-method store: whom it serves, whose its threads are, and what a page costs."""

from __future__ import annotations

import gc
import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatkit.agents import AgentContext
from chatkit.dialects.adapters import adapt_store
from chatkit.dialects.reference.store import StoreAdapter
from chatkit.errors import ConfigurationError, NotFoundError
from chatkit.files import LocalFileStore
from chatkit.limits import Limits
from chatkit.server import ChatKitServer, NonStreamingResult
from chatkit.store import OwnerContext
from chatkit.types import (
    AssistantMessageItem,
    AttachmentCreateParams,
    FileMetadata,
    TextContent,
    ThreadItem,
    ThreadMetadata,
)
from chatkit.web import create_app, single_user
from tests.server.support import ScriptedServer, done, drain
from tests.stateful.plain_store import PlainStore

ADA, BOB = {"user_id": "ada"}, {"user_id": "bob"}
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATKIT_SECRET", "the secret")
    monkeypatch.delenv("CHATKIT_OLD_SECRETS", raising=False)


class Listed(PlainStore):
    """Its threads as they are listed; counts how many were asked for."""

    def __init__(self, *, newest_first: bool = True) -> None:
        super().__init__()
        self.newest_first = newest_first
        self.limits: list[int] = []

    async def load_threads(self, limit: int = 50) -> list[ThreadMetadata]:
        self.limits.append(limit)
        found = sorted(
            self._threads.values(), key=lambda thread: thread.created_at, reverse=self.newest_first
        )
        return found[:limit]


async def fill(adapter: StoreAdapter[Any], owners: list[Any]) -> dict[str, list[str]]:
    """Stores a thread for each of the owners, one a day; returns their ids, newest first."""
    ids: dict[str, list[str]] = {}
    for day, context in enumerate(owners):
        thread_id = adapter.generate_thread_id(context)
        await adapter.save_thread(
            ThreadMetadata(id=thread_id, created_at=START + timedelta(days=day)), context
        )
        ids.setdefault(context["user_id"], []).insert(0, thread_id)
    return ids


def adapt(store: Any, **options: Any) -> StoreAdapter[Any]:
    adapter = adapt_store(store, **options)
    assert isinstance(adapter, StoreAdapter)
    return adapter


async def paged(adapter: StoreAdapter[Any], context: Any, order: str, size: int) -> list[str]:
    seen: list[str] = []
    after: str | None = None
    while True:
        page = await adapter.load_threads(size, after, order, context)
        assert len(page.data) == size or not page.has_more
        seen += [thread.id for thread in page.data]
        if not page.has_more:
            return seen
        after = page.after


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("size", [1, 3, 20, 200])
async def test_pages_are_full_of_the_owners_threads(newest_first: bool, size: int) -> None:
    adapter = adapt(Listed(newest_first=newest_first))
    ids = await fill(adapter, [BOB if day % 7 else ADA for day in range(150)])
    for context in (ADA, BOB):
        own = ids[context["user_id"]]
        assert await paged(adapter, context, "desc", size) == own
        assert await paged(adapter, context, "asc", size) == own[::-1]


async def test_a_list_is_read_as_far_as_the_page_needs() -> None:
    store = Listed()
    adapter = adapt(store)
    ids = await fill(adapter, [ADA] * 30 + [BOB] * 300)
    store.limits.clear()
    assert len((await adapter.load_threads(20, None, "desc", BOB)).data) == 20
    assert store.limits == [50]
    store.limits.clear()
    page = await adapter.load_threads(20, None, "desc", ADA)
    assert [thread.id for thread in page.data] == ids["ada"][:20]
    assert store.limits == [50, 200, 800]
    store.limits.clear()
    for cursor in (ids["bob"][0], "thr_0hmansVWgAmXKCUcFtu~000000000000"):
        with pytest.raises(NotFoundError):
            await adapter.load_threads(20, cursor, "desc", ADA)
    assert store.limits == []


async def test_a_list_is_not_read_without_end(caplog: pytest.LogCaptureFixture) -> None:
    store = Listed()
    adapter = adapt(store, scanned_threads=100)
    ids = await fill(adapter, [ADA] * 30 + [BOB] * 90)
    caplog.clear()
    for _ in range(2):
        page = await adapter.load_threads(20, None, "desc", ADA)
        assert [thread.id for thread in page.data] == ids["ada"][:10]
        assert not page.has_more
    (record,) = caplog.records
    assert "more than 100 threads" in record.getMessage()
    assert "scanned_threads" in record.getMessage()
    assert max(store.limits) == 100
    # What cannot be right is not answered.
    with pytest.raises(ConfigurationError, match=r"'asc'.*newest first"):
        await adapter.load_threads(20, None, "asc", ADA)
    store.newest_first = False
    with pytest.raises(ConfigurationError, match="newest first"):
        await adapter.load_threads(20, None, "desc", ADA)


async def test_the_servers_limits_bound_the_list() -> None:
    store = Listed()
    server = ScriptedServer(store=store, limits=Limits(scanned_threads=60))
    await fill(server._chatkit_store(), [ADA] * 30 + [BOB] * 90)  # type: ignore[arg-type]
    assert (await server.ask("threads.list"))["data"] == []
    assert max(store.limits) == 60


# Secrets.


async def test_a_secret_is_exchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = adapt(Listed())
    before = (await fill(adapter, [ADA]))["ada"]
    await adapter.save_thread(ThreadMetadata(id="inbox", title="before"), ADA)
    monkeypatch.setenv("CHATKIT_SECRET", "the next one")
    assert (await adapter.load_threads(9, None, "desc", ADA)).data == []
    monkeypatch.setenv("CHATKIT_OLD_SECRETS", "one more, the secret")
    assert await paged(adapter, ADA, "asc", 1) == [*before, "inbox"]
    await adapter.save_thread(ThreadMetadata(id="inbox", title="after"), ADA)
    assert (await adapter.load_thread("inbox", ADA)).title == "after"
    assert len((await adapter.load_threads(9, None, "desc", ADA)).data) == 2
    for context in (BOB, OwnerContext("bob")):
        with pytest.raises(NotFoundError):
            await adapter.load_thread("inbox", context)


async def test_attachments_of_an_old_secret_are_good(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    adapter = adapt(PlainStore())
    params = AttachmentCreateParams(name="a", size=1, mime_type="text/plain")
    attachment_id = adapter.attachment_id_factory(params, ADA)
    files = LocalFileStore(tmp_path, base_url="http://chat/files")
    url = await files.get_upload_url("f", FileMetadata(content_type="text/plain", name="a", size=1))
    query = dict(part.split("=") for part in url.partition("?")[2].replace("%2F", "/").split("&"))
    monkeypatch.setenv("CHATKIT_SECRET", "the next one")
    with pytest.raises(NotFoundError):
        await adapter.load_attachment(attachment_id, ADA)
    monkeypatch.setenv("CHATKIT_OLD_SECRETS", "the secret")
    assert (await adapter.load_attachment(attachment_id, ADA)).name == "a"
    assert files.open_upload("f", query).name == "a"
    with pytest.raises(NotFoundError):
        await adapter.load_attachment(attachment_id, BOB)


async def test_a_secret_that_is_gone_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    adapter = adapt(Listed())
    await fill(adapter, [ADA, ADA])
    monkeypatch.delenv("CHATKIT_SECRET")
    for _ in range(2):
        assert (await adapter.load_threads(9, None, "desc", ADA)).data == []
    (record,) = caplog.records
    assert "2 threads in Listed" in record.getMessage()
    assert "CHATKIT_OLD_SECRETS" in record.getMessage()


# Threads that name no owner.


async def test_hidden_threads_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    store = Listed()
    for number in range(3):
        await store.save_thread(ThreadMetadata(id=f"thr_{number}"))
    adapter = adapt(store)
    for context in (ADA, ADA, BOB):
        assert (await adapter.load_threads(9, None, "desc", context)).data == []
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "3 threads in Listed" in record.getMessage()
    assert "thread_owner" in record.getMessage()


class Adopting(ScriptedServer):
    def thread_owner(self, thread: ThreadMetadata) -> str | None:
        return "ada" if thread.id == "thr_old" else ""


async def test_an_adopted_thread_in_a_handler_with_an_agent_context() -> None:
    store = Listed()
    await store.save_thread(ThreadMetadata(id="thr_old", title="Old"))
    await store.save_thread(ThreadMetadata(id="thr_other"))
    seen: list[Any] = []

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        agent_context = AgentContext(thread=thread, store=store, request_context=context)  # type: ignore[arg-type]
        full = agent_context._full_store()
        seen.append((await full.load_thread("thr_old", context)).title)
        yield done("Hello!", agent_context.generate_id("message"))

    server = Adopting(script, store)
    await drain(await server.say("thr_old"))
    assert seen == ["Old"]
    assert [item.id for item in await store.load_thread_items("thr_old")] == [
        item.id for item in await server.items("thr_old")
    ]
    for context in (BOB, OwnerContext("bob")):
        with pytest.raises(NotFoundError):
            await server.ask("threads.get_by_id", context, thread_id="thr_old")
    # An owner's threads, so nobody else's.
    with pytest.raises(ConfigurationError):
        await ScriptedServer(store=store).ask("threads.list", {})


async def test_a_single_user_has_all_threads_that_name_no_owner() -> None:
    store = Listed()
    await store.save_thread(ThreadMetadata(id="thr_old"))
    server = ScriptedServer(store=store)
    local = {"user_id": "local"}
    assert (await server.ask("threads.list", local))["data"] == []
    create_app(server, context=single_user())
    assert server.single_user == "local"
    new = (await server.ask("threads.create", local, input={"content": [], "attachments": []}))[0]["thread"][
        "id"
    ]
    assert {entry["id"] for entry in (await server.ask("threads.list", local))["data"]} == {"thr_old", new}
    with pytest.raises(NotFoundError):
        await server.ask("threads.get_by_id", BOB, thread_id="thr_old")


async def test_contexts_without_a_place_for_the_owner_are_told(caplog: pytest.LogCaptureFixture) -> None:
    server = ScriptedServer(store=Listed())
    for context in ({}, {}):
        await server.ask("threads.list", context)
    assert caplog.records == []
    for context in ({"tenant": "ada"}, {"tenant": "bob"}):
        await server.ask("threads.list", context)
    (record,) = caplog.records
    assert "no user_id" in record.getMessage()


# Ids.


async def test_ids_that_no_database_has_are_not_found() -> None:
    class Strict(Listed):
        async def load_thread(self, thread_id: str) -> ThreadMetadata | None:
            assert "\0" not in thread_id
            thread_id.encode()
            return await super().load_thread(thread_id)

    adapter = adapt(Strict())
    for thread_id in ("thr\0", "\ud800", "é" * 40):
        for context in (ADA, {}):
            with pytest.raises(NotFoundError):
                await adapter.load_thread(thread_id, context)
            with pytest.raises(NotFoundError):
                await adapter.load_threads(5, thread_id, "desc", context)


def message(item_id: str, text: str, thread_id: str = "") -> ThreadItem:
    return AssistantMessageItem(id=item_id, thread_id=thread_id, content=[TextContent(text=text)])


class ByIdAlone(PlainStore):
    """One table of items, with the id as its key."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, tuple[str, ThreadItem]] = {}

    async def load_thread_items(self, thread_id: str) -> list[ThreadItem]:
        return [item for of, item in self.rows.values() if of == thread_id]

    async def add_thread_item(self, thread_id: str, item: ThreadItem) -> None:
        self.rows[item.id] = (thread_id, item)

    async def save_item(self, thread_id: str, item: ThreadItem) -> None:
        self.rows[item.id] = (self.rows[item.id][0], item)

    async def load_item(self, thread_id: str, item_id: str) -> ThreadItem | None:
        return self.rows[item_id][1] if item_id in self.rows else None

    async def delete_thread_item(self, thread_id: str, item_id: str) -> None:
        self.rows.pop(item_id, None)


@pytest.mark.parametrize(
    "item_id", ["msg_123", "1a2b3c4d5e6f", "msg_0DfXnOSGGOINNKpY2wf7y2hIpd", "é~", "a~" + "x" * 12]
)
@pytest.mark.parametrize("names_thread", [True, False])
async def test_one_id_in_many_threads(item_id: str, names_thread: bool) -> None:
    store = ByIdAlone()
    adapter = adapt(store)
    ids = await fill(adapter, [ADA, BOB, ADA])
    threads = [(ids["ada"][1], ADA), (ids["bob"][0], BOB), (ids["ada"][0], ADA)]

    async def texts() -> list[list[str]]:
        found: list[list[str]] = []
        for thread_id, context in threads:
            page = await adapter.load_thread_items(thread_id, None, 9, "asc", context)
            assert [item.id for item in page.data] == [item_id] * len(page.data)
            found.append([item.content[0].text for item in page.data])  # type: ignore[union-attr]
        return found

    for number, (thread_id, context) in enumerate(threads):
        await adapter.add_thread_item(
            thread_id, message(item_id, str(number), thread_id if names_thread else ""), context
        )
    assert await texts() == [["0"], ["1"], ["2"]]
    thread_id = threads[1][0]
    await adapter.save_item(thread_id, message(item_id, "new", thread_id), BOB)
    assert await texts() == [["0"], ["new"], ["2"]]
    await adapter.put_thread_item(thread_id, message(item_id, "newer", thread_id), BOB)
    assert await texts() == [["0"], ["newer"], ["2"]]
    loaded = await adapter.load_item(thread_id, item_id, BOB)
    await adapter.save_item_if_unchanged(thread_id, loaded, message(item_id, "newest", thread_id), BOB)
    await adapter.delete_items_after(thread_id, item_id, BOB)
    assert await texts() == [["0"], ["newest"], ["2"]]
    # As the application sees it in its own table.
    (row,) = await store.load_thread_items(thread_id)
    assert (await adapter.load_item(thread_id, row.id, BOB)).id == item_id
    await adapter.delete_thread_item(thread_id, item_id, BOB)
    assert await texts() == [["0"], [], ["2"]]
    with pytest.raises(NotFoundError):
        await adapter.load_item(thread_id, item_id, BOB)
    await adapter.delete_thread_item(thread_id, item_id, BOB)
    assert await texts() == [["0"], [], ["2"]]


async def test_an_item_of_a_copied_thread_is_found() -> None:
    """The application has copied rows, and left the old thread's id in them."""
    store = ByIdAlone()
    adapter = adapt(store)
    thread_id = (await fill(adapter, [ADA]))["ada"][0]
    await store.add_thread_item(thread_id, message("copied", "x", "thr_elsewhere"))
    assert (await adapter.load_item(thread_id, "copied", ADA)).thread_id == "thr_elsewhere"


async def test_an_adapter_is_shared_as_long_as_a_server_has_it() -> None:
    store = Listed()
    server = ScriptedServer(store=store)
    adapter = server._chatkit_store()
    assert adapt_store(store) is adapter
    server.attachment_store = LocalFileStore()  # type: ignore[assignment]
    again = server._chatkit_store()
    assert again is not adapter
    assert isinstance(again, StoreAdapter)
    assert isinstance(adapter, StoreAdapter)
    assert again.owners is adapter.owners
    assert adapt_store(store) is again
    del server, adapter, again
    gc.collect()
    assert adapt_store(store) is not adapt_store(Listed())


async def test_a_turn_of_another_process_is_ended_without_a_request() -> None:
    adapter = adapt(Listed())
    ids = await fill(adapter, [ADA])
    assert adapter.knows_owners
    await adapter.add_thread_item(ids["ada"][0], message("a", "x"), OwnerContext("ada"))
    assert (await adapter.load_item(ids["ada"][0], "a", ADA)).id == "a"


async def test_work_without_a_request_needs_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHATKIT_SECRET")
    adapter = adapt(Listed())
    await adapter.admit(ADA)
    await adapter.admit(OwnerContext("bob"))
    await adapter.admit(ADA)
    with pytest.raises(ConfigurationError, match="CHATKIT_SECRET"):
        await adapter.admit(BOB)


async def test_an_upload_is_refused_as_a_request_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.delenv("CHATKIT_SECRET")
    server: ChatKitServer[Any] = ScriptedServer(
        store=Listed(), file_store=LocalFileStore(tmp_path, base_url="http://x")
    )
    (tmp_path / "a").write_bytes(b"a")
    params = AttachmentCreateParams(name="a", size=1, mime_type="text/plain")
    made = await server.upload_attachment(params, tmp_path / "a", ADA)
    assert isinstance(made, NonStreamingResult)
    assert json.loads(made.json)["name"] == "a"
    for context in (BOB, {"user_id": None}, {}):
        with pytest.raises(ConfigurationError):
            await server.upload_attachment(params, tmp_path / "a", context)
