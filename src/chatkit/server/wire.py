"""Encodes what clients get, as JSON: items, threads and events. All of it that is written by hand is here.

Also the one place that keeps hidden items, and the metadata of the application's, from clients.
"""

from __future__ import annotations

import json
from functools import cache
from json.encoder import encode_basestring
from typing import Any, Final, cast, get_args

from pydantic import BaseModel

from chatkit._unicode import encode
from chatkit.dialects.openai_chatkit.store import PageAsGiven
from chatkit.errors import ErrorCode
from chatkit.ids import to_utc
from chatkit.sse import encode_event
from chatkit.streams.base import EndState, StatePart
from chatkit.types import (
    HIDDEN_ITEM_TYPES,
    AssistantMessageContentPartTextDelta,
    Attachment,
    Capabilities,
    ErrorEvent,
    Page,
    SearchPage,
    Thread,
    ThreadItem,
    ThreadItemUpdate,
    ThreadMetadata,
    UserMessageItem,
    to_wire,
)

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "added_event",
    "attachment_json",
    "done_event",
    "end_frame",
    "interrupted_event",
    "is_error",
    "is_hidden",
    "item_json",
    "item_page_json",
    "item_part",
    "removed_event",
    "replaced_event",
    "search_page_json",
    "stopped_json",
    "string_json",
    "thread_event",
    "thread_json",
    "thread_page_json",
    "thread_part",
    "update_event",
    "updated_item_json",
]

_KINDS = frozenset(get_args(get_args(ThreadItem)[0]) + get_args(get_args(ThreadItemUpdate)[0]))
_CREATED: Final = b'{"type":"thread.created",'
_UPDATED: Final = b'{"type":"thread.updated",'
_ADDED: Final = b'{"type":"thread.item.added",'
_DONE: Final = b'{"type":"thread.item.done",'
_REPLACED: Final = b'{"type":"thread.item.replaced",'
_ITEM_UPDATED: Final = b'{"type":"thread.item.updated","item_id":'
_TEXT_DELTA: Final = (
    b',"update":{"type":"assistant_message.content_part.text_delta","content_index":%d,"delta":'
)
_ERROR: Final = b'{"type":"error"'


def string_json(text: str) -> bytes:
    """Returns a string as JSON in UTF-8; lone surrogates, which UTF-8 cannot carry, become U+FFFD."""
    return encode(encode_basestring(text))


# Events.


def thread_event(thread: bytes, *, created: bool) -> bytes:
    """Encodes ``thread.created`` or ``thread.updated`` for a thread given as JSON."""
    return (_CREATED if created else _UPDATED) + b'"thread":' + thread + b"}"


def added_event(item: bytes) -> bytes:
    """Encodes ``thread.item.added`` for an item given as JSON."""
    return _ADDED + b'"item":' + item + b"}"


def done_event(item: bytes, added_id: str | None = None) -> bytes:
    """Encodes ``thread.item.done``.

    Args:
        item: The item as JSON.
        added_id: The id that the item was added under, if it was another one.
    """
    return _DONE + b'"item":' + item + _added_id(added_id)


def replaced_event(item: bytes, added_id: str | None = None) -> bytes:
    """Encodes ``thread.item.replaced``; the arguments are those of ``done_event``."""
    return _REPLACED + b'"item":' + item + _added_id(added_id)


def _added_id(added_id: str | None) -> bytes:
    return b"}" if added_id is None else b',"added_id":' + string_json(added_id) + b"}"


def removed_event(item_id: str) -> bytes:
    """Encodes ``thread.item.removed``."""
    return b'{"type":"thread.item.removed","item_id":' + string_json(item_id) + b"}"


def update_event(item_id: str, update: ThreadItemUpdate, heads: dict[int, bytes]) -> bytes:
    """Encodes ``thread.item.updated``. Text deltas are written by hand, because they are the hot path.

    Args:
        item_id: The item.
        update: The update.
        heads: Cache of the item's: what its text deltas begin with, by content index.
    """
    if type(update) is not AssistantMessageContentPartTextDelta:
        encoded = to_wire(update, _kind(type(update)))
        return _ITEM_UPDATED + string_json(item_id) + b',"update":' + encoded + b"}"
    index = update.content_index
    head = heads.get(index)
    if head is None:
        head = heads[index] = _ITEM_UPDATED + string_json(item_id) + _TEXT_DELTA % index
    return head + encode(encode_basestring(update.delta)) + b"}}"


def is_error(event: bytes) -> bool:
    """Returns whether an encoded event is an error event."""
    return event.startswith(_ERROR)


def end_frame(
    turn_id: str, status: EndState, *, cursor: str | None = None, awaits_title: bool = False
) -> bytes:
    """Returns the frame of a resumable stream that says how the turn ended.

    Args:
        turn_id: The turn.
        status: How it ended.
        cursor: The frame's id.
        awaits_title: Whether the thread's title is still being made; the stream then ends when it is told.
    """
    told = {"turn_id": turn_id, "status": status.value, **({"awaits_title": True} if awaits_title else {})}
    return encode_event(json.dumps(told, separators=(",", ":")).encode(), id=cursor, event="turn.end")


def interrupted_event() -> ErrorEvent:
    """Returns what tells readers that a turn ended for a reason of the server's own, and may be tried again."""
    return ErrorEvent(code=ErrorCode.STREAM_ERROR, allow_retry=True, reason="interrupted")


INTERRUPTED: Final = to_wire(interrupted_event())
FAILED: Final = to_wire(ErrorEvent(code=ErrorCode.STREAM_ERROR, allow_retry=True))
"""Tells readers that a turn failed, and may be tried again."""


# What readers that come back get in the place of events that they missed.


