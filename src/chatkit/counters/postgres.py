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

    Attributes:
        database: As given.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    async def take(self, key: str, amount: int = 1, *, window: float, limit: int | None = None) -> Count:
        return await self.database.write(lambda transaction: _take(transaction, key, amount, window, limit))

    async def reserve(
        self, key: str, name: str, amount: int, *, window: float, limit: int, lease: float
    ) -> Count:
        async def reserve(transaction: Transaction) -> Count:
            # Locks the window: what follows sees all that was reserved before.
            await transaction.rows(_SQL["begin"], key, window)
            await transaction.rows(_SQL["give_back"], key)
            before = await transaction.value(_SQL["reserved"], key, name) or 0
            count = await _take(transaction, key, amount - before, window, limit)
            if count.taken and amount:
                await transaction.rows(_SQL["reserve"], key, name, amount, lease)
            return count

        # Under its name it counts once.
        return await self.database.write(reserve, repeatable=True)

    async def renew(self, key: str, name: str, *, lease: float) -> None:
        await self.database.write(
            lambda transaction: transaction.rows(_SQL["renew"], key, name, lease), repeatable=True
        )

    async def settle(self, key: str, name: str, amount: int, used: int, *, window: float) -> None:
        async def settle(transaction: Transaction) -> None:
            # Locked in the order of those who reserve.
            await transaction.rows(_SQL["lock"], key)
            before = await transaction.value(_SQL["reserved"], key, name) or 0
            await transaction.rows(_SQL["drop"], key, name)
            if window > 0:
                await _take(transaction, key, used - before, window, None)

        await self.database.write(settle)


async def _take(transaction: Transaction, key: str, amount: int, window: float, limit: int | None) -> Count:
    ((total, seconds),) = await transaction.rows(_SQL["begin"], key, window)
    taken = limit is None or total + amount <= limit
    if taken:
        await transaction.rows(_SQL["add"], key, amount)
    if total == 0:
        await transaction.rows(_SQL["forget"], FORGOTTEN_AT_ONCE)
        await transaction.rows(_SQL["forget_reservations"], FORGOTTEN_AT_ONCE)
    return Count(total + amount if taken else total, taken, seconds)
