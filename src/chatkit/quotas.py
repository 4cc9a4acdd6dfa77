"""Quotas: how much an owner, or a group of owners, may ask for in a window of time, counted over all workers.

``ChatKitServer(..., limits=Limits(quotas=(Quota("messages", 20, seconds=60),)))``.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast, get_args

from chatkit._checks import check_choice, check_number, check_whole
from chatkit._observers import observers
from chatkit.errors import ConfigurationError, QuotaExceededError, StoreUnavailableError

if TYPE_CHECKING:
    from chatkit.counters import Counter

__all__ = ["Quota", "Use", "used"]

Use: TypeAlias = Literal["messages", "requests", "uploads", "upload_bytes"]
"""What a quota counts: messages of users, with retries; all requests; files, when they are announced or uploaded; the
bytes of these files."""

_TEXT: Final = re.compile(r"(\w+)=(\d{1,15})/(second|minute|hour|day|\d{1,9})", re.ASCII)
_NOUNS: Final[Mapping[Use, str]] = {
    "messages": "message",
    "requests": "request",
    "uploads": "file",
    "upload_bytes": "byte",
}
_WORDS: Final[Mapping[Use, str]] = {
    "messages": "send {}",
    "requests": "send {}",
    "uploads": "attach {}",
    "upload_bytes": "attach {} of files",
}
_SPANS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


@dataclass(frozen=True, slots=True)
class Quota:
    """How much of something may be used in a window of time.

    Attributes:
        what: What is counted.
        most: How much of it a window may have; what would exceed it is refused with 429 and changes nothing.
        seconds: How long a window is. It begins with its first use.
        by: Whose it is: each ``"owner"``'s, or each ``"group"``'s, as ``ChatKitServer.quota_group`` says.

    Raises:
        ConfigurationError: One of these is not of its kind.
    """

    what: Use
    most: int
    seconds: float = 60.0
    by: Literal["owner", "group"] = "owner"

    def __post_init__(self) -> None:
        check_choice("Quota(what=...)", self.what, get_args(Use))
        check_choice("Quota(by=...)", self.by, ("owner", "group"))
        check_whole("Quota(most=...)", self.most)
        check_number("Quota(seconds=...)", self.seconds, above=True)

    @classmethod
    def parse(cls, text: str) -> Quota:
        """Reads an owner's quota from a text such as ``messages=20/minute``; a window may be a number of seconds, too.

        Raises:
            ConfigurationError: It is none.
        """
        match = _TEXT.fullmatch(text.strip())
        if match is None:
            raise ConfigurationError(f"A quota is written such as messages=20/minute, not {text!r}.")
        what, most, window = match.groups()
        seconds = {name: float(seconds) for seconds, name in _SPANS}
        return cls(cast("Use", what), int(most), seconds.get(window) or float(window))

    @property
    def span(self) -> str:
        """The window in words, such as "a minute" or "7 days"."""
        for seconds, name in _SPANS:
            if self.seconds >= seconds and self.seconds % seconds == 0:
                number = int(self.seconds // seconds)
                return f"{'an' if name == 'hour' else 'a'} {name}" if number == 1 else _number(number, name)
        return f"{self.seconds:g} seconds"


@asynccontextmanager
async def used(
    quotas: Sequence[Quota], counter: Counter, uses: Mapping[Use, int], owners: Mapping[str, str | None]
) -> AsyncGenerator[None]:
    """Counts uses for as long as the block is carried out without an error, and gives them back otherwise.

    Args:
        quotas: What may be used.
        counter: Counts.
        uses: How much is used.
        owners: The owner and the group, by the names that ``Quota.by`` has; None is not bounded.

    Raises:
        QuotaExceededError: A window has not as much left; nothing was counted, and the block is not entered.
        StoreUnavailableError: The counter cannot be reached.
    """
    taken = list[tuple[str, int, float]]()
    try:
        for quota in quotas:
            amount, whose = uses.get(quota.what, 0), owners.get(quota.by)
            if not amount or whose is None:
                continue
            key = f"quota:{quota.what}:{quota.seconds:g}:{quota.by}:{whose}"
            count = await counter.take(key, amount, window=quota.seconds, limit=quota.most)
            if not count.taken:
                for observer in observers():
                    observer.reached_limit(quota.what)
                raise _exceeded(quota, amount, count.seconds)
            taken.append((key, amount, time.monotonic() + count.seconds))
        yield
    except BaseException:
        for key, amount, ends_at in taken:
            # Not to the next window.
            if (left := ends_at - time.monotonic()) > 0:
                with suppress(StoreUnavailableError):
                    await counter.take(key, -amount, window=left)
        raise


def _exceeded(quota: Quota, amount: int, seconds: float) -> QuotaExceededError:
    whose = "You" if quota.by == "owner" else "Your group"
    what = _WORDS[quota.what].format(_number(quota.most, _NOUNS[quota.what]))
    if amount > quota.most:
        return QuotaExceededError(f"{whose} may {what} in {quota.span}, and this is more.")
    wait = math.ceil(seconds)
    return QuotaExceededError(
        f"{whose} may {what} in {quota.span}. Try again in {_wait(wait)}.", retry_after=wait
    )


def _wait(seconds: int) -> str:
    """Returns seconds in words, in the largest unit of which there are two at least."""
    span, name = next(((span, name) for span, name in _SPANS if seconds >= 2 * span), _SPANS[-1])
    return _number(math.ceil(seconds / span), name)


def _number(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
