"""Items, threads and files in both dialects, as a strict type checker must accept them, and calls that it must report.

This file is type-checked as part of the checks; `test_typing.py` runs it too.
"""

# ruff: noqa: PLW0108 -- the calls are what the type checker looks at
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from chatkit.types import (
    ActiveStatus,
    Annotation,
    AssistantMessageContent,
    AssistantMessageItem,
    AttachmentUploadDescriptor,
    ClientToolCallItem,
    CustomSummary,
    CustomTask,
    EndOfTurnItem,
    FileAttachment,
    FileMetadata,
    GeneratedImage,
    GeneratedImageItem,
    HiddenContextItem,
    ImageAttachment,
    InferenceOptions,
    LockedStatus,
    SDKHiddenContextItem,
    StructuredInputFreeform,
    StructuredInputItem,
    TaskItem,
    TextContent,
    ThreadItem,
    ThreadMetadata,
    ToolChoice,
    URLSource,
    UserMessageItem,
    UserMessageTagContent,
    UserMessageTextContent,
    WidgetItem,
    Workflow,
    WorkflowItem,
)
from chatkit.widgets import Card, Text

now: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
said: Final = UserMessageTextContent(text="Hello")
answer: Final = TextContent(type="text", text="Hello")
card: Final = Card(children=[Text(value="Tea")])
question: Final = StructuredInputFreeform(id="why", question="Why?")
task: Final = CustomTask(title="Think")
workflow: Final = Workflow(type="custom", tasks=[task], summary=CustomSummary(title="Done"))
image: Final = GeneratedImage(id="img_1", url="https://example.com/1.png")

SHORT: Final[list[ThreadItem]] = [
    UserMessageItem(id="x_1", content=[said]),
    AssistantMessageItem(id="x_1", type="assistant_message", content=[answer]),
    ClientToolCallItem(id="x_1", call_id="call_1", name="get_time", arguments={"zone": "UTC"}),
    WidgetItem(id="x_1", widget=card),
    GeneratedImageItem(id="x_1"),
    StructuredInputItem(id="x_1", inputs=[question]),
    WorkflowItem(id="x_1", workflow=workflow),
    TaskItem(id="x_1", task=task),
    EndOfTurnItem(id="x_1"),
    HiddenContextItem(id="x_1", content={"any": ["thing"]}),
    SDKHiddenContextItem(id="x_1", content="note"),
]
"""The reference's way: no thread_id, no created_at."""

UNNAMED: Final[list[ThreadItem]] = [
    AssistantMessageItem(content=[answer]),
    WidgetItem(widget=card),
    EndOfTurnItem(),
]
"""As a handler may yield them: the store makes the ids."""

FULL: Final[list[ThreadItem]] = [
    UserMessageItem(
        id="x_1",
        thread_id="thr_1",
        created_at=now,
        content=[said, UserMessageTagContent(id="1", text="@Ada", data={}, group="people", interactive=True)],
        attachments=[FileAttachment(id="atc_1", name="a.txt", mime_type="text/plain")],
        quoted_text="Hello",
        inference_options=InferenceOptions(tool_choice=ToolChoice(id="search"), model="large"),
    ),
    AssistantMessageItem(
        id="x_1",
        thread_id="thr_1",
        created_at=now,
        content=[
            AssistantMessageContent(
                text="Hello",
                annotations=[Annotation(source=URLSource(title="A", url="https://a.example"), index=5)],
            )
        ],
    ),
    ClientToolCallItem(
        id="x_1",
        thread_id="thr_1",
        created_at=now,
        status="completed",
        call_id="call_1",
        name="get_time",
        arguments={},
        output=["any", 1],
    ),
    WidgetItem(id="x_1", thread_id="thr_1", created_at=now, widget=card, copy_text="Tea"),
    GeneratedImageItem(id="x_1", thread_id="thr_1", created_at=now, image=image),
    StructuredInputItem(id="x_1", thread_id="thr_1", created_at=now, status="skipped", inputs=[question]),
    WorkflowItem(id="x_1", thread_id="thr_1", created_at=now, workflow=workflow),
    TaskItem(id="x_1", thread_id="thr_1", created_at=now, task=task),
    EndOfTurnItem(id="x_1", thread_id="thr_1", created_at=now),
    HiddenContextItem(id="x_1", thread_id="thr_1", created_at=now, content="note"),
    SDKHiddenContextItem(id="x_1", thread_id="thr_1", created_at=now, content="note"),
]
"""1.6.5's way, the same kinds in the same order."""

