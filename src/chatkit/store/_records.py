"""Threads, items and attachments as JSON, and the checks that all our stores share."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from chatkit._unicode import well_formed
from chatkit.errors import ConflictError, InvalidRequestError, NotFoundError, StaleTurnError, StoreError
from chatkit.ids import utc_now
from chatkit.store.base import Fence, current_fence
from chatkit.types import Attachment, Page, ThreadItem, ThreadMetadata

if TYPE_CHECKING:
    from chatkit.store.acceptance import Acceptance

__all__ = [
    "Documents",
    "active_fence",
    "changed_thread",
    "check_unchanged",
    "documents_of",
    "dump_model",
    "dump_thread",
    "item_exists",
    "load_attachment",
    "load_item",
    "load_thread",
    "no_attachment",
    "no_item",
    "no_thread",
    "page_of",
    "saved_at",
    "stale",
    "stamp",
    "thread_exists",
    "validate_page_request",
]

T = TypeVar("T")

_ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)
_ATTACHMENT: TypeAdapter[Attachment] = TypeAdapter(Attachment)
_THREAD: TypeAdapter[ThreadMetadata] = TypeAdapter(ThreadMetadata)


def dump_model(model: BaseModel) -> str:
    """Returns an item or attachment as JSON with all its fields, those that are None too.

    Raises:
        StoreError: The model holds what JSON cannot express, or has no id.
    """
    if not getattr(model, "id", None):
        raise StoreError(
            f"{type(model).__name__} has no id. Only what a handler yields gets one by itself; make it with "
            "store.generate_item_id()."
        )
    return _dump(type(model), model)


saved_at: ContextVar[datetime | None] = ContextVar("chatkit_saved_at", default=None)
"""When threads were saved that an import saves now: their age is what retention goes by. None is now."""


def stamp() -> datetime:
    """Returns when what is saved counts as saved."""
    return saved_at.get() or utc_now()


def dump_thread(thread: ThreadMetadata) -> str:
    """Returns a thread as JSON, stamped as updated now, without the items that a ``Thread`` carries.

    Raises:
        StoreError: The thread holds what JSON cannot express.
    """
    return _dump(ThreadMetadata, thread.model_copy(update={"updated_at": stamp()}))


def _dump(kind: type[BaseModel], model: BaseModel) -> str:
    try:
        # A value of an unexpected class is stored as it is; the wire's encoder warns of it.
        return kind.__pydantic_serializer__.to_json(model, warnings=False).decode()
    except (PydanticSerializationError, UnicodeError) as error:
        repaired = well_formed(model)
        if repaired is not model:
            return _dump(kind, repaired)
        raise StoreError(f"{type(model).__name__} cannot be stored as JSON: {error}") from error


def load_item(data: str) -> ThreadItem:
    """Returns the item that ``dump_model`` wrote.

    Raises:
        StoreError: The stored JSON is no item that this version knows; the message names its id.
    """
    return _load(_ITEM, data, "item")


def changed_thread(data: str, changed: Mapping[str, Any]) -> ThreadMetadata:
    """Returns a stored thread with other values in some of its fields; raises as ``load_item``."""
    return load_thread(data).model_copy(update=dict(changed))


def check_unchanged(data: str, before: str, thread_id: str, item_id: str) -> None:
    """Checks that a stored item is still the one that was loaded before.

    Args:
        data: The stored JSON, which an older version of this package may have written in fewer words.
        before: The item that was loaded, by ``dump_model``.
        thread_id: The thread, for the message.
        item_id: The item, for the message.

    Raises:
        ConflictError: It is another one.
    """
    if data != before and dump_model(load_item(data)) != before:
        raise ConflictError(f"Item {item_id!r} of thread {thread_id!r} was changed meanwhile.")


def load_attachment(data: str) -> Attachment:
    """Returns the attachment that ``dump_model`` wrote; raises as ``load_item``."""
    return _load(_ATTACHMENT, data, "attachment")


def load_thread(data: str) -> ThreadMetadata:
    """Returns the thread that ``dump_thread`` wrote; raises as ``load_item``."""
    return _load(_THREAD, data, "thread")


def _load(adapter: TypeAdapter[T], data: str, kind: str) -> T:
    try:
        return adapter.validate_json(data)
    except ValidationError as error:
        raise StoreError(
            f"A stored {kind} cannot be read; a newer version of this package may have written it. "
            f"It is {_name(data)}; delete or repair it: {error}"
        ) from error


def _name(data: str) -> str:
    """Returns how an operator finds a record."""
    found = {key: text for key in ("id", "thread_id") if (text := _field(data, key)) is not None}
    return " and ".join(f"{key} {text!r}" for key, text in found.items()) or "without an id"


def _field(data: str, key: str) -> str | None:
    try:
        text = json.loads(data)[key]
    except ValueError:
        # Cut off or damaged: the fields that name it are among the first.
        found = re.search(rf'"{key}"\s*:\s*"([^"\\]*)"', data)
        return None if found is None else found[1]
    except (LookupError, TypeError):
        return None
    return text if isinstance(text, str) else None


def active_fence() -> Fence | None:
    """Returns the fence that a write has to respect, if any."""
    fence = current_fence.get()
    return None if fence is None or fence.token == 0 else fence


def stale(fence: Fence) -> NoReturn:
    """Raises the error of a turn that lost its right to write."""
    raise StaleTurnError(
        f"Turn {fence.turn_id} no longer holds its lease: it ended, its thread was deleted, or another "
        "worker took it over. Nothing was written."
    )


def no_thread(thread_id: str) -> NoReturn:
    """Raises the error for a thread that the owner does not have."""
    raise NotFoundError(f"There is no thread {thread_id!r}.")


def no_item(thread_id: str, item_id: str) -> NoReturn:
    """Raises the error for an item that the thread does not have."""
    raise NotFoundError(f"Thread {thread_id!r} has no item {item_id!r}.")


def thread_exists(thread_id: str) -> NoReturn:
    """Raises the error for creating a thread under an id that there is already."""
    raise ConflictError(f"There is a thread {thread_id!r} already. Let generate_thread_id() return new ids.")


def item_exists(thread_id: str, item_id: str) -> NoReturn:
    """Raises the error for adding an item under an id that the thread has already."""
    raise ConflictError(f"Thread {thread_id!r} has an item {item_id!r} already; save_item() changes it.")


def no_attachment(attachment_id: str) -> NoReturn:
    """Raises the error for an attachment that the owner does not have."""
    raise NotFoundError(f"There is no attachment {attachment_id!r}.")


def validate_page_request(limit: int, order: str) -> Literal["asc", "desc"]:
    """Returns the order.

    Raises:
        InvalidRequestError: The limit is negative, or the order is neither of the two.
    """
    if limit < 0:
        raise InvalidRequestError(f"'limit' must not be negative, it is {limit}.")
    if order == "asc":
        return "asc"
    if order == "desc":
        return "desc"
    raise InvalidRequestError(f"'order' must be 'asc' or 'desc', it is {order!r}.")


def page_of(entries: Sequence[Any], limit: int, after: str | None) -> Page[Any]:
    """Returns a page of models with an ``id``.

    Args:
        entries: What was found from the cursor on, one more than the limit if there is more.
        limit: Size of the page.
        after: The cursor after which the page began; that of an empty page stays there.
    """
    has_more = len(entries) > limit
    data = list(entries[:limit])
    following = data[-1].id if data else after
    # The entries were validated when they were read: validating the page would do it again.
    return Page[Any].model_construct(data=data, has_more=has_more, after=following if has_more else None)


class Documents(NamedTuple):
    """What an acceptance writes, as JSON: made before anything is awaited, for the models may be changed then.

    Attributes:
        thread: The new thread.
        message: The message.
        attachments: The message's attachments, with their ids.
        before: The item that is changed, as it was loaded.
        after: The same as it is to be.
    """

    thread: str | None
    message: str | None
    attachments: list[tuple[str, str]]
    before: str | None
    after: str | None


def documents_of(acceptance: Acceptance) -> Documents:
    """Returns what an acceptance writes, as JSON."""
    writes = acceptance.writes
    thread, message, changed = writes.created_thread, writes.message, writes.change
    return Documents(
        None if thread is None else dump_thread(thread),
        None if message is None else dump_model(message),
        [] if message is None else [(each.id, dump_model(each)) for each in message.attachments],
        None if changed is None else dump_model(changed.before),
        None if changed is None else dump_model(changed.after),
    )
