"""What an error of SQLite means, and what to do about it."""

from __future__ import annotations

import sqlite3

from chatkit.errors import StoreError, StoreUnavailableError

__all__ = ["code_of", "translated"]


def code_of(error: sqlite3.Error) -> int:
    """Returns the primary code of an error."""
    # The lower byte is the primary code. Errors that Python itself detects have none.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def translated(error: sqlite3.Error, path: str) -> StoreError:
    """Returns the error of this package that says what happened and what to do."""
    advice = {
        sqlite3.SQLITE_FULL: "has no space left: free space on its disk",
        sqlite3.SQLITE_READONLY: "cannot be written: allow this process to write the file and its folder",
        sqlite3.SQLITE_PERM: "may not be used: allow this process to use the file and its folder",
        sqlite3.SQLITE_CANTOPEN: "cannot be opened: create its folder and allow this process to use it",
        sqlite3.SQLITE_BUSY: "stayed locked for too long: end what holds a transaction open",
        sqlite3.SQLITE_LOCKED: "is locked: end what holds a transaction open",
        sqlite3.SQLITE_NOTADB: "is not an SQLite database: move the file away or choose another db_path",
        sqlite3.SQLITE_CORRUPT: "is damaged: restore a backup, or save what is readable with sqlite3's .recover",
        sqlite3.SQLITE_IOERR: "cannot be read or written: check its disk",
    }.get(code_of(error))
    if advice is None:
        return StoreError(f"The database {path} failed: {error}.")
    return StoreUnavailableError(f"The database {path} {advice} ({error}).")
