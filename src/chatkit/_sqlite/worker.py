"""The thread that uses a connection, and the opening of that connection."""

from __future__ import annotations

import sqlite3
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from threading import Lock
from typing import Final, TypeVar

from chatkit._sqlite.errors import code_of, translated
from chatkit._sqlite.schema import check_origin, migrate
from chatkit._sqlite.transactions import LONGEST_PAUSE, Connection, Deadline, Work, retried, transact
from chatkit.errors import InvalidRequestError

__all__ = ["MEMORY", "Worker"]

T = TypeVar("T")

MEMORY: Final = ":memory:"
"""The path of a database that no file holds."""

_REOPEN_AFTER: Final = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}


class Worker:
    """A thread and its connection."""

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
                raise translated(error, self._path) from error
            except UnicodeEncodeError as error:
                raise InvalidRequestError("An id or cursor is not valid Unicode.") from error
            finally:
                left_open = self._connection is not None and self._connection.in_transaction
                if self._abandoned or (left_open and self._path != MEMORY):
                    self._disconnect()

    def close(self, behind: Future[None] | None = None) -> Future[None]:
        # Not the executor's own future: a caller that is cancelled would cancel the closing.
        closed = Future[None]()
        closed.set_running_or_notify_cancel()

        def close() -> None:
            if behind is not None:
                behind.result()
            self._disconnect()
            closed.set_result(None)

        self.executor.submit(close)
        self.executor.shutdown(wait=False)
        return closed

    def abandon(self) -> None:
        """Closes the connection of a database that nobody can use any more.

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


def _connect(path: str, *, writes: bool) -> Connection:
    # The connection is used by one thread at a time, but closed by whichever finalises the database.
    connection = sqlite3.connect(
        path, timeout=LONGEST_PAUSE, isolation_level=None, check_same_thread=False, factory=Connection
    )
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        # Another application's file must not change, not even its journal mode. In a transaction, or it would look
        # like one while another process creates the schema.
        transact(connection, "BEGIN", lambda connection: check_origin(connection, path))
        with closing(connection.execute("PRAGMA journal_mode = WAL")) as cursor:
            cursor.fetchall()
        connection.execute("PRAGMA synchronous = NORMAL")
        migrate(connection, path)
        if not writes:
            connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA busy_timeout = 0").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection
