"""Threads and items out of what the API shows: the inverse of ``items``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias, cast

from pydantic import TypeAdapter

from chatkit.types import ThreadItem, ThreadMetadata

__all__ = ["Losses", "read_item", "read_thread"]

Losses: TypeAlias = Counter[str]
"""How much of what the API showed could not be kept, by its kind in plain words."""

_Entry: TypeAlias = Mapping[str, Any]

_ITEM: Final[TypeAdapter[ThreadItem]] = TypeAdapter(ThreadItem)
_UNREADABLE: Final = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    OSError,
    RecursionError,
)
"""What reading an entry of any other form raises."""


def read_thread(entry: _Entry) -> ThreadMetadata:
    """Returns the thread that an entry shows, as of its second; raises ValueError if it cannot be read."""
    try:
        return ThreadMetadata.model_validate(
            {
                "id": _named(entry["id"]),
                "title": entry.get("title"),
                "created_at": _moment(entry["created_at"]),
                "status": entry["status"],
            }
        )
    except _UNREADABLE as error:
        raise ValueError("the source shows a thread that cannot be read") from error


def read_item(entry: _Entry, thread_id: str, losses: Losses) -> ThreadItem | None:
    """Returns the item that an entry shows, as a store gives it back; None if it cannot be read.

    Args:
        entry: The entry.
        thread_id: The item's thread.
        losses: Counts what is not kept.
    """
    kind = entry.get("type")
    read = _READERS.get(str(kind))
    if read is None:
        losses["items of a kind that is not known here"] += 1
        return None
    lost = Losses()
    try:
        fields = {
            "id": _named(entry["id"]),
            "thread_id": thread_id,
            "created_at": _moment(entry["created_at"]),
            **read(entry, lost),
        }
        item = _ITEM.validate_json(_ITEM.dump_json(_ITEM.validate_python(fields)))
    except _UNREADABLE:
        losses[
            "widgets that cannot be read" if kind == "chatkit.widget" else "items that cannot be read"
        ] += 1
        return None
    losses.update(lost)
    return item


def _named(text: object) -> str:
    # Some databases can keep no NUL character.
    if not isinstance(text, str) or not text or "\0" in text:
        raise ValueError("no id")
    return text


def _moment(seconds: object) -> datetime:
    return datetime.fromtimestamp(int(cast("int", seconds)), UTC)


def _user_message(entry: _Entry, losses: Losses) -> dict[str, Any]:
    texts: list[dict[str, Any]] = []
    quoted: list[str] = []
    for part in entry["content"]:
        if part["type"] == "input_text":
            texts.append({"type": "input_text", "text": part["text"]})
        elif part["type"] == "quoted_text":
            quoted.append(part["text"])
        else:
            losses["parts of messages of a kind that is not known here"] += 1
    # By name only: there are neither bytes nor a picture to show.
    attachments = [
        {
            "type": "file",
            "id": shown["id"],
            "name": shown["name"],
            "mime_type": shown["mime_type"],
            "thread_id": entry["thread_id"],
            "metadata": {"imported": True},
        }
        for shown in entry.get("attachments") or ()
    ]
    losses["attached files; their names are kept"] += len(attachments)
    chosen: _Entry = entry.get("inference_options") or {}
    return {
        "type": "user_message",
        "content": texts,
        "quoted_text": "\n\n".join(quoted) if quoted else None,
        "attachments": attachments,
        "inference_options": {"model": chosen.get("model"), "tool_choice": chosen.get("tool_choice")},
    }


def _assistant_message(entry: _Entry, losses: Losses) -> dict[str, Any]:
    return {
        "type": "assistant_message",
        "content": [
            {
                "type": "output_text",
                "text": part["text"],
                "annotations": [
                    {"source": source}
                    for shown in part.get("annotations") or ()
                    if (source := _source(shown, losses)) is not None
                ],
            }
            for part in entry["content"]
        ],
    }


def _source(annotation: _Entry, losses: Losses) -> dict[str, Any] | None:
    source = annotation["source"]
    match annotation["type"]:
        case "file":
            return {"type": "file", "title": source["filename"], "filename": source["filename"]}
        case "url":
            return {"type": "url", "title": source["url"], "url": source["url"]}
        case _:
            losses["citations of a kind that is not known here"] += 1
            return None


def _widget(entry: _Entry, losses: Losses) -> dict[str, Any]:
    del losses
    return {"type": "widget", "widget": json.loads(entry["widget"])}


def _client_tool_call(entry: _Entry, losses: Losses) -> dict[str, Any]:
    output = entry.get("output")
    if output is not None:
        try:
            output = json.loads(output)
        except ValueError:
            losses["results of client tools that are no JSON; they are kept as text"] += 1
    return {
        "type": "client_tool_call",
        "status": "completed" if entry["status"] == "completed" else "pending",
        "call_id": entry["call_id"],
        "name": entry["name"],
        "arguments": json.loads(entry["arguments"]),
        "output": output,
    }


def _single_task(entry: _Entry, losses: Losses) -> dict[str, Any]:
    del losses
    return {"type": "task", "task": _task(entry["task_type"], entry)}


def _task_group(entry: _Entry, losses: Losses) -> dict[str, Any]:
    del losses
    tasks = [_task(shown["type"], shown) for shown in entry["tasks"]]
    thoughts = bool(tasks) and all(task["type"] == "thought" for task in tasks)
    return {"type": "workflow", "workflow": {"type": "reasoning" if thoughts else "custom", "tasks": tasks}}


def _task(kind: str, entry: _Entry) -> dict[str, Any]:
    title, content = entry.get("heading"), entry.get("summary")
    if kind == "thought":
        return {"type": "thought", "title": title, "content": content or ""}
    return {"type": "custom", "title": title, "content": content}


_READERS: Final[Mapping[str, Callable[[_Entry, Losses], dict[str, Any]]]] = {
    "chatkit.user_message": _user_message,
    "chatkit.assistant_message": _assistant_message,
    "chatkit.widget": _widget,
    "chatkit.client_tool_call": _client_tool_call,
    "chatkit.task": _single_task,
    "chatkit.task_group": _task_group,
}
