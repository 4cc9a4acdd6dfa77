"""The adapter of the reference's ten-method store."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from chatkit.dialects.adapters import adapt_files, adapt_store
from chatkit.dialects.reference.store import StoreAdapter
from chatkit.errors import ConfigurationError, InvalidRequestError, MissingOwnerError, NotFoundError
from chatkit.files import AttachmentStore
from chatkit.ids import new_id
from chatkit.server import ChatKitServer, NonStreamingResult, StreamingResult
from chatkit.store import MemoryStore, OwnerContext
from chatkit.store import Store as FullStore
from chatkit.testing import StoreContract
from chatkit.types import (
    AssistantMessageItem,
    AttachmentCreateParams,
    FileAttachment,
    ImageAttachment,
    InferenceOptions,
    Store,
    TextContent,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)

ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)
ALICE = {"user_id": "alice"}
BOB = {"user_id": "bob"}
# Contexts of an application for one user name no owner; what it stores has plain ids.
ONLY: dict[str, str] = {}
START = datetime(2026, 1, 1, tzinfo=UTC)


class PlainStore(Store):
    """A store as somebody writes it after the reference: dictionaries, oldest first."""

    def __init__(self) -> None:
        self.threads: dict[str, ThreadMetadata] = {}
        self.items: dict[str, dict[str, ThreadItem]] = {}
        self.limits: list[int] = []

    async def load_thread(self, thread_id: str) -> ThreadMetadata | None:
        return self.threads.get(thread_id)

    async def save_thread(self, thread: ThreadMetadata) -> None:
        self.threads[thread.id] = thread
        self.items.setdefault(thread.id, {})

    async def load_threads(self, limit: int = 50) -> list[ThreadMetadata]:
        self.limits.append(limit)
        return list(self.threads.values())[:limit]

    async def load_thread_items(self, thread_id: str) -> list[ThreadItem]:
        return list(self.items.get(thread_id, {}).values())

    async def add_thread_item(self, thread_id: str, item: ThreadItem) -> None:
        self.items[thread_id][item.id] = item

    async def save_item(self, thread_id: str, item: ThreadItem) -> None:
        if item.id in self.items[thread_id]:
            self.items[thread_id][item.id] = item

    async def load_item(self, thread_id: str, item_id: str) -> ThreadItem | None:
        return self.items[thread_id].get(item_id)

    async def delete_thread(self, thread_id: str) -> None:
        self.threads.pop(thread_id, None)
        self.items.pop(thread_id, None)

    async def delete_thread_item(self, thread_id: str, item_id: str) -> None:
        self.items[thread_id].pop(item_id, None)

    async def generate_id(self, prefix: str) -> str:
        raise AssertionError("the server makes its own ids")


class SyncStore:
    """Plain methods over SQLite, derived from nothing; the history is sorted as the reference's table would be."""

    def __init__(self, path: Path, order: str = "created_at DESC") -> None:
        self.path = path
        self.order = order
        with self._open() as database:
            database.execute(
                "CREATE TABLE threads (id TEXT PRIMARY KEY, title TEXT, created_at TEXT, updated_at TEXT)"
            )
            database.execute(
                "CREATE TABLE items (n INTEGER PRIMARY KEY, id TEXT, thread_id TEXT, data TEXT, UNIQUE (thread_id, id))"
            )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path)) as database, database:
            yield database

    def load_thread(self, thread_id: str) -> ThreadMetadata | None:
        with self._open() as database:
            row = database.execute("SELECT * FROM threads WHERE id = ?", (thread_id,)).fetchone()
        return row and ThreadMetadata(id=row[0], title=row[1], created_at=row[2], updated_at=row[3])

    def save_thread(self, thread: ThreadMetadata) -> None:
        updated = thread.updated_at and thread.updated_at.isoformat()
        with self._open() as database:
            database.execute(
                "INSERT OR REPLACE INTO threads VALUES (?, ?, ?, ?)",
                (thread.id, thread.title, thread.created_at.isoformat(), updated),
            )

    def load_threads(self, limit: int = 50) -> list[ThreadMetadata]:
        with self._open() as database:
            rows = database.execute(
                f"SELECT * FROM threads ORDER BY {self.order} LIMIT ?", (limit,)
            ).fetchall()
        return [ThreadMetadata(id=row[0], title=row[1], created_at=row[2], updated_at=row[3]) for row in rows]

    def load_thread_items(self, thread_id: str) -> list[ThreadItem]:
        with self._open() as database:
            rows = database.execute(
                "SELECT data FROM items WHERE thread_id = ? ORDER BY n", (thread_id,)
            ).fetchall()
        return [ITEM.validate_json(data) for (data,) in rows]

    def add_thread_item(self, thread_id: str, item: ThreadItem) -> None:
        with self._open() as database:
            database.execute(
                "INSERT INTO items (id, thread_id, data) VALUES (?, ?, ?)",
                (item.id, thread_id, item.model_dump_json()),
            )

    def save_item(self, thread_id: str, item: ThreadItem) -> None:
        with self._open() as database:
            database.execute(
                "UPDATE items SET data = ? WHERE thread_id = ? AND id = ?",
                (item.model_dump_json(), thread_id, item.id),
            )

    def load_item(self, thread_id: str, item_id: str) -> ThreadItem | None:
        with self._open() as database:
            row = database.execute(
                "SELECT data FROM items WHERE thread_id = ? AND id = ?", (thread_id, item_id)
            ).fetchone()
        return row and ITEM.validate_json(row[0])

    def delete_thread(self, thread_id: str) -> None:
        with self._open() as database:
            database.execute("DELETE FROM items WHERE thread_id = ?", (thread_id,))
            database.execute("DELETE FROM threads WHERE id = ?", (thread_id,))

    def delete_thread_item(self, thread_id: str, item_id: str) -> None:
        with self._open() as database:
            database.execute("DELETE FROM items WHERE thread_id = ? AND id = ?", (thread_id, item_id))

    def generate_id(self, prefix: str) -> str:
        raise AssertionError("the server makes its own ids")


class AdaptedContract(StoreContract):
    stores_attachments = False
    fences_turns = False
    sweeps_attachments = False
    changes_atomically = False
    rejects_duplicate_ids = False
    # The list's own order counts, and the threads of the test are saved in the order opposite to their age.
    orders_by_creation = False

    def test_no_owner_is_an_error_in_every_method(self) -> None:
        """No owner is the one of an application for one user, until there are threads of owners."""

        async def scenario(store: FullStore[Any]) -> None:
            await store.admit(self.make_context(""))
            await self.thread(store)
            for owner, error in (("", MissingOwnerError), (None, MissingOwnerError)):
                with pytest.raises(error, match="names no owner"):
                    await store.admit({"user_id": owner})
            for context in ({}, None):
                with pytest.raises(ConfigurationError, match="names no owner"):
                    await store.admit(context)

        self.run(scenario)


class TestPlainStore(AdaptedContract):
    # Dictionaries hand out what was put in.
    copies_objects = False

    def make_store(self) -> FullStore[Any]:
        return adapt_store(PlainStore())


class TestSyncStore(AdaptedContract):
    # The reference's table has no column for them.
    keeps_thread_details = False

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "chat.db"

    def make_store(self) -> FullStore[Any]:
        return adapt_store(SyncStore(self.path))  # pyright: ignore[reportArgumentType] -- has the methods


# What is adapted, and how.


def test_full_store_stays_what_it_is() -> None:
    store = MemoryStore()
    assert adapt_store(store) is store


def test_ten_method_store_is_wrapped_and_not_changed() -> None:
    store = PlainStore()
    before = dict(vars(store))
    adapter = adapt_store(store)
    assert isinstance(adapter, StoreAdapter)
    assert adapter.store is store
    assert vars(store) == before
    assert adapter.owner(ALICE) == "alice"
    assert [adapter.owner(context) for context in ({}, None, {"user_id": ""})] == [None] * 3


def test_other_objects_are_refused() -> None:
    class Half:
        def load_thread(self, thread_id: str) -> None: ...

    with pytest.raises(
        ConfigurationError, match=r"Half is no store, it lacks add_thread_item, .*save_thread"
    ):
        adapt_store(Half())  # pyright: ignore[reportArgumentType] -- that is the test


async def test_saving_leaves_the_given_thread_alone() -> None:
    store = PlainStore()
    thread = ThreadMetadata(id="thr_1")
    await adapt_store(store).save_thread(thread, ONLY)
    assert thread.updated_at is None
    assert store.threads["thr_1"].updated_at is not None


async def test_items_that_outlive_their_thread_are_not_found() -> None:
    store = PlainStore()
    adapter = adapt_store(store)
    await adapter.save_thread(ThreadMetadata(id="thr_1"), ONLY)
    await adapter.add_thread_item(
        "thr_1", AssistantMessageItem(id="a", content=[TextContent(text="x")]), ONLY
    )
    del store.threads["thr_1"]
    with pytest.raises(NotFoundError):
        await adapter.load_thread_items("thr_1", None, 5, "asc", ONLY)
    with pytest.raises(NotFoundError):
        await adapter.load_item("thr_1", "a", ONLY)


