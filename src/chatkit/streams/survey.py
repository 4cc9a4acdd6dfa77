"""What an operator is told of a stream log: the turns that run, in all workers, and the workers."""

from __future__ import annotations

from abc import abstractmethod
from typing import Final

from chatkit.errors import UnsupportedOperationError
from chatkit.streams.backend import HeldTurn, WorkerRecord
from chatkit.streams.local import LocalTurns
from chatkit.streams.records import TurnInfo
from chatkit.streams.session import Session

__all__ = ["LogSurvey"]

_NO_EVENTS: Final = 2**53 - 1
"""A number beyond all events."""


class LogSurvey:
    """The part of a stream log that tells an operator of all owners' turns. No request of a user may reach it."""

    _in_use: bool = False
    _local: LocalTurns

    @abstractmethod
    async def _session(self) -> Session | None: ...

    @abstractmethod
    def holder(self) -> str:
        """Returns the name of this worker."""

    async def survey_turns(self, limit: int, after: str = "") -> list[HeldTurn]:
        """Returns the turns of all owners that run, in all workers that share the log, by their ids.

        Args:
            limit: How many at most.
            after: The id after which they begin.

        Raises:
            UnsupportedOperationError: The log cannot tell.
        """
        session = await self._surveyed()
        found = [] if session is None else await session.backend.survey_turns(limit, after)
        known = {held.info.id for held in found}
        # The backend need not have heard of those of this process.
        mine = [turn.info for turn in self._local.running() if turn.info.id not in known]
        found += [HeldTurn(info, self.holder()) for info in mine if info.id > after]
        return sorted(found, key=lambda held: held.info.id)[:limit]

    async def survey_workers(self, limit: int) -> list[WorkerRecord]:
        """Returns the workers that share the log, those first whose leases last longest.

        Args:
            limit: How many at most.

        Raises:
            UnsupportedOperationError: The log cannot tell.
        """
        session = await self._surveyed()
        if session is not None:
            return await session.backend.survey_workers(limit)
        return [WorkerRecord(self.holder(), len(self._local.running()))]

    async def find_of_any(self, turn_id: str) -> TurnInfo | None:
        """Returns a turn that runs or is still kept, whoever its owner is.

        Args:
            turn_id: The turn.
        """
        session = await self._surveyed()
        mine = next((turn.info for turn in self._local.running() if turn.info.id == turn_id), None)
        if mine is not None or session is None:
            return mine
        loaded = await session.backend.load(turn_id, _NO_EVENTS)
        return None if loaded is None else loaded.record.info

    async def _surveyed(self) -> Session | None:
        if not self._in_use:
            raise UnsupportedOperationError(f"{type(self).__name__} cannot list the turns of all owners.")
        return await self._session()
