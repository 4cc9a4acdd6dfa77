"""The numbered migrations of a schema, and which versions of the package can use a database that they made.

A version of the package is told by the newest migration that it knows. A migration that versions before can do without
says in its head comment from which one on: ``-- Usable by: 7``. Without such a line only versions that know it can use
the database.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

__all__ = ["is_usable", "list_migrations", "usable_since"]

_DECLARED: Final = re.compile(r"(?:--.*\n)*?-- Usable by: (\d+)\n")


def list_migrations(folder: Path) -> list[Path]:
    """Returns the migrations of a folder, ``0001_name.sql`` and on, in their order."""
    return sorted(folder.glob("[0-9]*.sql"))


def usable_since(migrations: Sequence[Path]) -> int:
    """Returns the earliest version that can use what all these migrations result in."""
    since = 0
    for number, migration in enumerate(migrations, 1):
        declared = _DECLARED.match(migration.read_text("utf-8"))
        since = max(since, number if declared is None else int(declared[1]))
    return since


def is_usable(version: int, since: int | None, known: int) -> bool:
    """Returns whether a package can use a database.

    Args:
        version: Of the database's schema.
        since: The earliest version that can use it, None where the database does not tell.
        known: The newest version that the package knows.
    """
    return version <= known or (since is not None and since <= known)
