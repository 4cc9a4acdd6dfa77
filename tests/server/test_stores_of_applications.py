"""Stores that applications wrote: ids that they make, pages that are not what was asked for, missing methods."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatkit.client.view import TurnView
from chatkit.dialects.adapters import adapt_store
from chatkit.dialects.openai_chatkit.store import OpenAIStoreAdapter
from chatkit.errors import ConfigurationError, NotFoundError, UnsupportedOperationError
from chatkit.files import AttachmentStore
from chatkit.server import ChatKitServer
from chatkit.server.turns.recovery import fold_log
from chatkit.store import MemoryStore, Store
from chatkit.store.base import walk_items
from chatkit.streams.base import LogEntry
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ClientToolCallItem,
    Page,
    TextDelta,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    TranscriptionResult,
    WidgetItem,
)
from chatkit.widgets import DynamicWidgetRoot
from tests.server.support import ADA, LIMIT, ScriptedServer, read, user_input

HI = user_input("Hi")


class Rows(Store[Any]):
    """A database that makes the ids of items, in a dictionary."""

    def __init__(self) -> None:
        self.threads: dict[str, ThreadMetadata] = {}
        self.rows: dict[str, ThreadItem] = {}

    async def load_thread(self, thread_id: str, context: Any) -> ThreadMetadata:
        if thread_id not in self.threads:
            raise NotFoundError(thread_id)
        return self.threads[thread_id].model_copy(deep=True)

    async def save_thread(self, thread: ThreadMetadata, context: Any) -> None:
        self.threads[thread.id] = thread.model_copy(deep=True)

    async def load_threads(self, limit: int, after: Any, order: str, context: Any) -> Any:
        return Page(data=list(self.threads.values()))

    async def load_thread_items(
        self, thread_id: str, after: Any, limit: int, order: str, context: Any
    ) -> Any:
        rows = [row.model_copy(deep=True) for row in self.rows.values() if row.thread_id == thread_id]
        return Page(data=rows[::-1] if order == "desc" else rows)

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: Any) -> None:
        item.id = f"ROW{len(self.rows) + 1}"
        self.rows[item.id] = item.model_copy(deep=True)

    async def save_item(self, thread_id: str, item: ThreadItem, context: Any) -> None:
        self.rows[item.id] = item.model_copy(deep=True)

    async def load_item(self, thread_id: str, item_id: str, context: Any) -> ThreadItem:
        if item_id not in self.rows:
            raise NotFoundError(item_id)
        return self.rows[item_id].model_copy(deep=True)

    async def delete_thread(self, thread_id: str, context: Any) -> None:
        del self.threads[thread_id]

    async def delete_thread_item(self, thread_id: str, item_id: str, context: Any) -> None:
        self.rows.pop(item_id, None)

    async def save_attachment(self, attachment: Any, context: Any) -> None: ...

    async def load_attachment(self, attachment_id: str, context: Any) -> Any:
        raise NotFoundError(attachment_id)

    async def delete_attachment(self, attachment_id: str, context: Any) -> None: ...


def answer(item_id: str, text: str = "Hello") -> AssistantMessageItem:
    return AssistantMessageItem(id=item_id, content=[AssistantMessageContent(text=text)] if text else [])


async def says_hello(thread: Any, input: Any, context: Any) -> AsyncIterator[Any]:
    yield ThreadItemAddedEvent(item=answer("X", ""))
    yield ThreadItemUpdatedEvent(id="X", delta=TextDelta(text="Hello"))
    yield ThreadItemDoneEvent(id="X")


def ids_of(events: list[Any]) -> list[tuple[str, str]]:
    return [
        (event["type"].rpartition(".")[2], event.get("item_id") or event["item"]["id"])
        for event in events
        if event["type"].startswith("thread.item.")
    ]


def streamed(data: bytes) -> list[Any]:
    lines = [line for line in data.decode().splitlines() if line.startswith("data: ")]
    # The mark of the end is no event.
    return [event for line in lines if "type" in (event := json.loads(line[6:]))]


# Ids that the store makes.


async def test_the_id_of_the_row_is_the_items_id() -> None:
    store = Rows()
    server = ScriptedServer(says_hello, store)
    events = await server.ask("threads.create", input=HI)
    assert ids_of(events)[0] == ("done", "ROW1")
    assert {item_id for kind, item_id in ids_of(events)[1:-1]} == {"X"}
    assert ids_of(events)[-1] == ("done", "ROW2")
    assert "added_id" not in events[-1]
    assert [(row.id, row.type) for row in store.rows.values()] == [
        ("ROW1", "user_message"),
        ("ROW2", "assistant_message"),
    ]


async def test_later_requests_accept_the_id_that_the_item_was_added_under() -> None:
    heard: list[Any] = []

    async def script(thread: Any, input: Any, context: Any) -> AsyncIterator[Any]:
        yield ThreadItemDoneEvent(item=WidgetItem(id="W", widget=DynamicWidgetRoot(type="Card")))

    class Server(ScriptedServer):
        async def action(self, thread: Any, action: Any, sender: Any, context: Any) -> AsyncIterator[Any]:
            heard.append(sender.id)
            yield ThreadItemReplacedEvent(item=sender)

        def add_feedback(self, *given: Any) -> None:  # type: ignore[override]
            heard.append(given[1])

    store = Rows()
    server = Server(script, store)
    events = await server.ask("threads.create", input=HI)
    thread_id = events[0]["thread"]["id"]
    for item_id in ("W", "ROW2"):
        acted = await server.ask(
            "threads.custom_action", thread_id=thread_id, item_id=item_id, action={"type": "go"}
        )
        assert ids_of(acted) == [("replaced", "ROW2")]
        await server.ask("items.feedback", thread_id=thread_id, item_ids=[item_id], kind="positive")
    assert heard == ["ROW2", ["ROW2"], "ROW2", ["ROW2"]]
    assert list(store.rows) == ["ROW1", "ROW2"]
    # Another thread, or another owner, knows nothing of the id.
    adapted: Any = server._chatkit_store()
    assert adapted.stored_id(thread_id, "W", ADA) == "ROW2"
    assert adapted.stored_id("thr_other", "W", ADA) == "W"
    assert adapted.stored_id(thread_id, "W", {"user_id": "bob"}) == "W"


async def test_within_the_turn_both_ids_name_the_item() -> None:
    async def script(thread: Any, input: Any, context: Any) -> AsyncIterator[Any]:
        yield ThreadItemDoneEvent(item=answer("X"))
        yield ThreadItemReplacedEvent(item=answer("X", "Better"))
        yield ThreadItemDoneEvent(item=answer("Y"))
        yield ThreadItemRemovedEvent(item_id="Y")

    store = Rows()
    events = await ScriptedServer(script, store).ask("threads.create", input=HI)
    assert ids_of(events)[1:] == [
        ("done", "ROW2"),
        ("replaced", "ROW2"),
        ("done", "ROW3"),
        ("removed", "ROW3"),
    ]
    assert [row.id for row in store.rows.values()] == ["ROW1", "ROW2"]


async def test_the_same_id_in_two_turns_is_two_items() -> None:
    async def script(thread: Any, input: Any, context: Any) -> AsyncIterator[Any]:
        yield ThreadItemDoneEvent(item=answer("answer"))

    store = Rows()
    server = ScriptedServer(script, store)
    thread_id = (await server.ask("threads.create", input=HI))[0]["thread"]["id"]
    await server.ask("threads.add_user_message", thread_id=thread_id, input=HI)
    assert list(store.rows) == ["ROW1", "ROW2", "ROW3", "ROW4"]


async def test_a_saved_item_may_get_an_id_too() -> None:
    class Upserting(Rows):
        async def save_item(self, thread_id: str, item: ThreadItem, context: Any) -> None:
            self.rows.pop(item.id, None)
            item.id = f"{item.id}.2"
            await super().save_item(thread_id, item, context)

    async def script(thread: Any, input: Any, context: Any) -> AsyncIterator[Any]:
        yield ThreadItemAddedEvent(item=answer("X", ""))
        yield ThreadItemReplacedEvent(item=answer("X", "All"))

    store = Upserting()
    events = await ScriptedServer(script, store).ask("threads.create", input=HI)
    assert ids_of(events)[1:] == [("added", "X"), ("replaced", "X.2")]
    assert list(store.rows) == ["ROW1", "X.2"]


async def test_readers_that_come_back_are_told_which_item_it_is() -> None:
    store = Rows()
    server = ScriptedServer(says_hello, store)
    result: Any = await server.send("threads.create", metadata={"resumable": True}, input=HI)
    whole = streamed(b"".join([frame async for frame in result]))
    (done,) = [event for event in whole if event.get("item", {}).get("id") == "ROW2"]
    assert done["added_id"] == "X"
    again: Any = await server.send("turns.resume", thread_id=result.thread_id)
    replayed = streamed(b"".join([frame async for frame in again]))
    for events in (whole, replayed):
        state = TurnView()
        for event in events:
            if event["type"] == "thread.item.added":
                state.apply(ThreadItemAddedEvent.model_validate(event))
            elif event["type"] == "thread.item.done":
                state.apply(ThreadItemDoneEvent.model_validate(event))
        state.drop_unconfirmed()
        assert [item.id for item in state.items] == ["ROW1", "ROW2"]


@pytest.mark.parametrize("told", [True, False])
async def test_a_turn_whose_worker_died_keeps_one_item(told: bool) -> None:
    item = answer("X", "Hello").model_copy(update={"thread_id": "thr_1"})
    events = [
        ThreadItemAddedEvent(item=item),
        ThreadItemDoneEvent(item=item.model_copy(update={"id": "ROW2"})),
    ]
    entries = [LogEntry(seq, event.model_dump_json().encode()) for seq, event in enumerate(events, 1)]
    if told:
        entries[1] = LogEntry(2, entries[1].data[:-1] + b',"added_id":"X"}')
    state = fold_log(entries)
    assert state.closed_pending() == []
    assert [json.loads(event)["item"]["id"] for event in state.events(0)] == ["ROW2"]


async def test_a_stopped_answer_is_stored_and_told_once() -> None:
    async def script(thread: Any, input: Any, context: Any) -> AsyncIterator[Any]:
        yield ThreadItemAddedEvent(item=answer("X", "The first words"))
        await asyncio.Event().wait()

    store = Rows()
    server = ScriptedServer(script, store)
    result: Any = await server.send("threads.create", metadata={"resumable": True}, input=HI)
    heard = await read(result.json_events, 4)
    async with asyncio.timeout(LIMIT):
        await server.ask("turns.stop", thread_id=result.thread_id)
        heard += [frame async for frame in result.json_events]
    assert ids_of(streamed(b"".join(heard)))[1:] == [("added", "X"), ("done", "ROW2")]
    assert [row.type for row in store.rows.values()] == [
        "user_message",
        "assistant_message",
        "sdk_hidden_context",
    ]


# Pages.


class Pages(Rows):
    """Says that there is more, for ever.

    Args:
        after: The cursor that it gives; "count" for another one each time.
    """

    def __init__(self, after: str | None) -> None:
        super().__init__()
        self.after = after
        self.asked = 0

    async def load_thread_items(
        self, thread_id: str, after: Any, limit: int, order: str, context: Any
    ) -> Any:
        self.asked += 1
        assert self.asked < 100
        page = await super().load_thread_items(thread_id, after, limit, order, context)
        return Page(
            data=page.data, has_more=True, after=str(self.asked) if self.after == "count" else self.after
        )


@pytest.mark.parametrize("after", [None, "ROW1", "nowhere", "count"])
async def test_reading_ends_where_a_store_says_for_ever_that_there_is_more(after: str | None) -> None:
    store = Pages(after)
    server = ScriptedServer(says_hello, store)
    events = await server.ask("threads.create", input=HI)
    thread_id = events[0]["thread"]["id"]
    adapted = server._chatkit_store()
    assert [item.id async for item in walk_items(adapted, thread_id, "asc", ADA)] == ["ROW1", "ROW2"]
    await server.ask("threads.get_by_id", thread_id=thread_id)
    await server.ask("threads.retry_after_item", thread_id=thread_id, item_id="ROW1")
    with pytest.raises(NotFoundError):
        await server.ask("threads.retry_after_item", thread_id=thread_id, item_id="none")
    await server.ask("threads.delete", thread_id=thread_id)


@pytest.mark.parametrize("first", ["oldest", "newest"])
async def test_a_retry_deletes_what_is_newer_whatever_order_the_store_knows(first: str) -> None:
    class OneOrder(Rows):
        async def load_thread_items(
            self, thread_id: str, after: Any, limit: int, order: str, context: Any
        ) -> Any:
            order = "asc" if first == "oldest" else "desc"
            return await super().load_thread_items(thread_id, after, limit, order, context)

    store = OneOrder()
    server = ScriptedServer(says_hello, store)
    thread_id = (await server.ask("threads.create", input=HI))[0]["thread"]["id"]
    await server.ask("threads.add_user_message", thread_id=thread_id, input=HI)
    await server.ask("threads.retry_after_item", thread_id=thread_id, item_id="ROW3")
    assert {row.id for row in store.rows.values()} >= {"ROW1", "ROW2", "ROW3"}
    assert [row.type for row in store.rows.values()][-1] == "assistant_message"
    assert len(store.rows) == 4


async def test_the_call_is_looked_for_in_all_that_was_returned() -> None:
    async def script(thread: Any, input: Any, context: Any) -> AsyncIterator[Any]:
        if input is not None:
            yield ThreadItemDoneEvent(item=ClientToolCallItem(id="C", call_id="c", name="look", arguments={}))
        else:
            yield ThreadItemDoneEvent(item=answer("X"))

    class OnlyWidgets(Rows):
        async def load_thread_items(
            self, thread_id: str, after: Any, limit: int, order: str, context: Any
        ) -> Any:
            return await super().load_thread_items(thread_id, None, 1_000, "asc", context)

        async def load_item(self, thread_id: str, item_id: str, context: Any) -> Any:
            raise ValueError(f"Item {item_id} is no widget.")

    store = OnlyWidgets()
    server = ScriptedServer(script, store)
    thread_id = (await server.ask("threads.create", input=HI))[0]["thread"]["id"]
    events = await server.ask("threads.add_client_tool_output", thread_id=thread_id, result={"a": 1})
    assert ids_of(events) == [("done", "ROW3")]
    call: Any = store.rows["ROW2"]
    assert (call.status, call.output) == ("completed", {"a": 1})
    with pytest.raises(ValueError, match="No client tool call"):
        await server.ask("threads.add_client_tool_output", thread_id=thread_id, result={"a": 2})


async def test_dictionaries_are_sent_as_they_are_but_for_hidden_items() -> None:
    class Dicts(Rows):
        async def load_thread_items(
            self, thread_id: str, after: Any, limit: int, order: str, context: Any
        ) -> Any:
            page = await super().load_thread_items(thread_id, after, limit, order, context)
            rows = [{**json.loads(row.model_dump_json()), "colour": None} for row in page.data]
            hidden = {"type": "hidden_context_item", "id": "h", "content": "secret"}
            return Page(data=[*rows, hidden, {"type": "new_kind", "id": "n"}])

    server = ScriptedServer(says_hello, Dicts())
    thread_id = (await server.ask("threads.create", input=HI))[0]["thread"]["id"]
    listed = await server.ask("items.list", thread_id=thread_id, order="asc")
    assert [row["id"] for row in listed["data"]] == ["ROW1", "ROW2", "n"]
    assert listed["data"][1]["colour"] is None
    thread = await server.ask("threads.get_by_id", thread_id=thread_id)
    assert [row["id"] for row in thread["items"]["data"]] == ["ROW1", "ROW2"]


# Methods.


class Half:
    """Derives from nothing, and has four methods."""

    def __init__(self) -> None:
        self.inner = MemoryStore[Any]()

    def save_thread(self, thread: Any, context: Any) -> Any:
        return self.inner.save_thread(thread, context)

    def load_thread(self, thread_id: str, context: Any) -> Any:
        return self.inner.load_thread(thread_id, context)

    def add_thread_item(self, thread_id: str, item: Any, context: Any) -> Any:
        return self.inner.add_thread_item(thread_id, item, context)

    def load_thread_items(self, *, limit: int, **rest: Any) -> Any:
        return self.inner.load_thread_items(limit=limit, **rest)


async def test_what_needs_a_missing_method_fails_and_the_rest_works() -> None:
    store: Any = Half()
    server = ScriptedServer(says_hello, store)
    events = await server.ask("threads.create", input=HI)
    thread_id, first = events[0]["thread"]["id"], events[1]["item"]["id"]
    assert len((await server.ask("items.list", thread_id=thread_id))["data"]) == 2
    await server.ask("items.feedback", thread_id=thread_id, item_ids=["X"], kind="positive")
    for kind, method, params in (
        ("threads.delete", "delete_thread", {}),
        ("threads.list", "load_threads", None),
        ("threads.retry_after_item", "delete_thread_item", {"item_id": first}),
    ):
        with pytest.raises(UnsupportedOperationError, match=rf"Half has no method {method}\(\)") as caught:
            await server.ask(kind, **({} if params is None else {"thread_id": thread_id, **params}))
        assert "generate_id" not in str(caught.value)
    assert server.store is store


async def test_an_object_without_any_method_is_no_store() -> None:
    server: Any = ScriptedServer(says_hello, object())  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigurationError, match="is no store"):
        await server.ask("threads.list")


def test_a_name_of_the_applications_own_is_not_taken_for_an_optional_method(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Shelf(Rows):
        async def owner(self, thread_id: str, since: int) -> str:  # type: ignore[override]
            return thread_id

        check = "yes"

    with caplog.at_level(logging.WARNING, "chatkit.store"):
        store = adapt_store(Shelf())
    assert isinstance(store, OpenAIStoreAdapter)
    assert store.owner(ADA) is None
    assert not store.knows_owners
    assert any("Shelf.owner is not called" in message for message in caplog.messages)


async def test_handlers_may_be_sync_and_take_what_1_6_5_gives_by_keyword() -> None:
    class Server(ScriptedServer):
        def transcribe(self, sound: Any, *, context: Any) -> TranscriptionResult:  # type: ignore[override]
            return TranscriptionResult(text=sound.data.decode())

    server = Server(says_hello, Rows())
    heard = await server.ask("input.transcribe", audio_base64="aGk=", mime_type="audio/webm")
    assert heard == {"text": "hi"}


# Attachments.


class Files(AttachmentStore[Any]):
    def __init__(self) -> None:
        self.kept = {"atc_1"}

    def delete_attachment(self, attachment_id: str, *, context: Any) -> None:  # type: ignore[override]
        assert context is ADA
        self.kept.discard(attachment_id)


class KindServer(ChatKitServer[Any]):
    async def respond(self, thread: Any, input: Any, context: Any) -> AsyncIterator[Any]:
        for event in ():
            yield event


async def test_an_attachment_that_a_foreign_store_never_saved_is_deleted() -> None:
    files = Files()
    body = json.dumps({"type": "attachments.delete", "params": {"attachment_id": "atc_1"}})
    result: Any = await KindServer(Rows(), files).process(body, ADA)
    assert (result.json, files.kept) == (b"{}", set())


async def test_a_shipped_store_is_asked_whose_the_attachment_is() -> None:
    files = Files()
    body = json.dumps({"type": "attachments.delete", "params": {"attachment_id": "atc_1"}})
    with pytest.raises(NotFoundError):
        await KindServer(MemoryStore(), files).process(body, ADA)
    assert files.kept == {"atc_1"}
