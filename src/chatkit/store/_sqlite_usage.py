"""Usage, and the bounds of files, in an SQLite file."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from chatkit.quotas import Quota
from chatkit.store import _records as records
from chatkit.store import _sqlite_statements as statements
from chatkit.store._usage_rows import exceeded, totals, values_of
from chatkit.store.usage import BoundedFiles, UsageKeeper
from chatkit.types import Attachment
from chatkit.usage import UsageRecord, UsageTotal

if TYPE_CHECKING:
    from sqlite3 import Connection

    from chatkit._sqlite import Database

__all__ = ["SQLiteUsage"]

TContext = TypeVar("TContext")


class SQLiteUsage(UsageKeeper[TContext], BoundedFiles[TContext]):
    """The part of an SQLite store that keeps usage, and bounds files."""

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
        owner, data = self.owner(context), records.dump_model(attachment)
        named = {"owner": owner, "attachment_id": attachment.id}

        def add(connection: Connection) -> Quota | None:
            run, bytes_ = partial(statements.run, connection), size
            if bytes_ is None:
                row = run("size_of_attachment", owner=owner, attachment_id=copy_of).fetchone()
                bytes_ = 0 if row is None else row[0]
            kept: dict[str, tuple[int, int]] = {}
            if quotas:
                kept["owner"] = run("files_of_owner", owner=owner).fetchone()
            if quotas and group is not None:
                kept["group"] = run("files_of_group", group_id=group).fetchone()
            quota = exceeded(quotas, bytes_, kept)
            if quota is None:
                now = int(time.time())
                run("save_attachment", **named, thread_id=attachment.thread_id, data=data, now=now)
                run("set_size", **named, size=bytes_, group_id=group)
            return quota

        return await self.database.write(add)
