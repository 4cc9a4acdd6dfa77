"""Uploads of files to the server or to a bucket."""

from __future__ import annotations

import asyncio
import mimetypes
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final, TypeAlias

import httpx2

from chatkit.client.errors import UnexpectedAnswerError
from chatkit.client.transport import Transport
from chatkit.errors import AlreadyUploadedError
from chatkit.types import AttachmentUploadDescriptor

__all__ = ["FileSource", "Upload", "describe_file", "post_file", "send_file"]

FileSource: TypeAlias = bytes | str | os.PathLike[str]
"""The bytes of a file, or its path."""

_CHUNK_BYTES: Final = 256 * 1024
_UNKNOWN: Final = "application/octet-stream"
_HARMLESS: Final = frozenset({"accept", "accept-encoding", "connection", "user-agent"})


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to be sent: ``content`` is its bytes, or where they are; ``name`` is without folders."""

    content: bytes | Path
    name: str
    size: int
    mime_type: str


async def describe_file(file: FileSource, name: str | None, mime_type: str | None) -> Upload:
    """Returns what the server is told of a file; raises OSError if there is none."""
    content = file if isinstance(file, bytes) else Path(file)
    size = len(content) if isinstance(content, bytes) else (await asyncio.to_thread(content.stat)).st_size
    named = name or ("file" if isinstance(content, bytes) else PurePath(content).name)
    return Upload(content, named, size, mime_type or mimetypes.guess_type(named)[0] or _UNKNOWN)


async def send_file(transport: Transport, upload: Upload, descriptor: AttachmentUploadDescriptor) -> None:
    """Sends a file to where the server wants it: raw with ``PUT``, or as the multipart field ``file`` with ``POST``."""
    requests: list[httpx2.Request] = []
    try:
        url = httpx2.URL(transport.url).join(str(descriptor.url))
        httpx2.Headers(descriptor.headers).raw  # noqa: B018 -- raises for what no header can hold
    except (httpx2.InvalidURL, ValueError) as error:
        raise UnexpectedAnswerError("The server names no place that the file could be sent to.") from error
    is_own = transport.has_origin_of(url)
    headers = {**(transport.credentials if is_own else {}), **descriptor.headers}
    fields = None if descriptor.method == "PUT" else await _fields(upload)

    def make(http: httpx2.AsyncClient) -> httpx2.Request:
        if fields is None:
            length = {"Content-Length": str(upload.size)}
            made = http.build_request("PUT", url, content=_chunks(upload.content), headers=headers | length)
        else:
            made = http.build_request("POST", url, files=fields, headers=_without_type(headers))
        if not is_own:
            _drop_credentials(made, http, descriptor.headers)
        requests.append(made)
        return made

    try:
        await transport.send_file(make, repeatable=True)
    except AlreadyUploadedError:
        if len(requests) == 1:
            raise
        # The first attempt arrived; only its answer did not.


async def post_file(transport: Transport, upload: Upload, url: str) -> bytes:
    """Posts a file to the application (direct upload) and returns its answer, the attachment."""
    target = httpx2.URL(transport.url).join(url)
    headers = _without_type({**transport.credentials, "Accept": "application/json"})
    fields = await _fields(upload)
    return await transport.send_file(
        lambda http: http.build_request("POST", target, files=fields, headers=headers), repeatable=False
    )


def _drop_credentials(request: httpx2.Request, http: httpx2.AsyncClient, kept: Mapping[str, str]) -> None:
    """Takes out what a client that was given adds to each request: a bucket refuses it, and must not see it."""
    wanted = {name.lower() for name in kept} | _HARMLESS
    for name in {*(name.lower() for name in http.headers), "authorization", "cookie"} - wanted:
        request.headers.pop(name, None)


async def _chunks(content: bytes | Path) -> AsyncIterator[bytes]:
    if isinstance(content, bytes):
        for start in range(0, len(content), _CHUNK_BYTES):
            yield content[start : start + _CHUNK_BYTES]
        return
    file = await asyncio.to_thread(content.open, "rb")
    try:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk
    finally:
        file.close()


async def _fields(upload: Upload) -> dict[str, tuple[str, bytes, str]]:
    content = upload.content
    whole = content if isinstance(content, bytes) else await asyncio.to_thread(content.read_bytes)
    return {"file": (upload.name, whole, upload.mime_type)}


def _without_type(headers: Mapping[str, str]) -> dict[str, str]:
    # The form's own type has a boundary in it.
    return {name: value for name, value in headers.items() if name.lower() != "content-type"}
