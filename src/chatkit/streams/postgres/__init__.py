"""The stream log over PostgreSQL, for any number of workers. Needs the extra ``postgres``."""

from __future__ import annotations

from chatkit.errors import MissingExtraError
from chatkit.streams.memory import LAG_LIMIT, RETENTION, WINDOW
from chatkit.streams.shared import Backend, SharedStreamLog
from chatkit.streams.shared.log import LEASE

try:
    from chatkit._postgres import Database, Settings
    from chatkit.streams.postgres.backend import PostgresBackend
except ImportError as error:
    raise MissingExtraError(
        "PostgresStreamLog needs asyncpg: pip install 'chatkit-server[postgres]'."
    ) from error

__all__ = ["PostgresStreamLog"]


class PostgresStreamLog(SharedStreamLog):
    """Keeps turns in memory for the readers of this process, and in a PostgreSQL database for all other workers.

    What a turn appends is in the database at most 50 ms later; other workers hear of it by ``NOTIFY``. Nothing is
    connected before the first use, which creates or migrates the schema ``chatkit``. When the database is away,
    running turns and their readers in the same process go on, and what they append is kept and written when it is
    back; new turns are refused with :class:`chatkit.errors.StoreUnavailableError`.

    One connection of each event loop listens all the time while turns run or are read; it has to be a session of its
    own, so PgBouncer in transaction mode cannot be in between.

    Args:
        database: As for libpq, ``postgresql://user:password@host:port/database``, or the ``database`` of a
            :class:`chatkit.store.PostgresStore`, whose connections are used then.
        window: Bytes of events kept of a turn whose readers may come back, here and in the database.
        retention: Seconds for which such a turn is kept after its end.
        lag_limit: Bytes that the reader of another turn may lag behind before the turn waits.
        lease: Seconds for which turns and claims are a worker's without renewal; it renews at a third of that.
        max_connections: Connections of one event loop, where none are shared with a store.
        statement_timeout: Seconds that a statement may take there.
    """

    def __init__(
        self,
        database: str | Database,
        *,
        window: int = WINDOW,
        retention: float = RETENTION,
        lag_limit: int = LAG_LIMIT,
        lease: float = LEASE,
        max_connections: int = 4,
        statement_timeout: float | None = 10.0,
    ) -> None:
        super().__init__(window=window, retention=retention, lag_limit=lag_limit, lease=lease)
        self._owns_database = isinstance(database, str)
        if isinstance(database, str):
            database = Database(
                Settings(
                    connection_string=database,
                    max_connections=max_connections,
                    statement_timeout=statement_timeout,
                )
            )
        self._database = database

    def make_backend(self) -> Backend:
        """Returns the server, for the running event loop."""
        return PostgresBackend(self._database, lease=self.lease, retention=self._retention)

    async def close(self) -> None:
        """Closes the connections of the running event loop; those of a store are left open."""
        await super().close()
        if self._owns_database:
            await self._database.close()
