"""A bucket of S3, or of anything that speaks its protocol, by the driver ``obstore``."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import re
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

from chatkit._outages import Source
from chatkit.errors import ConfigurationError, MissingExtraError, NotFoundError, StoreUnavailableError
from chatkit.files.media_types import HEAD_BYTES
from chatkit.files.sigv4 import Credentials, presign

try:
    import obstore
    from obstore.exceptions import AlreadyExistsError, BaseError
    from obstore.store import S3Store
except ModuleNotFoundError as error:
    raise MissingExtraError("S3FileStore needs obstore: pip install 'chatkit-server[s3]'.") from error

if TYPE_CHECKING:
    from obstore.store import RetryConfig, S3Credential

__all__ = ["Bucket", "S3Credentials"]

S3Credentials: TypeAlias = Callable[[], Credentials | Awaitable[Credentials]]
"""Returns the credentials to sign with now, at once or awaited; asked before each use, so let it keep them."""

_RETRIES: Final[RetryConfig] = {"max_retries": 5, "retry_timeout": timedelta(seconds=20)}
"""The driver's own go on for three minutes, and a user waits meanwhile. A request alone may take 30 seconds."""
_CHUNK_BYTES: Final = 1024 * 1024
_ANSWER_SECONDS: Final = 30.0
_UPLOAD: Final = re.compile(r"<Upload>.*?</Upload>", re.DOTALL)


