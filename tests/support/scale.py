"""How long tests may wait, and how much they try, as the environment says.

``CHATKIT_TEST_SLOWNESS`` (1 by default) multiplies every time: for a machine that is slow, or does other things too.
``CHATKIT_TEST_EXAMPLES`` (1 by default) multiplies what is drawn: examples of properties, rounds of races, and shares
of lists of cases, which are whole when it is large.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterable
from typing import TypeVar

_T = TypeVar("_T")

SLOWNESS = float(os.environ.get("CHATKIT_TEST_SLOWNESS") or 1)
EXAMPLES = float(os.environ.get("CHATKIT_TEST_EXAMPLES") or 1)
FAST = bool(os.environ.get("CHATKIT_TEST_FAST"))
"""Set by ``scripts/test --fast``: what needs a server, or a process of its own, is skipped."""


_PATIENCE = 3
"""A limit of time is there for what hangs. It costs nothing where a test passes, so that it can be generous."""


def scaled(limit: float) -> float:
    """Returns a limit of time, of whatever unit, that nothing reaches which does not hang."""
    return limit * _PATIENCE * SLOWNESS


def lasting(seconds: float) -> float:
    """Returns a time that a test lives through, such as a lease, as long as this machine needs it."""
    return seconds * SLOWNESS


def is_within(seconds: float, limit: float) -> bool:
    """Returns whether something that has just ended took less than a limit of time.

    A machine that does other things too gets what they take it: how much that is, a bit of work shows, which takes as
    long as its time of a processor where nothing else runs.
    """
    if seconds < lasting(limit):
        return True
    begun, worked = time.monotonic(), time.thread_time()
    while time.thread_time() - worked < 0.1:
        pass
    return seconds < lasting(limit) * (time.monotonic() - begun) / 0.1


def examples(count: int) -> int:
    """Returns how many examples to try where there are usually ``count``."""
    return max(1, round(count * EXAMPLES))


def share(cases: Iterable[_T], count: int, seed: object = 0) -> list[_T]:
    """Returns some of the cases, in their order: always the same for one seed, all where enough examples are asked for.

    Args:
        cases: All of them.
        count: How many there usually are.
        seed: Anything whose text differs between tests that are to get different shares.
    """
    listed = list(cases)
    chosen = random.Random(f"{seed}").sample(range(len(listed)), min(examples(count), len(listed)))
    return [listed[number] for number in sorted(chosen)]
