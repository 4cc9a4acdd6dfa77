"""A store in PostgreSQL, for any number of machines."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import TypeVar

from chatkit._checks import checked
from chatkit._json import holds_too_many_values
from chatkit._sql import load_queries
from chatkit.errors import MissingExtraError, StoreError
from chatkit.ids import utc_now
from chatkit.store import _records as records
from chatkit.store.base import COMPLETION_RETENTION, Store, owner_from_context

try:
    from chatkit._postgres import Database, Settings, Transaction
except ImportError as error:
    raise MissingExtraError("PostgresStore needs asyncpg: pip install 'chatkit-server[postgres]'.") from error

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from pydantic import BaseModel

    from chatkit.streams.postgres import PostgresStreamLog
    from chatkit.types import Attachment, Page, ThreadItem, ThreadMetadata

__all__ = ["PostgresStore"]

TContext = TypeVar("TContext", default=Any)
T = TypeVar("T")

_SQL: Final = load_queries(Path(__file__).parent / "queries" / "postgres.sql")

_MOST_VALUES: Final = 10_000
"""A model of more values is kept as text without a look at what JSONB makes of it, which would hold up all else."""


class PostgresStore(Store[TContext]):
    """Keeps everything in the schema ``chatkit`` of a PostgreSQL database, each owner's data apart.

    One instance may be used from several event loops and threads, each with a pool of its own, and any number of
    processes and machines may share a database. The constructor touches nothing: the first use connects, and creates
    or migrates the schema. For that the role needs the right to create a schema, or an empty one named ``chatkit``
    that it owns.

    Every method raises :class:`chatkit.errors.StoreUnavailableError` when the database cannot be reached or does not
    answer in time, and :class:`chatkit.errors.ConfigurationError` when it refuses the role, belongs to a newer
    version of this package, or its schema to another application. When a connection is lost before a write was
    committed, the write is repeated once over another connection; when it is lost during the commit, the error says
    that the write may be stored or not. An id, cursor or owner with a NUL character or broken Unicode in it is an
    :class:`chatkit.errors.InvalidRequestError`; all other text may hold NUL characters.

    Args:
        connection_string: As for libpq: ``postgresql://user:password@host:port/database?sslmode=verify-full``.
        owner: Finds the owner in a request context; by default ``context["user_id"]`` or ``context.user_id``.
            For a single user: ``lambda context: "local"``.
        max_connections: Connections that one event loop may hold: with one loop per worker, the limit of each worker.
        idle_timeout: Seconds after which an unused connection is closed.
        acquire_timeout: Seconds to wait for a connection while all are in use.
        connect_timeout: Seconds that connecting may take.
        reconnect_timeout: Seconds to wait for a server that was there and is gone, as while it restarts.
        statement_timeout: Seconds that a statement may take, waiting for locks included; None for no limit.
        statement_cache_size: Prepared statements kept per connection. With PgBouncer in transaction mode it has to
            be 0: then no state of a session is used, and each statement runs in a transaction.

    Attributes:
        database: The connections; a stream log that keeps its data in the same database uses them.
    """

    @checked
    def __init__(
        self,
        connection_string: str,
        owner: Callable[[TContext], str | None] | None = None,
        *,
        max_connections: int = 10,
        idle_timeout: float = 300.0,
        acquire_timeout: float = 10.0,
        connect_timeout: float = 10.0,
        reconnect_timeout: float = 5.0,
        statement_timeout: float | None = 30.0,
        statement_cache_size: int = 100,
    ) -> None:
        self.database = Database(
            Settings(
                connection_string=connection_string,
                max_connections=max_connections,
                idle_timeout=idle_timeout,
                acquire_timeout=acquire_timeout,
                connect_timeout=connect_timeout,
                reconnect_timeout=reconnect_timeout,
                statement_timeout=statement_timeout,
                statement_cache_size=statement_cache_size,
            )
        )
        self._owner_of = owner

    def owner(self, context: TContext) -> str:
        return owner_from_context(context, self._owner_of)

    async def _write(
        self, owner: str, work: Callable[[Transaction], Awaitable[T]], *, repeatable: bool = False
    ) -> T:
        fence = records.active_fence()
        if fence is None:
            return await self.database.write(work, repeatable=repeatable)

        async def fenced(transaction: Transaction) -> T:
            running = await transaction.value(_SQL["is_turn_running"], owner, fence.turn_id, fence.token)
            return records.stale(fence) if running is None else await work(transaction)

        return await self.database.write(fenced, repeatable=repeatable)

    async def _value(self, query: str, *arguments: object) -> Any:
        return await self.database.read(lambda transaction: transaction.value(_SQL[query], *arguments))

    async def _rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        return await self.database.read(lambda transaction: transaction.rows(_SQL[query], *arguments))

    async def load_thread(self, thread_id: str, context: TContext) -> ThreadMetadata:
        data = await self._value("load_thread", self.owner(context), thread_id)
        return records.no_thread(thread_id) if data is None else records.load_thread(data)

    async def save_thread(self, thread: ThreadMetadata, context: TContext) -> None:
        owner = self.owner(context)
        arguments = (owner, *_thread_columns(thread, records.dump_thread(thread)))

        async def save(transaction: Transaction) -> None:
            if await transaction.value(_SQL["change_thread"], *arguments) is None:
                await transaction.value(_SQL["lock_owner"], owner)
                await transaction.value(_SQL["add_thread"], *arguments)

        await self._write(owner, save, repeatable=True)

    async def save_thread_fields(
        self, thread_id: str, changed: Mapping[str, Any], context: TContext
    ) -> ThreadMetadata:
        owner = self.owner(context)
        changed = copy.deepcopy(dict(changed))

        async def save(transaction: Transaction) -> ThreadMetadata:
            # Two statements: one that locks and reads at once may read what was there before it had to wait.
            await _lock_thread(transaction, owner, thread_id)
            stored = await transaction.value(_SQL["load_thread"], owner, thread_id)
            updated = records.changed_thread(stored, changed)
            data = records.dump_thread(updated)
            await transaction.value(_SQL["change_thread"], owner, *_thread_columns(updated, data))
            return records.load_thread(data)

        return await self._write(owner, save, repeatable=True)

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: TContext
    ) -> Page[ThreadMetadata]:
        query = f"load_threads_{records.validate_page_request(limit, order)}"
        rows = await self._rows(query, self.owner(context), after, limit + 1)
        if after is not None and rows[0][0] is None:
            records.no_thread(after)
        found = [records.load_thread(data) for _, data in rows if data is not None]
        return records.page_of(found, limit, after)

    async def delete_thread(self, thread_id: str, context: TContext) -> None:
        owner = self.owner(context)

        async def delete(transaction: Transaction) -> None:
            # A turn that still runs must not bring the thread back. Before the thread, in the order in which the
            # writes of turns take their locks.
            await transaction.value(_SQL["delete_turns_of_thread"], owner, thread_id)
            if await transaction.value(_SQL["delete_thread"], owner, thread_id) is None:
                records.no_thread(thread_id)
            await transaction.value(_SQL["delete_attachments_of_thread"], owner, thread_id)

        await self._write(owner, delete)

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: TContext
    ) -> Page[ThreadItem]:
        query = f"load_items_{records.validate_page_request(limit, order)}"
        rows = await self._rows(query, self.owner(context), thread_id, after, limit + 1)
        if not rows:
            records.no_thread(thread_id)
        if after is not None and rows[0][0] is None:
            records.no_item(thread_id, after)
        found = [records.load_item(data) for _, data in rows if data is not None]
        return records.page_of(found, limit, after)

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        await self._store_item("add_item", thread_id, item, context)

    async def save_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        await self._store_item("save_item", thread_id, item, context)

    async def put_thread_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        await self._store_item("save_item", thread_id, item, context)

    async def _store_item(self, query: str, thread_id: str, item: ThreadItem, context: TContext) -> None:
        owner = self.owner(context)
        item_id, kind = item.id, item.type
        columns = document_columns(records.dump_model(item), records.load_item)

        async def store(transaction: Transaction) -> None:
            thread = await _lock_thread(transaction, owner, thread_id)
            if await transaction.value(_SQL[query], thread, item_id, kind, *columns) is None:
                records.item_exists(thread_id, item_id)

        await self._write(owner, store, repeatable=query == "save_item")

    async def save_item_if_unchanged(
        self, thread_id: str, before: ThreadItem, after: ThreadItem, context: TContext
    ) -> None:
        owner = self.owner(context)
        item_id, kind, expected = before.id, after.type, records.dump_model(before)
        columns = document_columns(records.dump_model(after), records.load_item)

        async def save(transaction: Transaction) -> None:
            # All that change an item hold this lock; only those that delete one do not.
            thread = await _lock_thread(transaction, owner, thread_id)
            stored = await transaction.value(_SQL["load_item"], owner, thread_id, item_id)
            if stored is None:
                records.no_item(thread_id, item_id)
            records.check_unchanged(stored, expected, thread_id, item_id)
            if await transaction.value(_SQL["change_item"], thread, item_id, kind, *columns) is None:
                records.no_item(thread_id, item_id)

        await self._write(owner, save)

    async def load_item(self, thread_id: str, item_id: str, context: TContext) -> ThreadItem:
        data = await self._value("load_item", self.owner(context), thread_id, item_id)
        return records.no_item(thread_id, item_id) if data is None else records.load_item(data)

    async def delete_thread_item(self, thread_id: str, item_id: str, context: TContext) -> None:
        owner = self.owner(context)

        async def delete(transaction: Transaction) -> None:
            deleted = await transaction.value(_SQL["delete_item"], owner, thread_id, item_id)
            if deleted is None and await transaction.value(_SQL["find_thread"], owner, thread_id) is None:
                records.no_thread(thread_id)

        await self._write(owner, delete, repeatable=True)

    async def delete_items_after(self, thread_id: str, item_id: str, context: TContext) -> None:
        owner = self.owner(context)

        async def delete(transaction: Transaction) -> None:
            # Each statement sees what was committed before it: none that was added after the lock is missed.
            thread = await _lock_thread(transaction, owner, thread_id)
            item = await transaction.value(_SQL["find_item"], thread, item_id)
            if item is None:
                records.no_item(thread_id, item_id)
            await transaction.value(_SQL["delete_items_after"], thread, item)

        await self._write(owner, delete)

    async def save_attachment(self, attachment: Attachment, context: TContext) -> None:
        owner = self.owner(context)
        columns = document_columns(records.dump_model(attachment), records.load_attachment)
        arguments = (owner, attachment.id, attachment.thread_id, *columns)
        await self._write(
            owner, lambda transaction: transaction.value(_SQL["save_attachment"], *arguments), repeatable=True
        )

    async def load_attachment(self, attachment_id: str, context: TContext) -> Attachment:
        data = await self._value("load_attachment", self.owner(context), attachment_id)
        return records.no_attachment(attachment_id) if data is None else records.load_attachment(data)

    async def delete_attachment(self, attachment_id: str, context: TContext) -> None:
        owner = self.owner(context)
        await self._write(
            owner, lambda transaction: transaction.value(_SQL["delete_attachment"], owner, attachment_id)
        )

    async def sweep_attachments(self, seconds: float) -> int:
        rows = await self.database.write(
            lambda transaction: transaction.rows(_SQL["sweep_attachments"], seconds), repeatable=True
        )
        return len(rows)

    async def attachment_ids(self, thread_id: str, context: TContext) -> list[str]:
        # A message that was deleted, to answer another one again, leaves the record.
        named = await super().attachment_ids(thread_id, context)
        rows = await self._rows("attachments_of_thread", self.owner(context), thread_id)
        return list(dict.fromkeys([*named, *(row[0] for row in rows)]))

    async def begin_turn(self, thread_id: str, turn_id: str, context: TContext) -> int:
        owner = self.owner(context)
        return await self.database.write(
            lambda transaction: transaction.value(_SQL["begin_turn"], owner, turn_id, thread_id),
            repeatable=True,
        )

    async def end_turn(self, turn_id: str, token: int, context: TContext) -> None:
        owner = self.owner(context)
        await self.database.write(
            lambda transaction: transaction.value(_SQL["end_turn"], owner, turn_id, token), repeatable=True
        )

    async def complete_turn(self, turn_id: str, token: int, context: TContext) -> None:
        owner = self.owner(context)
        await self.database.write(
            lambda transaction: transaction.value(
                _SQL["complete_turn"], owner, turn_id, token, COMPLETION_RETENTION
            ),
            repeatable=True,
        )

    async def has_completed(self, turn_id: str, context: TContext) -> bool:
        return await self._value("has_completed", self.owner(context), turn_id)

    def stream_log(self) -> PostgresStreamLog | None:
        """Returns a log in the same database; None with a pooler that shares sessions, which cannot listen."""
        from chatkit.streams.postgres import PostgresStreamLog

        return None if self.database.settings.stateless else PostgresStreamLog(self.database)

    async def check(self) -> None:
        await self.database.read(lambda transaction: transaction.value(_SQL["check"]), patient=False)

    def stop_waiting(self) -> bool:
        self.database.stop_waiting()
        return True

    async def close(self) -> None:
        await self.database.close()


def _thread_columns(thread: ThreadMetadata, data: str) -> tuple[object, ...]:
    columns = document_columns(data, records.load_thread)
    return (thread.id, *columns, thread.created_at, utc_now())


async def _lock_thread(transaction: Transaction, owner: str, thread_id: str) -> int:
    thread: int | None = await transaction.value(_SQL["lock_thread"], owner, thread_id)
    return records.no_thread(thread_id) if thread is None else thread


# Models as JSONB, without losing what JSONB does not keep.


def document_columns(text: str, load: Callable[[str], BaseModel]) -> tuple[str, str | None]:
    """Returns a model's JSON for the columns ``data`` and ``exact``.

    JSONB refuses NUL characters, sorts the keys of objects and writes numbers in its own way. Most models come back
    the same all the same, for the order of declared fields is that of their declaration. For those that would not,
    the second column keeps the text itself.

    Args:
        text: The model as JSON, all fields in the order of their declaration.
        load: Returns the model in a text, or raises StoreError.

    Returns:
        JSON that JSONB takes, with U+FFFD in the place of NUL, and the text where it has to be kept, else None.
    """
    if "\\u0000" in text:
        # Escaped backslashes stand aside meanwhile, as a character that JSON does not have: "\\\\u0000" is not a NUL.
        aside = text.replace("\\\\", "\x01").replace("\\u0000", "\\ufffd")
        readable = aside.replace("\x01", "\\\\")
        if readable != text:
            return readable, text
    return text, None if _comes_back(text, load) else text


def _comes_back(text: str, load: Callable[[str], BaseModel]) -> bool:
    if holds_too_many_values(text.encode(), _MOST_VALUES):
        return False
    try:
        document = json.loads(text, object_pairs_hook=_sorted, parse_float=_plain)
        returned = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        return load(returned).model_dump_json(warnings=False) == text
    except (StoreError, ValueError, RecursionError):
        return False


def _sorted(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns an object with its keys in JSONB's order: by length, then by bytes."""
    return dict(sorted(pairs, key=lambda pair: (len(raw := pair[0].encode()), raw)))


def _plain(number: str) -> float:
    value = float(number)
    if "e" in number.lower() or (value == 0 and number.startswith("-")):
        raise ValueError("JSONB writes this number differently.")
    return value
