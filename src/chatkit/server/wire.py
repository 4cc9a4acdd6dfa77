"""What a client may see, as JSON: the only place where items and threads are projected to the wire."""

from __future__ import annotations

from functools import cache
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, cast, get_args

from pydantic import BaseModel

from chatkit.errors import ErrorCode
from chatkit.ids import to_utc
from chatkit.types import (
    HIDDEN_ITEM_TYPES,
    Attachment,
    ErrorEvent,
    Page,
    Thread,
    ThreadItem,
    ThreadItemUpdate,
    ThreadMetadata,
    UserMessageItem,
    to_wire,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "attachment_json",
    "interrupted_event",
    "is_hidden",
    "item_json",
    "item_page_json",
    "string_json",
    "text_delta_event",
    "text_delta_head",
    "thread_json",
    "thread_page_json",
    "update_event",
    "visible_items",
]

_KINDS = frozenset(get_args(get_args(ThreadItem)[0]) + get_args(get_args(ThreadItemUpdate)[0]))
_DELTA_HEAD = b'{"type":"thread.item.updated","item_id":'
_DELTA_MIDDLE = b',"update":{"type":"assistant_message.content_part.text_delta","content_index":%d,"delta":'


def string_json(text: str) -> bytes:
    """Returns a string as JSON in UTF-8; lone surrogates, which UTF-8 cannot carry, become question marks."""
    return encode_basestring(text).encode("utf-8", "replace")


def text_delta_head(item_id: bytes, content_index: int) -> bytes:
    """Returns what all text deltas of a content part begin with, for an item id given as JSON."""
    return _DELTA_HEAD + item_id + _DELTA_MIDDLE % content_index


def text_delta_event(head: bytes, delta: str) -> bytes:
    """Returns the most frequent event of all."""
    return head + encode_basestring(delta).encode("utf-8", "replace") + b"}}"


def update_event(item_id: bytes, update: ThreadItemUpdate) -> bytes:
    """Returns ``thread.item.updated`` for an item id given as JSON."""
    encoded = to_wire(update, _kind(type(update)))
    return b'{"type":"thread.item.updated","item_id":' + item_id + b',"update":' + encoded + b"}"


def interrupted_event() -> ErrorEvent:
    """Returns what tells readers that a turn ended for a reason of the server's own, and may be tried again."""
    return ErrorEvent(code=ErrorCode.STREAM_ERROR, allow_retry=True, reason="interrupted")


def is_hidden(item: ThreadItem) -> bool:
    """Tells whether an item exists in stores only."""
    return item.type in HIDDEN_ITEM_TYPES


def visible_items(items: Sequence[ThreadItem]) -> list[ThreadItem]:
    """Returns the items that a client may see."""
    return [item for item in items if item.type not in HIDDEN_ITEM_TYPES]


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
    items = [_visible_parts(item) for item in visible_items(page.data)]
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


def thread_page_json(page: Page[ThreadMetadata]) -> bytes:
    """Returns a page of threads."""
    threads = [_visible_thread(thread, None) for thread in page.data]
    return to_wire(Page[Thread].model_construct(data=threads, has_more=page.has_more, after=page.after))


def item_page_json(page: Page[ThreadItem]) -> bytes:
    """Returns a page of items."""
    return to_wire(_visible_page(page))
