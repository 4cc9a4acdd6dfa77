"""The transactions of the SQLite store."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chatkit._sql import load_queries
from chatkit.ids import utc_now
from chatkit.store import _records as records
from chatkit.store.acceptance import DELETED
from chatkit.store.base import COMPLETION_RETENTION
from chatkit.store.owners import OwnedThread, owner_range

if TYPE_CHECKING:
    from sqlite3 import Connection, Cursor

    from chatkit.types import Attachment, Page, ThreadItem, ThreadMetadata

__all__ = [
    "SQL",
    "all_rows",
    "change",
    "delete_item",
    "delete_items_after",
    "delete_thread",
    "erased_owners",
    "first_values",
    "load_attachment",
    "load_item",
    "load_items",
    "load_thread",
    "load_threads",
    "run",
    "save_item_if_unchanged",
    "save_thread",
    "save_thread_fields",
    "store_item",
    "survey_threads",
]

SQL: Final = load_queries(Path(__file__).parent / "queries" / "sqlite.sql")

_BEFORE_ALL: Final = 0
_AFTER_ALL: Final = 2**63 - 1


def run(connection: Connection, query: str, **parameters: str | float | None) -> Cursor:
    return connection.execute(SQL[query], parameters)


def change(connection: Connection, *, query: str, **parameters: str | float | None) -> int:
    """Returns how many rows a statement has changed."""
    return run(connection, query, **parameters).rowcount


def first_values(connection: Connection, *, query: str, **parameters: str | int | None) -> list[Any]:
    return [row[0] for row in run(connection, query, **parameters)]


def all_rows(connection: Connection, *, query: str, **parameters: str | float | None) -> list[Any]:
    return run(connection, query, **parameters).fetchall()


def erased_owners(connection: Connection) -> frozenset[str]:
    """Returns whose data is being erased."""
    return frozenset(first_values(connection, query="erased_owners"))


def load_thread(connection: Connection, *, owner: str, thread_id: str) -> ThreadMetadata:
    row = run(connection, "load_thread", owner=owner, thread_id=thread_id).fetchone()
    return records.no_thread(thread_id) if row is None else records.load_thread(row[0])


def save_thread(
    connection: Connection,
    *,
    owner: str,
    thread_id: str,
    data: str,
    created_at: str,
    updated_at: str | None = None,
    query: str = "save_thread",
) -> int:
    """Returns how many threads were saved: none where ``add_thread`` finds one."""
    return change(
        connection,
        query=query,
        owner=owner,
        thread_id=thread_id,
        data=data,
        created_at=created_at,
        updated_at=updated_at or utc_now().isoformat(),
    )


def save_thread_fields(
    connection: Connection, *, owner: str, thread_id: str, changed: Mapping[str, Any]
) -> ThreadMetadata:
    row = run(connection, "load_thread", owner=owner, thread_id=thread_id).fetchone()
    if row is None:
        records.no_thread(thread_id)
    updated = records.changed_thread(row[0], changed)
    data, created_at = records.dump_thread(updated), updated.created_at.isoformat()
    save_thread(connection, owner=owner, thread_id=thread_id, data=data, created_at=created_at)
    return records.load_thread(data)


def load_threads(
    connection: Connection, *, owner: str, limit: int, after: str | None, order: str
) -> Page[ThreadMetadata]:
    cursor = _BEFORE_ALL if order == "asc" else _AFTER_ALL
    if after is not None:
        row = run(connection, "find_thread", owner=owner, thread_id=after).fetchone()
        cursor = records.no_thread(after) if row is None else row[0]
    # Exhausted before the rows are read: a statement under way would outlast a row that is unreadable.
    rows = run(connection, f"load_threads_{order}", owner=owner, after=cursor, count=limit + 1).fetchall()
    return records.page_of([records.load_thread(data) for (data,) in rows], limit, after)


def survey_threads(
    connection: Connection,
    *,
    prefix: str,
    limit: int,
    after: OwnedThread | None,
    order: str,
    thread_id: str | None,
) -> list[OwnedThread]:
    low, high = owner_range(prefix)
    rows = run(
        connection,
        f"survey_threads_{records.validate_page_request(limit, order)}",
        low=low,
        high=high,
        thread_id=thread_id,
        after=None if after is None else after.thread.id,
        created_at=None if after is None else after.thread.created_at.isoformat(),
        count=limit,
    ).fetchall()
    return [OwnedThread(owner, records.load_thread(data)) for owner, data in rows]


def delete_thread(connection: Connection, *, owner: str, thread_id: str) -> None:
    if run(connection, "delete_thread", owner=owner, thread_id=thread_id).rowcount == 0:
        records.no_thread(thread_id)
    run(connection, "delete_attachments_of_thread", owner=owner, thread_id=thread_id)
    # A turn that still runs must not bring the thread back.
    run(connection, "delete_turns_of_thread", owner=owner, thread_id=thread_id)
    forget_at = round(time.time()) + COMPLETION_RETENTION
    run(connection, "end_turns_of_thread", owner=owner, thread_id=thread_id, end=DELETED, forget_at=forget_at)
    run(connection, "forget_turns_of_thread", owner=owner, thread_id=thread_id)


def load_items(
    connection: Connection, *, owner: str, thread_id: str, limit: int, after: str | None, order: str
) -> Page[ThreadItem]:
    thread, cursor = find_item(connection, owner=owner, thread_id=thread_id, item_id=after)
    if cursor is None:
        cursor = _BEFORE_ALL if order == "asc" else _AFTER_ALL
    rows = run(connection, f"load_items_{order}", thread=thread, after=cursor, count=limit + 1).fetchall()
    return records.page_of([records.load_item(data) for (data,) in rows], limit, after)


def find_item(
    connection: Connection, *, owner: str, thread_id: str, item_id: str | None
) -> tuple[int, int | None]:
    """Returns the numbers of the thread and of the item, None for no item."""
    row = run(connection, "find_item", owner=owner, thread_id=thread_id, item_id=item_id).fetchone()
    if row is None:
        records.no_thread(thread_id)
    thread, item = row
    if item is None and item_id is not None:
        records.no_item(thread_id, item_id)
    return thread, item


def store_item(
    connection: Connection, *, query: str, owner: str, thread_id: str, item_id: str, type: str, data: str
) -> None:
    stored = run(
        connection, query, owner=owner, thread_id=thread_id, item_id=item_id, type=type, data=data
    ).rowcount
    if stored == 0:
        find_item(connection, owner=owner, thread_id=thread_id, item_id=None)
        records.item_exists(thread_id, item_id)


def save_item_if_unchanged(
    connection: Connection,
    *,
    owner: str,
    thread_id: str,
    item_id: str,
    type: str,
    before: str,
    after: str,
) -> None:
    row = run(connection, "load_item", owner=owner, thread_id=thread_id, item_id=item_id).fetchone()
    if row is None:
        records.no_item(thread_id, item_id)
    records.check_unchanged(row[0], before, thread_id, item_id)
    run(connection, "save_item", owner=owner, thread_id=thread_id, item_id=item_id, type=type, data=after)


def load_item(connection: Connection, *, owner: str, thread_id: str, item_id: str) -> ThreadItem:
    row = run(connection, "load_item", owner=owner, thread_id=thread_id, item_id=item_id).fetchone()
    return records.no_item(thread_id, item_id) if row is None else records.load_item(row[0])


def delete_item(connection: Connection, *, owner: str, thread_id: str, item_id: str) -> None:
    if run(connection, "delete_item", owner=owner, thread_id=thread_id, item_id=item_id).rowcount == 0:
        find_item(connection, owner=owner, thread_id=thread_id, item_id=None)


def delete_items_after(connection: Connection, *, owner: str, thread_id: str, item_id: str) -> None:
    thread, item = find_item(connection, owner=owner, thread_id=thread_id, item_id=item_id)
    run(connection, "delete_items_after", thread=thread, after=item)


def load_attachment(connection: Connection, *, owner: str, attachment_id: str) -> Attachment:
    row = run(connection, "load_attachment", owner=owner, attachment_id=attachment_id).fetchone()
    return records.no_attachment(attachment_id) if row is None else records.load_attachment(row[0])
