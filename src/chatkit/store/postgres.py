"""A store in PostgreSQL, for any number of machines."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from typing_extensions import TypeVar

from chatkit._checks import checked
from chatkit.errors import MissingExtraError
from chatkit.store import _postgres_turns as turns
from chatkit.store import _records as records
from chatkit.store._admission import Admission
from chatkit.store._postgres_documents import SQL, document_columns, erased_owners, lock_thread
from chatkit.store._postgres_journal import PostgresJournal
from chatkit.store._postgres_search import PostgresSearch
from chatkit.store._postgres_survey import PostgresSurvey
from chatkit.store._postgres_usage import PostgresUsage
from chatkit.store._search_rows import title_words, vector_columns
from chatkit.store.acceptance import DELETED, AcceptingStore, ItemChange
from chatkit.store.base import COMPLETION_RETENTION, OwnedThread, owner_from_context
from chatkit.store.owners import owner_range

try:
    from chatkit._postgres import Database, Settings, Transaction
except ImportError as error:
    raise MissingExtraError("PostgresStore needs asyncpg: pip install 'chatkit-server[postgres]'.") from error

if TYPE_CHECKING:
    from chatkit.counters.postgres import PostgresCounter
    from chatkit.store.acceptance import Acceptance, AcceptedTurn, LapsedTurn
    from chatkit.store.base import Fence
    from chatkit.streams.postgres import PostgresStreamLog
    from chatkit.types import Attachment, Page, ThreadItem, ThreadMetadata

__all__ = ["PostgresStore"]

TContext = TypeVar("TContext", default=Any)
T = TypeVar("T")


class PostgresStore(
    PostgresUsage[TContext],
    PostgresSearch[TContext],
    PostgresJournal[TContext],
    PostgresSurvey,
    AcceptingStore[TContext],
):
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
        search: Whether threads can be searched. None for wherever a subclass keeps what it is given; one that overrides
            a method to encrypt what is stored, say, shows no search.

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
        search: bool | None = None,
    ) -> None:
        super().__init__(search=search)
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
        # Not a method of this store: a store that is forgotten goes at once.
        self._admission = Admission(partial(erased_owners, self.database))

    def owner(self, context: TContext) -> str:
        return owner_from_context(context, self._owner_of)

    async def admit(self, context: TContext) -> None:
        await self._admission.check(self.owner(context))

    async def _write(
        self, owner: str, work: Callable[[Transaction], Awaitable[T]], *, repeatable: bool = False
    ) -> T:
        fence = records.active_fence()
        if fence is None:
            return await self.database.write(work, repeatable=repeatable)

        async def fenced(transaction: Transaction) -> T:
            running = await transaction.value(SQL["is_turn_running"], owner, fence.turn_id, fence.token)
            return records.stale(fence) if running is None else await work(transaction)

        return await self.database.write(fenced, repeatable=repeatable)

    async def _value(self, query: str, *arguments: object) -> Any:
        return await self.database.read(lambda transaction: transaction.value(SQL[query], *arguments))

    async def _rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        return await self.database.read(lambda transaction: transaction.rows(SQL[query], *arguments))

    async def load_thread(self, thread_id: str, context: TContext) -> ThreadMetadata:
        data = await self._value("load_thread", self.owner(context), thread_id)
        return records.no_thread(thread_id) if data is None else records.load_thread(data)

    async def save_thread(self, thread: ThreadMetadata, context: TContext) -> None:
        owner = self.owner(context)
        arguments = (owner, *self._thread_columns(owner, thread, records.dump_thread(thread)))

        async def save(transaction: Transaction) -> None:
            if await transaction.value(SQL["change_thread"], *arguments) is None:
                await transaction.value(SQL["lock_owner"], owner)
                await transaction.value(SQL["add_thread"], *arguments)

        await self._write(owner, save, repeatable=True)

    def _thread_columns(self, owner: str, thread: ThreadMetadata, data: str) -> tuple[object, ...]:
        columns = document_columns(data, records.load_thread)
        words = vector_columns(owner, title_words(data) if self.can_search else None)
        return (thread.id, *columns, thread.created_at, records.stamp(), *words)

    async def save_thread_fields(
        self, thread_id: str, changed: Mapping[str, Any], context: TContext
    ) -> ThreadMetadata:
        owner = self.owner(context)
        changed = copy.deepcopy(dict(changed))

        async def save(transaction: Transaction) -> ThreadMetadata:
            # Two statements: one that locks and reads at once may read what was there before it had to wait.
            await lock_thread(transaction, owner, thread_id)
            stored = await transaction.value(SQL["load_thread"], owner, thread_id)
            updated = records.changed_thread(stored, changed)
            data = records.dump_thread(updated)
            await transaction.value(SQL["change_thread"], owner, *self._thread_columns(owner, updated, data))
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

    async def survey_threads(
        self, prefix: str, limit: int, after: OwnedThread | None, order: str, *, thread_id: str | None = None
    ) -> list[OwnedThread]:
        place = (None, None) if after is None else (after.thread.created_at, after.thread.id)
        query = f"survey_threads_{records.validate_page_request(limit, order)}"
        rows = await self._rows(query, *owner_range(prefix), thread_id, *place, limit)
        return [OwnedThread(owner, records.load_thread(data)) for owner, data in rows]

    async def delete_thread(self, thread_id: str, context: TContext) -> None:
        owner = self.owner(context)
        ended = (owner, thread_id, DELETED, float(COMPLETION_RETENTION))

        async def delete(transaction: Transaction) -> None:
            # A turn that still runs must not bring the thread back. Before the thread, in the order in which the
            # writes of turns take their locks.
            await transaction.value(SQL["delete_turns_of_thread"], owner, thread_id)
            await transaction.value(SQL["end_turns_of_thread"], *ended)
            if await transaction.value(SQL["delete_thread"], owner, thread_id) is None:
                records.no_thread(thread_id)
            await transaction.value(SQL["delete_attachments_of_thread"], owner, thread_id)
            # Those that were accepted while this waited for the thread.
            await transaction.value(SQL["delete_turns_of_thread"], owner, thread_id)
            await transaction.value(SQL["end_turns_of_thread"], *ended)

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
        data = records.dump_model(item)
        columns = document_columns(data, records.load_item)
        words = turns.search_columns(owner, data, indexes=self.can_search)
        attempts = 0

        async def store(transaction: Transaction) -> None:
            nonlocal attempts
            attempts += 1
            thread = await lock_thread(transaction, owner, thread_id)
            if await transaction.value(SQL[query], thread, item_id, kind, *columns, *words) is None:
                if attempts > 1:
                    # The attempt whose commit was not answered may have been carried out.
                    stored = await transaction.value(SQL["load_item"], owner, thread_id, item_id)
                    if records.load_item(stored) == records.load_item(data):
                        return
                records.item_exists(thread_id, item_id)

        await self._write(owner, store, repeatable=True)

    async def save_item_if_unchanged(
        self, thread_id: str, before: ThreadItem, after: ThreadItem, context: TContext
    ) -> None:
        owner, change = self.owner(context), ItemChange(before, after)
        indexes = self.can_search
        await self._write(
            owner,
            lambda transaction: turns.change_item(transaction, owner, thread_id, change, indexes=indexes),
        )

    async def load_item(self, thread_id: str, item_id: str, context: TContext) -> ThreadItem:
        data = await self._value("load_item", self.owner(context), thread_id, item_id)
        return records.no_item(thread_id, item_id) if data is None else records.load_item(data)

    async def delete_thread_item(self, thread_id: str, item_id: str, context: TContext) -> None:
        owner = self.owner(context)

        async def delete(transaction: Transaction) -> None:
            deleted = await transaction.value(SQL["delete_item"], owner, thread_id, item_id)
            if deleted is None and await transaction.value(SQL["find_thread"], owner, thread_id) is None:
                records.no_thread(thread_id)

        await self._write(owner, delete, repeatable=True)

    async def delete_items_after(self, thread_id: str, item_id: str, context: TContext) -> None:
        owner = self.owner(context)

        async def delete(transaction: Transaction) -> None:
            # Each statement sees what was committed before it: none that was added after the lock is missed.
            thread = await lock_thread(transaction, owner, thread_id)
            item = await transaction.value(SQL["find_item"], thread, item_id)
            if item is None:
                records.no_item(thread_id, item_id)
            await transaction.value(SQL["delete_items_after"], thread, item)

        await self._write(owner, delete)

    async def save_attachment(self, attachment: Attachment, context: TContext) -> None:
        owner = self.owner(context)
        columns = document_columns(records.dump_model(attachment), records.load_attachment)
        arguments = (owner, attachment.id, attachment.thread_id, *columns)
        await self._write(
            owner, lambda transaction: transaction.value(SQL["save_attachment"], *arguments), repeatable=True
        )

    async def load_attachment(self, attachment_id: str, context: TContext) -> Attachment:
        data = await self._value("load_attachment", self.owner(context), attachment_id)
        return records.no_attachment(attachment_id) if data is None else records.load_attachment(data)

    async def delete_attachment(self, attachment_id: str, context: TContext) -> None:
        owner = self.owner(context)
        await self._write(
            owner, lambda transaction: transaction.value(SQL["delete_attachment"], owner, attachment_id)
        )

    async def sweep_attachments(self, seconds: float) -> int:
        rows = await self.database.write(
            lambda transaction: transaction.rows(SQL["sweep_attachments"], seconds), repeatable=True
        )
        return len(rows)

    async def unclaimed_attachments(self, seconds: float) -> list[tuple[str, str]]:
        return [
            (owner, attachment_id)
            for owner, attachment_id in await self._rows("unclaimed_attachments", seconds)
        ]

    async def attachment_ids(self, thread_id: str, context: TContext) -> list[str]:
        # A message that was deleted, to answer another one again, leaves the record.
        named = await super().attachment_ids(thread_id, context)
        rows = await self._rows("attachments_of_thread", self.owner(context), thread_id)
        return list(dict.fromkeys([*named, *(row[0] for row in rows)]))

    # Turns, whose rights are what the fence is about, are written without it.

    async def accept_turn(self, acceptance: Acceptance, context: TContext) -> AcceptedTurn:
        owner, documents = self.owner(context), records.documents_of(acceptance)
        indexes = self.can_search
        return await self.database.write(
            lambda transaction: turns.accept_turn(transaction, owner, acceptance, documents, indexes=indexes)
        )

    async def resolve_turn(self, turn_id: str, thread_id: str, context: TContext) -> AcceptedTurn | None:
        owner = self.owner(context)
        return await self.database.write(
            lambda transaction: turns.resolve_turn(transaction, owner, turn_id, thread_id), repeatable=True
        )

    async def find_turn(self, turn_id: str, context: TContext) -> AcceptedTurn | None:
        owner = self.owner(context)
        return await self.database.read(lambda transaction: turns.find_turn(transaction, owner, turn_id))

    async def turns_beside(
        self, thread_id: str, turn_id: str, since: datetime | None, context: TContext
    ) -> list[str]:
        owner = self.owner(context)
        retention = float(COMPLETION_RETENTION)
        rows = await self._rows("turns_beside", owner, thread_id, turn_id, since, retention)
        return [turn_id for (turn_id,) in rows]

    async def find_keyed_turn(self, key: str, context: TContext) -> AcceptedTurn | None:
        owner = self.owner(context)
        return await self.database.read(
            lambda transaction: turns.find_turn(transaction, owner, key, query="find_keyed_turn")
        )

    async def begin_waiting_turn(
        self, turn_id: str, token: int, context: TContext, *, at_once: bool = False
    ) -> tuple[str, ...]:
        owner, indexes = self.owner(context), self.can_search
        return await self.database.write(
            lambda transaction: turns.begin_waiting_turn(
                transaction, owner, turn_id, token, at_once=at_once, indexes=indexes
            ),
            repeatable=True,
        )

    async def open_turn(self, turn_id: str, token: int, context: TContext) -> None:
        owner = self.owner(context)
        await self.database.write(
            lambda transaction: turns.open_turn(transaction, owner, turn_id, token), repeatable=True
        )

    async def renew_turns(self, held: Sequence[tuple[str, Fence]], lease: float) -> None:
        owners = [owner for owner, _ in held]
        ids, tokens = [fence.turn_id for _, fence in held], [fence.token for _, fence in held]
        await self.database.write(
            lambda transaction: transaction.value(SQL["renew_turns"], owners, ids, tokens, float(lease)),
            repeatable=True,
        )

    async def claim_turn(self, turn: AcceptedTurn, lease: float, context: TContext) -> AcceptedTurn | None:
        owner = self.owner(context)
        return await self.database.write(
            lambda transaction: turns.claim_turn(transaction, owner, turn, lease)
        )

    async def withdraw_turn(self, acceptance: Acceptance, token: int, context: TContext) -> bool:
        owner, indexes = self.owner(context), self.can_search
        return await self.database.write(
            lambda transaction: turns.withdraw_turn(transaction, owner, acceptance, token, indexes=indexes),
            repeatable=True,
        )

    async def finish_turn(
        self, turn_id: str, token: int, end: str, context: TContext, *, info: str = ""
    ) -> bool:
        owner = self.owner(context)
        return await self.database.write(
            lambda transaction: turns.finish_turn(transaction, owner, turn_id, token, end, info),
            repeatable=True,
        )

    async def lapsed_turns(self, seconds: float) -> list[LapsedTurn]:
        # Only looked at first: a sweep that finds nothing writes nothing.
        if not await self._value("has_lapsed"):
            return []
        return await self.database.write(
            lambda transaction: turns.lapsed_turns(transaction, seconds), repeatable=True
        )

    async def begin_turn(self, thread_id: str, turn_id: str, context: TContext) -> int:
        owner = self.owner(context)
        return await self.database.write(
            lambda transaction: turns.begin_turn(transaction, owner, thread_id, turn_id), repeatable=True
        )

    async def has_completed(self, turn_id: str, context: TContext) -> bool:
        return await self._value("has_completed", self.owner(context), turn_id)

    def stream_log(self) -> PostgresStreamLog | None:
        """Returns a log in the same database; None with a pooler that shares sessions, which cannot listen."""
        from chatkit.streams.postgres import PostgresStreamLog

        return None if self.database.settings.stateless else PostgresStreamLog(self.database)

    def quota_counter(self) -> PostgresCounter:
        """Returns a counter in the same database."""
        from chatkit.counters.postgres import PostgresCounter

        return PostgresCounter(self.database)

    async def check(self) -> None:
        await self.database.read(lambda transaction: transaction.value(SQL["check"]), patient=False)

    def stop_waiting(self) -> bool:
        self.database.stop_waiting()
        return True

    async def close(self) -> None:
        await self.database.close()
