"""A PostgreSQL database: transactions that survive lost connections where nothing was written yet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any, Final, TypeVar

from chatkit._observers import working
from chatkit._outages import Source
from chatkit._postgres import errors
from chatkit._postgres.pools import Connection, Pools, Settings, connect
from chatkit._postgres.schema import IS_THERE, VERSION, migrate
from chatkit._postgres.snapshots import wait_for_earlier
from chatkit.errors import ChatKitError, StoreUnavailableError

__all__ = ["Database", "Transaction"]

T = TypeVar("T")

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 0.5

_GRACE_SECONDS: Final = 1.0
"""How long anything may take once the database was told to stop waiting."""


class Transaction:
    """What a transaction can be asked for.

    Args:
        connection: The connection that it is open on.
        limit: Seconds that an answer may take, if not as long as usual.
    """

    def __init__(self, connection: Connection, limit: float | None = None) -> None:
        self._connection = connection
        self._limit = limit

    async def rows(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Returns all rows."""
        found = await self._connection.fetch(statement, *arguments, timeout=self._limit)
        return [tuple(row) for row in found]

    async def value(self, statement: str, *arguments: object) -> Any:
        """Returns the first value of the first row, None if there is none."""
        return await self._connection.fetchval(statement, *arguments, timeout=self._limit)

    async def wait_for_earlier(self) -> str:
        """Waits until nothing sees the database as it was before, for a minute at most; not in a transaction.

        Sessions that this role may not look at do not count.

        Returns:
            What still does, in words; empty if all have ended.
        """
        return await wait_for_earlier(self._connection, unknown=False)


Work = Callable[[Transaction], Awaitable[T]]


class _Attempt:
    """How far an attempt came: whether there was a connection, and whether the commit was sent."""

    connected = False
    committing = False


