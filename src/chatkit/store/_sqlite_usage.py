"""Usage in an SQLite file."""

from __future__ import annotations

from abc import abstractmethod
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from chatkit.store import _sqlite_statements as statements
from chatkit.store._usage_rows import totals, values_of
from chatkit.store.usage import UsageKeeper
from chatkit.usage import UsageRecord, UsageTotal

if TYPE_CHECKING:
    from chatkit._sqlite import Database

__all__ = ["SQLiteUsage"]

TContext = TypeVar("TContext")


class SQLiteUsage(UsageKeeper[TContext]):
    """The part of an SQLite store that keeps usage."""

    database: Database

    @abstractmethod
    def owner(self, context: TContext) -> str:
        """Returns the owner of a context."""

    async def add_usage(self, record: UsageRecord, context: TContext) -> bool:
        values = {
            **values_of(record),
            "owner": self.owner(context),
            "created_at": record.created_at.timestamp(),
        }
        return bool(await self.database.write(partial(statements.change, query="add_usage", **values)))

    async def sum_usage(self, since: datetime, until: datetime, context: TContext) -> list[UsageTotal]:
        times = {"since": since.timestamp(), "until": until.timestamp()}
        work = partial(statements.all_rows, query="sum_usage", owner=self.owner(context), **times)
        return totals(await self.database.read(work))

    async def survey_usage(self, since: datetime, until: datetime) -> list[UsageTotal]:
        times = {"since": since.timestamp(), "until": until.timestamp()}
        return totals(await self.database.read(partial(statements.all_rows, query="survey_usage", **times)))

    async def delete_usage(self, before: datetime) -> int:
        work = partial(statements.change, query="delete_usage", before=before.timestamp())
        return await self.database.write(work)
