"""Rewriting a database file, so that nothing of what was deleted is left in it or in its log."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import Final

__all__ = ["rewrite"]

_PATIENCE_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.05


def rewrite(path: str, whole: bool) -> str | None:
    """Rewrites a file; blocks. See ``Database.rewrite``."""
    try:
        with closing(sqlite3.connect(path, timeout=_PATIENCE_SECONDS, isolation_level=None)) as connection:
            connection.execute("PRAGMA secure_delete = ON").fetchall()
            # Deleted rows may be anywhere in pages that are in use, where they were deleted without that setting.
            if whole:
                connection.execute("VACUUM")
            until = time.monotonic() + _PATIENCE_SECONDS
            while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                if time.monotonic() > until:
                    return (
                        f"The log {path}-wal still holds what was deleted, for something reads the database all the "
                        "time: run PRAGMA wal_checkpoint(TRUNCATE), or restart what reads it."
                    )
                time.sleep(_PAUSE_SECONDS)
    except sqlite3.Error as error:
        return (
            f"The file {path} could not be rewritten without what was deleted ({error}): it needs as much room as the "
            "file has, and half a minute in which nothing else writes. Run chatkit erase again, or VACUUM."
        )
    return None
