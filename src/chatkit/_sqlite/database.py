"""An SQLite database, whose transactions run in threads of its own, and a connection that only looks at one."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
import weakref
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar

from chatkit._observers import working
from chatkit._outages import Source
from chatkit._sqlite.connection_thread import MEMORY, USABLE_SINCE, ConnectionThread
from chatkit._sqlite.rewriting import rewrite
from chatkit._sqlite.transactions import Deadline, Work, pragma
from chatkit.errors import StoreUnavailableError

__all__ = ["Database", "Watch"]

T = TypeVar("T")

_BUSY_SECONDS: Final = 10.0
"""How long a transaction waits for others, those of this process in front of it and those of other processes."""

_GRACE_SECONDS: Final = 1.0
"""How long a transaction waits for other processes once its caller, or its database, is on the way out."""


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
        self._source = Source.of(f"The database {self.path}", logging.getLogger("chatkit.store"))

    @property
    def is_open(self) -> bool:
        """Whether this process has the database open."""
        session = self._session
        return session is not None and session.process == os.getpid()

    async def read(self, work: Work[T]) -> T:
        """Returns what ``work`` makes of one consistent state of the database.

        Args:
            work: Called in the reading thread with the connection; must not write, nor keep the connection.

        Raises:
            StoreUnavailableError: The file cannot be opened or read, or stayed locked.
            ConfigurationError: The file is of a version too new for this one, or of another application.
            StoreError: Any other failure of the database.
        """
        with working(lambda observer: observer.database("sqlite", "read")):
            return await self._submit("BEGIN", work, _BUSY_SECONDS)

    async def write(self, work: Work[T], *, wait: float | None = None) -> T:
        """Runs ``work`` in a transaction of its own, commits it and returns its result.

        Whatever ``work`` raises undoes what it wrote. A caller that is cancelled cannot know whether the
        transaction was committed.

        Args:
            work: Called in the writing thread with the connection; must not end the transaction.
            wait: Seconds to wait for other transactions; None for the ten of every transaction.

        Raises:
            ChatKitError: As in ``read``; or ``StoreUnavailableError``, as the disk is full or the file read-only.
        """
        with working(lambda observer: observer.database("sqlite", "write")):
            return await self._submit("BEGIN IMMEDIATE", work, _BUSY_SECONDS if wait is None else wait)

    async def migrate(self) -> int:
        """Creates or migrates the schema, as the first use does, and returns its version."""
        return await self.write(lambda connection: pragma(connection, "user_version"))

    async def usable_since(self) -> int:
        """Returns the earliest version of the schema whose workers can use the file."""

        def since(connection: sqlite3.Connection) -> int:
            row = connection.execute(USABLE_SINCE).fetchone()
            return pragma(connection, "user_version") if row is None else row[0]

        return await self.read(since)

    async def rewrite(self, *, whole: bool) -> str | None:
        """Rewrites the file without what was deleted in it, and empties its log; others wait for that time.

        Args:
            whole: Whether the file is rewritten, and not the log alone emptied.

        Returns:
            What could not be done, in a sentence that says what to do; None if all was.
        """
        return await asyncio.to_thread(rewrite, self.path, whole)

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
        deadline = Deadline(time.monotonic() + wait)
        # Under the lock, so that nothing is queued after the last task of a session that is being closed.
        with self._lock:
            session = self._session
            if session is None or session.process != os.getpid():
                session = self._open(session)
            worker = session.reader if begin == "BEGIN" else session.writer
            future = worker.executor.submit(worker.run, begin, work, deadline)
        writes = begin != "BEGIN"
        try:
            result = await asyncio.wrap_future(future)
        except StoreUnavailableError as error:
            # A file that cannot be written may well be read.
            self._source.caused(error, partly=writes)
            raise
        except asyncio.CancelledError:
            # The thread would keep the interpreter from ending, with no caller for the result.
            deadline.advance(time.monotonic() + _GRACE_SECONDS)
            raise
        self._source.works(wholly=writes)
        return result

    def _open(self, inherited: _Session | None) -> _Session:
        if inherited is not None:
            # A forked child has no threads, and SQLite forbids it even to close its parent's connections.
            _inherited.append(inherited)
        session = self._session = _Session(self.path)
        if not self._patient:
            session.wait_until(0.0)
        session.finalizer = weakref.finalize(self, session.abandon)
        return session


class _Session:
    """The threads and connections from the first use of a database to its closing."""

    finalizer: weakref.finalize[..., Database]

    def __init__(self, path: str) -> None:
        self.process = os.getpid()
        self.writer = ConnectionThread(path, "chatkit-sqlite-write")
        # A database in memory belongs to its one connection.
        self.reader = (
            self.writer if path == MEMORY else ConnectionThread(path, "chatkit-sqlite-read", writes=False)
        )

    def wait_until(self, moment: float) -> None:
        self.reader.last_call.advance(moment)
        self.writer.last_call.advance(moment)

    def close(self) -> Future[None]:
        self.wait_until(time.monotonic() + _GRACE_SECONDS)
        if self.reader is self.writer:
            return self.writer.close()
        # One after the other: the last connection to close merges the log into the file, two at a time do not.
        reader_closed = self.reader.close()
        return self.writer.close(after=reader_closed)

    def abandon(self) -> None:
        if self.process == os.getpid():
            self.reader.abandon()
            self.writer.abandon()


_inherited: list[_Session] = []


class Watch:
    """Looks at a database file from the calling thread, in some microseconds, without a transaction that lasts.

    SQLite counts the commits of other connections for each connection. So this one is never used to write.
    """

    def __init__(self, path: str) -> None:
        self._uri = f"{Path(path).absolute().as_uri()}?mode=rw"
        self._connection: sqlite3.Connection | None = None
        self._version: int | None = None

    def has_changed(self) -> bool:
        """Returns whether something was committed since the last call; True where that cannot be told."""
        try:
            version = self._first("PRAGMA data_version")
        except sqlite3.Error:
            self.close()
            version = None
        changed = version is None or version[0] != self._version
        self._version = None if version is None else version[0]
        return changed

    def doubt(self) -> None:
        """Has the next ``has_changed`` return True."""
        self._version = None

    def has_row(self, query: str, parameters: dict[str, object]) -> bool | None:
        """Returns whether a query has a result; None where the file cannot be read, or lacks the table."""
        try:
            return self._first(query, parameters) is not None
        except sqlite3.Error:
            self.close()
            return None

    def _first(self, query: str, parameters: Any = ()) -> tuple[Any, ...] | None:
        if self._connection is None:
            self._connection = sqlite3.connect(
                self._uri, uri=True, timeout=0.0, isolation_level=None, check_same_thread=False
            )
        cursor = self._connection.execute(query, parameters)
        try:
            return cursor.fetchone()
        finally:
            cursor.close()

    def close(self) -> None:
        """Closes the connection; the next use opens another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()
