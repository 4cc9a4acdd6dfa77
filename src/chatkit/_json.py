"""How much is in a JSON text, found out without parsing it.

A parser makes an object of each value, and a validator may make an error of each: a text of some megabytes can keep
them busy for seconds, in which nothing else of the process runs.
"""

from __future__ import annotations

__all__ = ["holds_too_many_values", "is_mostly_one_text"]


def holds_too_many_values(body: bytes, most: int) -> bool:
    """Returns whether a body of JSON has more than ``most`` values, without parsing it.

    Separators in texts do not count, so that a text may hold any number of commas.
    """
    if len(body) <= most or _separators(body) <= most:
        return False
    parts = _outside_and_inside(body, most)
    return parts is None or _separators(b"".join(parts[::2])) > most


def is_mostly_one_text(body: bytes, most_values: int, most_outside: int) -> bool:
    """Returns whether a body of JSON has few values, one of them long and in ASCII, without parsing it.

    Args:
        body: The body, which may be so large that a look at each of its bytes takes too long.
        most_values: Values at most.
        most_outside: Bytes outside of texts at most.
    """
    if b"\\" in body and body.count(b"\\") > len(body) // 32:
        # Base64 needs no escapes, and some encoders make one of each slash.
        return False
    parts = _outside_and_inside(body, most_values)
    if parts is None:
        return False
    outside = b"".join(parts[::2])
    return (
        len(outside) <= most_outside
        and _separators(outside) <= most_values
        and max(parts[1::2], key=len, default=b"").isascii()
    )


def _outside_and_inside(body: bytes, most_values: int) -> list[bytes] | None:
    """Returns a body cut at the ends of its texts: what is outside of them and what is inside, by turns.

    Returns:
        None if there are more texts than ``most_values`` values can have.
    """
    if b"\\" in body:
        # What is left of quotation marks then are the ends of texts.
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Each value brings two texts at most, itself and its key.
    most = 4 * most_values + 2
    parts = body.split(b'"', most)
    return None if len(parts) > most else parts


def _separators(text: bytes) -> int:
    return len(text) - len(text.translate(None, b",:[{"))
