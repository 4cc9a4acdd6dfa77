"""Two owners over the reference's example stores and its FastAPI application: neither finds a trace of the other."""

from __future__ import annotations

import asyncio
import json
import typing
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import TypeAdapter

import chatkit.types
from chatkit.errors import ConfigurationError, MissingOwnerError, NotFoundError, UnsupportedOperationError
from chatkit.server import ChatKitServer
from chatkit.types import (
    AssistantMessageItem,
    AttachmentCreateParams,
    ClientToolCallItem,
    FileMetadata,
    StructuredInputItem,
    SyncCustomActionResponse,
    TextContent,
    TextDelta,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    TranscriptionResult,
    UserMessageItem,
    UserMessageTextContent,
    WidgetItem,
)
from chatkit.types.requests import NonStreamingReq, StreamingReq
from chatkit.widgets import Card
from tests.reference.conftest import Load
from tests.support.scale import scaled

pytestmark = pytest.mark.filterwarnings("ignore:The default datetime adapter is deprecated")

ITEM: TypeAdapter[Any] = TypeAdapter(chatkit.types.ThreadItem)
FILE = {"name": "notes.txt", "size": 5, "mime_type": "text/plain"}
GONE = {"thread": "thr_0hmansVWgAmXKCUcFtu~000000000000", "item": "msg_0DfXnOSGGOINNKpY2wf7y2hIpd"}


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATKIT_SECRET", "a long random text of the application")


# The examples, completed with the least care: items are looked for, replaced and deleted by their ids alone.


def careless_sqlite(load: Load, path: Path) -> Any:
    module = load("SQLite Store Example")

    class Careless(module.SQLiteStore):
        async def add_thread_item(self, thread_id: str, item: Any) -> None:
            async with module.closing(await self._get_db()) as db:
                await db.execute(
                    "INSERT OR REPLACE INTO thread_items VALUES (?, ?, ?, ?, ?)",
                    (item.id, thread_id, item.type, item.model_dump_json(), str(item.created_at)),
                )
                await db.commit()

        async def load_item(self, thread_id: str, item_id: str) -> Any:
            async with (
                module.closing(await self._get_db()) as db,
                db.execute("SELECT content FROM thread_items WHERE id = ?", (item_id,)) as cursor,
            ):
                row = await cursor.fetchone()
            return None if row is None else ITEM.validate_json(row[0])

        async def save_item(self, thread_id: str, item: Any) -> None:
            await self._run(
                "UPDATE thread_items SET content = ? WHERE id = ?", (item.model_dump_json(), item.id)
            )

        async def delete_thread_item(self, thread_id: str, item_id: str) -> None:
            await self._run("DELETE FROM thread_items WHERE id = ?", (item_id,))

        async def _run(self, query: str, values: tuple[Any, ...]) -> None:
            async with module.closing(await self._get_db()) as db:
                await db.execute(query, values)
                await db.commit()

        async def everything(self) -> Any:
            async with module.closing(await self._get_db()) as db:
                found: list[Any] = []
                for table in ("threads", "thread_items"):
                    async with db.execute(f"SELECT * FROM {table} ORDER BY rowid") as cursor:
                        found.append([tuple(row) for row in await cursor.fetchall()])
            return found

        async def close(self) -> None:
            pass

    return Careless(str(path))


