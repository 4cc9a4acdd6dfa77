"""Where ``chatkit serve`` keeps the files that users attach, and the secret that their links are signed with."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from chatkit.cli.bucket import as_bucket, is_bucket, open_bucket, origin_of
from chatkit.cli.database import is_postgres
from chatkit.cli.options import DEFAULT_DB, CommandError, setting
from chatkit.files import LocalFileStore, ManagedFileStore

__all__ = ["OFF", "describe_files", "open_files"]

OFF: Final = "off"
"""Instead of a folder: no files are taken."""

_SECRET: Final = "secret"  # noqa: S105 -- the name of a file


def open_files(folder: str | None, db: str) -> ManagedFileStore | None:
    """Returns the file store, None if files are switched off.

    Args:
        folder: Where files are kept, ``s3://bucket``, or ``"off"``; by default beside the database,
            ``chatkit-files`` for ``chatkit.db``, or in the working folder where the database is a server.
        db: Path of the database, or a connection string.

    Raises:
        CommandError: Files cannot be kept there.
        MissingExtraError: Files in a bucket need a driver that is not installed.
    """
    if folder == OFF:
        return None
    if folder and is_bucket(folder):
        return open_bucket(folder)
    beside = Path(DEFAULT_DB if is_postgres(db) else db)
    path = Path(folder) if folder else beside.with_name(f"{beside.stem}-files")
    try:
        secret = None if setting("CHATKIT_SECRET") else _kept_secret(path)
    except OSError as error:
        raise CommandError(
            f"Files cannot be kept in {path.resolve()}: {error.strerror or error}. "
            "Choose another folder with --files, or take none with --files off."
        ) from error
    return LocalFileStore(path, secret=secret)


def describe_files(files: object) -> str | None:
    """Returns where a file store keeps its files, as messages may show it; None if it is not one of this package."""
    if isinstance(files, LocalFileStore):
        return str(files.directory.resolve())
    bucket = as_bucket(files)
    return None if bucket is None else f"the bucket {bucket.bucket} at {origin_of(bucket)}"


def _kept_secret(folder: Path) -> bytes:
    """Returns the folder's secret, the same for every process and after a restart; made if there is none."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / _SECRET
    with suppress(FileNotFoundError):
        if kept := path.read_bytes():
            return kept
    # Written whole and then given its name, which only one of several processes can do.
    made = folder / f"{_SECRET}.{secrets.token_hex(8)}"
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_urlsafe(48).encode())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(made, path)
    finally:
        made.unlink()
    return path.read_bytes()
