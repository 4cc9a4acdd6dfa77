"""A counter in an SQLite file, for the workers of one machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chatkit._sql import load_queries
from chatkit._sqlite import MEMORY, Database
from chatkit.counters.base import FORGOTTEN_AT_ONCE, Count, Counter

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["SQLiteCounter"]

_SQL: Final = load_queries(Path(__file__).with_name("sqlite.sql"))


class SQLiteCounter(Counter):
    """Counts in a database file.

    Args:
        database: The file, such as ``SQLiteStore().database``; ``close`` leaves it open.
        clock: Returns the present moment in seconds since 1970.

    Attributes:
        database: As given.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self.database = database
        self._clock = clock

    @property
    def shared(self) -> bool:
        """Whether it is a file."""
        return self.database.path not in {"", MEMORY}

    async def take(self, key: str, amount: int = 1, *, window: float, limit: int | None = None) -> Count:
        return await self.database.write(
            lambda connection: self._take(connection, key, amount, window, limit)
        )

    def _take(self, connection: Connection, key: str, amount: int, window: float, limit: int | None) -> Count:
        values: dict[str, Any] = {"key": key, "amount": amount, "window": window, "now": self._clock()}
        begun = connection.execute(_SQL["begin"], values).rowcount > 0
        total, seconds = connection.execute(_SQL["load"], values).fetchone()
        taken = limit is None or total + amount <= limit
        if taken:
            connection.execute(_SQL["add"], values)
        if begun:
            old = {"now": values["now"], "count": FORGOTTEN_AT_ONCE}
            connection.execute(_SQL["forget"], old)
            connection.execute(_SQL["forget_reservations"], old)
        return Count(total + amount if taken else total, taken, seconds)

    async def reserve(
        self, key: str, name: str, amount: int, *, window: float, limit: int, lease: float
    ) -> Count:
        def reserve(connection: Connection) -> Count:
            self._take(connection, key, 0, window, None)
            now = self._clock()
            values = {"key": key, "name": name, "amount": amount, "now": now, "expires_at": now + lease}
            connection.execute(_SQL["give_back"], values)
            connection.execute(_SQL["drop_lapsed"], values)
            row = connection.execute(_SQL["reserved"], values).fetchone()
            count = self._take(connection, key, amount - (0 if row is None else row[0]), window, limit)
            if count.taken and amount:
                connection.execute(_SQL["reserve"], values)
            return count

        return await self.database.write(reserve)

    async def renew(self, key: str, name: str, *, lease: float) -> None:
        values = {"key": key, "name": name, "expires_at": self._clock() + lease}
        await self.database.write(lambda connection: connection.execute(_SQL["renew"], values))

    async def settle(self, key: str, name: str, amount: int, used: int, *, window: float) -> None:
        def settle(connection: Connection) -> None:
            values = {"key": key, "name": name}
            row = connection.execute(_SQL["reserved"], values).fetchone()
            connection.execute(_SQL["drop"], values)
            if window > 0:
                self._take(connection, key, used - (0 if row is None else row[0]), window, None)

        await self.database.write(settle)