class Database:
    """A database, used from any number of event loops and threads, each with connections of its own.

    Nothing is opened before the first use, which creates or migrates the schema; several processes may do so at the
    same time.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.place = errors.place_of(settings.connection_string)
        self.pools = Pools(settings)
        self._migrated = False
        self._was_there = False
        self._patient = True
        self._lock = Lock()
        self._limits: set[tuple[asyncio.AbstractEventLoop, asyncio.Timeout]] = set()
        self.source = Source.of(f"The PostgreSQL database {self.place}", logging.getLogger("chatkit.store"))
        limits = "".join(f"; SET LOCAL {name} = {value}" for name, value in settings.limits.items())
        self._begin = f"BEGIN ISOLATION LEVEL READ COMMITTED{limits if settings.stateless else ''}"

    async def read(self, work: Work[T], *, patient: bool = True, limit: float | None = None) -> T:
        """Returns what ``work`` makes of the database; it asks one statement, which sees one state.

        Args:
            work: Reads, and may be called twice.
            patient: Waits for a server that restarts.
            limit: Seconds after which a connection that does not answer is given up; None for the usual limit.

        Raises:
            StoreUnavailableError: The database cannot be reached, or did not answer in time.
            ConfigurationError: It refuses the role, is another application's, or of a version too new for this one.
            InvalidRequestError: An argument is nothing that PostgreSQL takes.
            StoreError: Any other failure of the database.
        """
        # Without a session's state, the time limit has to be the transaction's.
        with working(lambda observer: observer.database("postgresql", "read")):
            return await self._run(work, self.settings.stateless, patient=patient, answer_limit=limit)

    async def write(self, work: Work[T], *, repeatable: bool = False) -> T:
        """Runs ``work`` in a transaction of its own, commits it and returns its result.

        Whatever ``work`` raises undoes what it wrote. If the connection is lost before the commit, everything is done
        once more over another one. A caller that is cancelled cannot know whether the transaction was committed.

        Args:
            work: Reads and writes, and may be called twice; must not end the transaction.
            repeatable: Whether to do it twice is the same as to do it once: then a connection that is lost during the
                commit, when it may have been carried out, is no reason to give up either.

        Raises:
            ChatKitError: As in ``read``; or ``StoreUnavailableError``, as the connection was lost during the commit of
                work that is not repeatable.
        """
        with working(lambda observer: observer.database("postgresql", "write")):
            return await self._run(work, transacted=True, patient=True, repeatable=repeatable)

    async def version(self) -> int | None:
        """Returns the version of the schema as it is now, None if there is no schema; changes nothing."""

        async def version(transaction: Transaction) -> int | None:
            if not await transaction.value(IS_THERE):
                return None
            return await transaction.value(VERSION)

        return await self._run(version, self.settings.stateless, patient=False, migrates=False)

    async def usable_since(self) -> int:
        """Returns the earliest version whose workers can use the schema, which is there."""
        ((version, since),) = await self.read(lambda transaction: transaction.rows(VERSION))
        return version if since is None else since

    async def migrate(self) -> int:
        """Creates or migrates the schema, as the first use does, and returns its version."""

        async def version(transaction: Transaction) -> int:
            return await transaction.value(VERSION)

        return await self.read(version)

    async def vacuum(self, tables: Sequence[str], *, full: bool) -> str:
        """Has tables give up what was deleted in them, over a connection of its own.

        Args:
            tables: Their names.
            full: Writes them anew, while everything else that uses them waits, so that nothing of it is left in their
                files; otherwise the space is free, and overwritten as it is used again.

        Returns:
            Where they are written anew: what still saw then what was deleted, so that it was written anew, too. Empty
            if nothing did.

        Raises:
            StoreUnavailableError: The database cannot be reached.
            ChatKitError: It refuses.
        """
        try:
            connection = await connect(
                self.settings.connection_string,
                timeout=self.settings.connect_timeout,
                statement_cache_size=0,
            )
            try:
                await connection.execute("SET statement_timeout = 0")
                seen_by = await wait_for_earlier(connection, unknown=True) if full else ""
                for table in tables:
                    # Also what the planner remembers of values.
                    await connection.execute(f"VACUUM ({'FULL, ' if full else ''}ANALYZE) {table}")
            finally:
                await connection.close()
        except Exception as error:
            raise errors.translated(error, self.place, committing=False, limit=None) from error
        return seen_by

    def stop_waiting(self) -> None:
        """Makes everything fail that the server does not answer within a second, now and until ``close``."""
        with self._lock:
            self._patient = False
            running = list(self._limits)
        for loop, limit in running:
            # A loop that was closed has nothing that runs.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_limit, limit, loop)

    async def close(self) -> None:
        """Closes all connections once their transactions are over; the next use opens new ones."""
        try:
            if self._patient:
                await self.pools.close()
            else:
                await self.pools.close(_GRACE_SECONDS)
        finally:
            self._patient = True

    async def _run(
        self,
        work: Work[T],
        transacted: bool,
        *,
        patient: bool,
        migrates: bool = True,
        repeatable: bool = False,
        answer_limit: float | None = None,
    ) -> T:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as limit:
                entry = (loop, limit)
                with self._lock:
                    self._limits.add(entry)
                    hurries = not self._patient
                try:
                    if hurries:
                        _limit(limit, loop)
                    return await self._run_within(
                        limit,
                        work,
                        transacted,
                        patient=patient,
                        migrates=migrates,
                        repeatable=repeatable,
                        answer_limit=answer_limit,
                    )
                finally:
                    with self._lock:
                        self._limits.discard(entry)
        except TimeoutError as error:
            raise self.source.caused(
                StoreUnavailableError(
                    f"The PostgreSQL database {self.place} did not answer, and the server is about to end."
                )
            ) from error

    async def _run_within(
        self,
        limit: asyncio.Timeout,
        work: Work[T],
        transacted: bool,
        *,
        patient: bool,
        migrates: bool,
        repeatable: bool,
        answer_limit: float | None,
    ) -> T:
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.settings.reconnect_timeout
        pause = _FIRST_PAUSE
        retried = False
        while True:
            attempt = _Attempt()
            try:
                result = await self._try(
                    limit, work, transacted, attempt, migrates=migrates, answer_limit=answer_limit
                )
            except ChatKitError as error:
                self.source.caused(error)
                raise
            except Exception as error:
                if not attempt.connected and isinstance(error, ValueError):
                    raise errors.unreadable(error, self.place) from error
                waits = patient and self._was_there and errors.is_absent(error) and clock() < deadline
                if not attempt.connected and waits:
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE)
                    continue
                silent = isinstance(error, TimeoutError) and attempt.connected
                if silent:
                    # What has forgotten this connection on the way has forgotten the others too.
                    await (await self.pools.current()).expire()
                doubtful = attempt.committing and not repeatable
                # A network that resets connections may do so again.
                again = not retried or (attempt.connected and errors.is_lost(error) and clock() < deadline)
                if again and not doubtful and await self._mended(error):
                    retried = True
                    continue
                failure = errors.translated(
                    error,
                    self.place,
                    committing=attempt.committing and errors.is_lost(error),
                    limit=None if silent and answer_limit is not None else self.settings.statement_timeout,
                )
                raise self.source.caused(failure, partly=errors.is_partial(error)) from error
            else:
                self.source.works(wholly=transacted)
                return result

    async def _mended(self, error: Exception) -> bool:
        """Returns whether the same work may succeed now."""
        if errors.is_lost(error):
            # A restart ended the others too.
            await (await self.pools.current()).expire()
            return True
        if errors.is_unmigrated(error):
            self._migrated = False
            return True
        return errors.is_passing(error)

    async def _try(
        self,
        limit: asyncio.Timeout,
        work: Work[T],
        transacted: bool,
        attempt: _Attempt,
        *,
        migrates: bool,
        answer_limit: float | None,
    ) -> T:
        pool = await self.pools.current()
        connection = await self._acquire(pool)
        attempt.connected = self._was_there = True
        try:
            if migrates and not self._migrated:
                await migrate(connection, self.place)
                self._migrated = True
            if not transacted:
                return await work(Transaction(connection, answer_limit))
            await connection.execute(self._begin)
            try:
                result = await work(Transaction(connection))
            except BaseException as error:
                if not limit.expired() and not isinstance(error, TimeoutError):
                    with suppress(Exception):
                        await connection.execute("ROLLBACK")
                raise
            attempt.committing = True
            await connection.execute("COMMIT")
        except TimeoutError:
            await _end_silence(connection)
            raise
        else:
            return result
        finally:
            await _give_back(pool, connection, limit)

    async def _acquire(self, pool: Any) -> Connection:
        try:
            return await pool.acquire()
        except TimeoutError as error:
            raise StoreUnavailableError(
                f"No connection to the PostgreSQL database {self.place} within {self.settings.acquire_timeout:g} s: "
                f"the server does not answer, or all {self.settings.max_connections} are in use. Check the server, "
                "or raise max_connections or acquire_timeout."
            ) from error


def _limit(limit: asyncio.Timeout, loop: asyncio.AbstractEventLoop) -> None:
    # What is over by now cannot be limited any more.
    with suppress(RuntimeError):
        limit.reschedule(loop.time() + _GRACE_SECONDS)


async def _end_silence(connection: Connection) -> None:
    """Ends a connection whose server does not answer, unless it does so as soon as it is told to stop."""
    ended = False
    try:
        with suppress(Exception):
            async with asyncio.timeout(_GRACE_SECONDS):
                # The driver has the statement cancelled, and waits for that first.
                await connection.execute("ROLLBACK")
                ended = True
    finally:
        if not ended:
            with suppress(Exception):
                connection.terminate()


async def _give_back(pool: Any, connection: Connection, limit: asyncio.Timeout) -> None:
    try:
        if limit.expired():
            # Nothing else would let go of it: to be cancelled or given back it needs the server's answer.
            connection.terminate()
        # A connection that was lost cannot be put back in order; the pool replaces it.
        with suppress(Exception):
            await pool.release(connection)
    except asyncio.CancelledError:
        if limit.expired():
            with suppress(Exception):
                connection.terminate()
        raise
