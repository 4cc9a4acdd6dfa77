"""The schema of an SQLite file: numbered migrations, applied by whoever comes first."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from chatkit._sqlite.transactions import Connection, pragma, transact
from chatkit.errors import ConfigurationError

__all__ = ["APPLICATION_ID", "MIGRATIONS", "check_origin", "migrate"]

MIGRATIONS: Final = Path(__file__).parents[1] / "store" / "migrations" / "sqlite"
"""The folder of the numbered migrations, ``0001_name.sql`` and on, without gaps."""

APPLICATION_ID: Final = 0x43684B74
"""Written into the header of our files (``ChKt``), so that another application's file is left alone."""


def migrate(connection: Connection, path: str) -> None:
    """Creates or migrates the schema; safe when many do it at once."""
    migrations = sorted(MIGRATIONS.glob("[0-9]*.sql"))
    if pragma(connection, "user_version") >= len(migrations):
        return

    def apply(connection: sqlite3.Connection) -> None:
        # Another process may have been quicker.
        for migration in migrations[check_origin(connection, path) :]:
            for statement in _statements(migration.read_text("utf-8")):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")

    transact(connection, "BEGIN EXCLUSIVE", apply)


def check_origin(connection: sqlite3.Connection, path: str) -> int:
    """Returns the version of the schema; raises if the file is another application's or newer."""
    version = pragma(connection, "user_version")
    known = sum(1 for _ in MIGRATIONS.glob("[0-9]*.sql"))
    application = pragma(connection, "application_id")
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    if application != APPLICATION_ID and (tables or version or application):
        raise ConfigurationError(
            f"The database {path} is another application's (its tables: {', '.join(tables[:5]) or 'none'}). "
            "Choose another db_path, or move that file away."
        )
    if version > known:
        raise ConfigurationError(
            f"The database {path} has schema version {version}, this version of the package knows {known} at "
            "most. Install the version of the package that wrote it, or a newer one."
        )
    return version


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
