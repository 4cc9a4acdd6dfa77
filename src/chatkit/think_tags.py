"""Thoughts that a model writes into its text, between ``<think>`` and ``</think>``, told apart as the text arrives."""

from __future__ import annotations

import re
from typing import Final, TypeAlias

__all__ = ["Piece", "ThinkTags", "split_thoughts"]

Piece: TypeAlias = tuple[bool, str]
"""Whether it is a thought, and the text; never empty."""

_TOKENS: Final = re.compile(r"</?think(?:ing)?>|`+|~+|\n", re.IGNORECASE)
_UNFINISHED: Final = re.compile(r"(?:</?(?:t(?:h(?:i(?:n(?:k(?:i(?:ng?)?)?)?)?)?)?)?|`+|~+)\Z", re.IGNORECASE)
"""What may become a token with the text that comes next."""
_BEFORE_A_FENCE: Final = " \t>-*+.0123456789"
"""What a line may have before a code fence: indentation, marks of quotes and of lists."""


class ThinkTags:
    """Splits a text that arrives in pieces into answer and thoughts.

    Tags in code, fenced or in backticks, are text. A thought that does not end goes on to the end of the text. Tags in
    a thought are left out; where one of them did not end, what follows the last ``</think>`` is the answer.

    Attributes:
        found: Whether there was a thought so far.
    """

    __slots__ = ("_blank", "_depth", "_fence", "_held", "_since_end", "_ticks", "found")

    def __init__(self) -> None:
        self.found = False
        self._held = ""
        self._depth = 0
        self._fence = ""
        self._ticks = 0
        self._blank = True
        self._since_end: list[str] | None = None

    def feed(self, text: str) -> list[Piece]:
        """Returns what is certain by now; the beginning of what may be a tag is held back."""
        if self._held:
            text, self._held = self._held + text, ""
        # Most texts have none of them.
        if "<" in text or "`" in text or "~" in text:
            unfinished = _UNFINISHED.search(text)
            if unfinished is not None:
                self._held = text[unfinished.start() :]
                text = text[: unfinished.start()]
        elif not self._depth and not self._ticks:
            head, line_break, tail = text.rpartition("\n")
            if line_break or self._blank:
                self._blank = not (tail if line_break else head + tail).strip(_BEFORE_A_FENCE)
            return [(False, text)] if text else []
        return self._scan(text)

    def finish(self) -> list[Piece]:
        """Returns what was held back, when the text is complete."""
        text, self._held = self._held, ""
        pieces = self._scan(text)
        if self._depth and self._since_end:
            pieces.append((False, "".join(self._since_end)))
        self._depth, self._since_end = 0, None
        return [piece for piece in pieces if piece[1]]

    def _scan(self, text: str) -> list[Piece]:
        pieces: list[Piece] = []
        begin = line = 0
        for match in _TOKENS.finditer(text):
            token, start = match[0], match.start()
            if token.isspace():
                line, self._blank, self._ticks = match.end(), True, 0
                continue
            if token[0] == "<":
                if self._changes(token):
                    self._add(pieces, text[begin:start])
                    self._turn(token)
                    begin = match.end()
            elif not self._depth:
                self._code(token, is_first=self._blank and not text[line:start].strip(_BEFORE_A_FENCE))
        self._add(pieces, text[begin:])
        self._blank = self._blank and not text[line:].strip(_BEFORE_A_FENCE)
        return pieces

    def _changes(self, token: str) -> bool:
        return bool(self._depth) or (token[1] != "/" and not self._fence and not self._ticks)

    def _turn(self, token: str) -> None:
        self.found = True
        if token[1] != "/":
            self._depth += 1
            return
        self._depth -= 1
        self._since_end = [] if self._depth else None

    def _code(self, token: str, *, is_first: bool) -> None:
        if self._fence:
            if is_first and token.startswith(self._fence):
                self._fence = ""
        elif self._ticks:
            if token == "`" * self._ticks:
                self._ticks = 0
        elif is_first and len(token) >= 3:
            self._fence = token
        elif token[0] == "`":
            self._ticks = len(token)

    def _add(self, pieces: list[Piece], text: str) -> None:
        if not text:
            return
        thought = self._depth > 0
        if thought and self._since_end is not None:
            self._since_end.append(text)
        if pieces and pieces[-1][0] == thought:
            text = pieces.pop()[1] + text
        pieces.append((thought, text))


def split_thoughts(text: str) -> tuple[str, list[str]]:
    """Returns a whole text without its thoughts, and these."""
    tags = ThinkTags()
    shown: list[str] = []
    thoughts: list[str] = []
    is_open = False
    for thought, piece in [*tags.feed(text), *tags.finish()]:
        if not thought:
            if tags.found and not "".join(shown).strip():
                shown, piece = [], piece.lstrip()  # noqa: PLW2901 -- a message does not begin with line breaks
            shown.append(piece)
        elif is_open:
            thoughts[-1] += piece
        else:
            thoughts.append(piece)
        is_open = thought
    return "".join(shown), [thought.strip() for thought in thoughts if thought.strip()]
