"""The table of sessions in PostgreSQL, for any number of machines."""

from __future__ import annotations

from typing import Final

from chatkit.errors import MissingExtraError
from chatkit.hosted.models import Session
from chatkit.hosted.sessions import FORGOTTEN_AT_ONCE, KEPT_SECONDS, Sessions

try:
    from chatkit._postgres import Database, Transaction
except ImportError as error:
    raise MissingExtraError(
        "PostgresSessions needs asyncpg: pip install 'chatkit-server[postgres]'."
    ) from error

__all__ = ["PostgresSessions"]

_FORGET: Final = """
DELETE FROM chatkit.hosted_sessions WHERE id IN (
    SELECT id FROM chatkit.hosted_sessions WHERE forget_at <= now()
    ORDER BY forget_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
"""
_ADD: Final = """
INSERT INTO chatkit.hosted_sessions (id, data, forget_at) VALUES ($1, $2, to_timestamp($3::float8))
ON CONFLICT (id) DO NOTHING
"""
_FIND: Final = "SELECT data, cancelled FROM chatkit.hosted_sessions WHERE id = $1"
_CANCEL: Final = "UPDATE chatkit.hosted_sessions SET cancelled = TRUE WHERE id = $1"


class PostgresSessions(Sessions):
    """Keeps sessions in the schema ``chatkit`` of a database.

    Args:
        database: Such as ``PostgresStore(...).database``; ``close`` leaves it open.

    Attributes:
        database: As given.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    async def add(self, session: Session) -> None:
        data = session.model_dump_json(exclude={"cancelled"})

        async def add(transaction: Transaction) -> None:
            await transaction.rows(_FORGET, FORGOTTEN_AT_ONCE)
            await transaction.rows(_ADD, session.id, data, float(session.expires_at + KEPT_SECONDS))

        await self.database.write(add, repeatable=True)

    async def find(self, session_id: str) -> Session | None:
        rows = await self.database.read(lambda transaction: transaction.rows(_FIND, session_id))
        if not rows:
            return None
        ((data, cancelled),) = rows
        return Session.read(data, cancelled=cancelled)

    async def cancel(self, session_id: str) -> None:
        await self.database.write(lambda transaction: transaction.rows(_CANCEL, session_id), repeatable=True)
