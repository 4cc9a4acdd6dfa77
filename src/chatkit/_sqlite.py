"""An SQLite database behind one executor hop per transaction: connections, migrations, errors."""

from __future__ import annotations

import asyncio
import math
import os
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar

from chatkit.errors import ConfigurationError, InvalidRequestError, StoreError, StoreUnavailableError

__all__ = ["MEMORY", "MIGRATIONS", "Database"]

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

MIGRATIONS: Final = Path(__file__).parent / "store" / "migrations" / "sqlite"
"""The folder of the numbered migrations, ``0001_name.sql`` and on, without gaps."""

MEMORY: Final = ":memory:"
"""The path of a database that no file holds."""

_APPLICATION_ID: Final = 0x43684B74
"""Written into the header of our files (``ChKt``), so that another application's file is left alone."""

_BUSY_SECONDS: Final = 10.0
"""How long a transaction waits for others, those of this process in front of it and those of other processes."""

_GRACE_SECONDS: Final = 1.0
"""How long a transaction waits for other processes once its caller, or its database, is on the way out."""

_LONGEST_PAUSE: Final = 0.05
"""The longest time between two attempts to get a lock, and until a change of the deadline is noticed."""

_REOPEN_AFTER: Final = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}


class Database:
    """One database file, used from any number of event loops and threads.

    Transactions run one after another in two threads of the database's own, one for those that write and one
    for those that read. Nothing is opened before the first use; several processes may open one file at the same
    time, the first of them creates or migrates the schema.

    Args:
        path: The file, or ``":memory:"`` for one that lives until ``close``.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._lock = Lock()
        self._session: _Session | None = None
        self._patient = True

    async def read(self, work: Work[T]) -> T:
        """Returns what ``work`` makes of one consistent state of the database.

        Args:
            work: Called in the reading thread with the connection; must not write, nor keep the connection.

        Raises:
            StoreUnavailableError: The file cannot be opened or read, or stayed locked.
            ConfigurationError: The file belongs to a newer version, or to another application.
            StoreError: Any other failure of the database.
        """
        return await self._submit("BEGIN", work, _BUSY_SECONDS)

    async def write(self, work: Work[T], *, wait: float | None = None) -> T:
        """Runs ``work`` in a transaction of its own, commits it and returns its result.

        Whatever ``work`` raises undoes what it wrote. A caller that is cancelled cannot know whether the
        transaction was committed.

        Args:
            work: Called in the writing thread with the connection; must not end the transaction.
            wait: Seconds to wait for other transactions; None for the ten of every transaction.

        Raises:
            StoreUnavailableError: As in ``read``, or the disk is full, or the file is read-only.
            ConfigurationError: As in ``read``.
            StoreError: Any other failure of the database.
        """
        return await self._submit("BEGIN IMMEDIATE", work, _BUSY_SECONDS if wait is None else wait)

    async def migrate(self) -> int:
        """Creates or migrates the schema, as the first use does, and returns its version."""
        return await self.write(lambda connection: _pragma(connection, "user_version"))

    def stop_waiting(self) -> None:
        """Makes transactions fail that other processes hold up, now and until ``close``, instead of waiting."""
        with self._lock:
            self._patient = False
            if self._session is not None:
                self._session.wait_until(0.0)

    async def close(self) -> None:
        """Releases threads and connections once the queued transactions are over; the next use opens anew.

        Transactions that other processes hold up are waited for one second at most.
        """
        with self._lock:
            session, self._session = self._session, None
            self._patient = True
        if session is None:
            return
        session.finalizer.detach()
        if session.process != os.getpid():
            _inherited.append(session)
        else:
            await asyncio.wrap_future(session.close())

    async def _submit(self, begin: str, work: Work[T], wait: float) -> T:
        deadline = _Deadline(time.monotonic() + wait)
        # Under the lock, so that nothing is queued behind the last task of a session that is being closed.
        with self._lock:
            session = self._session
            if session is None or session.process != os.getpid():
                session = self._open(session)
            worker = session.reader if begin == "BEGIN" else session.writer
            future = worker.executor.submit(worker.run, begin, work, deadline)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            # The thread would keep the interpreter from ending, with nobody there for the result.
            deadline.advance(time.monotonic() + _GRACE_SECONDS)
            raise

    def _open(self, inherited: _Session | None) -> _Session:
        if inherited is not None:
            # A forked child has no threads, and SQLite forbids it even to close its parent's connections.
            _inherited.append(inherited)
        session = self._session = _Session(self.path)
        if not self._patient:
            session.wait_until(0.0)
        session.finalizer = weakref.finalize(self, session.abandon)
        return session


class _Deadline:
    """A moment that may come earlier than it was announced, but not later."""

    __slots__ = ("moment",)

    def __init__(self, moment: float = math.inf) -> None:
        self.moment = moment

    def advance(self, moment: float) -> None:
        self.moment = min(self.moment, moment)


class _Connection(sqlite3.Connection):
    """A connection whose statements end with their transaction, whatever still refers to their cursors.

    A statement that is under way keeps the state that it reads, past the end of its transaction: all later
    transactions would see that state.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._cursors: weakref.WeakSet[sqlite3.Cursor] = weakref.WeakSet()

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        cursor = super().cursor(*arguments, **options)
        self._cursors.add(cursor)
        return cursor

    # Not every version of Python makes the cursors of these two with the method above.

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        return self.cursor().executemany(sql, parameters)

    def end_statements(self) -> None:
        for cursor in list(self._cursors):
            cursor.close()
        self._cursors.clear()