@pytest.mark.parametrize(("limit", "order"), [(-1, "asc"), (5, "up")])
async def test_invalid_page(limit: int, order: str) -> None:
    adapter = adapt_store(PlainStore())
    await adapter.save_thread(ThreadMetadata(id="thr_1"), ONLY)
    with pytest.raises(InvalidRequestError):
        await adapter.load_threads(limit, None, order, ONLY)
    with pytest.raises(InvalidRequestError):
        await adapter.load_thread_items("thr_1", None, limit, order, ONLY)


async def test_check_asks_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    store = PlainStore()
    await adapt_store(store).check()
    monkeypatch.setattr(store, "load_threads", lambda limit: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await adapt_store(store).check()


# Pages of threads, over lists in any order.


class Listed(PlainStore):
    """Gives its threads in the order of the list; `capped` as many as were asked for."""

    def __init__(self, threads: list[ThreadMetadata], *, capped: bool = True) -> None:
        super().__init__()
        self.threads = {thread.id: thread for thread in threads}
        self.capped = capped

    async def load_threads(self, limit: int = 50) -> list[ThreadMetadata]:
        found = await super().load_threads(limit)
        return found if self.capped else list(self.threads.values())


def aged(count: int) -> list[ThreadMetadata]:
    """Threads, oldest first."""
    return [ThreadMetadata(id=f"thr_{n}", created_at=START + timedelta(days=n)) for n in range(count)]


async def paged(store: Store, order: str, size: int) -> list[str]:
    adapter = adapt_store(store)
    seen: list[str] = []
    after: str | None = None
    while True:
        page = await adapter.load_threads(size, after, order, ONLY)
        assert len(page.data) <= size
        seen += [thread.id for thread in page.data]
        if not page.has_more:
            return seen
        assert page.after == seen[-1]
        after = page.after


@pytest.mark.parametrize("capped", [True, False])
@pytest.mark.parametrize("size", [1, 7, 49, 50, 51, 1000])
@pytest.mark.parametrize("count", [0, 1, 2, 49, 50, 51, 130])
async def test_every_thread_is_on_one_page(count: int, size: int, capped: bool) -> None:
    oldest_first = aged(count)
    ids = [thread.id for thread in oldest_first]
    for threads in (oldest_first, oldest_first[::-1]):
        assert await paged(Listed(threads, capped=capped), "asc", size) == ids
        assert await paged(Listed(threads, capped=capped), "desc", size) == ids[::-1]


async def test_store_that_gives_fewer_than_asked_for() -> None:
    class Miserly(Listed):
        async def load_threads(self, limit: int = 50) -> list[ThreadMetadata]:
            return await super().load_threads(min(limit, 60))

    newest_first = aged(100)[::-1]
    assert await paged(Miserly(newest_first), "desc", 20) == [thread.id for thread in newest_first[:60]]


async def test_newest_first_is_read_as_far_as_needed() -> None:
    store = Listed(aged(1000)[::-1])
    adapter = adapt_store(store)
    await adapter.load_threads(20, None, "desc", ONLY)
    assert store.limits == [50]
    store.limits.clear()
    page = await adapter.load_threads(20, "thr_900", "desc", ONLY)
    assert [thread.id for thread in page.data] == [f"thr_{n}" for n in range(899, 879, -1)]
    assert store.limits == [50, 200]


async def test_history_sorted_by_last_change_stays_so() -> None:
    threads = aged(4)
    for updated, thread in zip((9, 3, 8, 1), threads, strict=True):
        thread.updated_at = START + timedelta(days=100 + updated)
    by_change = sorted(threads, key=lambda thread: thread.updated_at or START, reverse=True)
    assert [thread.id for thread in by_change] == ["thr_0", "thr_2", "thr_1", "thr_3"]
    assert await paged(Listed(by_change), "desc", 2) == [thread.id for thread in by_change]
    assert await paged(Listed(by_change), "asc", 3) == [thread.id for thread in by_change[::-1]]


async def test_deleted_cursor_is_not_found() -> None:
    adapter = adapt_store(Listed(aged(60)[::-1]))
    for order in ("asc", "desc"):
        with pytest.raises(NotFoundError):
            await adapter.load_threads(5, "thr_gone", order, ONLY)


async def test_sorting_in_the_database(tmp_path: Path) -> None:
    for name, order in (("a", "created_at DESC"), ("b", "updated_at DESC"), ("c", "rowid")):
        adapter = adapt_store(SyncStore(tmp_path / name, order))  # pyright: ignore[reportArgumentType] -- as above
        for thread in aged(3):
            await adapter.save_thread(thread, ONLY)
        page = await adapter.load_threads(2, None, "desc", ONLY)
        assert [thread.id for thread in page.data] == ["thr_2", "thr_1"]
        assert page.has_more


# Attachments.


class Bucket:
    def __init__(self) -> None:
        self.deleted: list[str] = []
        self.fails = False

    def get_upload_url(self, file_id: str, metadata: Any) -> str:
        return f"https://bucket.example.com/uploads/{file_id}"

    async def get_preview_url(self, file_id: str) -> str:
        return f"https://bucket.example.com/previews/{file_id}"

    def delete(self, file_id: str) -> None:
        if self.fails:
            raise OSError("no connection")
        self.deleted.append(file_id)


class FullFiles(AttachmentStore[Any]):
    def __init__(self) -> None:
        self.deleted: list[tuple[str, Any]] = []

    async def delete_attachment(self, attachment_id: str, context: Any) -> None:
        self.deleted.append((attachment_id, context))


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATKIT_SECRET", "a secret of the application")


def adapters(bucket: Any) -> tuple[StoreAdapter[Any], AttachmentStore[Any]]:
    """As the server does it."""
    store = adapt_store(PlainStore(), files=bucket)
    assert isinstance(store, StoreAdapter)
    files = adapt_files(bucket, store=store)
    assert files is not None
    return store, files


async def create(
    files: AttachmentStore[Any], mime_type: str, context: Any = ALICE, name: str = "a.png"
) -> Any:
    return await files.create_attachment(
        AttachmentCreateParams(name=name, size=7, mime_type=mime_type), context
    )


async def test_attachment_is_rebuilt_from_its_id_by_any_process() -> None:
    store, files = adapters(Bucket())
    for mime_type, kind in (("image/png", ImageAttachment), ("application/pdf", FileAttachment)):
        made = await create(files, mime_type)
        assert isinstance(made, kind)
        await store.save_attachment(made, ALICE)
        another_process, _ = adapters(Bucket())
        found = await another_process.load_attachment(made.id, ALICE)
        assert found == made.model_copy(update={"upload_descriptor": None})
        await another_process.save_attachment(found.model_copy(update={"thread_id": "thr_1"}), ALICE)


async def test_attachment_without_a_way_to_its_preview_is_a_file() -> None:
    _, files = adapters(Bucket())
    made = await create(files, "image/png")
    for other in (None, FullFiles()):
        found = await adapt_store(PlainStore(), files=other).load_attachment(made.id, ALICE)
        assert found == FileAttachment(id=made.id, name="a.png", mime_type="image/png")


class User:
    user_id = "alice"


@pytest.mark.parametrize("context", [ALICE, OwnerContext("alice"), User()])
async def test_owner_may_be_named_in_any_way(context: Any) -> None:
    store, files = adapters(Bucket())
    made = await create(files, "text/plain", ALICE)
    assert (await store.load_attachment(made.id, context)).id == made.id


@pytest.mark.parametrize("other", [BOB, {}, None, OwnerContext("bob"), {"user_id": None}])
async def test_attachment_of_another_owner_is_not_found(other: Any) -> None:
    store, files = adapters(Bucket())
    made = await create(files, "text/plain", ALICE)
    with pytest.raises(NotFoundError):
        await store.load_attachment(made.id, other)
    theirs = await create(files, "text/plain", other)
    with pytest.raises(NotFoundError):
        await store.load_attachment(theirs.id, ALICE)
    assert (await store.load_attachment(theirs.id, other)).id == theirs.id


async def test_attachment_of_another_secret_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    store, files = adapters(Bucket())
    made = await create(files, "text/plain")
    monkeypatch.setenv("CHATKIT_SECRET", "another")
    with pytest.raises(NotFoundError):
        await store.load_attachment(made.id, ALICE)


@pytest.mark.parametrize(
    "attachment_id", ["", "atc_1", "../../etc/passwd", pytest.param(new_id("attachment"), id="new")]
)
async def test_id_of_other_origin_is_not_found(attachment_id: str) -> None:
    store, _ = adapters(Bucket())
    with pytest.raises(NotFoundError):
        await store.load_attachment(attachment_id, ALICE)
    await store.delete_attachment(attachment_id, ALICE)


async def test_attachment_with_an_id_of_its_own_cannot_be_saved() -> None:
    store, _ = adapters(FullFiles())
    attachment = FileAttachment(id="atc_1", name="a", mime_type="text/plain")
    with pytest.raises(ConfigurationError, match="PlainStore has no place for attachments"):
        await store.save_attachment(attachment, ALICE)


async def test_without_a_secret_attachments_work_within_the_process(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("CHATKIT_SECRET")
    store, files = adapters(Bucket())
    with caplog.at_level(logging.ERROR):
        made = await create(files, "text/plain")
        assert (await store.load_attachment(made.id, ALICE)).name == "a.png"


async def thread_with_files(store: FullStore[Any], *ids: str) -> None:
    await store.save_thread(ThreadMetadata(id="thr_1"), ONLY)
    for attachment_id in ids:
        attachment = FileAttachment(id=attachment_id, name="a", mime_type="text/plain")
        message = UserMessageItem(
            id=f"msg_{attachment_id}",
            content=[],
            attachments=[attachment],
            inference_options=InferenceOptions(),
        )
        await store.add_thread_item("thr_1", message, ONLY)
    await store.add_thread_item("thr_1", AssistantMessageItem(id="answer", content=[]), ONLY)


async def test_files_go_with_their_thread() -> None:
    bucket = Bucket()
    store, _ = adapters(bucket)
    await thread_with_files(store, "a", "b")
    await store.delete_thread("thr_1", ONLY)
    assert bucket.deleted == ["a", "b"]

    full = FullFiles()
    store, _ = adapters(full)
    await thread_with_files(store, "a")
    await store.delete_thread("thr_1", ONLY)
    assert full.deleted == [("a", ONLY)]


async def test_thread_goes_without_a_file_store_too() -> None:
    store = adapt_store(PlainStore())
    await thread_with_files(store, "a")
    await store.delete_thread("thr_1", ONLY)
    with pytest.raises(NotFoundError):
        await store.load_thread("thr_1", ONLY)


async def test_thread_whose_files_cannot_be_deleted_stays_and_can_be_deleted_again() -> None:
    bucket = Bucket()
    store, _ = adapters(bucket)
    await thread_with_files(store, "a")
    bucket.fails = True
    with pytest.raises(OSError, match="no connection"):
        await store.delete_thread("thr_1", ONLY)
    bucket.fails = False
    await store.delete_thread("thr_1", ONLY)
    assert bucket.deleted == ["a"]


# Through the server.


class Greeter(ChatKitServer[Any]):
    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        yield ThreadItemDoneEvent(
            item=AssistantMessageItem(id=new_id("message"), content=[TextContent(text="Hello")])
        )


async def ask(server: ChatKitServer[Any], kind: str, params: Any, context: Any = ALICE) -> Any:
    result = await server.process(json.dumps({"type": kind, "params": params}), context)
    if isinstance(result, StreamingResult):
        return [json.loads(frame.removeprefix(b"data: ")) async for frame in result]
    assert isinstance(result, NonStreamingResult)
    return json.loads(result.json)


async def test_conversation_with_an_upload() -> None:
    plain, bucket = PlainStore(), Bucket()
    server = Greeter(plain, bucket)  # pyright: ignore[reportArgumentType] -- has the methods
    made = await ask(server, "attachments.create", {"name": "a.png", "size": 7, "mime_type": "image/png"})
    assert made["upload_descriptor"]["url"] == f"https://bucket.example.com/uploads/{made['id']}"

    message = {
        "content": [{"type": "input_text", "text": "Look"}],
        "attachments": [made["id"]],
        "inference_options": {},
    }
    with pytest.raises(NotFoundError):
        await ask(server, "threads.create", {"input": message}, BOB)
    assert plain.threads == {}

    events = await ask(server, "threads.create", {"input": message})
    assert events[-1]["item"]["content"][0]["text"] == "Hello"
    thread_id = events[0]["thread"]["id"]
    thread = await ask(server, "threads.get_by_id", {"thread_id": thread_id})
    sent, answer = thread["items"]["data"]
    assert answer["type"] == "assistant_message"
    assert [kept["id"] for kept in sent["attachments"]] == [made["id"]]
    assert sent["attachments"][0]["preview_url"] == made["preview_url"]

    listed = await ask(server, "threads.list", {"limit": 9999, "order": "desc"})
    assert [entry["id"] for entry in listed["data"]] == [thread_id]
    assert await ask(server, "threads.delete", {"thread_id": thread_id}) == {}
    assert plain.threads == {}
    assert bucket.deleted == [made["id"]]
    await server.close()
