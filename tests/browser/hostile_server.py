"""A server of evil make: it puts one text into every field of the protocol that a front end shows."""

from __future__ import annotations

import json
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

__all__ = ["hostile_routes"]

Wire = dict[str, Any]

_AT: Final = "2026-11-23T10:00:00Z"
_FLAT: Final = (
    *(
        "id",
        "key",
        "value",
        "label",
        "src",
        "alt",
        "color",
        "margin",
        "width",
        "height",
        "radius",
        "aspectRatio",
        "flex",
    ),
    *(
        "gap",
        "align",
        "size",
        "variant",
        "fieldName",
        "placeholder",
        "defaultValue",
        "pattern",
        "ariaLabel",
        "iconStart",
    ),
    *("iconEnd", "colSize", "theme", "copy_text"),
)
_COMPONENTS: Final = (
    *(
        "Badge",
        "Basic",
        "Box",
        "Button",
        "Caption",
        "Card",
        "Chart",
        "Checkbox",
        "Col",
        "DatePicker",
        "Divider",
        "Form",
    ),
    *(
        "Icon",
        "Image",
        "Input",
        "Label",
        "ListView",
        "ListViewItem",
        "Markdown",
        "RadioGroup",
        "Row",
        "Select",
        "Spacer",
    ),
    *("Table", "Text", "Textarea", "Title", "Transition"),
)


def _component(kind: str, x: str) -> Wire:
    action = {"type": x, "payload": {x: x}}
    child = {"type": "Text", "value": x, "color": x}
    cell = {"type": "Table.Cell", "width": x, "children": [child]}
    return {
        **dict.fromkeys(_FLAT, x),
        "type": kind,
        "name": x,
        "background": {"light": x, "dark": x},
        "border": {"size": 1, "color": x, "style": x},
        "padding": {"top": x, "x": x},
        "status": {"text": x, "icon": x, "favicon": x},
        "confirm": {"label": x, "action": action},
        "cancel": {"label": x, "action": action},
        "options": [{"value": x, "label": x, "description": x}],
        "editable": {"name": x, "placeholder": x, "pattern": x} if kind == "Text" else None,
        "onClickAction": action,
        "data": [{"x": x, x: 3, "a": 1}, {"x": f"{x}2", x: 4, "a": 2}],
        "series": [
            {"type": "bar", "dataKey": "a", "label": x, "color": x},
            {"type": "line", "dataKey": x, "label": x, "color": {"light": x, "dark": x}, "curveType": x},
        ],
        "xAxis": {"dataKey": "x", "labels": {x: x}},
        "children": [{"type": "Table.Row", "header": True, "children": [cell]}]
        if kind == "Table"
        else [child],
    }


