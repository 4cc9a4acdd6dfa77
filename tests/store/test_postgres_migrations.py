"""The schema of the PostgreSQL store: its migrations, and databases that are not ours, too new or closed to us."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from chatkit._postgres import schema
from chatkit.errors import ConfigurationError, StoreError
from chatkit.store import PostgresStore
from chatkit.testing._store_samples import item_of_every_kind, message
from chatkit.types import ThreadMetadata
from tests.support.later_schema import later_migrations
from tests.support.postgres import database_url, new_database, on_server
from tests.support.scale import scaled

CONTEXT = {"user_id": "alice"}
VERSIONS = sorted(path.name for path in schema.MIGRATIONS.glob("[0-9]*.sql"))

STRUCTURE = [
    """
    SELECT table_name, column_name, ordinal_position, data_type, collation_name, is_nullable, column_default,
        is_identity, identity_generation
    FROM information_schema.columns WHERE table_schema = 'chatkit' ORDER BY 1, 3
    """,
    "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'chatkit' ORDER BY 1, 2",
    """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'chatkit'::regnamespace ORDER BY 1, 2
    """,
    """
    SELECT sequencename, start_value, increment_by, cycle, cache_size
    FROM pg_sequences WHERE schemaname = 'chatkit' ORDER BY 1
    """,
    """
    SELECT relname, relkind::text FROM pg_class WHERE relnamespace = 'chatkit'::regnamespace ORDER BY 1
    """,
    "SELECT proname FROM pg_proc WHERE pronamespace = 'chatkit'::regnamespace ORDER BY 1",
]


async def structure(connection: Any) -> list[Any]:
    return [[tuple(row) for row in await connection.fetch(query)] for query in STRUCTURE]


def structure_of(url: str) -> list[Any]:
    return on_server(url, structure)


def script_of(name: str) -> str:
    return (schema.MIGRATIONS / name).read_text("utf-8")


def migrated(url: str, versions: list[str], version: int | None = None) -> None:
    """Makes a database what a package that knew these migrations made of it."""

    async def work(connection: Any) -> None:
        for name in versions:
            await connection.execute(script_of(name))
        await connection.execute("UPDATE chatkit.schema_version SET version = $1", version or len(versions))

    on_server(url, work)


def with_store(url: str, scenario: Callable[[PostgresStore], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        store = PostgresStore(url)
        try:
            return await scenario(store)
        finally:
            await store.close()

    return asyncio.run(main())


def test_migrations_are_numbered_without_gaps() -> None:
    assert [name[:5] for name in VERSIONS] == [f"{number:04}_" for number in range(1, len(VERSIONS) + 1)]
    assert all(re.fullmatch(r"\d{4}_[a-z_]+\.sql", name) for name in VERSIONS)


def test_schema_is_that_of_the_replayed_migrations(postgres_url: str, postgres_database: str) -> None:
    assert with_store(postgres_database, lambda store: store.database.migrate()) == len(VERSIONS)
    with new_database(postgres_url) as kept:
        on_server(kept, lambda connection: connection.execute(script_of("schema.sql")))
        assert structure_of(postgres_database) == structure_of(kept)
        tables = {row[0] for row in structure_of(kept)[0]}
    streams = {f"stream_{name}" for name in ("chunks", "ends", "keys", "turns", "workers")}
    kept_of_threads = {"accepted_turns", "attachments", "completed_turns", "items", "threads", "turns"}
    others = {"audit", "audit_keys", "counts", "erasures", "hosted_sessions", "leases", "reservations"}
    others |= {"schema_version", "search_items", "search_titles", "turn_steps", "usage"}
    assert tables == kept_of_threads | streams | others


def test_a_database_of_the_first_version_is_upgraded_with_its_data(postgres_database: str) -> None:
    migrated(postgres_database, VERSIONS[:1])
    thread = ThreadMetadata(id="thr_old", title="Old", metadata={"a": 1})
    items = [item for item in item_of_every_kind("thr_old") if "\\u0000" not in item.model_dump_json()]

    async def fill(connection: Any) -> None:
        await connection.execute(
            "INSERT INTO chatkit.threads (owner, id, data, created_at, updated_at)"
            " VALUES ('alice', 'thr_old', $1, now(), now())",
            thread.model_dump_json(),
        )
        for item in items:
            await connection.execute(
                "INSERT INTO chatkit.items (thread, id, type, data) VALUES (1, $1, $2, $3)",
                *(item.id, item.type, item.model_dump_json()),
            )

    on_server(postgres_database, fill)

    async def scenario(store: PostgresStore) -> None:
        assert await store.load_thread("thr_old", CONTEXT) == thread
        assert (await store.load_thread_items("thr_old", None, 99, "asc", CONTEXT)).data == items
        assert await store.begin_turn("thr_old", "turn", CONTEXT) == 1
        await store.add_thread_item("thr_old", message("new"), CONTEXT)
        assert await store.database.migrate() == len(VERSIONS)

    with_store(postgres_database, scenario)


def test_a_migration_that_fails_leaves_nothing_behind(
    postgres_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(schema.MIGRATIONS, tmp_path / "migrations")
    broken = folder / f"{len(VERSIONS) + 1:04}_broken.sql"
    broken.write_text("CREATE TABLE chatkit.fresh (a TEXT);\nINSERT INTO chatkit.unknown VALUES (1);\n")
    migrated(postgres_database, VERSIONS[:1])
    before = structure_of(postgres_database)
    monkeypatch.setattr(schema, "MIGRATIONS", folder)

    async def fails(store: PostgresStore) -> None:
        with pytest.raises(StoreError, match=r'"chatkit.unknown" does not exist'):
            await store.check()

    with_store(postgres_database, fails)
    assert structure_of(postgres_database) == before
    broken.unlink()
    with_store(postgres_database, lambda store: store.check())


def test_a_database_of_a_newer_version_is_refused_and_left_alone(postgres_database: str) -> None:
    migrated(postgres_database, VERSIONS, len(VERSIONS) + 3)
    before = structure_of(postgres_database)

    async def scenario(store: PostgresStore) -> None:
        expected = rf"has version {len(VERSIONS) + 3}, this version of the package knows {len(VERSIONS)} "
        for attempt in (store.check, store.database.migrate):
            with pytest.raises(ConfigurationError, match=expected):
                await attempt()

    with_store(postgres_database, scenario)
    assert structure_of(postgres_database) == before


def test_a_database_of_a_newer_version_is_used_where_that_says_so(
    postgres_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = later_migrations(schema.MIGRATIONS, tmp_path)

    async def scenario(running: PostgresStore) -> None:
        later, started = PostgresStore(postgres_database), PostgresStore(postgres_database)
        await running.save_thread(ThreadMetadata(id="thr_1"), CONTEXT)
        with monkeypatch.context() as patch:
            patch.setattr(schema, "MIGRATIONS", newer)
            await later.check()
            assert await later.database.migrate() == len(VERSIONS) + 1
        for store in (running, started):
            assert await store.load_thread("thr_1", CONTEXT)
            await store.save_thread(ThreadMetadata(id="thr_2"), CONTEXT)
            assert await store.database.migrate() == len(VERSIONS) + 1
            assert await store.database.usable_since() == len(VERSIONS)
        await later.save_thread(ThreadMetadata(id="thr_2"), CONTEXT)
        await later.close()
        await started.close()

    with_store(postgres_database, scenario)


def test_a_newer_version_that_migrates_first_is_not_set_back(postgres_database: str, tmp_path: Path) -> None:
    newer = sorted(later_migrations(schema.MIGRATIONS, tmp_path).glob("[0-9]*.sql"))
    migrated(postgres_database, VERSIONS[:1])

    async def scenario(store: PostgresStore) -> None:
        quicker = await asyncpg.connect(postgres_database)
        try:
            async with asyncio.timeout(scaled(20)):
                async with quicker.transaction():
                    await quicker.execute(f"SELECT pg_advisory_xact_lock({schema._LOCK})")
                    migrating = asyncio.create_task(store.database.migrate())
                    waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"
                    while not await quicker.fetchval(waits):
                        await asyncio.sleep(0.01)
                    for migration in newer[1:]:
                        await quicker.execute(migration.read_text("utf-8"))
                    await quicker.execute(
                        "UPDATE chatkit.schema_version SET version = $1, usable_since = $2",
                        *(len(newer), len(VERSIONS)),
                    )
                assert await migrating == len(newer)
        finally:
            await quicker.close()
        assert await store.database.version() == len(newer)
        assert await store.database.usable_since() == len(VERSIONS)

    with_store(postgres_database, scenario)


def test_a_database_of_a_newer_version_that_says_nothing_is_refused(
    postgres_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = later_migrations(schema.MIGRATIONS, tmp_path, declared=False)

    async def scenario(running: PostgresStore) -> None:
        later, started = PostgresStore(postgres_database), PostgresStore(postgres_database)
        await running.save_thread(ThreadMetadata(id="thr_1"), CONTEXT)
        with monkeypatch.context() as patch:
            patch.setattr(schema, "MIGRATIONS", newer)
            await later.check()
            assert await later.database.usable_since() == len(VERSIONS) + 1
        # What runs goes on.
        assert await running.load_thread("thr_1", CONTEXT)
        with pytest.raises(ConfigurationError, match=rf"knows {len(VERSIONS)} at most"):
            await started.check()
        await later.close()
        await started.close()

    with_store(postgres_database, scenario)


def test_a_schema_of_another_application_is_refused_and_left_alone(postgres_database: str) -> None:
    on_server(
        postgres_database,
        lambda connection: connection.execute(
            "CREATE SCHEMA chatkit; CREATE TABLE chatkit.messages (id TEXT)"
        ),
    )
    before = structure_of(postgres_database)

    async def scenario(store: PostgresStore) -> None:
        with pytest.raises(ConfigurationError, match=r"another application \(in it: messages\)"):
            await store.load_thread("x", CONTEXT)

    with_store(postgres_database, scenario)
    assert structure_of(postgres_database) == before


def test_tables_of_the_application_are_not_touched(postgres_database: str) -> None:
    script = "CREATE TABLE threads (a TEXT); CREATE TABLE items (a TEXT); INSERT INTO threads VALUES ('mine')"
    on_server(postgres_database, lambda connection: connection.execute(script))

    async def scenario(store: PostgresStore) -> None:
        await store.save_thread(ThreadMetadata(id="thr"), CONTEXT)
        await store.add_thread_item("thr", message("a"), CONTEXT)
        await store.delete_thread("thr", CONTEXT)

    with_store(postgres_database, scenario)
    rows = on_server(postgres_database, lambda connection: connection.fetch("SELECT a FROM threads"))
    assert [row[0] for row in rows] == ["mine"]


def test_a_database_in_another_encoding_is_refused(postgres_url: str) -> None:
    name = "chatkit_latin"
    create = f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"
    on_server(postgres_url, lambda connection: connection.execute(create))
    try:

        async def scenario(store: PostgresStore) -> None:
            with pytest.raises(ConfigurationError, match=r"encoded in LATIN1.*ENCODING 'UTF8'"):
                await store.check()

        with_store(database_url(postgres_url, name), scenario)
    finally:
        on_server(postgres_url, lambda connection: connection.execute(f"DROP DATABASE {name} WITH (FORCE)"))


def test_a_role_without_rights_needs_a_schema_of_its_own(postgres_database: str) -> None:
    role = f"chatkit_guest_{postgres_database.rpartition('_')[2]}"
    url = re.sub(r"//[^@]*@", f"//{role}:secret@", postgres_database)

    async def scenario(store: PostgresStore) -> None:
        with pytest.raises(ConfigurationError, match=r"permission denied.*what that role may do") as refused:
            await store.check()
        assert "secret" not in str(refused.value)

    on_server(
        postgres_database,
        lambda connection: connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'"),
    )
    try:
        with_store(url, scenario)
        own = f"CREATE SCHEMA chatkit AUTHORIZATION {role}"
        on_server(postgres_database, lambda connection: connection.execute(own))
        with_store(url, lambda store: store.save_thread(ThreadMetadata(id="thr"), CONTEXT))
    finally:
        drop = f"DROP OWNED BY {role}; DROP ROLE {role}"
        on_server(postgres_database, lambda connection: connection.execute(drop))
