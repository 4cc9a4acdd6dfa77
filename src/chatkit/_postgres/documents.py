"""Models as JSONB, without losing what JSONB does not keep."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

from pydantic import BaseModel

from chatkit.errors import StoreError

__all__ = ["document_columns"]

_ESCAPE: Final = re.compile(r"\\(?:u0000|.)", re.DOTALL)


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
        readable = _ESCAPE.sub(lambda found: "\\ufffd" if found[0] == "\\u0000" else found[0], text)
        if readable != text:
            return readable, text
    return text, None if _comes_back(text, load) else text


def _comes_back(text: str, load: Callable[[str], BaseModel]) -> bool:
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
