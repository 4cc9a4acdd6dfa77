"""What goes wrong with a file: the store says what to do, loses nothing, and works again afterwards."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from chatkit import _sqlite
from chatkit.errors import InvalidRequestError, NotFoundError, StoreError, StoreUnavailableError
from chatkit.store import SQLiteStore
from chatkit.testing._store_samples import message
from chatkit.types import HiddenContextItem, ThreadMetadata

CONTEXT = {"user_id": "alice"}
Scenario = Callable[[SQLiteStore[Any], Path], Awaitable[None]]


def run(path: Path, scenario: Scenario) -> None:
    async def main() -> None:
        store = SQLiteStore(path)
        try:
            await scenario(store, path)
        finally:
            await store.close()

    asyncio.run(main())


async def pragma(store: SQLiteStore[Any], text: str) -> None:
    """Changes a setting of the writing connection."""
    await store.database.write(lambda connection: connection.execute(f"PRAGMA {text}").fetchall())


async def item_ids(store: SQLiteStore[Any]) -> list[str]:
    return [item.id for item in (await store.load_thread_items("thr", None, 9999, "asc", CONTEXT)).data]


async def integrity(store: SQLiteStore[Any]) -> str:
    return await store.database.read(
        lambda connection: connection.execute("PRAGMA integrity_check").fetchone()[0]
    )


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
        await store.add_thread_item("thr", message("first"), CONTEXT)
        pages = await store.database.read(
            lambda connection: connection.execute("PRAGMA page_count").fetchone()[0]
        )
        await pragma(store, f"max_page_count = {pages + 20}")
        stored = ["first"]

        async def fill() -> None:
            for n in range(1000):
                await store.add_thread_item("thr", message(f"m{n}", "x" * 1000), CONTEXT)
                stored.append(f"m{n}")

        with pytest.raises(StoreUnavailableError, match="no space left: free space on its disk") as caught:
            await fill()
        assert caught.value.status == 503
        assert str(path) not in caught.value.public_message
        assert len(stored) > 2
        with pytest.raises(StoreUnavailableError):
            await store.add_thread_item("thr", message("large", "x" * 500_000), CONTEXT)
        assert await item_ids(store) == stored
        assert await integrity(store) == "ok"
        await store.delete_thread_item("thr", "m0", CONTEXT)
        await pragma(store, "max_page_count = 1000000")
        await store.add_thread_item("thr", message("large", "x" * 500_000), CONTEXT)
        await store.close()
        assert await item_ids(store) == ["first", *stored[2:], "large"]
        assert await integrity(store) == "ok"

    run(tmp_path / "chat.db", scenario)


def test_a_read_only_database_is_still_read(tmp_path: Path) -> None:
    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
        await pragma(store, "query_only = ON")
        with pytest.raises(StoreUnavailableError, match="allow this process to write the file"):
            await store.add_thread_item("thr", message("a"), CONTEXT)
        assert await item_ids(store) == []
        await store.close()
        await store.add_thread_item("thr", message("a"), CONTEXT)

    run(tmp_path / "chat.db", scenario)


def test_reads_cannot_write(tmp_path: Path) -> None:
    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        with pytest.raises(StoreUnavailableError, match="readonly"):
            await store.database.read(lambda connection: connection.execute("DELETE FROM items").rowcount)

    run(tmp_path / "chat.db", scenario)


def test_a_lock_of_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sqlite, "_BUSY_SECONDS", 0.05)

    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailableError, match="stayed locked for"):
                await store.add_thread_item("thr", message("a"), CONTEXT)
            assert (await store.load_thread("thr", CONTEXT)).id == "thr"
            other.execute("ROLLBACK")
        await store.add_thread_item("thr", message("a"), CONTEXT)
        assert await item_ids(store) == ["a"]

    run(tmp_path / "chat.db", scenario)


def test_a_lock_while_the_file_is_opened_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sqlite, "_BUSY_SECONDS", 0.05)

    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(StoreUnavailableError, match="stayed locked for"):
                await store.check()
            other.execute("ROLLBACK")
        await store.check()

    run(tmp_path / "chat.db", scenario)


def test_not_a_database(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    path.write_bytes(b"This is a text that somebody called a database.\n" * 100)

    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        for attempt in (store.check(), store.save_thread(ThreadMetadata(id="thr"), CONTEXT)):
            with pytest.raises(StoreUnavailableError, match="is not an SQLite database: move the file away"):
                await attempt
        assert path.read_bytes().startswith(b"This is a text")
        path.unlink()
        await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
        assert await item_ids(store) == []

    run(path, scenario)


def test_a_missing_folder(tmp_path: Path) -> None:
    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        with pytest.raises(StoreUnavailableError, match="cannot be opened: create its folder"):
            await store.check()
        path.parent.mkdir()
        await store.check()

    run(tmp_path / "missing" / "chat.db", scenario)


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        with pytest.raises(StoreUnavailableError, match="cannot be opened"):
            await store.check()

    run(tmp_path, scenario)


def test_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"

    async def fill(store: SQLiteStore[Any], path: Path) -> None:
        await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
        for n in range(50):
            await store.add_thread_item("thr", message(f"m{n}", "x" * 3000), CONTEXT)

    run(path, fill)
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))

    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        with pytest.raises(StoreUnavailableError, match="is damaged: restore a backup"):
            await store.load_thread_items("thr", None, 50, "asc", CONTEXT)
        path.write_bytes(whole)
        assert len(await item_ids(store)) == 50

    run(path, scenario)


def test_other_errors_of_the_database_are_store_errors(tmp_path: Path) -> None:
    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        for statement in ("SELECT * FROM nowhere", "SELECT ?", "nonsense"):
            with pytest.raises(StoreError, match="failed") as caught:
                await store.database.write(
                    lambda connection, text=statement: connection.execute(text).fetchall()
                )
            assert not isinstance(caught.value, StoreUnavailableError)
        await store.check()

    run(tmp_path / "chat.db", scenario)


def test_what_a_failed_transaction_wrote_is_undone(tmp_path: Path) -> None:
    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM threads")
            raise KeyError("application")

        with pytest.raises(KeyError):
            await store.database.write(work)
        assert (await store.load_thread("thr", CONTEXT)).id == "thr"

    run(tmp_path / "chat.db", scenario)


def test_ids_that_are_not_unicode_are_a_clear_error(tmp_path: Path) -> None:
    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        with pytest.raises(InvalidRequestError, match="not valid Unicode"):
            await store.load_thread("thr_\ud800", CONTEXT)
        with pytest.raises(NotFoundError):
            await store.load_thread("thr_\x00", CONTEXT)

    run(tmp_path / "chat.db", scenario)


def test_items_that_cannot_be_json_are_a_clear_error(tmp_path: Path) -> None:
    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
        with pytest.raises(StoreError, match="HiddenContextItem cannot be stored as JSON"):
            await store.add_thread_item("thr", HiddenContextItem(id="a", content=object()), CONTEXT)
        assert await item_ids(store) == []

    run(tmp_path / "chat.db", scenario)


def test_an_unreadable_item_is_a_clear_error(tmp_path: Path) -> None:
    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
        await store.add_thread_item("thr", message("a"), CONTEXT)
        await store.database.write(
            lambda connection: (
                connection.execute("""UPDATE items SET data = '{"type": "of the future"}'""").rowcount
            )
        )
        with pytest.raises(StoreError, match="stored item cannot be read; a newer version"):
            await store.load_item("thr", "a", CONTEXT)

    run(tmp_path / "chat.db", scenario)


@pytest.mark.parametrize("order", ["newest", "ASC", ""])
def test_an_unknown_order_is_an_invalid_request(tmp_path: Path, order: str) -> None:
    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
        with pytest.raises(InvalidRequestError, match="'order' must be"):
            await store.load_threads(1, None, order, CONTEXT)
        with pytest.raises(InvalidRequestError, match="'limit' must not be negative"):
            await store.load_thread_items("thr", None, -1, "asc", CONTEXT)

    run(tmp_path / "chat.db", scenario)
