"""Files in a folder, served by the application itself through signed links."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Final
from urllib.parse import quote

from chatkit._signed_ids import signing_secret
from chatkit.errors import AlreadyUploadedError, ConfigurationError, NotFoundError, UploadIncompleteError
from chatkit.files import links
from chatkit.files.base import ManagedFileStore
from chatkit.files.limits import check_content
from chatkit.files.media_types import HEAD_BYTES
from chatkit.files.thumbnails import DEFAULT_PREVIEW_SIZE, PREVIEW_TYPE, check_preview_size, make_preview
from chatkit.types import FileMetadata

__all__ = ["LocalFileStore", "ServedFile"]

_UPLOAD: Final = "upload"
_CONTENT: Final = "content"
_PREVIEW: Final = "preview"
_DATA: Final = "data"
_METADATA: Final = "metadata.json"
_SMALL: Final = "preview"
"""Beside the data of a picture that is shown smaller than it is."""


@dataclass(frozen=True, slots=True)
class ServedFile:
    """A file that a link gives access to.

    Attributes:
        path: Where its content is.
        name: File name as the user gave it.
        mime_type: Media type, which its bytes do not contradict.
        expires_at: When the link ends, in seconds since 1970.
    """

    path: Path
    name: str
    mime_type: str
    expires_at: float


class LocalFileStore(ManagedFileStore):
    """Keeps files in a folder of this machine. ``chatkit.web`` serves them, and takes uploads, through signed links.

    A file appears whole or not at all, under a path that is made from a hash of its id. Links are signed with the
    environment's ``CHATKIT_SECRET``. The constructor touches nothing. Several processes may share a folder.

    Args:
        directory: The folder; it is made on first use, readable for its owner only.
        base_url: Where the application serves files, such as ``"https://chat.example.com/chatkit/files"``. By default
            the address by which the present request reached the application, which is right unless a proxy changes
            it; outside a request it is needed.
        secret: Signs links instead of ``CHATKIT_SECRET``; the same in every process.
        upload_expires_in: Seconds for which an upload URL is good.
        view_expires_in: Seconds for which content and preview URLs are good at least, and at most a quarter longer:
            URLs made in the same quarter are equal, so that browsers need not load a picture again.
        orphan_age: Seconds after which a file that no message names is an orphan.
        preview_size: Pixels of the longer side of a picture's preview, made when the picture arrives if Pillow is
            installed (extra ``images``). None shows every picture as it is.
        clock: Returns seconds since 1970.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] = "chatkit-files",
        *,
        base_url: str | None = None,
        secret: str | bytes | None = None,
        upload_expires_in: float = 3600,
        view_expires_in: float = 86400,
        orphan_age: float = 86400,
        preview_size: int | None = DEFAULT_PREVIEW_SIZE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if min(upload_expires_in, view_expires_in, orphan_age) <= 0:
            raise ConfigurationError("LocalFileStore: the times must be positive numbers of seconds.")
        self.directory = Path(directory)
        self._base_url = base_url.rstrip("/") if base_url else None
        self._secret = secret.encode() if isinstance(secret, str) else secret
        self._upload_expires_in = upload_expires_in
        self._view_expires_in = view_expires_in
        self._orphan_age = orphan_age
        self._preview_size = check_preview_size(preview_size)
        self._clock = clock

    # Links.

    async def get_upload_url(self, file_id: str, metadata: FileMetadata) -> str:
        fields = {
            "expires": str(int(self._clock() + self._upload_expires_in)),
            "name": metadata.name,
            "size": str(metadata.size),
            "type": metadata.content_type,
        }
        return self._url(file_id, "", _UPLOAD, fields)

    def upload_headers(self, metadata: FileMetadata) -> dict[str, str]:
        return {"Content-Type": metadata.content_type}

    async def get_content_url(self, file_id: str, name: str = "") -> str:
        return self._view_url(file_id, "", _CONTENT, {"name": name} if name else {})

    async def get_preview_url(self, file_id: str) -> str:
        """Returns a URL under which a browser shows the file if it is a picture, and downloads it otherwise."""
        return self._view_url(file_id, "/preview", _PREVIEW, {})

    def _view_url(self, file_id: str, path: str, purpose: str, fields: Mapping[str, str]) -> str:
        step = self._view_expires_in / 4
        expires = ceil((self._clock() + self._view_expires_in) / step) * step
        return self._url(file_id, path, purpose, {"expires": str(ceil(expires)), **fields})

    def _url(self, file_id: str, path: str, purpose: str, fields: Mapping[str, str]) -> str:
        base = self._base_url or links.served_at()
        if base is None:
            raise ConfigurationError(
                "LocalFileStore does not know its address outside a request: give it base_url=, such as "
                "'https://chat.example.com/chatkit/files'."
            )
        query = links.sign(self._key(), purpose, links.check_file_id(file_id), fields)
        return f"{base}/{quote(file_id, safe='')}{path}?{query}"

    def _key(self) -> bytes:
        # The application may use its secret for other things, whose signatures must not be good here.
        return hmac.digest(self._secret or signing_secret(), b"chatkit file link", hashlib.sha256)

    # What serves the links.

    def open_upload(self, file_id: str, query: Mapping[str, str]) -> FileMetadata:
        """Returns what may be uploaded to a link.

        Args:
            file_id: From the link's path.
            query: The link's query.

        Raises:
            PermissionDeniedError: The link is forged.
            LinkExpiredError: Its time is over.
            AlreadyUploadedError: The file is there already.
        """
        fields = links.verify(self._key(), _UPLOAD, file_id, query, self._clock())
        if self._folder(file_id).exists():
            raise AlreadyUploadedError
        return FileMetadata(content_type=fields["type"], name=fields["name"], size=int(fields["size"]))

    def open_view(self, file_id: str, query: Mapping[str, str], *, preview: bool) -> ServedFile:
        """Returns the file that a link leads to.

        Args:
            file_id: From the link's path.
            query: The link's query.
            preview: Whether it is a link of ``get_preview_url``, not of ``get_content_url``.

        Raises:
            PermissionDeniedError: The link is forged.
            LinkExpiredError: Its time is over.
            NotFoundError: The file is not there, or not any more.
        """
        purpose = _PREVIEW if preview else _CONTENT
        fields = links.verify(self._key(), purpose, file_id, query, self._clock())
        folder = self._folder(file_id)
        try:
            metadata = FileMetadata.model_validate_json((folder / _METADATA).read_bytes())
        except FileNotFoundError:
            raise NotFoundError from None
        expires_at = float(fields["expires"])
        if preview and (folder / _SMALL).exists():
            name = f"{metadata.name.rpartition('.')[0] or metadata.name}.webp"
            return ServedFile(folder / _SMALL, name, PREVIEW_TYPE, expires_at)
        return ServedFile(
            folder / _DATA, fields.get("name") or metadata.name, metadata.content_type, expires_at
        )

    # Files.

    async def upload(self, file_id: str, content: bytes, metadata: FileMetadata) -> str:
        """Stores a file and returns a URL of its content.

        Raises:
            AlreadyUploadedError: There is a file with that id.
        """

        def fill(path: Path) -> None:
            path.write_bytes(content)

        small = await make_preview(content, metadata.content_type, self._preview_size)
        await asyncio.to_thread(self._store, file_id, metadata, fill, small)
        return await self.get_content_url(file_id)

    async def upload_path(self, file_id: str, source: Path, metadata: FileMetadata) -> str:
        """Moves a file in and returns a URL of its content.

        Raises:
            AlreadyUploadedError: There is a file with that id.
        """
        await self._take(file_id, source, metadata)
        return await self.get_content_url(file_id)

    async def receive(self, file_id: str, source: Path, metadata: FileMetadata) -> None:
        """Moves in what was uploaded to a link, if it is what the link is for.

        Args:
            file_id: The file.
            source: What arrived.
            metadata: What ``open_upload`` returned.

        Raises:
            RequestError: It is something else, or there is a file with that id.
        """

        def check() -> None:
            head, size = _look_at(source)
            check_content(metadata.content_type, metadata.size, size, head)

        await asyncio.to_thread(check)
        await self._take(file_id, source, metadata)

    async def copy(self, file_id: str, new_id: str, metadata: FileMetadata) -> None:
        def work() -> None:
            source = self._folder(file_id)
            kept = FileMetadata.model_validate_json((source / _METADATA).read_bytes())
            small = source / _SMALL
            self._store(
                new_id,
                kept,
                lambda path: _link(source / _DATA, path),
                small.read_bytes() if small.exists() else None,
            )

        try:
            await asyncio.to_thread(work)
        except FileNotFoundError:
            raise NotFoundError(f"There is no file {file_id!r}.") from None

    async def read(self, file_id: str) -> bytes:
        try:
            return await asyncio.to_thread((self._folder(file_id) / _DATA).read_bytes)
        except FileNotFoundError:
            raise NotFoundError(f"There is no file {file_id!r}.") from None

    async def delete(self, file_id: str) -> None:
        await asyncio.to_thread(self._delete, file_id)

    async def check_upload(self, file_id: str, mime_type: str) -> None:
        """Returns if the file is there; what it is was checked when it arrived.

        Raises:
            UploadIncompleteError: It is not there, or is an orphan by now.
        """

        def work() -> None:
            if not self._folder(file_id).exists() or self._is_orphan(self._marker(file_id)):
                raise UploadIncompleteError

        await asyncio.to_thread(work)

    async def claim(self, file_id: str) -> None:
        await asyncio.to_thread(self._marker(file_id).unlink, missing_ok=True)

    async def sweep_orphans(self) -> int:
        return await asyncio.to_thread(self._sweep)

    def now(self) -> float:
        """Returns the time that links are checked against, in seconds since 1970."""
        return self._clock()

    def make_incoming(self) -> Path:
        """Returns a new folder for a file that arrives, on the same file system; the caller deletes it."""
        parent = self.directory / "incoming"
        _make_folder(self.directory)
        _make_folder(parent)
        return Path(tempfile.mkdtemp(dir=parent))

    async def _take(self, file_id: str, source: Path, metadata: FileMetadata) -> None:
        small = await make_preview(source, metadata.content_type, self._preview_size)
        await asyncio.to_thread(self._store, file_id, metadata, lambda path: _move(source, path), small)

    def _store(
        self, file_id: str, metadata: FileMetadata, fill: Callable[[Path], None], small: bytes | None
    ) -> None:
        folder = self._folder(file_id)
        if folder.exists():
            raise AlreadyUploadedError
        made = self.make_incoming()
        try:
            fill(made / _DATA)
            (made / _METADATA).write_text(metadata.model_dump_json())
            if small is not None:
                (made / _SMALL).write_bytes(small)
            for file in made.iterdir():
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
        marker = self._marker(file_id)
        _make_folder(marker.parent)
        marker.write_text(json.dumps({"file_id": file_id, "uploaded_at": self._clock()}))

    def _delete(self, file_id: str) -> None:
        folder = self._folder(file_id)
        if folder.exists():
            doomed = self.make_incoming()
            # Gone at once, whatever becomes of the rest.
            with suppress(FileNotFoundError):
                folder.rename(doomed / "deleted")
            shutil.rmtree(doomed, ignore_errors=True)
        self._marker(file_id).unlink(missing_ok=True)

    def _sweep(self) -> int:
        count = 0
        with suppress(FileNotFoundError):
            for marker in sorted((self.directory / "pending").iterdir()):
                # A little later than messages are refused: between the two a claim may be under way.
                if self._is_orphan(marker, grace=60):
                    with suppress(FileNotFoundError, ValueError):
                        file_id: str = json.loads(marker.read_text())["file_id"]
                        self._delete(file_id)
                        count += 1
        with suppress(FileNotFoundError):
            for left in (self.directory / "incoming").iterdir():
                # What a process left that was killed while a file arrived.
                with suppress(FileNotFoundError):
                    if time.time() - left.stat().st_mtime > max(self._orphan_age, self._upload_expires_in):
                        shutil.rmtree(left, ignore_errors=True)
        return count

    def _is_orphan(self, marker: Path, grace: float = 0) -> bool:
        try:
            uploaded_at = float(json.loads(marker.read_text())["uploaded_at"])
        except (FileNotFoundError, ValueError):
            # Claimed; or being written just now.
            return False
        return self._clock() - uploaded_at > self._orphan_age + grace

    def _folder(self, file_id: str) -> Path:
        name = _name(file_id)
        return self.directory / "files" / name[:2] / name

    def _marker(self, file_id: str) -> Path:
        return self.directory / "pending" / _name(file_id)


def _name(file_id: str) -> str:
    return hashlib.sha256(links.check_file_id(file_id).encode()).hexdigest()


def _make_folder(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def _move(source: Path, path: Path) -> None:
    try:
        source.rename(path)
    except OSError:
        # Another file system.
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


def _look_at(path: Path) -> tuple[bytes, int]:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES), os.fstat(file.fileno()).st_size


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