async def careless_postgres(load: Load, url: str) -> Any:
    example = load("PostgreSQL Store Example").PostgresStore

    class Careless(example):
        async def save_thread(self, thread: Any) -> None:
            await self.rows(
                "INSERT INTO threads (id, title, created_at, metadata) VALUES ($1, $2, $3, '{}') "
                "ON CONFLICT (id) DO UPDATE SET title = $2",
                *(thread.id, thread.title, thread.created_at),
            )

        async def load_threads(self, limit: int = 50) -> list[Any]:
            rows = await self.rows("SELECT * FROM threads ORDER BY created_at DESC LIMIT $1", limit)
            return [chatkit.types.ThreadMetadata(**dict(row)) for row in rows]

        async def load_thread_items(self, thread_id: str) -> list[Any]:
            query = "SELECT content FROM thread_items WHERE thread_id = $1 ORDER BY number"
            return [ITEM.validate_json(row["content"]) for row in await self.rows(query, thread_id)]

        async def add_thread_item(self, thread_id: str, item: Any) -> None:
            await self.rows(
                "INSERT INTO thread_items (id, thread_id, content) VALUES ($1, $2, $3) "
                "ON CONFLICT (id) DO UPDATE SET thread_id = $2, content = $3",
                *(item.id, thread_id, item.model_dump_json()),
            )

        async def save_item(self, thread_id: str, item: Any) -> None:
            query = "UPDATE thread_items SET content = $2 WHERE id = $1"
            await self.rows(query, item.id, item.model_dump_json())

        async def load_item(self, thread_id: str, item_id: str) -> Any:
            rows = await self.rows("SELECT content FROM thread_items WHERE id = $1", item_id)
            return ITEM.validate_json(rows[0]["content"]) if rows else None

        async def delete_thread(self, thread_id: str) -> None:
            await self.rows("DELETE FROM thread_items WHERE thread_id = $1", thread_id)
            await self.rows("DELETE FROM threads WHERE id = $1", thread_id)

        async def delete_thread_item(self, thread_id: str, item_id: str) -> None:
            await self.rows("DELETE FROM thread_items WHERE id = $1", item_id)

        async def rows(self, query: str, *values: Any) -> Any:
            async with (await self._get_pool()).acquire() as connection:
                return await connection.fetch(query, *values)

        async def everything(self) -> Any:
            threads = await self.rows("SELECT * FROM threads ORDER BY id")
            items = await self.rows("SELECT * FROM thread_items ORDER BY number")
            return [[tuple(row) for row in rows] for rows in (threads, items)]

        async def close(self) -> None:
            await (await self._get_pool()).close()

    store = Careless(url)
    await store.rows(
        "CREATE TABLE threads (id TEXT PRIMARY KEY, title TEXT, created_at TIMESTAMPTZ, updated_at TIMESTAMPTZ, "
        "metadata TEXT)"
    )
    await store.rows(
        "CREATE TABLE thread_items (number SERIAL, id TEXT PRIMARY KEY, thread_id TEXT, content TEXT)"
    )
    return store


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    return (
        tmp_path / "chatkit.db" if request.param == "sqlite" else request.getfixturevalue("postgres_database")
    )


@pytest.fixture
async def store(load: Load, database: str | Path) -> AsyncIterator[Any]:
    made = (
        careless_sqlite(load, database)
        if isinstance(database, Path)
        else await careless_postgres(load, database)
    )
    yield made
    await made.close()


@asynccontextmanager
async def restarted(store: Any) -> AsyncGenerator[Any]:
    """A server over the same database, as a new process has it."""
    again = type(store)(store.connection_string if hasattr(store, "_get_pool") else store.db_path)
    server = Application(again)
    try:
        yield server
    finally:
        await server.close()
        await again.close()


class Files(chatkit.types.FileStore):
    def __init__(self) -> None:
        self.deleted: list[str] = []

    async def upload(self, file_id: str, content: bytes, metadata: FileMetadata) -> str:
        return await self.get_preview_url(file_id)

    async def get_upload_url(self, file_id: str, metadata: FileMetadata) -> str:
        return f"https://files.example/{file_id}"

    async def get_preview_url(self, file_id: str) -> str:
        return f"https://files.example/{file_id}"

    async def delete(self, file_id: str) -> None:
        self.deleted.append(file_id)


