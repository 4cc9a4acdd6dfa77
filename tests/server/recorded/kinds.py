"""Handlers that show every kind of something; see ``application.py``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageItem,
    CustomTask,
    EntitySource,
    FileSource,
    FileTask,
    ImageTask,
    SearchTask,
    ThoughtTask,
    ThreadItemDoneEvent,
    URLSource,
    WidgetItem,
    Workflow,
    WorkflowItem,
)
from chatkit.widgets import Card, DynamicWidgetComponent, DynamicWidgetRoot, Text
from tests.server.recorded.application import base, handler


@handler
async def every_task(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    kinds: list[Any] = [
        (CustomTask, {}),
        (SearchTask, {}),
        (ThoughtTask, {"content": "hm"}),
        (FileTask, {}),
        (ImageTask, {}),
    ]
    tasks = [
        kind(status_indicator=state, **rest)
        for kind, rest in kinds
        for state in ("none", "loading", "complete")
    ]
    item = WorkflowItem(**base(thread, "wf_1"), workflow=Workflow(type="reasoning", tasks=tasks))
    yield ThreadItemDoneEvent(item=item)


@handler
async def every_source(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    common = {"title": "t", "description": "d", "timestamp": "2026", "group": "g"}
    sources = [
        URLSource(url="https://e.example", attribution="a", **common),
        FileSource(filename="f.txt", **common),
        EntitySource(id="e", icon="sparkle", label="l", inline_label="i", data={"k": 1}, **common),
        EntitySource(id="e", title="bare", interactive=False, preview=None),
    ]
    content = AssistantMessageContent(
        text="cited", annotations=[Annotation(source=source) for source in sources]
    )
    yield ThreadItemDoneEvent(item=AssistantMessageItem(**base(thread, "msg_1"), content=[content]))


@handler
async def widget_of_any_kind(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    hologram = DynamicWidgetComponent(type="Hologram", glow=True)  # pyright: ignore[reportCallIssue]
    roots: list[Any] = [
        DynamicWidgetRoot(type="Card", children=[hologram], size="huge", sparkle=[1, None, {"a": None}]),  # pyright: ignore[reportCallIssue]
        Card.model_validate(
            {"children": [Text(value="Hi")], "border": {"size": 1, "color": "red"}, "sparkle": 3}
        ),
    ]
    for number, root in enumerate(roots):
        yield ThreadItemDoneEvent(item=WidgetItem(**base(thread, f"wid_{number}"), widget=root))
