"""``chatkit migrate``: brings a SQLite database to the newest schema."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import cast

from chatkit.cli.options import CommandError
from chatkit.store import SQLiteStore

__all__ = ["migrate"]


def migrate(db: str) -> int:
    """Creates or migrates the schema, says what was done, and returns the exit code.

    Args:
        db: Path of the database.

    Raises:
        CommandError: There is no folder for it, or the file is no database.
        ConfigurationError: The file belongs to a newer version of this package, or to another application.
        StoreUnavailableError: The file cannot be written.
    """
    path = Path(db)
    if not path.absolute().parent.is_dir():
        raise CommandError(f"There is no folder {path.absolute().parent}.")
    before = _version(path)
    after = asyncio.run(_migrate(db))
    if before is None:
        print(f"{db}: created, at schema version {after}.")
    elif before == after:
        print(f"{db}: is at schema version {after} already.")
    else:
        print(f"{db}: migrated from schema version {before} to {after}.")
    return 0


async def _migrate(db: str) -> int:
    store = SQLiteStore(db)
    try:
        return await store.database.migrate()
    finally:
        await store.close()


def _version(path: Path) -> int | None:
    """Returns the version of a database's schema, None if there is no database yet."""
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return cast("int", connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.Error as error:
        raise CommandError(f"{path} cannot be read as a SQLite database: {error}.") from error
