"""An adapter for stores that were written for ``openai-chatkit``.

``openai-chatkit`` asks little of a store: no class, no order of parameters where it gives keywords, no more than the
methods that a request needs, pages of any length and order. :class:`OpenAIStoreAdapter` asks no more, and is a full
store.
"""

from __future__ import annotations

import inspect
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from pydantic import TypeAdapter

from chatkit.dialects.openai_chatkit.calls import CallForm, accepts, call, call_form, call_maybe_async
from chatkit.dialects.openai_chatkit.store_results import PageAsGiven, read_model, read_page
from chatkit.errors import ConflictError, NotFoundError
from chatkit.store.acceptance import AcceptingStore, accepts_whole_turns
from chatkit.store.base import (
    WALK_PAGE,
    MissingMethodError,
    Store,
    StoreItemType,
    find_item,
    usual_owner,
    walk_items,
)
from chatkit.store.lookups import newer_ids
from chatkit.types import Attachment, Page, ThreadItem, ThreadMetadata

if TYPE_CHECKING:
    from chatkit.streams.base import StreamLog

__all__ = [
    "OpenAIStoreAdapter",
    "PageAsGiven",
    "accepting_store",
    "has_full_methods",
    "is_own_store",
    "newest_items",
    "walk_newest_first",
]

logger = logging.getLogger("chatkit.store")

TContext = TypeVar("TContext")

FORMS: Final[Mapping[str, CallForm]] = {
    "load_thread": call_form("thread_id context", 1),
    "save_thread": call_form("thread context", 1),
    "load_thread_items": call_form("thread_id after limit order context", 1),
    "save_attachment": call_form("attachment context", 1),
    "load_attachment": call_form("attachment_id context", 2),
    "delete_attachment": call_form("attachment_id context", 1),
    "load_threads": call_form("limit after order context", 0),
    "add_thread_item": call_form("thread_id item context", 2),
    "save_item": call_form("thread_id item context", 2),
    "load_item": call_form("thread_id item_id context", 2),
    "delete_thread": call_form("thread_id context", 1),
    "delete_thread_item": call_form("thread_id item_id context", 2),
    "generate_thread_id": call_form("context", 1),
    "generate_item_id": call_form("item_type thread context", 3),
}
"""How 1.6.5 calls each method of a store."""

_OPTIONAL: Final[Mapping[str, CallForm]] = {
    "put_thread_item": call_form("thread_id item context", 3),
    "save_thread_fields": call_form("thread_id changed context", 3),
    "save_item_if_unchanged": call_form("thread_id before after context", 4),
    "delete_items_after": call_form("thread_id item_id context", 3),
    "attachment_ids": call_form("thread_id context", 2),
    "sweep_attachments": call_form("seconds", 1),
    "unclaimed_attachments": call_form("seconds", 1),
    "admit": call_form("context", 1),
    "owner": call_form("context", 1),
    "begin_turn": call_form("thread_id turn_id context", 3),
    "end_turn": call_form("turn_id token context", 3),
    "complete_turn": call_form("turn_id token context", 3),
    "has_completed": call_form("turn_id context", 2),
    "stream_log": call_form("", 0),
    "check": call_form("", 0),
    "stop_waiting": call_form("", 0),
    "close": call_form("", 0),
}
"""The methods that only this package calls, where a class derived from the port overrides them."""

_REMEMBERED_IDS: Final = 10_000
_ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem, config={"defer_build": True})
_THREAD: TypeAdapter[ThreadMetadata] = TypeAdapter(ThreadMetadata)
_ATTACHMENT: TypeAdapter[Attachment] = TypeAdapter(Attachment, config={"defer_build": True})


def is_own_store(store: object) -> bool:
    """Returns whether all that a store's class does is this package's: it is called directly."""
    kind = type(store)
    return isinstance(store, Store) and all(
        str(getattr(getattr(kind, name, None), "__module__", "")).startswith("chatkit.") for name in FORMS
    )


def accepting_store(store: object, *, whole: bool = True) -> AcceptingStore[Any] | None:
    """Returns what accepts a store's turns: the store, or one of ours that an adapter is around; None if neither does.

    With ``whole``, it has to write all that a turn begins with, the message too.
    """
    inner: object = (
        cast("OpenAIStoreAdapter[Any]", store).store if isinstance(store, OpenAIStoreAdapter) else store
    )
    if not isinstance(inner, AcceptingStore):
        return None
    accepting = cast("AcceptingStore[Any]", inner)
    return None if whole and not accepts_whole_turns(accepting) else accepting


