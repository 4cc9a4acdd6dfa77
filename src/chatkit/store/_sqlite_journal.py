"""The journals of turns in an SQLite file."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from chatkit.store import _sqlite_statements as statements
from chatkit.store._journal_rows import steps_of, values_of
from chatkit.store.acceptance import was_taken_over
from chatkit.store.base import Fence
from chatkit.store.journal import JournalKeeper, RecordedStep

if TYPE_CHECKING:
    from sqlite3 import Connection

    from chatkit._sqlite import Database

__all__ = ["SQLiteJournal"]

TContext = TypeVar("TContext")


class SQLiteJournal(JournalKeeper[TContext]):
    """The part of an SQLite store that keeps journals."""

    database: Database

    @abstractmethod
    def owner(self, context: TContext) -> str:
        """Returns the owner of a context."""

    async def save_steps(self, fence: Fence, steps: Sequence[RecordedStep], context: TContext) -> None:
        turn = {"owner": self.owner(context), "turn_id": fence.turn_id, "token": fence.token}

        def save(connection: Connection) -> None:
            for step in steps:
                if not statements.change(connection, query="save_step", **turn, **values_of(step)):
                    raise was_taken_over(fence.turn_id)

        await self.database.write(save)

    async def load_steps(self, turn_id: str, context: TContext) -> list[RecordedStep]:
        work = partial(statements.all_rows, query="load_steps", owner=self.owner(context), turn_id=turn_id)
        return steps_of(await self.database.read(work))
