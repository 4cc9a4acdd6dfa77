"""What goes wrong with a file: the store says what to do, loses nothing, and works again afterwards."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from chatkit import _sqlite
from chatkit.errors import InvalidRequestError, NotFoundError, StoreError, StoreUnavailableError
from chatkit.store import SQLiteStore, sqlite
from chatkit.testing._store_samples import message
from chatkit.types import HiddenContextItem, ThreadMetadata
from tests.support.scale import is_within

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
    monkeypatch.setattr(_sqlite.database, "_BUSY_SECONDS", 0.05)

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
    monkeypatch.setattr(_sqlite.database, "_BUSY_SECONDS", 0.05)

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


@pytest.mark.parametrize(
    "damage", ["json_set(data, '$.type', 'of the future')", "substr(data, 1, length(data) - 5)"]
)
def test_an_unreadable_item_is_named_and_can_be_deleted(tmp_path: Path, damage: str) -> None:
    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
        for name in ("a", "b", "c"):
            await store.add_thread_item("thr", message(name), CONTEXT)
        await change(path, f"UPDATE items SET data = {damage} WHERE id = 'b'")
        with pytest.raises(StoreError, match="It is id 'b' and thread_id") as caught:
            await item_ids(store)
        assert "'b'" not in caught.value.public_message
        await store.delete_thread_item("thr", "b", CONTEXT)
        assert await item_ids(store) == ["a", "c"]

    run(tmp_path / "chat.db", scenario)


async def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        assert other.execute(statement).rowcount > 0


def test_an_unreadable_row_does_not_hold_an_old_state(tmp_path: Path) -> None:
    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        for name in ("thr", "broken", "last"):
            await store.save_thread(ThreadMetadata(id=name), CONTEXT)
        for name in ("a", "b", "c"):
            await store.add_thread_item("thr", message(name), CONTEXT)
        await change(path, "UPDATE items SET data = '{}' WHERE id = 'b'")
        await change(path, "UPDATE threads SET data = '{}' WHERE id = 'broken'")
        # The errors are kept, and with them all that their tracebacks refer to.
        with pytest.raises(StoreError) as items_error:
            await item_ids(store)
        with pytest.raises(StoreError) as threads_error:
            await store.load_threads(9, None, "asc", CONTEXT)
        await store.save_thread(ThreadMetadata(id="new"), CONTEXT)
        assert (await store.load_thread("new", CONTEXT)).id == "new"
        assert items_error.value is not threads_error.value

    run(tmp_path / "chat.db", scenario)


@pytest.mark.parametrize("fails", [True, False])
def test_a_statement_that_was_left_open_does_not_hold_an_old_state(tmp_path: Path, *, fails: bool) -> None:
    cursors: list[sqlite3.Cursor] = []

    def work(connection: sqlite3.Connection) -> None:
        cursors.append(connection.execute("SELECT seq FROM threads"))
        cursors[0].fetchone()
        if fails:
            raise KeyError("application")

    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        for name in ("a", "b", "c"):
            await store.save_thread(ThreadMetadata(id=name), CONTEXT)
        try:
            await store.database.read(work)
        except KeyError:
            assert fails
        await store.save_thread(ThreadMetadata(id="new"), CONTEXT)
        assert (await store.load_thread("new", CONTEXT)).id == "new"
        assert len(cursors) == 1

    run(tmp_path / "chat.db", scenario)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_requests_behind_a_locked_file_wait_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
        monkeypatch.setattr(_sqlite.database, "_BUSY_SECONDS", 0.5)
        with locked(path):
            start = time.monotonic()
            results = await asyncio.gather(
                *(store.add_thread_item("thr", message(f"m{n}"), CONTEXT) for n in range(6)),
                return_exceptions=True,
            )
            # One after the other they would take three seconds.
            assert (took := time.monotonic() - start) > 0.4
            assert is_within(took, 2)
        assert [type(result) for result in results] == [StoreUnavailableError] * 6
        await store.add_thread_item("thr", message("after"), CONTEXT)
        assert await item_ids(store) == ["after"]

    run(tmp_path / "chat.db", scenario)


def test_a_locked_file_is_not_ready(tmp_path: Path) -> None:
    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
        with locked(path):
            start = time.monotonic()
            with pytest.raises(StoreUnavailableError, match="stayed locked for"):
                await store.check()
            # Behind a request that waits for ten seconds, too.
            waiting = asyncio.create_task(store.add_thread_item("thr", message("a"), CONTEXT))
            with pytest.raises(StoreUnavailableError, match="stayed locked for"):
                await store.check()
            assert is_within(time.monotonic() - start, 5)
            assert not waiting.done()
        await waiting
        await store.check()

    run(tmp_path / "chat.db", scenario)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """Mounts a disk of so many bytes; skips the test where that is not allowed."""
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    folder.mkdir()
    if mount is None or unmount is None or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    mounted = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this machine mounts no small disk")
    try:
        yield
    finally:
        subprocess.run([unmount, folder], check=True)


def test_a_full_disk_is_not_ready(tmp_path: Path) -> None:
    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
        await store.check()
        filler = path.with_name("filler")
        with filler.open("wb", buffering=0) as file:
            file.write(bytes(shutil.disk_usage(path).free))
        with pytest.raises(StoreUnavailableError, match="no space left: free space on its disk"):
            await store.check()
        assert (await store.load_thread("thr", CONTEXT)).id == "thr", "what is stored can still be read"
        filler.unlink()
        await store.check()

    with small_disk(tmp_path / "disk", 4 * 2**20):
        run(tmp_path / "disk" / "chat.db", scenario)


def test_a_disk_without_room_for_a_page_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The file system tells nothing: what counts is whether something can be written.
    monkeypatch.setattr(sqlite, "_ROOM", 0)
    monkeypatch.setattr(sqlite, "_PROBE_EVERY", 0.0)

    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        await store.check()
        with path.with_name("filler").open("wb", buffering=0) as file:
            file.write(bytes(shutil.disk_usage(path).free))

        async def check_again_and_again() -> None:
            # The log may have room for some pages.
            for _ in range(100):
                await store.check()

        with pytest.raises(StoreUnavailableError, match="no space left: free space on its disk"):
            await check_again_and_again()
        path.with_name("filler").unlink()
        await store.check()

    with small_disk(tmp_path / "disk", 4 * 2**20):
        run(tmp_path / "disk" / "chat.db", scenario)


async def test_a_check_writes_once_a_second_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SQLiteStore(tmp_path / "chat.db")

    def probes(connection: sqlite3.Connection) -> int:
        return connection.execute("SELECT value FROM counters WHERE name = 'probe'").fetchone()[0]

    monkeypatch.setattr(sqlite, "_PROBE_EVERY", 3600.0)
    for _ in range(3):
        await store.check()
    assert await store.database.read(probes) == 1
    monkeypatch.setattr(sqlite, "_PROBE_EVERY", 0.0)
    await store.check()
    assert await store.database.read(probes) == 2
    await store.close()


def test_a_store_that_was_told_to_stop_waiting_fails_at_once(tmp_path: Path) -> None:
    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
        with locked(path):
            waiting = asyncio.create_task(store.add_thread_item("thr", message("a"), CONTEXT))
            await store.load_thread("thr", CONTEXT)
            start = time.monotonic()
            store.stop_waiting()
            with pytest.raises(StoreUnavailableError):
                await waiting
            with pytest.raises(StoreUnavailableError):
                await store.add_thread_item("thr", message("b"), CONTEXT)
            assert is_within(time.monotonic() - start, 2)
        await store.add_thread_item("thr", message("c"), CONTEXT)
        assert await item_ids(store) == ["c"]
        await store.close()
        unlock = asyncio.Event()

        async def write() -> None:
            await store.add_thread_item("thr", message("d"), CONTEXT)
            assert unlock.is_set(), "a store that is used again waits again"

        await store.load_thread("thr", CONTEXT)
        with locked(path):
            writing = asyncio.create_task(write())
            await store.load_thread("thr", CONTEXT)
            unlock.set()
        await writing

    run(tmp_path / "chat.db", scenario)


def test_closing_and_cancelling_end_the_wait_for_a_lock(tmp_path: Path) -> None:
    async def scenario(store: SQLiteStore[Any], path: Path) -> None:
        await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
        with locked(path):
            start = time.monotonic()
            waiting = asyncio.create_task(store.add_thread_item("thr", message("a"), CONTEXT))
            await store.load_thread("thr", CONTEXT)
            await store.close()
            with pytest.raises(StoreUnavailableError):
                await waiting
            waiting = asyncio.create_task(store.add_thread_item("thr", message("b"), CONTEXT))
            await store.load_thread("thr", CONTEXT)
            waiting.cancel()
            with pytest.raises(StoreUnavailableError):
                await store.database.write(lambda _: None, wait=0)
            assert is_within(time.monotonic() - start, 5)

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
