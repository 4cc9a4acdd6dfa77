"""Transactions of one connection: begun and committed as soon as other processes let them, undone when they fail."""

from __future__ import annotations

import math
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, TypeVar

__all__ = ["LONGEST_PAUSE", "Connection", "Deadline", "Work", "code_of", "pragma", "retried", "transact"]

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

LONGEST_PAUSE: Final = 0.05
"""The longest time between two attempts to get a lock, and until a change of the deadline is noticed."""


class Deadline:
    """A moment that may come earlier than it was announced, but not later."""

    __slots__ = ("moment",)

    def __init__(self, moment: float = math.inf) -> None:
        self.moment = moment

    def advance(self, moment: float) -> None:
        self.moment = min(self.moment, moment)


class Connection(sqlite3.Connection):
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


def code_of(error: sqlite3.Error) -> int:
    """Returns the primary code of an error."""
    # The lower byte is the primary code. Errors that Python itself detects have none.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def retried(attempt: Callable[[], T], until: Callable[[], float]) -> T:
    """Returns what ``attempt`` returns, made again while the database is locked; once if the time is over."""
    pause = 0.001
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            remaining = until() - time.monotonic()
            if code_of(error) != sqlite3.SQLITE_BUSY or remaining <= 0:
                raise
        # Not SQLite's own waiting, which cannot be ended by closing.
        time.sleep(min(pause, remaining))
        pause = min(pause * 2, LONGEST_PAUSE)


def transact(
    connection: Connection, begin: str, work: Work[T], until: Callable[[], float] = lambda: 0.0
) -> T:
    """Returns what ``work`` returns in a transaction, committed, or undone if it raises; by default tried once."""
    retried(lambda: _begin(connection, begin), until)
    try:
        result = work(connection)
        connection.end_statements()
        retried(lambda: connection.execute("COMMIT"), until)
    except BaseException:
        _roll_back(connection)
        raise
    return result


def _begin(connection: Connection, begin: str) -> None:
    try:
        connection.execute(begin)
        if begin == "BEGIN":
            # Such a transaction takes its lock when it first reads; it had better wait here than within the work.
            pragma(connection, "user_version")
    except BaseException:
        _roll_back(connection)
        raise


def _roll_back(connection: Connection) -> None:
    connection.end_statements()
    # SQLite ends the transaction itself after some errors, such as a full disk.
    if connection.in_transaction:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """Returns a setting or figure that is a number."""
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
