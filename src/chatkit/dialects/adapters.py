"""Full stores for what an application gave, of whichever dialect it is."""

from __future__ import annotations

from typing import Any, Final, TypeVar, cast
from weakref import WeakValueDictionary

from chatkit.dialects.openai_chatkit.files import adapt_attachment_store
from chatkit.dialects.openai_chatkit.store import OpenAIStoreAdapter, has_full_methods, is_own_store
from chatkit.dialects.reference.files import AttachmentIdFactory, FileStoreAdapter
from chatkit.dialects.reference.owners import ThreadOwner
from chatkit.dialects.reference.store import StoreAdapter
from chatkit.errors import ConfigurationError
from chatkit.files.base import AttachmentStore
from chatkit.limits import DEFAULT_LIMITS
from chatkit.store.base import Store
from chatkit.types import FileStore
from chatkit.types import Store as SimpleStore

__all__ = ["adapt_files", "adapt_store", "adapt_stores"]

TContext = TypeVar("TContext")

_STORE_METHODS: Final = sorted(SimpleStore.__abstractmethods__)
_FILE_STORE_METHODS: Final = ("get_upload_url", "get_preview_url", "delete")

# The newest adapter of each store, as long as it is used: adapters hold their store, so no other one has its id.
_ADAPTERS: WeakValueDictionary[int, StoreAdapter[Any]] = WeakValueDictionary()


def adapt_stores(
    store: Store[Any] | SimpleStore,
    files: AttachmentStore[Any] | FileStore | None,
    thread_owner: ThreadOwner,
    scanned_threads: int,
) -> tuple[Store[Any], AttachmentStore[Any] | None]:
    """Returns full stores for what an application gave to a server; full ones are returned as they are.

    The parameters are those of ``adapt_store`` and ``adapt_files``.
    """
    files = adapt_attachment_store(files)
    adapted = adapt_store(store, files=files, thread_owner=thread_owner, scanned_threads=scanned_threads)
    return adapted, adapt_files(files, store=adapted)


def adapt_files(
    files: AttachmentStore[TContext] | FileStore | None,
    *,
    store: object | None = None,
    id_factory: AttachmentIdFactory | None = None,
) -> AttachmentStore[TContext] | None:
    """Returns an attachment store for what an application gave; one of this package is returned as it is.

    Args:
        files: An attachment store, a file store whose methods may be sync or async, or None.
        store: The store that the attachments are for; its ``attachment_id_factory``, if it has one, makes the ids.
        id_factory: Makes the ids instead.

    Raises:
        ConfigurationError: The object is neither of the two.
    """
    files = cast("AttachmentStore[TContext] | FileStore | None", adapt_attachment_store(files))
    if files is None or isinstance(files, AttachmentStore):
        return files
    missing = [name for name in _FILE_STORE_METHODS if not callable(getattr(files, name, None))]
    if missing:
        raise ConfigurationError(
            f"{type(files).__name__} is no file store, it lacks {', '.join(missing)}. Derive it from "
            "chatkit.types.FileStore or from chatkit.files.AttachmentStore."
        )
    factory = id_factory or getattr(store, "attachment_id_factory", None)
    return FileStoreAdapter(files, factory)


def adapt_store(
    store: Store[TContext] | SimpleStore,
    *,
    files: AttachmentStore[TContext] | FileStore | None = None,
    thread_owner: ThreadOwner | None = None,
    scanned_threads: int = DEFAULT_LIMITS.scanned_threads,
) -> Store[TContext]:
    """Returns a full store for what an application gave; one of this package is returned as it is.

    Args:
        store: A full store, by its class or by its methods, or one with the reference's ten methods, sync or async.
        files: Where attachments are kept, for the previews and for deleting files with their thread.
        thread_owner: Returns the owner of a thread that says nothing of it. The server gives it; without it, the
            adapter is the one that the server has made of the same store, if there is one.
        scanned_threads: How many threads of a ten-method store are read for a page, at most.

    Raises:
        ConfigurationError: The object is neither of the two.
    """
    given = cast("object", store)
    if isinstance(given, OpenAIStoreAdapter | StoreAdapter) or is_own_store(given):
        return cast("Store[TContext]", given)
    if isinstance(given, Store) or (not isinstance(given, SimpleStore) and has_full_methods(given)):
        return OpenAIStoreAdapter(given)
    missing = [name for name in _STORE_METHODS if not callable(getattr(store, name, None))]
    if missing:
        raise ConfigurationError(
            f"{type(store).__name__} is no store, it lacks {', '.join(missing)}. Derive it from "
            "chatkit.types.Store or from chatkit.store.Store."
        )
    known = _ADAPTERS.get(id(given))
    if known is not None and thread_owner is None:
        return known
    adapter = StoreAdapter[TContext](
        cast("SimpleStore", given), files, None if known is None else known.owners, scanned_threads
    )
    adapter.owners.thread_owner = thread_owner
    _ADAPTERS[id(given)] = adapter
    return adapter
