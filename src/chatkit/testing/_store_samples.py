"""Items, threads and attachments of every kind, with the values that stores get wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from pydantic import TypeAdapter

from chatkit.types import (
    AssistantMessageItem,
    Attachment,
    FileAttachment,
    ImageAttachment,
    InferenceOptions,
    TextContent,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
    UserMessageTextContent,
)

__all__ = ["AWKWARD_TEXT", "attachments", "detailed_thread", "item_of_every_kind", "message", "user_message"]

AWKWARD_TEXT = "quote ' \" \\ % _ ; -- \x00 \x1f \n é \u2028 \ufeff 漢字 𐍈 👩\u200d👩\u200d👧"
"""Text with a NUL, other control characters, and characters outside of the basic plane."""

_MOMENT = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
_ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)


def message(item_id: str, text: str = "Hello", created_at: datetime = _MOMENT) -> AssistantMessageItem:
    """Returns an assistant message."""
    return AssistantMessageItem(id=item_id, created_at=created_at, content=[TextContent(text=text)])


def attachments() -> list[Attachment]:
    """Returns a file and an image, with everything that an attachment can have."""
    return [
        FileAttachment(
            id="atc_file",
            name=AWKWARD_TEXT,
            mime_type="text/plain",
            upload_descriptor={  # pyright: ignore[reportArgumentType] -- validated from what a client would send
                "url": "https://example.com/put?a=1&b=%20",
                "method": "PUT",
                "headers": {"x-key": "v"},
            },
            metadata={"secret": {"nested": [None, 1.5, True]}},
        ),
        ImageAttachment(
            id="atc_image",
            name="a.png",
            mime_type="image/png",
            preview_url="https://example.com/p.png",
            thread_id="thr_of_the_image",
        ),
    ]


def user_message(item_id: str, thread_id: str = "thr", text: str = "Hello\x00") -> UserMessageItem:
    """Returns a user's message with attachments."""
    return UserMessageItem(
        id=item_id,
        thread_id=thread_id,
        content=[UserMessageTextContent(text=text)],
        attachments=[each.model_copy(update={"thread_id": thread_id}) for each in attachments()],
        inference_options=InferenceOptions(),
    )


def detailed_thread(thread_id: str, status: str = "locked") -> ThreadMetadata:
    """Returns a thread with a value in each field."""
    return ThreadMetadata.model_validate(
        {
            "id": thread_id,
            "title": AWKWARD_TEXT,
            "created_at": _MOMENT.astimezone(UTC),
            "status": {"type": status} if status == "active" else {"type": status, "reason": "A reason"},
            "allowed_image_domains": ["example.com", "cdn.example.com"],
            "metadata": {
                "previous": {"id": None, "list": [1, "2", None, {"deep": []}]},
                AWKWARD_TEXT: AWKWARD_TEXT,
            },
        }
    )


def item_of_every_kind(thread_id: str) -> list[ThreadItem]:
    """Returns items of every type, some of them twice where a type has variants."""
    url_source = {
        "type": "url",
        "url": "https://example.com/",
        "title": "T",
        "attribution": "A",
        "group": "g",
    }
    sources = [
        url_source,
        {"type": "file", "filename": "a.txt", "title": "File", "description": "D"},
        {
            "type": "entity",
            "id": "e1",
            "title": "E",
            "data": {"k": [None]},
            "interactive": True,
            "preview": "lazy",
        },
    ]
    tasks = [
        {
            "type": "custom",
            "title": "Step",
            "icon": "search",
            "content": AWKWARD_TEXT,
            "status_indicator": "loading",
        },
        {"type": "web_search", "title_query": "q", "queries": ["a", "b"], "sources": [url_source]},
        {"type": "thought", "title": None, "content": "Thinking"},
        {"type": "file", "sources": [{"type": "file", "filename": "a.txt", "title": "File"}]},
        {"type": "image", "title": "Drawing", "status_indicator": "complete"},
    ]
    widget = {
        "type": "Card",
        "size": "md",
        "border": {"size": 2, "color": "red", "unknownToThisVersion": 1},
        "propertyOfTheFuture": {"nested": [1, {"deep": "value"}]},
        "children": [
            {"type": "Text", "id": "t", "value": AWKWARD_TEXT, "maxLines": 2, "newProperty": ["x"]},
            {"type": "ComponentOfTheFuture", "size": 3.25, "children": [{"type": "Text", "value": "inner"}]},
            {
                "type": "Button",
                "label": "Go",
                "onClickAction": {"type": "go", "payload": {"id": 7, "flag": False}, "handler": "server"},
            },
        ],
    }
    user_message = {
        "content": [
            {"type": "input_text", "text": AWKWARD_TEXT},
            {"type": "input_tag", "id": "tag", "text": "@x", "data": {"a": {"b": None}}, "group": "g"},
        ],
        "attachments": [kept.model_dump(mode="json") for kept in attachments()],
        "quoted_text": "quoted",
        "inference_options": {"tool_choice": {"id": "tool"}, "model": "m"},
    }
    annotated = {
        "type": "output_text",
        "text": "See there",
        "annotations": [{"type": "annotation", "source": source, "index": 3} for source in sources],
    }
    questions = [
        {
            "type": "multiple_choice",
            "id": "q1",
            "question": "Which?",
            "options": [{"value": "a"}, {"value": "b"}],
            "multiple": True,
            "answer": {"values": ["a"], "skipped": False},
        },
        {"type": "freeform", "id": "q2", "question": "Why?", "description": "In your words"},
    ]
    call = {
        "call_id": "c",
        "name": "tool",
        "arguments": {"a": None, "b": [{"c": None}], "n": 2**53, "f": 0.1},
    }
    written: list[dict[str, Any]] = [
        {"type": "user_message", **user_message},
        {"type": "user_message", "content": [], "inference_options": {}},
        {"type": "assistant_message", "content": [annotated, {"type": "output_text", "text": ""}]},
        {"type": "assistant_message", "content": []},
        {"type": "client_tool_call", **call},
        {"type": "client_tool_call", "status": "completed", "output": {"list": [None, {"x": None}]}, **call},
        {"type": "client_tool_call", "status": "completed", "output": "text", **call},
        {"type": "widget", "widget": widget, "copy_text": "Plain"},
        {
            "type": "widget",
            "widget": {
                "type": "ListView",
                "children": [
                    {"type": "ListViewItem", "key": "k", "children": [{"type": "Text", "value": "v"}]}
                ],
            },
        },
        {"type": "generated_image", "image": {"id": "img", "url": "data:image/png;base64,AAAA"}},
        {"type": "generated_image", "image": None},
        {"type": "structured_input", "inputs": questions},
        {"type": "workflow", "workflow": {"type": "reasoning", "tasks": tasks, "summary": {"duration": 12}}},
        {
            "type": "workflow",
            "workflow": {"type": "custom", "tasks": [], "summary": {"title": "Done"}, "expanded": True},
        },
        *({"type": "task", "task": task} for task in tasks),
        {"type": "hidden_context_item", "content": {"any": ["thing", None, 1]}},
        {"type": "hidden_context_item", "content": "text"},
        {"type": "sdk_hidden_context", "content": AWKWARD_TEXT},
        {"type": "end_of_turn"},
    ]
    return [
        _ITEM.validate_python({"id": f"item_{n}", "thread_id": thread_id, "created_at": _MOMENT, **fields})
        for n, fields in enumerate(written)
    ]
