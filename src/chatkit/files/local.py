"""A file store in a folder, served by the application through signed links."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from chatkit._checks import check_address_is_none, checked
from chatkit._secrets import accepted_secrets, configured_secrets
from chatkit.errors import (
    AlreadyUploadedError,
    ConfigurationError,
    LinkExpiredError,
    NotFoundError,
    PermissionDeniedError,
    UploadIncompleteError,
)
from chatkit.files import links
from chatkit.files.base import ManagedFileStore
from chatkit.files.folder import DATA, PREVIEW, FileFolder, look_at, move, read_metadata
from chatkit.files.limits import check_content
from chatkit.files.scanning import SCAN_SECONDS, FileScanner, check_scan_seconds, scan
from chatkit.files.thumbnails import (
    DEFAULT_PREVIEW_SIZE,
    PREVIEW_TYPE,
    check_preview_size,
    has_previews,
    preview_owner,
    request_preview,
    wait_briefly,
)
from chatkit.types import FileMetadata

__all__ = ["LocalFileStore", "ServedFile"]

_UPLOAD: Final = "upload"
_CONTENT: Final = "content"
_PREVIEW: Final = "preview"
_PREVIEWS_TAKE: Final = 600.0
"""Seconds after a picture's arrival in which its preview may still be made."""
_SOON: Final = 30.0
_CHUNK_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServedFile:
    """A file that a link gives access to.

    Attributes:
        path: Where its content is.
        name: File name as the user gave it.
        mime_type: Media type, which its bytes do not contradict.
        expires_at: Until when it may be cached, in seconds since 1970: the end of the link, or earlier where the
            preview of a picture is still to come.
    """

    path: Path
    name: str
    mime_type: str
    expires_at: float