class Application(ChatKitServer[Any]):
    """Answers every owner with items of the same ids, as the reference's snippets do."""

    def __init__(self, store: Any) -> None:
        self.files = Files()
        super().__init__(store, file_store=self.files)
        self.gate = asyncio.Event()
        self.feedback: list[tuple[str, list[str], Any]] = []

    async def respond(self, thread: Any, input_user_message: Any, context: Any) -> AsyncIterator[Any]:
        said = input_user_message.content[0].text if input_user_message else "goes on"
        item: Any = None
        if said == "tool":
            item = ClientToolCallItem(id="call", call_id="call", name="look", arguments={})
        elif said == "ask":
            item = StructuredInputItem.model_validate(
                {"id": "ask", "inputs": [{"type": "freeform", "id": "why", "question": "Why?"}]}
            )
        elif said == "widget":
            item = WidgetItem(id="widget", widget=Card(children=[]))
        if item is not None:
            yield ThreadItemDoneEvent(item=item)
            return
        yield ThreadItemAddedEvent(
            item=AssistantMessageItem(
                id="msg_123", content=[TextContent(text=f"{context['user_id']}: {said}")]
            )
        )
        if said == "wait":
            await self.gate.wait()
        yield ThreadItemUpdatedEvent(id="msg_123", delta=TextDelta(text="!"))
        yield ThreadItemDoneEvent(id="msg_123")

    async def action(self, thread: Any, action_type: str, payload: Any, context: Any) -> AsyncIterator[Any]:
        if action_type == "replace":
            new = AssistantMessageItem(id="msg_123", content=[TextContent(text="replaced")])
            yield ThreadItemReplacedEvent(id="msg_123", item=new)
        elif action_type == "remove":
            yield ThreadItemRemovedEvent(id="msg_123")

    async def sync_action(self, thread: Any, action_type: str, payload: Any, context: Any) -> Any:
        return SyncCustomActionResponse()

    async def add_feedback(self, thread_id: str, item_ids: list[str], feedback: Any, context: Any) -> None:
        self.feedback.append((thread_id, item_ids, feedback))

    async def transcribe(self, audio_input: Any, context: Any) -> TranscriptionResult:
        return TranscriptionResult(text="heard")


class Visitor:
    """A user of the reference's FastAPI application."""

    def __init__(self, app: Any, name: str | None) -> None:
        headers = {} if name is None else {"x-user-id": name}
        # What process() raises reaches the caller: the reference's endpoint has no handler for it.
        transport = httpx2.ASGITransport(app)
        self.http = httpx2.AsyncClient(transport=transport, base_url="http://chat", headers=headers)

    async def ask(self, kind: str, metadata: Any = None, /, **params: Any) -> Any:
        body = {"type": kind, "params": params, "metadata": metadata or {}}
        async with asyncio.timeout(scaled(20)):
            response = await self.http.post("/chatkit", json=body)
        assert response.status_code == 200
        if response.headers["content-type"].startswith("application/json"):
            return response.json()
        frames = [line.removeprefix("data: ") for line in response.text.splitlines()]
        return [json.loads(frame) for frame in frames if frame.startswith("{")]

    async def thread(self, text: str, *attachments: str) -> tuple[str, list[Any]]:
        events = await self.ask("threads.create", input=said(text, *attachments))
        return events[0]["thread"]["id"], [event["item"] for event in events if "item" in event]


def said(text: str, *attachments: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"content": content, "attachments": list(attachments), "inference_options": {}}


@asynccontextmanager
async def visitors(load: Load, server: Any, *names: str | None) -> AsyncGenerator[list[Visitor]]:
    setup: Any = load("Complete Server Setup")
    before, setup.server = setup.server, server
    found = [Visitor(setup.app, name) for name in names]
    try:
        yield found
    finally:
        setup.server = before
        for visitor in found:
            await visitor.http.aclose()


