"""A counter in PostgreSQL, for any number of machines."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from chatkit._sql import load_queries
from chatkit.counters.base import FORGOTTEN_AT_ONCE, Count, Counter
from chatkit.errors import MissingExtraError

try:
    from chatkit._postgres import Database, Transaction
except ImportError as error:
    raise MissingExtraError(
        "PostgresCounter needs asyncpg: pip install 'chatkit-server[postgres]'."
    ) from error

__all__ = ["PostgresCounter"]

_SQL: Final = load_queries(Path(__file__).with_name("postgres.sql"))


class PostgresCounter(Counter):
    """Counts in the schema ``chatkit`` of a database, by the database's clock.

    Args:
        database: Such as ``PostgresStore(...).database``; ``close`` leaves it open.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, key: str, amount: int = 1, *, window: float, limit: int | None = None) -> Count:
        async def take(transaction: Transaction) -> Count:
            ((total, seconds),) = await transaction.rows(_SQL["begin"], key, window)
            taken = limit is None or total + amount <= limit
            if taken:
                await transaction.rows(_SQL["add"], key, amount)
            if total == 0:
                await transaction.rows(_SQL["forget"], FORGOTTEN_AT_ONCE)
            return Count(total + amount if taken else total, taken, seconds)

        return await self._database.write(take)
