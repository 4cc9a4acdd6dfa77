"""Files in a bucket of S3, or of anything that speaks its protocol; clients talk to the bucket themselves."""

from __future__ import annotations

import inspect
import json
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

from chatkit.errors import (
    AlreadyUploadedError,
    ConfigurationError,
    MissingExtraError,
    NotFoundError,
    RequestError,
    StoreUnavailableError,
    UploadIncompleteError,
)
from chatkit.files.base import ManagedFileStore
from chatkit.files.limits import check_content
from chatkit.files.links import check_file_id, content_disposition
from chatkit.files.media_types import HEAD_BYTES, is_shown_inline
from chatkit.files.sigv4 import Credentials, presign
from chatkit.files.thumbnails import (
    DEFAULT_PREVIEW_SIZE,
    MAX_SOURCE_BYTES,
    PREVIEW_TYPE,
    check_preview_size,
    has_previews,
    make_preview,
)
from chatkit.types import FileMetadata

try:
    import obstore
    from obstore.exceptions import AlreadyExistsError, BaseError
    from obstore.store import S3Store
except ModuleNotFoundError as error:
    raise MissingExtraError("S3FileStore needs obstore: pip install 'chatkit-server[s3]'.") from error

if TYPE_CHECKING:
    from obstore.store import RetryConfig, S3Credential

__all__ = ["S3Credentials", "S3FileStore"]

logger = logging.getLogger("chatkit.files")

S3Credentials: TypeAlias = Callable[[], Credentials | Awaitable[Credentials]]
"""Returns the credentials to sign with now, at once or awaited; asked before each use, so let it keep them."""

_LONGEST: Final = 604800
"""Seconds for which S3 takes a presigned URL at most."""

_REMEMBERED: Final = 4096