OTHERS: Final[list[object]] = [
    ThreadMetadata(id="thr_1"),
    ThreadMetadata(id="thr_1", title="Tea", created_at=now, updated_at=now),
    ThreadMetadata(id="thr_1", created_at=now, status=LockedStatus(reason="later"), metadata={"a": 1}),
    ThreadMetadata(id="thr_1", created_at=now, status=ActiveStatus(), allowed_image_domains=["a.example"]),
    FileMetadata(content_type="image/png", name="a.png", size=3),
    ImageAttachment(id="atc_1", name="a.png", mime_type="image/png", preview_url="https://a.example/a.png"),
    FileAttachment(
        id="atc_1",
        name="a.txt",
        mime_type="text/plain",
        upload_descriptor=AttachmentUploadDescriptor(
            url="https://a.example/up", method="PUT", headers={"X": "1"}
        ),
    ),
]


def read_aliases(file: FileAttachment, tag: UserMessageTagContent) -> tuple[str, str | None, str]:
    """The reference's names of what is there under 1.6.5's."""
    return file.file_id, tag.entity_type, tag.entity_id


def handle(thread_item: ThreadItem) -> list[Any]:
    """A type tells the class."""
    if thread_item.type == "assistant_message":
        return [part.text for part in thread_item.content]
    if thread_item.type == "widget":
        return [thread_item.copy_text]
    return []


WRONG: Final[tuple[Callable[[], object], ...]] = (
    lambda: UserMessageItem(id="x_1"),  # pyright: ignore[reportCallIssue] -- no content
    lambda: UserMessageItem(id="x_1", content=[answer]),  # pyright: ignore[reportArgumentType] -- the assistant's
    lambda: AssistantMessageItem(id="x_1"),  # pyright: ignore[reportCallIssue] -- no content
    lambda: AssistantMessageItem(id="x_1", content="Hello"),  # pyright: ignore[reportArgumentType] -- a text
    lambda: AssistantMessageItem(id="x_1", type="widget", content=[answer]),  # pyright: ignore[reportArgumentType] -- another
    lambda: ClientToolCallItem(id="x_1", call_id="c", name="n"),  # pyright: ignore[reportCallIssue] -- no arguments
    lambda: ClientToolCallItem(id="x_1", call_id="c", name="n", arguments={}, status="running"),  # pyright: ignore[reportArgumentType] -- no status
    lambda: WidgetItem(id="x_1", widget=Text(value="Tea")),  # pyright: ignore[reportArgumentType] -- no root
    lambda: GeneratedImageItem(id="x_1", image="https://a.example"),  # pyright: ignore[reportArgumentType] -- a URL
    lambda: StructuredInputItem(id="x_1", inputs=[card]),  # pyright: ignore[reportArgumentType] -- no question
    lambda: WorkflowItem(id="x_1", workflow=task),  # pyright: ignore[reportArgumentType] -- a task
    lambda: TaskItem(id="x_1", task=workflow),  # pyright: ignore[reportArgumentType] -- a workflow
    lambda: SDKHiddenContextItem(id="x_1", content={"a": 1}),  # pyright: ignore[reportArgumentType] -- no text
    lambda: ThreadMetadata(title="Tea"),  # pyright: ignore[reportCallIssue] -- no id
    lambda: ThreadMetadata(id="thr_1", status="locked"),  # pyright: ignore[reportArgumentType] -- a text
    lambda: FileMetadata(),  # pyright: ignore[reportCallIssue] -- no type
)
"""Calls that a type checker reports, and that fail."""
