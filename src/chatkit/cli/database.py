"""The database that ``--db`` names: an SQLite file, or PostgreSQL by its connection string."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Final

from chatkit.cli.options import CommandError
from chatkit.store import SQLiteStore, Store

__all__ = ["check_name", "describe", "is_postgres", "is_postgres_store", "open_store", "prepare"]

_OTHER_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")


def is_postgres(db: str) -> bool:
    """Tells whether the text is a connection string, and not the path of a file."""
    return db.startswith(("postgresql://", "postgres://"))


def check_name(db: str) -> None:
    """Raises CommandError for a URL that is none of PostgreSQL's.

    As a path it would be folders with a password in their names.
    """
    if not is_postgres(db) and (found := _OTHER_URL.match(db)):
        # Not the whole text, which may hold a password.
        raise CommandError(
            "A database is the path of an SQLite file, or postgresql://user:password@host/name, "
            f"not {found[1]}:... A file whose name has a colon in it is written ./name."
        )


def open_store(db: str) -> Store[Any]:
    """Returns a store, which has touched nothing yet.

    Raises:
        CommandError: It is a URL of another kind.
        MissingExtraError: The database needs a driver that is not installed.
    """
    check_name(db)
    if is_postgres(db):
        from chatkit.store import PostgresStore

        return PostgresStore(db)
    return SQLiteStore(db)


def describe(db: str) -> str:
    """Returns the database as messages may show it: without user and password."""
    if is_postgres(db):
        from chatkit._postgres.errors import place_of

        return f"the PostgreSQL database {place_of(db)}"
    return str(Path(db).resolve())


async def prepare(store: Store[Any]) -> None:
    """Creates or migrates the database now, so that one that cannot be used is a plain message.

    Does nothing for stores that are not of this package.

    Raises:
        ConfigurationError: The database refuses the role, is another application's or of a newer version.
        StoreUnavailableError: It cannot be reached, or not be written.
    """
    if isinstance(store, SQLiteStore) or is_postgres_store(store):
        try:
            await store.check()
        finally:
            await store.close()


def is_postgres_store(store: Store[Any]) -> bool:
    """Tells whether threads are kept in PostgreSQL."""
    # Who has one has loaded its driver; to load it for the question would be a waste.
    if "chatkit.store.postgres" not in sys.modules:
        return False
    from chatkit.store import PostgresStore

    return isinstance(store, PostgresStore)
