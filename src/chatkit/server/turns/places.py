"""The place of a turn among those that its owner, and its group, may have running at once, over all workers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from chatkit._outages import log_failure
from chatkit.errors import ChatKitError, StoreUnavailableError, TooManyTurnsError
from chatkit.ids import new_id
from chatkit.quotas import Quota, bounding, reached
from chatkit.server.turns.renewal import LEASE_SECONDS, Renewal

if TYPE_CHECKING:
    from chatkit.counters import Counter

__all__ = ["TurnPlace"]

logger = logging.getLogger("chatkit.server")

_ALWAYS: Final = 10 * 365 * 86_400.0
"""The window of what runs at once: it is reserved, and given back."""
_ANY_NUMBER: Final = 10**9
_ROOM_SECONDS: Final = 5
"""When to ask again for a place, which nobody knows."""


class TurnPlace:
    """The place of one turn, reserved for as long as its worker lives.

    Args:
        quotas: What may be used.
        counter: Counts.
        owners: Returns the owner and the group, by the names that ``Quota.by`` has.
    """

    def __init__(
        self, quotas: Sequence[Quota], counter: Counter, owners: Callable[[], Mapping[str, str | None]]
    ) -> None:
        self._quotas = quotas
        self._counter = counter
        self._owners = owners
        self._name = new_id("place")
        self._keys: list[str] = []
        self._renewal: Renewal | None = None

    async def keep(self) -> None:
        """Takes the place of a turn that was let in before, if it is not taken; nothing keeps that from running."""
        try:
            await self.take(more=None)
        except Exception as error:  # noqa: BLE001 -- it is logged
            log_failure(logger, "The place of a turn could not be counted", error)

    async def take(self, *, more: int | None = 0) -> None:
        """Takes the place, if it is not taken.

        Args:
            more: How many more than usual there may be, for one that ends another; None for any number.

        Raises:
            TooManyTurnsError: As many run as may.
            StoreUnavailableError: The counter cannot be reached.
        """
        if self._keys:
            return
        keys: list[str] = []
        try:
            for quota, whose in bounding(self._quotas, {"running_turns"}, self._owners()):
                key = f"running:{quota.by}:{whose}"
                limit = _ANY_NUMBER if more is None else quota.units + more
                count = await self._counter.reserve(
                    key, self._name, 1, window=_ALWAYS, limit=limit, lease=LEASE_SECONDS
                )
                if not count.taken:
                    raise TooManyTurnsError(
                        f"{reached(quota)}. Wait until one has ended, or stop one first.",
                        retry_after=_ROOM_SECONDS,
                    )
                keys.append(key)
        except BaseException:
            with suppress(StoreUnavailableError):
                await self._give_back(keys)
            raise
        self._keys = keys
        self._renewal = Renewal(self._counter)
        self._renewal.hold(keys, self._name)

    async def leave(self) -> None:
        """Gives the place back; one that cannot be is given back when its lease is over."""
        keys, self._keys = self._keys, []
        if self._renewal is not None:
            self._renewal.let_go(keys, self._name)
        try:
            await self._give_back(keys)
        except ChatKitError as error:
            log_failure(logger, "The place of a turn could not be given back", error)

    async def _give_back(self, keys: Sequence[str]) -> None:
        for key in keys:
            await self._counter.settle(key, self._name, 1, 0, window=_ALWAYS)
