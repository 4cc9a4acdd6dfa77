"""What a search asks for, how well a text answers it, and the piece of the text that shows why.

Stores with an index use it: they keep :func:`index_words` of a text, find candidates by the terms of a
:class:`SearchQuery`, order them by :meth:`SearchQuery.score`, and cut what is shown with :meth:`SearchQuery.snippet`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, cast

from chatkit._words import Word, is_spaceless, words_in

__all__ = [
    "MOST_CANDIDATES",
    "SEARCHED_CHARS",
    "SEARCHED_ITEM_TYPES",
    "SearchQuery",
    "SearchTerm",
    "Snippet",
    "index_words",
    "searched_text",
]

MOST_CANDIDATES: Final = 1_000
"""How many texts that have all terms are ranked: the newest."""
SEARCHED_CHARS: Final = 20_000
"""Characters of an item's text that are searched: the first."""
SEARCHED_ITEM_TYPES: Final = frozenset({"user_message", "assistant_message"})
"""Items that are searched. Hidden ones never are; widgets, steps and tool calls have no text of their own to show."""

_MOST_TERMS: Final = 12
_MOST_WORDS: Final = 32
_SHORTEST_PREFIX: Final = 3
_SNIPPET_CHARS: Final = 160
_LEAD_CHARS: Final = 48
_USUAL_CHARS: Final = 400
_QUOTES: Final = '"\u201c\u201d\u201e\u00ab\u00bb'
_CHUNK: Final = re.compile(f"[{_QUOTES}]([^{_QUOTES}]*)([{_QUOTES}]?)|[^\\s{_QUOTES}]+")
_MARKUP: Final = re.compile(r"\*\*|`+|^\s{0,3}#{1,6} ", re.MULTILINE)
_SPACE: Final = re.compile(r"\s")


@dataclass(frozen=True, slots=True)
class SearchTerm:
    """Words that a text must have one after the other.

    Attributes:
        words: The words, as :func:`index_words` has them.
        is_prefix: Whether the last one stands for all words that begin with it.
    """

    words: tuple[str, ...]
    is_prefix: bool = False


