"""Titles of threads."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["first_words", "tidied"]

_LENGTH: Final = 48
_LONGEST: Final = 80
_THOUGHTS: Final = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL)
_DECORATION: Final = " \t\"'`*#.“”„«»"


def first_words(text: str) -> str:
    """Returns the first words of a message as a title."""
    words = " ".join(text.split())
    if len(words) <= _LENGTH:
        return words or "New thread"
    return words[:_LENGTH].rsplit(" ", 1)[0] + "…"


def tidied(text: str) -> str:
    """Returns a title that a model made, without what models put around one; empty if nothing is left."""
    lines = (line.strip(_DECORATION) for line in _THOUGHTS.sub("", text).splitlines())
    line = next((" ".join(line.split()) for line in lines if line), "")
    for prefix in ("Title:", "title:"):
        line = line.removeprefix(prefix).strip(_DECORATION)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1].rstrip()}…"
