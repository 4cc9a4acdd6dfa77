"""Named SQL: statements live in ``.sql`` files, each under a line ``-- name: its_name``."""

from __future__ import annotations

from pathlib import Path

__all__ = ["load_queries"]

_MARK = "-- name: "


def load_queries(path: Path) -> dict[str, str]:
    """Returns the statements of a file by name.

    Args:
        path: A file of statements; what precedes the first name is a comment on the file.
    """
    queries: dict[str, str] = {}
    for block in f"\n{path.read_text('utf-8')}".split(f"\n{_MARK}")[1:]:
        name, _, statement = block.partition("\n")
        queries[name.strip()] = statement.strip().rstrip(";")
    return queries
