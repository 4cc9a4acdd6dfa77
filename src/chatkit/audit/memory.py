"""An audit log in memory, for tests."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from threading import Lock

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

__all__ = ["MemoryAuditLog"]


class MemoryAuditLog(AuditLog):
    """Keeps entries in this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._rows: list[AuditRow] = []
        self._keys: dict[str, bytes] = {}

    @property
    def shared(self) -> bool:
        """False: other processes have chains of their own."""
        return False

    async def rows(
        self,
        matching: AuditFilter = EVERYTHING,
        *,
        limit: int = 100,
        after: int | None = None,
        newest_first: bool = False,
    ) -> Sequence[AuditRow]:
        with self._lock:
            ordered = self._rows[::-1] if newest_first else self._rows
            found = [
                row
                for row in ordered
                if _matches(row, matching)
                and (after is None or (row.number < after if newest_first else row.number > after))
            ]
        return found[:limit]

    async def head(self) -> Head | None:
        with self._lock:
            return self._head()

    def _head(self) -> Head | None:
        return Head(self._rows[-1].number, self._rows[-1].hash) if self._rows else None

    async def pseudonym(self, owner: str) -> str | None:
        with self._lock:
            key = self._keys.get(owner)
        return None if key is None else pseudonym_of(owner, key)

    async def destroy_key(self, owner: str) -> bool:
        with self._lock:
            return self._keys.pop(owner, None) is not None

    async def close(self) -> None:
        """Does nothing: what is in memory stays there."""

    async def _append(self, event: AuditEvent, *, unless_same: bool = False) -> AuditRow | None:
        with self._lock:
            if unless_same:
                last = next((row for row in reversed(self._rows) if row.kind == event.kind), None)
                if last is not None and says_the_same(last.data, event):
                    return None
            pseudonym = None
            if event.owner is not None:
                key = self._keys.setdefault(event.owner, secrets.token_bytes(KEY_BYTES))
                pseudonym = pseudonym_of(event.owner, key)
            row = make_row(event, self._head(), new_entry_id(), pseudonym)
            self._rows.append(row)
            return row

    async def _last_before(self, before: datetime) -> Head | None:
        with self._lock:
            older: list[AuditRow] = []
            for row in self._rows:
                if row.at >= before:
                    break
                older.append(row)
        return Head(older[-1].number, older[-1].hash) if older else None

    async def _delete_trimmed(self, limit: int) -> int:
        with self._lock:
            through = max((row.through or 0 for row in self._rows), default=0)
            doomed = [row for row in self._rows if row.number <= through][:limit]
            self._rows = self._rows[len(doomed) :]
        return len(doomed)


def _matches(row: AuditRow, matching: AuditFilter) -> bool:
    return (
        matching.kind in {None, row.kind}
        and matching.owner in {None, row.owner}
        and matching.actor in {None, row.actor}
        and (matching.since is None or row.at >= matching.since)
        and (matching.until is None or row.at < matching.until)
    )
