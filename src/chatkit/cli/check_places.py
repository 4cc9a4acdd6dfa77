"""Checks of ``chatkit check`` outside of the application: database, stream log, files and secrets."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

from chatkit.cli.check_target import CheckedTarget
from chatkit.cli.database import check_folder, check_name, describe, is_postgres, is_postgres_store
from chatkit.cli.files import (
    SECRET_NAME,
    SIGNS_ALONE,
    as_bucket,
    check_bucket,
    folder_of,
    open_files,
    origin_of,
    signs_alone,
)
from chatkit.cli.findings import Finding, note, ok, problem
from chatkit.cli.hosted import read_keys
from chatkit.cli.migrate import known_version, version_of
from chatkit.cli.options import setting
from chatkit.cli.streams import describe_log, open_log, prepare_log
from chatkit.errors import ChatKitError
from chatkit.store import MemoryStore, SQLiteStore

__all__ = ["check_database", "check_files", "check_log", "check_secrets"]

_SHORTEST_SECRET_CHARACTERS: Final = 32
_MAKE_SECRET: Final = "python -c 'import secrets; print(secrets.token_urlsafe(48))'"  # noqa: S105 -- a command


def check_database(db: str, targets: Sequence[CheckedTarget], *, given: bool) -> Iterator[Finding]:
    """Yields what was found about ``--db``, if a target is ``given`` it, and about the databases of targets."""
    if given:
        yield _database(db)
    for checked in targets:
        target = checked.target
        if target is None or target.got_store or target.server is None:
            continue
        store = target.server.store
        if isinstance(store, SQLiteStore) and store.database.path != ":memory:":
            yield _database(store.database.path)
        elif is_postgres_store(store):
            yield _told("database", _postgres(store, "The target's PostgreSQL database"))
        else:
            yield note(
                "database",
                f"The target keeps threads in its own {type(cast('object', store)).__name__}: not looked at.",
            )


def _told(about: str, looking: Any) -> Finding:
    try:
        return cast("Finding", asyncio.run(looking))
    except ChatKitError as error:
        return problem(about, str(error))


def _database(db: str) -> Finding:
    try:
        check_name(db)
        if is_postgres(db):
            from chatkit.store import PostgresStore

            name = describe(db)
            return _told("database", _postgres(PostgresStore(db), name[0].upper() + name[1:]))
        check_folder(Path(db), "the database", create=False)
        return _sqlite(Path(db))
    except ChatKitError as error:
        return problem("database", str(error))


def _sqlite(path: Path) -> Finding:
    folder = path.absolute().parent
    if not os.access(folder, os.W_OK):
        return problem(
            "database", f"{folder} cannot be written: allow this user to write it, or move {path}."
        )
    version = version_of(path)
    if version is None:
        return ok("database", f"{path} is not there yet; the first start makes it.")
    known = known_version("sqlite")
    if 0 < version < known:
        return _older(str(path), version, known, str(path))
    # Of a file that is up to date, it changes nothing.
    return _told(
        "database", _look(SQLiteStore(path), f"{path} is at schema version {version}, as it should be.")
    )


async def _look(store: Any, message: str) -> Finding:
    try:
        await store.check()
    finally:
        await store.close()
    return ok("database", message)


async def _postgres(store: Any, name: str) -> Finding:
    try:
        version = await store.database.version()
    finally:
        await store.close()
    known = known_version("postgres")
    if version is None:
        return ok("database", f"{name} can be reached and is empty; the first start makes its schema.")
    if version < known:
        return _older(name, version, known, "postgresql://...")
    return await _look(store, f"{name} is at schema version {version}, as it should be.")


def _older(name: str, version: int, known: int, db: str) -> Finding:
    return note(
        "database",
        f"{name} is at schema version {version}, this version of the package brings it to {known} when it starts. To "
        f"do so before: chatkit migrate --db {db}",
    )


def check_log(url: str | None, *, given: bool) -> Iterator[Finding]:
    """Yields what was found about the stream log, if a target is ``given`` one."""
    if not given:
        return
    if url is None:
        yield ok("stream log", "Running turns are shared through the database.")
        return
    if is_postgres(url):
        found = _database(url)
        yield Finding("stream log", found.status, found.message)
        return
    try:
        log = open_log(url, MemoryStore(), None)
        if log is not None:
            asyncio.run(prepare_log(log))
    except ChatKitError as error:
        yield problem("stream log", str(error))
    else:
        yield ok("stream log", f"{describe_log(url)} answers.")


def check_files(files: str | None, db: str, *, given: bool) -> Iterator[Finding]:
    """Yields what was found about the file store, if a target is ``given`` one."""
    if not given:
        return
    folder = folder_of(files, db)
    try:
        if folder is None:
            bucket = as_bucket(open_files(files, db))
            if bucket is None:
                yield ok("files", "Files are switched off.")
            else:
                check_bucket(bucket)
                yield ok("files", f"The bucket {bucket.bucket} at {origin_of(bucket)} answers.")
            return
        folder = folder.absolute()
        check_folder(folder, "the files", create=False)
    except ChatKitError as error:
        yield problem("files", str(error))
        return
    existing = next(above for above in (folder, folder.parent) if above.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        yield problem(
            "files",
            f"{existing} is no folder that this user can write: allow it, or choose another with --files.",
        )
    elif existing == folder:
        yield ok("files", f"Attached files are kept in {folder}.")
    else:
        yield ok("files", f"{folder} is not there yet; the first start makes it.")


def check_secrets(
    files: str | None,
    db: str,
    api_keys: str | None,
    *,
    is_hosted: bool,
    targets: Sequence[CheckedTarget],
) -> Iterator[Finding]:
    """Yields what was found about the secret that signs, and about the keys of hosted ChatKit."""
    yield _signing_secret(files, db, is_hosted=is_hosted, targets=targets)
    if is_hosted:
        try:
            tenants = set(read_keys(api_keys).values())
        except ChatKitError as error:
            yield problem("hosted keys", str(error))
        else:
            yield ok("hosted keys", f"{api_keys} has keys of {', '.join(sorted(tenants))}.")


def _signing_secret(
    files: str | None, db: str, *, is_hosted: bool, targets: Sequence[CheckedTarget]
) -> Finding:
    secret = setting("CHATKIT_SECRET")
    if secret is not None:
        if len(secret) < _SHORTEST_SECRET_CHARACTERS:
            return problem(
                "secret", f"CHATKIT_SECRET is short enough to be guessed. Make one: {_MAKE_SECRET}"
            )
        return ok("secret", "CHATKIT_SECRET signs links to files and client secrets.")
    made = [server for checked in targets if checked.target for server in checked.target.servers]
    if any(signs_alone(server.attachment_store) for server in made):
        return note("secret", f"{SIGNS_ALONE} Make one: {_MAKE_SECRET}")
    if not any(checked.gets_store for checked in targets):
        if made:
            return ok(
                "secret", "CHATKIT_SECRET is not set, and the target's own file store does not ask for it."
            )
        return note(
            "secret",
            "CHATKIT_SECRET is not set: a file store that was not given a secret signs with one of its process alone. "
            f"Set it for several processes, and for links that are good after a restart. Make one: {_MAKE_SECRET}",
        )
    folder = folder_of(files, db)
    if folder is None:
        if is_hosted:
            return problem(
                "secret", f"CHATKIT_SECRET is not set, and hosted ChatKit needs it: {_MAKE_SECRET}"
            )
        return ok("secret", "CHATKIT_SECRET is not set, and nothing here needs it.")
    path = folder / SECRET_NAME
    with suppress(OSError):
        found = path.stat()
        if found.st_size == 0:
            return problem("secret", f"{path} is empty: remove it, and the next start makes a new one.")
        if stat.S_IMODE(found.st_mode) & 0o077:
            return problem("secret", f"{path} can be read by other users of this machine: chmod 600 {path}")
    return ok(
        "secret",
        f"{path} signs links to files for all processes of this machine. Set CHATKIT_SECRET for several machines.",
    )
