"""Items and threads as the API shows them."""

from __future__ import annotations

import json
from typing import Any

from chatkit.store import OwnedThread
from chatkit.types import (
    AssistantMessageItem,
    ClientToolCallItem,
    CustomTask,
    FileSource,
    Source,
    Task,
    TaskItem,
    ThoughtTask,
    ThreadItem,
    URLSource,
    UserMessageItem,
    WidgetItem,
    WorkflowItem,
    to_wire,
)

__all__ = ["item_entry", "thread_entry"]


def thread_entry(found: OwnedThread, user: str) -> dict[str, Any]:
    """Returns a thread as the API shows it."""
    thread = found.thread
    return {
        "id": thread.id,
        "object": "chatkit.thread",
        "created_at": int(thread.created_at.timestamp()),
        "title": thread.title,
        "status": thread.status.model_dump(),
        "user": user,
    }


def item_entry(item: ThreadItem, thread_id: str) -> dict[str, Any] | None:
    """Returns an item as the API shows it, None for a kind that it has no form for.

    Those are generated pictures, questions to the user, and marks of a turn's end.
    """
    shown = _shown(item)
    if shown is None:
        return None
    return {
        "id": item.id,
        "object": "chatkit.thread_item",
        "created_at": int(item.created_at.timestamp()),
        "thread_id": thread_id,
        **shown,
    }


def _shown(item: ThreadItem) -> dict[str, Any] | None:
    match item:
        case UserMessageItem():
            return _user_message(item)
        case AssistantMessageItem():
            content = [
                {
                    "type": "output_text",
                    "text": part.text,
                    "annotations": [
                        shown for entry in part.annotations if (shown := _citation(entry.source)) is not None
                    ],
                }
                for part in item.content
            ]
            return {"type": "chatkit.assistant_message", "content": content}
        case WidgetItem():
            return {"type": "chatkit.widget", "widget": to_wire(item.widget).decode()}
        case ClientToolCallItem():
            return {
                "type": "chatkit.client_tool_call",
                "status": "completed" if item.status == "completed" else "in_progress",
                "call_id": item.call_id,
                "name": item.name,
                "arguments": json.dumps(item.arguments),
                "output": None if item.output is None else json.dumps(item.output),
            }
        case TaskItem():
            task = _task(item.task)
            return {"type": "chatkit.task", "task_type": task.pop("type"), **task}
        case WorkflowItem():
            return {"type": "chatkit.task_group", "tasks": [_task(task) for task in item.workflow.tasks]}
        case _:
            return None


def _user_message(item: UserMessageItem) -> dict[str, Any]:
    # A tag is a piece of the text, as the user saw it.
    content = [{"type": "input_text", "text": part.text} for part in item.content]
    if item.quoted_text is not None:
        content.insert(0, {"type": "quoted_text", "text": item.quoted_text})
    chosen = item.inference_options
    options = {
        "model": chosen.model,
        "tool_choice": None if chosen.tool_choice is None else {"id": chosen.tool_choice.id},
    }
    return {
        "type": "chatkit.user_message",
        "content": content,
        "attachments": [
            {
                "id": entry.id,
                "type": entry.type,
                "name": entry.name,
                "mime_type": entry.mime_type,
                "preview_url": str(entry.preview_url) if entry.type == "image" else None,
            }
            for entry in item.attachments
        ],
        "inference_options": options if any(options.values()) else None,
    }


def _citation(source: Source) -> dict[str, Any] | None:
    if isinstance(source, FileSource):
        return {"type": "file", "source": {"type": "file", "filename": source.filename}}
    if isinstance(source, URLSource):
        return {"type": "url", "source": {"type": "url", "url": source.url}}
    return None


def _task(task: Task) -> dict[str, Any]:
    return {
        "type": "thought" if task.type == "thought" else "custom",
        "heading": task.title,
        "summary": task.content if isinstance(task, CustomTask | ThoughtTask) else None,
    }
