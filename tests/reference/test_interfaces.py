"""The interfaces that the reference prints are those of `chatkit.types`."""

from __future__ import annotations

import inspect
import json
import typing
from typing import Any

import httpx2
import pytest
from pydantic import TypeAdapter

import chatkit.types
from chatkit.store import MemoryStore
from tests.files.page import PNG, error_of, make_app, pages
from tests.reference.conftest import Load
from tests.reference.document import read_blocks
from tests.server.support import ScriptedServer, drain, hello
from tests.support.s3 import s3_server
from tests.web.sample import SampleServer

ITEM: TypeAdapter[Any] = TypeAdapter(chatkit.types.ThreadItem)


def printed(title: str, name: str) -> type:
    """Runs a block as the document has it, without any repair, and returns a class of it."""
    (block,) = (block for block in read_blocks() if block.title == title)
    names: dict[str, Any] = {"__name__": "printed"}
    exec(compile(block.code, title, "exec"), names)
    return names[name]


def methods(interface: type) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(interface).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }


def shape(method: Any) -> tuple[Any, ...]:
    """Returns what a caller and an implementation depend on: kind, parameters, and types by what they mean."""
    parameters = [
        (parameter.name, parameter.kind, parameter.default)
        for parameter in inspect.signature(method).parameters.values()
    ]
    return inspect.iscoroutinefunction(method), parameters, typing.get_type_hints(method)


@pytest.mark.parametrize(
    ("title", "name", "abstract_only_there"),
    [
        ("Store Interface", "Store", set()),
        # The reference's own S3 example has no upload().
        ("FileStore Interface", "FileStore", {"upload"}),
    ],
)
def test_the_same_methods(title: str, name: str, abstract_only_there: set[str]) -> None:
    theirs, ours = printed(title, name), getattr(chatkit.types, name)
    assert list(methods(theirs)) == list(methods(ours))
    for method in methods(theirs):
        assert shape(getattr(ours, method)) == shape(getattr(theirs, method)), method
    assert theirs.__abstractmethods__ - ours.__abstractmethods__ == abstract_only_there
    assert ours.__abstractmethods__ <= theirs.__abstractmethods__


async def test_upload_says_that_it_is_missing() -> None:
    class LinksOnly(chatkit.types.FileStore):
        async def get_upload_url(self, file_id: str, metadata: chatkit.types.FileMetadata) -> str:
            return f"https://files.example/{file_id}"

        async def get_preview_url(self, file_id: str) -> str:
            return f"https://files.example/{file_id}"

        async def delete(self, file_id: str) -> None:
            pass

    metadata = chatkit.types.FileMetadata(content_type="text/plain")
    with pytest.raises(NotImplementedError, match=r"override upload\(\)"):
        await LinksOnly().upload("file_1", b"", metadata)


def test_the_postgres_example_is_a_store_with_eight_methods_to_go(load: Load) -> None:
    example = load("PostgreSQL Store Example").PostgresStore
    assert issubclass(example, chatkit.types.Store)
    assert example.__abstractmethods__ == chatkit.types.Store.__abstractmethods__ - {
        "load_thread",
        "generate_id",
    }


async def test_the_postgres_example_connects_on_first_use(load: Load) -> None:
    example = load("PostgreSQL Store Example").PostgresStore
    whole = type("Whole", (example,), dict.fromkeys(example.__abstractmethods__))
    store = whole("postgresql://nobody@127.0.0.1:1/nothing")
    assert (await store.generate_id("msg")).startswith("msg_")
    with pytest.raises(OSError, match=r"(?i)connect"):
        await store.load_thread("thr_1")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> str:
    """The tests' bucket, which boto3 finds through the environment."""
    server = s3_server()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_access_key)
    return server.bucket


