"""The routes for uploads and downloads of attachments."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
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

from chatkit._checks import check_fields
from chatkit.dialects.reference.files import FileStoreAdapter
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
from chatkit.files.media_types import UNKNOWN_TYPE, base_type, is_shown_inline
from chatkit.files.thumbnails import previews_for
from chatkit.server import ChatKitServer
from chatkit.types import AttachmentCreateParams
from chatkit.web.endpoint import declares_more
from chatkit.web.lifecycle import Lifecycle
from chatkit.web.origins import OriginCheck, check_origins

__all__ = ["FileRoutes", "Uploads"]

_FORM_OVERHEAD: Final = 64 * 1024
"""Bytes of a form besides the file: boundaries, headers and other fields."""

_WRITE_BYTES: Final = 256 * 1024
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
        origins: Origins of pages that are served elsewhere and may post files with the user's cookies. Those that the
            application's own ``CORSMiddleware`` or ``cors_origins`` allows are known already.

    Raises:
        ConfigurationError: The path does not begin with a slash, or ends with one; or one of the origins is none.
    """

    path: str | None = None
    direct: bool = True
    origins: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        if self.path is not None and (not self.path.startswith("/") or self.path.endswith("/")):
            raise ConfigurationError(
                f"Uploads(path={self.path!r}) must begin with a slash and not end with one."
            )
        if "*" in check_origins("Uploads(origins=...)", self.origins):
            raise ConfigurationError(
                "Uploads(origins=...) names each origin; '*' would be every page on the web."
            )

    def path_beside(self, path: str) -> str:
        """Returns where files are, for an application that speaks the protocol at a path."""
        return self.path or f"{path.rstrip('/')}/files"


class FileRoutes:
    """Answers requests for files; what they raise, the framework's route turns into an answer."""

    def __init__(self, server: ChatKitServer[Any], lifecycle: Lifecycle, origins: OriginCheck) -> None:
        self._server = server
        self._lifecycle = lifecycle
        self._origins = origins

    def signed(self, base: str) -> list[tuple[str, list[str], Callable[[Request], Awaitable[Response]]]]:
        """Returns the routes of signed links below the path ``base``: path, methods and function of each."""
        return [
            (f"{base}/{{file_id}}", ["PUT", "POST"], self.receive),
            (f"{base}/{{file_id}}", ["GET", "HEAD"], self.content),
            (f"{base}/{{file_id}}/preview", ["GET", "HEAD"], self.preview),
        ]

    async def post(self, request: Request, context: object, *, limit: int | None = None) -> Response:
        """Answers a direct upload: the multipart field ``file``; the answer is the attachment.

        Args:
            request: The request.
            context: Its context.
            limit: Bytes of the file at most, if not as many as the server takes.
        """
        self._origins.check(request)
        most = self._server.max_upload_bytes or DEFAULT_LIMITS.max_bytes
        limit = most if limit is None else min(limit, most)
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
                    mime_type=part.content_type or UNKNOWN_TYPE,
                )
                with serving_at(f"{url.scheme}://{url.netloc}{url.path}"):
                    result = await self._server.upload_attachment(params, path, context)
        except ClientDisconnect:
            return Response(status_code=400)
        return Response(
            result.json, media_type="application/json", background=self._lifecycle.sweep_in_passing()
        )

    async def receive(self, request: Request) -> Response:
        """Answers the second phase of an upload to a signed link: ``PUT`` of the bytes, or ``POST`` of a form."""
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
                    if base_type(part.content_type or UNKNOWN_TYPE) not in {declared, UNKNOWN_TYPE}:
                        raise UnsupportedMediaTypeError(f"Send the file as {declared}.")
                with previews_for(request.query_params.get("for")):
                    await files.receive(file_id, path, metadata)
        except ClientDisconnect:
            return Response(status_code=400)
        return Response(b"{}", media_type="application/json")

    async def content(self, request: Request) -> Response:
        """Answers a download from a signed link."""
        return await self._view(request, preview=False)

    async def preview(self, request: Request) -> Response:
        """Answers a signed link to a picture, or else to a download."""
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
            media_type=kind if as_itself else UNKNOWN_TYPE,
            stat_result=status,
            headers={
                **_HEADERS,
                "Cache-Control": f"private, max-age={remaining}, immutable",
                "Content-Disposition": content_disposition(found.name, inline=preview and shown),
            },
        )

    def _local(self) -> LocalFileStore | None:
        files: object = self._server.attachment_store
        if isinstance(files, FileStoreAdapter):
            # Adapted by the application, to change something about it.
            files = files.files
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
    """Returns the body as a file; raises RequestTooLargeError if it has more than ``limit`` bytes."""
    if declares_more(request, limit):
        raise _too_large(limit)
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
    """Returns the field ``file`` of a form as a file, and what its part says of it."""
    if find_spec("python_multipart") is None:
        raise MissingExtraError("Uploads need python-multipart: pip install 'chatkit-server[web]'.")
    if base_type(request.headers.get("content-type", "")) != "multipart/form-data":
        raise UnsupportedMediaTypeError("Send the file as multipart/form-data, in the field 'file'.")
    if declares_more(request, limit + _FORM_OVERHEAD):
        raise _too_large(limit)
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


def _copy(source: BinaryIO, path: Path) -> None:
    with path.open("wb") as target:
        shutil.copyfileobj(source, target, _WRITE_BYTES)


def _too_large(limit: int) -> RequestTooLargeError:
    return RequestTooLargeError(f"The file is too large; at most {limit} bytes are taken.")