class _Session:
    """The threads and connections from the first use of a database to its closing."""

    finalizer: weakref.finalize[..., Database]

    def __init__(self, path: str) -> None:
        self.process = os.getpid()
        self.writer = _Worker(path, "chatkit-sqlite-write")
        # A database in memory belongs to its one connection.
        self.reader = self.writer if path == MEMORY else _Worker(path, "chatkit-sqlite-read", writes=False)

    def wait_until(self, moment: float) -> None:
        self.reader.last_call.advance(moment)
        self.writer.last_call.advance(moment)

    def close(self) -> Future[None]:
        self.wait_until(time.monotonic() + _GRACE_SECONDS)
        if self.reader is self.writer:
            return self.writer.close()
        # One after the other: the last connection to close merges the log into the file, two at a time do not.
        reader_closed = self.reader.close()
        return self.writer.close(behind=reader_closed)

    def abandon(self) -> None:
        if self.process == os.getpid():
            self.reader.abandon()
            self.writer.abandon()


_inherited: list[_Session] = []


class _Worker:
    """A thread and its connection."""

    def __init__(self, path: str, name: str, *, writes: bool = True) -> None:
        self._path = path
        self._writes = writes
        self._connection: _Connection | None = None
        self.last_call = _Deadline()
        self._busy = Lock()
        self._abandoned = False
        self.executor = ThreadPoolExecutor(1, name)

    def run(self, begin: str, work: Work[T], deadline: _Deadline) -> T:
        def until() -> float:
            return min(deadline.moment, self.last_call.moment)

        with self._busy:
            try:
                if self._connection is None:
                    self._connection = _retried(lambda: _connect(self._path, writes=self._writes), until)
                return _transact(self._connection, begin, work, until)
            except sqlite3.Error as error:
                # What these say of the file may not hold any more when it is opened again.
                if _code(error) in _REOPEN_AFTER and self._path != MEMORY:
                    self._disconnect()
                raise _translated(error, self._path) from error
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


def _retried(attempt: Callable[[], T], until: Callable[[], float]) -> T:
    """Returns what ``attempt`` returns, made again while the database is locked; once if the time is over."""
    pause = 0.001
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            remaining = until() - time.monotonic()
            if _code(error) != sqlite3.SQLITE_BUSY or remaining <= 0:
                raise
        # Not SQLite's own waiting, which cannot be ended by closing.
        time.sleep(min(pause, remaining))
        pause = min(pause * 2, _LONGEST_PAUSE)


def _once() -> float:
    return 0.0


def _transact(connection: _Connection, begin: str, work: Work[T], until: Callable[[], float] = _once) -> T:
    _retried(lambda: _begin(connection, begin), until)
    try:
        result = work(connection)
        connection.end_statements()
        _retried(lambda: connection.execute("COMMIT"), until)
    except BaseException:
        _roll_back(connection)
        raise
    return result


def _begin(connection: _Connection, begin: str) -> None:
    try:
        connection.execute(begin)
        if begin == "BEGIN":
            # Such a transaction takes its lock when it first reads; it had better wait here than within the work.
            _pragma(connection, "user_version")
    except BaseException:
        _roll_back(connection)
        raise


def _roll_back(connection: _Connection) -> None:
    connection.end_statements()
    # SQLite ends the transaction itself after some errors, such as a full disk.
    if connection.in_transaction:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")


def _connect(path: str, *, writes: bool) -> _Connection:
    # The connection is used by one thread at a time, but closed by whichever finalises the database.
    connection = sqlite3.connect(
        path, timeout=_LONGEST_PAUSE, isolation_level=None, check_same_thread=False, factory=_Connection
    )
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        # Another application's file must not change, not even its journal mode. In a transaction, or it would look
        # like one while another process creates the schema.
        _transact(connection, "BEGIN", lambda connection: _check_origin(connection, path))
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
    return connection


def _migrate(connection: _Connection, path: str) -> None:
    migrations = sorted(MIGRATIONS.glob("[0-9]*.sql"))
    if _pragma(connection, "user_version") >= len(migrations):
        return

    def apply(connection: sqlite3.Connection) -> None:
        # Another process may have been quicker.
        for migration in migrations[_check_origin(connection, path) :]:
            for statement in _statements(migration.read_text("utf-8")):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")

    _transact(connection, "BEGIN EXCLUSIVE", apply)


def _check_origin(connection: sqlite3.Connection, path: str) -> int:
    """Returns the version of the schema; raises if the file is another application's or newer."""
    version = _pragma(connection, "user_version")
    known = sum(1 for _ in MIGRATIONS.glob("[0-9]*.sql"))
    application = _pragma(connection, "application_id")
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    if application != _APPLICATION_ID and (tables or version or application):
        raise ConfigurationError(
            f"The database {path} is another application's (its tables: {', '.join(tables[:5]) or 'none'}). "
            "Choose another db_path, or move that file away."
        )
    if version > known:
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


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _code(error: sqlite3.Error) -> int:
    # The lower byte is the primary code. Errors that Python itself detects have none.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _translated(error: sqlite3.Error, path: str) -> StoreError:
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
    }.get(_code(error))
    if advice is None:
        return StoreError(f"The database {path} failed: {error}.")
    return StoreUnavailableError(f"The database {path} {advice} ({error}).")
