"""The lift of the reference's ten-method store, :class:`chatkit.types.Store`, to the store port."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar, cast

from chatkit._lifts import make_attachment, settled
from chatkit._signed_ids import FileDescription, generate_signed_id, parse_signed_id, signing_secret
from chatkit.errors import ConfigurationError, InvalidRequestError, NotFoundError
from chatkit.ids import utc_now
from chatkit.store.adopted import AdoptedStore, has_full_methods
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

__all__ = ["LiftedStore", "lift_store"]

TContext = TypeVar("TContext")

_METHODS: Final = sorted(SimpleStore.__abstractmethods__)
_FIRST_FETCH: Final = 50
_GROWTH: Final = 4


class _Identified(Protocol):
    id: str


TIdentified = TypeVar("TIdentified", bound=_Identified)


def lift_store(
    store: Store[TContext] | SimpleStore, *, files: AttachmentStore[TContext] | FileStore | None = None
) -> Store[TContext]:
    """Returns a full store for what an application gave; a full one is returned as it is.

    Args:
        store: A full store, by its class or by its methods, or one with the reference's ten methods, sync or async.
        files: Where attachments are kept, for the previews and for deleting files with their thread.

    Raises:
        ConfigurationError: The object is neither of the two.
    """
    given = cast("object", store)
    # A mock with this class as its spec passes for one; what it answers to optional methods means nothing.
    if isinstance(store, Store) and isinstance(cast("object", store.upserts), bool):
        return store
    if not isinstance(given, SimpleStore) and has_full_methods(given):
        return AdoptedStore(given)
    missing = [name for name in _METHODS if not callable(getattr(store, name, None))]
    if missing:
        raise ConfigurationError(
            f"{type(store).__name__} is no store, it lacks {', '.join(missing)}. Derive it from "
            "chatkit.types.Store or from chatkit.store.Store."
        )
    return LiftedStore(cast("SimpleStore", given), files)


class LiftedStore(Store[TContext], Generic[TContext]):
    """A full store over a ten-method one.

    It knows no owners: the application's store keeps tenants apart, if there are several. It has no place for
    attachments either: their ids describe them, signed with the environment's ``CHATKIT_SECRET``, and are good for
    the ``user_id`` of the context that they were made for.

    Args:
        store: The ten-method store, which is not changed.
        files: Where attachments are kept.

    Attributes:
        store: The ten-method store.
    """

    def __init__(
        self, store: SimpleStore, files: AttachmentStore[TContext] | FileStore | None = None
    ) -> None:
        self.store = store
        self._files = files

    # Threads.

    async def load_thread(self, thread_id: str, context: TContext) -> ThreadMetadata:
        thread = await settled(self.store.load_thread(thread_id))
        if thread is None:
            raise NotFoundError(f"There is no thread {thread_id!r}.")
        return thread

    async def save_thread(self, thread: ThreadMetadata, context: TContext) -> None:
        fields: dict[str, Any] = {"updated_at": utc_now()}
        if isinstance(thread, Thread):
            fields = {name: getattr(thread, name) for name in ThreadMetadata.model_fields} | fields
            saved = ThreadMetadata.model_construct(**fields)
        else:
            saved = thread.model_copy(update=fields)
        await settled(self.store.save_thread(saved))

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: TContext
    ) -> Page[ThreadMetadata]:
        """Returns a page of the threads.

        The ten-method store says nothing of their order: a list that begins with the thread updated or created
        last is taken as newest first, one that begins with the older one as oldest first.
        """
        _check_page_request(limit, order)
        fetched = max(_FIRST_FETCH, limit + 1)
        while True:
            threads = list(await settled(self.store.load_threads(fetched)))
            # Fewer than asked for are all there are; more are those of a store that knows no limit.
            complete = len(threads) != fetched
            oldest_first = _is_oldest_first(threads)
            if complete:
                return _page(threads[::-1] if oldest_first == (order == "desc") else threads, limit, after)
            if order == "desc" and not oldest_first:
                found = next((place for place, thread in enumerate(threads) if thread.id == after), -1)
                if (after is None or found >= 0) and found + 1 + limit < len(threads):
                    return _page(threads, limit, after)
            fetched *= _GROWTH

    async def delete_thread(self, thread_id: str, context: TContext) -> None:
        """Deletes the thread with its items, and the files that its messages name."""
        # The files first: where one cannot be deleted, the thread stays and can be deleted again.
        for item in await self._items(thread_id, context):
            if isinstance(item, UserMessageItem):
                for attachment in item.attachments:
                    await self._delete_file(attachment.id, context)
        await settled(self.store.delete_thread(thread_id))

    @property
    def deletes_files(self) -> bool:
        return True

    # Items.

    async def _items(self, thread_id: str, context: TContext) -> list[ThreadItem]:
        await self.load_thread(thread_id, context)
        return list(await settled(self.store.load_thread_items(thread_id)))

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: TContext
    ) -> Page[ThreadItem]:
        _check_page_request(limit, order)
        items = await self._items(thread_id, context)
        return _page(items[::-1] if order == "desc" else items, limit, after)

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        await self.load_thread(thread_id, context)
        await settled(self.store.add_thread_item(thread_id, item))

    async def save_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        await self.load_thread(thread_id, context)
        if await settled(self.store.load_item(thread_id, item.id)) is None:
            await settled(self.store.add_thread_item(thread_id, item))
        else:
            await settled(self.store.save_item(thread_id, item))

    async def load_item(self, thread_id: str, item_id: str, context: TContext) -> ThreadItem:
        await self.load_thread(thread_id, context)
        item = await settled(self.store.load_item(thread_id, item_id))
        if item is None:
            raise NotFoundError(f"Thread {thread_id!r} has no item {item_id!r}.")
        return item

    async def delete_thread_item(self, thread_id: str, item_id: str, context: TContext) -> None:
        await self.load_thread(thread_id, context)
        await settled(self.store.delete_thread_item(thread_id, item_id))

    async def delete_items_after(self, thread_id: str, item_id: str, context: TContext) -> None:
        """Deletes all items behind the given one, newest first.

        Raises:
            NotFoundError: The thread has no such item; nothing was deleted.
        """
        ids = [item.id for item in await self._items(thread_id, context)]
        for doomed in reversed(ids[_position(ids, item_id) + 1 :]):
            await settled(self.store.delete_thread_item(thread_id, doomed))

    # Attachments.

    def attachment_id_factory(self, input: AttachmentCreateParams, context: TContext) -> str:
        """Returns an id that describes the file that a client announces."""
        description = FileDescription(name=input.name, mime_type=input.mime_type, size=input.size)
        return generate_signed_id(description, usual_owner(context) or "", secret=signing_secret())

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
        return parse_signed_id(attachment_id, usual_owner(context) or "", secret=signing_secret())

    async def _delete_file(self, file_id: str, context: TContext) -> None:
        files: Any = self._files
        if files is None:
            return
        if hasattr(files, "delete_attachment"):
            await settled(files.delete_attachment(file_id, context))
        else:
            await settled(files.delete(file_id))

    # The rest.

    async def check(self) -> None:
        await settled(self.store.load_threads(1))


def _check_page_request(limit: int, order: str) -> None:
    if limit < 0:
        raise InvalidRequestError(f"'limit' must not be negative, it is {limit}.")
    if order not in {"asc", "desc"}:
        raise InvalidRequestError(f"'order' must be 'asc' or 'desc', it is {order!r}.")


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
        raise NotFoundError(f"There is no {wanted!r} to continue behind.") from None


def _page(entries: Sequence[TIdentified], limit: int, after: str | None) -> Page[TIdentified]:
    start = 0 if after is None else _position([entry.id for entry in entries], after) + 1
    data = list(entries[start : start + limit])
    has_more = len(entries) > start + limit
    following = data[-1].id if data else after
    # The store's own models: validating the page would go through all of them again.
    return Page[Any].model_construct(data=data, has_more=has_more, after=following if has_more else None)
