"""The protocol by hand: requests as plain dicts and frames with the time of their arrival."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from chatkit.sse import SSEDecoder
from tests.support.scale import scaled

HEADERS = {"Accept": "text/event-stream", "chatkit-frame-instance-id": "frame_1"}


@dataclass(frozen=True)
class Frame:
    """A frame as a client sees it.

    Attributes:
        at: When its last byte was read, seconds of the monotonic clock.
        id: The last event id that the stream gave, empty if it gives none.
        event: The type of the frame, empty for events of the protocol.
        data: The event.
    """

    at: float
    id: str
    event: str
    data: dict[str, Any]

    @property
    def text(self) -> str:
        """The piece of assistant text that it brings."""
        update = self.data.get("update", {})
        return update.get("delta", "") if update.get("type", "").endswith("text_delta") else ""

    @property
    def done_item(self) -> dict[str, Any] | None:
        return self.data["item"] if self.data.get("type") == "thread.item.done" else None


def message(text: str, thread_id: str | None = None) -> dict[str, Any]:
    """Returns the request that a stock page sends for a message."""
    content = [{"type": "input_text", "text": text}]
    params: dict[str, Any] = {"input": {"content": content, "attachments": [], "inference_options": {}}}
    if thread_id is None:
        return {"type": "threads.create", "params": params}
    return {"type": "threads.add_user_message", "params": {"thread_id": thread_id, **params}}


def resumable(request: dict[str, Any]) -> dict[str, Any]:
    return {**request, "metadata": {"resumable": True}}


class Wire:
    """A connection pool to one endpoint; whatever keeps silent for 30 s is a failure."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx2.AsyncClient(timeout=scaled(30), headers=HEADERS)

    async def __aenter__(self) -> Wire:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def ask(self, kind: str, **params: Any) -> dict[str, Any]:
        response = await self.http.post(self.url, json={"type": kind, "params": params})
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/json"
        return response.json()

    @asynccontextmanager
    async def stream(self, request: dict[str, Any]) -> AsyncIterator[AsyncIterator[Frame]]:
        """Sends a request; leaving the block drops the connection."""
        async with self.http.stream("POST", self.url, json=request) as response:
            if response.status_code != 200:
                raise AssertionError(f"{response.status_code}: {await response.aread()!r}")
            assert response.headers["content-type"].startswith("text/event-stream")
            yield frames_of(response)


async def frames_of(response: httpx2.Response) -> AsyncIterator[Frame]:
    """Yields the frames of an answer as they come."""
    decoder = SSEDecoder()
    async for chunk in response.aiter_bytes():
        now = time.monotonic()
        for event in decoder.feed(chunk):
            yield Frame(now, event.id, event.event, json.loads(event.data))


def text_of(item: dict[str, Any]) -> str:
    return "".join(part["text"] for part in item["content"])