class World:
    """What an owner has: a thread of each kind."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self.ids: dict[str, str] = {}

    async def fill(self) -> None:
        made = await self.visitor.ask("attachments.create", **FILE)
        self.ids["attachment"] = made["id"]
        for kind in ("chat", "tool", "ask", "widget"):
            attachments = [made["id"]] if kind == "chat" else []
            thread_id, items = await self.visitor.thread(kind, *attachments)
            self.ids |= {kind: thread_id, f"{kind} message": items[0]["id"], f"{kind} item": items[-1]["id"]}

    async def seen(self) -> Any:
        """Returns all that the owner sees, but for the links to files, which are new each time."""
        listed = await self.visitor.ask("threads.list", limit=100)
        return [
            await self.visitor.ask("threads.get_by_id", thread_id=entry["id"]) for entry in listed["data"]
        ]


ACTION: dict[str, Any] = {"type": "replace", "payload": {}}
ANSWERS = {"status": "answered", "answers": {"why": {"values": ["Because"]}}}

# The parameters of each type of request that name what is another owner's; each is not found.
TRIES: dict[str, Callable[[dict[str, str], dict[str, str]], list[dict[str, Any]]]] = {
    "threads.create": lambda theirs, own: [{"input": said("x", theirs["attachment"])}],
    "threads.list": lambda theirs, own: [
        {"after": theirs["chat"], "limit": 5, "order": order} for order in ("asc", "desc")
    ],
    # A store of the reference cannot be searched.
    "threads.search": lambda theirs, own: [],
    "threads.get_by_id": lambda theirs, own: [{"thread_id": theirs["chat"]}],
    "threads.update": lambda theirs, own: [{"thread_id": theirs["chat"], "title": "Mine"}],
    "threads.delete": lambda theirs, own: [{"thread_id": theirs["chat"]}],
    "threads.add_user_message": lambda theirs, own: [
        {"thread_id": theirs["chat"], "input": said("x")},
        {"thread_id": own["chat"], "input": said("x", theirs["attachment"])},
    ],
    "threads.retry_after_item": lambda theirs, own: [
        {"thread_id": theirs["chat"], "item_id": theirs["chat message"]},
        {"thread_id": own["chat"], "item_id": theirs["chat message"]},
    ],
    "threads.add_client_tool_output": lambda theirs, own: [{"thread_id": theirs["tool"], "result": 1}],
    "threads.add_structured_input": lambda theirs, own: [
        {"thread_id": theirs["ask"], "item_id": theirs["ask item"], "input": ANSWERS},
        {"thread_id": own["chat"], "item_id": theirs["ask item"], "input": ANSWERS},
    ],
    "threads.custom_action": lambda theirs, own: [
        {"thread_id": theirs["widget"], "item_id": theirs["widget item"], "action": ACTION},
        {"thread_id": theirs["widget"], "item_id": None, "action": ACTION},
        {"thread_id": own["chat"], "item_id": theirs["widget item"], "action": ACTION},
    ],
    "threads.sync_custom_action": lambda theirs, own: [
        {"thread_id": theirs["widget"], "item_id": theirs["widget item"], "action": ACTION},
        {"thread_id": own["chat"], "item_id": theirs["widget item"], "action": ACTION},
    ],
    "items.list": lambda theirs, own: [
        {"thread_id": theirs["chat"]},
        {"thread_id": own["chat"], "after": theirs["chat message"]},
    ],
    "items.feedback": lambda theirs, own: [
        {"thread_id": theirs["chat"], "item_ids": [theirs["chat item"]], "kind": "positive"},
        {"thread_id": own["chat"], "item_ids": [theirs["chat message"]], "kind": "positive"},
    ],
    "attachments.create": lambda theirs, own: [],
    "attachments.delete": lambda theirs, own: [{"attachment_id": theirs["attachment"]}],
    "input.transcribe": lambda theirs, own: [],
    "turns.stop": lambda theirs, own: [
        {"thread_id": theirs["chat"]},
        {"thread_id": theirs["chat"], "turn_id": "turn_1"},
    ],
    "turns.resume": lambda theirs, own: [
        {"thread_id": theirs["chat"]},
        {"thread_id": theirs["chat"], "after": "turn_1:1"},
    ],
}

# What names nothing of anybody's.
ALLOWED: dict[str, dict[str, Any]] = {
    "attachments.create": dict(FILE),
    "input.transcribe": {"audio_base64": "AAAA", "mime_type": "audio/webm"},
    "threads.list": {"limit": 100},
    "threads.search": {"query": "x"},
}


def kinds_of_requests() -> set[str]:
    requests = [*typing.get_args(StreamingReq), *typing.get_args(NonStreamingReq)]
    return {request.model_fields["type"].default for request in requests}


def test_every_request_type_is_tried() -> None:
    assert set(TRIES) == kinds_of_requests()


def renamed(params: Any, theirs: dict[str, str]) -> Any:
    """Returns the parameters with ids of what never was in the place of the other owner's."""
    text = json.dumps(params)
    for name, value in theirs.items():
        text = text.replace(
            json.dumps(value), json.dumps(GONE["thread" if value.startswith("thr_") else "item"])
        )
        assert name
    return json.loads(text)


