"""A server that does what a message's first word says, so that a model can foretell its answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from chatkit.actions import Action
from chatkit.ids import new_id
from chatkit.server import ChatKitServer
from chatkit.store import Store
from chatkit.types import (
    ActiveStatus,
    AssistantMessageItem,
    ClientToolCallItem,
    ClosedStatus,
    HiddenContextItem,
    LockedStatus,
    StructuredInputFreeform,
    StructuredInputItem,
    SyncCustomActionResponse,
    TextContent,
    TextDelta,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
    WidgetItem,
)
from chatkit.widgets import Card, Text

Events = AsyncIterator[ThreadStreamEvent]


def said(word: str) -> str:
    return f"You said {word}"


def message(text: str, item_id: str = "") -> AssistantMessageItem:
    return AssistantMessageItem(id=item_id or new_id("message"), content=[TextContent(text=text)])


async def begin(word: str) -> Events:
    """Adds a message and streams its text in pieces, without an end."""
    item = AssistantMessageItem(id=new_id("message"), content=[])
    yield ThreadItemAddedEvent(item=item)
    for piece in ("You ", "said ", word):
        yield ThreadItemUpdatedEvent(id=item.id, delta=TextDelta(text=piece))


class Application(ChatKitServer[Any]):
    """See `respond`, `action` and `sync_action` for what it understands.

    Attributes:
        feedback: What users thought of what.
    """

    feedback: list[tuple[str, list[str], str]]

    async def respond(self, thread: ThreadMetadata, input: UserMessageItem | None, context: Any) -> Events:
        verb, _, word = ("thanks", "", "") if input is None else input.content[0].text.partition(" ")
        if verb == "hide":
            yield ThreadItemDoneEvent(item=HiddenContextItem(id=new_id("message"), content=word))
        if verb in {"say", "hide", "thanks"}:
            item_id = ""
            async for event in begin(word):
                item_id = event.item.id if isinstance(event, ThreadItemAddedEvent) else item_id
                yield event
            yield ThreadItemDoneEvent(id=item_id)
        elif verb in {"leave", "fail", "hold"}:
            async for event in begin(word):
                yield event
            if verb == "fail":
                raise RuntimeError("a fault of the application")
            if verb == "hold":
                await asyncio.get_running_loop().create_future()
        elif verb == "crash":
            raise RuntimeError("a fault of the application")
        elif verb == "widget":
            card = Card(children=[Text(value=word)])
            yield ThreadItemDoneEvent(item=WidgetItem(id=new_id("message"), widget=card, copy_text=word))
        elif verb == "tool":
            yield ThreadItemDoneEvent(
                item=ClientToolCallItem(id=new_id("tool_call"), call_id="call", name=word, arguments={})
            )
        elif verb == "ask":
            question = StructuredInputFreeform(id="q", question=word)
            yield ThreadItemDoneEvent(item=StructuredInputItem(id=new_id("message"), inputs=[question]))
        elif verb == "title":
            thread.title = word
            thread.metadata["title"] = word
        elif verb == "lock":
            thread.status = LockedStatus(reason=word)
        elif verb == "close":
            thread.status = ClosedStatus(reason=word)
        elif verb == "replace":
            first = message("first")
            yield ThreadItemDoneEvent(item=first)
            yield ThreadItemReplacedEvent(item=message(said(word), first.id))
        elif verb == "remove":
            first = message("first")
            yield ThreadItemDoneEvent(item=first)
            yield ThreadItemDoneEvent(item=message(said(word)))
            yield ThreadItemRemovedEvent(id=first.id)

    async def action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: Any
    ) -> Events:
        if action.type == "unlock":
            thread.status = ActiveStatus()
        elif action.type == "reply":
            yield ThreadItemDoneEvent(item=message(said(action.payload)))
        elif action.type == "relabel" and sender is not None:
            yield ThreadItemReplacedEvent(item=sender.model_copy(update={"copy_text": action.payload}))
        elif action.type == "remove" and sender is not None:
            yield ThreadItemRemovedEvent(item_id=sender.id)

    async def sync_action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: Any
    ) -> SyncCustomActionResponse:
        if action.type == "retitle":
            thread.title = action.payload
        if action.type != "relabel" or sender is None:
            return SyncCustomActionResponse()
        updated = sender.model_copy(update={"copy_text": action.payload})
        if isinstance(self.store, Store):
            await self.store.save_item(thread.id, updated, context)
        else:
            await self.store.save_item(thread.id, updated)
        return SyncCustomActionResponse(updated_item=updated)

    async def add_feedback(self, thread_id: str, item_ids: list[str], feedback: str, context: Any) -> None:
        self.feedback.append((thread_id, item_ids, feedback))
