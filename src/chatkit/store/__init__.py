"""Where threads, items and the records of attachments are kept: the port and the stores that come with it.

:class:`Store` is the interface for stores of your own; ``chatkit.testing.StoreContract`` tests them. An
adapter is imported when its name is used, so that this module needs no driver.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from chatkit.errors import NotFoundError
from chatkit.files.base import AttachmentStore
from chatkit.store.base import OwnerContext, Store, StoreItemType, default_generate_id
from chatkit.store.base import TContext as TContext

# They are at home in chatkit.types; applications of openai-chatkit take them from here, too.
from chatkit.types import Attachment as Attachment
from chatkit.types import AttachmentCreateParams as AttachmentCreateParams
from chatkit.types import Page as Page
from chatkit.types import ThreadItem as ThreadItem
from chatkit.types import ThreadMetadata as ThreadMetadata

if TYPE_CHECKING:
    from chatkit.store.memory import MemoryStore
    from chatkit.store.postgres import PostgresStore
    from chatkit.store.sqlite import SQLiteStore

__all__ = [
    "AttachmentStore",
    "MemoryStore",
    "NotFoundError",
    "OwnerContext",
    "PostgresStore",
    "SQLiteStore",
    "Store",
    "StoreItemType",
    "default_generate_id",
]

_ADAPTERS: Final = {
    "MemoryStore": "chatkit.store.memory",
    "PostgresStore": "chatkit.store.postgres",
    "SQLiteStore": "chatkit.store.sqlite",
}


def __getattr__(name: str) -> Any:
    if name not in _ADAPTERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    adapter = getattr(import_module(_ADAPTERS[name]), name)
    globals()[name] = adapter
    return adapter


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
