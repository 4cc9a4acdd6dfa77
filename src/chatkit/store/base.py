"""The port of stores for threads, items and records of attachments.

The abstract methods are those of ``openai-chatkit`` 1.6.5. The others have defaults, which good adapters override.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, TypeVar

from chatkit.errors import ConflictError, UnsupportedOperationError
from chatkit.ids import new_id
from chatkit.store.lookups import (
    WALK_PAGE,
    MissingMethodError,
    find_item,
    newer_ids,
    plain_metadata,
    walk_items,
)
from chatkit.store.owners import OwnedThread, OwnerContext, OwnerOf, owner_from_context, usual_owner
from chatkit.types import Attachment, Page, ThreadItem, ThreadMetadata, UserMessageItem

if TYPE_CHECKING:
    from chatkit.counters import Counter
    from chatkit.streams.base import StreamLog

__all__ = [
    "COMPLETION_RETENTION",
    "WALK_PAGE",
    "Fence",
    "MissingMethodError",
    "OwnedThread",
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
    "walk_items",
]

TContext = TypeVar("TContext")

COMPLETION_RETENTION: Final = 24 * 3600
"""Seconds for which a store remembers that a turn completed: as long as logs remember idempotency keys."""

StoreItemType: TypeAlias = Literal[
    "thread", "message", "tool_call", "task", "workflow", "attachment", "sdk_hidden_context"
]


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


current_fence: ContextVar[Fence | None] = ContextVar("chatkit_fence", default=None)
"""The fence of the turn that the running code belongs to; stores check it in the transaction of each write."""


def default_generate_id(item_type: StoreItemType) -> str:
    """Returns a fresh id with the usual prefix of the kind."""
    return new_id(item_type)


class Store(ABC, Generic[TContext]):
    """Keeps threads, items and attachments.

    ``context`` is what the application gave to ``process()``; a store reads the tenant from it. Methods that load
    raise :class:`chatkit.errors.NotFoundError` for what does not exist or belongs to another owner.
    """

    def generate_thread_id(self, context: TContext) -> str:
        """Returns an id for a new thread."""
        return default_generate_id("thread")

    def generate_item_id(self, item_type: StoreItemType, thread: ThreadMetadata, context: TContext) -> str:
        """Returns an id for a new item or attachment.

        Args:
            item_type: What the id is for; it becomes the prefix.
            thread: The thread that the item is for.
            context: The request's context.
        """
        return default_generate_id(item_type)

    @abstractmethod
    async def load_thread(self, thread_id: str, context: TContext) -> ThreadMetadata:
        """Returns the thread.

        Args:
            thread_id: The thread.
            context: The request's context.

        Raises:
            NotFoundError: There is none with that id for this owner.
        """

    @abstractmethod
    async def save_thread(self, thread: ThreadMetadata, context: TContext) -> None:
        """Saves a new or changed thread.

        Args:
            thread: The thread, with all its fields.
            context: The request's context.
        """

    @abstractmethod
    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: TContext
    ) -> Page[ThreadItem]:
        """Returns a page of the thread's items.

        Args:
            thread_id: The thread.
            after: Cursor: id of the item after which the page begins, in the asked order; None begins at the end.
            limit: Size of the page.
            order: ``"asc"`` (oldest first) or ``"desc"``.
            context: The request's context.
        """

    @abstractmethod
    async def save_attachment(self, attachment: Attachment, context: TContext) -> None:
        """Saves a new or changed attachment.

        Args:
            attachment: The record, with all its fields.
            context: The request's context.
        """

    @abstractmethod
    async def load_attachment(self, attachment_id: str, context: TContext) -> Attachment:
        """Returns the attachment.

        Args:
            attachment_id: The attachment.
            context: The request's context.

        Raises:
            NotFoundError: There is none with that id for this owner.
        """

    @abstractmethod
    async def delete_attachment(self, attachment_id: str, context: TContext) -> None:
        """Deletes the attachment's record.

        Args:
            attachment_id: The attachment; one that does not exist is no error.
            context: The request's context.
        """

    @abstractmethod
    async def load_threads(
        self, limit: int, after: str | None, order: str, context: TContext
    ) -> Page[ThreadMetadata]:
        """Returns a page of the owner's threads.

        Args:
            limit: Size of the page.
            after: Cursor: id of the thread after which the page begins, in the asked order; None begins at
                the end.
            order: ``"asc"`` (oldest first) or ``"desc"``.
            context: The request's context.
        """

    @abstractmethod
    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        """Adds a new item after all others of the thread.

        Args:
            thread_id: The thread.
            item: The item.
            context: The request's context.

        Raises:
            ConflictError: The thread has an item with that id, if the store looks.
        """

    @abstractmethod
    async def save_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        """Saves an item under its id, in its place; adds it if there is none.

        Args:
            thread_id: The thread.
            item: The item in its new state.
            context: The request's context.
        """

    @abstractmethod
    async def load_item(self, thread_id: str, item_id: str, context: TContext) -> ThreadItem:
        """Returns the item.

        Args:
            thread_id: The thread.
            item_id: The item.
            context: The request's context.

        Raises:
            NotFoundError: The thread has none with that id for this owner.
        """

    @abstractmethod
    async def delete_thread(self, thread_id: str, context: TContext) -> None:
        """Deletes the thread with all its items.

        Args:
            thread_id: The thread.
            context: The request's context.
        """

    @abstractmethod
    async def delete_thread_item(self, thread_id: str, item_id: str, context: TContext) -> None:
        """Deletes one item; one that does not exist is no error.

        Args:
            thread_id: The thread.
            item_id: The item.
            context: The request's context.
        """

    # Optional methods: working defaults over those above.

    async def put_thread_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        """Saves an item that may be stored already: in its place if it is, else after all others.

        Args:
            thread_id: The thread.
            item: The item in its new state.
            context: The request's context.
        """
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
        """Deletes all items after the given one, newest first; adapters do it atomically.

        Args:
            thread_id: The thread.
            item_id: The newest item that stays.
            context: The request's context.

        Raises:
            NotFoundError: The thread has no such item.
        """
        for newer_id in await newer_ids(walk_items(self, thread_id, "desc", context), thread_id, item_id):
            await self.delete_thread_item(thread_id, newer_id, context)

    async def attachment_ids(self, thread_id: str, context: TContext) -> list[str]:
        """Returns the ids of the attachments that are the thread's, each once; for deleting their files with it.

        Args:
            thread_id: The thread.
            context: The request's context.

        Raises:
            NotFoundError: There is no such thread for this owner.
        """
        found: dict[str, None] = {}
        async for item in walk_items(self, thread_id, "asc", context):
            if isinstance(item, UserMessageItem):
                found |= dict.fromkeys(attachment.id for attachment in item.attachments)
        return list(found)

    async def sweep_attachments(self, seconds: float) -> int:
        """Deletes the records of all owners' attachments that no message has come for in time.

        The default, where the store does not know when they were made, deletes none.

        Args:
            seconds: How old they are at least.

        Returns:
            How many there were.
        """
        return 0

    async def unclaimed_attachments(self, seconds: float) -> list[tuple[str, str]]:
        """Returns the attachments whose records ``sweep_attachments`` would delete, as owners and ids.

        What a message that failed has left of them is taken back before. The default returns none.

        Args:
            seconds: How old they are at least.
        """
        return []

    async def survey_threads(
        self, prefix: str, limit: int, after: OwnedThread | None, order: str, *, thread_id: str | None = None
    ) -> list[OwnedThread]:
        """Returns threads of all owners whose names begin with a text, by the time they were made and their ids.

        It is for an operator's work, no request of a user: it takes no context. Optional, and absent by default.

        Args:
            prefix: The text, which ends with an ASCII character.
            limit: How many at most.
            after: The thread after which they begin, in the asked order; None begins at the end.
            order: ``"asc"`` (oldest first) or ``"desc"``.
            thread_id: Only those with this id; None for all.

        Raises:
            UnsupportedOperationError: The store cannot do so.
        """
        raise UnsupportedOperationError(f"{type(self).__name__} cannot list the threads of all owners.")

    @property
    def deletes_files(self) -> bool:
        """Whether ``delete_thread`` deletes the files of the thread's attachments too."""
        return False

    def owner(self, context: TContext) -> str | None:
        """Returns the owner of a context, or None if this store knows no owners.

        Raises:
            ConfigurationError: The store knows owners, and the context names none.
        """
        return None

    @property
    def knows_owners(self) -> bool:
        """Whether the store separates owners, and takes an ``OwnerContext`` for work without a request."""
        return getattr(type(self), "owner") is not getattr(Store, "owner")  # noqa: B009

    @property
    def upserts(self) -> bool:
        """Whether ``put_thread_item`` is one operation of the store, not the default over two others."""
        return getattr(type(self), "put_thread_item") is not getattr(Store, "put_thread_item")  # noqa: B009

    async def admit(self, context: TContext) -> None:
        """Raises if requests with this context are not served, before anything else is asked of the store."""

    async def begin_turn(self, thread_id: str, turn_id: str, context: TContext) -> int:
        """Registers a turn, or takes it over, and returns its fencing token; 0 if the store does not fence.

        Args:
            thread_id: The thread of the turn.
            turn_id: The turn.
            context: The request's context.
        """
        return 0

    async def end_turn(self, turn_id: str, token: int, context: TContext) -> None:
        """Forgets a turn; nothing to do where the store does not fence.

        Args:
            turn_id: The turn.
            token: What ``begin_turn`` returned.
            context: The request's context.
        """

    async def complete_turn(self, turn_id: str, token: int, context: TContext) -> None:
        """Forgets a turn that has stored all that it was to store, and remembers that for a day.

        The default, where the store cannot remember it, is ``end_turn``.

        Args:
            turn_id: The turn.
            token: What ``begin_turn`` returned.
            context: The request's context.
        """
        await self.end_turn(turn_id, token, context)

    async def has_completed(self, turn_id: str, context: TContext) -> bool:
        """Returns whether ``complete_turn`` was called for a turn, and ``begin_turn`` not again; False by default.

        Args:
            turn_id: The turn.
            context: The request's context.
        """
        return False

    def stream_log(self) -> StreamLog | None:
        """Returns the log that suits this store, or None for the one in memory. Called once per server."""

    def quota_counter(self) -> Counter | None:
        """Returns a counter in the same database, or None for one in memory. Called once per server with quotas."""

    async def check(self) -> None:
        """Raises if the store cannot serve; a readiness probe calls it."""

    def stop_waiting(self) -> bool:
        """Makes calls fail that others hold up, until ``close``: the process is to end. Returns whether it can."""
        return False

    async def close(self) -> None:
        """Releases connections and threads; the store opens them again when it is used."""
