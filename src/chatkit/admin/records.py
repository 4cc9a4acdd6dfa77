"""What :class:`chatkit.admin.Admin` answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from chatkit.store.base import OwnerContext, Store, walk_items
from chatkit.types import ThreadItem, ThreadMetadata

__all__ = ["OpenedThread", "Rating", "StuckTurn"]


@dataclass(frozen=True, slots=True)
class StuckTurn:
    """A turn that nobody goes on with.

    Attributes:
        turn_id: The turn.
        thread_id: Its thread.
        owner: Whose it is; None where no owners are known.
        why: What is known of it, as a sentence.
        seconds: For how long that has been so; None where that is not known.
    """

    turn_id: str
    thread_id: str
    owner: str | None
    why: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Rating:
    """Feedback of a user that is kept with the thread, as the servers of agents do.

    Attributes:
        owner: The user.
        thread_id: The thread.
        item_id: The item that it is about.
        kind: ``"positive"`` or ``"negative"``.
    """

    owner: str
    thread_id: str
    item_id: str
    kind: str


class OpenedThread:
    """A thread whose content may be shown, for the audit log says so.

    Attributes:
        owner: Whose it is.
        thread: The thread.
    """

    def __init__(self, store: Store[Any], owner: str, thread: ThreadMetadata) -> None:
        self.owner = owner
        self.thread = thread
        self._store = store

    def items(self) -> AsyncIterator[ThreadItem]:
        """Returns the items, the oldest first, loaded a page at a time; hidden ones, too."""
        return walk_items(self._store, self.thread.id, "asc", OwnerContext(self.owner))
