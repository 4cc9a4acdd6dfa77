"""Items without an id: the store makes one, and later events mean the same item; wire and store have it always."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from chatkit.errors import InvalidEventError, InvalidResultError, StoreError
from chatkit.store import MemoryStore, SQLiteStore
from chatkit.types import (
    AssistantMessageItem,
    CustomTask,
    SyncCustomActionResponse,
    TextContent,
    TextDelta,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    WidgetItem,
    Workflow,
    WorkflowItem,
    WorkflowTaskAdded,
)
from chatkit.widgets import DynamicWidgetRoot
from tests.server.support import ADA, ScriptedServer, decode, done, drain, events, kinds, texts

Added, Done, Updated = ThreadItemAddedEvent, ThreadItemDoneEvent, ThreadItemUpdatedEvent


class NamingStore(MemoryStore[Any]):
    """Makes ids of its own."""

    made = 0

    def generate_item_id(self, item_type: Any, thread: Any, context: Any) -> str:
        self.made += 1
        return f"own-{item_type}-{self.made}"


def say(text: str | None = None) -> AssistantMessageItem:
    return AssistantMessageItem(content=[] if text is None else [TextContent(text=text)])


def delta(text: str) -> Any:
    return Updated(delta=TextDelta(text=text))


def task(title: str) -> Any:
    return Updated(update=WorkflowTaskAdded(task_index=0, task=CustomTask(title=title)))


def work(*titles: str) -> WorkflowItem:
    return WorkflowItem(workflow=Workflow(type="custom", tasks=[CustomTask(title=title) for title in titles]))


async def play(*yielded: Any, store: Any = None) -> tuple[list[Any], list[Any]]:
    """Returns the events that a client gets, without those of the start, and the stored items of the answer."""

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        for event in yielded:
            yield event

    server = ScriptedServer(script, NamingStore() if store is None else store)
    result = await server.create()
    shown = (await events(result))[3:]
    stored = (await server.items(result.thread_id))[1:]
    for event in shown:
        assert event.get("item_id") != ""
        assert event.get("item", {}).get("id") != ""
        assert event.get("item", {}).get("thread_id") != ""
    assert all(item.id and item.thread_id for item in stored)
    return shown, stored


async def test_a_done_item_alone() -> None:
    item = say("Hello")
    shown, stored = await play(Done(item=item), Done(item=say("again")))
    # Asked for first for the user's message.
    assert [event["item"]["id"] for event in shown] == ["own-message-2", "own-message-3"]
    assert texts(stored) == ["Hello", "again"]
    assert item.id == ""


async def test_updates_and_the_end_of_an_item_without_an_id() -> None:
    shown, stored = await play(Added(item=say()), delta("Hel"), delta("lo"), Done())
    assert kinds(shown) == ["thread.item.added", *["thread.item.updated"] * 3, "thread.item.done"]
    assert {event.get("item_id") or event["item"]["id"] for event in shown} == {"own-message-2"}
    assert texts(stored) == ["Hello"]


async def test_the_final_item_is_the_one_that_was_added() -> None:
    shown, stored = await play(
        Added(item=say()), delta("Hel"), Done(item=say("Hello")), Done(item=say("More"))
    )
    assert texts(stored) == ["Hello", "More"]
    assert [event["item"]["id"] for event in shown if "item" in event] == ["own-message-2"] * 2 + [
        "own-message-3"
    ]


async def test_events_find_their_item_by_its_type_or_by_the_object() -> None:
    message, steps, other = say(), work(), work("a")
    shown, stored = await play(
        Added(item=message),
        Added(item=steps),
        Added(item=other),
        Done(item=say("text")),
        Done(item=steps),
        Updated(item_id=other.id, update=WorkflowTaskAdded(task_index=1, task=CustomTask(title="b"))),
        Done(id=other.id),
    )
    ends = [event["item"] for event in shown if event["type"] == "thread.item.done"]
    assert [item["id"] for item in ends] == ["own-message-2", "own-workflow-3", "own-workflow-4"]
    assert len(ends[2]["workflow"]["tasks"]) == 2
    assert [item.id for item in stored] == [item["id"] for item in ends]


async def test_removal_and_replacement() -> None:
    shown, stored = await play(
        Added(item=say("old")),
        ThreadItemReplacedEvent(item=say("new")),
        Done(),
        Added(item=work("a")),
        ThreadItemRemovedEvent(item_id=""),
        done("named", "msg_1"),
        ThreadItemReplacedEvent(id="msg_1", item=say("renewed")),
    )
    assert "error" not in kinds(shown)
    assert texts(stored) == ["new", "renewed"]
    assert [item.type for item in stored] == ["assistant_message"] * 2


@pytest.mark.parametrize(
    ("yielded", "words"),
    [
        ([delta("x")], "ThreadItemUpdatedEvent has no id, and no item"),
        ([Done()], "ThreadItemDoneEvent has no id, and no item"),
        ([done("a"), Done()], "no item that was added without an id is open"),
        ([ThreadItemRemovedEvent(item_id="")], "ThreadItemRemovedEvent has no id"),
        ([ThreadItemReplacedEvent(item=say("x"))], "A replacing assistant_message item has no id"),
        ([Added(item=say("a")), Added(item=work("b")), task("x")], "2 such items are open"),
        ([Added(item=say("a")), Added(item=say("b")), Done(item=say("c"))], "2 such items are open"),
        ([Updated()], "has no id, and no item"),
        ([Added(item=say("a")), Updated()], "needs either update= or delta="),
    ],
)
async def test_what_means_no_item_is_told(yielded: Any, words: str, caplog: pytest.LogCaptureFixture) -> None:
    shown, _ = await play(*yielded)
    assert shown[-1]["type"] == "error"
    assert words in caplog.text


async def test_one_object_may_be_yielded_in_many_turns(caplog: pytest.LogCaptureFixture) -> None:
    greeting = say("Welcome")

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield Done(item=greeting)
        yield Done(item=greeting)

    server = ScriptedServer(script)
    thread_id = (await server.create()).thread_id
    await drain(await server.say(thread_id))
    items = await server.items(thread_id)
    assert len({item.id for item in items}) == len(items)
    assert len(texts(items)) >= 2
    assert caplog.messages == []


async def test_what_was_left_open_is_kept_and_can_be_resumed() -> None:
    async def failing(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield Added(item=say())
        yield delta("half")
        raise RuntimeError("no")

    server = ScriptedServer(failing, NamingStore())
    result = await server.create("Hi", None, {"resumable": True})
    shown = decode(await drain(result))
    again = decode(await drain(await server.send("turns.resume", ADA, thread_id=result.thread_id)))
    ends = [event["item"] for event in again if event["type"] == "thread.item.done"]
    assert shown[-2]["item"] == ends[-1]
    assert ends[-1]["id"] == "own-message-2"
    assert texts(await server.items(result.thread_id)) == ["half"]


async def test_a_sync_action_updates_its_widget_without_naming_it() -> None:
    widget = DynamicWidgetRoot(type="Card", children=[])

    class Acting(ScriptedServer):
        async def sync_action(self, thread: Any, action: Any, sender: Any, context: Any) -> Any:
            return SyncCustomActionResponse(updated_item=WidgetItem(widget=widget))

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield Done(item=WidgetItem(widget=widget))

    server = Acting(script)
    result = await server.create()
    item_id = (await events(result))[-1]["item"]["id"]
    asked = {"thread_id": result.thread_id, "action": {"type": "x", "payload": {}}}
    updated = await server.ask("threads.sync_custom_action", item_id=item_id, **asked)
    assert updated["updated_item"]["id"] == item_id
    with pytest.raises(InvalidResultError, match="the id of the item"):
        await server.ask("threads.sync_custom_action", **asked)


async def test_a_store_takes_no_item_without_an_id(tmp_path: Path) -> None:
    for store in (MemoryStore[Any](), SQLiteStore[Any](tmp_path / "chat.db")):
        server = ScriptedServer(store=store)
        thread_id = await server.new_thread()
        with pytest.raises(StoreError, match="AssistantMessageItem has no id"):
            await store.add_thread_item(thread_id, say("Hello"), ADA)
        await store.close()


@pytest.mark.parametrize(
    ("union", "row"),
    [
        (ThreadItem, {"type": "assistant_message", "content": []}),
        (ThreadStreamEvent, {"type": "thread.item.done"}),
        (ThreadStreamEvent, {"type": "thread.item.done", "item": {"type": "end_of_turn"}}),
        (ThreadStreamEvent, {"type": "thread.item.updated", "delta": {"type": "text_delta", "text": "x"}}),
        (ThreadStreamEvent, {"type": "thread.item.removed"}),
    ],
)
def test_what_is_read_needs_its_id(union: Any, row: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[Any](union).validate_python(row)
    with pytest.raises(ValidationError, match="content"):
        AssistantMessageItem()  # pyright: ignore[reportCallIssue]
    assert issubclass(InvalidEventError, ValueError)
