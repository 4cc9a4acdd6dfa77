"""Real turns, in process, for the reference's classes."""

from __future__ import annotations

import json
from typing import Any

from chatkit.server import ChatKitServer, NonStreamingResult, StreamingResult

USER = {"user_id": "ada"}


def message(text: str, thread_id: str | None = None) -> dict[str, Any]:
    """Returns the request of a stock page that creates a thread, or adds to one."""
    content = [{"type": "input_text", "text": text}]
    params: dict[str, Any] = {"input": {"content": content, "attachments": [], "inference_options": {}}}
    if thread_id is None:
        return {"type": "threads.create", "params": params}
    return {"type": "threads.add_user_message", "params": {"thread_id": thread_id, **params}}


def action(thread_id: str, kind: str, payload: Any) -> dict[str, Any]:
    return {
        "type": "threads.custom_action",
        "params": {"thread_id": thread_id, "item_id": None, "action": {"type": kind, "payload": payload}},
    }


async def stream(server: ChatKitServer[Any], request: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the events of a request that is answered with a stream."""
    result = await server.process(json.dumps(request), USER)
    assert isinstance(result, StreamingResult)
    frames = [frame async for frame in result]
    assert all(frame.startswith(b"data: ") and frame.endswith(b"\n\n") for frame in frames)
    return [json.loads(frame[6:]) for frame in frames]


async def ask(server: ChatKitServer[Any], kind: str, **params: Any) -> dict[str, Any]:
    """Returns the answer to a request that is answered with JSON."""
    result = await server.process(json.dumps({"type": kind, "params": params}), USER)
    assert isinstance(result, NonStreamingResult)
    return json.loads(result.json)


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]
