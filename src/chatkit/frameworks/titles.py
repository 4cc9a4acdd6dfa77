"""Titles of threads and of tools, and what is said where a run stops to ask."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["TITLE_INSTRUCTIONS", "first_words", "pause_text", "tidied", "tool_title"]

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


def tool_title(name: str) -> str | None:
    """Returns the tool's name in words."""
    return name.replace("_", " ").strip().capitalize() or name


def pause_text(asked: list[str]) -> str:
    """Returns what the user is told where a run stops to ask for something that this chat cannot ask for.

    Args:
        asked: What it asks, such as the names of tools that need an approval; may be empty.
    """
    what = f"{', '.join(asked)}: this" if asked else "This"
    return f"{what} needs an approval, which cannot be given in this chat. It was not done."
