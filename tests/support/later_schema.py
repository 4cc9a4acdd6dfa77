"""The schema of a made-up later version: a migration more, which adds a column to each table."""

from __future__ import annotations

import shutil
from pathlib import Path

TABLES = (
    *("threads", "items", "attachments", "turns", "accepted_turns", "completed_turns"),
    *("stream_turns", "stream_chunks", "stream_keys", "stream_ends", "stream_workers"),
    *("hosted_sessions", "counts"),
)


def later_migrations(migrations: Path, folder: Path, *, declared: bool = True) -> Path:
    """Makes a folder of the present migrations, and one more.

    Args:
        migrations: The present ones.
        folder: Where to.
        declared: Whether the one more says that the present version can do without it.
    """
    made = shutil.copytree(migrations, folder / migrations.name, dirs_exist_ok=True)
    known = len(list(made.glob("[0-9]*.sql")))
    schema_name = "chatkit." if migrations.name == "postgres" else ""
    lines = ["-- What a later version adds.", "--", *([f"-- Usable by: {known}"] if declared else [])]
    lines += [
        f"ALTER TABLE {schema_name}{table} ADD COLUMN later INTEGER NOT NULL DEFAULT 1;" for table in TABLES
    ]
    lines.append(f"CREATE TABLE {schema_name}later (a TEXT);")
    (made / f"{known + 1:04}_later.sql").write_text("\n".join([*lines, ""]))
    return made
