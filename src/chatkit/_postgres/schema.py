"""The schema of a PostgreSQL database: numbered migrations, applied by the first process that connects."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from chatkit._migrations import is_usable, list_migrations, usable_since
from chatkit._postgres.pools import Connection
from chatkit.errors import ConfigurationError

__all__ = ["IS_THERE", "MIGRATIONS", "VERSION", "migrate"]

MIGRATIONS: Final = Path(__file__).parents[1] / "store" / "migrations" / "postgres"
"""The folder of the numbered migrations, ``0001_name.sql`` and on, without gaps."""

_LOCK: Final = 0x43684B74
"""The advisory lock of a process that migrates, ``ChKt``. A transaction holds it, as PgBouncer needs it."""

_PATIENCE: Final = 3600.0
"""Seconds that a migration may take, and that others wait for it."""

IS_THERE: Final = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_tables WHERE schemaname = 'chatkit' AND tablename = 'schema_version'
)
"""

VERSION: Final = "SELECT version, (to_jsonb(v) ->> 'usable_since')::int FROM chatkit.schema_version AS v"
"""The version of the schema, and the earliest one whose workers can use it: a column that early versions lack."""


async def migrate(connection: Connection, place: str) -> int:
    """Creates or migrates the schema ``chatkit``; safe when many do it at once.

    A schema of a newer version that this one can do without is left as it is.

    Args:
        connection: A connection without an open transaction.
        place: The database, for messages.

    Returns:
        The version of the schema.

    Raises:
        ConfigurationError: The schema is of another application or too new for this version, or the database is not in
            UTF-8.
    """
    migrations = list_migrations(MIGRATIONS)
    known = len(migrations)
    async with connection.transaction(isolation="read_committed"):
        version = await _version(connection, place, known)
        if version >= known:
            return version
    async with connection.transaction(isolation="read_committed"):
        await connection.execute(
            "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;"
            f"SELECT pg_advisory_xact_lock({_LOCK})",
            timeout=_PATIENCE,
        )
        # Another process may have been quicker, and newer.
        version = await _version(connection, place, known)
        if version >= known:
            return version
        if version == 0:
            await _check_free(connection, place)
        for migration in migrations[version:]:
            await connection.execute(migration.read_text("utf-8"), timeout=_PATIENCE)
        await connection.execute(
            "UPDATE chatkit.schema_version SET version = $1, usable_since = $2",
            known,
            usable_since(migrations),
        )
    return known


async def _version(connection: Connection, place: str, known: int) -> int:
    # Not to_regclass(): that one remembers within a transaction what was not there.
    if not await connection.fetchval(IS_THERE):
        return 0
    version, since = await connection.fetchrow(VERSION)
    if not is_usable(version, since, known):
        raise ConfigurationError(
            f"The schema chatkit of the PostgreSQL database {place} has version {version}, this version of the "
            f"package knows {known} at most. Install the version of the package that wrote it, or a newer one."
        )
    return version


async def _check_free(connection: Connection, place: str) -> None:
    encoding = await connection.fetchval("SELECT current_setting('server_encoding')")
    if encoding != "UTF8":
        raise ConfigurationError(
            f"The PostgreSQL database {place} is encoded in {encoding}. Create one with ENCODING 'UTF8'."
        )
    tables = await connection.fetch(
        "SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = 'chatkit' ORDER BY tablename LIMIT 5"
    )
    if tables:
        raise ConfigurationError(
            f"The PostgreSQL database {place} has a schema chatkit of another application (in it: "
            f"{', '.join(row[0] for row in tables)}). Choose another database."
        )
