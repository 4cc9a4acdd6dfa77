"""Stores for threads, items and records of attachments, and their port.

:class:`Store` is the interface for stores of your own; ``chatkit.testing.StoreContract`` tests them. An
adapter is imported when its name is used, so that this module needs no driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatkit._lazy import lazy_names
from chatkit.errors import NotFoundError
from chatkit.files.base import AttachmentStore
from chatkit.store.acceptance import (
    Acceptance,
    AcceptedTurn,
    AcceptingStore,
    ItemChange,
    LapsedTurn,
    ThreadTakenError,
    TurnStatus,
    TurnWrites,
)
from chatkit.store.base import (
    Fence,
    OwnedThread,
    OwnerContext,
    Store,
    StoreItemType,
    current_fence,
    default_generate_id,
    owner_from_context,
)
from chatkit.store.base import TContext as TContext
from chatkit.store.journal import Effect, JournalKeeper, RecordedStep, StepStatus
from chatkit.store.search import ThreadSearch
from chatkit.store.survey import OpenTurn, OwnerSummary, StoreSurvey, ThreadSummary
from chatkit.store.usage import BoundedFiles, UsageKeeper

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
    "Acceptance",
    "AcceptedTurn",
    "AcceptingStore",
    "AttachmentStore",
    "BoundedFiles",
    "Effect",
    "Fence",
    "ItemChange",
    "JournalKeeper",
    "LapsedTurn",
    "MemoryStore",
    "NotFoundError",
    "OpenTurn",
    "OwnedThread",
    "OwnerContext",
    "OwnerSummary",
    "PostgresStore",
    "RecordedStep",
    "SQLiteStore",
    "StepStatus",
    "Store",
    "StoreItemType",
    "StoreSurvey",
    "ThreadSearch",
    "ThreadSummary",
    "ThreadTakenError",
    "TurnStatus",
    "TurnWrites",
    "UsageKeeper",
    "current_fence",
    "default_generate_id",
    "owner_from_context",
]

__getattr__, __dir__ = lazy_names(
    __name__, __all__, {"MemoryStore": "memory", "PostgresStore": "postgres", "SQLiteStore": "sqlite"}
)
