"""Every request type: the exact events and bodies."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatkit.errors import (
    ConfigurationError,
    ConflictError,
    InvalidRequestError,
    MalformedRequestError,
    NotFoundError,
    ThreadClosedError,
    ThreadLockedError,
    UnsupportedOperationError,
)
from chatkit.store import AttachmentStore, MemoryStore
from chatkit.types import (
    ClientToolCallItem,
    ClosedStatus,
    FileAttachment,
    HiddenContextItem,
    LockedStatus,
    StructuredInputFreeform,
    StructuredInputItem,
    SyncCustomActionResponse,
    ThreadItemDoneEvent,
    TranscriptionResult,
    WidgetItem,
)
from chatkit.widgets import Card, Text
from tests.server.support import (
    ADA,
    BOB,
    ScriptedServer,
    done,
    events,
    hello,
    kinds,
    progress,
    silent,
    texts,
    user_input,
)

OPTIONS = {"type": "stream_options", "stream_options": {"allow_cancel": True}}


def is_time(value: Any) -> bool:
    return isinstance(value, str) and value.endswith("Z") and "T" in value


class Files(AttachmentStore[Any]):
    def __init__(self) -> None:
        self.deleted: list[str] = []

    async def create_attachment(self, input: Any, context: Any) -> Any:
        return FileAttachment(id="atc_1", name=input.name, mime_type=input.mime_type, metadata={"secret": 1})

    async def delete_attachment(self, attachment_id: str, context: Any) -> None:
        self.deleted.append(attachment_id)


async def ask_tool(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    yield ThreadItemDoneEvent(item=ClientToolCallItem(id="tc_1", call_id="c", name="pick", arguments={}))


async def ask_questions(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    yield ThreadItemDoneEvent(
        item=StructuredInputItem(id="sin_1", inputs=[StructuredInputFreeform(id="q", question="Name?")])
    )


async def show_widget(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    yield ThreadItemDoneEvent(item=WidgetItem(id="wid_1", widget=Card(children=[Text(value="Hi")])))


async def test_create(store: Any) -> None:
    server = ScriptedServer(hello, store)
    created, said, options, answered = await events(await server.create("Hi there"))
    thread_id = created["thread"]["id"]
    assert thread_id.startswith("thr_")
    assert is_time(created["thread"].pop("created_at"))
    assert created == {
        "type": "thread.created",
        "thread": {
            "id": thread_id,
            "status": {"type": "active"},
            "metadata": {},
            "items": {"data": [], "has_more": False},
        },
    }
    assert said["item"].pop("id").startswith("msg_")
    assert is_time(said["item"].pop("created_at"))
    assert said == {
        "type": "thread.item.done",
        "item": {
            "type": "user_message",
            "thread_id": thread_id,
            "content": [{"type": "input_text", "text": "Hi there"}],
            "attachments": [],
            "inference_options": {},
        },
    }
    assert options == OPTIONS
    assert is_time(answered["item"].pop("created_at"))
    assert answered == {
        "type": "thread.item.done",
        "item": {
            "type": "assistant_message",
            "id": "msg_1",
            "thread_id": thread_id,
            "content": [{"type": "output_text", "text": "Hello!", "annotations": []}],
        },
    }


async def test_add_user_message(store: Any) -> None:
    server = ScriptedServer(hello, store)
    thread_id = await server.new_thread()
    found = await events(await server.say(thread_id, "Again"))
    assert kinds(found) == ["thread.item.done", "stream_options", "thread.item.done"]
    assert [item.type for item in await server.items(thread_id)] == [
        "user_message",
        "user_message",
        "assistant_message",
    ]


async def test_respond_gets_its_thread_and_message() -> None:
    seen: list[Any] = []

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        seen.append((thread.id, message and message.content[0].text, context))
        yield progress()

    server = ScriptedServer(script)
    context = ADA | {"extra": object()}
    thread_id = (await events(await server.create("Hi", context)))[0]["thread"]["id"]
    assert seen == [(thread_id, "Hi", context)]


@pytest.mark.parametrize(
    ("status", "error"),
    [(LockedStatus(reason="later"), ThreadLockedError), (ClosedStatus(reason="over"), ThreadClosedError)],
)
async def test_locked_and_closed_threads_refuse_messages_and_retries(
    status: Any, error: type[Exception]
) -> None:
    async def lock(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        thread.status = status
        yield done("Locked")

    server = ScriptedServer(lock)
    created = await events(await server.create())
    thread_id, message_id = created[0]["thread"]["id"], created[1]["item"]["id"]
    before = await server.items(thread_id)
    with pytest.raises(error, match=status.reason):
        await server.say(thread_id)
    with pytest.raises(error):
        await server.ask("threads.retry_after_item", thread_id=thread_id, item_id=message_id)
    assert await server.items(thread_id) == before


async def test_retry_deletes_what_follows_and_answers_the_same_message(store: Any) -> None:
    server = ScriptedServer(hello, store)
    created = await events(await server.create("First"))
    thread_id, message_id = created[0]["thread"]["id"], created[1]["item"]["id"]
    server.script = silent
    await events(await server.say(thread_id, "Second"))
    seen: list[Any] = []

    async def again(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        seen.append(message)
        yield done("Better", "msg_2")

    server.script = again
    found = await server.ask("threads.retry_after_item", thread_id=thread_id, item_id=message_id)
    assert kinds(found) == ["stream_options", "thread.item.done"]
    assert [message.id for message in seen] == [message_id]
    assert [item.id for item in await server.items(thread_id)] == [message_id, "msg_2"]


async def test_retry_of_what_is_no_user_message(store: Any) -> None:
    server = ScriptedServer(hello, store)
    thread_id = (await events(await server.create()))[0]["thread"]["id"]
    with pytest.raises(InvalidRequestError):
        await server.ask("threads.retry_after_item", thread_id=thread_id, item_id="msg_1")
    assert len(await server.items(thread_id)) == 2


async def test_client_tool_output(store: Any) -> None:
    server = ScriptedServer(ask_tool, store)
    created = await events(await server.create())
    thread_id = created[0]["thread"]["id"]
    assert created[-1]["item"]["status"] == "pending"
    messages: list[Any] = []

    async def after(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        messages.append(message)
        yield done("Thanks")

    server.script = after
    found = await server.ask("threads.add_client_tool_output", thread_id=thread_id, result={"a": [None]})
    assert kinds(found) == ["stream_options", "thread.item.done"]
    assert messages == [None]
    call = (await server.items(thread_id))[1]
    assert (call.status, call.output) == ("completed", {"a": [None]})
    with pytest.raises(ConflictError):
        await server.ask("threads.add_client_tool_output", thread_id=thread_id, result=1)


async def test_a_tool_call_before_the_last_message_takes_no_output() -> None:
    server = ScriptedServer(ask_tool)
    thread_id = (await events(await server.create()))[0]["thread"]["id"]
    server.script = silent
    await events(await server.say(thread_id))
    with pytest.raises(ConflictError):
        await server.ask("threads.add_client_tool_output", thread_id=thread_id, result=1)


async def ask_again(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    yield ThreadItemDoneEvent(item=ClientToolCallItem(id="tc_2", call_id="d", name="pick", arguments={}))


async def with_abandoned_call(store: Any) -> tuple[ScriptedServer, str]:
    """Returns a server and a thread in which the page answered no call, was written to, and is asked again."""
    server = ScriptedServer(ask_tool, store)
    thread_id = (await events(await server.create()))[0]["thread"]["id"]
    server.script = ask_again
    await events(await server.say(thread_id))
    server.script = hello
    return server, thread_id


async def test_an_abandoned_tool_call_is_deleted_with_the_next_output(store: Any) -> None:
    server, thread_id = await with_abandoned_call(store)
    assert [item.type for item in await server.items(thread_id)] == [
        "user_message",
        "client_tool_call",
        "user_message",
        "client_tool_call",
    ]
    found = await server.ask("threads.add_client_tool_output", thread_id=thread_id, result=1)
    assert kinds(found) == ["stream_options", "thread.item.done"]
    kept = await server.items(thread_id)
    assert [item.type for item in kept] == [
        "user_message",
        "user_message",
        "client_tool_call",
        "assistant_message",
    ]
    assert (kept[2].id, kept[2].status, kept[2].output) == ("tc_2", "completed", 1)


async def test_a_store_that_cannot_delete_keeps_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    class NoDeletes(MemoryStore[Any]):
        async def delete_thread_item(self, thread_id: str, item_id: str, context: Any) -> None:
            raise NotImplementedError

    server, thread_id = await with_abandoned_call(NoDeletes())
    found = await server.ask("threads.add_client_tool_output", thread_id=thread_id, result=1)
    assert kinds(found) == ["stream_options", "thread.item.done"]
    assert "stays in the thread" in caplog.text


async def test_structured_input(store: Any) -> None:
    server = ScriptedServer(ask_questions, store)
    thread_id = (await events(await server.create()))[0]["thread"]["id"]
    server.script = hello
    answers = {"status": "answered", "answers": {"q": {"values": ["Ada"]}, "unknown": {"values": ["x"]}}}
    ask = {"thread_id": thread_id, "item_id": "sin_1", "input": answers}
    options, replaced, answered = await server.ask("threads.add_structured_input", **ask)
    assert options == OPTIONS
    assert replaced["type"] == "thread.item.replaced"
    assert replaced["item"]["status"] == "answered"
    assert replaced["item"]["inputs"] == [
        {"type": "freeform", "id": "q", "question": "Name?", "answer": {"values": ["Ada"], "skipped": False}}
    ]
    assert answered["item"]["id"] == "msg_1"
    assert (await server.items(thread_id))[1].inputs[0].answer.values == ["Ada"]
    with pytest.raises(ConflictError):
        await server.ask("threads.add_structured_input", **ask)
    with pytest.raises(InvalidRequestError):
        await server.ask("threads.add_structured_input", **ask | {"item_id": "msg_1"})


async def test_empty_values_are_a_skipped_question() -> None:
    server = ScriptedServer(ask_questions)
    thread_id = (await events(await server.create()))[0]["thread"]["id"]
    found = await server.ask(
        "threads.add_structured_input",
        thread_id=thread_id,
        item_id="sin_1",
        input={"status": "answered", "answers": {"q": {"values": []}}},
    )
    assert found[1]["item"]["inputs"][0]["answer"] == {"values": [], "skipped": True}


async def test_get_by_id_shows_the_oldest_twenty() -> None:
    async def many(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        for number in range(25):
            yield done(str(number), f"msg_{number:02}")

    server = ScriptedServer(many)
    thread_id = (await events(await server.create()))[0]["thread"]["id"]
    thread = await server.ask("threads.get_by_id", thread_id=thread_id)
    assert [item["id"] for item in thread["items"]["data"]][1:] == [
        f"msg_{number:02}" for number in range(19)
    ]
    assert thread["items"]["has_more"] is True
    assert thread["items"]["after"] == "msg_18"
    assert "active_turn" not in thread
    rest = await server.ask(
        "items.list", thread_id=thread_id, after=thread["items"]["after"], limit=100, order="asc"
    )
    assert [item["id"] for item in rest["data"]] == [f"msg_{number:02}" for number in range(19, 25)]
    assert rest["has_more"] is False
    assert "after" not in rest


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 45, 100, 9999])
async def test_items_are_paged_both_ways(order: str, limit: int) -> None:
    async def many(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        for number in range(44):
            yield done(str(number), f"msg_{number:02}")

    server = ScriptedServer(many)
    thread_id = (await events(await server.create()))[0]["thread"]["id"]
    found: list[str] = []
    after: dict[str, Any] = {}
    while True:
        page = await server.ask("items.list", thread_id=thread_id, limit=limit, order=order, **after)
        found += [item["id"] for item in page["data"]]
        if not page["has_more"]:
            break
        assert len(page["data"]) == limit
        after = {"after": page["after"]}
    expected = [item.id for item in await server.items(thread_id)]
    assert len(expected) == 45
    assert found == (expected if order == "asc" else expected[::-1])


async def test_threads_are_listed_newest_first_for_their_owner(store: Any) -> None:
    server = ScriptedServer(hello, store)
    threads = [await server.new_thread() for _ in range(3)]
    await events(await server.create("Mine", BOB))
    page = await server.ask("threads.list", limit=2)
    assert [thread["id"] for thread in page["data"]] == [threads[2], threads[1]]
    rest = await server.ask("threads.list", limit=2, after=page["after"])
    assert [thread["id"] for thread in rest["data"]] == [threads[0]]
    assert [thread["id"] for thread in (await server.ask("threads.list", order="asc"))["data"]] == threads
    assert len((await server.ask("threads.list", BOB, limit=9999))["data"]) == 1


async def test_update_and_delete(store: Any) -> None:
    server = ScriptedServer(hello, store)
    thread_id = await server.new_thread()
    renamed = await server.ask("threads.update", thread_id=thread_id, title="New")
    assert (renamed["id"], renamed["title"], renamed["items"]) == (
        thread_id,
        "New",
        {"data": [], "has_more": False},
    )
    assert (await server.ask("threads.get_by_id", thread_id=thread_id))["title"] == "New"
    assert await server.ask("threads.delete", thread_id=thread_id) == {}
    with pytest.raises(NotFoundError):
        await server.ask("threads.get_by_id", thread_id=thread_id)


async def test_feedback() -> None:
    given: list[Any] = []

    class Server(ScriptedServer):
        async def add_feedback(self, *args: Any) -> None:
            given.append(args)

    server = Server()
    thread_id = (await events(await server.create()))[0]["thread"]["id"]
    ask = {"thread_id": thread_id, "item_ids": ["msg_1"], "kind": "negative"}
    assert await server.ask("items.feedback", **ask) == {}
    assert given == [(thread_id, ["msg_1"], "negative", ADA)]
    with pytest.raises(NotFoundError):
        await server.ask("items.feedback", BOB, **ask)
    assert len(given) == 1


async def test_attachments(store: Any) -> None:
    files = Files()
    server = ScriptedServer(hello, store, files)
    made = await server.ask("attachments.create", name="a.txt", size=1, mime_type="text/plain")
    assert made == {"type": "file", "id": "atc_1", "name": "a.txt", "mime_type": "text/plain"}
    found = await server.ask("threads.create", input=user_input("Look", attachments=["atc_1"]))
    thread_id = found[0]["thread"]["id"]
    assert found[1]["item"]["attachments"] == [made | {"thread_id": thread_id}]
    assert (await server.items(thread_id))[0].attachments[0].metadata == {"secret": 1}
    for context in (BOB, ADA):
        ask = server.ask("attachments.delete", context, attachment_id="atc_1")
        if context is BOB:
            with pytest.raises(NotFoundError):
                await ask
            assert files.deleted == []
        else:
            assert await ask == {}
    assert files.deleted == ["atc_1"]
    with pytest.raises(InvalidRequestError):
        await server.ask("attachments.create", name="a", size=-1, mime_type="text/plain")


async def test_without_attachment_store() -> None:
    server = ScriptedServer()
    with pytest.raises(UnsupportedOperationError):
        await server.ask("attachments.create", name="a", size=1, mime_type="text/plain")
    with pytest.raises(UnsupportedOperationError):
        await server.ask("attachments.delete", attachment_id="a")


async def test_transcribe() -> None:
    class Server(ScriptedServer):
        async def transcribe(self, audio_input: Any, context: Any) -> Any:
            return TranscriptionResult(text=f"{audio_input.data!r} {audio_input.media_type}")

    audio = base64.b64encode(b"\x00\xff").decode()
    ask = {"audio_base64": audio, "mime_type": "audio/webm; codecs=opus"}
    assert await Server().ask("input.transcribe", **ask) == {"text": "b'\\x00\\xff' audio/webm"}
    with pytest.raises(UnsupportedOperationError):
        await ScriptedServer().ask("input.transcribe", **ask)
    with pytest.raises(InvalidRequestError):
        await Server().ask("input.transcribe", audio_base64="not base64!", mime_type="audio/ogg")


async def test_sync_action(store: Any) -> None:
    class Server(ScriptedServer):
        async def sync_action(self, thread: Any, action: Any, sender: Any, context: Any) -> Any:
            thread.title = "Pressed"
            sender.widget = Card(children=[Text(value="Pressed")])
            return SyncCustomActionResponse(updated_item=sender)

    server = Server(show_widget, store)
    thread_id = (await events(await server.create()))[0]["thread"]["id"]
    ask = {"thread_id": thread_id, "item_id": "wid_1", "action": {"type": "go", "payload": {}}}
    found = await server.ask("threads.sync_custom_action", **ask)
    assert found["updated_item"]["widget"]["children"] == [{"type": "Text", "value": "Pressed"}]
    assert (await server.ask("threads.get_by_id", thread_id=thread_id))["title"] == "Pressed"
    with pytest.raises(UnsupportedOperationError):
        await ScriptedServer(show_widget, store).ask("threads.sync_custom_action", **ask)


async def test_a_sync_action_never_sends_hidden_items() -> None:
    class Server(ScriptedServer):
        def sync_action(self, thread: Any, action: Any, sender: Any, context: Any) -> Any:
            return SyncCustomActionResponse(
                updated_item=HiddenContextItem(id="hid", thread_id=thread.id, content="secret")
            )

    server = Server()
    thread_id = await server.new_thread()
    assert await server.ask("threads.sync_custom_action", thread_id=thread_id, action={"type": "go"}) == {}


async def test_actions_of_what_is_no_widget() -> None:
    class Server(ScriptedServer):
        async def action(self, thread: Any, action: Any, sender: Any, context: Any) -> AsyncIterator[Any]:
            yield progress()

    server = Server()
    thread_id = (await events(await server.create()))[0]["thread"]["id"]
    for item_id, error in (("msg_1", InvalidRequestError), ("wid_none", NotFoundError)):
        with pytest.raises(error):
            await server.send(
                "threads.custom_action", thread_id=thread_id, item_id=item_id, action={"type": "go"}
            )
    with pytest.raises(UnsupportedOperationError):
        await ScriptedServer(store=server.store).send(
            "threads.custom_action", thread_id=thread_id, action={"type": "go"}
        )


async def test_turns_stop_and_resume_of_a_quiet_thread(store: Any) -> None:
    server = ScriptedServer(hello, store)
    thread_id = await server.new_thread()
    assert await server.ask("turns.stop", thread_id=thread_id) == {"stopped": []}
    assert await server.ask("turns.stop", thread_id=thread_id, turn_id="turn_none") == {"stopped": []}
    for context in (ADA, BOB):
        with pytest.raises(NotFoundError) as caught:
            await server.send("turns.resume", context, thread_id=thread_id)
        assert caught.value.code == ("turn_not_found" if context is ADA else "not_found")
    with pytest.raises(NotFoundError):
        await server.ask("turns.stop", BOB, thread_id=thread_id)


THREAD_REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("threads.get_by_id", {}),
    ("threads.add_user_message", {"input": user_input()}),
    ("threads.add_client_tool_output", {"result": 1}),
    ("threads.add_structured_input", {"item_id": "msg_1", "input": {}}),
    ("threads.retry_after_item", {"item_id": "msg_1"}),
    ("threads.custom_action", {"action": {"type": "go"}}),
    ("threads.sync_custom_action", {"action": {"type": "go"}}),
    ("threads.update", {"title": "Stolen"}),
    ("threads.delete", {}),
    ("items.list", {}),
    ("items.feedback", {"item_ids": ["msg_1"], "kind": "positive"}),
    ("turns.stop", {}),
    ("turns.resume", {}),
    ("turns.resume", {"after": "turn_x:1"}),
]


@pytest.mark.parametrize(("kind", "params"), THREAD_REQUESTS)
async def test_another_owners_thread_is_not_found(kind: str, params: dict[str, Any], store: Any) -> None:
    server = ScriptedServer(hello, store)
    thread_id = (await events(await server.create()))[0]["thread"]["id"]
    before = await server.items(thread_id)
    with pytest.raises(NotFoundError):
        await server.send(kind, BOB, thread_id=thread_id, **params)
    assert await server.items(thread_id) == before
    assert "title" not in await server.ask("threads.get_by_id", thread_id=thread_id)


async def test_a_context_without_owner_is_the_applications_mistake() -> None:
    server = ScriptedServer()
    for context in ({}, {"user_id": ""}, {"user_id": None}, object()):
        with pytest.raises(ConfigurationError, match="owner="):
            await server.send("threads.create", context, input=user_input())
        with pytest.raises(ConfigurationError, match="owner="):
            await server.send("threads.list", context)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b"\xff\xfe", b"{}", b'{"type": 1}', b"[" * 100_000])
async def test_what_is_no_request(body: bytes) -> None:
    with pytest.raises(MalformedRequestError):
        await ScriptedServer().process(body, ADA)


@pytest.mark.parametrize("kind", [str, bytes, bytearray])
async def test_bodies_of_every_type(kind: Any) -> None:
    body = json.dumps({"type": "threads.list", "params": {}})
    given = body if kind is str else kind(body.encode())
    result: Any = await ScriptedServer().process(given, ADA)
    assert json.loads(result.json) == {"data": [], "has_more": False}


async def test_partial_text_of_a_stored_answer_stays_in_place() -> None:
    server = ScriptedServer(hello)
    thread_id = (await events(await server.create()))[0]["thread"]["id"]
    assert texts(await server.items(thread_id)) == ["Hello!"]


async def test_ids_that_are_repeated_count_once() -> None:
    given: list[list[str]] = []

    class Listening(ScriptedServer):
        async def add_feedback(
            self, thread_id: str, item_ids: list[str], feedback: Any, context: Any
        ) -> None:
            given.append(item_ids)

    class Counting(MemoryStore[Any]):
        loads = 0

        async def load_item(self, thread_id: str, item_id: str, context: Any) -> Any:
            self.loads += 1
            return await super().load_item(thread_id, item_id, context)

    store = Counting()
    server = Listening(store=store)
    thread_id = await server.new_thread()
    (message,) = await server.items(thread_id)
    await server.ask("items.feedback", thread_id=thread_id, item_ids=[message.id] * 1000, kind="positive")
    assert given == [[message.id]]
    assert store.loads == 1
    with pytest.raises(InvalidRequestError, match="item_ids: at most 1000 entries"):
        await server.send("items.feedback", thread_id=thread_id, item_ids=["itm"] * 5_000, kind="positive")
