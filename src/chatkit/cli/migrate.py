"""``chatkit migrate``: updates the schema of a database."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import cast

from chatkit.cli.database import check_name, describe, is_postgres
from chatkit.cli.options import CommandError
from chatkit.store import SQLiteStore

__all__ = ["migrate"]


def migrate(db: str) -> int:
    """Creates or migrates the schema of a database, says what was done, and returns the exit code."""
    check_name(db)
    if is_postgres(db):
        before, after = asyncio.run(_migrate_postgres(db))
        name = describe(db)
        name = name[0].upper() + name[1:]
    else:
        before, after = _migrate_sqlite(db)
        name = db
    if before is None:
        print(f"{name}: created, at schema version {after}.")
    elif before == after:
        print(f"{name}: is at schema version {after} already.")
    else:
        print(f"{name}: migrated from schema version {before} to {after}.")
    return 0


def _migrate_sqlite(db: str) -> tuple[int | None, int]:
    path = Path(db)
    if not path.absolute().parent.is_dir():
        raise CommandError(f"There is no folder {path.absolute().parent}.")

    async def run() -> int:
        store = SQLiteStore(db)
        try:
            return await store.database.migrate()
        finally:
            await store.close()

    return _version(path), asyncio.run(run())


async def _migrate_postgres(db: str) -> tuple[int | None, int]:
    from chatkit.store import PostgresStore

    store = PostgresStore(db)
    try:
        return await store.database.version(), await store.database.migrate()
    finally:
        await store.close()


def _version(path: Path) -> int | None:
    """Returns the version of a file's schema, None if there is no file yet."""
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return cast("int", connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.Error as error:
        raise CommandError(f"{path} cannot be read as a SQLite database: {error}.") from error
