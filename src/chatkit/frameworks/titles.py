"""Titles of threads: what a model is told to make them by, and what is done with what it made."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["TITLE_INSTRUCTIONS", "first_words", "tidied"]

TITLE_INSTRUCTIONS: Final = (
    "Write a title of two to six words for a conversation that begins with the user's message. Use the language of "
    "the message. Reply with the title alone, without quotation marks. Do not answer the message."
)
"""Instructions for a model that is given a thread's first message."""

_TITLE_CHARACTERS: Final = 48
_LONGEST_TITLE: Final = 80
_THOUGHTS: Final = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL)
_DECORATION: Final = " \t\"'`*#.“”„«»"


def first_words(text: str) -> str:
    """Returns the first words of a message as a title, ``New thread`` for one without words."""
    words = " ".join(text.split())
    if len(words) <= _TITLE_CHARACTERS:
        return words or "New thread"
    return words[:_TITLE_CHARACTERS].rsplit(" ", 1)[0] + "…"


def tidied(text: str) -> str:
    """Returns a title that a model made, without the decoration that models add; empty if nothing is left."""
    lines = (line.strip(_DECORATION) for line in _THOUGHTS.sub("", text).splitlines())
    line = next((" ".join(line.split()) for line in lines if line), "")
    for prefix in ("Title:", "title:"):
        line = line.removeprefix(prefix).strip(_DECORATION)
    return line if len(line) <= _LONGEST_TITLE else f"{line[: _LONGEST_TITLE - 1].rstrip()}…"
