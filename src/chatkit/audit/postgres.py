"""An audit log in PostgreSQL, for any number of machines. Needs the extra ``postgres``."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from chatkit._sql import load_queries
from chatkit.audit.base import EVERYTHING, AuditFilter, AuditLog
from chatkit.audit.entries import (
    KEY_BYTES,
    AuditEvent,
    AuditRow,
    Head,
    make_row,
    new_entry_id,
    pseudonym_of,
    says_the_same,
)
from chatkit.errors import MissingExtraError

try:
    from chatkit._postgres import Database, Settings, Transaction
except ImportError as error:
    raise MissingExtraError(
        "PostgresAuditLog needs asyncpg: pip install 'chatkit-server[postgres]'."
    ) from error

__all__ = ["PostgresAuditLog"]

_SQL: Final = load_queries(Path(__file__).with_name("postgres.sql"))
_CONNECTIONS: Final = 2


class PostgresAuditLog(AuditLog):
    """Keeps entries in the schema ``chatkit`` of a database; each is appended in a transaction of its own.

    Args:
        database: As for libpq, ``postgresql://user:password@host:port/database``, or the ``database`` of a
            :class:`chatkit.store.PostgresStore`, whose connections are used then, and left open by ``close``.
    """

    def __init__(self, database: str | Database) -> None:
        self._owns_database = isinstance(database, str)
        if isinstance(database, str):
            database = Database(Settings(connection_string=database, max_connections=_CONNECTIONS))
        self._database = database

    async def rows(
        self,
        matching: AuditFilter = EVERYTHING,
        *,
        limit: int = 100,
        after: int | None = None,
        newest_first: bool = False,
    ) -> Sequence[AuditRow]:
        query = _SQL["load_desc" if newest_first else "load_asc"]
        wanted = (matching.kind, matching.owner, matching.actor, matching.since, matching.until)
        found = await self._database.read(lambda transaction: transaction.rows(query, after, *wanted, limit))
        return [AuditRow(*values) for values in found]

    async def head(self) -> Head | None:
        head, _ = await self._database.read(lambda transaction: _end(transaction, None))
        return head

    async def pseudonym(self, owner: str) -> str | None:
        _, key = await self._database.read(lambda transaction: _end(transaction, owner))
        return None if key is None else pseudonym_of(owner, key)

    async def destroy_key(self, owner: str) -> bool:
        return bool(
            await self._database.write(
                lambda transaction: transaction.value(_SQL["destroy_key"], owner), repeatable=True
            )
        )

    async def close(self) -> None:
        if self._owns_database:
            await self._database.close()

    async def _append(self, event: AuditEvent, *, unless_same: bool = False) -> AuditRow | None:
        entry_id = new_entry_id()
        attempts = 0

        async def append(transaction: Transaction) -> AuditRow | None:
            nonlocal attempts
            attempts += 1
            await transaction.value(_SQL["lock"])
            if attempts > 1:
                # The attempt whose commit was not answered may have been carried out.
                for values in await transaction.rows(_SQL["find"], entry_id):
                    return AuditRow(*values)
            if unless_same:
                last = await transaction.value(_SQL["last_of_kind"], str(event.kind))
                if last is not None and says_the_same(last, event):
                    return None
            head, key = await _end(transaction, event.owner)
            pseudonym = None
            if event.owner is not None:
                if key is None:
                    key = secrets.token_bytes(KEY_BYTES)
                    await transaction.rows(_SQL["add_key"], event.owner, key)
                pseudonym = pseudonym_of(event.owner, key)
            row = make_row(event, head, entry_id, pseudonym)
            await transaction.rows(_SQL["add"], *row)
            return row

        return await self._database.write(append, repeatable=True)

    async def _last_before(self, before: datetime) -> Head | None:
        found = await self._database.read(lambda transaction: transaction.rows(_SQL["last_before"], before))
        return Head(*found[0]) if found else None

    async def _delete_trimmed(self, limit: int) -> int:
        return await self._database.write(
            lambda transaction: transaction.value(_SQL["delete_trimmed"], limit), repeatable=True
        )


async def _end(transaction: Transaction, owner: str | None) -> tuple[Head | None, bytes | None]:
    ((number, hash_, key),) = await transaction.rows(_SQL["end"], owner)
    return (None if number is None else Head(number, hash_)), key
