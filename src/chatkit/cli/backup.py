"""``chatkit backup`` and ``chatkit restore``: copies of an SQLite database and its folder of files, as it is in use."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from chatkit import __version__
from chatkit.cli.database import check_folder, check_name, is_postgres
from chatkit.cli.files import folder_of
from chatkit.cli.migrate import version_of
from chatkit.cli.options import CommandError
from chatkit.files.folder import DATA, INCOMING
from chatkit.ids import utc_now

__all__ = ["backup", "restore"]

_DATABASE: Final = "chat.db"
_FILES: Final = "files"
_ABOUT: Final = "backup.json"


def backup(db: str, files: str | None, target: str) -> int:
    """Copies a database, then its files, into a new folder, says so, and returns the exit code.

    The copy of the database is a snapshot: writes during the backup are not in it. The folder gets its name when it is
    complete.

    Raises:
        CommandError: There is nothing to copy, the folder exists, or it cannot be written.
    """
    source, folder = Path(_sqlite(db, "backed up")), folder_of(files, db)
    if not source.is_file():
        raise CommandError(f"There is no database {source}.")
    with _appearing(Path(target)) as made:
        _copy_database(source, made / _DATABASE)
        # After the database: a file that it names was there before it.
        count = 0 if folder is None or not folder.is_dir() else _copy_files(folder, made / _FILES)
        about = {
            "chatkit": __version__,
            "schema": version_of(made / _DATABASE),
            "made_at": utc_now().isoformat(),
            "files": count,
        }
        (made / _ABOUT).write_text(json.dumps(about, indent=2) + "\n", "utf-8")
    print(f"{target}: schema version {about['schema']}, {count} files of attachments.")
    if files is not None and files.startswith("s3://"):
        print("The bucket is not copied: keep versions of it, or a replica.")
    return 0


def restore(source: str, db: str, files: str | None) -> int:
    """Puts what ``backup`` copied in the place of a database and files that do not exist, and returns the exit code.

    Raises:
        CommandError: It is no backup, is damaged, or something is in its place.
    """
    path, folder = Path(_sqlite(db, "restored")), folder_of(files, db)
    about = _about(Path(source))
    kept = Path(source) / _FILES
    check_folder(path, "the database", create=False)
    for place in (path, Path(f"{path}-wal"), *([folder] if folder is not None and kept.is_dir() else [])):
        if place.exists() and not (place.is_dir() and not any(place.iterdir())):
            raise CommandError(f"{place} exists. Move it away, or name another place with --db and --files.")
    # The database gets its name last: a server that finds it also finds the files that it names.
    partial = path.with_name(f"{path.name}.partial")
    _copy_database(Path(source) / _DATABASE, partial)
    count = 0
    if folder is not None and kept.is_dir():
        if folder.is_dir():
            folder.rmdir()
        with _appearing(folder) as made:
            count = _copy_files(kept, made)
    partial.rename(path)
    print(
        f"{path}: restored from {about['made_at']}, schema version {about['schema']}, {count} files of attachments."
    )
    return 0


def _sqlite(db: str, done: str) -> str:
    check_name(db)
    if is_postgres(db):
        raise CommandError(
            f"A PostgreSQL database is {done} by its own tools, pg_dump and pg_restore, or from an archive of its WAL: "
            "see 'Backups' in docs/deployment.md."
        )
    return db


def _about(folder: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads((folder / _ABOUT).read_text("utf-8"))
    except (OSError, ValueError):
        raise CommandError(
            f"{folder} is no backup: it has no {_ABOUT}, which 'chatkit backup' writes last."
        ) from None
    return about


@contextmanager
def _appearing(folder: Path) -> Generator[Path]:
    """Makes a folder that appears under its name when the block has ended without an error."""
    if folder.exists():
        raise CommandError(f"{folder} exists. Name a folder that does not.")
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(mode=0o700, parents=True)
        yield partial
        partial.rename(folder)
    except OSError as error:
        raise CommandError(f"{folder} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _copy_database(source: Path, target: Path) -> None:
    """Copies a database as it is at one moment; writers are not held up.

    Raises:
        CommandError: The source is damaged, or the copy cannot be made.
    """
    found = _copied(source, target)
    if found != "ok":
        target.unlink()
        raise CommandError(f"{source} cannot be copied, or is damaged: {found}.")
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _copied(source: Path, target: Path) -> str:
    """Copies a database; returns what is wrong with the copy, "ok" if nothing is."""
    target.unlink(missing_ok=True)
    target.touch(mode=0o600)
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True)) as original,
            closing(sqlite3.connect(target)) as copy,
        ):
            # In one step: what another process writes between two would begin it again.
            original.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            return str(copy.execute("PRAGMA integrity_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        return str(error)


def _copy_files(source: Path, target: Path) -> int:
    """Copies a folder of files, but for those that are deleted meanwhile; returns how many attachments it has."""
    target.mkdir(mode=0o700, exist_ok=True)
    count = 0
    for folder, folders, names in os.walk(source):
        if INCOMING in folders and Path(folder) == source:
            # Not taken so far.
            folders.remove(INCOMING)
        place = target / Path(folder).relative_to(source)
        place.mkdir(mode=0o700, exist_ok=True)
        for name in names:
            try:
                shutil.copy2(Path(folder) / name, place / name)
            except FileNotFoundError:
                continue
            count += name == DATA
    return count