def _items(x: str, name: str) -> list[Wire]:
    """Items with the text in each field, one of each type and state."""
    url = {
        "type": "url",
        "title": x,
        "url": x,
        "attribution": x,
        "description": x,
        "group": x,
        "timestamp": x,
    }
    file = {"type": "file", "title": x, "filename": x, "description": x, "group": x}
    entity = {
        "type": "entity", "id": x, "title": x, "icon": x, "label": x, "inline_label": x, "description": x,
        "interactive": True, "data": {x: x},
    }  # fmt: skip
    annotations = [
        {"type": "annotation", "source": s, "index": n * 3} for n, s in enumerate((url, file, entity))
    ]
    tasks = [
        {"type": "custom", "title": x, "icon": x, "content": x, "status_indicator": "loading"},
        {"type": "web_search", "title": x, "title_query": x, "queries": [x], "sources": [url]},
        {"type": "thought", "title": x, "content": x},
        {"type": "file", "title": x, "sources": [file]},
        {"type": "image", "title": x},
    ]
    questions = [
        {"type": "multiple_choice", "id": x, "question": x, "options": [{"value": x}], "multiple": True},
        {"type": "freeform", "id": f"{x}2", "question": x, "description": x},
    ]
    answered = [{**one, "answer": {"values": [x], "skipped": False}} for one in questions]
    link = x.replace("(", "").replace(")", "").replace("\n", "")
    texts = [
        x,
        f"Text {x} text",
        f"[link]({link}) ![image]({link}) <{link}>\n\n[ref]: {link}\n\n[ref]",
        f"```{x.splitlines()[0] if x else ''}\n{x}\n```\n\n```html\n{x}\n```",
        f"$$\n{x}\n$$\n\nand \\({x}\\)",
        f"| {x} | b |\n|---|---|\n| {x} | {x} |",
    ]
    parts = [{"type": "output_text", "text": text, "annotations": annotations} for text in texts]
    tag = {"type": "input_tag", "id": x, "text": x, "data": {x: x}, "group": x, "interactive": True}
    attachments = [
        {"type": "file", "id": f"{name}a", "name": x, "mime_type": x},
        {"type": "image", "id": f"{name}b", "name": x, "mime_type": x, "preview_url": x},
    ]
    roots = ("Card", "Basic", "ListView")
    widgets = [
        _component(kind, x) if kind in roots else {"type": "Card", "children": [_component(kind, x)]}
        for kind in _COMPONENTS
    ]
    widgets.append({"type": x, "children": [{"type": x, "children": [{"type": "Text", "value": x}]}]})
    bodies: list[Wire] = [
        {"type": "user_message", "content": [{"type": "input_text", "text": x}, tag], "quoted_text": x,
         "attachments": attachments, "inference_options": {}},
        {"type": "workflow", "workflow": {"type": "custom", "expanded": True, "tasks": tasks,
                                          "summary": {"title": x, "icon": x}}},
        *({"type": "task", "task": task} for task in tasks),
        {"type": "assistant_message", "content": parts},
        *({"type": "widget", "widget": widget, "copy_text": x} for widget in widgets),
        {"type": "generated_image", "image": {"id": x, "url": x}},
        {"type": "structured_input", "status": "pending", "inputs": questions},
        {"type": "structured_input", "status": "answered", "inputs": answered},
        {"type": "client_tool_call", "status": "completed", "call_id": x, "name": x, "arguments": {x: x}, "output": x},
        {"type": x, x: x},
    ]  # fmt: skip
    return [
        {**body, "id": f"{name}_{n}", "thread_id": "thr_hostile", "created_at": _AT}
        for n, body in enumerate(bodies)
    ]


def _thread(x: str, status: str = "active") -> Wire:
    return {
        "id": "thr_hostile",
        "title": x,
        "created_at": _AT,
        "status": {"type": status, "reason": x},
        "allowed_image_domains": [],
        "metadata": {},
        "items": {"data": [], "has_more": False},
    }


def _events(texts: list[str]) -> list[Wire]:
    last = texts[-1]
    events: list[Wire] = [{"type": "thread.created", "thread": _thread(texts[0])}]
    for number, x in enumerate(texts):
        for item in _items(x, f"msg_{number}"):
            events.append({"type": "thread.item.added", "item": item})
            if item["type"] == "assistant_message":
                delta = {"type": "assistant_message.content_part.text_delta", "content_index": 0, "delta": x}
                events.append({"type": "thread.item.updated", "item_id": item["id"], "update": delta})
            # The last ones stay as they are while they stream in.
            if number < len(texts) - 1:
                events.append({"type": "thread.item.done", "item": item})
        events += [
            {"type": "notice", "level": "warning", "message": x, "title": x},
            {"type": "client_effect", "name": x, "data": {x: x}},
        ]
    events += [
        {"type": "progress_update", "text": last, "icon": last},
        {"type": "thread.updated", "thread": _thread(last, "locked" if len(last) % 2 else "closed")},
        {"type": "error", "code": last, "message": last, "allow_retry": True},
    ]
    return events


def hostile_routes(texts: list[str], group: int) -> list[Route]:
    """Returns the route ``/chatkit``; the message ``n`` is answered with the n-th group of texts, ``-1`` with a
    thread that has none and allows no images.

    Args:
        texts: What is put into the fields.
        group: How many of them one answer holds.
    """

    async def chatkit(request: Request) -> Response:
        asked = await request.json()
        kind, params = asked["type"], asked["params"]
        if kind == "threads.list":
            threads = [{**_thread(x), "id": f"thr_{n}"} for n, x in enumerate(texts)]
            return JSONResponse({"data": threads, "has_more": False})
        if kind != "threads.create":
            return JSONResponse({"error": {"code": texts[0], "message": texts[0]}}, status_code=400)
        number = int(params["input"]["content"][0]["text"])
        some = texts[number * group :][:group]
        events = _events(some) if number >= 0 else [{"type": "thread.created", "thread": _thread("")}]
        body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
        return Response(body, media_type="text/event-stream")

    return [Route("/chatkit", chatkit, methods=["POST"])]