class Bucket:
    """A bucket; its coroutines raise :class:`chatkit.errors.StoreUnavailableError` when it cannot be used.

    Args:
        name: Its name.
        region: Its region.
        endpoint: Where a service other than Amazon's is, without a slash at the end.
        given: Access key id, secret access key and session token; where the first two are None, the environment's.
        provider: Returns credentials instead.
    """

    def __init__(
        self,
        name: str,
        region: str,
        endpoint: str | None,
        given: tuple[str | None, str | None, str | None],
        provider: S3Credentials | None,
    ) -> None:
        self._name = name
        self._region = region
        self._endpoint = endpoint
        self._given = given
        self._provider = provider
        self._store: S3Store | None = None
        self._source = Source.of(f"The bucket {name!r}", logging.getLogger("chatkit.files"))

    @property
    def url(self) -> str:
        """Where clients find the bucket."""
        if self._endpoint is None:
            return f"https://{self._name}.s3.{self._region}.amazonaws.com"
        return f"{self._endpoint}/{self._name}"

    async def credentials(self) -> Credentials:
        """Returns the credentials to sign with now.

        Raises:
            ConfigurationError: There are none.
        """
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

    async def put(self, key: str, content: bytes | Path, headers: dict[str, str] | None = None) -> None:
        """Stores an object, which is served with these headers; a large file in parts."""
        attributes: Any = headers or {}
        await self._do(obstore.put_async(self.store(), key, content, attributes=attributes))

    async def copy(self, key: str, new_key: str) -> None:
        """Has the bucket copy an object.

        Raises:
            FileNotFoundError: There is none.
        """
        await self._do(obstore.copy_async(self.store(), key, new_key))

    async def size_of(self, key: str) -> int | None:
        """Returns the bytes of an object; None if there is none."""
        try:
            return (await self._do(obstore.head_async(self.store(), key)))["size"]
        except FileNotFoundError:
            return None

    async def read(self, key: str) -> bytes | None:
        """Returns an object; None if there is none."""
        try:
            found = await self._do(obstore.get_async(self.store(), key))
        except FileNotFoundError:
            return None
        return bytes(await self._do(found.bytes_async()))

    async def chunks(self, key: str) -> AsyncIterator[bytes]:
        """Yields an object piece by piece.

        Raises:
            NotFoundError: There is none.
        """
        try:
            found = await self._do(obstore.get_async(self.store(), key))
        except FileNotFoundError:
            raise NotFoundError(f"The bucket has no object {key!r}.") from None
        try:
            async for chunk in found.stream(min_chunk_size=_CHUNK_BYTES):
                yield bytes(chunk)
        except BaseError as error:
            raise self._unavailable(error) from error

    async def abort_uploads(self, prefix: str, keys: Collection[str]) -> int:
        """Deletes the parts that arrived of objects whose upload in parts never ended, and returns how many there were.

        Args:
            prefix: Of the keys.
            keys: The objects.
        """
        count, query = 0, {"uploads": "", "prefix": prefix}
        while True:
            listed = await self._ask("GET", "", query)
            for upload in _UPLOAD.findall(listed):
                key, upload_id = (unescape(_tag(name, upload)) for name in ("Key", "UploadId"))
                if key in keys:
                    await self._ask("DELETE", key, {"uploadId": upload_id})
                    count += 1
            if _tag("IsTruncated", listed) != "true":
                return count
            query |= {
                "key-marker": unescape(_tag("NextKeyMarker", listed)),
                "upload-id-marker": unescape(_tag("NextUploadIdMarker", listed)),
            }

    async def _ask(self, method: str, key: str, query: dict[str, str]) -> str:
        """Returns the answer to a request that the driver has no call for."""
        url = presign(
            method,
            f"{self.url}/{key}",
            await self.credentials(),
            region=self._region,
            now=time.time(),
            expires_in=60,
            query=query,
        )

        def ask() -> str:
            request = urllib.request.Request(url, method=method)  # noqa: S310 -- http or https
            with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS) as answer:  # noqa: S310
                return answer.read().decode()

        return await self._do(asyncio.to_thread(ask))

    async def download(self, key: str, path: Path) -> None:
        """Writes an object into a file, piece by piece.

        Raises:
            NotFoundError: There is none.
        """
        file = await asyncio.to_thread(path.open, "wb")
        try:
            async for chunk in self.chunks(key):
                await asyncio.to_thread(file.write, chunk)
        finally:
            await asyncio.to_thread(file.close)

    async def first_bytes(self, key: str, size: int) -> bytes:
        """Returns the first bytes of an object, which say what it is."""
        if size == 0:
            return b""
        end = min(size, HEAD_BYTES)
        return bytes(await self._do(obstore.get_range_async(self.store(), key, start=0, end=end)))

    async def delete(self, key: str) -> None:
        """Deletes an object, if there is one."""
        with suppress(FileNotFoundError):
            await self._do(obstore.delete_async(self.store(), key))

    async def older(self, prefix: str, before: float) -> list[str]:
        """Returns the keys with a prefix whose objects were stored before a time, in seconds since 1970."""
        keys: list[str] = []
        try:
            listed = obstore.list(self.store(), prefix=prefix)  # pyright: ignore[reportUnknownMemberType] -- Arrow is not installed
            async for found in listed:
                keys += [entry["path"] for entry in found if entry["last_modified"].timestamp() < before]
        except BaseError as error:
            raise self._unavailable(error) from error
        return keys

    # In a thread, whose errors are the driver's.

    def read_here(self, key: str) -> bytes:
        """Returns an object; blocks."""
        return bytes(obstore.get(self.store(), key).bytes())

    def put_beside(self, key: str, content: bytes, media_type: str, other: str) -> bool:
        """Stores an object unless the one with the key ``other`` is gone, and returns whether it did; blocks."""
        store, attributes = self.store(), {"Content-Type": media_type}
        obstore.put(store, key, content, attributes=attributes)
        try:
            obstore.head(store, other)
        except FileNotFoundError:
            obstore.delete(store, key)
            return False
        return True

    # The driver.

    def store(self) -> S3Store:
        """Returns the driver's bucket, which has connected to nothing yet."""
        if self._store is None:
            options: dict[str, Any] = {"bucket": self._name, "region": self._region, "retry_config": _RETRIES}
            if self._endpoint is not None:
                options |= {"endpoint": self._endpoint, "virtual_hosted_style_request": False}
                if urlsplit(self._endpoint).scheme == "http":
                    options["client_options"] = {"allow_http": True}
            self._store = S3Store(**options, credential_provider=self._provide)
        return self._store

    async def _provide(self) -> S3Credential:
        found = await self.credentials()
        return {
            "access_key_id": found.access_key_id,
            "secret_access_key": found.secret_access_key,
            "token": found.session_token,
            # Asked again in a minute: credentials of a role change.
            "expires_at": datetime.fromtimestamp(time.time() + 360, UTC) if self._provider else None,
        }

    async def _do(self, work: Awaitable[Any]) -> Any:
        try:
            done = await work
        except (FileNotFoundError, AlreadyExistsError):
            raise
        except (BaseError, OSError) as error:
            raise self._unavailable(error) from error
        self._source.works()
        return done

    def _unavailable(self, error: Exception) -> StoreUnavailableError:
        # The driver's texts go on with all that it knows, over many lines.
        reason = str(error).partition("\n")[0].strip()
        failure = StoreUnavailableError(f"The bucket {self._name!r} cannot be used: {reason}")
        # It may be read, and not be written.
        return self._source.caused(failure, partly=True)


def _tag(name: str, text: str) -> str:
    """Returns what is in the first element of a name; empty where there is none."""
    found = re.search(f"<{name}>(.*?)</{name}>", text, re.DOTALL)
    return "" if found is None else found[1]
