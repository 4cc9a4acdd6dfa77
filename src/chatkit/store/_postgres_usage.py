"""Usage, and the bounds of files, in PostgreSQL."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from chatkit.quotas import Quota
from chatkit.store import _records as records
from chatkit.store._postgres_documents import SQL, document_columns
from chatkit.store._usage_rows import exceeded, totals, values_of
from chatkit.store.usage import BoundedFiles, UsageKeeper
from chatkit.types import Attachment
from chatkit.usage import UsageRecord, UsageTotal

if TYPE_CHECKING:
    from chatkit._postgres import Database, Transaction

__all__ = ["PostgresUsage"]

TContext = TypeVar("TContext")


class PostgresUsage(UsageKeeper[TContext], BoundedFiles[TContext]):
    """The part of a PostgreSQL store that keeps usage, and bounds files."""

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

    async def add_attachment(
        self,
        attachment: Attachment,
        size: int | None,
        group: str | None,
        quotas: Sequence[Quota],
        context: TContext,
        *,
        copy_of: str | None = None,
    ) -> Quota | None:
        owner = self.owner(context)
        columns = document_columns(records.dump_model(attachment), records.load_attachment)

        async def add(transaction: Transaction) -> Quota | None:
            kept: dict[str, tuple[int, int]] = {}
            if quotas:
                await transaction.value(SQL["lock_files"], f"owner:{owner}")
                ((stored, unclaimed),) = await transaction.rows(SQL["files_of_owner"], owner, attachment.id)
                kept["owner"] = stored, unclaimed
            if quotas and group is not None:
                await transaction.value(SQL["lock_files"], f"group:{group}")
                rows = await transaction.rows(SQL["files_of_group"], owner, attachment.id, group)
                ((stored, unclaimed),) = rows
                kept["group"] = stored, unclaimed
            bytes_ = size
            if bytes_ is None:
                bytes_ = await transaction.value(SQL["size_of_attachment"], owner, copy_of) or 0
            quota = exceeded(quotas, bytes_, kept)
            if quota is None:
                arguments = (owner, attachment.id, attachment.thread_id, *columns)
                await transaction.value(SQL["save_attachment"], *arguments)
                await transaction.value(SQL["set_size"], owner, attachment.id, bytes_, group)
            return quota

        # Its own record is left out of what there is.
        return await self.database.write(add, repeatable=True)