@dataclass(frozen=True, slots=True)
class Snippet:
    """A piece of a text around what was found.

    Attributes:
        text: The piece on one line, with an ellipsis where it was cut.
        ranges: Where in it the terms are: pairs of the first character and the one after the last, in Unicode
            characters (code points), in order.
    """

    text: str
    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What is searched for: a text must have all terms.

    Attributes:
        terms: The terms; none find nothing.
    """

    terms: tuple[SearchTerm, ...]

    @classmethod
    def parse(cls, text: str) -> SearchQuery:
        """Reads what a user typed; nothing in it is wrong.

        Words are separated by spaces; those in quotation marks must follow one another. The last word, and each that
        ends with an asterisk, also stands for the words that begin with it, from three letters on.
        """
        chunks = list(_CHUNK.finditer(text))
        terms: dict[SearchTerm, None] = {}
        room = _MOST_WORDS
        for number, chunk in enumerate(chunks, 1):
            is_quoted = chunk[1] is not None
            given, is_last = (chunk[1] if is_quoted else chunk[0]), number == len(chunks)
            begins = not chunk[2] and is_last if is_quoted else is_last or given.endswith("*")
            term = _term(given, begins=begins)
            if term is not None and len(term.words) <= room and len(terms) < _MOST_TERMS:
                terms[term] = None
                room -= len(term.words)
        return cls(tuple(terms))

    def score(self, words: str) -> float:
        """Returns how well a text answers, 0 if it lacks a term.

        Args:
            words: The text, by :func:`index_words`.
        """
        padded, total = f" {words} ", 0.0
        rarity = 1.2 * (0.25 + 0.75 * len(words) / _USUAL_CHARS)
        for term in self.terms:
            sought = f" {' '.join(term.words)}"
            count: float = padded.count(f"{sought} ")
            if term.is_prefix:
                # Words that only begin so count half.
                count = (count + padded.count(sought)) / 2
            if not count:
                return 0.0
            total += 2.2 * count / (count + rarity)
        return round(total, 6)

    def ranges(self, text: str) -> list[tuple[int, int]]:
        """Returns where in a text the terms are, in order, without overlaps."""
        return _joined(sorted(self._found(text)))

    def snippet(self, text: str) -> Snippet | None:
        """Returns the piece of a text around what was found first, None if nothing was."""
        plain = _SPACE.sub(" ", _MARKUP.sub("", text[:SEARCHED_CHARS])).strip()
        first = next(self._found(plain), None)
        if first is None:
            return None
        start = max(0, first[0] - _LEAD_CHARS)
        if start:
            # At a word's beginning, if one is near.
            space = plain.find(" ", start, first[0])
            start = start if space < 0 else space + 1
        end = min(len(plain), start + _SNIPPET_CHARS)
        if end < len(plain):
            space = plain.rfind(" ", max(first[1], start), end)
            end = end if space < 0 else space
        end = max(end, min(first[1], start + 2 * _SNIPPET_CHARS))
        # The words around belong to the same text: a term may begin before the piece.
        found = [
            (max(low, start), min(high, end)) for low, high in self._found(plain[: end + 1]) if high > start
        ]
        head, tail = "\u2026" if start else "", "\u2026" if end < len(plain) else ""
        moved = ((low - start + len(head), high - start + len(head)) for low, high in found if low < end)
        return Snippet(f"{head}{plain[start:end]}{tail}", tuple(_joined(sorted(moved))))

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        """Yields where terms are, by the place of their ends."""
        longest = max((len(term.words) for term in self.terms), default=0)
        latest: deque[Word] = deque(maxlen=longest)
        for word in words_in(text):
            latest.append(word)
            for term in self.terms:
                place = _match(term, latest)
                if place is not None:
                    yield place


def _term(given: str, *, begins: bool) -> SearchTerm | None:
    words = list(words_in(given[: _MOST_WORDS * 64]))
    # The end of a run stands alone once more in a text; here only where something else follows, or nothing is before.
    if len(words) > 1 and words[-1].ends_run and words[-2].end == words[-1].end:
        words.pop()
    if not words:
        return None
    last = words[-1]
    if is_spaceless(last.text):
        # Of two characters it is the first.
        return SearchTerm(tuple(word.text for word in words), last.ends_run)
    may_begin = len(last.text) >= _SHORTEST_PREFIX or last.text[0] >= "\u1100"
    return SearchTerm(tuple(word.text for word in words), begins and may_begin)


def _match(term: SearchTerm, latest: deque[Word]) -> tuple[int, int] | None:
    count, words = len(term.words), term.words
    if count > len(latest):
        return None
    last = latest[-1]
    ends = last.text.startswith(words[-1]) if term.is_prefix else last.text == words[-1]
    if not ends:
        return None
    if any(latest[-offset].text != words[-offset] for offset in range(2, count + 1)):
        return None
    end = last.end
    if term.is_prefix and is_spaceless(words[-1]) and not last.ends_run:
        # Of the pair only the first one was sought.
        end -= 1
    return latest[-count].start, end


def _joined(places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for low, high in places:
        if joined and low < joined[-1][1]:
            joined[-1] = joined[-1][0], max(high, joined[-1][1])
        elif high > low:
            joined.append((low, high))
    return joined


def index_words(text: str) -> str:
    """Returns the words of a text that are searched, with spaces between them."""
    return " ".join(word.text for word in words_in(text[:SEARCHED_CHARS]))


def searched_text(document: dict[str, Any]) -> str | None:
    """Returns the text of an item that is searched, None where it is of no kind that is.

    Args:
        document: The item, as JSON has it.
    """
    if document.get("type") not in SEARCHED_ITEM_TYPES:
        return None
    parts = [str(part.get("text") or "") for part in _entries(document, "content")]
    names = [str(file.get("name") or "") for file in _entries(document, "attachments")]
    # A mention stands in the middle of a sentence; parts of an answer are apart.
    body = ("" if document["type"] == "user_message" else "\n").join(parts)
    return "\n".join(text for text in (body, *names) if text)


def _entries(document: dict[str, Any], key: str) -> Iterator[dict[str, Any]]:
    found = document.get(key)
    if isinstance(found, list):
        entries = cast("list[object]", found)
        yield from (
            cast("dict[str, Any]", entry) for entry in islice(entries, 10_000) if isinstance(entry, dict)
        )
