"""Talks to a server in this process, as a page does."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from chatkit.server import ChatKitServer
from tests.support.scale import scaled

ADA = {"user_id": "ada"}


def user_input(
    text: str, *, model: str | None = None, attachments: list[str] | None = None
) -> dict[str, Any]:
    return {
        "content": [{"type": "input_text", "text": text}],
        "attachments": attachments or [],
        "inference_options": {"model": model},
    }


async def ask(server: ChatKitServer[Any], type: str, **params: Any) -> list[dict[str, Any]]:
    """Sends a request and returns the events of its stream."""
    body = json.dumps({"type": type, "params": params})
    async with asyncio.timeout(scaled(20)):
        return [json.loads(frame[6:]) async for frame in await server.process(body, ADA)]  # type: ignore[union-attr]


async def create(server: ChatKitServer[Any], text: str = "Hello", **more: Any) -> list[dict[str, Any]]:
    return await ask(server, "threads.create", input=user_input(text, **more))


async def say(server: ChatKitServer[Any], thread_id: str, text: str, **more: Any) -> list[dict[str, Any]]:
    return await ask(server, "threads.add_user_message", thread_id=thread_id, input=user_input(text, **more))


def thread_of(events: list[dict[str, Any]]) -> str:
    return events[0]["thread"]["id"]


def done(events: list[dict[str, Any]], type: str) -> list[dict[str, Any]]:
    """Returns the items of a type that were completed."""
    return [
        event["item"]
        for event in events
        if event["type"] == "thread.item.done" and event["item"]["type"] == type
    ]


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join(part["text"] for item in done(events, "assistant_message") for part in item["content"])


def titles_of(server: Any) -> list[asyncio.Task[None]]:
    """Returns what makes titles beside answers at the moment."""
    return [*server._titles.values()]


async def talk_of_three(first: ChatKitServer[Any], again: ChatKitServer[Any]) -> None:
    """Says one, two and three, has two answered again by another server over the same store, and says four.

    The answers are to be A1, A2, A3 and so on, in the order in which they are made.
    """
    started = await create(first, "one")
    thread_id = thread_of(started)
    second = await say(first, thread_id, "two")
    user_message = done(second, "user_message")[0]["id"]
    retried = await ask(again, "threads.retry_after_item", thread_id=thread_id, item_id=user_message)
    assert text_of(retried) == "A3"
    assert text_of(await say(again, thread_id, "three")) == "A4"
    assert text_of(await say(first, thread_id, "four")) == "A5"


EACH_MESSAGE_ONCE = [
    ["one"],
    ["one", "A1", "two"],
    ["one", "A1", "two"],
    ["one", "A1", "two", "A3", "three"],
    ["one", "A1", "two", "A3", "three", "A4", "four"],
]
"""What a model is given in ``talk_of_three``."""