def thread_part(seq: int, event: bytes, before: StatePart | None) -> StatePart:
    """Returns the part of a turn's state that tells its thread: as created to readers that have not heard of it."""
    created = event.startswith(_CREATED)
    first_seq = before.first_seq if before is not None and before.first_seq else seq if created else 0
    return StatePart(
        first_seq, seq, _CREATED, _UPDATED, event.removeprefix(_CREATED if created else _UPDATED)
    )


def item_part(first_seq: int, last_seq: int, event: bytes, *, final: bool) -> StatePart:
    """Returns the part of a turn's state that tells an item.

    Args:
        first_seq: Number of the event that introduced the item; 0 for an item of an earlier turn.
        last_seq: Number of its last event.
        event: The event for readers that have the item.
        final: Whether the item is done.
    """
    if not event.startswith(_REPLACED):
        return StatePart(0, last_seq, b"", b"", event)
    head = _DONE if final else _ADDED
    return StatePart(first_seq, last_seq, head, _REPLACED, event.removeprefix(_REPLACED))


# What clients may see.


def is_hidden(item: ThreadItem) -> bool:
    """Returns whether an item exists in stores only."""
    return item.type in HIDDEN_ITEM_TYPES


def _visible_attachment(attachment: Attachment) -> Attachment:
    return attachment if attachment.metadata is None else attachment.model_copy(update={"metadata": None})


def _visible_parts(item: ThreadItem) -> ThreadItem:
    if isinstance(item, UserMessageItem) and any(entry.metadata is not None for entry in item.attachments):
        return item.model_copy(
            update={"attachments": [_visible_attachment(entry) for entry in item.attachments]}
        )
    return item


def attachment_json(attachment: Attachment) -> bytes:
    """Returns an attachment without the application's metadata."""
    return to_wire(_visible_attachment(attachment))


def item_json(item: ThreadItem) -> bytes:
    """Returns an item without the application's metadata, and without fields of a subclass of the application's."""
    return to_wire(_visible_parts(item), _kind(type(item)))


def updated_item_json(item: ThreadItem) -> bytes:
    """Returns the answer that holds the new state of one item."""
    return b'{"updated_item":' + item_json(item) + b"}"


def stopped_json(turn_ids: list[str]) -> bytes:
    """Returns the answer that names the turns that were stopped."""
    return json.dumps({"stopped": turn_ids}, separators=(",", ":")).encode()


@cache
def _kind(model: type[BaseModel]) -> type[BaseModel]:
    """Returns the class of the protocol that a class of the application's is derived from."""
    return next((cast("type[BaseModel]", kind) for kind in model.__mro__ if kind in _KINDS), model)


def _visible_thread(thread: ThreadMetadata, items: Page[ThreadItem] | None) -> Thread:
    # Every value was validated when it was set or loaded; validating a page of items again costs more than all else.
    fields: dict[str, Any] = {
        "title": thread.title,
        "id": thread.id,
        "created_at": to_utc(thread.created_at),
        "status": thread.status,
        "allowed_image_domains": thread.allowed_image_domains,
        "metadata": {},
        "items": Page[ThreadItem]() if items is None else _visible_page(items),
    }
    return Thread.model_construct(**fields)


def _visible_page(page: Page[ThreadItem]) -> Page[ThreadItem]:
    items = [_visible_parts(item) for item in page.data if not is_hidden(item)]
    return Page[ThreadItem].model_construct(data=items, has_more=page.has_more, after=page.after)


def thread_json(
    thread: ThreadMetadata, items: Page[ThreadItem] | None = None, *, active_turn: str | None = None
) -> bytes:
    """Returns a thread without the application's metadata.

    Args:
        thread: The thread.
        items: A page of its items; without it, an empty page.
        active_turn: Id of the turn that runs in the thread.
    """
    encoded = to_wire(_visible_thread(thread, items))
    if active_turn is None:
        return encoded
    return encoded[:-1] + b',"active_turn":{"id":' + string_json(active_turn) + b"}}"


def thread_page_json(page: Page[ThreadMetadata], capabilities: Capabilities | None = None) -> bytes:
    """Returns a page of threads, with what the server can do if the client asked for it."""
    threads = [_visible_thread(thread, None) for thread in page.data]
    encoded = to_wire(Page[Thread].model_construct(data=threads, has_more=page.has_more, after=page.after))
    if capabilities is None:
        return encoded
    return encoded[:-1] + b',"capabilities":' + to_wire(capabilities) + b"}"


def search_page_json(page: SearchPage) -> bytes:
    """Returns a page of threads that were found, with what was found in each."""
    found: list[bytes] = []
    for each in page.data:
        rest = json.dumps(each.model_dump(mode="json", exclude={"thread"}), separators=(",", ":")).encode()
        found.append(b'{"thread":' + thread_json(each.thread) + b"," + rest[1:])
    rest = json.dumps(page.model_dump(mode="json", exclude={"data"}), separators=(",", ":")).encode()
    return b'{"data":[' + b",".join(found) + b"]," + rest[1:]


def item_page_json(page: Page[ThreadItem]) -> bytes:
    """Returns a page of items; dictionaries that a store gave are sent as they are."""
    if not isinstance(page, PageAsGiven):
        return to_wire(_visible_page(page))
    given: list[Any] = [
        entry if isinstance(entry, dict) else _visible_parts(entry)
        for entry in page.given
        if _kind_of_entry(entry) not in HIDDEN_ITEM_TYPES
    ]
    return to_wire(Page[Any].model_construct(data=given, has_more=page.has_more, after=page.after))


def _kind_of_entry(entry: Any) -> object:
    return cast("dict[str, Any]", entry).get("type") if isinstance(entry, dict) else entry.type
