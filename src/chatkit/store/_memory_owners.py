"""All that a store in memory keeps of one owner: counted, refused more, forgotten."""

from __future__ import annotations

from abc import abstractmethod
from threading import Lock
from typing import Any, Generic, TypeVar

from chatkit.errors import ErasureRunningError

__all__ = ["MemoryOwners"]

TContext = TypeVar("TContext")


class MemoryOwners(Generic[TContext]):
    """The part of a store in memory that erases what is kept of an owner."""

    _lock: Lock
    _tenants: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self._refused: set[str] = set()

    @abstractmethod
    def owner(self, context: TContext) -> str:
        """Returns the owner of a context."""

    @abstractmethod
    def _tenant(self, owner: str) -> Any:
        """Returns what an owner has."""

    @abstractmethod
    def forget_usage(self, owner: str, *, only_count: bool = False) -> int:
        """Forgets, or only counts, the usage of an owner."""

    async def admit(self, context: TContext) -> None:
        """Raises ErasureRunningError for an owner who is being erased."""
        self.check_erasure(self.owner(context))

    def check_erasure(self, owner: str) -> None:
        """Raises ErasureRunningError for an owner who is being erased."""
        if owner in self._refused:
            raise ErasureRunningError

    def refuse(self, owner: str, *, refused: bool = True) -> None:
        """Adds nothing of an owner any more, or again.

        Args:
            owner: The owner.
            refused: Whether the erasure is under way.
        """
        with self._lock:
            (self._refused.add if refused else self._refused.discard)(owner)

    def running_turns(self, owner: str) -> list[str]:
        """Returns the ids of an owner's turns that have not ended."""
        with self._lock:
            return self._tenant(owner).turns.running()

    def forget_owner(self, owner: str, *, only_count: bool = False) -> dict[str, int]:
        """Forgets all that is kept of an owner; returns how much that was, by the tables of the other stores.

        Args:
            owner: The owner.
            only_count: Forgets nothing.
        """
        usage = self.forget_usage(owner, only_count=only_count)
        with self._lock:
            tenant = self._tenant(owner)
            threads = tenant.threads.page(None, len(tenant.threads), ascending=True)
            found = {
                "threads": len(threads),
                "items": sum(len(thread.items) for thread in threads),
                "attachments": len(tenant.attachments),
                "accepted_turns": len(tenant.turns),
                "usage": usage,
            }
            if not only_count:
                self._tenants.pop(owner, None)
        return {name: number for name, number in found.items() if number}

    def files_of(self, owner: str) -> list[tuple[str, int, str | None]]:
        """Returns the ids of an owner's attachments, with the sizes and groups of their files."""
        with self._lock:
            kept = self._tenant(owner).attachments
            return [(key, kept[key].size, kept[key].group) for key in sorted(kept)]

    def has_file_of_others(self, owner: str, attachment_id: str) -> bool:
        """Returns whether another owner has an attachment of that id."""
        with self._lock:
            return any(
                other != owner and attachment_id in tenant.attachments
                for other, tenant in self._tenants.items()
            )
