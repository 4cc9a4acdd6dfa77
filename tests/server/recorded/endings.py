"""Handlers whose turns do not end well, or whose items are named by the store; see ``application.py``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from chatkit.server import stream_widget
from chatkit.types import (
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ClientToolCallItem,
    CustomTask,
    GeneratedImage,
    GeneratedImageItem,
    GeneratedImageUpdated,
    HiddenContextItem,
    LockedStatus,
    ProgressUpdateEvent,
    TaskItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    WidgetItem,
    Workflow,
    WorkflowItem,
    WorkflowTaskAdded,
)
from chatkit.widgets import BasicRoot, Card, DynamicWidgetComponent, ListView, ListViewItem, Markdown, Text
from tests.server.recorded.application import NOON, Application, base, handler, message


class OwnCancellation(Application):
    """Decides itself what becomes of a stopped answer."""

    async def handle_stream_cancelled(self, thread: Any, pending_items: list[Any], context: Any) -> None:
        kinds = [item.type for item in pending_items]
        await self.store.add_thread_item(thread.id, message(thread, "msg_own", f"Stopped: {kinds}"), context)


class NoHandlers(Application):
    """Overrides none of the optional methods."""

    action = Application.__mro__[1].action
    sync_action = Application.__mro__[1].sync_action
    add_feedback = Application.__mro__[1].add_feedback
    transcribe = Application.__mro__[1].transcribe


def _grown(item_id: str, text: str) -> ThreadItemUpdatedEvent:
    return ThreadItemUpdatedEvent(
        item_id=item_id, update=AssistantMessageContentPartTextDelta(content_index=0, delta=text)
    )


@handler
async def waits_with_text(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ThreadItemAddedEvent(item=message(thread, "msg_w", "Hel"))
    yield _grown("msg_w", "lo")
    await asyncio.Event().wait()


@handler
async def waits_with_nothing(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ThreadItemAddedEvent(item=message(thread, "msg_w"))
    await asyncio.Event().wait()


@handler
async def waits_with_every_kind(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ThreadItemDoneEvent(item=message(thread, "msg_done", "Done before"))
    yield ThreadItemAddedEvent(item=message(thread, "msg_w", "Partial"))
    yield ThreadItemAddedEvent(item=WidgetItem(**base(thread, "wid_w"), widget=Card(children=[])))
    yield ThreadItemAddedEvent(item=GeneratedImageItem(**base(thread, "img_w")))
    yield ThreadItemUpdatedEvent(
        item_id="img_w", update=GeneratedImageUpdated(image=GeneratedImage(id="g", url="https://i.example/1"))
    )
    yield ThreadItemAddedEvent(
        item=WorkflowItem(**base(thread, "wf_w"), workflow=Workflow(type="custom", tasks=[]))
    )
    yield ThreadItemUpdatedEvent(
        item_id="wf_w", update=WorkflowTaskAdded(task_index=0, task=CustomTask(title="a"))
    )
    await asyncio.Event().wait()


@handler
async def cancels_itself(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ThreadItemAddedEvent(item=message(thread, "msg_w", "Hello"))
    raise asyncio.CancelledError


@handler
async def returns_early(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ThreadItemAddedEvent(item=message(thread, "msg_w", "Hello"))


@handler
async def hides_by_replacing(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ThreadItemDoneEvent(item=message(thread, "msg_h", "Shown"))
    yield ThreadItemReplacedEvent(item=HiddenContextItem(**base(thread, "msg_h"), content="secret"))


@handler
async def many_hidden(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    for number in range(3):
        yield ThreadItemDoneEvent(item=HiddenContextItem(**base(thread, f"hid_{number}"), content="secret"))
    yield ThreadItemDoneEvent(item=message(thread, "msg_shown", "Shown"))


@handler
async def item_cannot_be_stored(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ProgressUpdateEvent(text="p")
    server.store.failing.add("add_thread_item")
    yield ThreadItemDoneEvent(item=message(thread, "msg_s", "never stored"))


@handler
async def title_cannot_be_stored(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ThreadItemDoneEvent(item=message(thread, "msg_s", "stored"))
    server.store.failing.add("save_thread")
    thread.title = "never stored"
    yield ProgressUpdateEvent(text="p")


@handler
async def removal_cannot_be_stored(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ThreadItemDoneEvent(item=message(thread, "msg_s", "stays"))
    server.store.failing.add("delete_thread_item")
    yield ThreadItemRemovedEvent(item_id="msg_s")


@handler
async def store_breaks(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ThreadItemDoneEvent(item=message(thread, "msg_s", "stored"))
    server.store.failing |= {"load_thread", "load_threads", "load_thread_items"}


@handler
async def ids_of_the_store(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    def new(kind: str) -> dict[str, Any]:
        return base(thread, server.store.generate_item_id(kind, thread, context))

    yield ThreadItemDoneEvent(item=AssistantMessageItem(**new("message"), content=[]))
    yield ThreadItemDoneEvent(item=TaskItem(**new("task"), task=CustomTask(title="t")))
    yield ThreadItemDoneEvent(
        item=WorkflowItem(**new("workflow"), workflow=Workflow(type="custom", tasks=[]))
    )
    yield ThreadItemDoneEvent(item=HiddenContextItem(**new("sdk_hidden_context"), content="x"))
    yield ThreadItemDoneEvent(
        item=AssistantMessageItem(
            id=server.store.generate_item_id("attachment", thread, context),
            thread_id=server.store.generate_thread_id(context) and thread.id,
            created_at=NOON,
            content=[],
        )
    )
    yield ThreadItemDoneEvent(
        item=ClientToolCallItem(**new("tool_call"), call_id="call", name="n", arguments={})
    )


def _id_maker(server: Any, thread: Any, context: Any) -> Any:
    return lambda kind: server.store.generate_item_id(kind, thread, context)


@handler
async def widget_at_once(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    new_id = _id_maker(server, thread, context)
    roots = [
        Card(children=[Text(value="card")]),
        ListView(children=[ListViewItem(children=[Text(value="row")])]),
        BasicRoot(children=[DynamicWidgetComponent(type="Text", value="basic")], gap=2),
    ]
    for root in roots:
        async for event in stream_widget(thread, root, copy_text="copy", generate_id=new_id):
            yield event


@handler
async def widget_in_versions(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    async def versions() -> AsyncIterator[Any]:
        yield Card(children=[Markdown(id="m", value="", streaming=True)])
        yield Card(children=[Markdown(id="m", value="Hel", streaming=True)])
        yield Card(children=[Markdown(id="m", value="Hello", streaming=False)])
        yield Card(children=[Markdown(id="m", value="Hello"), Text(value="and more")], size="md")

    new_id = _id_maker(server, thread, context)
    async for event in stream_widget(thread, versions(), copy_text="Hello", generate_id=new_id):
        yield event


@handler
async def widget_breaks_off(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    async def versions() -> AsyncIterator[Any]:
        yield Card(children=[Text(id="t", value="", streaming=True)])
        yield Card(children=[Text(id="t", value="Hel", streaming=True)])
        raise RuntimeError("secret internals")

    new_id = _id_maker(server, thread, context)
    async for event in stream_widget(thread, versions(), generate_id=new_id):
        yield event


@handler
async def locks(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    thread.status = LockedStatus(reason="wait")
    yield ThreadItemDoneEvent(item=message(thread, "msg_l", "Locked now"))


@handler
async def title_then_error(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    thread.title = "Named before it failed"
    raise RuntimeError("secret internals")
    yield
