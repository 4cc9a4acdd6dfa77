"""What an operator is told of the turns in an SQLite file, and of the processes that use it."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import TYPE_CHECKING

from chatkit._sqlite import Database
from chatkit.streams.backend import Backend, HeldTurn, WorkerRecord
from chatkit.streams.backends.sqlite_turns import info_of
from chatkit.streams.backends.sqlite_workers import SQL, FileWorkers
from chatkit.streams.records import TurnInfo
from chatkit.streams.worker import Worker

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["FileSurvey"]


class FileSurvey(Backend):
    """The part of the backend that an operator asks."""

    _database: Database
    _workers: FileWorkers

    @abstractmethod
    def _without_worker(self, connection: Connection) -> list[tuple[TurnInfo, bool]]: ...

    async def survey_turns(self, limit: int, after: str = "") -> list[HeldTurn]:
        # A process that was alone so far writes its turns now, for this one is there.
        await self._workers.be_registered()

        def work(connection: Connection) -> list[HeldTurn]:
            lapsed = {info.id for info, _ in self._without_worker(connection)}
            now = time.time()
            rows = connection.execute(SQL["survey_turns"], {"after": after, "limit": limit}).fetchall()
            return [
                HeldTurn(info, row[12], bool(row[13]), bool(row[11]), info.id in lapsed, row[14] - now)
                for row in rows
                for info in (info_of(row),)
            ]

        return await self._database.read(work)

    async def survey_workers(self, limit: int) -> list[WorkerRecord]:
        await self._workers.be_registered()

        def work(connection: Connection) -> list[WorkerRecord]:
            return [
                WorkerRecord(
                    holder, turns, None, Worker(place, pid, started).is_dead(), f"{place.split(' ')[0]} {pid}"
                )
                for holder, place, pid, started, turns in connection.execute(
                    SQL["survey_workers"], {"limit": limit}
                ).fetchall()
            ]

        return await self._database.read(work)
