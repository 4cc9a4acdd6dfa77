"""The journals of turns in PostgreSQL."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from chatkit.store._journal_rows import steps_of, values_of
from chatkit.store._postgres_documents import SQL
from chatkit.store.acceptance import was_taken_over
from chatkit.store.base import Fence
from chatkit.store.journal import JournalKeeper, RecordedStep

if TYPE_CHECKING:
    from chatkit._postgres import Database

__all__ = ["PostgresJournal"]

TContext = TypeVar("TContext")


class PostgresJournal(JournalKeeper[TContext]):
    """The part of a PostgreSQL store that keeps journals."""

    database: Database

    @abstractmethod
    def owner(self, context: TContext) -> str:
        """Returns the owner of a context."""

    async def save_steps(self, fence: Fence, steps: Sequence[RecordedStep], context: TContext) -> None:
        # One array for each column.
        columns = [list(column) for column in zip(*(values_of(step).values() for step in steps), strict=True)]
        arguments = (self.owner(context), fence.turn_id, fence.token, *columns)
        saved = await self.database.write(
            lambda transaction: transaction.rows(SQL["save_steps"], *arguments), repeatable=True
        )
        if len(saved) != len(steps):
            raise was_taken_over(fence.turn_id)

    async def load_steps(self, turn_id: str, context: TContext) -> list[RecordedStep]:
        owner = self.owner(context)
        return steps_of(
            await self.database.read(lambda transaction: transaction.rows(SQL["load_steps"], owner, turn_id))
        )