def has_full_methods(store: object) -> bool:
    """Returns whether an object has methods of the port, which take a context; some of them may be missing."""
    load_thread: Any = getattr(store, "load_thread", None)
    if callable(load_thread):
        return _takes(load_thread, "thread_id", context=None) or _takes(load_thread, "thread_id", None)
    return any(_names_a_context(getattr(store, name, None)) for name in FORMS)


def _takes(method: Any, *arguments: object, **keywords: object) -> bool:
    try:
        inspect.signature(method).bind(*arguments, **keywords)
    except TypeError:
        return False
    except ValueError:
        # What has no signature may take anything.
        return True
    return True


def _names_a_context(method: Any) -> bool:
    try:
        return "context" in inspect.signature(method).parameters
    except (TypeError, ValueError):
        return False


class OpenAIStoreAdapter(Store[TContext], Generic[TContext]):
    """A full store over one that an application wrote.

    Args:
        store: The application's, which is not changed; its methods may be sync or async, and some may be missing.
    """

    def __init__(self, store: Any) -> None:
        self.store = store
        kind = cast("type[Any]", type(store))
        derived = issubclass(kind, Store)
        self._overridden = {name for name in _OPTIONAL if derived and _overrides(kind, name)}
        self._properties = derived
        self._ignores_order: bool | None = None
        self._stored_ids: OrderedDict[tuple[str, str, str], str] = OrderedDict()

    # Calls.

    def _method(self, name: str) -> Any:
        method = getattr(self.store, name, None)
        if not callable(method):
            raise MissingMethodError(
                f"{type(self.store).__name__} has no method {name}(), which this request needs. Write it with the "
                f"parameters ({', '.join(FORMS[name].names)}); the other requests do without."
            )
        return method

    async def _ask(self, name: str, *arguments: Any) -> Any:
        return await call_maybe_async(self._method(name), FORMS[name], arguments)

    async def _ask_optional(self, name: str, default: Any, *arguments: Any) -> Any:
        """Returns what an optional method gives, or the default where the store does not override it."""
        if name not in self._overridden:
            return default
        return await call_maybe_async(getattr(self.store, name), _OPTIONAL[name], arguments)

    def lacks(self, name: str) -> bool:
        """Returns whether the store has no such method."""
        return not callable(getattr(self.store, name, None))

    def require(self, name: str) -> None:
        """Raises UnsupportedOperationError if there is no such method, before what goes with the call is done."""
        self._method(name)

    # Ids.

    def generate_thread_id(self, context: TContext) -> str:
        if self.lacks("generate_thread_id"):
            return super().generate_thread_id(context)
        return call(self.store.generate_thread_id, FORMS["generate_thread_id"], (context,))

    def generate_item_id(self, item_type: StoreItemType, thread: ThreadMetadata, context: TContext) -> str:
        if self.lacks("generate_item_id"):
            return super().generate_item_id(item_type, thread, context)
        return call(self.store.generate_item_id, FORMS["generate_item_id"], (item_type, thread, context))

    def stored_id(self, thread_id: str, item_id: str, context: TContext) -> str:
        """Returns the id that the store gave an item in the place of another, or the id itself.

        A client may know the one that the item was streamed under.
        """
        return self._stored_ids.get(self._key(thread_id, item_id, context), item_id)

    def _key(self, thread_id: str, item_id: str, context: TContext) -> tuple[str, str, str]:
        return (self.owner(context) or usual_owner(context) or "", thread_id, item_id)

    def _note_id(self, thread_id: str, item_id: str, item: ThreadItem, context: TContext) -> None:
        if item.id == item_id:
            return
        key = self._key(thread_id, item_id, context)
        self._stored_ids[key] = item.id
        self._stored_ids.move_to_end(key)
        if len(self._stored_ids) > _REMEMBERED_IDS:
            self._stored_ids.popitem(last=False)

    # The methods of 1.6.5.

    async def load_thread(self, thread_id: str, context: TContext) -> ThreadMetadata:
        return read_model(_THREAD, await self._ask("load_thread", thread_id, context), thread_id)

    async def save_thread(self, thread: ThreadMetadata, context: TContext) -> None:
        await self._ask("save_thread", thread, context)

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: TContext
    ) -> Page[ThreadItem]:
        """Returns the page as the store gives it: a :class:`PageAsGiven` if it holds dictionaries."""
        if after is not None:
            after = self.stored_id(thread_id, after, context)
        return read_page(await self._ask("load_thread_items", thread_id, after, limit, order, context), _ITEM)

    async def save_attachment(self, attachment: Attachment, context: TContext) -> None:
        await self._ask("save_attachment", attachment, context)

    async def load_attachment(self, attachment_id: str, context: TContext) -> Attachment:
        loaded = await self._ask("load_attachment", attachment_id, context)
        return read_model(_ATTACHMENT, loaded, attachment_id)

    async def delete_attachment(self, attachment_id: str, context: TContext) -> None:
        await self._ask("delete_attachment", attachment_id, context)

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: TContext
    ) -> Page[ThreadMetadata]:
        return read_page(await self._ask("load_threads", limit, after, order, context), _THREAD)

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        """Adds an item; the store may give it another id, in place, as a database does that makes ids itself."""
        added_as = item.id
        await self._ask("add_thread_item", thread_id, item, context)
        self._note_id(thread_id, added_as, item, context)

    async def save_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        saved_as = item.id
        await self._ask("save_item", thread_id, item, context)
        self._note_id(thread_id, saved_as, item, context)

    async def load_item(self, thread_id: str, item_id: str, context: TContext) -> ThreadItem:
        stored_id = self.stored_id(thread_id, item_id, context)
        return read_model(_ITEM, await self._ask("load_item", thread_id, stored_id, context), item_id)

    async def delete_thread(self, thread_id: str, context: TContext) -> None:
        await self._ask("delete_thread", thread_id, context)

    async def delete_thread_item(self, thread_id: str, item_id: str, context: TContext) -> None:
        await self._ask("delete_thread_item", thread_id, self.stored_id(thread_id, item_id, context), context)

    # Reading a thread whose pages may not be what was asked for.

    async def listed_item(self, thread_id: str, item_id: str, context: TContext) -> ThreadItem | None:
        """Returns an item, found in pages as 1.6.5 finds the message of a retry; None if it is in none."""
        wanted = self.stored_id(thread_id, item_id, context)
        async for item in self.newest_first(thread_id, context):
            if item.id == wanted:
                return item
        return None

    async def newest_first(self, thread_id: str, context: TContext) -> AsyncGenerator[ThreadItem, None]:
        """Yields the thread's items, newest first, each once, also if the store ignores the order asked for."""
        first = await self.load_thread_items(thread_id, None, WALK_PAGE, "desc", context)
        if await self._is_oldest_first(first.data, WALK_PAGE, thread_id, context):
            for item in reversed([item async for item in walk_items(self, thread_id, "asc", context)]):
                yield item
            return
        async for item in walk_items(self, thread_id, "desc", context, first=first):
            yield item

    async def newest_returned(self, thread_id: str, limit: int, context: TContext) -> list[ThreadItem]:
        """Returns what the store gives for its newest items, which may be more than asked for, newest first."""
        newest = (await self.load_thread_items(thread_id, None, limit, "desc", context)).data
        if await self._is_oldest_first(newest, limit, thread_id, context):
            return [item async for item in self.newest_first(thread_id, context)]
        return list(newest)

    async def _is_oldest_first(
        self, newest: list[ThreadItem], limit: int, thread_id: str, context: TContext
    ) -> bool:
        """Returns whether the store gave its oldest items when it was asked for the newest."""
        if self._ignores_order is None and len(newest) > 1 and newest[0].created_at < newest[-1].created_at:
            oldest = (await self.load_thread_items(thread_id, None, limit, "asc", context)).data
            self._ignores_order = [item.id for item in newest] == [item.id for item in oldest]
        return bool(self._ignores_order)

    # The methods of this package.

    async def put_thread_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        if "put_thread_item" in self._overridden:
            put_as = item.id
            await self._ask_optional("put_thread_item", None, thread_id, item, context)
            self._note_id(thread_id, put_as, item, context)
        elif self.lacks("save_item") or await find_item(self, thread_id, item.id, context) is None:
            await self.add_thread_item(thread_id, item, context)
        else:
            await self.save_item(thread_id, item, context)

    async def save_thread_fields(
        self, thread_id: str, changed: Mapping[str, Any], context: TContext
    ) -> ThreadMetadata:
        if "save_thread_fields" in self._overridden:
            return await self._ask_optional("save_thread_fields", None, thread_id, changed, context)
        return await super().save_thread_fields(thread_id, changed, context)

    async def save_item_if_unchanged(
        self, thread_id: str, before: ThreadItem, after: ThreadItem, context: TContext
    ) -> None:
        """Saves an item if it is still what was loaded before, by its id or from a page."""
        if "save_item_if_unchanged" in self._overridden:
            await self._ask_optional("save_item_if_unchanged", None, thread_id, before, after, context)
            return
        stored = await find_item(self, thread_id, before.id, context)
        if stored != before:
            # What a store gives in a page may differ from what it gives by id, if that is there at all.
            stored = await self.listed_item(thread_id, before.id, context) or stored
        if stored is None:
            raise NotFoundError(f"Thread {thread_id!r} has no item {before.id!r}.")
        if stored != before:
            raise ConflictError(f"Item {before.id!r} of thread {thread_id!r} was changed meanwhile.")
        await self.save_item(thread_id, after, context)

    async def delete_items_after(self, thread_id: str, item_id: str, context: TContext) -> None:
        if "delete_items_after" in self._overridden:
            await self._ask_optional(
                "delete_items_after", None, thread_id, self.stored_id(thread_id, item_id, context), context
            )
            return
        wanted = self.stored_id(thread_id, item_id, context)
        for newer_id in await newer_ids(self.newest_first(thread_id, context), thread_id, wanted):
            await self.delete_thread_item(thread_id, newer_id, context)

    async def attachment_ids(self, thread_id: str, context: TContext) -> list[str]:
        if "attachment_ids" in self._overridden:
            return await self._ask_optional("attachment_ids", None, thread_id, context)
        return await super().attachment_ids(thread_id, context)

    async def sweep_attachments(self, seconds: float) -> int:
        return await self._ask_optional("sweep_attachments", 0, seconds)

    async def unclaimed_attachments(self, seconds: float) -> list[tuple[str, str]]:
        return await self._ask_optional("unclaimed_attachments", [], seconds)

    async def admit(self, context: TContext) -> None:
        await self._ask_optional("admit", None, context)

    @property
    def deletes_files(self) -> bool:
        return self._properties and bool(self.store.deletes_files)

    def owner(self, context: TContext) -> str | None:
        return call(self.store.owner, _OPTIONAL["owner"], (context,)) if "owner" in self._overridden else None

    @property
    def knows_owners(self) -> bool:
        return "owner" in self._overridden and bool(self.store.knows_owners)

    @property
    def upserts(self) -> bool:
        return "put_thread_item" in self._overridden and bool(self.store.upserts)

    async def begin_turn(self, thread_id: str, turn_id: str, context: TContext) -> int:
        return await self._ask_optional("begin_turn", 0, thread_id, turn_id, context)

    async def end_turn(self, turn_id: str, token: int, context: TContext) -> None:
        await self._ask_optional("end_turn", None, turn_id, token, context)

    async def complete_turn(self, turn_id: str, token: int, context: TContext) -> None:
        if "complete_turn" in self._overridden:
            await self._ask_optional("complete_turn", None, turn_id, token, context)
        else:
            await self.end_turn(turn_id, token, context)

    async def has_completed(self, turn_id: str, context: TContext) -> bool:
        return await self._ask_optional("has_completed", False, turn_id, context)

    def stream_log(self) -> StreamLog | None:
        return self.store.stream_log() if "stream_log" in self._overridden else None

    async def check(self) -> None:
        await self._ask_optional("check", None)

    def stop_waiting(self) -> bool:
        return "stop_waiting" in self._overridden and bool(self.store.stop_waiting())

    async def close(self) -> None:
        await self._ask_optional("close", None)


