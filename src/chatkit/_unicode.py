"""Text that UTF-8 can carry: lone surrogates, which no JSON text and no database takes, become U+FFFD."""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeVar, cast

from pydantic import BaseModel

__all__ = ["encode", "well_formed", "well_formed_text"]

T = TypeVar("T")


def well_formed_text(text: str) -> str:
    """Returns the text with surrogate pairs joined and lone surrogates replaced; the same object if it has none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def encode(text: str) -> bytes:
    """Returns the text in UTF-8, lone surrogates replaced."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return well_formed_text(text).encode()


def well_formed(value: T) -> T:
    """Returns the value with all its text well-formed: a copy of what holds lone surrogates, the rest as it is.

    Args:
        value: A model, or anything that JSON has a form for.
    """
    return cast("T", _well_formed(value))


def _well_formed(value: Any) -> Any:
    if isinstance(value, str):
        return value if isinstance(value, Enum) else well_formed_text(value)
    if isinstance(value, BaseModel):
        held = {**value.__dict__, **(value.__pydantic_extra__ or {})}
        changed = {name: new for name, old in held.items() if (new := _well_formed(old)) is not old}
        return value.model_copy(update=changed) if changed else value
    if isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value)
        items = [(_well_formed(key), _well_formed(entry)) for key, entry in pairs.items()]
        same = all(a is key and b is entry for (a, b), (key, entry) in zip(items, pairs.items(), strict=True))
        return pairs if same else dict(items)
    if isinstance(value, list | tuple):
        given = cast("list[Any]", value)
        entries = [_well_formed(entry) for entry in given]
        return given if all(new is old for new, old in zip(entries, given, strict=True)) else entries
    return value
