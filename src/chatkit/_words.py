"""The words of a text as they are searched: folded in case and accents, the same for every store.

A script that writes no spaces between words (Chinese, Japanese, Thai and the like) has each two neighbouring characters
for a word, so that any part of a text is found that is two characters long, or one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

__all__ = ["MAX_WORD", "Word", "is_spaceless", "words_in"]

MAX_WORD: Final = 64
"""Characters of a word that count; what follows is left out."""

_SPACELESS: Final = (
    # Thai, Lao; Myanmar; Khmer; Tai Le to Tai Tham; Balinese; Javanese and Myanmar's extensions.
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u1b00-\u1b7f\ua980-\ua9ff\uaa60-\uaa7f"
    # Han, kana, bopomofo, Yi, and forms of half width.
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u303c\u3041-\u30ff\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uf900-\ufaff\uff66-\uff9f\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
_PICTURES: Final = (
    "\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u27bf\u2900-\u297f\u2b00-\u2bff\U0001f000-\U0001faff"
)
_JOINERS: Final = "\u00ad\u200c\u200d\u2060\ufeff"
"""Stand within a word and are no part of it."""
_UNFOLDED: Final = str.maketrans(
    {
        **dict(zip("øłđðħıþæœ", ["o", "l", "d", "d", "h", "i", "th", "ae", "oe"], strict=True)),
        # Arabic: letters that are written for one another.
        **dict(zip("ىیکة", "ييكه", strict=True)),
        "\u0640": None,
    }
)
"""Letters that people write for one another, though Unicode does not take them apart."""


def _marks() -> str:
    """Returns the class of marks that are written above, below or beside letters."""
    blocks = (range(0x300, 0x2100), range(0xA800, 0xAC00), range(0xFB1E, 0xFE30), range(0x11000, 0x12000))
    return "".join(
        re.escape(chr(code))
        for block in blocks
        for code in block
        if unicodedata.category(chr(code))[0] == "M"
    )


_DROPPED: Final = re.compile(
    "[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u20d0-\u20ff]"
)
"""Accents, and vowel points of Hebrew and Arabic. Marks of other scripts are as much as letters."""
_WORD: Final = re.compile(rf"[\w{_marks()}{_JOINERS}]+|[{_PICTURES}]")
_ASCII_WORD: Final = re.compile(r"[a-z0-9]+")
_RUN: Final = re.compile(f"[{_SPACELESS}]+|[^{_SPACELESS}]+")
_IS_SPACELESS: Final = re.compile(f"[{_SPACELESS}]")
_UNIT: Final = re.compile(".[\u3099\u309a\uff9e\uff9f]?", re.DOTALL)


class Word(NamedTuple):
    """A word of a text.

    Attributes:
        text: The word, folded.
        start: Where it begins in the text, in characters.
        end: Where it ends.
        ends_run: Whether it is the last character of a run of a script without spaces, which stands alone once more.
    """

    text: str
    start: int
    end: int
    ends_run: bool = False


def is_spaceless(word: str) -> bool:
    """Returns whether a word is of a script that writes no spaces."""
    return _IS_SPACELESS.match(word) is not None


def words_in(text: str) -> Iterator[Word]:
    """Yields the words of a text, in their order."""
    if text.isascii():
        for found in _ASCII_WORD.finditer(text.lower()):
            yield Word(found[0][:MAX_WORD], found.start(), found.end())
        return
    # As many characters, so that places stay.
    for found in _WORD.finditer(text.replace("_", " ")):
        word, start = found[0], found.start()
        if word.isascii():
            yield Word(word.lower()[:MAX_WORD], start, found.end())
            continue
        for run in _RUN.finditer(word):
            if _IS_SPACELESS.match(run[0]):
                yield from _pairs(run[0], start + run.start())
            else:
                folded = _fold(run[0])
                if folded:
                    yield Word(folded[:MAX_WORD], start + run.start(), start + run.end())


def _pairs(run: str, start: int) -> Iterator[Word]:
    units = [(folded, unit.start(), unit.end()) for unit in _UNIT.finditer(run) if (folded := _fold(unit[0]))]
    for (first, begin, _), (second, _, end) in pairwise(units):
        yield Word(first + second, start + begin, start + end)
    if units:
        last, begin, end = units[-1]
        yield Word(last, start + begin, start + end, ends_run=True)


@lru_cache(16_384)
def _fold(word: str) -> str:
    decomposed = unicodedata.normalize("NFKD", word).casefold()
    plain = _DROPPED.sub("", unicodedata.normalize("NFKD", decomposed)).translate(_UNFOLDED)
    composed = unicodedata.normalize("NFC", plain)
    return "".join(_plain(character) for character in composed)


def _plain(character: str) -> str:
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    # Fractions and ligatures come apart into more than letters.
    if character.isalnum() or unicodedata.category(character) in {"So", "Mn", "Mc", "Me"}:
        return character
    return ""
