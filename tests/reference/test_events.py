"""Each event of the reference, made as the document has it, goes through a real turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatkit.server import ChatKitServer
from chatkit.store import MemoryStore
from chatkit.types import ThreadMetadata, ThreadStreamEvent, UserMessageItem
from tests.reference.conftest import Load
from tests.reference.turns import ask, kinds, message, stream

EVENTS = [
    "ThreadItemAddedEvent",
    "ThreadItemUpdatedEvent",
    "ThreadItemDoneEvent",
    "ThreadItemRemovedEvent",
    "ThreadItemReplacedEvent",
    "ProgressUpdateEvent",
    "ErrorEvent",
    "ClientEffectEvent",
    "StreamOptionsEvent",
]


class Yielding(ChatKitServer[Any]):
    """Yields what it is told to."""

    def __init__(self, *events: ThreadStreamEvent) -> None:
        super().__init__(MemoryStore())
        self.events = events

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        for event in self.events:
            yield event


async def turn(load: Load, *titles: str) -> tuple[Yielding, str, list[dict[str, Any]]]:
    """Returns the server, the thread and what the client saw of the handler's events."""
    server = Yielding(*(load(title).event for title in titles))
    created, user, options, *events = await stream(server, message("Hello"))
    assert kinds([created, user, options]) == ["thread.created", "thread.item.done", "stream_options"]
    return server, created["thread"]["id"], events


async def stored(server: Yielding, thread_id: str) -> list[dict[str, Any]]:
    _, *items = (await ask(server, "items.list", thread_id=thread_id, order="asc"))["data"]
    return items


@pytest.mark.parametrize("title", EVENTS)
def test_the_event_is_of_its_class(title: str, load: Load) -> None:
    assert type(load(title).event).__name__ == title


async def test_a_message_is_added_updated_and_done(load: Load) -> None:
    server, thread_id, events = await turn(
        load, "ThreadItemAddedEvent", "ThreadItemUpdatedEvent", "ThreadItemDoneEvent"
    )
    added, updated, done = events
    assert added["type"] == "thread.item.added"
    created_at = added["item"].pop("created_at")
    assert created_at.endswith("Z")
    assert added["item"] == {
        "id": "msg_123",
        "thread_id": thread_id,
        "type": "assistant_message",
        "content": [{"type": "output_text", "text": "Hello!", "annotations": []}],
    }
    assert updated == {
        "type": "thread.item.updated",
        "item_id": "msg_123",
        "update": {
            "type": "assistant_message.content_part.text_delta",
            "content_index": 0,
            "delta": " world",
        },
    }
    assert done["type"] == "thread.item.done"
    assert done["item"]["content"][0]["text"] == "Hello! world"
    assert done["item"]["created_at"] == created_at
    assert await stored(server, thread_id) == [done["item"]]


async def test_a_message_is_removed(load: Load) -> None:
    server, thread_id, events = await turn(
        load, "ThreadItemAddedEvent", "ThreadItemDoneEvent", "ThreadItemRemovedEvent"
    )
    assert events[-1] == {"type": "thread.item.removed", "item_id": "msg_123"}
    assert await stored(server, thread_id) == []


async def test_a_pending_message_is_removed(load: Load) -> None:
    server, thread_id, events = await turn(load, "ThreadItemAddedEvent", "ThreadItemRemovedEvent")
    assert events[1:] == [{"type": "thread.item.removed", "item_id": "msg_123"}]
    assert await stored(server, thread_id) == []


async def test_a_message_is_replaced(load: Load) -> None:
    server, thread_id, events = await turn(
        load, "ThreadItemAddedEvent", "ThreadItemDoneEvent", "ThreadItemReplacedEvent"
    )
    replaced = events[-1]
    assert replaced["type"] == "thread.item.replaced"
    assert replaced["item"]["id"] == "msg_123"
    assert replaced["item"]["thread_id"] == thread_id
    assert replaced["item"]["content"][0]["text"] == "Goodbye!"
    assert await stored(server, thread_id) == [replaced["item"]]


async def test_a_pending_message_is_replaced_then_done(load: Load) -> None:
    server, thread_id, events = await turn(
        load,
        "ThreadItemAddedEvent",
        "ThreadItemReplacedEvent",
        "ThreadItemUpdatedEvent",
        "ThreadItemDoneEvent",
    )
    assert kinds(events) == [
        "thread.item.added",
        "thread.item.replaced",
        "thread.item.updated",
        "thread.item.done",
    ]
    assert events[-1]["item"]["content"][0]["text"] == "Goodbye! world"
    assert await stored(server, thread_id) == [events[-1]["item"]]


@pytest.mark.parametrize(
    ("title", "wire"),
    [
        ("ProgressUpdateEvent", {"type": "progress_update", "text": "Searching database..."}),
        (
            "ErrorEvent",
            {
                "type": "error",
                "code": "custom",
                "reason": "processing_error",
                "message": "Unable to process request",
                "allow_retry": True,
            },
        ),
        (
            "ClientEffectEvent",
            {"type": "client_effect", "name": "open_dialog", "data": {"dialog_id": "settings"}},
        ),
        ("StreamOptionsEvent", {"type": "stream_options", "stream_options": {"allow_cancel": True}}),
    ],
)
async def test_an_event_that_leaves_nothing_behind(title: str, wire: dict[str, Any], load: Load) -> None:
    server, thread_id, events = await turn(load, title)
    assert events == [wire]
    assert await stored(server, thread_id) == []


@pytest.mark.parametrize("title", ["ThreadItemUpdatedEvent", "ThreadItemDoneEvent"])
async def test_an_unknown_item_is_an_error_event(title: str, load: Load) -> None:
    server, thread_id, events = await turn(load, title)
    assert events == [{"type": "error", "code": "stream.error", "allow_retry": True}]
    assert await stored(server, thread_id) == []
