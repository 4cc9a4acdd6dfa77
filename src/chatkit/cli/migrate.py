"""``chatkit migrate``: updates the schema of a database, and says which workers can use it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import cast

from chatkit import store as store_package
from chatkit._migrations import list_migrations
from chatkit.cli.database import check_name, describe, is_postgres
from chatkit.cli.options import CommandError
from chatkit.store import SQLiteStore

__all__ = ["check_migrated", "known_version", "migrate", "version_of"]


def migrate(db: str) -> int:
    """Creates or migrates the schema of a database, says what was done and for whom, and returns the exit code."""
    check_name(db)
    if is_postgres(db):
        before, after, since = asyncio.run(_migrate_postgres(db))
        name = describe(db)
        name = name[0].upper() + name[1:]
    else:
        before, after, since = _migrate_sqlite(db)
        name = db
    if before is None:
        done = f"created, at schema version {after}"
    elif before == after:
        done = f"is at schema version {after} already"
    else:
        done = f"migrated from schema version {before} to {after}"
    print(f"{name}: {done}. Workers that know version {since} or a later one can start on it.")
    return 0


def check_migrated(db: str) -> int:
    """Says whether a database is at the newest schema, changes nothing, and returns 1 if it is not."""
    check_name(db)
    if is_postgres(db):
        name, known, version = describe(db), known_version("postgres"), asyncio.run(_postgres_version(db))
        name = name[0].upper() + name[1:]
    else:
        name, known, version = db, known_version("sqlite"), version_of(Path(db))
    if version is not None and version >= known:
        print(f"{name}: is at schema version {version}; this version of the package knows {known}.")
        return 0
    state = "has no schema so far" if version is None else f"is at schema version {version}"
    print(f"{name}: {state}; 'chatkit migrate' brings it to version {known}.")
    return 1


def known_version(kind: str) -> int:
    """Returns the newest schema version that this version of the package knows, for ``sqlite`` or ``postgres``."""
    return len(list_migrations(Path(store_package.__file__).parent / "migrations" / kind))


async def _postgres_version(db: str) -> int | None:
    from chatkit.store import PostgresStore

    store = PostgresStore(db)
    try:
        return await store.database.version()
    finally:
        await store.close()


def _migrate_sqlite(db: str) -> tuple[int | None, int, int]:
    path = Path(db)
    if not path.absolute().parent.is_dir():
        raise CommandError(f"There is no folder {path.absolute().parent}.")

    async def run() -> tuple[int, int]:
        store = SQLiteStore(db)
        try:
            return await store.database.migrate(), await store.database.usable_since()
        finally:
            await store.close()

    return version_of(path), *asyncio.run(run())


async def _migrate_postgres(db: str) -> tuple[int | None, int, int]:
    from chatkit.store import PostgresStore

    store = PostgresStore(db)
    try:
        before, after = await store.database.version(), await store.database.migrate()
        return before, after, await store.database.usable_since()
    finally:
        await store.close()


def version_of(path: Path) -> int | None:
    """Returns the version of a file's schema, None if there is no file yet; changes nothing."""
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return cast("int", connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.Error as error:
        raise CommandError(f"{path} cannot be read as a SQLite database: {error}.") from error
