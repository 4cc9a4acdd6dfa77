"""The adapter of the reference's ten-method store, :class:`chatkit.types.Store`, to the store port."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar, cast

from chatkit._secrets import accepted_secrets, signing_secret
from chatkit._tasks import maybe_await
from chatkit.dialects.reference.files import make_attachment
from chatkit.dialects.reference.owners import StoreOwners
from chatkit.dialects.reference.row_ids import has_tag, item_id_of_row
from chatkit.dialects.signed_ids import FileDescription, generate_signed_id, parse_signed_id
from chatkit.errors import ConfigurationError, NotFoundError
from chatkit.ids import utc_now
from chatkit.limits import DEFAULT_LIMITS
from chatkit.store._records import page_of, validate_page_request
from chatkit.store.base import Store, usual_owner
from chatkit.types import (
    Attachment,
    AttachmentCreateParams,
    FileStore,
    Page,
    Thread,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
)
from chatkit.types import Store as SimpleStore

if TYPE_CHECKING:
    from chatkit.files.base import AttachmentStore

__all__ = ["StoreAdapter"]

TContext = TypeVar("TContext")

_FIRST_FETCH: Final = 50
_GROWTH: Final = 4


class _Identified(Protocol):
    id: str


TIdentified = TypeVar("TIdentified", bound=_Identified)


class StoreAdapter(Store[TContext], Generic[TContext]):
    """A full store over a ten-method one.

    Owners are kept apart by the ids of their threads, which have a tag that only the owner's requests fit, see
    :mod:`chatkit.dialects.reference.row_ids`. Threads without a tag are those of an application whose contexts name no
    owner, and of owners that ``thread_owner`` names. Attachments have no place in the ten-method store: their ids
    describe them, signed with the environment's ``CHATKIT_SECRET``.

    Args:
        store: The ten-method store, which is not changed.
        files: Where attachments are kept.
        owners: Those of another adapter of the same store.
        scanned_threads: How many threads are read for a page, at most.

    Attributes:
        owners: Whom it serves, and whose its threads are.
    """

    def __init__(
        self,
        store: SimpleStore,
        files: AttachmentStore[TContext] | FileStore | None = None,
        owners: StoreOwners | None = None,
        scanned_threads: int = DEFAULT_LIMITS.scanned_threads,
    ) -> None:
        self.store = store
        self.owners = owners or StoreOwners(type(store).__name__)
        self._files = files
        self._scanned_threads = scanned_threads

    # Owners.

    def owner(self, context: TContext) -> str | None:
        return usual_owner(context) or None

    async def admit(self, context: TContext) -> None:
        await self.owners.admit(context, lambda: self._rows_of_all(self._scanned_threads))

    def generate_thread_id(self, context: TContext) -> str:
        owner = self.owner(context)
        return (
            super().generate_thread_id(context) if owner is None else self.owners.tags(owner).new_thread_id()
        )

    # Threads.

    async def load_thread(self, thread_id: str, context: TContext) -> ThreadMetadata:
        return self._outside(await self._row(thread_id, context), context)

    async def _row(self, thread_id: str, context: TContext) -> ThreadMetadata:
        row = await self._find_row(thread_id, self.owner(context))
        if row is None:
            raise NotFoundError(f"There is no thread {thread_id!r}.")
        return row

    async def _find_row(self, thread_id: str, owner: str | None) -> ThreadMetadata | None:
        for row_id in self.owners.row_ids(thread_id, owner):
            row = await maybe_await(self.store.load_thread(row_id))
            if row is not None and await self.owners.owns(row, owner):
                return row
        return None

    def _outside(self, row: ThreadMetadata, context: TContext) -> ThreadMetadata:
        """Returns the thread of a row, under the id by which requests know it."""
        owner = self.owner(context)
        if owner is None or not has_tag(row.id):
            return row
        thread_id = self.owners.tags(owner).thread_id(row.id)
        return row if thread_id == row.id else row.model_copy(update={"id": thread_id})

    async def save_thread(self, thread: ThreadMetadata, context: TContext) -> None:
        fields: dict[str, Any] = {
            "id": await self._row_id_to_save(thread.id, context),
            "updated_at": utc_now(),
        }
        if isinstance(thread, Thread):
            fields = {name: getattr(thread, name) for name in ThreadMetadata.model_fields} | fields
            saved = ThreadMetadata.model_construct(**fields)
        else:
            saved = thread.model_copy(update=fields)
        await maybe_await(self.store.save_thread(saved))

    async def _row_id_to_save(self, thread_id: str, context: TContext) -> str:
        owner = self.owner(context)
        likeliest, *others = self.owners.row_ids(thread_id, owner) or [None]
        if likeliest is None:
            raise NotFoundError(f"There is no thread {thread_id!r}.")
        row = await self._find_row(thread_id, owner) if others else None
        return likeliest if row is None else row.id

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: TContext
    ) -> Page[ThreadMetadata]:
        """Returns a page of the owner's threads.

        The ten-method store says nothing of their order: a list that begins with the thread updated or created
        last is taken as newest first, one that begins with the older one as oldest first. As it says nothing of
        owners either, the list is read on until the page is full, or ``Limits.scanned_threads`` have been read.

        Raises:
            NotFoundError: The owner has no thread ``after``.
            ConfigurationError: There are more threads than may be read, and the page may have others.
        """
        validate_page_request(limit, order)
        if after is not None and not self.owners.row_ids(after, self.owner(context)):
            raise _no_cursor(after)
        fetched = max(_FIRST_FETCH, limit + 1)
        while True:
            fetched = min(fetched, self._scanned_threads)
            rows = await self._rows_of_all(fetched)
            # Fewer than asked for are all there are; more are those of a store that knows no limit.
            complete = len(rows) != fetched
            oldest_first = _is_oldest_first(rows)
            newest_wanted = order == "desc" and not oldest_first
            if not complete and fetched == self._scanned_threads:
                if not newest_wanted:
                    raise self._too_long(order)
                self.owners.warn_of_long_list(fetched)
                complete = True
            if complete or newest_wanted:
                threads = await self._own_threads(rows, context)
                if complete:
                    backwards = oldest_first == (order == "desc")
                    return _page(threads[::-1] if backwards else threads, limit, after)
                found = next((place for place, thread in enumerate(threads) if thread.id == after), -1)
                if (after is None or found >= 0) and found + 1 + limit < len(threads):
                    return _page(threads, limit, after)
            fetched *= _GROWTH

    async def _rows_of_all(self, limit: int) -> list[ThreadMetadata]:
        return list(await maybe_await(self.store.load_threads(limit)))

    async def _own_threads(self, rows: list[ThreadMetadata], context: TContext) -> list[ThreadMetadata]:
        owner = self.owner(context)
        own = await self.owners.select(rows, owner)
        if owner is None and len(own) < len(rows):
            raise self.owners.no_owner(context)
        return [self._outside(row, context) for row in own]

    def _too_long(self, order: str) -> ConfigurationError:
        return ConfigurationError(
            f"{type(self.store).__name__}.load_threads() gives more than {self._scanned_threads} threads, so a list "
            f"in the order {order!r} cannot be made: return the newest first, raise Limits(scanned_threads=...), or "
            "derive the store from chatkit.store.Store."
        )

    async def delete_thread(self, thread_id: str, context: TContext) -> None:
        """Deletes the thread with its items, and the files that its messages name."""
        row = await self._row(thread_id, context)
        # The files first: where one cannot be deleted, the thread stays and can be deleted again.
        for item in await self._item_rows(row):
            if isinstance(item, UserMessageItem):
                for attachment in item.attachments:
                    await self._delete_file(attachment.id, context)
        await maybe_await(self.store.delete_thread(row.id))

    @property
    def deletes_files(self) -> bool:
        return True

    # Items.

    async def _item_rows(self, row: ThreadMetadata) -> list[ThreadItem]:
        return list(await maybe_await(self.store.load_thread_items(row.id)))

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: TContext
    ) -> Page[ThreadItem]:
        validate_page_request(limit, order)
        row = await self._row(thread_id, context)
        items = [_item_of_row(row.id, thread_id, item) for item in await self._item_rows(row)]
        return _page(items[::-1] if order == "desc" else items, limit, after)

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        await self._add_item(thread_id, await self._row(thread_id, context), item)

    async def _add_item(self, thread_id: str, row: ThreadMetadata, item: ThreadItem) -> None:
        item_row_id = self.owners.new_item_row_id(row.id, item.id)
        await maybe_await(
            self.store.add_thread_item(row.id, _row_of_item(item_row_id, row.id, thread_id, item))
        )

    async def save_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        row = await self._row(thread_id, context)
        stored = await self._find_item_row(row, item.id)
        if stored is None:
            await self._add_item(thread_id, row, item)
        else:
            await maybe_await(self.store.save_item(row.id, _row_of_item(stored.id, row.id, thread_id, item)))

    async def load_item(self, thread_id: str, item_id: str, context: TContext) -> ThreadItem:
        row = await self._row(thread_id, context)
        stored = await self._find_item_row(row, item_id)
        if stored is None:
            raise NotFoundError(f"Thread {thread_id!r} has no item {item_id!r}.")
        return _item_of_row(row.id, thread_id, stored)

    async def _find_item_row(self, row: ThreadMetadata, item_id: str) -> ThreadItem | None:
        for item_row_id in self.owners.item_row_ids(row.id, item_id):
            item = await maybe_await(self.store.load_item(row.id, item_row_id))
            if item is not None and await self._is_of_thread(item, row):
                return item
        return None

    async def _is_of_thread(self, item: ThreadItem, row: ThreadMetadata) -> bool:
        # Ids of items are the tables' keys, so stores look for them alone, in the items of all threads.
        if item.thread_id == row.id:
            return True
        return any(other.id == item.id for other in await self._item_rows(row))

    async def delete_thread_item(self, thread_id: str, item_id: str, context: TContext) -> None:
        row = await self._row(thread_id, context)
        stored = await self._find_item_row(row, item_id)
        if stored is not None:
            await maybe_await(self.store.delete_thread_item(row.id, stored.id))

    async def delete_items_after(self, thread_id: str, item_id: str, context: TContext) -> None:
        row = await self._row(thread_id, context)
        row_ids = [item.id for item in await self._item_rows(row)]
        ids = [item_id_of_row(row.id, row_id) for row_id in row_ids]
        for doomed in reversed(row_ids[_position(ids, item_id) + 1 :]):
            await maybe_await(self.store.delete_thread_item(row.id, doomed))

    # Attachments.

    def attachment_id_factory(self, input: AttachmentCreateParams, context: TContext) -> str:
        """Returns an id that describes the file that a client announces."""
        description = FileDescription(name=input.name, mime_type=input.mime_type, size=input.size)
        return generate_signed_id(description, self.owner(context) or "", secret=signing_secret())

    async def save_attachment(self, attachment: Attachment, context: TContext) -> None:
        """Checks that the id describes the attachment, which needs no saving.

        Raises:
            ConfigurationError: The id is not one of ``attachment_id_factory``.
        """
        if self._describe(attachment.id, context) is None:
            raise ConfigurationError(
                f"{type(self.store).__name__} has no place for attachments. Give the server a file store of the kind "
                "chatkit.types.FileStore, or derive the store from chatkit.store.Store."
            )

    async def load_attachment(self, attachment_id: str, context: TContext) -> Attachment:
        description = self._describe(attachment_id, context)
        if description is None:
            raise NotFoundError(f"There is no attachment {attachment_id!r}.")
        files = self._files if hasattr(self._files, "get_preview_url") else None
        return await make_attachment(
            cast("FileStore | None", files), attachment_id, description.name, description.mime_type
        )

    async def delete_attachment(self, attachment_id: str, context: TContext) -> None:
        """Does nothing: there is no record."""

    def _describe(self, attachment_id: str, context: TContext) -> FileDescription | None:
        owner = self.owner(context) or ""
        found = (parse_signed_id(attachment_id, owner, secret=secret) for secret in accepted_secrets())
        return next((description for description in found if description is not None), None)

    async def _delete_file(self, file_id: str, context: TContext) -> None:
        files: Any = self._files
        if files is None:
            return
        if hasattr(files, "delete_attachment"):
            await maybe_await(files.delete_attachment(file_id, context))
        else:
            await maybe_await(files.delete(file_id))

    # The rest.

    async def check(self) -> None:
        await maybe_await(self.store.load_threads(1))


def _is_oldest_first(threads: Sequence[ThreadMetadata]) -> bool:
    if len(threads) < 2:
        return False
    updates = [thread.updated_at for thread in threads if thread.updated_at is not None]
    if (
        len(updates) == len(threads)
        and updates[0] > updates[-1]
        and all(earlier >= later for earlier, later in pairwise(updates))
    ):
        # Sorted by the last change, as histories often are, whatever the threads' age.
        return False
    return threads[0].created_at < threads[-1].created_at


def _position(ids: Sequence[str], wanted: str) -> int:
    try:
        return ids.index(wanted)
    except ValueError:
        raise _no_cursor(wanted) from None


def _no_cursor(wanted: str) -> NotFoundError:
    return NotFoundError(f"There is no {wanted!r} to continue after.")


def _row_of_item(item_row_id: str, thread_row: str, thread_id: str, item: ThreadItem) -> ThreadItem:
    """Returns the item as its row has it: under the row's id, and in the row of its thread."""
    thread_of_row = thread_row if item.thread_id == thread_id else item.thread_id
    if (item.id, item.thread_id) == (item_row_id, thread_of_row):
        return item
    return item.model_copy(update={"id": item_row_id, "thread_id": thread_of_row})


def _item_of_row(thread_row: str, thread_id: str, item: ThreadItem) -> ThreadItem:
    """Returns the item of a row, under the ids by which requests know it and its thread."""
    item_id = item_id_of_row(thread_row, item.id)
    outside = thread_id if item.thread_id == thread_row else item.thread_id
    if (item.id, item.thread_id) == (item_id, outside):
        return item
    return item.model_copy(update={"id": item_id, "thread_id": outside})


def _page(entries: Sequence[TIdentified], limit: int, after: str | None) -> Page[TIdentified]:
    start = 0 if after is None else _position([entry.id for entry in entries], after) + 1
    return page_of(entries[start : start + limit + 1], limit, after)
