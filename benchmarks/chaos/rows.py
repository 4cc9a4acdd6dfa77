"""What the database has, read without the package: the only place here that knows the tables."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

from tests.support.postgres import on_server

__all__ = ["Rows", "load_rows", "load_running"]

Rows: TypeAlias = dict[tuple[str, str], list[Any]]
"""The items of each thread as the database has them, in order, by owner and thread."""


def load_rows(file: Path | None, postgres: str | None) -> Rows:
    """Returns all threads with their items, but for those that no view shows."""
    query = (
        "SELECT threads.owner, threads.id, {data} FROM {schema}threads AS threads "
        "LEFT JOIN {schema}items AS items ON items.thread = threads.{number} ORDER BY items.seq"
    )
    if file is not None:
        text = query.format(data="items.data", schema="", number="seq")
    else:
        data = "coalesce(items.exact, items.data::text)"
        text = query.format(data=data, schema="chatkit.", number="number")
    rows: Rows = defaultdict(list)
    for owner, thread_id, item in _fetch(file, postgres, text):
        kept = rows[owner, thread_id]
        if item is not None and not _is_hidden(item := json.loads(item)):
            kept.append(item)
    return rows


def load_running(file: Path | None, postgres: str | None) -> list[tuple[str, str, str]]:
    """Returns turns that have not ended for the database, or may still write: owner, id, and how far they are."""
    query = (
        "SELECT owner, id, status FROM {schema}accepted_turns WHERE status <> 'ended' "
        "UNION ALL SELECT owner, id, 'may write' FROM {schema}turns"
    )
    return _fetch(file, postgres, query.format(schema="" if file is not None else "chatkit."))


def _fetch(file: Path | None, postgres: str | None, query: str) -> list[Any]:
    if file is not None:
        with closing(sqlite3.connect(file, timeout=30)) as connection:
            return connection.execute(query).fetchall()
    assert postgres is not None
    return on_server(postgres, lambda connection: connection.fetch(query))


def _is_hidden(item: Any) -> bool:
    """Returns whether an item is for the model alone: no view shows it."""
    return item["type"] in {"hidden_context_item", "sdk_hidden_context"}
