"""Files in a folder of this machine, and the notes on those that no message has come for.

A file is a folder of its own under ``files``, which appears and goes whole: its bytes, its metadata, and the preview of
a picture. What arrives is in ``incoming`` until then. A note on each file that is not claimed, or was deleted, is in
``pending``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from chatkit.errors import AlreadyUploadedError
from chatkit.files.links import check_file_id
from chatkit.files.media_types import HEAD_BYTES
from chatkit.types import FileMetadata

__all__ = ["DATA", "INCOMING", "PREVIEW", "FileFolder", "look_at", "move", "read_metadata"]

DATA: Final = "data"
PREVIEW: Final = "preview"
"""Beside the data of a picture that is shown smaller than it is."""
INCOMING: Final = "incoming"
_METADATA: Final = "metadata.json"


class FileFolder:
    """The files in a folder. Its methods block; several processes may use one folder.

    Args:
        directory: The folder; it is made on first use, readable for its owner only.
        clock: Returns seconds since 1970.
    """

    def __init__(self, directory: Path, clock: Callable[[], float]) -> None:
        self._directory = directory
        self._clock = clock

    def path(self, file_id: str) -> Path:
        """Returns the folder of a file, which need not exist; its name is made from a hash of the id."""
        name = _name(file_id)
        return self._directory / "files" / name[:2] / name

    def make_incoming(self) -> Path:
        """Returns a new folder for a file that arrives, on the same file system; the caller deletes it."""
        parent = self._directory / INCOMING
        _make_folder(self._directory)
        _make_folder(parent)
        return Path(tempfile.mkdtemp(dir=parent))

    def add(
        self,
        file_id: str,
        metadata: FileMetadata,
        fill: Callable[[Path], None],
        preview: bytes | None = None,
    ) -> None:
        """Adds a file, with the note that no message has come for it.

        Args:
            file_id: Its id.
            metadata: What is kept beside it.
            fill: Makes the file at a path.
            preview: The preview of a picture, where there is one already.

        Raises:
            AlreadyUploadedError: There is a file with that id.
        """
        folder = self.path(file_id)
        if folder.exists():
            raise AlreadyUploadedError
        made = self.make_incoming()
        try:
            fill(made / DATA)
            (made / _METADATA).write_text(metadata.model_dump_json())
            if preview is not None:
                (made / PREVIEW).write_bytes(preview)
            for file in made.iterdir():
                with suppress(PermissionError):  # A file that was handed over may be another user's.
                    file.chmod(0o600)
                _sync(file)
            _make_folder(folder.parent.parent)
            _make_folder(folder.parent)
            try:
                # A folder cannot be renamed over one that is not empty: who comes second is refused.
                made.rename(folder)
            except OSError:
                if folder.exists():
                    raise AlreadyUploadedError from None
                raise
            _sync(folder.parent)
        finally:
            shutil.rmtree(made, ignore_errors=True)
        self.mark(file_id)

    def add_preview(self, file_id: str, preview: bytes) -> None:
        """Adds the preview of a picture, unless the picture is gone."""
        made = self.make_incoming()
        try:
            (made / PREVIEW).write_bytes(preview)
            # Where the file was deleted meanwhile, so was its folder.
            with suppress(FileNotFoundError):
                (made / PREVIEW).rename(self.path(file_id) / PREVIEW)
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def copy(self, file_id: str, new_id: str) -> None:
        """Adds a file with the bytes, the metadata and the preview of another one.

        Raises:
            FileNotFoundError: There is no such file.
            AlreadyUploadedError: There is a file with the new id.
        """
        source = self.path(file_id)
        preview = source / PREVIEW
        self.add(
            new_id,
            read_metadata(source),
            lambda path: _link(source / DATA, path),
            preview.read_bytes() if preview.exists() else None,
        )

    def delete(self, file_id: str) -> None:
        """Deletes a file and its preview, and notes it."""
        # Before the file: its upload link may be good for a while, and is not to bring it back.
        self.mark(file_id, deleted=True)
        self._erase(file_id)

    def _erase(self, file_id: str) -> bool:
        """Deletes a file and its preview; returns whether there was one."""
        folder = self.path(file_id)
        existed = folder.exists()
        if existed:
            doomed = self.make_incoming()
            # Gone at once, whatever becomes of the rest.
            with suppress(FileNotFoundError):
                folder.rename(doomed / "deleted")
            shutil.rmtree(doomed, ignore_errors=True)
        return existed

    # Notes.

    def mark(self, file_id: str, **fields: object) -> None:
        """Notes that no message has come for a file, with fields of the caller's own."""
        marker = self._marker(file_id)
        _make_folder(marker.parent)
        marker.write_text(json.dumps({"file_id": file_id, "uploaded_at": self._clock(), **fields}))

    def unmark(self, file_id: str) -> None:
        """Takes the note back, if there is one."""
        self._marker(file_id).unlink(missing_ok=True)

    def note(self, file_id: str) -> dict[str, Any]:
        """Returns the note on a file; empty where there is none, or one that is being written."""
        return _read_note(self._marker(file_id))

    def _marker(self, file_id: str) -> Path:
        return self._directory / "pending" / _name(file_id)

    # What is left over.

    def sweep(self, is_orphan: Callable[[Mapping[str, Any]], bool]) -> int:
        """Deletes files that were not claimed, and returns how many there were.

        Args:
            is_orphan: Decides it by the note on a file.
        """
        count = 0
        with suppress(FileNotFoundError):
            for marker in sorted((self._directory / "pending").iterdir()):
                if is_orphan(_read_note(marker)):
                    with suppress(FileNotFoundError, KeyError):
                        # Read again: it may have been claimed since.
                        count += self._erase(_read_note(marker)["file_id"])
                        marker.unlink()
        return count

    def sweep_incoming(self, age: float) -> None:
        """Deletes what a process left that was killed while a file arrived, ``age`` seconds after that."""
        with suppress(FileNotFoundError):
            for left in (self._directory / INCOMING).iterdir():
                with suppress(FileNotFoundError):
                    if time.time() - left.stat().st_mtime > age:
                        shutil.rmtree(left, ignore_errors=True)


def read_metadata(folder: Path) -> FileMetadata:
    """Returns what is kept beside a file.

    Raises:
        FileNotFoundError: There is no such file.
    """
    return FileMetadata.model_validate_json((folder / _METADATA).read_bytes())


def look_at(path: Path) -> tuple[bytes, int]:
    """Returns the first bytes of a file, which say what it is, and its size."""
    with path.open("rb") as file:
        return file.read(HEAD_BYTES), os.fstat(file.fileno()).st_size


def move(source: Path, path: Path) -> None:
    """Moves a file, from another file system if need be."""
    try:
        source.rename(path)
    except OSError:
        shutil.copyfile(source, path)


def _link(source: Path, path: Path) -> None:
    try:
        # Files never change, so two may share their bytes.
        path.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:
        # Not on every file system.
        shutil.copyfile(source, path)


def _read_note(marker: Path) -> dict[str, Any]:
    try:
        return json.loads(marker.read_text())
    except (FileNotFoundError, ValueError):
        return {}


def _name(file_id: str) -> str:
    return hashlib.sha256(check_file_id(file_id).encode()).hexdigest()


def _make_folder(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def _sync(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        # Folders cannot be opened on every system.
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