def test_the_s3_example_keeps_attachments(load: Load, bucket: str) -> None:
    files = load("S3 FileStore Example").S3FileStore(bucket)
    assert isinstance(files, chatkit.types.FileStore)
    with pages(make_app(SampleServer(MemoryStore(), files))) as (alice, bob):
        made = alice.announce(PNG)
        assert made["upload_descriptor"]["headers"] == {"Content-Type": "image/png"}
        assert alice.put(made, PNG, Content_Type="text/html").status_code == 403
        assert alice.put(made, PNG).status_code == 200
        assert error_of(bob.send(made["id"])) == (404, "not_found")
        thread_id, _ = alice.new_thread(made["id"])
        preview = alice.stored_message(thread_id)["attachments"][0]["preview_url"]
        assert httpx2.get(preview).content == PNG
        assert alice.ask("threads.delete", thread_id=thread_id).status_code == 200
        assert httpx2.get(preview).status_code == 404


async def test_the_postgres_example_serves_a_chat_from_a_real_server(
    load: Load, postgres_database: str
) -> None:
    example = load("PostgreSQL Store Example").PostgresStore

    class Whole(example):
        """The example with the methods that are left to the reader, in its own style."""

        async def save_thread(self, thread: Any) -> None:
            await self._run(
                "INSERT INTO threads (id, title, created_at, metadata) VALUES ($1, $2, $3, $4) "
                "ON CONFLICT (id) DO UPDATE SET title = $2, metadata = $4",
                thread.id,
                thread.title,
                thread.created_at,
                json.dumps(thread.metadata),
            )

        async def load_threads(self, limit: int = 50) -> list[Any]:
            rows = await self._rows("SELECT * FROM threads ORDER BY created_at DESC LIMIT $1", limit)
            return [chatkit.types.ThreadMetadata(**dict(row)) for row in rows]

        async def load_thread_items(self, thread_id: str) -> list[Any]:
            query = "SELECT content FROM items WHERE thread_id = $1 ORDER BY number"
            return [ITEM.validate_json(row["content"]) for row in await self._rows(query, thread_id)]

        async def add_thread_item(self, thread_id: str, item: Any) -> None:
            query = "INSERT INTO items (id, thread_id, content) VALUES ($1, $2, $3)"
            await self._run(query, item.id, thread_id, item.model_dump_json())

        async def save_item(self, thread_id: str, item: Any) -> None:
            await self._run("UPDATE items SET content = $2 WHERE id = $1", item.id, item.model_dump_json())

        async def load_item(self, thread_id: str, item_id: str) -> Any:
            rows = await self._rows("SELECT content FROM items WHERE id = $1", item_id)
            return ITEM.validate_json(rows[0]["content"]) if rows else None

        async def delete_thread(self, thread_id: str) -> None:
            await self._run("DELETE FROM items WHERE thread_id = $1", thread_id)
            await self._run("DELETE FROM threads WHERE id = $1", thread_id)

        async def delete_thread_item(self, thread_id: str, item_id: str) -> None:
            await self._run("DELETE FROM items WHERE id = $1", item_id)

        async def _run(self, query: str, *values: Any) -> None:
            async with (await self._get_pool()).acquire() as connection:
                await connection.execute(query, *values)

        async def _rows(self, query: str, *values: Any) -> Any:
            async with (await self._get_pool()).acquire() as connection:
                return await connection.fetch(query, *values)

    store = Whole(postgres_database)
    try:
        await store._run(
            "CREATE TABLE threads (id TEXT PRIMARY KEY, title TEXT, created_at TIMESTAMPTZ, updated_at TIMESTAMPTZ, "
            "metadata TEXT)"
        )
        await store._run(
            "CREATE TABLE items (number SERIAL, id TEXT PRIMARY KEY, thread_id TEXT, content TEXT)"
        )
        server = ScriptedServer(hello, store)
        thread_id = await server.new_thread()
        assert server.store is store
        await drain(await server.say(thread_id, "Again"))
        await server.ask("threads.update", thread_id=thread_id, title="On PostgreSQL")
        found = await server.ask("threads.get_by_id", thread_id=thread_id)
        assert found["title"] == "On PostgreSQL"
        kinds = [item["type"] for item in found["items"]["data"]]
        assert kinds == ["user_message", "user_message", "assistant_message"]
        await server.ask("threads.delete", thread_id=thread_id)
        assert await store.load_thread(thread_id) is None
    finally:
        await (await store._get_pool()).close()
