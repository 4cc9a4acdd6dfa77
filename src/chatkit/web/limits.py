"""What a request may look like before it is read as one: its media type and its size."""

from __future__ import annotations

from contextlib import aclosing
from typing import Final

from starlette.requests import Request

from chatkit.errors import RequestTooLargeError, UnsupportedMediaTypeError

__all__ = ["DEFAULT_MAX_BODY_BYTES", "check_media_type", "read_body"]

DEFAULT_MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""Bytes of a request's body; the largest ones are recordings, which travel as base64."""


def check_media_type(request: Request) -> None:
    """Lets ``application/json`` and ``application/*+json`` pass, with any parameters.

    A request without a media type, or with one that a form can have, is refused: browsers send those across
    origins without asking first, with the cookies of the user.

    Raises:
        UnsupportedMediaTypeError: The body is of another type, or of none.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "application/json":
        return
    if media_type.startswith("application/") and media_type.endswith("+json"):
        return
    raise UnsupportedMediaTypeError


async def read_body(request: Request, limit: int) -> bytes:
    """Returns the body.

    Args:
        request: The request; its body may have been read already.
        limit: The most bytes that are taken. What the client declares is checked first, so that a declared
            excess is refused at once; what it sends is counted in any case.

    Raises:
        RequestTooLargeError: The body has more bytes than that.
        starlette.requests.ClientDisconnect: The client left before it had sent everything.
    """
    declared = request.headers.get("content-length", "")
    # A number of more digits than any limit has would be slow to convert.
    if declared.isascii() and declared.isdigit() and (len(declared) > 18 or int(declared) > limit):
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    async with aclosing(request.stream()) as stream:
        async for chunk in stream:
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            chunks.append(chunk)
    return b"".join(chunks)


def _too_large(limit: int) -> RequestTooLargeError:
    return RequestTooLargeError(f"The request is too large; at most {limit} bytes are taken.")
