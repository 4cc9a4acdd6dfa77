"""The application under test: a server that does what the message says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from chatkit.ids import new_id, utc_now
from chatkit.server import ChatKitServer
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)

JSON = {"Content-Type": "application/json"}


class SampleServer(ChatKitServer[Any]):
    """Answers ``hold`` with the beginning of a text and then waits for ever, ``flood`` without an
    end, everything else with an echo."""

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        said = "".join(part.text for part in input.content) if input is not None else ""
        item_id = new_id("message")
        yield ThreadItemAddedEvent(
            item=AssistantMessageItem(
                id=item_id,
                thread_id=thread.id,
                created_at=utc_now(),
                content=[AssistantMessageContent(text="")],
            )
        )
        for word in ("You ", "said ", said):
            yield ThreadItemUpdatedEvent(
                item_id=item_id, update=AssistantMessageContentPartTextDelta(content_index=0, delta=word)
            )
        while said == "flood":
            yield ThreadItemUpdatedEvent(
                item_id=item_id,
                update=AssistantMessageContentPartTextDelta(content_index=0, delta="x" * 4096),
            )
        if said == "hold":
            await asyncio.get_running_loop().create_future()
        yield ThreadItemDoneEvent(
            item=AssistantMessageItem(
                id=item_id,
                thread_id=thread.id,
                created_at=utc_now(),
                content=[AssistantMessageContent(text=f"You said {said}")],
            )
        )


def message(text: str, **params: Any) -> dict[str, Any]:
    """Returns the request that starts a thread, or adds to one if ``thread_id`` is given."""
    kind = "threads.add_user_message" if "thread_id" in params else "threads.create"
    content = [{"type": "input_text", "text": text}]
    return {
        "type": kind,
        "params": {"input": {"content": content, "attachments": [], "inference_options": {}}, **params},
    }
