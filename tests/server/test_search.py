"""``threads.search`` by way of the server: what is answered, by which stores, and what waits to be indexed."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from chatkit._sqlite import fts5
from chatkit.errors import UnsupportedOperationError
from chatkit.store import MemoryStore, PostgresStore, SQLiteStore, Store
from chatkit.store.search import can_search
from chatkit.testing._store_samples import message
from chatkit.types import ThreadItem, ThreadMetadata
from tests.server.support import BOB, ScriptedServer, done, drain
from tests.stateful.plain_store import PlainStore
from tests.support.scale import scaled

ADA = {"user_id": "ada"}


async def hello(thread: Any, item: Any, context: Any) -> Any:
    yield done("An answer about **pelicans** \U0001f426, and more.", id="msg_answer")


class Encrypting(SQLiteStore):
    """Keeps items in a form of its own, as one that encrypts them does."""

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: Any) -> None:
        await super().add_thread_item(thread_id, item, context)


class Counting(Encrypting):
    """Overrides a method, and keeps what it is given all the same."""

    def __init__(self) -> None:
        super().__init__(":memory:", search=True)


async def test_what_was_said_is_found_by_its_owner() -> None:
    server = ScriptedServer(hello, MemoryStore())
    await drain(await server.create("Tell me of birds"))
    found = await server.ask("threads.search", query="pelic")
    ((entry),) = found["data"]
    (item,) = entry["items"]
    assert entry["thread"].keys() == {"id", "created_at", "status", "metadata", "items"}
    assert (item["id"], item["type"], entry["item_count"]) == ("msg_answer", "assistant_message", 1)
    assert item["text"] == "An answer about pelicans \U0001f426, and more."
    assert item["ranges"] == [[16, 24]]
    assert (found["has_more"], found["after"], found["complete"]) == (False, None, True)
    assert (await server.send("threads.search", BOB, query="pelic")).json.startswith(b'{"data":[],')


@pytest.mark.parametrize(
    "make", [PlainStore, lambda: SQLiteStore(":memory:", search=False), lambda: Encrypting(":memory:")]
)
async def test_a_store_that_cannot_search_says_so(make: Any) -> None:
    server = ScriptedServer(hello, make())
    await drain(await server.create("Tell me of birds"))
    assert (await server.ask("threads.list", capabilities=True))["capabilities"]["search"] is False
    with pytest.raises(UnsupportedOperationError, match="cannot be searched") as caught:
        await server.ask("threads.search", query="pelican")
    assert (caught.value.status, caught.value.code) == (501, "not_implemented")
    await server.close()


async def test_a_subclass_that_keeps_what_it_is_given_may_search() -> None:
    store = Counting()
    assert can_search(store)
    assert not can_search(Encrypting(":memory:"))
    await store.save_thread(ThreadMetadata(id="thr"), ADA)
    await store.add_thread_item("thr", message("m", "found"), ADA)
    assert len((await store.search_threads("found", 9, None, ADA)).data) == 1
    await store.close()


async def test_a_build_without_fts5_has_no_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fts5, "has_fts5", lambda: False)
    store = SQLiteStore(tmp_path / "chat.db")
    server = ScriptedServer(hello, store)
    thread_id = await server.new_thread()
    assert not can_search(store)
    await store.add_thread_item(thread_id, message("m", "written without"), ADA)
    await server.close()
    with closing(sqlite3.connect(tmp_path / "chat.db")) as connection:
        assert connection.execute("SELECT count(*) FROM search_changes").fetchone() == (0,)
    # One with it indexes what is there.
    monkeypatch.undo()
    with_it = SQLiteStore(tmp_path / "chat.db")
    await ScriptedServer(hello, with_it).recover()
    assert len((await with_it.search_threads("written", 9, None, ADA)).data) == 1
    await with_it.close()


async def _earlier(store: Any) -> None:
    """Makes the store as an earlier version had filled it."""
    await store.save_thread(ThreadMetadata(id="thr", title="Old title"), ADA)
    for number in range(250):
        await store.add_thread_item("thr", message(f"m{number}", f"old text {number}"), ADA)
    if isinstance(store, SQLiteStore):

        def forget(connection: sqlite3.Connection) -> None:
            for statement in (
                "DROP TABLE search_index",
                *(f"DELETE FROM search_{name}" for name in ("state", "texts", "changes")),
            ):
                connection.execute(statement)

        await store.database.write(forget)
        await store.close()
    else:
        for table in ("items", "titles"):
            statement = f"UPDATE chatkit.search_{table} SET words = NULL, vector = NULL"
            await store.database.write(lambda transaction, statement=statement: transaction.value(statement))


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store[Any]:
    if request.param == "sqlite":
        return SQLiteStore(tmp_path / "chat.db")
    return PostgresStore(request.getfixturevalue("postgres_database"))


async def test_what_an_earlier_version_stored_is_indexed_beside_all_else(store: Any) -> None:
    await _earlier(store)
    server = ScriptedServer(hello, store)
    await server.recover()
    # A piece of it, the newest, and the rest in the background.
    first = await server.ask("threads.search", query='"text 249"')
    assert len(first["data"]) == 1
    async with asyncio.timeout(scaled(20)):
        while not (await server.ask("threads.search", query="old"))["complete"]:
            await asyncio.sleep(0)
    (found,) = (await server.ask("threads.search", query="old"))["data"]
    assert found["item_count"] == 250
    assert found["title_ranges"] == [[0, 3]]
    await server.close()


async def test_what_a_worker_of_an_earlier_version_writes_is_found_too(store: Any) -> None:
    await store.save_thread(ThreadMetadata(id="thr", title="Before"), ADA)
    await store.add_thread_item("thr", message("m", "written before"), ADA)
    data = message("m", "changed elsewhere").model_dump_json()
    added = message("n", "added elsewhere").model_dump_json()
    thread = ThreadMetadata(id="thr", title="Elsewhere").model_dump_json()
    if isinstance(store, SQLiteStore):

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE items SET data = ? WHERE id = 'm'", [data])
            connection.execute(
                "INSERT INTO items (thread, id, type, data) VALUES (1, 'n', 'assistant_message', ?)", [added]
            )
            connection.execute("UPDATE threads SET data = ?", [thread])

        await store.database.write(write)
        await store.save_thread_fields("thr", {"metadata": {"a": 1}}, ADA)
    else:

        async def write_there(transaction: Any) -> None:
            await transaction.value("UPDATE chatkit.items SET data = $1 WHERE id = 'm'", data)
            await transaction.value(
                "INSERT INTO chatkit.items (thread, id, type, data) "
                "SELECT number, 'n', 'assistant_message', $1 FROM chatkit.threads",
                added,
            )
            await transaction.value("UPDATE chatkit.threads SET data = $1", thread)

        await store.database.write(write_there)
        assert not (await store.search_threads("before", 9, None, ADA)).data
        assert await store.index_waiting(1)
        while await store.index_waiting(1):
            pass
    found = await store.search_threads("elsewhere", 9, None, ADA)
    assert found.complete
    assert found.data[0].item_count == 2
    assert found.data[0].title_ranges
    assert not (await store.search_threads("before", 9, None, ADA)).data
    await store.close()


async def test_what_was_deleted_is_not_in_the_file_after_a_purge(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    store = SQLiteStore(path)
    await store.save_thread(ThreadMetadata(id="thr", title="xylophonetitle"), ADA)
    for number in range(50):
        await store.add_thread_item("thr", message(f"m{number}", f"zanzibarword{number} here"), ADA)
    await store.delete_thread("thr", ADA)
    await store.purge_index()

    def rows(connection: sqlite3.Connection) -> list[bytes]:
        blocks = connection.execute("SELECT block FROM search_index_data").fetchall()
        texts = connection.execute("SELECT words FROM search_texts").fetchall()
        return [bytes(block) for (block,) in blocks] + [text.encode() for (text,) in texts]

    kept = b"".join(await store.database.read(rows))
    assert b"zanzibar" not in kept
    assert b"xylophone" not in kept
    await store.close()


async def test_a_search_that_is_no_request_is_refused() -> None:
    server = ScriptedServer(hello, MemoryStore())
    body = json.dumps({"type": "threads.search", "params": {"query": "a", "after": "no cursor"}})
    with pytest.raises(Exception, match="'after' must be"):
        await server.process(body, ADA)
