"""What an error of PostgreSQL or of its driver means: try again, wait, or tell the operator what to do."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from asyncpg import exceptions as driver  # pyright: ignore[reportMissingTypeStubs] -- published without

from chatkit.errors import (
    ChatKitError,
    ConfigurationError,
    ErasureRunningError,
    InvalidRequestError,
    StoreError,
    StoreUnavailableError,
)

__all__ = [
    "is_absent",
    "is_lost",
    "is_partial",
    "is_passing",
    "is_unmigrated",
    "place_of",
    "translated",
    "unreadable",
]

_BEING_ERASED: Final = "CK409"
"""What triggers of the schema raise for rows of an owner who is being erased."""
_BAD_CONFIGURATION: Final = (
    driver.ClientConfigurationError,
    driver.UnsupportedClientFeatureError,
    driver.UnsupportedServerFeatureError,
    driver.InvalidAuthorizationSpecificationError,
    driver.InvalidCatalogNameError,
    driver.InsufficientPrivilegeError,
)
_NOT_STORABLE: Final = (
    driver.DataError,
    driver.ProgramLimitExceededError,
    driver.StatementTooComplexError,
)
_SESSION_LOST: Final = (
    driver.DuplicatePreparedStatementError,
    driver.InvalidSQLStatementNameError,
)
_SERVER_GONE: Final = (
    driver.AdminShutdownError,
    driver.CannotConnectNowError,
    driver.CrashShutdownError,
    driver.IdleInTransactionSessionTimeoutError,
    driver.IdleSessionTimeoutError,
    driver.InternalClientError,
    driver.PostgresConnectionError,
)


def is_lost(error: BaseException) -> bool:
    """Returns whether the connection is of no use any more."""
    if isinstance(error, (TimeoutError, *_BAD_CONFIGURATION)) or _is_pooled(error) or _is_not_storable(error):
        return False
    # An InterfaceError is the driver's own: of a connection that was closed while it was used. A RuntimeError that says
    # so is that of uvloop's transport.
    return isinstance(
        error, (OSError, driver.InterfaceError, driver.ReadOnlySQLTransactionError, *_SERVER_GONE)
    ) or (isinstance(error, RuntimeError) and "the handler is closed" in str(error))


def is_absent(error: BaseException) -> bool:
    """Returns whether there was no server to connect to, as during a restart."""
    return isinstance(
        error,
        (
            driver.CannotConnectNowError,
            driver.PostgresConnectionError,
            driver.TooManyConnectionsError,
            OSError,
        ),
    ) and not (_is_pooled(error) or isinstance(error, TimeoutError))


def is_unmigrated(error: BaseException) -> bool:
    """Returns whether the schema is missing: the database was replaced by another one."""
    return isinstance(error, (driver.InvalidSchemaNameError, driver.UndefinedTableError))


def is_passing(error: BaseException) -> bool:
    """Returns whether the same transaction, which was rolled back, may succeed at once."""
    return isinstance(
        error,
        (
            driver.DeadlockDetectedError,
            driver.InvalidCachedStatementError,
            driver.OutdatedSchemaCacheError,
            driver.SerializationError,
        ),
    )


def is_partial(error: BaseException) -> bool:
    """Returns whether other transactions may succeed meanwhile, so that one that does is not the end of an outage."""
    return isinstance(
        error,
        (driver.InsufficientResourcesError, driver.QueryCanceledError, driver.ReadOnlySQLTransactionError),
    ) or is_passing(error)


def _is_not_storable(error: BaseException) -> bool:
    # The driver's own error for a bad argument is a ValueError too.
    return isinstance(error, _NOT_STORABLE) or (
        isinstance(error, driver.InterfaceError)
        and isinstance(error, ValueError)
        and not isinstance(error, driver.ClientConfigurationError)
    )


def _is_pooled(error: BaseException) -> bool:
    """Returns whether a pooler does not give the sessions that the settings count on."""
    return isinstance(error, _SESSION_LOST) or (
        isinstance(error, driver.ProtocolViolationError) and "startup parameter" in str(error)
    )


def place_of(connection_string: str) -> str:
    """Returns host, port and name of a database as messages may show them: without user and password."""
    try:
        parts = urlsplit(connection_string)
    except ValueError:
        return "(unreadable connection string)"
    if parts.fragment or "@" in parts.path + parts.query:
        # A password that is not percent-encoded ends the host at its own "#", "/" or "?": parts of it are anywhere.
        return (
            "(unreadable connection string; write %23 for # in a password, %2F for /, %3F for ?, %40 for @)"
        )
    host = parts.netloc.rpartition("@")[2] or "the default host"
    return f"{parts.path.lstrip('/') or 'the default one'} at {host}"


def unreadable(error: ValueError, place: str) -> ChatKitError:
    """Returns the error for a connection string that the driver cannot read."""
    # What the driver says may quote a part of the password.
    reason = "it cannot be read" if place.startswith("(") else error
    return ConfigurationError(
        f"The PostgreSQL database {place} cannot be used: {reason}. Correct the connection string, which is as for "
        "libpq: postgresql://user:password@host:5432/database."
    )


def translated(error: Exception, place: str, *, committing: bool, limit: float | None) -> ChatKitError:
    """Returns the error of this package that says what happened and what to do.

    Args:
        error: What the driver raised.
        place: The database, for the message.
        committing: Whether the commit had been sent, so that it may have been carried out.
        limit: The statement timeout in seconds.
    """
    name = f"The PostgreSQL database {place}"
    if getattr(error, "sqlstate", None) == _BEING_ERASED:
        return ErasureRunningError()
    if _is_not_storable(error):
        return InvalidRequestError(
            "An id, cursor or value cannot be stored: it holds a NUL character or broken Unicode, or it is too long "
            f"or too deep ({error})."
        )
    if _is_pooled(error):
        return ConfigurationError(
            f"{name} is behind a pooler that shares sessions, such as PgBouncer in transaction mode: "
            f"use PostgresStore(..., statement_cache_size=0) ({error})."
        )
    if isinstance(error, _BAD_CONFIGURATION):
        return ConfigurationError(
            f"{name} cannot be used: {error}. Correct the connection string, or what that role may do."
        )
    if committing:
        return StoreUnavailableError(
            f"{name} was lost during a commit: the last write may be stored or not. Load it before repeating it "
            f"({error!r})."
        )
    advice = _advice(error, limit)
    if advice is None:
        return StoreError(f"{name} failed: {error!r}.")
    return StoreUnavailableError(f"{name} {advice} ({error!r}).")


def _advice(error: Exception, limit: float | None) -> str | None:
    if isinstance(error, (driver.QueryCanceledError, TimeoutError)):
        return (
            f"did not answer within the statement timeout of {limit:g} s: end what holds its locks, or raise "
            "statement_timeout"
            if limit is not None
            else "did not answer in time: check that it runs and is reachable"
        )
    if isinstance(error, driver.TooManyConnectionsError):
        return "takes no more connections: lower max_connections of the store, or raise the server's"
    if isinstance(error, driver.ReadOnlySQLTransactionError):
        return "is read-only: connect to the primary, with target_session_attrs=read-write"
    if isinstance(error, driver.DiskFullError):
        return "has no space left: free space on its disk"
    if isinstance(error, driver.InsufficientResourcesError):
        return "is short of resources: check its memory and disk"
    if is_passing(error):
        return "was busy with conflicting transactions: try again"
    if is_lost(error) or is_absent(error):
        return "cannot be reached: check that it runs, and the host and port of the connection string"
    return None
