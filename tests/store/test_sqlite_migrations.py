"""The schema of the SQLite store: its migrations, and files that are not ours or too new."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from chatkit._sqlite import connection_thread
from chatkit.errors import ConfigurationError, StoreError
from chatkit.store import SQLiteStore
from chatkit.testing._store_samples import item_of_every_kind, message
from chatkit.types import FileAttachment, ThreadMetadata
from tests.support.later_schema import later_migrations

CONTEXT = {"user_id": "alice"}
VERSIONS = sorted(path.name for path in connection_thread.MIGRATIONS.glob("[0-9]*.sql"))


def structure(connection: sqlite3.Connection) -> dict[str, Any]:
    """Returns what the schema means, whatever its text."""
    # The search index is made by the first store that can, not by a migration.
    others = ("sqlite_", "search_index")
    tables = [row for row in connection.execute("PRAGMA table_list") if not row[1].startswith(others)]
    found: dict[str, Any] = {}
    for _, table, kind, _, without_rowid, strict in tables:
        indexes = {
            # SQLite names the indexes of constraints itself.
            tuple(row[1:] for row in connection.execute(f"PRAGMA index_xinfo({name})")): (
                unique,
                origin,
                partial,
            )
            for _, name, unique, origin, partial in connection.execute(f"PRAGMA index_list({table})")
        }
        found[table] = {
            "kind": (kind, without_rowid, strict),
            "columns": connection.execute(f"PRAGMA table_xinfo({table})").fetchall(),
            "indexes": indexes,
            "keys": connection.execute(f"PRAGMA foreign_key_list({table})").fetchall(),
        }
    return found


def migrated(path: Path, versions: list[str]) -> None:
    """Makes a database as a package that knew these migrations made it."""
    with closing(sqlite3.connect(path)) as connection:
        for name in versions:
            connection.executescript((connection_thread.MIGRATIONS / name).read_text("utf-8"))
        connection.execute(f"PRAGMA application_id = {connection_thread.APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(versions)}")


def tables_of(path: Path) -> tuple[list[Any], str]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
        return rows, connection.execute("PRAGMA journal_mode").fetchone()[0]


def test_migrations_are_numbered_without_gaps() -> None:
    assert [name[:5] for name in VERSIONS] == [f"{number:04}_" for number in range(1, len(VERSIONS) + 1)]
    assert all(re.fullmatch(r"\d{4}_[a-z_]+\.sql", name) for name in VERSIONS)


def test_schema_is_that_of_the_replayed_migrations(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "chat.db")

    async def scenario() -> int:
        try:
            return await store.database.migrate()
        finally:
            await store.close()

    assert asyncio.run(scenario()) == len(VERSIONS)
    with (
        closing(sqlite3.connect(tmp_path / "chat.db")) as replayed,
        closing(sqlite3.connect(":memory:")) as kept,
    ):
        kept.executescript((connection_thread.MIGRATIONS / "schema.sql").read_text("utf-8"))
        assert structure(replayed) == structure(kept)
        assert {"threads", "items", "attachments", "turns"} <= set(structure(kept))


def test_a_database_of_the_first_version_is_upgraded_with_its_data(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    migrated(path, VERSIONS[:1])
    thread = ThreadMetadata(id="thr_old", title="Old", metadata={"a": 1})
    items = item_of_every_kind("thr_old")
    attachment = FileAttachment(id="atc", name="a.txt", mime_type="text/plain", thread_id="thr_old")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO threads VALUES (7, 'alice', 'thr_old', ?, '2026-01-01', '2026-01-01')",
            (thread.model_dump_json(),),
        )
        for item in items:
            connection.execute(
                "INSERT INTO items (thread, id, type, data) VALUES (7, ?, ?, ?)",
                (item.id, item.type, item.model_dump_json()),
            )
        connection.execute(
            "INSERT INTO attachments VALUES ('alice', 'atc', 'thr_old', ?)", (attachment.model_dump_json(),)
        )

    async def scenario() -> None:
        store = SQLiteStore(path)
        try:
            assert await store.load_thread("thr_old", CONTEXT) == thread
            page = await store.load_thread_items("thr_old", None, 99, "asc", CONTEXT)
            assert page.data == items
            assert await store.load_attachment("atc", CONTEXT) == attachment
            assert await store.begin_turn("thr_old", "turn", CONTEXT) == 1
            await store.add_thread_item("thr_old", message("new"), CONTEXT)
            assert await store.database.migrate() == len(VERSIONS)
        finally:
            await store.close()

    asyncio.run(scenario())
    with closing(sqlite3.connect(path)) as upgraded, closing(sqlite3.connect(":memory:")) as kept:
        kept.executescript((connection_thread.MIGRATIONS / "schema.sql").read_text("utf-8"))
        assert structure(upgraded) == structure(kept)


def test_a_migration_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    for name in VERSIONS:
        (folder / name).write_text((connection_thread.MIGRATIONS / name).read_text("utf-8"))
    broken = folder / f"{len(VERSIONS) + 1:04}_broken.sql"
    broken.write_text("CREATE TABLE fresh (a TEXT);\nINSERT INTO unknown VALUES (1);\n")
    path = tmp_path / "chat.db"
    migrated(path, VERSIONS[:1])
    before = tables_of(path)[0]
    monkeypatch.setattr(connection_thread, "MIGRATIONS", folder)

    async def scenario() -> None:
        store = SQLiteStore(path)
        try:
            with pytest.raises(StoreError, match="no such table: unknown"):
                await store.check()
            assert tables_of(path)[0] == before
            broken.unlink()
            await store.check()
        finally:
            await store.close()

    asyncio.run(scenario())


def test_a_database_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    migrated(path, VERSIONS)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(VERSIONS) + 3}")
    before = path.read_bytes()

    async def scenario() -> None:
        store = SQLiteStore(path)
        expected = (
            rf"has schema version {len(VERSIONS) + 3}, this version of the package knows {len(VERSIONS)} "
        )
        for attempt in (store.check, store.database.migrate):
            with pytest.raises(ConfigurationError, match=expected):
                await attempt()
        await store.close()

    asyncio.run(scenario())
    assert path.read_bytes() == before


def test_a_database_of_a_newer_version_is_used_where_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "chat.db"
    newer = later_migrations(connection_thread.MIGRATIONS, tmp_path)

    async def scenario() -> None:
        running, later, started = SQLiteStore(path), SQLiteStore(path), SQLiteStore(path)
        await running.save_thread(ThreadMetadata(id="thr_1"), CONTEXT)
        with monkeypatch.context() as patch:
            patch.setattr(connection_thread, "MIGRATIONS", newer)
            assert await later.database.migrate() == len(VERSIONS) + 1
        # Its connection that reads is made only now.
        assert await running.load_thread("thr_1", CONTEXT)
        for store in (running, started):
            await store.save_thread(ThreadMetadata(id="thr_2"), CONTEXT)
            assert await store.database.migrate() == len(VERSIONS) + 1
            assert await store.database.usable_since() == len(VERSIONS)
        await later.save_thread(ThreadMetadata(id="thr_2"), CONTEXT)
        for store in (running, later, started):
            await store.close()

    asyncio.run(scenario())


def test_a_newer_version_that_migrates_first_is_not_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "chat.db"
    newer = sorted(later_migrations(connection_thread.MIGRATIONS, tmp_path).glob("[0-9]*.sql"))
    migrated(path, VERSIONS[:1])
    transact = connection_thread.transact

    def late(connection: Any, begin: str, *rest: Any) -> Any:
        if begin == "BEGIN EXCLUSIVE":
            with closing(sqlite3.connect(path)) as quicker:
                for migration in newer[1:]:
                    quicker.executescript(migration.read_text("utf-8"))
                quicker.execute(f"PRAGMA user_version = {len(newer)}")
                quicker.execute("INSERT INTO usable_since VALUES (?)", [len(VERSIONS)])
                quicker.commit()
        return transact(connection, begin, *rest)

    async def scenario() -> None:
        store = SQLiteStore(path)
        with monkeypatch.context() as patch:
            patch.setattr(connection_thread, "transact", late)
            assert await store.database.migrate() == len(newer)
        assert await store.database.usable_since() == len(VERSIONS)
        await store.close()

    asyncio.run(scenario())


def test_a_database_of_a_newer_version_that_says_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "chat.db"
    newer = later_migrations(connection_thread.MIGRATIONS, tmp_path, declared=False)

    async def scenario() -> None:
        running, later = SQLiteStore(path), SQLiteStore(path)
        await running.save_thread(ThreadMetadata(id="thr_1"), CONTEXT)
        with monkeypatch.context() as patch:
            patch.setattr(connection_thread, "MIGRATIONS", newer)
            await later.check()
            assert await later.database.usable_since() == len(VERSIONS) + 1
            await later.close()
        # The open connection goes on, no other one is made.
        await running.save_thread(ThreadMetadata(id="thr_2"), CONTEXT)
        for attempt in (running.load_thread("thr_1", CONTEXT), SQLiteStore(path).check()):
            with pytest.raises(ConfigurationError, match=rf"knows {len(VERSIONS)} at most"):
                await attempt
        await running.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE threads (id TEXT PRIMARY KEY, title TEXT); CREATE TABLE thread_items (id TEXT);",
        "PRAGMA application_id = 42;",
        "PRAGMA user_version = 1;",
    ],
    ids=["tables", "application", "version"],
)
def test_a_database_of_another_application_is_refused_and_left_alone(tmp_path: Path, script: str) -> None:
    path = tmp_path / "chat.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    before = path.read_bytes()

    async def scenario() -> None:
        store = SQLiteStore(path)
        with pytest.raises(ConfigurationError, match=r"another application's.* Choose another db_path"):
            await store.load_thread("x", CONTEXT)
        await store.close()

    asyncio.run(scenario())
    assert path.read_bytes() == before