async def refusal(visitor: Visitor, kind: str, params: Any) -> Any:
    with pytest.raises(NotFoundError) as caught:
        await visitor.ask(kind, **params)
    return type(caught.value), caught.value.status, caught.value.public_message


async def test_no_request_finds_a_trace_of_another_owner(load: Load, store: Any) -> None:
    server = Application(store)
    async with visitors(load, server, "ada", "bob") as (ada, bob):
        hers, his = World(ada), World(bob)
        await hers.fill()
        before = await hers.seen()
        assert await his.seen() == []
        await his.fill()
        # The same ids of items all over, but for those that the server makes.
        shared = {"tool item", "ask item", "widget item", "chat item"}
        assert {name for name in hers.ids if hers.ids[name] == his.ids[name]} == shared
        for other, own in ((hers, his), (his, hers)):
            for kind, tries in TRIES.items():
                stored, deleted = await store.everything(), list(server.files.deleted)
                theirs = {name: value for name, value in other.ids.items() if name not in shared}
                for params in tries(other.ids, own.ids):
                    missing = renamed(params, theirs)
                    assert params != missing or "item" in kind or "input" in kind or "action" in kind
                    answer = await refusal(own.visitor, kind, params)
                    assert answer == await refusal(own.visitor, kind, missing), kind
                    assert answer[1] == 404
                if kind == "threads.search":
                    with pytest.raises(UnsupportedOperationError):
                        await own.visitor.ask(kind, **ALLOWED[kind])
                elif kind in ALLOWED:
                    answered = json.dumps(await own.visitor.ask(kind, **ALLOWED[kind]))
                    assert not [value for value in theirs.values() if value in answered]
                assert await store.everything() == stored, kind
                assert (server.files.deleted, server.feedback) == (deleted, [])
        assert await hers.seen() == before
        assert "bob" not in json.dumps(before)

        # A file that is posted to the application itself is the owner's, too.
        made = await server.upload_attachment(
            AttachmentCreateParams(name="a.txt", size=2, mime_type="text/plain"),
            _file(load),
            {"user_id": "ada"},
        )
        upload = json.loads(made.json)["id"]
        assert await refusal(bob, "threads.create", {"input": said("x", upload)})
        assert await refusal(bob, "attachments.delete", {"attachment_id": upload})
        await ada.thread("chat", upload)

        # And whoever sends no name is nobody.
        async with visitors(load, server, None) as (nobody,):
            for kind, tries in TRIES.items():
                for params in tries(hers.ids, his.ids) or [ALLOWED[kind]]:
                    with pytest.raises(MissingOwnerError, match="names no owner"):
                        await nobody.ask(kind, **params)

        # All of it was hers to ask for.
        await ada.ask("items.feedback", thread_id=hers.ids["chat"], item_ids=["msg_123"], kind="positive")
        assert server.feedback == [(hers.ids["chat"], ["msg_123"], "positive")]
        await ada.ask(
            "threads.add_structured_input", **TRIES["threads.add_structured_input"](hers.ids, {"chat": ""})[0]
        )
        await ada.ask("threads.add_client_tool_output", thread_id=hers.ids["tool"], result=1)
        await ada.ask(
            "threads.retry_after_item", thread_id=hers.ids["chat"], item_id=hers.ids["chat message"]
        )
        await ada.ask(
            "threads.sync_custom_action", thread_id=hers.ids["widget"], item_id="widget", action=ACTION
        )
        for entry in await hers.seen():
            await ada.ask("threads.delete", thread_id=entry["id"])
        assert hers.ids["attachment"] in server.files.deleted
        assert await hers.seen() == []
        assert len(await his.seen()) == 4
    await server.close()


def _file(load: Load) -> Path:
    folder = Path(str(load("Constructor").__file__)).parent
    path = folder / "upload.txt"
    path.write_bytes(b"hi")
    return path


