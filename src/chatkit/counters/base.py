"""The port of counters, and the one in memory."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final

__all__ = ["FORGOTTEN_AT_ONCE", "Count", "Counter", "MemoryCounter"]

FORGOTTEN_AT_ONCE: Final = 16
"""Counts of windows that are over, forgotten at most when a window begins: more than begin, so that they get fewer."""


@dataclass(frozen=True, slots=True)
class Count:
    """What a counter answers.

    Attributes:
        total: What the window has counted, this use included if it was taken.
        taken: Whether the use was counted: False where it would have exceeded the limit.
        seconds: Until the window ends, more than 0.
    """

    total: int
    taken: bool
    seconds: float


class Counter(ABC):
    """Counts uses by key, each key in a window of time that begins with its first use.

    Every method raises :class:`chatkit.errors.StoreUnavailableError` when the counter cannot be reached.
    """

    @property
    def shared(self) -> bool:
        """Whether several worker processes count together."""
        return True

    @abstractmethod
    async def take(self, key: str, amount: int = 1, *, window: float, limit: int | None = None) -> Count:
        """Counts a use if it is within the limit; of many at the same time, no more than that many are taken.

        A use that is not taken changes nothing. The first use after the window's end begins another one.

        Args:
            key: What is counted.
            amount: How much of it is used; 0 asks what the window has counted, less gives back what came to nothing.
            window: Seconds for which a new window lasts.
            limit: The most that a window may count; None for any number.
        """

    async def reserve(
        self, key: str, name: str, amount: int, *, window: float, limit: int, lease: float
    ) -> Count:
        """Counts the most that something may use, until ``settle`` says what it did.

        Reserved again under its name, as by another attempt at the same, it counts once. What is neither settled nor
        renewed in time, because its worker died, is given back.

        The default, over ``take``, knows no names and gives nothing back before the window ends.

        Args:
            key: What is counted.
            name: Of the reservation, among those of the key.
            amount: The most that is used; 0 reserves nothing, and asks whether there is still room.
            window: Seconds for which a new window lasts.
            limit: The most that a window may count.
            lease: Seconds for which it is reserved.
        """
        return await self.take(key, amount, window=window, limit=limit)

    async def renew(  # noqa: B027 -- the default gives nothing back
        self, key: str, name: str, *, lease: float
    ) -> None:
        """Reserves for longer what is reserved.

        Args:
            key: What is counted.
            name: Of the reservation.
            lease: Seconds from now on.
        """

    async def settle(self, key: str, name: str, amount: int, used: int, *, window: float) -> None:
        """Counts what was used in the place of a reservation, which may have been given back meanwhile.

        Args:
            key: What is counted.
            name: Of the reservation.
            amount: How much was reserved.
            used: How much was used.
            window: Seconds that are left of the window in which it was reserved; where there are none, nothing counts.
        """
        if window > 0 and used != amount:
            await self.take(key, used - amount, window=window)

    async def check(self) -> None:
        """Raises if the counter cannot count; a readiness probe calls it."""
        await self.take("check", 0, window=1.0)

    async def close(self) -> None:  # noqa: B027 -- most have nothing to release
        """Releases connections; the counter opens them again when it is used."""


class MemoryCounter(Counter):
    """Counts in this process, for one worker.

    Args:
        clock: Returns the present moment in seconds, which only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        # In the order in which the windows began.
        self._windows: dict[str, tuple[int, float]] = {}
        # By key and name: how much, and until when.
        self._reserved: dict[str, dict[str, tuple[int, float]]] = {}

    @property
    def shared(self) -> bool:
        """False: other processes count on their own."""
        return False

    async def take(self, key: str, amount: int = 1, *, window: float, limit: int | None = None) -> Count:
        with self._lock:
            return self._take(key, amount, window, limit)

    def _take(self, key: str, amount: int, window: float, limit: int | None) -> Count:
        now = self._clock()
        total, ends_at = self._windows.get(key, (0, now))
        if ends_at <= now:
            total, ends_at = 0, now + window
            self._windows.pop(key, None)
            self._reserved.pop(key, None)
            self._forget(now)
        taken = limit is None or total + amount <= limit
        total += amount if taken else 0
        self._windows[key] = (total, ends_at)
        return Count(total, taken, ends_at - now)

    async def reserve(
        self, key: str, name: str, amount: int, *, window: float, limit: int, lease: float
    ) -> Count:
        with self._lock:
            now = self._clock()
            self._take(key, 0, window, None)
            reserved = self._reserved.setdefault(key, {})
            for lapsed in [other for other, (_, until) in reserved.items() if until <= now]:
                self._take(key, -reserved.pop(lapsed)[0], window, None)
            before = reserved.get(name, (0, now))[0]
            count = self._take(key, amount - before, window, limit)
            if count.taken and amount:
                reserved[name] = (amount, now + lease)
            return count

    async def renew(self, key: str, name: str, *, lease: float) -> None:
        with self._lock:
            reserved = self._reserved.get(key, {})
            if name in reserved:
                reserved[name] = (reserved[name][0], self._clock() + lease)

    async def settle(self, key: str, name: str, amount: int, used: int, *, window: float) -> None:
        with self._lock:
            before, _ = self._reserved.get(key, {}).pop(name, (0, 0.0))
            if window > 0:
                self._take(key, used - before, window, None)

    def forget(self, is_meant: Callable[[str], bool]) -> int:
        """Forgets what was counted by some keys, and returns how many there were.

        Args:
            is_meant: Says of a key whether it is one of them.
        """
        with self._lock:
            meant = [key for key in self._windows if is_meant(key)]
            for key in meant:
                del self._windows[key]
                self._reserved.pop(key, None)
        return len(meant)

    def _forget(self, now: float) -> None:
        old = [key for key, _ in zip(self._windows, range(FORGOTTEN_AT_ONCE), strict=False)]
        for key in old:
            if self._windows[key][1] <= now:
                del self._windows[key]
                self._reserved.pop(key, None)
            else:
                # Looked at again after the others.
                self._windows[key] = self._windows.pop(key)
