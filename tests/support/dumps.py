"""All that an SQLite file holds, as text."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def dump_of(path: Path) -> list[str]:
    """Returns the statements that make a file's contents anew, but for the words of its search index.

    ``search_texts`` has these too: FTS5 keeps them in a form that cannot be read so.
    """
    with closing(sqlite3.connect(path)) as connection, closing(sqlite3.connect(":memory:")) as copy:
        connection.backup(copy)
        copy.execute("DROP TABLE IF EXISTS search_index")
        return list(copy.iterdump())
