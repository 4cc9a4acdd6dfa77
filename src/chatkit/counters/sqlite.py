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
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    @property
    def shared(self) -> bool:
        """Whether it is a file."""
        return self._database.path not in {"", MEMORY}

    async def take(self, key: str, amount: int = 1, *, window: float, limit: int | None = None) -> Count:
        def take(connection: Connection) -> Count:
            values: dict[str, Any] = {"key": key, "amount": amount, "window": window, "now": self._clock()}
            begun = connection.execute(_SQL["begin"], values).rowcount > 0
            total, seconds = connection.execute(_SQL["load"], values).fetchone()
            taken = limit is None or total + amount <= limit
            if taken:
                connection.execute(_SQL["add"], values)
            if begun:
                connection.execute(_SQL["forget"], {"now": values["now"], "count": FORGOTTEN_AT_ONCE})
            return Count(total + amount if taken else total, taken, seconds)

        return await self._database.write(take)