async def newest_items(store: Store[Any], thread_id: str, limit: int, context: Any) -> list[ThreadItem]:
    """Returns the newest items of a thread, newest first; a store of an application may give more than asked for."""
    if isinstance(store, OpenAIStoreAdapter):
        return await store.newest_returned(thread_id, limit, context)
    return (await store.load_thread_items(thread_id, None, limit, "desc", context)).data


async def walk_newest_first(
    store: Store[Any], thread_id: str, context: Any
) -> AsyncGenerator[ThreadItem, None]:
    """Yields all items of a thread, newest first."""
    if isinstance(store, OpenAIStoreAdapter):
        items = store.newest_first(thread_id, context)
    else:
        items = walk_items(store, thread_id, "desc", context)
    async for item in items:
        yield item


def _overrides(kind: type[Any], name: str) -> bool:
    """Returns whether a class overrides an optional method, and not a name of its own that means something else."""
    own = inspect.getattr_static(kind, name)
    if own is inspect.getattr_static(Store, name):
        return False
    if callable(own) and accepts(own, _OPTIONAL[name]):
        return True
    _warn_of_own_name(kind.__qualname__, name, ", ".join(_OPTIONAL[name].names))
    return False


@cache
def _warn_of_own_name(kind: str, name: str, parameters: str) -> None:
    logger.warning(
        "%s.%s is not called: chatkit.store.Store has an optional method of that name, with the parameters (%s).",
        kind,
        name,
        parameters,
    )
