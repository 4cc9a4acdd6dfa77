"""The database that ``--db`` names."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any, Final

from chatkit.cli.options import CommandError
from chatkit.store import SQLiteStore, Store

__all__ = [
    "check_folder",
    "check_name",
    "describe",
    "is_postgres",
    "is_postgres_store",
    "open_store",
    "prepare",
]

_OTHER_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")


def is_postgres(db: str) -> bool:
    """Returns whether the text is a connection string, and not the path of a file."""
    return db.startswith(("postgresql://", "postgres://"))


def check_name(db: str) -> None:
    """Raises CommandError for a URL of another database than PostgreSQL.

    As a path it would be folders with a password in their names.
    """
    if not is_postgres(db) and (found := _OTHER_URL.match(db)):
        # Not the whole text, which may hold a password.
        raise CommandError(
            "A database is the path of an SQLite file, or postgresql://user:password@host/name, "
            f"not {found[1]}:... A file whose name has a colon in it is written ./name."
        )


def open_store(db: str, *, create: bool = False) -> Store[Any]:
    """Returns a store, which has touched nothing yet; ``create`` lets the folder of an SQLite file be made."""
    check_name(db)
    if is_postgres(db):
        from chatkit.store import PostgresStore

        return PostgresStore(db)
    check_folder(Path(db), "the database", create=create)
    return SQLiteStore(db)


def check_folder(path: Path, what: str, *, create: bool) -> None:
    """Makes the folder that something is to be in, if that was asked for; else raises CommandError if there is none."""
    folder = path.absolute().parent
    if folder.is_dir():
        return
    if any(above.is_file() for above in (folder, *folder.parents)):
        # Nothing can be made there: what opens it says so.
        return
    if not create:
        raise CommandError(
            f"There is no folder {folder} for {what}. Make it with 'mkdir -p {shlex.quote(str(folder))}', or give "
            "--create, or correct the path."
        )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(
            f"The folder {folder} for {what} cannot be made: {error.strerror or error}."
        ) from error


def describe(db: str) -> str:
    """Returns the database as messages may show it: without user and password."""
    if is_postgres(db):
        from chatkit._postgres.errors import place_of

        return f"the PostgreSQL database {place_of(db)}"
    return str(Path(db).resolve())


async def prepare(store: Store[Any]) -> None:
    """Creates or migrates the database now, so that one that cannot be used is a plain message.

    Does nothing for stores that are not of this package.
    """
    if isinstance(store, SQLiteStore) or is_postgres_store(store):
        try:
            await store.check()
        finally:
            await store.close()


def is_postgres_store(store: Store[Any]) -> bool:
    """Returns whether threads are kept in PostgreSQL."""
    # Without its driver there is none; loading it to ask would be a waste.
    if "chatkit.store.postgres" not in sys.modules:
        return False
    from chatkit.store import PostgresStore

    return isinstance(store, PostgresStore)