class LocalFileStore(ManagedFileStore):
    """Keeps files in a folder of this machine. ``chatkit.web`` serves them, and takes uploads, through signed links.

    A file appears whole or not at all, under a path that is made from a hash of its id. Links are signed with the
    environment's ``CHATKIT_SECRET``; those of a secret in ``CHATKIT_OLD_SECRETS`` are good too. The constructor
    touches nothing. Several processes may share a folder.

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
        scanner: Scans each file before it appears in the folder: one that is refused is not kept.
        scan_seconds: How long a scan may take; the file is refused then.
        clock: Returns seconds since 1970.
    """

    @checked
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
        scanner: FileScanner | None = None,
        scan_seconds: float = SCAN_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_address_is_none(
            "LocalFileStore(directory=...)",
            directory,
            "For a bucket use S3FileStore(bucket, region, endpoint=...).",
        )
        if min(upload_expires_in, view_expires_in, orphan_age) <= 0:
            raise ConfigurationError("LocalFileStore: the times must be positive numbers of seconds.")
        self.directory = Path(directory)
        self._files = FileFolder(self.directory, clock)
        self._base_url = base_url.rstrip("/") if base_url else None
        self._secret = secret.encode() if isinstance(secret, str) else secret
        self._upload_expires_in = upload_expires_in
        self._view_expires_in = view_expires_in
        self.orphan_age = orphan_age
        self._preview_size = check_preview_size(preview_size)
        self._scanner = scanner
        self._scan_seconds = check_scan_seconds("LocalFileStore", scan_seconds)
        self._clock = clock

    # Links.

    async def get_upload_url(self, file_id: str, metadata: FileMetadata) -> str:
        fields = {
            "expires": str(int(self._clock() + self._upload_expires_in)),
            "name": metadata.name,
            "size": str(metadata.size),
            "type": metadata.content_type,
        }
        if owner := preview_owner():
            fields["for"] = owner
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
        query = links.sign(self._keys()[0], purpose, links.check_file_id(file_id), fields)
        return f"{base}/{quote(file_id, safe='')}{path}?{query}"

    @property
    def has_secret(self) -> bool:
        """Whether links are signed with a configured secret, which other processes have too, not a random one."""
        return bool(self._secret) or configured_secrets()[0] is not None

    def _keys(self) -> list[bytes]:
        """Returns the key that signs links, then those of secrets that it has replaced."""
        accepted = (self._secret,) if self._secret else accepted_secrets()
        # The application may use its secret for other things, whose signatures must not be good here.
        return [hmac.digest(secret, b"chatkit file link", hashlib.sha256) for secret in accepted]

    def _verified(self, purpose: str, file_id: str, query: Mapping[str, str]) -> dict[str, str]:
        *others, last = self._keys()
        for key in others:
            with suppress(PermissionDeniedError):
                return links.verify(key, purpose, file_id, query, self._clock())
        return links.verify(last, purpose, file_id, query, self._clock())

    # What serves the links.

    def open_upload(self, file_id: str, query: Mapping[str, str]) -> FileMetadata:
        """Returns what may be uploaded to a link.

        Args:
            file_id: From the link's path.
            query: The link's query.

        Raises:
            PermissionDeniedError: The link is forged.
            LinkExpiredError: Its time is over, or the file was deleted.
            AlreadyUploadedError: The file is there already.
        """
        fields = self._verified(_UPLOAD, file_id, query)
        if self._files.path(file_id).exists():
            raise AlreadyUploadedError
        if self._files.note(file_id).get("deleted"):
            raise LinkExpiredError
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
        fields = self._verified(purpose, file_id, query)
        folder = self._files.path(file_id)
        try:
            metadata = read_metadata(folder)
        except FileNotFoundError:
            raise NotFoundError from None
        expires_at = float(fields["expires"])
        if preview and not (folder / PREVIEW).exists() and self._may_get_preview(folder, metadata):
            expires_at = min(expires_at, self._clock() + _SOON)
        if preview and (folder / PREVIEW).exists():
            name = f"{metadata.name.rpartition('.')[0] or metadata.name}.webp"
            return ServedFile(folder / PREVIEW, name, PREVIEW_TYPE, expires_at)
        return ServedFile(
            folder / DATA, fields.get("name") or metadata.name, metadata.content_type, expires_at
        )

    def _may_get_preview(self, folder: Path, metadata: FileMetadata) -> bool:
        if self._preview_size is None or not has_previews(metadata.content_type):
            return False
        return time.time() - (folder / DATA).stat().st_mtime < _PREVIEWS_TAKE

    # Files.

    async def upload(self, file_id: str, content: bytes, metadata: FileMetadata) -> str:
        def fill(path: Path) -> None:
            path.write_bytes(content)

        await self._keep(file_id, metadata, fill)
        return await self.get_content_url(file_id)

    async def upload_path(self, file_id: str, source: Path, metadata: FileMetadata) -> str:
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
            head, size = look_at(source)
            check_content(metadata.content_type, metadata.size, size, head)

        await asyncio.to_thread(check)
        await self._take(file_id, source, metadata)

    async def copy(self, file_id: str, new_id: str, metadata: FileMetadata) -> None:
        try:
            await asyncio.to_thread(self._files.copy, file_id, new_id)
        except FileNotFoundError:
            raise NotFoundError(f"There is no file {file_id!r}.") from None

    async def read(self, file_id: str) -> bytes:
        try:
            return await asyncio.to_thread((self._files.path(file_id) / DATA).read_bytes)
        except FileNotFoundError:
            raise NotFoundError(f"There is no file {file_id!r}.") from None

    async def chunks(self, file_id: str) -> AsyncIterator[bytes]:
        try:
            file = await asyncio.to_thread((self._files.path(file_id) / DATA).open, "rb")
        except FileNotFoundError:
            raise NotFoundError(f"There is no file {file_id!r}.") from None
        with file:
            while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
                yield chunk

    async def preview(self, file_id: str) -> bytes | None:
        try:
            return await asyncio.to_thread((self._files.path(file_id) / PREVIEW).read_bytes)
        except FileNotFoundError:
            return None

    async def put_back(
        self, file_id: str, source: Path, metadata: FileMetadata, preview: bytes | None = None
    ) -> None:
        # No link is asked for: the address of the application is that of a request.
        await self._add(file_id, metadata, lambda path: move(source, path), preview)

    async def delete(self, file_id: str) -> None:
        await asyncio.to_thread(self._files.delete, file_id)

    async def check_upload(self, file_id: str, mime_type: str) -> None:
        # What the file is was checked when it arrived.

        def work() -> None:
            if not self._files.path(file_id).exists() or self._is_orphan(self._files.note(file_id)):
                raise UploadIncompleteError

        await asyncio.to_thread(work)

    async def claim(self, file_id: str) -> None:
        await asyncio.to_thread(self._files.unmark, file_id)

    async def release(self, file_id: str) -> None:
        def work() -> None:
            if self._files.path(file_id).exists():
                self._files.mark(file_id)

        await asyncio.to_thread(work)

    async def sweep_orphans(self) -> int:
        def work() -> int:
            # A little later than messages are refused: between the two a claim may be under way.
            count = self._files.sweep(lambda note: self._is_orphan(note, grace=60))
            self._files.sweep_incoming(self._longest)
            return count

        return await asyncio.to_thread(work)

    def _is_orphan(self, note: Mapping[str, Any], grace: float = 0) -> bool:
        if "uploaded_at" not in note:
            # Claimed; or being written just now.
            return False
        # The note on a deleted file outlives its upload link.
        patience = self._longest if note.get("deleted") else self.orphan_age
        return self._clock() - note["uploaded_at"] > patience + grace

    @property
    def _longest(self) -> float:
        return max(self.orphan_age, self._upload_expires_in)

    def now(self) -> float:
        """Returns the time that links are checked against, in seconds since 1970."""
        return self._clock()

    def make_incoming(self) -> Path:
        """Returns a new folder for a file that arrives, on the same file system; the caller deletes it."""
        return self._files.make_incoming()

    async def _take(self, file_id: str, source: Path, metadata: FileMetadata) -> None:
        await self._keep(file_id, metadata, lambda path: move(source, path))

    async def _keep(self, file_id: str, metadata: FileMetadata, fill: Callable[[Path], None]) -> None:
        """Stores a file, and has its preview made."""
        await self._add(file_id, metadata, fill)
        preview = request_preview(
            self._files.path(file_id) / DATA,
            metadata.content_type,
            self._preview_size,
            partial(self._files.add_preview, file_id),
        )
        await wait_briefly(preview)

    async def _add(
        self,
        file_id: str,
        metadata: FileMetadata,
        fill: Callable[[Path], None],
        preview: bytes | None = None,
    ) -> None:
        """Brings a file into its place, once it was scanned."""
        if self._scanner is None:
            await asyncio.to_thread(self._files.add, file_id, metadata, fill, preview)
            return
        if self._files.path(file_id).exists():
            raise AlreadyUploadedError
        folder = await asyncio.to_thread(self.make_incoming)
        try:
            path = folder / DATA
            await asyncio.to_thread(fill, path)
            await scan(self._scanner, path, metadata, self._scan_seconds)
            await asyncio.to_thread(
                self._files.add, file_id, metadata, lambda kept: move(path, kept), preview
            )
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))
