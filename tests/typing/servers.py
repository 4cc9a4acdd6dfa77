"""Servers as applications of either dialect write them, under a strict type checker.

This file is type-checked as part of the checks; `test_typing.py` runs it too.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, assert_type

from typing_extensions import override

from chatkit.actions import Action
from chatkit.files.base import AttachmentStore
from chatkit.server import ChatKitServer, NonStreamingResult, StreamingResult
from chatkit.store import MemoryStore, NotFoundError, SQLiteStore
from chatkit.store import Store as FullStore
from chatkit.types import (
    AssistantMessageItem,
    FileMetadata,
    FileStore,
    Page,
    Store,
    StreamOptions,
    SyncCustomActionResponse,
    TextContent,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
    WidgetItem,
)


@dataclass
class Visitor:
    """A context of the application's own."""

    user_id: str


class ReferenceServer(ChatKitServer):
    """The reference's spelling."""

    def __init__(self, store: Store, file_store: FileStore | None = None):
        super().__init__(store, file_store)

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        yield ThreadItemDoneEvent(
            item=AssistantMessageItem(id="msg_1", content=[TextContent(type="text", text="Hello")])
        )

    async def action(
        self, thread: ThreadMetadata, action_type: str, payload: dict[str, Any], context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        yield ThreadItemDoneEvent(id=payload.get("option", action_type))


class FullServer(ChatKitServer[Visitor]):
    """The spelling of 1.6.5, with a context of its own."""

    @override
    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: Visitor
    ) -> AsyncIterator[ThreadStreamEvent]:
        assert_type(self.store, FullStore[Visitor])
        page = await self.store.load_thread_items(thread.id, None, 20, "desc", context)
        assert_type(page, Page[ThreadItem])
        item_id = self.store.generate_item_id("message", thread, context)
        yield ThreadItemDoneEvent(
            item=AssistantMessageItem(id=item_id, content=[TextContent(text=f"{len(page.data)} items")])
        )

    async def action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: Visitor
    ) -> AsyncIterator[ThreadStreamEvent]:
        if sender is not None:
            yield ThreadItemDoneEvent(item=sender)

    async def sync_action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: Visitor
    ) -> SyncCustomActionResponse:
        return SyncCustomActionResponse(updated_item=sender)

    @override
    def get_stream_options(self, thread: ThreadMetadata, context: Visitor) -> StreamOptions:
        return StreamOptions(allow_cancel=False)


class Files(FileStore):
    """The reference's file store; it need not have upload()."""

    @override
    async def get_upload_url(self, file_id: str, metadata: FileMetadata) -> str:
        return f"https://files.example/{file_id}?type={metadata.content_type}"

    @override
    async def get_preview_url(self, file_id: str) -> str:
        return f"https://files.example/{file_id}"

    @override
    async def delete(self, file_id: str) -> None:
        pass


class Attachments(AttachmentStore[Visitor]):
    """The file store of 1.6.5."""

    @override
    async def delete_attachment(self, attachment_id: str, context: Visitor) -> None:
        raise NotFoundError(attachment_id)


def build(simple: Store, path: str) -> list[ChatKitServer[Any]]:
    """Both kinds of stores, under both keywords."""
    full: MemoryStore[Visitor] = MemoryStore(owner=lambda visitor: visitor.user_id)
    return [
        ReferenceServer(simple),
        ReferenceServer(simple, Files()),
        FullServer(simple, file_store=Files()),
        FullServer(full),
        FullServer(full, Attachments()),
        FullServer(full, attachment_store=Attachments()),
        FullServer(
            SQLiteStore[Visitor](path),
            file_store=Attachments(),
            concurrency="reject",
            on_disconnect="continue",
        ),
    ]


async def answer(server: FullServer, body: bytes) -> bytes:
    """What an endpoint does."""
    result = await server.process(body, Visitor("ada"))
    if isinstance(result, StreamingResult):
        return b"".join([frame async for frame in result])
    assert_type(result, NonStreamingResult)
    return result.json


async def wrong(server: FullServer, store: MemoryStore[Visitor]) -> None:
    """Never called: what a type checker must report."""
    await server.process(b"", {"user_id": "ada"})  # pyright: ignore[reportArgumentType] -- not its context
    await server.process({"type": "threads.list"}, Visitor("ada"))  # pyright: ignore[reportArgumentType] -- not the body
    FullServer()  # pyright: ignore[reportCallIssue] -- no store
    FullServer(store, concurrency="queue")  # pyright: ignore[reportArgumentType] -- no policy
    FullServer(store, filestore=Files())  # pyright: ignore[reportCallIssue] -- no such keyword
    ReferenceServer(store)  # pyright: ignore[reportArgumentType] -- its own annotation says another
    for _ in await server.process(b"", Visitor("ada")):  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType] -- not iterable like that
        pass
