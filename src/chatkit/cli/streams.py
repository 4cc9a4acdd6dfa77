"""The stream log that ``--stream-log`` names, for workers that share their turns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from chatkit.cli.database import describe, is_postgres, is_postgres_store
from chatkit.cli.options import CommandError
from chatkit.store import Store
from chatkit.streams import SQLiteStreamLog

if TYPE_CHECKING:
    from chatkit.store import PostgresStore, SQLiteStore
    from chatkit.streams import StreamLog

__all__ = ["describe_log", "open_log", "prepare_log"]


def open_log(url: str | None, store: Store[Any], lease: float | None) -> StreamLog | None:
    """Returns a log, which has touched nothing yet; None leaves the choice to the store.

    Without a URL it is in the store's own database. ``lease`` is for how many seconds turns are a worker's without
    renewal; None for the usual ones.
    """
    options: dict[str, Any] = {} if lease is None else {"lease": lease}
    if url is None:
        return _own_log(store, options) if options else None
    if is_postgres(url):
        from chatkit.streams import PostgresStreamLog

        return PostgresStreamLog(url, **options)
    if url.startswith(("redis://", "rediss://", "unix://")):
        _check_redis(url)
        from chatkit.streams import RedisStreamLog

        return RedisStreamLog(url, **options)
    # Not the whole text, which may hold a password.
    raise CommandError(
        f"A stream log is redis://host:6379/0, rediss:// for TLS, or postgresql://user:password@host/name, "
        f"not {url.partition(':')[0]!r}."
    )


def _check_redis(url: str) -> None:
    """Raises CommandError for what the driver would take for another server or database, or quote in its error."""
    if url.startswith("unix://"):
        return
    try:
        parts = urlsplit(url)
        readable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        readable = False
        parts = urlsplit("")
    # A password that is not percent-encoded ends the host at its own "#", "/" or "?": parts of it are anywhere.
    number = parts.path.removeprefix("/")
    if not readable or parts.fragment or "@" in parts.query or (number and not number.isdecimal()):
        raise CommandError(
            "CHATKIT_STREAM_LOG or --stream-log is no URL of a Redis server: write redis://user:password@host:6379/0, "
            "the last being the number of a database; in a password %23 for #, %2F for /, %3F for ?, %40 for @."
        )


def _own_log(store: Store[Any], options: dict[str, Any]) -> StreamLog:
    if is_postgres_store(store):
        from chatkit.streams import PostgresStreamLog

        return PostgresStreamLog(cast("PostgresStore[Any]", store).database, **options)
    return SQLiteStreamLog(cast("SQLiteStore[Any]", store).database, **options)


def describe_log(url: str) -> str:
    """Returns the log as messages may show it: without user and password."""
    if is_postgres(url):
        return describe(url)
    parts = urlsplit(url)
    return f"the Redis server {parts.netloc.rpartition('@')[2]}{parts.path}"


async def prepare_log(log: StreamLog) -> None:
    """Asks the log for something now, so that one that cannot be used is a plain message."""
    try:
        await log.find("turn_that_never_was", None)
    finally:
        await log.close()
