"""What commands of an operator have in common: the database, the audit log, and who asks."""

from __future__ import annotations

import argparse
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatkit.cli.options import DEFAULT_DB, CommandError, add_db, setting

if TYPE_CHECKING:
    from chatkit.audit import AuditLog
    from chatkit.store import Store

__all__ = ["add_audit_db", "add_operator", "open_audit", "open_existing"]


def add_operator(parser: argparse.ArgumentParser, *, acts: bool = False) -> None:
    """Adds the database and the audit log; for a command that ``acts`` who does so, and why.

    Args:
        parser: Of the command.
        acts: Whether it is recorded what the command does.
    """
    add_db(parser, default=setting("CHATKIT_DB", DEFAULT_DB))
    add_audit_db(parser)
    if acts:
        parser.add_argument(
            "--reason", metavar="TEXT", help="why, for the audit log: a line without personal data"
        )
        parser.add_argument(
            "--as",
            dest="note",
            metavar="NAME",
            default="",
            help="who you are, where several share the account of this machine; recorded beside the account",
        )


def add_audit_db(parser: argparse.ArgumentParser) -> None:
    """Adds the option that names the database of the audit log.

    Args:
        parser: Of the command.
    """
    parser.add_argument(
        "--audit-db",
        metavar="DATABASE",
        default=setting("CHATKIT_AUDIT_DB"),
        help="where the audit log is; default the database of --db (CHATKIT_AUDIT_DB)",
    )


def open_existing(db: str, stack: AsyncExitStack) -> Store[Any]:
    """Returns the store of a database that is there, closed at the end.

    Args:
        db: The path of a file, or a connection string.
        stack: What is closed at the end.

    Raises:
        CommandError: There is no such file.
    """
    from chatkit.cli.database import check_name, is_postgres, open_store

    check_name(db)
    if not is_postgres(db) and not Path(db).is_file():
        raise CommandError(f"There is no database {db}.")
    store = open_store(db)
    stack.push_async_callback(store.close)
    return store


def open_audit(db: str, audit_db: str | None, stack: AsyncExitStack) -> AuditLog:
    """Returns the audit log of a database that is there, closed at the end.

    Args:
        db: The database of the threads.
        audit_db: The one of the audit log; None for the same.
        stack: What is closed at the end.

    Raises:
        CommandError: There is no such file.
    """
    from chatkit.audit import audit_log_of

    log = audit_log_of(open_existing(audit_db or db, stack))
    assert log is not None  # noqa: S101 -- both kinds of stores have a database
    return log
