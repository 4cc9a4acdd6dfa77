"""Identifiers and the clock.

An id is ``prefix_`` and 26 characters of ``[0-9A-Za-z]``: 56 bits of microseconds since 1970, then 96 random bits.
Ids of one process sort by the time they were made, to the microsecond; a collision needs two equal random parts in
the same microsecond.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import Final

__all__ = ["ITEM_ID_PREFIXES", "base62", "made_at", "new_id", "to_utc", "utc_now"]

ITEM_ID_PREFIXES: Final[dict[str, str]] = {
    "thread": "thr",
    "message": "msg",
    "tool_call": "tc",
    "task": "tsk",
    "workflow": "wf",
    "attachment": "atc",
    "sdk_hidden_context": "shcx",
}
"""Prefix of each kind of stored thing, the same that existing clients and stores know."""

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS: Final = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_DIGITS: Final = {digit: value for value, digit in enumerate(_ALPHABET)}
_LENGTH: Final = 26
_RANDOM_BITS: Final = 96


def new_id(kind: str) -> str:
    """Returns a fresh id.

    Args:
        kind: A kind of ``ITEM_ID_PREFIXES``, or any other prefix of letters and digits, used as it is.
    """
    number = ((time.time_ns() // 1000) << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
    pairs: list[str] = []
    for _ in range(13):
        number, rest = divmod(number, 3844)
        pairs.append(_PAIRS[rest])
    pairs.reverse()
    return f"{ITEM_ID_PREFIXES.get(kind, kind)}_{''.join(pairs)}"


def base62(number: int, length: int) -> str:
    """Returns the last digits of a number in base 62, with zeros in front; equally long ones sort as their numbers.

    Args:
        number: The number, not negative.
        length: How many digits.
    """
    digits: list[str] = []
    for _ in range(length):
        number, rest = divmod(number, 62)
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits))


def made_at(item_id: str) -> int | None:
    """Returns when :func:`new_id` made an id, in microseconds since 1970; None for an id of another form."""
    digits = item_id.rpartition("_")[2]
    if len(digits) != _LENGTH or len(digits) == len(item_id):
        return None
    number = 0
    for digit in digits:
        value = _DIGITS.get(digit)
        if value is None:
            return None
        number = number * len(_ALPHABET) + value
    return number >> _RANDOM_BITS


def utc_now() -> datetime:
    """Returns the present moment, aware, in UTC."""
    return datetime.now(UTC)


def to_utc(moment: datetime) -> datetime:
    """Returns the same moment in UTC; a naive one is taken as local time.

    Raises:
        ValueError: In UTC it is before the year 1 or after the year 9999.
    """
    if moment.tzinfo is UTC:
        return moment
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"there is no such moment in UTC: {moment.isoformat()}") from error
