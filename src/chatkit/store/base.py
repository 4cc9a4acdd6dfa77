"""The store port: what keeps threads, items and attachments.

The abstract methods are those of ``openai-chatkit`` 1.6.5, in name and order of parameters. The others are optional:
each has a working default over the abstract ones, which a good adapter overrides.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, TypeVar, cast

from chatkit.errors import (
    ChatKitError,
    ConfigurationError,
    ConflictError,
    MissingOwnerError,
    NotFoundError,
)
from chatkit.ids import new_id
from chatkit.types import Attachment, Page, Thread, ThreadItem, ThreadMetadata, UserMessageItem

if TYPE_CHECKING:
    from chatkit.streams.base import StreamLog

__all__ = [
    "COMPLETION_RETENTION",
    "Fence",
    "OwnerContext",
    "OwnerOf",
    "Store",
    "StoreItemType",
    "current_fence",
    "default_generate_id",
    "find_item",
    "owner_from_context",
    "plain_metadata",
    "usual_owner",
]

logger = logging.getLogger("chatkit.store")

TContext = TypeVar("TContext")

COMPLETION_RETENTION: Final = 24 * 3600
"""Seconds for which a store remembers that a turn completed: as long as logs remember idempotency keys."""

StoreItemType: TypeAlias = Literal[
    "thread", "message", "tool_call", "task", "workflow", "attachment", "sdk_hidden_context"
]
OwnerOf: TypeAlias = Callable[[Any], str | None]
"""Returns the owner of a request context: the key that separates tenants."""


@dataclass(frozen=True, slots=True)
class OwnerContext:
    """A context that names the owner and nothing else: for work without a request, such as recovery."""

    owner: str


@dataclass(slots=True)
class Fence:
    """The right of a turn to write.

    Attributes:
        turn_id: The turn.
        token: What ``begin_turn`` returned; a larger one for the same turn makes this one stale. 0 means that
            nothing is checked.
    """

    turn_id: str
    token: int

    def lift(self) -> None:
        """Lets what the handler left running, such as the making of a title, write on: the turn ended in order."""
        self.token = 0


current_fence: ContextVar[Fence | None] = ContextVar("chatkit_fence", default=None)
"""The fence of the turn that the running code belongs to; stores check it in the transaction of each write."""


def default_generate_id(item_type: StoreItemType) -> str:
    """Returns a fresh id with the usual prefix of the kind."""
    return new_id(item_type)


_NO_OWNER = (
    "The request context names no owner. Give process() a context with a user_id, or tell the store where to find it: "
    "owner=lambda context: ...; for a single user, owner=lambda context: 'local'."
)


def usual_owner(context: object) -> str | None:
    """Returns the owner in ``context["user_id"]``, in ``context.user_id`` or in an ``OwnerContext``.

    Returns:
        ``""`` if the field is there and empty or None; None if there is no such field.
    """
    if isinstance(context, OwnerContext):
        return context.owner
    if isinstance(context, dict):
        fields = cast("dict[str, object]", context)
        if "user_id" not in fields:
            return None
        found = fields["user_id"]
    else:
        try:
            found = cast("Any", context).user_id
        except AttributeError:
            return None
    return "" if found is None else str(found)


def owner_from_context(context: object, owner: OwnerOf | None = None) -> str:
    """Returns the owner of a request context.

    By default ``context["user_id"]`` or ``context.user_id``.

    Args:
        context: The context given to ``process()``, or an ``OwnerContext``.
        owner: The application's own way to find the owner.

    Raises:
        ConfigurationError: The context names no owner: it has no such field.
        MissingOwnerError: The field is there, and empty.
    """
    if isinstance(context, OwnerContext):
        return context.owner
    found = usual_owner(context) if owner is None else owner(context)
    if found is None and owner is None:
        raise ConfigurationError(_NO_OWNER)
    if found is None or found == "":
        raise MissingOwnerError(_NO_OWNER)
    return str(found)


def plain_metadata(thread: ThreadMetadata) -> ThreadMetadata:
    """Returns the thread as a copy of its own, without items if the store handed over a page of them."""
    if isinstance(thread, Thread):
        fields = {name: getattr(thread, name) for name in ThreadMetadata.model_fields}
        return ThreadMetadata.model_construct(**fields).model_copy(deep=True)
    return thread.model_copy(deep=True)


async def find_item(
    store: Store[TContext], thread_id: str, item_id: str, context: TContext
) -> ThreadItem | None:
    """Returns an item that may not be there, or None.

    ``openai-chatkit`` never loads an item that it has not seen, so stores written for it may do anything then: raise an
    error of their own, return None. That is taken for "not there", with a warning; what says that the store cannot be
    used is not.

    Raises:
        Exception: The store cannot be used: its ``ChatKitError``, or an ``OSError``.
    """
    try:
        # Declared never to be None, but not checked by anybody.
        return cast("ThreadItem | None", await store.load_item(thread_id, item_id, context))
    except NotFoundError:
        return None
    except (ChatKitError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 -- of the application's own kind
        _warn_of_own_error(type(store).__qualname__, type(error).__qualname__)
        return None


@cache
def _warn_of_own_error(store: str, error: str) -> None:
    logger.warning(
        "%s.load_item() raised %s, which is taken for an item that is not there. "
        "Raise chatkit.store.NotFoundError then.",
        store,
        error,
    )


class Store(ABC, Generic[TContext]):
    """Keeps threads, items and attachments.

    ``context`` is what the application gave to ``process()``; a store reads the tenant from it. Methods that load
    raise :class:`chatkit.errors.NotFoundError` for what does not exist or belongs to another owner.
    """

    def generate_thread_id(self, context: TContext) -> str:
        """Returns an id for a new thread."""
        return default_generate_id("thread")

    def generate_item_id(self, item_type: StoreItemType, thread: ThreadMetadata, context: TContext) -> str:
        """Returns an id for a new item or attachment."""
        return default_generate_id(item_type)

    @abstractmethod
    async def load_thread(self, thread_id: str, context: TContext) -> ThreadMetadata:
        """Returns the thread.

        Raises:
            NotFoundError: There is none with that id for this owner.
        """

    @abstractmethod
    async def save_thread(self, thread: ThreadMetadata, context: TContext) -> None:
        """Saves a new or changed thread."""

    @abstractmethod
    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: TContext
    ) -> Page[ThreadItem]:
        """Returns a page of the thread's items.

        Args:
            thread_id: The thread.
            after: Cursor: id of the item behind which the page begins, in the asked order; None begins at the end.
            limit: Size of the page.
            order: ``"asc"`` (oldest first) or ``"desc"``.
            context: The request's context.
        """

    @abstractmethod
    async def save_attachment(self, attachment: Attachment, context: TContext) -> None:
        """Saves a new or changed attachment."""

    @abstractmethod
    async def load_attachment(self, attachment_id: str, context: TContext) -> Attachment:
        """Returns the attachment.

        Raises:
            NotFoundError: There is none with that id for this owner.
        """

    @abstractmethod
    async def delete_attachment(self, attachment_id: str, context: TContext) -> None:
        """Deletes the attachment's record."""

    @abstractmethod
    async def load_threads(
        self, limit: int, after: str | None, order: str, context: TContext
    ) -> Page[ThreadMetadata]:
        """Returns a page of the owner's threads; parameters as in ``load_thread_items``."""

    @abstractmethod
    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        """Adds a new item behind all others of the thread."""

    @abstractmethod
    async def save_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        """Saves an item under its id, in its place; adds it if there is none."""

    @abstractmethod
    async def load_item(self, thread_id: str, item_id: str, context: TContext) -> ThreadItem:
        """Returns the item.

        Raises:
            NotFoundError: The thread has none with that id for this owner.
        """

    @abstractmethod
    async def delete_thread(self, thread_id: str, context: TContext) -> None:
        """Deletes the thread with all its items."""

    @abstractmethod
    async def delete_thread_item(self, thread_id: str, item_id: str, context: TContext) -> None:
        """Deletes one item; one that does not exist is no error."""

    # Optional methods: working defaults over those above.

    async def put_thread_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        """Saves an item that may be stored already: in its place if it is, else behind all others."""
        if await find_item(self, thread_id, item.id, context) is None:
            await self.add_thread_item(thread_id, item, context)
        else:
            await self.save_item(thread_id, item, context)

    async def save_thread_fields(
        self, thread_id: str, changed: Mapping[str, Any], context: TContext
    ) -> ThreadMetadata:
        """Saves single fields over the thread as it is stored now; adapters do it atomically.

        So what several workers change on one thread at once all counts, unless it is the same field.

        Args:
            thread_id: The thread.
            changed: Valid values of fields of ``ThreadMetadata``, by name.
            context: The request's context.

        Returns:
            The thread as it is now.

        Raises:
            NotFoundError: There is none with that id for this owner.
        """
        stored = plain_metadata(await self.load_thread(thread_id, context))
        updated = stored.model_copy(update=dict(changed))
        await self.save_thread(updated, context)
        return updated

    async def save_item_if_unchanged(
        self, thread_id: str, before: ThreadItem, after: ThreadItem, context: TContext
    ) -> None:
        """Saves an item in the place of what was loaded before, if that is still what is stored.

        Adapters do it atomically: of several workers that answer the same question at once, one succeeds.

        Args:
            thread_id: The thread.
            before: The item as it was loaded.
            after: The item as it is to be, under the same id.
            context: The request's context.

        Raises:
            ConflictError: The stored item is another one by now; nothing was written.
            NotFoundError: The thread has no such item any more.
        """
        if await self.load_item(thread_id, before.id, context) != before:
            raise ConflictError(f"Item {before.id!r} of thread {thread_id!r} was changed meanwhile.")
        await self.save_item(thread_id, after, context)

    async def delete_items_after(self, thread_id: str, item_id: str, context: TContext) -> None:
        """Deletes all items behind the given one, newest first; adapters do it atomically.

        Raises:
            NotFoundError: The thread has no such item.
        """
        doomed: list[str] = []
        after: str | None = None
        while True:
            page = await self.load_thread_items(thread_id, after, 100, "desc", context)
            for item in page.data:
                if item.id == item_id:
                    for doomed_id in doomed:
                        await self.delete_thread_item(thread_id, doomed_id, context)
                    return
                doomed.append(item.id)
            if not page.has_more or page.after is None or page.after == after:
                raise NotFoundError(f"Thread {thread_id} has no item {item_id}.")
            after = page.after

    async def attachment_ids(self, thread_id: str, context: TContext) -> list[str]:
        """Returns the ids of the attachments that are the thread's, each once; for deleting their files with it.

        Raises:
            NotFoundError: There is no such thread for this owner.
        """
        found: dict[str, None] = {}
        after: str | None = None
        while True:
            page = await self.load_thread_items(thread_id, after, 100, "asc", context)
            for item in page.data:
                if isinstance(item, UserMessageItem):
                    found |= dict.fromkeys(attachment.id for attachment in item.attachments)
            if not page.has_more or page.after is None or page.after == after:
                return list(found)
            after = page.after

    @property
    def deletes_files(self) -> bool:
        """Whether ``delete_thread`` deletes the files of the thread's attachments too."""
        return False

    def owner(self, context: TContext) -> str | None:
        """Returns the owner of a context, or None if this store knows no owners."""
        return None

    @property
    def knows_owners(self) -> bool:
        """Whether the store separates owners, and takes an ``OwnerContext`` for work without a request."""
        return getattr(type(self), "owner") is not getattr(Store, "owner")  # noqa: B009

    @property
    def upserts(self) -> bool:
        """Whether ``put_thread_item`` is one operation of the store, not the default over two others."""
        return getattr(type(self), "put_thread_item") is not getattr(Store, "put_thread_item")  # noqa: B009

    async def begin_turn(self, thread_id: str, turn_id: str, context: TContext) -> int:
        """Registers a turn, or takes it over, and returns its fencing token; 0 if the store does not fence."""
        return 0

    async def end_turn(self, turn_id: str, token: int, context: TContext) -> None:
        """Forgets a turn; nothing to do where the store does not fence."""

    async def complete_turn(self, turn_id: str, token: int, context: TContext) -> None:
        """Forgets a turn that has stored all that it was to store, and remembers that for a day.

        The default, where the store cannot remember it, is ``end_turn``.
        """
        await self.end_turn(turn_id, token, context)

    async def has_completed(self, turn_id: str, context: TContext) -> bool:
        """Whether ``complete_turn`` was called for a turn, and ``begin_turn`` not again; False by default."""
        return False

    def stream_log(self) -> StreamLog | None:
        """Returns the log that suits this store, or None for the one in memory. Called once per server."""
        return None

    async def check(self) -> None:
        """Raises if the store cannot serve; a readiness probe calls it."""

    def stop_waiting(self) -> bool:
        """Makes calls fail that others hold up, now and until ``close``, instead of waiting: the process is to end.

        Returns:
            Whether the store can do so.
        """
        return False

    async def close(self) -> None:
        """Releases connections and threads; the store opens them again when it is used."""
