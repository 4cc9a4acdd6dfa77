"""Quotas: how much an owner, or a group of owners, may ask for in a window of time, counted over all workers.

``ChatKitServer(..., limits=Limits(quotas=(Quota("messages", 20, seconds=60),)))``. Those of tokens and of their cost
are budgets, see ``server/turns/budgets.py``; that of running turns is kept by ``server/turns/places.py``.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import AsyncGenerator, Container, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast, get_args

from chatkit._checks import check_choice, check_number, check_whole, shown
from chatkit._observers import observers
from chatkit.errors import (
    ConfigurationError,
    QuotaExceededError,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from chatkit.counters import Counter

__all__ = [
    "BUDGETS",
    "FILE_QUOTAS",
    "Quota",
    "Use",
    "bounding",
    "cost_units",
    "counter_key",
    "exceeded",
    "exceeded_by_files",
    "reached",
    "used",
]

Use: TypeAlias = Literal[
    "messages",
    "requests",
    "uploads",
    "upload_bytes",
    "tokens",
    "cost",
    "running_turns",
    "stored_bytes",
    "unclaimed_files",
]
"""What a quota counts: messages of users, with retries; all requests; files, when they are announced or uploaded; the
bytes of these files; tokens of models; what these cost, in the currency of the server's prices. And what has no window:
turns that run at once, or wait for their place in a thread; the bytes of all files that are kept; files that no message
has come for."""

BUDGETS: Final[frozenset[Use]] = frozenset({"tokens", "cost"})
"""What calls of models use: reserved before the call."""

FILE_QUOTAS: Final[frozenset[Use]] = frozenset({"stored_bytes", "unclaimed_files"})
"""What a store counts, where it keeps the records of files."""
_AS_IT_IS: Final[frozenset[str]] = FILE_QUOTAS | {"running_turns"}

_COST_PARTS: Final = 10**9
_MOST_COST: Final = 9_000_000
"""In billionths this is what counters count exactly: Redis has no whole numbers above 2**53."""

_TEXT: Final = re.compile(r"(\w+)=(\d{1,15}(?:\.\d{1,9})?)/(second|minute|hour|day|\d{1,9})", re.ASCII)
_NOW: Final = re.compile(r"(running_turns|stored_bytes|unclaimed_files)=(\d{1,15})", re.ASCII)
_NOUNS: Final[Mapping[Use, str]] = {
    "messages": "message",
    "requests": "request",
    "uploads": "file",
    "upload_bytes": "byte",
    "tokens": "token",
    "cost": "",
    "running_turns": "answer",
    "stored_bytes": "byte",
    "unclaimed_files": "file",
}
_WORDS: Final[Mapping[Use, str]] = {
    "messages": "send {}",
    "requests": "send {}",
    "uploads": "attach {}",
    "upload_bytes": "attach {} of files",
    "tokens": "use {}",
    "cost": "spend {}",
    "running_turns": "have {} written at once",
    "stored_bytes": "keep {} of files",
    "unclaimed_files": "have {} that no message was sent with",
}
_SPANS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


@dataclass(frozen=True, slots=True)
class Quota:
    """How much of something may be used in a window of time.

    Attributes:
        what: What is counted.
        most: How much of it a window may have; what would exceed it is refused with 429 and changes nothing. A cost may
            be a ``Decimal``, up to nine million.
        seconds: How long a window is. It begins with its first use. What is counted as it is now has none.
        by: Whose it is: each ``"owner"``'s, or each ``"group"``'s, as ``ChatKitServer.quota_group`` says.

    Raises:
        ConfigurationError: One of these is not of its kind.
    """

    what: Use
    most: int | Decimal
    seconds: float = 60.0
    by: Literal["owner", "group"] = "owner"

    def __post_init__(self) -> None:
        check_choice("Quota(what=...)", self.what, get_args(Use))
        check_choice("Quota(by=...)", self.by, ("owner", "group"))
        if self.what == "cost":
            _check_cost(self.most)
        else:
            check_whole("Quota(most=...)", self.most)
        check_number("Quota(seconds=...)", self.seconds, above=True)

    @classmethod
    def parse(cls, text: str) -> Quota:
        """Reads an owner's quota from a text such as ``messages=20/minute`` or ``running_turns=3``.

        A window may be a number of seconds, too.

        Raises:
            ConfigurationError: It is none.
        """
        match = _TEXT.fullmatch(text.strip())
        if (now := _NOW.fullmatch(text.strip())) is not None:
            return cls(cast("Use", now[1]), int(now[2]))
        if match is None or match[1] in _AS_IT_IS:
            raise ConfigurationError(f"A quota is written such as messages=20/minute, not {text!r}.")
        what, most, window = match.groups()
        seconds = {name: float(seconds) for seconds, name in _SPANS}
        number = Decimal(most) if "." in most else int(most)
        return cls(cast("Use", what), number, seconds.get(window) or float(window))

    @property
    def units(self) -> int:
        """What a window may have, as it is counted: a cost in billionths."""
        return cost_units(Decimal(self.most)) if self.what == "cost" else int(self.most)

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
        for quota, whose in bounding(quotas, uses, owners):
            key, amount = counter_key(quota, whose), uses[quota.what]
            if not amount:
                continue
            count = await counter.take(key, amount, window=quota.seconds, limit=quota.units)
            if not count.taken:
                raise exceeded(quota, amount, count.seconds)
            taken.append((key, amount, time.monotonic() + count.seconds))
        yield
    except BaseException:
        for key, amount, ends_at in taken:
            # Not to the next window.
            if (left := ends_at - time.monotonic()) > 0:
                with suppress(StoreUnavailableError):
                    await counter.take(key, -amount, window=left)
        raise


def exceeded_by_files(quota: Quota) -> QuotaExceededError:
    """Returns the error of a file that one of ``FILE_QUOTAS`` has no room for."""
    rest = "Delete some" if quota.by == "owner" else "Somebody has to delete some"
    first = " first, or threads that have some." if quota.what == "stored_bytes" else ", or send them, first."
    return QuotaExceededError(f"{reached(quota)}. {rest}{first}")


def cost_units(cost: Decimal) -> int:
    """Returns a cost as it is counted: in billionths, rounded up."""
    return int((cost * _COST_PARTS).to_integral_value(ROUND_CEILING))


def _check_cost(most: object) -> None:
    number = (
        Decimal(most) if isinstance(most, (int, Decimal)) and not isinstance(most, bool) else Decimal("nan")
    )
    if not (number.is_finite() and 0 <= number <= _MOST_COST):
        raise ConfigurationError(
            f"Quota(most=...) of a cost is a whole number or a Decimal, up to {_MOST_COST:,}, not {shown(most)}."
        )


def bounding(
    quotas: Sequence[Quota], kinds: Container[Use], owners: Mapping[str, str | None]
) -> Iterator[tuple[Quota, str]]:
    """Yields the quotas of some kinds, each with the owner or the group that it bounds.

    Args:
        quotas: All quotas.
        kinds: What is counted.
        owners: The owner and the group, by the names that ``Quota.by`` has; None is not bounded.
    """
    for quota in quotas:
        whose = owners.get(quota.by)
        if quota.what in kinds and whose is not None:
            yield quota, whose


def counter_key(quota: Quota, whose: str) -> str:
    """Returns the key under which a counter counts what an owner or a group uses of a quota."""
    return f"quota:{quota.what}:{quota.seconds:g}:{quota.by}:{whose}"


def exceeded(quota: Quota, amount: int, seconds: float) -> QuotaExceededError:
    """Returns the error of a use that a quota has not enough left for, and tells observers.

    Args:
        quota: The quota.
        amount: How much is needed, as it is counted; 0 if anything would do.
        seconds: For how long its window lasts.
    """
    allowed = f"{reached(quota)} in {quota.span}"
    if amount > quota.units:
        return QuotaExceededError(f"{allowed}, and this is more.")
    wait = math.ceil(seconds)
    # What is left may do for a shorter message.
    left = " Less may be left than this may need." if amount and quota.what in BUDGETS else ""
    return QuotaExceededError(f"{allowed}.{left} Try again in {_wait(wait)}.", retry_after=wait)


def reached(quota: Quota) -> str:
    """Tells observers that a request is refused for a quota, and returns what that allows, in words."""
    for observer in observers():
        observer.reached_limit(quota.what)
    who = "You" if quota.by == "owner" else "Your group"
    return f"{who} may {_WORDS[quota.what].format(_number(quota.most, _NOUNS[quota.what]))}"


def _wait(seconds: int) -> str:
    """Returns seconds in words, in the largest unit of which there are two at least."""
    span, name = next(((span, name) for span, name in _SPANS if seconds >= 2 * span), _SPANS[-1])
    return _number(math.ceil(seconds / span), name)


def _number(number: int | Decimal, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}" if noun else f"{number:,}"
