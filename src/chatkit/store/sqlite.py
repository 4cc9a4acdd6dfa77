"""A store in an SQLite file, for one machine."""

from __future__ import annotations

import asyncio
import copy
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import TypeVar

from chatkit._checks import check_address_is_none, checked
from chatkit._sqlite import MEMORY, Database
from chatkit.errors import StoreUnavailableError
from chatkit.store import _records as records
from chatkit.store import _sqlite_statements as statements
from chatkit.store import _sqlite_turns as turns
from chatkit.store._admission import Admission
from chatkit.store._sqlite_journal import SQLiteJournal
from chatkit.store._sqlite_search import SQLiteSearch
from chatkit.store._sqlite_survey import SQLiteSurvey
from chatkit.store._sqlite_usage import SQLiteUsage
from chatkit.store.acceptance import AcceptingStore
from chatkit.store.base import OwnedThread, owner_from_context
from chatkit.streams.sqlite import SQLiteStreamLog

if TYPE_CHECKING:
    from sqlite3 import Connection

    from chatkit.counters.sqlite import SQLiteCounter
    from chatkit.store.acceptance import Acceptance, AcceptedTurn, LapsedTurn
    from chatkit.store.base import Fence
    from chatkit.types import Attachment, Page, ThreadItem, ThreadMetadata

__all__ = ["SQLiteStore"]

TContext = TypeVar("TContext", default=Any)
T = TypeVar("T")

_CHECK_SECONDS: Final = 2.0
_PROBE_EVERY: Final = 1.0
_ROOM: Final = 256 * 1024
"""Bytes without which a disk counts as full: less than a few messages and the page that each of them changes."""


