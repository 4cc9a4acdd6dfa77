"""Usage in PostgreSQL."""

from __future__ import annotations

from abc import abstractmethod
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from chatkit.store._postgres_documents import SQL
from chatkit.store._usage_rows import totals, values_of
from chatkit.store.usage import UsageKeeper
from chatkit.usage import UsageRecord, UsageTotal

if TYPE_CHECKING:
    from chatkit._postgres import Database

__all__ = ["PostgresUsage"]

TContext = TypeVar("TContext")


class PostgresUsage(UsageKeeper[TContext]):
    """The part of a PostgreSQL store that keeps usage."""

    database: Database

    @abstractmethod
    def owner(self, context: TContext) -> str:
        """Returns the owner of a context."""

    async def add_usage(self, record: UsageRecord, context: TContext) -> bool:
        arguments = (self.owner(context), record.created_at, *values_of(record).values())
        # Done twice, it may say that the step was recorded before: no more is charged then, as it should be.
        return bool(
            await self.database.write(
                lambda transaction: transaction.rows(SQL["add_usage"], *arguments), repeatable=True
            )
        )

    async def sum_usage(self, since: datetime, until: datetime, context: TContext) -> list[UsageTotal]:
        owner = self.owner(context)
        return totals(
            await self.database.read(
                lambda transaction: transaction.rows(SQL["sum_usage"], owner, since, until)
            )
        )

    async def survey_usage(self, since: datetime, until: datetime) -> list[UsageTotal]:
        return totals(
            await self.database.read(lambda transaction: transaction.rows(SQL["survey_usage"], since, until))
        )

    async def delete_usage(self, before: datetime) -> int:
        return await self.database.write(
            lambda transaction: transaction.value(SQL["delete_usage"], before), repeatable=True
        )
