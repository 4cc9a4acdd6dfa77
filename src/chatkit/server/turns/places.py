"""The place of a turn among those that its owner, and its group, may have running at once, over all workers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from chatkit._outages import log_failure
from chatkit.errors import ChatKitError
from chatkit.ids import new_id
from chatkit.quotas import Quota, give_places_back, take_places
from chatkit.server.turns.renewal import LEASE_SECONDS, Renewal

if TYPE_CHECKING:
    from chatkit.counters import Counter

__all__ = ["TurnPlace"]

logger = logging.getLogger("chatkit.server")


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
        self._keys = await take_places(
            self._quotas, self._counter, self._owners(), name=self._name, lease=LEASE_SECONDS, more=more
        )
        self._renewal = Renewal(self._counter)
        self._renewal.hold(self._keys, self._name)

    async def leave(self) -> None:
        """Gives the place back; one that cannot be is given back when its lease is over."""
        keys, self._keys = self._keys, []
        if self._renewal is not None:
            self._renewal.let_go(keys, self._name)
        try:
            await give_places_back(self._counter, keys, self._name)
        except ChatKitError as error:
            log_failure(logger, "The place of a turn could not be given back", error)
