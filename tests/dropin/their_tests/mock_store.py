"""A store that the tests in the source distribution of ``openai-chatkit`` 1.6.5 import, and that is not in it.

Written from how they use it: ``SQLiteStore(path)``, separate owners, ``add_thread_item`` adds a row each time.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from pydantic import TypeAdapter

from chatkit.store import NotFoundError, Store
from chatkit.types import Attachment, Page, ThreadItem, ThreadMetadata

ITEM: Any = TypeAdapter(ThreadItem)
ATTACHMENT: Any = TypeAdapter(Attachment)
THREAD: Any = TypeAdapter(ThreadMetadata)


class SQLiteStore(Store[Any]):
    def __init__(self, db_path: str) -> None:
        self.db_path = db_path
        for table in ("threads", "items", "attachments"):
            self._run(
                f"CREATE TABLE IF NOT EXISTS {table} (position INTEGER PRIMARY KEY, owner TEXT, thread TEXT,"
                " id TEXT, body TEXT)"
            )

    def _run(self, sql: str, *values: Any) -> list[Any]:
        connection = sqlite3.connect(self.db_path, uri=True)
        try:
            with connection:
                return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def _put(self, table: str, model: Any, context: Any, thread: str = "") -> None:
        changed = self._run(
            f"UPDATE {table} SET body = ? WHERE owner = ? AND thread = ? AND id = ? RETURNING id",
            model.model_dump_json(),
            context.user_id,
            thread,
            model.id,
        )
        if not changed:
            self._add(table, model, context, thread)

    def _add(self, table: str, model: Any, context: Any, thread: str) -> None:
        self._run(
            f"INSERT INTO {table} (owner, thread, id, body) VALUES (?, ?, ?, ?)",
            context.user_id,
            thread,
            model.id,
            model.model_dump_json(),
        )

    def _all(self, table: str, adapter: Any, context: Any, thread: str = "") -> list[Any]:
        sql = f"SELECT body FROM {table} WHERE owner = ? AND thread = ? ORDER BY position"
        return [adapter.validate_json(body) for (body,) in self._run(sql, context.user_id, thread)]

    def _one(self, table: str, adapter: Any, id: str, context: Any, thread: str = "") -> Any:
        for model in self._all(table, adapter, context, thread):
            if model.id == id:
                return model
        raise NotFoundError(f"{table[:-1].capitalize()} {id} not found")

    def _drop(self, table: str, id: str, context: Any, thread: str = "") -> None:
        self._run(
            f"DELETE FROM {table} WHERE owner = ? AND thread = ? AND id = ?", context.user_id, thread, id
        )

    async def load_thread(self, thread_id, context):
        return self._one("threads", THREAD, thread_id, context)

    async def save_thread(self, thread, context):
        fields = {name: getattr(thread, name) for name in ThreadMetadata.model_fields}
        self._put("threads", ThreadMetadata(**fields), context)

    async def load_threads(self, limit, after, order, context):
        return page(self._all("threads", THREAD, context), after, limit, order)

    async def delete_thread(self, thread_id, context):
        self._drop("threads", thread_id, context)
        self._run("DELETE FROM items WHERE owner = ? AND thread = ?", context.user_id, thread_id)

    async def load_thread_items(self, thread_id, after, limit, order, context):
        return page(self._all("items", ITEM, context, thread_id), after, limit, order)

    async def add_thread_item(self, thread_id, item, context):
        self._add("items", item, context, thread_id)

    async def save_item(self, thread_id, item, context):
        self._put("items", item, context, thread_id)

    async def load_item(self, thread_id, item_id, context):
        return self._one("items", ITEM, item_id, context, thread_id)

    async def delete_thread_item(self, thread_id, item_id, context):
        self._drop("items", item_id, context, thread_id)

    async def save_attachment(self, attachment, context):
        self._put("attachments", attachment, context)

    async def load_attachment(self, attachment_id, context):
        return self._one("attachments", ATTACHMENT, attachment_id, context)

    async def delete_attachment(self, attachment_id, context):
        self._drop("attachments", attachment_id, context)


def page(entries: list[Any], after: str | None, limit: int, order: str) -> Any:
    if order == "desc":
        entries.reverse()
    if after is not None:
        entries = entries[[entry.id for entry in entries].index(after) + 1 :]
    data = entries[:limit]
    more = len(entries) > limit
    return Page(data=data, has_more=more, after=data[-1].id if more and data else None)
