"""What the suite of file stores is made of: how a store is made, and how its URLs are used."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.message import Message
from typing import Any, ClassVar, NoReturn, TypeAlias

from chatkit._tasks import maybe_await
from chatkit.files.base import ManagedFileStore
from chatkit.types import FileMetadata, FileStore

__all__ = ["Answer", "FileSuite", "metadata_of"]

_Scenario: TypeAlias = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True)
class Answer:
    """What a URL answered.

    Attributes:
        status: HTTP status.
        headers: By name, in lower case.
        body: The bytes.
    """

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def is_refusal(self) -> bool:
        """Whether the request was refused, rather than served or failed."""
        return 400 <= self.status < 500


class FileSuite:
    """How the files of a store are reached, and what the store lacks on purpose.

    A store that lacks something on purpose says so by setting an attribute of the class to False; the tests of it are
    then skipped.

    Attributes:
        takes_direct_uploads: Implements ``upload``.
        binds_type: Its upload URL takes the announced media type only.
        binds_size: Its upload URL takes the announced number of bytes only.
        hides_active_files: Never serves in place what a browser could run, such as HTML.
        manages: Is a ``ManagedFileStore``.
    """

    takes_direct_uploads: ClassVar[bool] = True
    binds_type: ClassVar[bool] = True
    binds_size: ClassVar[bool] = True
    hides_active_files: ClassVar[bool] = True
    manages: ClassVar[bool] = True

    def make_files(self) -> Any:
        """Returns a store, a :class:`chatkit.types.FileStore` whose methods may be sync or async."""
        raise NotImplementedError("Override make_files() to return a file store.")

    def make_files_at(self, offset: float) -> Any:
        """Returns a store over the same files whose clock is off by some seconds; None if there is none such."""
        return None

    def upload_headers(self, files: Any, metadata: FileMetadata) -> dict[str, str]:
        """Returns the headers that a client sends with an upload.

        Args:
            files: The store.
            metadata: What the client announces.
        """
        if isinstance(files, ManagedFileStore):
            return files.upload_headers(metadata)
        return {"Content-Type": metadata.content_type}

    def request(
        self, method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Sends a request as a client would.

        Args:
            method: The HTTP method.
            url: Where to.
            body: The bytes that are sent.
            headers: The headers that are sent.
        """
        made = urllib.request.Request(url, data=body, headers=headers or {}, method=method)  # noqa: S310 -- the store's URL
        try:
            with urllib.request.urlopen(made, timeout=30) as answer:  # noqa: S310
                return _answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error.code, error.headers, error.read())

    def need(self, capability: str) -> None:
        """Skips the running test if the store lacks the capability."""
        if not getattr(self, capability):
            self.skip(f"{capability} is False for this store")

    def skip(self, reason: str) -> NoReturn:
        """Skips the running test."""
        # pytest is no dependency of the package: only a run of the suite needs it.
        import pytest

        pytest.skip(reason)

    def _run(self, scenario: _Scenario) -> None:
        async def main() -> None:
            await scenario(self.make_files())

        asyncio.run(main())

    def _run_managed(self, scenario: _Scenario) -> None:
        self.need("manages")
        self._run(scenario)

    async def _send(
        self, method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        return await asyncio.to_thread(self.request, method, url, body, headers)

    async def _put(self, files: Any, url: str, content: bytes, metadata: FileMetadata) -> Answer:
        return await self._send("PUT", url, content, self.upload_headers(files, metadata))

    async def _preview(self, files: FileStore, file_id: str) -> Answer:
        return await self._send("GET", str(await maybe_await(files.get_preview_url(file_id))))


def metadata_of(content: bytes, kind: str = "image/png", name: str = "picture.png") -> FileMetadata:
    return FileMetadata(content_type=kind, name=name, size=len(content))


def _answer(status: int, headers: Message[str, str], body: bytes) -> Answer:
    return Answer(status, {name.lower(): value for name, value in headers.items()}, body)
