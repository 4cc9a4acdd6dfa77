"""The statements that the registry's conditions make, in the SQL of each database."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from chatkit.personal_data.registry import Table

__all__ = ["PIECE", "bound", "counting", "deleting", "key_size", "paging", "plain", "values_of"]

PIECE: Final = 500
"""Rows that one transaction deletes, or one read brings, at most."""

_PLACES: Final = re.compile(r"\{(owner|json|pair)\}")
_TIMES: Final = re.compile(r".*_at|lease_until|claimed_until")


def values_of(owner: str) -> dict[str, str]:
    """Returns what stands in the place of an owner in conditions."""
    return {
        "owner": owner,
        "json": json.dumps(owner),
        # As workers write it, with nothing that could be another owner's.
        "pair": json.dumps([owner], separators=(",", ":"))[:-1] + ",",
    }


def _condition(table: Table, kind: str) -> str:
    return (table.postgres if kind == "postgres" else None) or table.where or "FALSE"


def _key(table: Table, kind: str) -> str:
    return ", ".join((table.postgres_key if kind == "postgres" else None) or table.key)


def counting(table: Table, kind: str) -> str:
    """Returns what counts an owner's rows."""
    return f"SELECT count(*) FROM {{s}}{table.name} WHERE {_condition(table, kind)}"  # noqa: S608 -- of the registry


def deleting(table: Table, kind: str) -> str:
    """Returns what deletes a piece of an owner's rows."""
    key, where = _key(table, kind), _condition(table, kind)
    deletion = (
        f"DELETE FROM {{s}}{table.name} WHERE ({key}) IN "  # noqa: S608 -- of the registry
        f"(SELECT {key} FROM {{s}}{table.name} WHERE {where} LIMIT {PIECE})"
    )
    if kind == "postgres":
        return f"WITH gone AS ({deletion} RETURNING 1) SELECT count(*) FROM gone"  # noqa: S608 -- as above
    return deletion


def paging(table: Table, kind: str, *, first: bool) -> str:
    """Returns what reads a page of an owner's rows, in the order of their keys; the key comes first in each row.

    Args:
        table: The table.
        kind: Of the database.
        first: Whether it is the first page; the others are bound with the key of the last row before.
    """
    key, where = _key(table, kind), _condition(table, kind)
    columns = "row_to_json(r)::text" if kind == "postgres" else "r.*"
    after = "" if first else f" AND ({key}) > ({{after}})"
    return (
        f"SELECT {key}, {columns} FROM {{s}}{table.name} AS r "  # noqa: S608 -- of the registry
        f"WHERE ({where}){after} ORDER BY {key} LIMIT {PIECE}"
    )


def key_size(table: Table, kind: str) -> int:
    """Returns how many columns the key of a table has."""
    return len((table.postgres_key if kind == "postgres" else None) or table.key)


def bound(statement: str, kind: str, owner: str, after: Sequence[Any] = ()) -> tuple[str, list[Any]]:
    """Returns a statement with its placeholders, and their values in order.

    Args:
        statement: With the names of the registry in braces.
        kind: Of the database.
        owner: The owner.
        after: The key of the last row before the page that is asked for.
    """
    mark = "$" if kind == "postgres" else "?"
    names, given = values_of(owner), list[str]()

    def place(match: re.Match[str]) -> str:
        if match[1] not in given:
            given.append(match[1])
        number = given.index(match[1]) + 1
        return f"${number}::text" if kind == "postgres" else f"?{number}"

    text = _PLACES.sub(place, statement.replace("{s}", "chatkit." if kind == "postgres" else ""))
    cursor = ", ".join(f"{mark}{len(given) + number}" for number in range(1, len(after) + 1))
    return text.replace("{after}", cursor), [*(names[name] for name in given), *after]


def plain(column: str, value: Any) -> Any:
    """Returns a value of a row as JSON has it: times as ISO 8601, bytes as text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, int | float) and _TIMES.fullmatch(column) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value, UTC).isoformat()
        except (OverflowError, ValueError, OSError):
            return value
    return value
