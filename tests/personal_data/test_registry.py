"""The registry names every table, key and folder; what it says of them is in the documentation."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from chatkit.personal_data import registry
from chatkit.personal_data.counted import owner_of_count, session_of_count
from chatkit.personal_data.registry import FOLDERS, KEYS, TABLES, key_named, table_named
from chatkit.store import PostgresStore, SQLiteStore
from tests.personal_data.sample import ADA, BOB, attach, fill, word
from tests.personal_data.worlds import World

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "personal-data.md"


async def tables_of_sqlite(folder: Path) -> set[str]:
    store = SQLiteStore[Any](folder / "chat.db")
    await store.database.migrate()
    await store.close()
    with closing(sqlite3.connect(folder / "chat.db")) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name for (name,) in rows if not name.startswith("sqlite_")}


async def tables_of_postgres(url: str) -> set[str]:
    store = PostgresStore[Any](url)
    await store.database.migrate()
    await store.close()
    connection: Any = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = 'chatkit' AND c.relkind IN ('r', 'p', 'm', 'f', 'v')"
        )
        return {row[0] for row in rows}
    finally:
        await connection.close()


def named_for(kind: str) -> set[str]:
    return {table.name for table in TABLES if table.only in {None, kind} and "*" not in table.name}


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_every_table_is_named_and_every_named_one_is_there(
    kind: str, tmp_path: Path, postgres_database: str
) -> None:
    if kind == "sqlite":
        found = await tables_of_sqlite(tmp_path)
    else:
        found = await tables_of_postgres(postgres_database)
    assert [name for name in sorted(found) if table_named(name) is None] == []
    assert named_for(kind) - found == set()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_a_table_that_holds_an_owner_says_how_it_is_found(
    kind: str, tmp_path: Path, postgres_database: str
) -> None:
    """Every table with a column that names an owner, a thread or a turn is one of persons."""
    if kind == "sqlite":
        await tables_of_sqlite(tmp_path)
        with closing(sqlite3.connect(tmp_path / "chat.db")) as connection:
            columns = {
                name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
                for name in named_for(kind)
            }
    else:
        await tables_of_postgres(postgres_database)
        connection: Any = await asyncpg.connect(postgres_database)
        rows = await connection.fetch(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'chatkit'"
        )
        await connection.close()
        columns = {name: {row[1] for row in rows if row[0] == name} for name in named_for(kind)}
    about = {"owner", "owner_id", "thread", "thread_id", "turn_id", "item_id", "user_id"}
    silent = {name for name, found in columns.items() if found & about and name in registry.NOT_OF_A_PERSON}
    # Pseudonyms; and whose it is only while it is under way.
    assert silent == {"audit", "erasures"}


async def test_every_key_that_a_busy_server_leaves_is_named(tmp_path: Path, redis_url: str) -> None:
    world = World(tmp_path, redis=redis_url)
    async with world.server() as (server, sessions):
        _, second = await fill(server, ADA, sessions)
        running = await server.begin(ADA, second)
        keys = await world.keys()
        await server.send(ADA, "turns.stop", thread_id=second)
        async for _ in running.json_events:
            pass
        keys |= await world.keys()
    assert {key for key in keys if key_named(key) is None} == set()
    left = {key.partition(":")[0] for key in keys}
    # Without an event of these none is left: a claim after a death, a stop of another worker's turn, an erasure.
    rare = {"claims", "inbox", "erasing"}
    assert {row.shown.partition(":")[0] for row in KEYS} - left <= rare


async def test_every_folder_is_named(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.server() as (server, _):
        await fill(server, BOB)
        files: Any = server.attachment_store
        doomed = await attach(server, BOB, "b.txt", b"b")
        await files.delete(doomed)
    found = {path.name for path in (tmp_path / "files").iterdir()}
    assert found <= {folder.name for folder in FOLDERS if not folder.bucket}
    assert {"files", "pending", "incoming"} <= found


async def test_every_prefix_of_a_bucket_is_named(tmp_path: Path) -> None:
    world = World(tmp_path, bucket=True)
    async with world.server() as (server, _):
        await fill(server, BOB)
    chosen = str(world.bucket).rstrip("/")
    found = {key.removeprefix(chosen).partition("/")[0] + "/" for key in world.objects()}
    assert found <= {folder.name.removeprefix("*") for folder in FOLDERS if folder.bucket}
    assert "/" in found


@pytest.mark.parametrize(
    ("key", "owner", "session"),
    [
        ("quota:messages:60:owner:ada", "ada", None),
        ("quota:messages:60:owner:x:owner:ada", "x:owner:ada", None),
        ("quota:messages:60:group:ada", None, None),
        ("running:owner:a:b", "a:b", None),
        ("running:group:a", None, None),
        ("session:cksess_1:light", None, "cksess_1"),
        ("api:acme", None, None),
    ],
)
async def test_whose_a_count_is(
    key: str, owner: str | None, session: str | None, tmp_path: Path, postgres_database: str
) -> None:
    assert owner_of_count(key) == owner
    assert session_of_count(key) == session
    for world in (World(tmp_path), World(tmp_path, postgres_database)):
        store = world.store()
        await store.quota_counter().take(key, 1, window=60.0)
        async with world.data() as data:
            for asked in {"ada", "b", owner or "ada"}:
                assert (await data.count(asked)).get("counts", 0) == int(asked == owner)
        await store.close()


def rows_of_guide(heading: str) -> list[list[str]]:
    """Returns the rows of the table below a heading of the guide."""
    section = GUIDE.read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_guide_has_every_table() -> None:
    exported = {"models": "yes", "rows": "as rows", "no": "no"}
    expected = [
        [
            f"`{table.name}`",
            table.holds,
            exported[table.exported],
            "erased" if table.where or table.goes_with else "stays",
            table.retention,
        ]
        for table in TABLES
    ]
    assert rows_of_guide("In the database") == expected


def test_the_guide_has_every_key_and_every_folder() -> None:
    assert rows_of_guide("In Redis") == [
        [
            f"`{row.shown}`",
            row.holds,
            "as rows" if row.exported == "rows" else "no",
            "erased" if row.owner else "stays",
        ]
        for row in KEYS
    ]
    found = [[re.sub(r"^`|`$", "", row[0]), *row[1:]] for row in rows_of_guide("Files")]
    assert found == [[folder.name, folder.holds, folder.erased] for folder in FOLDERS]


def test_no_row_of_the_guide_breaks_its_table() -> None:
    texts = [table.holds + table.retention for table in TABLES] + [row.holds for row in KEYS]
    assert not [text for text in texts if "|" in text or "\n" in text]
    assert word(ADA) not in GUIDE.read_text("utf-8")
