"""A store in an SQLite file: durable, without a server, for one machine."""

from __future__ import annotations

import asyncio
import copy
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import TypeVar

from chatkit._sqlite import MEMORY, Database
from chatkit.errors import StoreUnavailableError
from chatkit.store import _records as records
from chatkit.store import _sqlite_statements as statements
from chatkit.store.base import Store, owner_from_context
from chatkit.streams.sqlite import SQLiteStreamLog

if TYPE_CHECKING:
    from sqlite3 import Connection

    from chatkit.types import Attachment, Page, ThreadItem, ThreadMetadata

__all__ = ["SQLiteStore"]

TContext = TypeVar("TContext", default=Any)
T = TypeVar("T")

_CHECK_SECONDS: Final = 2.0
_PROBE_EVERY: Final = 1.0
_ROOM: Final = 256 * 1024
"""Bytes without which a disk counts as full: less than a few messages and the page that each of them changes."""


class SQLiteStore(Store[TContext]):
    """Keeps everything in one SQLite file, each owner's data apart.

    One instance may be used from several event loops and threads, and several processes may share a file. The
    constructor touches nothing: the first use opens the file, creating it and its schema if need be.

    Every method raises :class:`chatkit.errors.StoreUnavailableError` when the file cannot be used (no space, not
    writable, locked for long, no such folder, not a database) and :class:`chatkit.errors.ConfigurationError` when
    it belongs to a newer version of this package or to another application.

    Args:
        db_path: The file, or ``":memory:"`` for a database that lives until ``close``.
        owner: Finds the owner in a request context; by default ``context["user_id"]`` or ``context.user_id``.
            For a single user: ``lambda context: "local"``.

    Attributes:
        database: The file's connections; a stream log that keeps its data in the same file uses them.
    """

    def __init__(
        self,
        db_path: str | os.PathLike[str] = "chatkit.db",
        owner: Callable[[TContext], str | None] | None = None,
    ) -> None:
        self.database = Database(db_path)
        self._owner_of = owner
        self._stream_log: SQLiteStreamLog | None = None
        self._probed_at = -math.inf

    def owner(self, context: TContext) -> str:
        """Returns the owner of a context.

        Raises:
            ConfigurationError: The context names no owner.
        """
        return owner_from_context(context, self._owner_of)

    async def _write(self, owner: str, work: Callable[[Connection], T]) -> T:
        fence = records.active_fence()
        if fence is None:
            return await self.database.write(work)

        def fenced(connection: Connection) -> T:
            row = statements.run(
                connection, "is_turn_running", owner=owner, turn_id=fence.turn_id, token=fence.token
            ).fetchone()
            return records.stale(fence) if row is None else work(connection)

        return await self.database.write(fenced)

    async def load_thread(self, thread_id: str, context: TContext) -> ThreadMetadata:
        return await self.database.read(
            partial(statements.load_thread, owner=self.owner(context), thread_id=thread_id)
        )

    async def save_thread(self, thread: ThreadMetadata, context: TContext) -> None:
        owner = self.owner(context)
        # Now, not in the other thread: the caller may change it as soon as it has the loop again.
        data, created_at = records.dump_thread(thread), thread.created_at.isoformat()
        await self._write(
            owner,
            partial(
                statements.save_thread, owner=owner, thread_id=thread.id, data=data, created_at=created_at
            ),
        )

    async def save_thread_fields(
        self, thread_id: str, changed: Mapping[str, Any], context: TContext
    ) -> ThreadMetadata:
        owner = self.owner(context)
        changed = copy.deepcopy(dict(changed))
        return await self._write(
            owner, partial(statements.save_thread_fields, owner=owner, thread_id=thread_id, changed=changed)
        )

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: TContext
    ) -> Page[ThreadMetadata]:
        return await self.database.read(
            partial(
                statements.load_threads,
                owner=self.owner(context),
                limit=limit,
                after=after,
                order=records.validate_page_request(limit, order),
            )
        )

    async def delete_thread(self, thread_id: str, context: TContext) -> None:
        owner = self.owner(context)
        await self._write(owner, partial(statements.delete_thread, owner=owner, thread_id=thread_id))

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: TContext
    ) -> Page[ThreadItem]:
        return await self.database.read(
            partial(
                statements.load_items,
                owner=self.owner(context),
                thread_id=thread_id,
                limit=limit,
                after=after,
                order=records.validate_page_request(limit, order),
            )
        )

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        """Adds a new item behind all others of the thread.

        Raises:
            ConflictError: The thread has an item with that id.
            NotFoundError: There is no such thread for this owner.
        """
        await self._store_item("add_item", thread_id, item, context)

    async def save_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        await self._store_item("save_item", thread_id, item, context)

    async def put_thread_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        await self._store_item("save_item", thread_id, item, context)

    async def _store_item(self, query: str, thread_id: str, item: ThreadItem, context: TContext) -> None:
        owner = self.owner(context)
        # Now, not in the other thread: the caller may change the item as soon as it has the loop again.
        data = records.dump_model(item)
        await self._write(
            owner,
            partial(
                statements.store_item,
                query=query,
                owner=owner,
                thread_id=thread_id,
                item_id=item.id,
                type=item.type,
                data=data,
            ),
        )

    async def save_item_if_unchanged(
        self, thread_id: str, before: ThreadItem, after: ThreadItem, context: TContext
    ) -> None:
        owner = self.owner(context)
        await self._write(
            owner,
            partial(
                statements.save_item_if_unchanged,
                owner=owner,
                thread_id=thread_id,
                item_id=before.id,
                type=after.type,
                before=records.dump_model(before),
                after=records.dump_model(after),
            ),
        )

    async def load_item(self, thread_id: str, item_id: str, context: TContext) -> ThreadItem:
        return await self.database.read(
            partial(statements.load_item, owner=self.owner(context), thread_id=thread_id, item_id=item_id)
        )

    async def delete_thread_item(self, thread_id: str, item_id: str, context: TContext) -> None:
        owner = self.owner(context)
        await self._write(
            owner, partial(statements.delete_item, owner=owner, thread_id=thread_id, item_id=item_id)
        )

    async def delete_items_after(self, thread_id: str, item_id: str, context: TContext) -> None:
        owner = self.owner(context)
        await self._write(
            owner, partial(statements.delete_items_after, owner=owner, thread_id=thread_id, item_id=item_id)
        )

    async def save_attachment(self, attachment: Attachment, context: TContext) -> None:
        owner = self.owner(context)
        parameters = {
            "owner": owner,
            "attachment_id": attachment.id,
            "thread_id": attachment.thread_id,
            "data": records.dump_model(attachment),
        }
        await self._write(
            owner, lambda connection: statements.run(connection, "save_attachment", **parameters).rowcount
        )

    async def load_attachment(self, attachment_id: str, context: TContext) -> Attachment:
        return await self.database.read(
            partial(statements.load_attachment, owner=self.owner(context), attachment_id=attachment_id)
        )

    async def delete_attachment(self, attachment_id: str, context: TContext) -> None:
        parameters = {"owner": self.owner(context), "attachment_id": attachment_id}
        await self._write(
            parameters["owner"],
            lambda connection: statements.run(connection, "delete_attachment", **parameters).rowcount,
        )

    async def attachment_ids(self, thread_id: str, context: TContext) -> list[str]:
        # A message that was deleted, to answer another one again, leaves the record.
        named = await super().attachment_ids(thread_id, context)
        parameters = {"owner": self.owner(context), "thread_id": thread_id}
        recorded = await self.database.read(
            lambda connection: [
                row[0] for row in statements.run(connection, "attachments_of_thread", **parameters)
            ]
        )
        return list(dict.fromkeys([*named, *recorded]))

    async def begin_turn(self, thread_id: str, turn_id: str, context: TContext) -> int:
        return await self.database.write(
            partial(statements.begin_turn, owner=self.owner(context), thread_id=thread_id, turn_id=turn_id)
        )

    async def end_turn(self, turn_id: str, token: int, context: TContext) -> None:
        parameters = {"owner": self.owner(context), "turn_id": turn_id, "token": token}
        await self.database.write(
            lambda connection: statements.run(connection, "end_turn", **parameters).rowcount
        )

    async def complete_turn(self, turn_id: str, token: int, context: TContext) -> None:
        await self.database.write(
            partial(statements.complete_turn, owner=self.owner(context), turn_id=turn_id, token=token)
        )

    async def has_completed(self, turn_id: str, context: TContext) -> bool:
        parameters = {"owner": self.owner(context), "turn_id": turn_id}
        return await self.database.read(
            lambda connection: (
                statements.run(connection, "has_completed", **parameters).fetchone() is not None
            )
        )

    def stream_log(self) -> SQLiteStreamLog:
        """Returns the log that keeps its checkpoints in the same file, always the same object."""
        if self._stream_log is None:
            self._stream_log = SQLiteStreamLog(self.database)
        return self._stream_log

    async def check(self) -> None:
        """Raises if the file cannot be read and written, or does not answer within two seconds.

        It writes a few bytes, once a second at most, and looks whether the disk has room for some more.

        Raises:
            StoreUnavailableError: That is so.
        """
        # A transaction that writes, for another process may keep the file from being written for long.
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                await self.database.write(self._check, wait=_CHECK_SECONDS / 2)
        except TimeoutError as error:
            raise StoreUnavailableError(
                f"The database {self.database.path} stayed locked for {_CHECK_SECONDS:g} s: end what holds a "
                "transaction open."
            ) from error

    def _check(self, connection: Connection) -> None:
        connection.execute("SELECT seq FROM threads LIMIT 1").fetchall()
        path = self.database.path
        # The log may have room in it from before the disk was full: then what is small can still be written.
        if path != MEMORY and (usage := shutil.disk_usage(path)).total and usage.free < _ROOM:
            raise StoreUnavailableError(f"The database {path} has no space left: free space on its disk.")
        now = time.monotonic()
        if now - self._probed_at >= _PROBE_EVERY:
            statements.run(connection, "probe")
            self._probed_at = now

    def stop_waiting(self) -> bool:
        """Makes calls fail that other processes hold up, now and until ``close``, instead of waiting."""
        self.database.stop_waiting()
        return True

    async def close(self) -> None:
        await self.database.close()
