"""A file store in a bucket of S3 or a compatible service; clients talk to the bucket directly."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from chatkit._checks import checked
from chatkit._outages import log_failure
from chatkit.errors import (
    AlreadyUploadedError,
    ConfigurationError,
    NotFoundError,
    RequestError,
    StoreUnavailableError,
    UploadIncompleteError,
)
from chatkit.files.base import ManagedFileStore
from chatkit.files.bucket import Bucket, S3Credentials
from chatkit.files.folder import look_at
from chatkit.files.limits import check_content
from chatkit.files.links import check_file_id, content_disposition
from chatkit.files.media_types import is_shown_inline
from chatkit.files.scanning import (
    SCAN_SECONDS,
    FileScanner,
    check_scan_seconds,
    scan,
    scan_content,
    temporary_file,
)
from chatkit.files.sigv4 import presign
from chatkit.files.thumbnails import (
    DEFAULT_PREVIEW_SIZE,
    MAX_SOURCE_BYTES,
    PREVIEW_TYPE,
    check_preview_size,
    has_previews,
    request_preview,
    wait_briefly,
)
from chatkit.types import FileMetadata

__all__ = ["S3Credentials", "S3FileStore"]

logger = logging.getLogger("chatkit.files")

_LONGEST: Final = 604800
"""Seconds for which S3 takes a presigned URL at most."""

_REMEMBERED: Final = 4096


class S3FileStore(ManagedFileStore):
    """Keeps files in a bucket. Clients upload and download by presigned URLs, past this process.

    A presigned PUT takes exactly the announced size and type: both are signed. The bytes are looked at when a message
    names the file; what is not of its type is deleted then. Files that browsers must not show in place are stored
    with ``Content-Disposition: attachment``. The constructor touches nothing.

    With Pillow (extra ``images``) a picture gets a small preview, an object of its own, when a message names it or when
    it is posted to the application; until then, and where there is none, its preview URL leads to the picture itself.

    The bucket stays private; browsers need its CORS rules to allow PUT with the headers ``content-type`` and
    ``content-disposition`` from the page's origin.

    Every method raises :class:`chatkit.errors.StoreUnavailableError` when the bucket cannot be used.

    Args:
        bucket: Its name.
        region: Its region.
        endpoint: Where a service other than Amazon's is, such as ``"https://minio.example.com:9000"``; clients must
            reach it under this address too. Buckets are in its paths.
        access_key_id: Who signs; by default ``AWS_ACCESS_KEY_ID`` of the environment.
        secret_access_key: By default ``AWS_SECRET_ACCESS_KEY``.
        session_token: By default ``AWS_SESSION_TOKEN``.
        credentials: Returns credentials that change, such as those of a role, instead of the three above.
        prefix: Put in front of files' ids; previews, and notes on files that no message came for yet, are beside it.
        upload_expires_in: Seconds for which an upload URL is good.
        view_expires_in: Seconds for which content and preview URLs are good, 604800 (seven days) at most. Some are a
            quarter longer: URLs made in the same quarter are equal, so that browsers need not load a picture again.
        orphan_age: Seconds after which a file that no message names is an orphan.
        preview_size: Pixels of the longer side of a picture's preview; None shows every picture as it is.
        write_once: Whether an upload URL is refused where the file is there already: it then asks for the header
            ``If-None-Match: *``, which Amazon S3, MinIO and others obey, and which the bucket's CORS rules must allow.
        scanner: Scans each file. Uploads of clients then go beside the prefix, from where a file comes into its place
            when a message names it and the scanner takes it; one that is refused is deleted.
        scan_seconds: How long a scan may take; the message is refused then, and can be sent again.
        clock: Returns seconds since 1970.
    """

    @checked
    def __init__(
        self,
        bucket: str,
        region: str = "us-east-1",
        *,
        endpoint: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        session_token: str | None = None,
        credentials: S3Credentials | None = None,
        prefix: str = "uploads/",
        upload_expires_in: int = 3600,
        view_expires_in: int = 3600,
        orphan_age: float = 86400,
        preview_size: int | None = DEFAULT_PREVIEW_SIZE,
        write_once: bool = True,
        scanner: FileScanner | None = None,
        scan_seconds: float = SCAN_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not 0 < upload_expires_in <= _LONGEST or not 0 < view_expires_in <= _LONGEST or orphan_age <= 0:
            raise ConfigurationError(
                f"S3FileStore: times must be positive numbers of seconds; links are good for {_LONGEST} at most."
            )
        self.bucket = bucket
        self.region = region
        self._bucket = Bucket(
            bucket,
            region,
            endpoint.rstrip("/") if endpoint else None,
            (access_key_id, secret_access_key, session_token),
            credentials,
        )
        self._prefix = prefix
        self._pending = f"{prefix.rstrip('/')}-pending/"
        self._previews = f"{prefix.rstrip('/')}-previews/"
        self._quarantine = f"{prefix.rstrip('/')}-quarantine/"
        self._scanner = scanner
        self._scan_seconds = check_scan_seconds("S3FileStore", scan_seconds)
        self._upload_expires_in = upload_expires_in
        self._view_expires_in = view_expires_in
        self.orphan_age = orphan_age
        self._preview_size = check_preview_size(preview_size)
        self._write_once = write_once
        self._clock = clock
        # Files that have a preview, by the latest ones that this process dealt with.
        self._with_preview: OrderedDict[str, None] = OrderedDict()

    @property
    def url(self) -> str:
        """Where clients find the bucket; its origin is what a page that uploads has to be allowed to talk to."""
        return self._bucket.url

    # Links.

    async def get_upload_url(self, file_id: str, metadata: FileMetadata) -> str:
        await self._mark(file_id, metadata)
        headers = {**self.upload_headers(metadata), "Content-Length": str(metadata.size)}
        key = self._key(file_id) if self._scanner is None else self._quarantine + file_id
        return await self._presign("PUT", key, self._upload_expires_in, headers=headers)

    def upload_headers(self, metadata: FileMetadata) -> dict[str, str]:
        headers = self._stored_headers(metadata)
        if self._write_once:
            headers["If-None-Match"] = "*"
        return headers

    def _stored_headers(self, metadata: FileMetadata) -> dict[str, str]:
        headers = {"Content-Type": metadata.content_type}
        if not is_shown_inline(metadata.content_type):
            headers["Content-Disposition"] = content_disposition(metadata.name)
        return headers

    async def get_content_url(self, file_id: str, name: str = "") -> str:
        query = {"response-content-disposition": content_disposition(name)}
        return await self._presign_view(self._key(file_id), query)

    async def get_preview_url(self, file_id: str) -> str:
        """Returns a URL under which a browser shows the file if it is a picture, and downloads it otherwise.

        It leads to the small picture where this process has made or found it; ``renew_preview_url`` keeps to it.
        """
        key = self._key(file_id)
        return await self._presign_view(self._previews + file_id if file_id in self._with_preview else key)

    async def renew_preview_url(self, file_id: str, url: str) -> str:
        # Asking the bucket instead would be a request for each picture of each thread that is read.
        if urlsplit(url).path.endswith(f"/{self._previews}{check_file_id(file_id)}"):
            return await self._presign_view(self._previews + file_id)
        return await self.get_preview_url(file_id)

    async def _presign_view(self, key: str, query: dict[str, str] | None = None) -> str:
        step = max(1, self._view_expires_in // 4)
        # Dated back to the begin of the present quarter.
        since = int(self._clock()) // step * step
        expires_in = min(self._view_expires_in + step, _LONGEST)
        return await self._presign("GET", key, expires_in, now=since, query=query)

    async def _presign(
        self,
        method: str,
        key: str,
        expires_in: int,
        *,
        now: float | None = None,
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
    ) -> str:
        return presign(
            method,
            f"{self.url}/{key}",
            await self._bucket.credentials(),
            region=self.region,
            now=self._clock() if now is None else now,
            expires_in=expires_in,
            headers=headers,
            query=query,
        )

    # Files.

    async def upload(self, file_id: str, content: bytes, metadata: FileMetadata) -> str:
        return await self._upload(file_id, content, metadata)

    async def upload_path(self, file_id: str, source: Path, metadata: FileMetadata) -> str:
        return await self._upload(file_id, source, metadata)

    async def _upload(self, file_id: str, content: bytes | Path, metadata: FileMetadata) -> str:
        key = self._key(file_id)
        if await self._bucket.size_of(key) is not None:
            raise AlreadyUploadedError
        if self._scanner is not None:
            await scan_content(self._scanner, content, metadata, self._scan_seconds)
        await self._mark(file_id, metadata)
        await self._bucket.put(key, content, self._stored_headers(metadata))
        await self._make_preview(file_id, metadata.content_type)
        return await self.get_content_url(file_id, metadata.name)

    async def copy(self, file_id: str, new_id: str, metadata: FileMetadata) -> None:
        """Has the bucket copy a file and its preview; the bytes do not come here."""
        size = await self._bucket.size_of(self._key(file_id))
        if size is None:
            raise NotFoundError(f"There is no file {file_id!r}.")
        await self._mark(new_id, metadata.model_copy(update={"size": size}))
        await self._bucket.copy(self._key(file_id), self._key(new_id))
        if self._preview_size is not None and has_previews(metadata.content_type):
            with suppress(FileNotFoundError):
                await self._bucket.copy(self._previews + file_id, self._previews + new_id)
                self._remember_preview(new_id)

    async def read(self, file_id: str) -> bytes:
        found = await self._bucket.read(self._key(file_id))
        if found is None:
            raise NotFoundError(f"There is no file {file_id!r}.")
        return found

    async def chunks(self, file_id: str) -> AsyncIterator[bytes]:
        async for chunk in self._bucket.chunks(self._key(file_id)):
            yield chunk

    async def preview(self, file_id: str) -> bytes | None:
        return await self._bucket.read(self._previews + check_file_id(file_id))

    async def put_back(
        self, file_id: str, source: Path, metadata: FileMetadata, preview: bytes | None = None
    ) -> None:
        # First the file: a scanner may refuse it.
        await self.upload_path(file_id, source, metadata)
        if preview is not None:
            await self._bucket.put(self._previews + file_id, preview, {"Content-Type": PREVIEW_TYPE})

    async def abort_uploads(self, file_ids: Collection[str]) -> int:
        return await self._bucket.abort_uploads(self._prefix, {self._key(file_id) for file_id in file_ids})

    async def delete(self, file_id: str) -> None:
        # An upload URL may outlive the file: what comes by it later is an orphan, found by this note.
        await self._note(file_id, {"deleted": True, "size": 0})
        await self._erase(file_id)

    async def _erase(self, file_id: str) -> bool:
        """Deletes a file and its preview; returns whether there was one."""
        existed = await self._bucket.size_of(self._key(file_id)) is not None
        if self._scanner is not None:
            existed = existed or await self._bucket.size_of(self._quarantine + file_id) is not None
            await self._bucket.delete(self._quarantine + file_id)
        await self._bucket.delete(self._key(file_id))
        await self._bucket.delete(self._previews + file_id)
        self._with_preview.pop(file_id, None)
        return existed

    async def check_upload(self, file_id: str, mime_type: str) -> None:
        """Returns if the file is there and is what was announced; what is not is deleted. Makes its preview."""
        marker = await self._bucket.read(self._pending + file_id)
        key = self._key(file_id)
        size = await self._bucket.size_of(key)
        if size is None and self._scanner is not None:
            key = self._quarantine + file_id
            size = await self._bucket.size_of(key)
        if size is None:
            raise UploadIncompleteError
        announced = size
        if marker is not None:
            note = json.loads(marker)
            if note.get("deleted") or self._clock() - float(note["marked_at"]) > self.orphan_age:
                raise UploadIncompleteError
            announced = int(note["size"])
        try:
            check_content(mime_type, announced, size, await self._bucket.first_bytes(key, size))
            if self._scanner is not None and key != self._key(file_id):
                await self._admit(
                    self._scanner, file_id, mime_type, size, json.loads(marker or b"{}").get("name", "")
                )
        except RequestError:
            await self.delete(file_id)
            raise
        await self._preview_of(file_id, mime_type, size, is_new=marker is not None)

    async def _admit(self, scanner: FileScanner, file_id: str, mime_type: str, size: int, name: str) -> None:
        """Scans what a client has uploaded, and brings what was scanned into its place."""
        metadata = FileMetadata(content_type=mime_type, name=name, size=size)
        async with temporary_file() as path:
            await self._bucket.download(self._quarantine + file_id, path)
            # Where links are not for one upload alone, it may be another file than the one that was looked at.
            head, found = await asyncio.to_thread(look_at, path)
            check_content(mime_type, size, found, head)
            await scan(scanner, path, metadata, self._scan_seconds)
            await self._bucket.put(self._key(file_id), path, self._stored_headers(metadata))
        await self._bucket.delete(self._quarantine + file_id)

    async def claim(self, file_id: str) -> None:
        check_file_id(file_id)
        await self._bucket.delete(self._pending + file_id)

    async def release(self, file_id: str) -> None:
        size = await self._bucket.size_of(self._key(file_id))
        if size is not None:
            await self._mark(file_id, FileMetadata(content_type="", size=size))

    async def sweep_orphans(self) -> int:
        # A little later than messages are refused: between the two a claim may be under way.
        before = self._clock() - max(self.orphan_age, self._upload_expires_in) - 60
        doomed = [key.removeprefix(self._pending) for key in await self._bucket.older(self._pending, before)]
        count = 0
        for file_id in doomed:
            count += await self._erase(file_id)
            await self._bucket.delete(self._pending + file_id)
        return count

    # Previews.

    async def _preview_of(self, file_id: str, mime_type: str, size: int, *, is_new: bool) -> None:
        """Finds the preview of a file, or makes it of one that the client uploaded past us."""
        if self._preview_size is None or size > MAX_SOURCE_BYTES or not has_previews(mime_type):
            return
        try:
            if file_id in self._with_preview:
                return
            if await self._bucket.size_of(self._previews + file_id) is not None:
                self._remember_preview(file_id)
            elif is_new:
                await self._make_preview(file_id, mime_type)
        except StoreUnavailableError as error:
            # The message matters more, and the picture itself can be shown.
            log_failure(logger, "The preview of a picture could not be looked for", error)

    async def _make_preview(self, file_id: str, mime_type: str) -> None:
        """Has the preview of a file made out of the bucket, in the background, and waits for it for a moment."""
        await wait_briefly(
            request_preview(
                partial(self._bucket.read_here, self._key(file_id)),
                mime_type,
                self._preview_size,
                partial(self._keep_preview, file_id),
            )
        )

    def _keep_preview(self, file_id: str, small: bytes) -> None:
        """Stores a preview; called in a thread."""
        # Deleted meanwhile, the picture's preview was too, and must not be there again.
        if self._bucket.put_beside(self._previews + file_id, small, PREVIEW_TYPE, self._key(file_id)):
            self._remember_preview(file_id)

    def _remember_preview(self, file_id: str) -> None:
        self._with_preview[file_id] = None
        if len(self._with_preview) > _REMEMBERED:
            with suppress(KeyError):  # Other threads use the store with event loops of their own.
                self._with_preview.popitem(last=False)

    # Keys and notes.

    def _key(self, file_id: str) -> str:
        return self._prefix + check_file_id(file_id)

    async def _mark(self, file_id: str, metadata: FileMetadata) -> None:
        """Notes that no message has come for a file."""
        await self._note(file_id, {"size": metadata.size, "name": metadata.name})

    async def _note(self, file_id: str, fields: dict[str, Any]) -> None:
        note = {"marked_at": self._clock(), **fields}
        await self._bucket.put(self._pending + check_file_id(file_id), json.dumps(note).encode())
