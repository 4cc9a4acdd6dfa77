"""The thread that uses a connection, and the opening of that connection, with the migrations of its schema."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

from chatkit._migrations import is_usable, list_migrations, usable_since
from chatkit._sqlite.transactions import (
    LONGEST_PAUSE,
    Connection,
    Deadline,
    Work,
    code_of,
    pragma,
    retried,
    transact,
)
from chatkit.errors import (
    ChatKitError,
    ConfigurationError,
    ErasureRunningError,
    InvalidRequestError,
    StoreError,
    StoreUnavailableError,
)

__all__ = ["APPLICATION_ID", "MEMORY", "MIGRATIONS", "USABLE_SINCE", "ConnectionThread"]

logger = logging.getLogger("chatkit.store")

T = TypeVar("T")

MEMORY: Final = ":memory:"
"""The path of a database that no file holds."""

MIGRATIONS: Final = Path(__file__).parents[1] / "store" / "migrations" / "sqlite"
"""The folder of the numbered migrations, ``0001_name.sql`` and on, without gaps."""

APPLICATION_ID: Final = 0x43684B74
"""Written into the header of our files (``ChKt``), so that another application's file is left alone."""

USABLE_SINCE: Final = "SELECT version FROM usable_since"

_REOPEN_AFTER: Final = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}


class ConnectionThread:
    """A thread with its connection to the file."""

    def __init__(self, path: str, name: str, *, writes: bool = True) -> None:
        self._path = path
        self._writes = writes
        self._connection: Connection | None = None
        self.last_call = Deadline()
        self._busy = Lock()
        self._abandoned = False
        self.executor = ThreadPoolExecutor(1, name)

    def run(self, begin: str, work: Work[T], deadline: Deadline) -> T:
        def until() -> float:
            return min(deadline.moment, self.last_call.moment)

        with self._busy:
            try:
                if self._connection is None:
                    self._connection = retried(lambda: _connect(self._path, writes=self._writes), until)
                return transact(self._connection, begin, work, until)
            except sqlite3.Error as error:
                # What these say of the file may not hold any more when it is opened again.
                if code_of(error) in _REOPEN_AFTER and self._path != MEMORY:
                    self._disconnect()
                raise _translated(error, self._path) from error
            except UnicodeEncodeError as error:
                raise InvalidRequestError("An id or cursor is not valid Unicode.") from error
            finally:
                left_open = self._connection is not None and self._connection.in_transaction
                if self._abandoned or (left_open and self._path != MEMORY):
                    self._disconnect()

    def close(self, after: Future[None] | None = None) -> Future[None]:
        # Not the executor's own future: a caller that is cancelled would cancel the closing.
        closed = Future[None]()
        closed.set_running_or_notify_cancel()

        def close() -> None:
            if after is not None:
                after.result()
            self._disconnect()
            closed.set_result(None)

        self.executor.submit(close)
        self.executor.shutdown(wait=False)
        return closed

    def abandon(self) -> None:
        """Closes the connection of a database that cannot be used any more.

        May be called by the garbage collector, in any thread and at any point: it must not wait for a lock.
        """
        self._abandoned = True
        if self._busy.acquire(blocking=False):
            try:
                self._disconnect()
            finally:
                self._busy.release()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


_warned: set[str] = set()


def _keep_private(path: str) -> None:
    """Makes the file, if it does not exist, one that other users of the machine cannot read.

    SQLite gives its own files beside it the same permissions. A file that exists stays as it is.
    """
    if path in {"", MEMORY}:
        return
    # What else is wrong SQLite says.
    with suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _warn_of_others(path: str) -> None:
    """Says once that other users of the machine can read a database that existed already."""
    if path in {"", MEMORY} or path in _warned or os.name != "posix":
        return
    with suppress(OSError):
        if Path(path).stat().st_mode & 0o004:
            _warned.add(path)
            logger.warning("All users of this machine can read the database %s: chmod 600 %s*", path, path)


def _connect(path: str, *, writes: bool) -> Connection:
    _keep_private(path)
    # The connection is used by one thread at a time, but closed by whichever finalises the database.
    connection = sqlite3.connect(
        path, timeout=LONGEST_PAUSE, isolation_level=None, check_same_thread=False, factory=Connection
    )
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        # Another application's file must not change, not even its journal mode. In a transaction, or it would look
        # like one while another process creates the schema.
        transact(connection, "BEGIN", lambda connection: _check_origin(connection, path))
        with closing(connection.execute("PRAGMA journal_mode = WAL")) as cursor:
            cursor.fetchall()
        connection.execute("PRAGMA synchronous = NORMAL")
        _migrate(connection, path)
        if not writes:
            connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA busy_timeout = 0").fetchall()
    except BaseException:
        connection.close()
        raise
    _warn_of_others(path)
    return connection


def _migrate(connection: Connection, path: str) -> None:
    """Creates or migrates the schema; safe when many do it at once.

    The schema of a newer version that this one can do without is left as it is.
    """
    migrations = list_migrations(MIGRATIONS)
    if pragma(connection, "user_version") >= len(migrations):
        return

    def apply(connection: sqlite3.Connection) -> None:
        # Another process may have been quicker, and newer.
        version = _check_origin(connection, path)
        if version >= len(migrations):
            return
        for migration in migrations[version:]:
            for statement in _statements(migration.read_text("utf-8")):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute("DELETE FROM usable_since")
        connection.execute("INSERT INTO usable_since (version) VALUES (?)", [usable_since(migrations)])

    transact(connection, "BEGIN EXCLUSIVE", apply)


def _check_origin(connection: sqlite3.Connection, path: str) -> int:
    """Returns the version of the schema; raises if the file is another application's, or too new."""
    version = pragma(connection, "user_version")
    known = len(list_migrations(MIGRATIONS))
    application = pragma(connection, "application_id")
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    if application != APPLICATION_ID and (tables or version or application):
        raise ConfigurationError(
            f"The database {path} is another application's (its tables: {', '.join(tables[:5]) or 'none'}). "
            "Choose another db_path, or move that file away."
        )
    since = connection.execute(USABLE_SINCE).fetchone() if "usable_since" in tables else None
    if not is_usable(version, since and since[0], known):
        raise ConfigurationError(
            f"The database {path} has schema version {version}, this version of the package knows {known} at "
            "most. Install the version of the package that wrote it, or a newer one."
        )
    return version


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _translated(error: sqlite3.Error, path: str) -> ChatKitError:
    """Returns the error of this package that says what happened and what to do."""
    if "the owner is being erased" in str(error):
        # What triggers of the schema say.
        return ErasureRunningError()
    advice = {
        sqlite3.SQLITE_FULL: "has no space left: free space on its disk",
        sqlite3.SQLITE_READONLY: "cannot be written: allow this process to write the file and its folder",
        sqlite3.SQLITE_PERM: "may not be used: allow this process to use the file and its folder",
        sqlite3.SQLITE_CANTOPEN: "cannot be opened: create its folder and allow this process to use it",
        sqlite3.SQLITE_BUSY: "stayed locked for too long: end what holds a transaction open",
        sqlite3.SQLITE_LOCKED: "is locked: end what holds a transaction open",
        sqlite3.SQLITE_NOTADB: "is not an SQLite database: move the file away or choose another db_path",
        sqlite3.SQLITE_CORRUPT: "is damaged: restore a backup, or save what is readable with sqlite3's .recover",
        sqlite3.SQLITE_IOERR: "cannot be read or written: check its disk",
    }.get(code_of(error))
    if advice is None:
        return StoreError(f"The database {path} failed: {error}.")
    return StoreUnavailableError(f"The database {path} {advice} ({error}).")
