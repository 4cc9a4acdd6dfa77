"""Where ``chatkit serve`` keeps files: a folder with the secret that signs their links, or a bucket."""

from __future__ import annotations

import os
import re
import secrets
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

from chatkit.cli.database import check_folder, is_postgres
from chatkit.cli.options import DEFAULT_DB, CommandError, setting
from chatkit.files import LocalFileStore, ManagedFileStore

if TYPE_CHECKING:
    from chatkit.files import S3FileStore

__all__ = [
    "SECRET_NAME",
    "SIGNS_ALONE",
    "as_bucket",
    "check_bucket",
    "describe_files",
    "folder_of",
    "keep_secret",
    "open_files",
    "origin_of",
    "signs_alone",
]

_PATIENCE_SECONDS: Final = 10.0
"""Seconds that the bucket may take to answer at the start."""
_ERROR_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
SECRET_NAME: Final = "secret"  # noqa: S105 -- the name of a file
"""Of the file, in the folder of the files, with the secret that signs their links."""
SIGNS_ALONE: Final = (
    "CHATKIT_SECRET is not set, and the target's file store has no secret of its own: links to files are good in this "
    "process alone, not after a restart. Set it to the same long random text for every start and process."
)


def open_files(folder: str | None, db: str, *, create: bool = False) -> ManagedFileStore | None:
    """Returns the file store, None if files are switched off.

    Args:
        folder: Where files are kept, ``s3://bucket``, or ``"off"``; by default beside the database,
            ``chatkit-files`` for ``chatkit.db``, or in the working folder where the database is a server.
        db: Path of the database, or a connection string.
        create: Whether folders above it may be made, too.
    """
    if folder and folder.startswith("s3://"):
        return _open_bucket(folder)
    path = folder_of(folder, db)
    if path is None:
        return None
    check_folder(path, "the files", create=create)
    return LocalFileStore(path, secret=None if setting("CHATKIT_SECRET") else _secret_in(path))


def keep_secret(folder: str | None, db: str, *, create: bool = False) -> None:
    """Sets ``CHATKIT_SECRET``, if it is not set, to the secret in the folder of the files; child processes get it too.

    Args:
        folder: As for ``open_files``.
        db: As for ``open_files``.
        create: As for ``open_files``.
    """
    if setting("CHATKIT_SECRET"):
        return
    path = folder_of(folder, db)
    if path is None:
        raise CommandError(
            "Set CHATKIT_SECRET to a long random text: client secrets are signed with it, and there is no folder of "
            "files to keep one in."
        )
    check_folder(path, "the files", create=create)
    os.environ["CHATKIT_SECRET"] = _secret_in(path).decode()


def folder_of(folder: str | None, db: str) -> Path | None:
    """Returns the folder of the files: the one that is named, or the one beside the database.

    None if they are switched off, or in a bucket.
    """
    if folder is not None and (folder == "off" or folder.startswith("s3://")):
        return None
    beside = Path(DEFAULT_DB if is_postgres(db) else db)
    return Path(folder) if folder else beside.with_name(f"{beside.stem}-files")


def _secret_in(path: Path) -> bytes:
    try:
        return _kept_secret(path)
    except OSError as error:
        raise CommandError(
            f"Files cannot be kept in {path.resolve()}: {error.strerror or error}. "
            "Choose another folder with --files, or take none with --files off."
        ) from error


def describe_files(files: object) -> str | None:
    """Returns where a file store keeps its files, as messages may show it; None if it is not one of this package."""
    if isinstance(files, LocalFileStore):
        return str(files.directory.resolve())
    bucket = as_bucket(files)
    return None if bucket is None else f"the bucket {bucket.bucket} at {origin_of(bucket)}"


def signs_alone(files: object) -> bool:
    """Returns whether a file store signs links with a secret that no other process has, and no later one."""
    return isinstance(files, LocalFileStore) and not files.has_secret


def _kept_secret(folder: Path) -> bytes:
    """Returns the folder's secret, the same for every process and after a restart; made if there is none."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / SECRET_NAME
    with suppress(FileNotFoundError):
        if kept := path.read_bytes():
            return kept
    # Written whole and then given its name, which only one of several processes can do.
    made = folder / f"{SECRET_NAME}.{secrets.token_hex(8)}"
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


def _open_bucket(url: str) -> S3FileStore:
    """Returns the file store of ``s3://bucket/prefix?region=...&endpoint=...``, which has touched nothing yet."""
    try:
        parts = urlsplit(url)
        given = dict(parse_qsl(parts.query, strict_parsing=True) if parts.query else [])
    except ValueError:
        raise _unreadable(url) from None
    region = given.pop("region", None) or setting("AWS_REGION") or setting("AWS_DEFAULT_REGION")
    endpoint = given.pop("endpoint", None)
    prefix = parts.path.strip("/")
    if given or not parts.netloc or "@" in parts.netloc:
        raise _unreadable(url)
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise CommandError(f"The endpoint of a bucket is http://... or https://..., not {endpoint!r}.")
    if not (setting("AWS_ACCESS_KEY_ID") and setting("AWS_SECRET_ACCESS_KEY")):
        raise CommandError(
            "Files in S3 need credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN)."
        )
    from chatkit.files import S3FileStore

    options: dict[str, Any] = {"endpoint": endpoint}
    if region:
        options["region"] = region
    if prefix:
        options["prefix"] = f"{prefix}/"
    return S3FileStore(parts.netloc, **options)


def as_bucket(files: object) -> S3FileStore | None:
    """Returns a file store if it is one in a bucket."""
    # Without its driver there is none; loading it to ask would be a waste.
    if "chatkit.files.s3" not in sys.modules:
        return None
    from chatkit.files import S3FileStore

    return files if isinstance(files, S3FileStore) else None


def origin_of(bucket: S3FileStore) -> str:
    """Returns the origin that pages send files to."""
    parts = urlsplit(bucket.url)
    return f"{parts.scheme}://{parts.netloc}"


def check_bucket(bucket: S3FileStore) -> None:
    """Asks a bucket for something now, so that one that cannot be used is a plain message."""
    from chatkit.files.sigv4 import Credentials, presign

    token = setting("AWS_SESSION_TOKEN")
    credentials = Credentials(
        setting("AWS_ACCESS_KEY_ID") or "", setting("AWS_SECRET_ACCESS_KEY") or "", token
    )
    # Not through the driver, which tries for minutes.
    url = presign(
        "GET",
        f"{bucket.url}/",
        credentials,
        region=bucket.region,
        now=time.time(),
        expires_in=60,
        query={"list-type": "2", "max-keys": "1"},
    )
    place = f"The bucket {bucket.bucket} at {origin_of(bucket)}"
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE_SECONDS):  # noqa: S310 -- http or https
            return
    except urllib.error.HTTPError as error:
        with error:
            found = _ERROR_CODE.search(error.read(4096).decode("utf-8", "replace"))
        reason = found[1] if found else f"status {error.code}"
        if reason == "AccessDenied":
            # Who may not list may still put and get.
            return
        raise CommandError(
            f"{place} cannot be used: {reason}. Correct its name, region, endpoint or credentials."
        ) from error
    except OSError as error:
        raise CommandError(
            f"{place} cannot be reached: check the endpoint ({getattr(error, 'reason', error)})."
        ) from error


def _unreadable(url: str) -> CommandError:
    # Not the whole text: it may hold credentials.
    shown = "" if "@" in url else f", not {url!r}"
    return CommandError(
        f"A bucket is written s3://bucket/prefix?region=...&endpoint=...{shown}. Credentials come from "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
    )
