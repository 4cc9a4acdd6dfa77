"""What this build of SQLite can do of full-text search."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache
from typing import Final

__all__ = ["DELETES_SECURELY", "VERSION", "has_fts5"]

VERSION: Final = sqlite3.sqlite_version
DELETES_SECURELY: Final = sqlite3.sqlite_version_info >= (3, 42)
"""Whether FTS5 can remove the words of what is deleted at once; an index in which it did has a format of its own."""


@cache
def has_fts5() -> bool:
    """Returns whether this build of SQLite has FTS5."""
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.execute("CREATE VIRTUAL TABLE probe USING fts5 (words)")
        except sqlite3.OperationalError:
            return False
    return True
