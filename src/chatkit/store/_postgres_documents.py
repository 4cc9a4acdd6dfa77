"""What the PostgreSQL store and its turns have in common: the statements, documents as JSONB, the lock of a thread."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chatkit._json import holds_too_many_values
from chatkit._sql import load_queries
from chatkit.errors import StoreError
from chatkit.store import _records as records

if TYPE_CHECKING:
    from pydantic import BaseModel

    from chatkit._postgres import Database, Transaction

__all__ = ["SQL", "document_columns", "erased_owners", "lock_thread"]

SQL: Final = load_queries(Path(__file__).parent / "queries" / "postgres.sql")

_MOST_VALUES: Final = 10_000
"""A model of more values is kept as text without a look at what JSONB makes of it, which would hold up all else."""


async def lock_thread(transaction: Transaction, owner: str, thread_id: str) -> int:
    """Locks a thread of an owner until the end of the transaction, and returns its number."""
    thread: int | None = await transaction.value(SQL["lock_thread"], owner, thread_id)
    return records.no_thread(thread_id) if thread is None else thread


# Models as JSONB, without losing what JSONB does not keep.


def document_columns(text: str, load: Callable[[str], BaseModel]) -> tuple[str, str | None]:
    """Returns a model's JSON for the columns ``data`` and ``exact``.

    JSONB refuses NUL characters, sorts the keys of objects and writes numbers in its own way. Most models come back
    the same all the same, for the order of declared fields is that of their declaration. For those that would not,
    the second column keeps the text itself.

    Args:
        text: The model as JSON, all fields in the order of their declaration.
        load: Returns the model in a text, or raises StoreError.

    Returns:
        JSON that JSONB takes, with U+FFFD in the place of NUL, and the text where it has to be kept, else None.
    """
    if "\\u0000" in text:
        # Escaped backslashes stand aside meanwhile, as a character that JSON does not have: "\\\\u0000" is not a NUL.
        aside = text.replace("\\\\", "\x01").replace("\\u0000", "\\ufffd")
        readable = aside.replace("\x01", "\\\\")
        if readable != text:
            return readable, text
    return text, None if _comes_back(text, load) else text


def _comes_back(text: str, load: Callable[[str], BaseModel]) -> bool:
    if holds_too_many_values(text.encode(), _MOST_VALUES):
        return False
    try:
        document = json.loads(text, object_pairs_hook=_sorted, parse_float=_plain)
        returned = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        return load(returned).model_dump_json(warnings=False) == text
    except (StoreError, ValueError, RecursionError):
        return False


def _sorted(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns an object with its keys in JSONB's order: by length, then by bytes."""
    return dict(sorted(pairs, key=lambda pair: (len(raw := pair[0].encode()), raw)))


def _plain(number: str) -> float:
    value = float(number)
    if "e" in number.lower() or (value == 0 and number.startswith("-")):
        raise ValueError("JSONB writes this number differently.")
    return value


async def erased_owners(database: Database) -> frozenset[str]:
    """Returns whose data is being erased at present."""
    rows = await database.read(lambda transaction: transaction.rows(SQL["erased_owners"]))
    return frozenset(row[0] for row in rows)
