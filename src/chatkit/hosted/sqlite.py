"""The table of sessions in an SQLite file, for the workers of one machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from chatkit._sqlite import MEMORY, Database
from chatkit.hosted.models import Session
from chatkit.hosted.sessions import FORGOTTEN_AT_ONCE, KEPT_SECONDS, Sessions

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["SQLiteSessions"]

_FORGET: Final = """
DELETE FROM hosted_sessions WHERE id IN (
    SELECT id FROM hosted_sessions WHERE forget_at <= ? ORDER BY forget_at LIMIT ?
)
"""
_ADD: Final = "INSERT INTO hosted_sessions (id, data, forget_at) VALUES (?, ?, ?)"
_FIND: Final = "SELECT data, cancelled FROM hosted_sessions WHERE id = ?"
_CANCEL: Final = "UPDATE hosted_sessions SET cancelled = 1 WHERE id = ?"


class SQLiteSessions(Sessions):
    """Keeps sessions in a database file.

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

    async def add(self, session: Session) -> None:
        now, data = self._clock(), session.model_dump_json(exclude={"cancelled"})

        def add(connection: Connection) -> None:
            connection.execute(_FORGET, (now, FORGOTTEN_AT_ONCE))
            connection.execute(_ADD, (session.id, data, session.expires_at + KEPT_SECONDS))

        await self.database.write(add)

    async def find(self, session_id: str) -> Session | None:
        row = await self.database.read(partial(_find, session_id=session_id))
        if row is None:
            return None
        data, cancelled = row
        return Session.read(data, cancelled=bool(cancelled))

    async def cancel(self, session_id: str) -> None:
        await self.database.write(lambda connection: connection.execute(_CANCEL, (session_id,)).rowcount)


def _find(connection: Connection, *, session_id: str) -> tuple[str, int] | None:
    return connection.execute(_FIND, (session_id,)).fetchone()
