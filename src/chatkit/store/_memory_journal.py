"""The journals of turns in memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from threading import Lock
from typing import Any, TypeVar

from chatkit.store._memory_turns import TurnTable
from chatkit.store.acceptance import was_taken_over
from chatkit.store.base import Fence
from chatkit.store.journal import JournalKeeper, RecordedStep

__all__ = ["MemoryJournal"]

TContext = TypeVar("TContext")


class MemoryJournal(JournalKeeper[TContext]):
    """The part of a store in memory that keeps journals."""

    _lock: Lock

    @abstractmethod
    def owner(self, context: TContext) -> str:
        """Returns the owner of a context."""

    @abstractmethod
    def _tenant(self, owner: str) -> Any:
        """Returns what an owner has."""

    async def save_steps(self, fence: Fence, steps: Sequence[RecordedStep], context: TContext) -> None:
        owner = self.owner(context)
        with self._lock:
            turns: TurnTable = self._tenant(owner).turns
            if not turns.is_held(fence):
                raise was_taken_over(fence.turn_id)
            turns.held(fence.turn_id, fence.token).steps |= {step.position: step for step in steps}

    async def load_steps(self, turn_id: str, context: TContext) -> list[RecordedStep]:
        owner = self.owner(context)
        with self._lock:
            row = self._tenant(owner).turns.get(turn_id)
            return [] if row is None else [row.steps[position] for position in sorted(row.steps)]
