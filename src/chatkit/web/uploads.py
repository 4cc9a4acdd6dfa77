"""Uploads and downloads of attachments: what the routes beside the protocol's do."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.types import Message, Receive

from chatkit.errors import (
    ConfigurationError,
    InvalidRequestError,
    MissingExtraError,
    NotFoundError,
    RequestTooLargeError,
    ShuttingDownError,
    UnsupportedMediaTypeError,
)
from chatkit.files.limits import DEFAULT_LIMITS
from chatkit.files.links import content_disposition, serving_at
from chatkit.files.local import LocalFileStore
from chatkit.files.media_types import base_type, is_shown_inline
from chatkit.server import ChatKitServer
from chatkit.types import AttachmentCreateParams
from chatkit.web.lifecycle import Lifecycle

__all__ = ["FileEndpoint", "Uploads", "address_of_files"]

_FORM_OVERHEAD: Final = 64 * 1024
"""Bytes of a form besides the file: boundaries, headers and other fields."""

_WRITE_BYTES: Final = 256 * 1024
_UNKNOWN: Final = "application/octet-stream"
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    # Whatever a browser makes of the file: no scripts, no origin, nothing loaded.
    "Content-Security-Policy": "sandbox; default-src 'none'",
    # Pages of other origins show previews.
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Referrer-Policy": "no-referrer",
}
# Besides pictures. Everything else is served as bytes: a script, say, must not be loaded from this origin.
_SERVED_AS_THEMSELVES: Final = frozenset({"application/pdf", "text/plain"})


@dataclass(frozen=True, slots=True)
class Uploads:
    """How an application takes and serves files.

    Attributes:
        path: Where; by default ``files`` below the protocol's path. ``POST`` there is the direct upload.
        direct: Whether pages may post files without announcing them first.

    Raises:
        ConfigurationError: The path does not begin with a slash, or ends with one.
    """

    path: str | None = None
    direct: bool = True

    def __post_init__(self) -> None:
        if self.path is not None and (not self.path.startswith("/") or self.path.endswith("/")):
            raise ConfigurationError(
                f"Uploads(path={self.path!r}) must begin with a slash and not end with one."
            )

    def path_beside(self, path: str) -> str:
        """Returns where files are, for an application that speaks the protocol at a path."""
        return self.path or f"{path.rstrip('/')}/files"


def address_of_files(request: Request, path: str, files: str) -> str:
    """Returns the absolute address of the files' routes, as a request reached the application.

    Args:
        request: A request to the protocol's path.
        path: That path, as it was registered.
        files: The path of the files' routes, as it was registered.
    """
    url = request.url
    return f"{url.scheme}://{url.netloc}{url.path.removesuffix(path)}{files}"


class FileEndpoint:
    """Answers requests for files.

    Args:
        server: The server.
        lifecycle: Its start and end.
    """

    def __init__(self, server: ChatKitServer[Any], lifecycle: Lifecycle) -> None:
        self._server = server
        self._lifecycle = lifecycle

    async def post(self, request: Request, context: object) -> Response:
        """Answers a direct upload: the multipart field ``file``; the answer is the attachment.

        Raises:
            Exception: What is wrong; the caller turns it into an answer.
        """
        limit = self._server.max_upload_bytes or DEFAULT_LIMITS.max_bytes
        if self._lifecycle.ending:
            raise ShuttingDownError
        await self._lifecycle.ensure_started()
        url = request.url
        try:
            async with _incoming(self._local()) as folder:
                path, part = await _form_file(request, folder, limit)
                params = AttachmentCreateParams(
                    name=part.filename or "",
                    size=(await asyncio.to_thread(path.stat)).st_size,
                    mime_type=part.content_type or _UNKNOWN,
                )
                with serving_at(f"{url.scheme}://{url.netloc}{url.path}"):
                    result = await self._server.upload_attachment(params, path, context)
        except ClientDisconnect:
            return Response(status_code=400)
        return Response(
            result.json, media_type="application/json", background=self._lifecycle.sweep_in_passing()
        )

    async def receive(self, request: Request) -> Response:
        """Answers the second phase of an upload to a signed link: ``PUT`` of the bytes, or ``POST`` of a form.

        Raises:
            Exception: What is wrong; the caller turns it into an answer.
        """
        files, file_id = self._served(request)
        metadata = await asyncio.to_thread(files.open_upload, file_id, dict(request.query_params))
        declared = base_type(metadata.content_type)
        try:
            async with _incoming(files) as folder:
                if request.method == "PUT":
                    if base_type(request.headers.get("content-type", "")) != declared:
                        raise UnsupportedMediaTypeError(f"Send the file with Content-Type: {declared}.")
                    path = await _raw_file(request, folder, metadata.size)
                else:
                    path, part = await _form_file(request, folder, metadata.size)
                    if base_type(part.content_type or _UNKNOWN) not in {declared, _UNKNOWN}:
                        raise UnsupportedMediaTypeError(f"Send the file as {declared}.")
                await files.receive(file_id, path, metadata)
        except ClientDisconnect:
            return Response(status_code=400)
        return Response(b"{}", media_type="application/json")

    async def content(self, request: Request) -> Response:
        """Answers a download from a signed link.

        Raises:
            Exception: What is wrong; the caller turns it into an answer.
        """
        return await self._view(request, preview=False)

    async def preview(self, request: Request) -> Response:
        """Answers a signed link to a picture, or else to a download.

        Raises:
            Exception: What is wrong; the caller turns it into an answer.
        """
        return await self._view(request, preview=True)

    async def _view(self, request: Request, *, preview: bool) -> Response:
        files, file_id = self._served(request)
        query = dict(request.query_params)
        try:
            found = await asyncio.to_thread(partial(files.open_view, file_id, query, preview=preview))
            status = await asyncio.to_thread(os.stat, found.path)
        except FileNotFoundError:
            raise NotFoundError from None
        kind = base_type(found.mime_type)
        shown = is_shown_inline(kind)
        as_itself = shown or kind in _SERVED_AS_THEMSELVES or kind.startswith(("audio/", "video/"))
        remaining = max(0, int(found.expires_at - files.now()))
        return FileResponse(
            found.path,
            media_type=kind if as_itself else _UNKNOWN,
            stat_result=status,
            headers={
                **_HEADERS,
                "Cache-Control": f"private, max-age={remaining}, immutable",
                "Content-Disposition": content_disposition(found.name, inline=preview and shown),
            },
        )

    def _local(self) -> LocalFileStore | None:
        files: object = self._server.attachment_store
        return files if isinstance(files, LocalFileStore) else None

    def _served(self, request: Request) -> tuple[LocalFileStore, str]:
        files = self._local()
        if files is None:
            raise NotFoundError
        return files, cast("str", request.path_params["file_id"])


@asynccontextmanager
async def _incoming(files: LocalFileStore | None) -> AsyncGenerator[Path]:
    """A folder for what arrives, on the file system where it will stay if that is known."""
    make = tempfile.mkdtemp if files is None else files.make_incoming
    folder = Path(await asyncio.to_thread(make))
    try:
        yield folder
    finally:
        # Also where the request was cancelled: a thread that runs is not.
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))


async def _raw_file(request: Request, folder: Path, limit: int) -> Path:
    """Returns the body as a file.

    Raises:
        RequestTooLargeError: It has more than ``limit`` bytes.
    """
    _check_length(request, limit)
    path = folder / "body"
    file = await asyncio.to_thread(path.open, "wb")
    buffer = bytearray()
    size = 0
    try:
        async with aclosing(request.stream()) as stream:
            async for chunk in stream:
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                buffer += chunk
                if len(buffer) >= _WRITE_BYTES:
                    await asyncio.to_thread(file.write, bytes(buffer))
                    buffer.clear()
        await asyncio.to_thread(file.write, bytes(buffer))
    finally:
        await asyncio.to_thread(file.close)
    return path


async def _form_file(request: Request, folder: Path, limit: int) -> tuple[Path, UploadFile]:
    """Returns the field ``file`` of a form as a file, and what its part says of it.

    Raises:
        UnsupportedMediaTypeError: The body is no form.
        RequestTooLargeError: The file has more than ``limit`` bytes.
        InvalidRequestError: There is no file in that field.
    """
    if find_spec("python_multipart") is None:
        raise MissingExtraError("Uploads need python-multipart: pip install 'chatkit-server[web]'.")
    if base_type(request.headers.get("content-type", "")) != "multipart/form-data":
        raise UnsupportedMediaTypeError("Send the file as multipart/form-data, in the field 'file'.")
    _check_length(request, limit + _FORM_OVERHEAD)
    bounded = Request(request.scope, _bounded(request, limit + _FORM_OVERHEAD, limit))
    async with bounded.form(max_files=1, max_fields=20, max_part_size=_FORM_OVERHEAD) as form:
        part = form.get("file")
        if not isinstance(part, UploadFile):
            raise InvalidRequestError("Send the file in the multipart field 'file'.")
        if part.size is not None and part.size > limit:
            raise _too_large(limit)
        path = folder / "body"
        await asyncio.to_thread(_copy, part.file, path)
        return path, part


def _bounded(request: Request, total: int, limit: int) -> Receive:
    """Returns the body's messages; raises RequestTooLargeError when they have more than ``total`` bytes."""
    left = total

    async def receive() -> Message:
        nonlocal left
        message = await request.receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise _too_large(limit)
        return message

    return receive


def _check_length(request: Request, limit: int) -> None:
    declared = request.headers.get("content-length", "")
    # A number of more digits than any limit has would be slow to convert.
    if declared.isascii() and declared.isdigit() and (len(declared) > 18 or int(declared) > limit):
        raise _too_large(limit)


def _copy(source: BinaryIO, path: Path) -> None:
    with path.open("wb") as target:
        shutil.copyfileobj(source, target, _WRITE_BYTES)


def _too_large(limit: int) -> RequestTooLargeError:
    return RequestTooLargeError(f"The file is too large; at most {limit} bytes are taken.")