async def test_a_running_turn_of_another_owner_is_not_found(load: Load, store: Any) -> None:
    server = Application(store)
    async with visitors(load, server, "ada", "bob") as (ada, bob):
        thread_id, _ = await ada.thread("chat")
        running = asyncio.create_task(
            ada.ask("threads.add_user_message", {"resumable": True}, thread_id=thread_id, input=said("wait"))
        )
        async with asyncio.timeout(scaled(20)):
            while not (turn := (await ada.ask("threads.get_by_id", thread_id=thread_id)).get("active_turn")):
                await asyncio.sleep(0)
        for params in ({}, {"after": f"{turn['id']}:0"}):
            await refusal(bob, "turns.resume", {"thread_id": thread_id, **params})
        for params in ({}, {"turn_id": turn["id"]}):
            await refusal(bob, "turns.stop", {"thread_id": thread_id, **params})
        own, _ = await bob.thread("chat")
        await refusal(bob, "turns.resume", {"thread_id": own, "after": f"{turn['id']}:0"})
        assert await bob.ask("turns.stop", thread_id=own, turn_id=turn["id"]) == {"stopped": []}
        server.gate.set()
        (done,) = (
            event
            for event in await running
            if event.get("type") == "thread.item.done" and "ada" in str(event)
        )
        assert done["item"]["content"][0]["text"] == "ada: wait!"
    await server.close()


async def test_the_same_ids_of_items_in_all_threads(load: Load, store: Any) -> None:
    server = Application(store)
    async with visitors(load, server, "ada", "bob") as (ada, bob):
        threads = [(ada, "ada", (await ada.thread("one"))[0]), (bob, "bob", (await bob.thread("one"))[0])]
        threads.append((ada, "ada", (await ada.thread("one"))[0]))

        async def texts() -> list[list[str]]:
            found: list[list[str]] = []
            for visitor, _, thread_id in threads:
                page = await visitor.ask("items.list", thread_id=thread_id, order="asc")
                found.append([item["content"][0]["text"] for item in page["data"] if item["id"] == "msg_123"])
            return found

        assert await texts() == [["ada: one!"], ["bob: one!"], ["ada: one!"]]
        for action, left in (("replace", ["replaced"]), ("remove", [])):
            await bob.ask(
                "threads.custom_action",
                thread_id=threads[1][2],
                item_id=None,
                action={"type": action, "payload": {}},
            )
            assert await texts() == [["ada: one!"], left, ["ada: one!"]]
        await bob.ask(
            "threads.retry_after_item", thread_id=threads[1][2], item_id=(await _first(bob, threads[1][2]))
        )
        assert await texts() == [["ada: one!"], ["bob: one!"], ["ada: one!"]]
        await bob.ask("threads.delete", thread_id=threads.pop(1)[2])
        assert await texts() == [["ada: one!"], ["ada: one!"]]
        # A new process finds them under the same ids.
        async with restarted(store) as again, visitors(load, again, "ada") as (returned,):
            for _, _, thread_id in threads:
                page = await returned.ask("items.list", thread_id=thread_id, order="asc")
                assert [item["id"] for item in page["data"]][1:] == ["msg_123"]
    await server.close()


async def _first(visitor: Visitor, thread_id: str) -> str:
    page = await visitor.ask("items.list", thread_id=thread_id, order="asc", limit=1)
    return page["data"][0]["id"]


