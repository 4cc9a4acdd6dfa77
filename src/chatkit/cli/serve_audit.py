"""The audit log that options of ``chatkit serve`` give a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatkit.audit import Auditing, AuditLog, audit_log_of
from chatkit.cli.database import is_postgres, open_store
from chatkit.cli.options import CommandError
from chatkit.server import ChatKitServer
from chatkit.server.auditing import is_audited

if TYPE_CHECKING:
    from chatkit.cli.serve import ServeSettings

__all__ = ["audit"]


def audit(settings: ServeSettings, server: ChatKitServer[Any]) -> None:
    """Has a server record what it does, if that was asked for, unless it does so by itself.

    Args:
        settings: The options.
        server: The server.

    Raises:
        CommandError: The server has a store of its own, without a database that the log can be in.
    """
    if not settings.audit or is_audited(server):
        return
    log: AuditLog | None
    if settings.audit_db is None:
        log = audit_log_of(server.store)
    else:
        log = own_log(settings.audit_db, create=settings.create)
    if log is None:
        raise CommandError(
            f"--audit needs a database, and {type(server.store).__name__} brings none: give --audit-db, too."
        )
    server.audit = Auditing(log, head_file=settings.audit_head)


def own_log(db: str, *, create: bool) -> AuditLog:
    """Returns an audit log in a database of its own.

    Args:
        db: The path of a file, or a connection string.
        create: Whether to make the folder of a file.

    Raises:
        CommandError: There is no such folder.
    """
    # It looks at the folder, too.
    open_store(db, create=create)
    if is_postgres(db):
        from chatkit.audit import PostgresAuditLog

        return PostgresAuditLog(db)
    from chatkit.audit import SQLiteAuditLog

    return SQLiteAuditLog(db)
