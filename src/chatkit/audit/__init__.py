"""The audit log: what operators do, what is refused and what is deleted, in entries that continue one another.

Each entry has the hash of the one before in it, so that ``chatkit audit verify`` finds what was changed. Whose data an
entry is about is a pseudonym, whose key can be destroyed. An adapter is imported when its name is used.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from chatkit._lazy import lazy_names
from chatkit.audit.base import AuditFilter, AuditLog, Trimmed
from chatkit.audit.entries import Actor, ActorKind, AuditEntry, AuditEvent, AuditKind, AuditRow, Head
from chatkit.audit.memory import MemoryAuditLog
from chatkit.audit.operators import Operator, Role
from chatkit.audit.verification import Fault, Verification, verify_log

if TYPE_CHECKING:
    from chatkit.audit.postgres import PostgresAuditLog
    from chatkit.audit.sqlite import SQLiteAuditLog

__all__ = [
    "Actor",
    "ActorKind",
    "AuditEntry",
    "AuditEvent",
    "AuditFilter",
    "AuditKind",
    "AuditLog",
    "AuditRow",
    "Fault",
    "Head",
    "MemoryAuditLog",
    "Operator",
    "PostgresAuditLog",
    "Role",
    "SQLiteAuditLog",
    "Trimmed",
    "Verification",
    "audit_log_of",
    "verify_log",
]

_lazy, __dir__ = lazy_names(__name__, __all__, {"PostgresAuditLog": "postgres", "SQLiteAuditLog": "sqlite"})
__getattr__ = _lazy


def audit_log_of(store: object) -> AuditLog | None:
    """Returns an audit log in the database of a store; None where it is no store of this package with a database."""
    database: Any = getattr(store, "database", None)
    sqlite, postgres = sys.modules.get("chatkit._sqlite"), sys.modules.get("chatkit._postgres")
    if sqlite is not None and isinstance(database, sqlite.Database):
        from chatkit.audit.sqlite import SQLiteAuditLog

        return SQLiteAuditLog(database)
    if postgres is not None and isinstance(database, postgres.Database):
        from chatkit.audit.postgres import PostgresAuditLog

        return PostgresAuditLog(database)
    return None
