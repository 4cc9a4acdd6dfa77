"""An audit log in an SQLite file, for the processes of one machine."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chatkit._sql import load_queries
from chatkit._sqlite import MEMORY, Database
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

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["SQLiteAuditLog"]

_SQL: Final = load_queries(Path(__file__).with_name("sqlite.sql"))


class SQLiteAuditLog(AuditLog):
    """Keeps entries in a database file; each is appended in a transaction of its own.

    Args:
        database: The path of a file, or the ``database`` of a :class:`chatkit.store.SQLiteStore`, which ``close``
            leaves open.
    """

    def __init__(self, database: str | os.PathLike[str] | Database) -> None:
        self._owns_database = not isinstance(database, Database)
        self._database = database if isinstance(database, Database) else Database(database)

    @property
    def shared(self) -> bool:
        """Whether it is a file."""
        return self._database.path not in {"", MEMORY}

    async def rows(
        self,
        matching: AuditFilter = EVERYTHING,
        *,
        limit: int = 100,
        after: int | None = None,
        newest_first: bool = False,
    ) -> Sequence[AuditRow]:
        values = {
            "kind": matching.kind,
            "owner": matching.owner,
            "actor": matching.actor,
            "since": None if matching.since is None else _text(matching.since),
            "until": None if matching.until is None else _text(matching.until),
            "after": after,
            "limit": limit,
        }
        query = _SQL["load_desc" if newest_first else "load_asc"]
        found = await self._database.read(lambda connection: connection.execute(query, values).fetchall())
        return [_row(values) for values in found]

    async def head(self) -> Head | None:
        return await self._database.read(_head)

    async def pseudonym(self, owner: str) -> str | None:
        key = await self._database.read(lambda connection: _key(connection, owner))
        return None if key is None else pseudonym_of(owner, key)

    async def destroy_key(self, owner: str) -> bool:
        def destroy(connection: Connection) -> bool:
            return connection.execute(_SQL["destroy_key"], {"owner": owner}).rowcount > 0

        return await self._database.write(destroy)

    async def close(self) -> None:
        if self._owns_database:
            await self._database.close()

    async def _append(self, event: AuditEvent, *, unless_same: bool = False) -> AuditRow | None:
        def append(connection: Connection) -> AuditRow | None:
            if unless_same:
                last = connection.execute(_SQL["last_of_kind"], {"kind": str(event.kind)}).fetchone()
                if last is not None and says_the_same(last[0], event):
                    return None
            pseudonym = None
            if event.owner is not None:
                key = _key(connection, event.owner)
                if key is None:
                    key = secrets.token_bytes(KEY_BYTES)
                    connection.execute(_SQL["add_key"], {"owner": event.owner, "key": key})
                pseudonym = pseudonym_of(event.owner, key)
            row = make_row(event, _head(connection), new_entry_id(), pseudonym)
            connection.execute(_SQL["add"], {**row._asdict(), "at": _text(row.at)})
            return row

        return await self._database.write(append)

    async def _last_before(self, before: datetime) -> Head | None:
        values = {"before": _text(before)}

        def last(connection: Connection) -> Head | None:
            row = connection.execute(_SQL["last_before"], values).fetchone()
            return None if row is None else Head(*row)

        return await self._database.read(last)

    async def _delete_trimmed(self, limit: int) -> int:
        return await self._database.write(
            lambda connection: connection.execute(_SQL["delete_trimmed"], {"limit": limit}).rowcount
        )


def _head(connection: Connection) -> Head | None:
    row = connection.execute(_SQL["head"]).fetchone()
    return None if row is None else Head(*row)


def _key(connection: Connection, owner: str) -> bytes | None:
    row = connection.execute(_SQL["load_key"], {"owner": owner}).fetchone()
    return None if row is None else row[0]


def _row(values: tuple[Any, ...]) -> AuditRow:
    row = AuditRow(*values)
    try:
        at = datetime.fromisoformat(values[2])
    except (TypeError, ValueError):
        # Somebody has changed it, which whoever reads the row finds.
        at = datetime.min.replace(tzinfo=UTC)
    return row._replace(at=at, data=str(row.data))


def _text(moment: datetime) -> str:
    # Of one length, so that texts compare as moments do.
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
