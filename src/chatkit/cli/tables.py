"""Tables and JSON lines of what others have named: nothing in a name steers the terminal, or looks like another row."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

__all__ = ["age", "cell", "moment", "plain_line", "print_json", "print_table", "say"]

_LONGEST: Final = 60
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400


def cell(text: str, longest: int = _LONGEST) -> str:
    """Returns a text for a table, in one line: what is not printed is written as in a program, and so is a backslash.

    Args:
        text: The text.
        longest: The characters that are shown at most; more are told by ``…``.
    """
    shown = "".join(map(_visible, text[: longest + 1]))
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def plain_line(text: str) -> str:
    """Returns a line of a text as it is, but for what is not printed; tabs are spaces."""
    return "".join(
        character if character == "\\" else _visible(character) for character in text.expandtabs(4)
    )


def _visible(character: str) -> str:
    if character == "\\" or not character.isprintable():
        return character.encode("unicode_escape").decode("ascii")
    return character


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[str] = ()) -> None:
    """Prints rows below their heads.

    Args:
        head: The names of the columns.
        rows: Their texts, which are shown as they are.
        numbers: The columns whose texts end below one another.
    """
    lines = [tuple(head), *map(tuple, rows)]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    right = {head.index(name) for name in numbers}
    for line in lines:
        cells = [
            " " * (width - _width(text)) + text if at in right else text + " " * (width - _width(text))
            for at, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        say("  ".join(cells).rstrip())


def print_json(values: Iterable[Any]) -> None:
    """Prints each value as one line of JSON in ASCII, which no text in it can break or steer."""
    for value in values:
        say(json.dumps(value, default=_plain))


def say(line: str) -> None:
    """Prints a line; characters that the terminal does not have are written as in a program."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        with suppress(ValueError):
            reconfigure(errors="backslashreplace")
    print(line)


def moment(time: datetime | None) -> str:
    """Returns a moment to the second, in UTC; a dash for none."""
    return "-" if time is None else f"{time:%Y-%m-%d %H:%M:%S}Z"


def age(seconds: float | None) -> str:
    """Returns a time as people say it: ``8 s``, ``12 min``, ``3 h``, ``5 d``; a dash for none."""
    if seconds is None:
        return "-"
    whole = max(0, int(seconds))
    for unit, length in (("d", _DAY), ("h", _HOUR), ("min", _MINUTE)):
        if whole >= 2 * length:
            return f"{whole // length} {unit}"
    return f"{whole} s"


def _width(text: str) -> int:
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
