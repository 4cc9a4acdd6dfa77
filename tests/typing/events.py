"""Events in both dialects, as a strict type checker must accept them, and calls that it must report.

This file is type-checked as part of the checks; `test_typing.py` runs it too.
"""

# ruff: noqa: PLW0108 -- the calls are what the type checker looks at
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from chatkit.errors import ErrorCode
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ClientEffectEvent,
    ErrorEvent,
    NoticeEvent,
    Page,
    ProgressUpdateEvent,
    StreamOptions,
    StreamOptionsEvent,
    TextContent,
    TextDelta,
    Thread,
    ThreadCreatedEvent,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdated,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    ThreadUpdatedEvent,
)

item: Final = AssistantMessageItem(id="msg_1", content=[TextContent(type="text", text="Hello")])
thread: Final = Thread(id="thr_1", items=Page[ThreadItem]())
delta: Final = AssistantMessageContentPartTextDelta(content_index=0, delta="Hello")

SAME: Final[list[tuple[ThreadStreamEvent, ThreadStreamEvent]]] = [
    (ThreadItemRemovedEvent(id="msg_1"), ThreadItemRemovedEvent(item_id="msg_1")),
    (ProgressUpdateEvent(message="Busy"), ProgressUpdateEvent(text="Busy")),
    (ProgressUpdateEvent(message="Busy", icon="search"), ProgressUpdateEvent(text="Busy", icon="search")),
    (
        ErrorEvent(message="No", code="own", retryable=True),
        ErrorEvent(message="No", code="own", allow_retry=True),
    ),
    (ErrorEvent(code="own", retryable=False), ErrorEvent(code="custom", reason="own")),
    (
        ErrorEvent(code=ErrorCode.STREAM_ERROR, allow_retry=True),
        ErrorEvent(code="stream.error", retryable=True),
    ),
    (
        ClientEffectEvent(type="open_dialog", payload={"id": 1}),
        ClientEffectEvent(name="open_dialog", data={"id": 1}),
    ),
    (ClientEffectEvent(type="open_dialog"), ClientEffectEvent(name="open_dialog")),
    (
        StreamOptionsEvent(allow_cancel=True),
        StreamOptionsEvent(stream_options=StreamOptions(allow_cancel=True)),
    ),
]
"""Each event in the reference's words, and in those of 1.6.5."""

ALONE: Final[list[ThreadStreamEvent]] = [
    ThreadCreatedEvent(thread=thread),
    ThreadUpdatedEvent(thread=thread),
    ThreadItemAddedEvent(item=item),
    ThreadItemDoneEvent(item=item),
    ThreadItemDoneEvent(id="msg_1"),
    # Of an item that was added without an id.
    ThreadItemDoneEvent(),
    ThreadItemUpdatedEvent(update=delta),
    ThreadItemUpdatedEvent(delta=TextDelta(text="Hello")),
    ThreadItemUpdatedEvent(item_id="msg_1", update=delta),
    ThreadItemUpdated(item_id="msg_1", update=delta),
    ThreadItemUpdatedEvent(id="msg_1", delta=TextDelta(type="text_delta", text="Hello")),
    ThreadItemReplacedEvent(item=item),
    ThreadItemReplacedEvent(id="msg_1", item=item),
    ErrorEvent(message="No"),
    NoticeEvent(level="warning", message="Mind the **gap**", title="Notice"),
]
"""Events whose dialects do not make equal objects, or that have only one."""

WRONG: Final[tuple[Callable[[], object], ...]] = (
    lambda: ThreadItemAddedEvent(),  # pyright: ignore[reportCallIssue] -- no item
    lambda: ThreadItemAddedEvent(item="msg_1"),  # pyright: ignore[reportArgumentType] -- an id
    lambda: ThreadItemDoneEvent(item=item, id="msg_2"),  # pyright: ignore[reportCallIssue] -- both
    lambda: ThreadItemDoneEvent(id=7),  # pyright: ignore[reportArgumentType] -- no text
    lambda: ThreadItemUpdatedEvent(item_id="msg_1", update=TextDelta(text="x")),  # pyright: ignore[reportArgumentType] -- that is a delta
    lambda: ThreadItemUpdatedEvent(id="msg_1", delta="x"),  # pyright: ignore[reportArgumentType] -- a text
    lambda: ThreadItemRemovedEvent(),  # pyright: ignore[reportCallIssue] -- no id
    lambda: ThreadItemReplacedEvent(id="msg_1"),  # pyright: ignore[reportCallIssue] -- no item
    lambda: ThreadItemReplacedEvent(id="msg_2", item="msg_1"),  # pyright: ignore[reportArgumentType] -- an id
    lambda: ProgressUpdateEvent(),  # pyright: ignore[reportCallIssue] -- no text
    lambda: ProgressUpdateEvent(text="Busy", icon=7),  # pyright: ignore[reportArgumentType] -- no icon
    lambda: ErrorEvent(message="No", retryable="maybe"),  # pyright: ignore[reportArgumentType] -- no bool
    lambda: ClientEffectEvent(payload={}),  # pyright: ignore[reportCallIssue] -- no name
    lambda: ClientEffectEvent(name="open_dialog", data=[1]),  # pyright: ignore[reportArgumentType] -- no dict
    lambda: StreamOptionsEvent(),  # pyright: ignore[reportCallIssue] -- no options
    lambda: StreamOptionsEvent(allow_cancel=None),  # pyright: ignore[reportArgumentType] -- no bool
    lambda: NoticeEvent(level="loud", message="x"),  # pyright: ignore[reportArgumentType] -- no level
    lambda: TextDelta(),  # pyright: ignore[reportCallIssue] -- no text
    lambda: AssistantMessageContent(text="x", type="input_text"),  # pyright: ignore[reportArgumentType] -- the user's
)
"""Calls that a type checker reports, and that fail."""