_RETRIES: Final[RetryConfig] = {"max_retries": 5, "retry_timeout": timedelta(seconds=20)}
"""The driver's own go on for three minutes, and a user waits meanwhile. A request alone may take 30 seconds."""


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
        clock: Returns seconds since 1970.
    """

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
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not 0 < upload_expires_in <= _LONGEST or not 0 < view_expires_in <= _LONGEST or orphan_age <= 0:
            raise ConfigurationError(
                f"S3FileStore: times must be positive numbers of seconds; links are good for {_LONGEST} at most."
            )
        self.bucket = bucket
        self.region = region
        self._endpoint = endpoint.rstrip("/") if endpoint else None
        self._given = (access_key_id, secret_access_key, session_token)
        self._provider = credentials
        self._prefix = prefix
        self._pending = f"{prefix.rstrip('/')}-pending/"
        self._previews = f"{prefix.rstrip('/')}-previews/"
        self._upload_expires_in = upload_expires_in
        self._view_expires_in = view_expires_in
        self._orphan_age = orphan_age
        self._preview_size = check_preview_size(preview_size)
        self._clock = clock
        # Files that have a preview, by the latest ones that this process dealt with.
        self._with_preview: OrderedDict[str, None] = OrderedDict()
        self._client: S3Store | None = None

    @property
    def url(self) -> str:
        """Where clients find the bucket; its origin is what a page that uploads has to be allowed to talk to."""
        if self._endpoint is None:
            return f"https://{self.bucket}.s3.{self.region}.amazonaws.com"
        return f"{self._endpoint}/{self.bucket}"

    # Links.

    async def get_upload_url(self, file_id: str, metadata: FileMetadata) -> str:
        await self._mark(file_id, metadata)
        headers = {**self.upload_headers(metadata), "Content-Length": str(metadata.size)}
        return await self._presign("PUT", self._key(file_id), self._upload_expires_in, headers=headers)

    def upload_headers(self, metadata: FileMetadata) -> dict[str, str]:
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
            await self._credentials(),
            region=self.region,
            now=self._clock() if now is None else now,
            expires_in=expires_in,
            headers=headers,
            query=query,
        )

    # Files.

    async def upload(self, file_id: str, content: bytes, metadata: FileMetadata) -> str:
        """Stores a file and returns a URL of its content.

        Raises:
            AlreadyUploadedError: There is a file with that id.
        """
        return await self._upload(file_id, content, metadata)

    async def upload_path(self, file_id: str, source: Path, metadata: FileMetadata) -> str:
        """Stores a file, a large one in parts, and returns a URL of its content.

        Raises:
            AlreadyUploadedError: There is a file with that id.
        """
        return await self._upload(file_id, source, metadata)

    async def _upload(self, file_id: str, content: bytes | Path, metadata: FileMetadata) -> str:
        key = self._key(file_id)
        if await self._head(key) is not None:
            raise AlreadyUploadedError
        await self._mark(file_id, metadata)
        attributes: Any = self.upload_headers(metadata)
        small = await make_preview(content, metadata.content_type, self._preview_size)
        await self._do(obstore.put_async(self._store(), key, content, attributes=attributes))
        await self._keep_preview(file_id, small)
        return await self.get_content_url(file_id, metadata.name)

    async def copy(self, file_id: str, new_id: str, metadata: FileMetadata) -> None:
        """Has the bucket copy a file and its preview; the bytes do not come here.

        Raises:
            NotFoundError: There is no such file.
        """
        size = await self._head(self._key(file_id))
        if size is None:
            raise NotFoundError(f"There is no file {file_id!r}.")
        await self._mark(new_id, metadata.model_copy(update={"size": size}))
        await self._do(obstore.copy_async(self._store(), self._key(file_id), self._key(new_id)))
        if self._preview_size is not None and has_previews(metadata.content_type):
            with suppress(FileNotFoundError):
                previews = (self._previews + file_id, self._previews + new_id)
                await self._do(obstore.copy_async(self._store(), *previews))
                self._remember_preview(new_id)

    async def read(self, file_id: str) -> bytes:
        found = await self._read(self._key(file_id))
        if found is None:
            raise NotFoundError(f"There is no file {file_id!r}.")
        return found

    async def delete(self, file_id: str) -> None:
        await self._delete(self._key(file_id))
        await self._delete(self._previews + file_id)
        await self._delete(self._pending + file_id)
        self._with_preview.pop(file_id, None)

    async def check_upload(self, file_id: str, mime_type: str) -> None:
        """Returns if the file is there and is what was announced; what is not is deleted. Makes its preview.

        Raises:
            UploadIncompleteError: It is not there, or is an orphan by now.
            RequestError: It is of another size or type.
        """
        marker = await self._read(self._pending + file_id)
        size = await self._head(self._key(file_id))
        if size is None:
            raise UploadIncompleteError
        announced = size
        if marker is not None:
            note = json.loads(marker)
            if self._clock() - float(note["marked_at"]) > self._orphan_age:
                raise UploadIncompleteError
            announced = int(note["size"])
        try:
            check_content(mime_type, announced, size, await self._first_bytes(self._key(file_id), size))
        except RequestError:
            await self.delete(file_id)
            raise
        await self._preview_of(file_id, mime_type, size, is_new=marker is not None)

    async def claim(self, file_id: str) -> None:
        check_file_id(file_id)
        await self._delete(self._pending + file_id)

    async def release(self, file_id: str) -> None:
        size = await self._head(self._key(file_id))
        if size is not None:
            await self._mark(file_id, FileMetadata(content_type="", size=size))

    async def sweep_orphans(self) -> int:
        doomed: list[str] = []
        try:
            listed = obstore.list(self._store(), prefix=self._pending)  # pyright: ignore[reportUnknownMemberType] -- Arrow is not installed
            async for found in listed:
                for entry in found:
                    age = self._clock() - entry["last_modified"].timestamp()
                    # A little later than messages are refused: between the two a claim may be under way.
                    if age > self._orphan_age + 60:
                        doomed.append(entry["path"].removeprefix(self._pending))
        except BaseError as error:
            raise self._unavailable(error) from error
        count = 0
        for file_id in doomed:
            count += await self._head(self._key(file_id)) is not None
            await self.delete(file_id)
        return count

    # Previews.

    async def _preview_of(self, file_id: str, mime_type: str, size: int, *, is_new: bool) -> None:
        """Finds the preview of a file, or makes it of one that the client uploaded past us."""
        if self._preview_size is None or size > MAX_SOURCE_BYTES or not has_previews(mime_type):
            return
        try:
            if file_id in self._with_preview:
                return
            if await self._head(self._previews + file_id) is not None:
                self._remember_preview(file_id)
            elif is_new:
                small = await make_preview(await self.read(file_id), mime_type, self._preview_size)
                await self._keep_preview(file_id, small)
        except (StoreUnavailableError, NotFoundError) as error:
            # The message matters more, and the picture itself can be shown.
            logger.warning("The preview of a picture could not be stored: %s", error)

    async def _keep_preview(self, file_id: str, small: bytes | None) -> None:
        if small is not None:
            attributes: Any = {"Content-Type": PREVIEW_TYPE}
            key = self._previews + file_id
            await self._do(obstore.put_async(self._store(), key, small, attributes=attributes))
            self._remember_preview(file_id)

    def _remember_preview(self, file_id: str) -> None:
        self._with_preview[file_id] = None
        if len(self._with_preview) > _REMEMBERED:
            with suppress(KeyError):  # Other threads use the store with event loops of their own.
                self._with_preview.popitem(last=False)

    # The bucket.

    def _key(self, file_id: str) -> str:
        return self._prefix + check_file_id(file_id)

    async def _mark(self, file_id: str, metadata: FileMetadata) -> None:
        note = {"marked_at": self._clock(), "size": metadata.size}
        key = self._pending + check_file_id(file_id)
        await self._do(obstore.put_async(self._store(), key, json.dumps(note).encode()))

    async def _head(self, key: str) -> int | None:
        try:
            return (await self._do(obstore.head_async(self._store(), key)))["size"]
        except FileNotFoundError:
            return None

    async def _read(self, key: str) -> bytes | None:
        try:
            found = await self._do(obstore.get_async(self._store(), key))
        except FileNotFoundError:
            return None
        return bytes(await self._do(found.bytes_async()))

    async def _first_bytes(self, key: str, size: int) -> bytes:
        if size == 0:
            return b""
        end = min(size, HEAD_BYTES)
        return bytes(await self._do(obstore.get_range_async(self._store(), key, start=0, end=end)))

    async def _delete(self, key: str) -> None:
        with suppress(FileNotFoundError):
            await self._do(obstore.delete_async(self._store(), key))

    def _store(self) -> S3Store:
        if self._client is None:
            options: dict[str, Any] = {"bucket": self.bucket, "region": self.region, "retry_config": _RETRIES}
            if self._endpoint is not None:
                options |= {"endpoint": self._endpoint, "virtual_hosted_style_request": False}
                if urlsplit(self._endpoint).scheme == "http":
                    options["client_options"] = {"allow_http": True}
            self._client = S3Store(**options, credential_provider=self._provide)
        return self._client

    async def _provide(self) -> S3Credential:
        found = await self._credentials()
        return {
            "access_key_id": found.access_key_id,
            "secret_access_key": found.secret_access_key,
            "token": found.session_token,
            # Asked again in a minute: credentials of a role change.
            "expires_at": datetime.fromtimestamp(time.time() + 360, UTC) if self._provider else None,
        }

    async def _credentials(self) -> Credentials:
        if self._provider is not None:
            made = self._provider()
            return await made if inspect.isawaitable(made) else made
        key, secret, token = self._given
        if key is None and secret is None:
            key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
            token = os.environ.get("AWS_SESSION_TOKEN")
        if not key or not secret:
            raise ConfigurationError(
                "S3FileStore has no credentials: give it access_key_id= and secret_access_key=, or credentials=, or "
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
            )
        return Credentials(key, secret, token)

    async def _do(self, work: Awaitable[Any]) -> Any:
        try:
            return await work
        except (FileNotFoundError, AlreadyExistsError):
            raise
        except (BaseError, OSError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> StoreUnavailableError:
        # The driver's texts go on with all that it knows, over many lines.
        reason = str(error).partition("\n")[0].strip()
        return StoreUnavailableError(f"The bucket {self.bucket!r} cannot be used: {reason}")
