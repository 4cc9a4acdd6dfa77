"""The ten methods of a store, over SQLite."""

import asyncio
import sqlite3
import uuid
from contextlib import closing
from typing import Any

from pydantic import TypeAdapter

from chatkit.types import Store, ThreadItem, ThreadMetadata

ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)

SCHEMA = """
CREATE TABLE IF NOT EXISTS threads (id TEXT PRIMARY KEY, data TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS items (
    thread_id TEXT NOT NULL REFERENCES threads ON DELETE CASCADE,
    id TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (thread_id, id)
);
"""


class SQLiteStore(Store):
    """Keeps threads and items as JSON, each in a row; rows are numbered in the order in which they are added.

    Args:
        path: The database, which is made when it is not there.
    """

    def __init__(self, path: str = "reference.db") -> None:
        self._path = path
        with closing(sqlite3.connect(path)) as db:
            db.executescript(SCHEMA)

    async def load_thread(self, thread_id: str) -> ThreadMetadata | None:
        found = await self._run("SELECT data FROM threads WHERE id = ?", thread_id)
        return ThreadMetadata.model_validate_json(found[0]) if found else None

    async def save_thread(self, thread: ThreadMetadata) -> None:
        await self._run(
            "INSERT INTO threads VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET data = excluded.data",
            thread.id,
            thread.model_dump_json(exclude={"items"}),
        )

    async def load_threads(self, limit: int = 50) -> list[ThreadMetadata]:
        found = await self._run("SELECT data FROM threads ORDER BY rowid DESC LIMIT ?", limit)
        return [ThreadMetadata.model_validate_json(data) for data in found]

    async def load_thread_items(self, thread_id: str) -> list[ThreadItem]:
        found = await self._run("SELECT data FROM items WHERE thread_id = ? ORDER BY rowid", thread_id)
        return [ITEM.validate_json(data) for data in found]

    async def add_thread_item(self, thread_id: str, item: ThreadItem) -> None:
        data = item.model_dump_json()
        await self._run("INSERT INTO items VALUES (?, ?, ?)", thread_id, item.id, data)

    async def save_item(self, thread_id: str, item: ThreadItem) -> None:
        data = item.model_dump_json()
        await self._run("UPDATE items SET data = ? WHERE thread_id = ? AND id = ?", data, thread_id, item.id)

    async def load_item(self, thread_id: str, item_id: str) -> ThreadItem | None:
        found = await self._run("SELECT data FROM items WHERE thread_id = ? AND id = ?", thread_id, item_id)
        return ITEM.validate_json(found[0]) if found else None

    async def delete_thread(self, thread_id: str) -> None:
        await self._run("DELETE FROM threads WHERE id = ?", thread_id)

    async def delete_thread_item(self, thread_id: str, item_id: str) -> None:
        await self._run("DELETE FROM items WHERE thread_id = ? AND id = ?", thread_id, item_id)

    async def generate_id(self, prefix: str) -> str:
        return f"{prefix}_{uuid.uuid4().hex}"

    async def _run(self, statement: str, *values: Any) -> list[str]:
        """Runs a statement in a transaction, and returns the first column of what it finds."""

        def run() -> list[str]:
            with closing(sqlite3.connect(self._path)) as db, db:
                db.execute("PRAGMA foreign_keys = ON")
                return [row[0] for row in db.execute(statement, values)]

        return await asyncio.to_thread(run)