async def test_without_a_secret_the_second_owner_is_refused(
    load: Load, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHATKIT_SECRET")
    server = Application(store)
    async with visitors(load, server, "ada", "bob") as (ada, bob):
        thread_id, _ = await ada.thread("chat")
        for kind, tries in TRIES.items():
            for params in tries(dict.fromkeys(_NAMES, "x"), dict.fromkeys(_NAMES, "x")) or [ALLOWED[kind]]:
                with pytest.raises(ConfigurationError, match="CHATKIT_SECRET") as refused:
                    await bob.ask(kind, **params)
                assert refused.value.status == 500
        await ada.ask("threads.get_by_id", thread_id=thread_id)
    # After a restart another owner may be the first one, and finds nothing of the one before.
    async with restarted(store) as again, visitors(load, again, "bob", "ada") as (bob, ada):
        assert (await bob.ask("threads.list"))["data"] == []
        await refusal(bob, "threads.get_by_id", {"thread_id": thread_id})
        with pytest.raises(ConfigurationError):
            await ada.ask("threads.list")
    # With a secret both are served, and what was stored without one is still its owner's.
    monkeypatch.setenv("CHATKIT_SECRET", "set at last")
    async with restarted(store) as last, visitors(load, last, "bob", "ada") as (bob, ada):
        await refusal(bob, "threads.get_by_id", {"thread_id": thread_id})
        assert [entry["id"] for entry in (await ada.ask("threads.list"))["data"]] == [thread_id]
        await ada.ask("threads.add_user_message", thread_id=thread_id, input=said("more"))
    await server.close()


_NAMES = (
    "chat",
    "tool",
    "ask",
    "widget",
    "attachment",
    "chat message",
    "chat item",
    "ask item",
    "widget item",
)


async def test_nobody_is_a_single_user_until_somebody_comes(
    load: Load, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHATKIT_SECRET")
    server = Application(store)
    async with visitors(load, server, None, "ada") as (nobody, ada):
        world = World(nobody)
        await world.fill()
        assert len(await world.seen()) == 4
        # Ids as before, which a later process finds too.
        assert "~" not in world.ids["chat"]
        async with restarted(store) as again, visitors(load, again, None) as (returned,):
            assert len((await returned.ask("threads.list"))["data"]) == 4

        await refusal(ada, "threads.get_by_id", {"thread_id": world.ids["chat"]})
        assert (await ada.ask("threads.list"))["data"] == []
        for kind in ("threads.list", "threads.get_by_id"):
            with pytest.raises(MissingOwnerError):
                await nobody.ask(kind, **({} if kind == "threads.list" else {"thread_id": world.ids["chat"]}))
        await ada.thread("chat")
    # Nor after a restart, by a request for one thread.
    async with restarted(store) as last, visitors(load, last, None) as (nobody,):
        with pytest.raises(MissingOwnerError):
            await nobody.ask("threads.get_by_id", thread_id=world.ids["chat"])
    await server.close()


async def test_threads_from_before_are_whose_the_application_says(load: Load, store: Any) -> None:
    """Rows that have no tag: of the version before, or stored by the application itself."""
    for name in ("ada", "bob", "nobody"):
        await store.save_thread(chatkit.types.ThreadMetadata(id=f"thread_{name}", title=name))
        item = UserMessageItem(
            id=f"msg_of_{name}",
            thread_id=f"thread_{name}",
            content=[UserMessageTextContent(text="before")],
            attachments=[],
            inference_options=chatkit.types.InferenceOptions(),
        )
        await store.add_thread_item(f"thread_{name}", item)

    class Adopting(Application):
        async def thread_owner(self, thread: Any) -> str | None:
            owner = thread.id.removeprefix("thread_")
            return owner if owner in {"ada", "bob"} else None

    server = Adopting(store)
    async with visitors(load, server, "ada", "bob") as (ada, bob):
        for visitor, name, other in ((ada, "ada", "bob"), (bob, "bob", "ada")):
            thread_id = f"thread_{name}"
            listed = (await visitor.ask("threads.list"))["data"]
            assert [entry["id"] for entry in listed] == [thread_id]
            for missing in (f"thread_{other}", "thread_nobody"):
                await refusal(visitor, "threads.get_by_id", {"thread_id": missing})
            await visitor.ask("threads.update", thread_id=thread_id, title="Renamed")
            await visitor.ask("threads.add_user_message", thread_id=thread_id, input=said("more"))
            await visitor.ask("threads.retry_after_item", thread_id=thread_id, item_id=f"msg_of_{name}")
            found = await visitor.ask("threads.get_by_id", thread_id=thread_id)
            assert (found["title"], [item["id"] for item in found["items"]["data"]]) == (
                "Renamed",
                [f"msg_of_{name}", "msg_123"],
            )
        await ada.ask("threads.delete", thread_id="thread_ada")
        assert [entry["id"] for entry in (await bob.ask("threads.list"))["data"]] == ["thread_bob"]
    assert sorted(thread.id for thread in await store.load_threads()) == ["thread_bob", "thread_nobody"]
    await server.close()