class SQLiteStore(
    SQLiteUsage[TContext],
    SQLiteSearch[TContext],
    SQLiteJournal[TContext],
    SQLiteSurvey,
    AcceptingStore[TContext],
):
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
        search: Whether threads can be searched, where the build of SQLite has FTS5. None for wherever a subclass keeps
            what it is given; one that overrides a method to encrypt what is stored, say, shows no search.

    Attributes:
        database: The file's connections; a stream log that keeps its data in the same file uses them.
    """

    @checked
    def __init__(
        self,
        db_path: str | os.PathLike[str] = "chatkit.db",
        owner: Callable[[TContext], str | None] | None = None,
        *,
        search: bool | None = None,
    ) -> None:
        super().__init__(search=search)
        check_address_is_none("SQLiteStore(db_path=...)", db_path, "For PostgreSQL use PostgresStore(...).")
        self.database = Database(db_path)
        self._owner_of = owner
        self._stream_log: SQLiteStreamLog | None = None
        self._probed_at = -math.inf
        self._admission = Admission(partial(self.database.read, statements.erased_owners))

    def owner(self, context: TContext) -> str:
        return owner_from_context(context, self._owner_of)

    async def admit(self, context: TContext) -> None:
        await self._admission.check(self.owner(context))

    async def _read(self, work: Callable[..., T], context: TContext, **parameters: Any) -> T:
        return await self.database.read(partial(work, owner=self.owner(context), **parameters))

    async def _write(self, work: Callable[..., T], context: TContext, **parameters: Any) -> T:
        owner, fence = self.owner(context), records.active_fence()

        def write(connection: Connection) -> T:
            if fence is not None:
                running = statements.run(
                    connection, "is_turn_running", owner=owner, turn_id=fence.turn_id, token=fence.token
                )
                if running.fetchone() is None:
                    records.stale(fence)
            return self._indexed(work, connection, owner=owner, **parameters)

        return await self.database.write(write)

    async def load_thread(self, thread_id: str, context: TContext) -> ThreadMetadata:
        return await self._read(statements.load_thread, context, thread_id=thread_id)

    async def save_thread(self, thread: ThreadMetadata, context: TContext) -> None:
        # Now, not in the other thread: the caller may change it as soon as it has the loop again.
        await self._write(
            statements.save_thread,
            context,
            thread_id=thread.id,
            data=records.dump_thread(thread),
            created_at=thread.created_at.isoformat(),
            updated_at=records.stamp().isoformat(),
        )

    async def save_thread_fields(
        self, thread_id: str, changed: Mapping[str, Any], context: TContext
    ) -> ThreadMetadata:
        changed = copy.deepcopy(dict(changed))
        return await self._write(statements.save_thread_fields, context, thread_id=thread_id, changed=changed)

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: TContext
    ) -> Page[ThreadMetadata]:
        order = records.validate_page_request(limit, order)
        return await self._read(statements.load_threads, context, limit=limit, after=after, order=order)

    async def survey_threads(
        self, prefix: str, limit: int, after: OwnedThread | None, order: str, *, thread_id: str | None = None
    ) -> list[OwnedThread]:
        return await self.database.read(
            partial(
                statements.survey_threads,
                prefix=prefix,
                limit=limit,
                after=after,
                order=order,
                thread_id=thread_id,
            )
        )

    async def delete_thread(self, thread_id: str, context: TContext) -> None:
        await self._write(statements.delete_thread, context, thread_id=thread_id)

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: TContext
    ) -> Page[ThreadItem]:
        order = records.validate_page_request(limit, order)
        return await self._read(
            statements.load_items, context, thread_id=thread_id, limit=limit, after=after, order=order
        )

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        await self._store_item("add_item", thread_id, item, context)

    async def save_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        await self._store_item("save_item", thread_id, item, context)

    async def put_thread_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        await self._store_item("save_item", thread_id, item, context)

    async def _store_item(self, query: str, thread_id: str, item: ThreadItem, context: TContext) -> None:
        # Now, not in the other thread: the caller may change the item as soon as it has the loop again.
        data = records.dump_model(item)
        await self._write(
            statements.store_item,
            context,
            query=query,
            thread_id=thread_id,
            item_id=item.id,
            type=item.type,
            data=data,
        )

    async def save_item_if_unchanged(
        self, thread_id: str, before: ThreadItem, after: ThreadItem, context: TContext
    ) -> None:
        await self._write(
            statements.save_item_if_unchanged,
            context,
            thread_id=thread_id,
            item_id=before.id,
            type=after.type,
            before=records.dump_model(before),
            after=records.dump_model(after),
        )

    async def load_item(self, thread_id: str, item_id: str, context: TContext) -> ThreadItem:
        return await self._read(statements.load_item, context, thread_id=thread_id, item_id=item_id)

    async def delete_thread_item(self, thread_id: str, item_id: str, context: TContext) -> None:
        await self._write(statements.delete_item, context, thread_id=thread_id, item_id=item_id)

    async def delete_items_after(self, thread_id: str, item_id: str, context: TContext) -> None:
        await self._write(statements.delete_items_after, context, thread_id=thread_id, item_id=item_id)

    async def save_attachment(self, attachment: Attachment, context: TContext) -> None:
        await self._write(
            statements.change,
            context,
            query="save_attachment",
            attachment_id=attachment.id,
            thread_id=attachment.thread_id,
            data=records.dump_model(attachment),
            now=int(time.time()),
        )

    async def load_attachment(self, attachment_id: str, context: TContext) -> Attachment:
        return await self._read(statements.load_attachment, context, attachment_id=attachment_id)

    async def delete_attachment(self, attachment_id: str, context: TContext) -> None:
        await self._write(statements.change, context, query="delete_attachment", attachment_id=attachment_id)

    async def sweep_attachments(self, seconds: float) -> int:
        before = int(time.time() - seconds)
        return await self.database.write(partial(statements.change, query="sweep_attachments", before=before))

    async def unclaimed_attachments(self, seconds: float) -> list[tuple[str, str]]:
        before = int(time.time() - seconds)
        return await self.database.read(
            partial(statements.all_rows, query="unclaimed_attachments", before=before)
        )

    async def attachment_ids(self, thread_id: str, context: TContext) -> list[str]:
        # A message that was deleted, to answer another one again, leaves the record.
        named = await super().attachment_ids(thread_id, context)
        recorded = await self._read(
            statements.first_values, context, query="attachments_of_thread", thread_id=thread_id
        )
        return list(dict.fromkeys([*named, *recorded]))

    # Turns, whose rights are what the fence is about, are written without it.

    async def _write_turn(self, work: Callable[..., T], context: TContext, **parameters: Any) -> T:
        return await self.database.write(partial(work, owner=self.owner(context), **parameters))

    async def _write_texts(self, work: Callable[..., T], context: TContext, **parameters: Any) -> T:
        return await self._write_turn(partial(self._indexed, work), context, **parameters)

    async def accept_turn(self, acceptance: Acceptance, context: TContext) -> AcceptedTurn:
        documents = records.documents_of(acceptance)
        return await self._write_texts(turns.accept_turn, context, acceptance=acceptance, documents=documents)

    async def resolve_turn(self, turn_id: str, thread_id: str, context: TContext) -> AcceptedTurn | None:
        return await self._write_turn(turns.resolve_turn, context, turn_id=turn_id, thread_id=thread_id)

    async def find_turn(self, turn_id: str, context: TContext) -> AcceptedTurn | None:
        return await self._read(turns.find_turn, context, turn_id=turn_id)

    async def turns_beside(
        self, thread_id: str, turn_id: str, since: datetime | None, context: TContext
    ) -> list[str]:
        return await self._read(
            turns.turns_beside,
            context,
            thread_id=thread_id,
            turn_id=turn_id,
            since=None if since is None else since.timestamp(),
        )

    async def find_keyed_turn(self, key: str, context: TContext) -> AcceptedTurn | None:
        return await self._read(turns.find_keyed_turn, context, key=key)

    async def begin_waiting_turn(
        self, turn_id: str, token: int, context: TContext, *, at_once: bool = False
    ) -> tuple[str, ...]:
        return await self._write_texts(
            turns.begin_waiting_turn, context, turn_id=turn_id, token=token, at_once=at_once
        )

    async def open_turn(self, turn_id: str, token: int, context: TContext) -> None:
        await self._write_turn(turns.open_turn, context, turn_id=turn_id, token=token)

    async def renew_turns(self, held: Sequence[tuple[str, Fence]], lease: float) -> None:
        rows = [(owner, fence.turn_id, fence.token) for owner, fence in held]
        await self.database.write(partial(turns.renew_turns, rows=rows, lease=lease))

    async def claim_turn(self, turn: AcceptedTurn, lease: float, context: TContext) -> AcceptedTurn | None:
        return await self._write_turn(turns.claim_turn, context, turn=turn, lease=lease)

    async def withdraw_turn(self, acceptance: Acceptance, token: int, context: TContext) -> bool:
        documents = records.documents_of(acceptance)
        return await self._write_texts(
            turns.withdraw_turn, context, acceptance=acceptance, documents=documents, token=token
        )

    async def finish_turn(
        self, turn_id: str, token: int, end: str, context: TContext, *, info: str = ""
    ) -> bool:
        return await self._write_turn(
            turns.finish_turn, context, turn_id=turn_id, token=token, end=end, info=info
        )

    async def lapsed_turns(self, seconds: float) -> list[LapsedTurn]:
        # Only looked at first: a sweep that finds nothing writes nothing.
        if not await self.database.read(turns.has_lapsed):
            return []
        return await self.database.write(partial(turns.lapsed_turns, seconds=seconds))

    async def begin_turn(self, thread_id: str, turn_id: str, context: TContext) -> int:
        return await self._write_turn(turns.begin_turn, context, thread_id=thread_id, turn_id=turn_id)

    async def has_completed(self, turn_id: str, context: TContext) -> bool:
        return bool(
            await self._read(statements.first_values, context, query="has_completed", turn_id=turn_id)
        )

    def stream_log(self) -> SQLiteStreamLog:
        """Returns the log that keeps its checkpoints in the same file, always the same object."""
        if self._stream_log is None:
            self._stream_log = SQLiteStreamLog(self.database)
        return self._stream_log

    def quota_counter(self) -> SQLiteCounter:
        """Returns a counter in the same file."""
        from chatkit.counters.sqlite import SQLiteCounter

        return SQLiteCounter(self.database)

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
        self.database.stop_waiting()
        return True

    async def close(self) -> None:
        await self.database.close()
        self._reopen_index()
