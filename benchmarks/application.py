"""The application that is measured: one source for this package and for openai-chatkit 1.6.5.

It keeps threads in dictionaries, so that what is measured is the server and not a database.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from chatkit.server import ChatKitServer
from chatkit.store import NotFoundError, Store
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    Attachment,
    Page,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)

WORDS = ("the ", "quick ", "brown ", "fox ", "jumps ", "over ", "the ", "lazy ", "dog. ", "née ")


class DictStore(Store[dict[str, Any]]):
    """A store as applications write it for a first try."""

    def __init__(self) -> None:
        self.threads: dict[str, ThreadMetadata] = {}
        self.items: dict[str, list[ThreadItem]] = {}

    async def load_thread(self, thread_id: str, context: dict[str, Any]) -> ThreadMetadata:
        if thread_id not in self.threads:
            raise NotFoundError(thread_id)
        return self.threads[thread_id].model_copy(deep=True)

    async def save_thread(self, thread: ThreadMetadata, context: dict[str, Any]) -> None:
        kept = {name: getattr(thread, name) for name in ThreadMetadata.model_fields}
        self.threads[thread.id] = ThreadMetadata(**kept)

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: dict[str, Any]
    ) -> Page[ThreadItem]:
        items = self.items.get(thread_id, [])
        ordered = items if order == "asc" else items[::-1]
        start = 0 if after is None else [item.id for item in ordered].index(after) + 1
        data = ordered[start : start + limit]
        more = start + limit < len(ordered)
        return Page(data=data, has_more=more, after=data[-1].id if data else None)

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: dict[str, Any]
    ) -> Page[ThreadMetadata]:
        return Page(data=list(self.threads.values())[:limit])

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: dict[str, Any]) -> None:
        self.items.setdefault(thread_id, []).append(item)

    async def save_item(self, thread_id: str, item: ThreadItem, context: dict[str, Any]) -> None:
        items = self.items.setdefault(thread_id, [])
        for index, known in enumerate(items):
            if known.id == item.id:
                items[index] = item
                return
        items.append(item)

    async def load_item(self, thread_id: str, item_id: str, context: dict[str, Any]) -> ThreadItem:
        for item in self.items.get(thread_id, []):
            if item.id == item_id:
                return item
        raise NotFoundError(item_id)

    async def delete_thread(self, thread_id: str, context: dict[str, Any]) -> None:
        self.threads.pop(thread_id, None)
        self.items.pop(thread_id, None)

    async def delete_thread_item(self, thread_id: str, item_id: str, context: dict[str, Any]) -> None:
        self.items[thread_id] = [item for item in self.items[thread_id] if item.id != item_id]

    async def save_attachment(self, attachment: Attachment, context: dict[str, Any]) -> None:
        raise NotImplementedError

    async def load_attachment(self, attachment_id: str, context: dict[str, Any]) -> Attachment:
        raise NotFoundError(attachment_id)

    async def delete_attachment(self, attachment_id: str, context: dict[str, Any]) -> None:
        raise NotImplementedError


class Application(ChatKitServer[dict[str, Any]]):
    """Answers every message with ``deltas`` pieces of text.

    Args:
        store: Keeps the threads.
        deltas: How many pieces.
        waits: Whether each piece is ready only with the next turn of the event loop, as from a network.
    """

    def __init__(self, store: Store[dict[str, Any]], deltas: int, *, waits: bool = False) -> None:
        super().__init__(store)
        self.deltas = deltas
        self.waits = waits

    async def respond(
        self,
        thread: ThreadMetadata,
        input_user_message: UserMessageItem | None,
        context: dict[str, Any],
    ) -> AsyncIterator[ThreadStreamEvent]:
        item_id = self.store.generate_item_id("message", thread, context)
        now = datetime.now()  # noqa: DTZ005 -- as applications of 1.6.5 write it
        item = AssistantMessageItem(id=item_id, thread_id=thread.id, created_at=now, content=[])
        yield ThreadItemAddedEvent(item=item)
        yield ThreadItemUpdatedEvent(
            item_id=item_id,
            update=AssistantMessageContentPartAdded(
                content_index=0, content=AssistantMessageContent(text="", annotations=[])
            ),
        )
        pieces: list[str] = []
        for number in range(self.deltas):
            piece = WORDS[number % len(WORDS)]
            pieces.append(piece)
            if self.waits:
                await asyncio.sleep(0)
            yield ThreadItemUpdatedEvent(
                item_id=item_id,
                update=AssistantMessageContentPartTextDelta(content_index=0, delta=piece),
            )
        content = AssistantMessageContent(text="".join(pieces), annotations=[])
        yield ThreadItemUpdatedEvent(
            item_id=item_id, update=AssistantMessageContentPartDone(content_index=0, content=content)
        )
        yield ThreadItemDoneEvent(item=item.model_copy(update={"content": [content]}))
