"""HTTP requests to the endpoint, with retries where they do no harm."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Final

import httpx2

from chatkit._unicode import well_formed
from chatkit.client.errors import TransportError, UnexpectedAnswerError, error_of_answer
from chatkit.sse import MEDIA_TYPE
from chatkit.types import BaseReq, ThreadsAddClientToolOutputReq

__all__ = ["DEFAULT_MAX_BYTES", "DEFAULT_TIMEOUT", "Transport"]

DEFAULT_TIMEOUT: Final = httpx2.Timeout(60.0, connect=10.0)
"""Seconds. A stream counts as broken after that long without a byte; servers send keep-alives more often."""

DEFAULT_MAX_BYTES: Final = 64 * 1024 * 1024
"""Bytes of an answer, or of an event of a stream, at most: a page may hold many items, an event a picture."""

_MAX_ERROR_BYTES: Final = 64 * 1024
_LONGEST_PAUSE_SECONDS: Final = 5.0
_LONGEST_REASON_CHARACTERS: Final = 500
_NOT_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_BUCKET_ERROR: Final = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")
_random = secrets.SystemRandom()


class Transport:
    """Sends requests to one endpoint, with the options of ``ChatKitClient``."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None,
        http: httpx2.AsyncClient | None,
        timeout: httpx2.Timeout | float,
        retries: int,
        backoff: float,
        max_bytes: int,
    ) -> None:
        self.url = url
        self.retries = retries
        self.max_bytes = max_bytes
        self._headers = {**(headers or {}), "Content-Type": "application/json"}
        self._owned = http is None
        self._http = http or httpx2.AsyncClient(timeout=timeout)
        self._backoff = backoff

    async def call(self, request: BaseReq, *, repeatable: bool = False) -> bytes:
        """Returns the JSON body of the answer.

        Args:
            request: What to ask.
            repeatable: Whether the request may be sent again when it is not known if the first one arrived.

        Raises:
            ChatKitError: The error that the server reported.
            TransportError: The server cannot be reached.
            UnexpectedAnswerError: The answer is too large, or damaged.
        """
        _, body = await self._send(
            self._asking(request, "application/json"), repeatable=repeatable, whole=True
        )
        return body

    async def open(self, request: BaseReq, *, repeatable: bool = False) -> httpx2.Response:
        """Returns the answer to a streaming request with its body unread, for the caller to close; else as ``call``."""
        response, _ = await self._send(self._asking(request, MEDIA_TYPE), repeatable=repeatable, whole=False)
        return response

    async def send_file(
        self, make: Callable[[httpx2.AsyncClient], httpx2.Request], *, repeatable: bool
    ) -> bytes:
        """Returns the body of the answer to an upload, which may go to another server than the endpoint's.

        ``make`` makes the request, anew for each attempt; else as ``call``.
        """
        _, body = await self._send(make, repeatable=repeatable, whole=True, is_upload=True)
        return body

    def has_origin_of(self, url: httpx2.URL) -> bool:
        """Returns whether a URL leads to the server that the endpoint is at."""
        own = httpx2.URL(self.url)
        return (own.scheme, own.host, _port(own)) == (url.scheme, url.host, _port(url))

    @property
    def credentials(self) -> dict[str, str]:
        """The headers that the user gave for every request."""
        return {name: value for name, value in self._headers.items() if name.lower() != "content-type"}

    async def pause(self, attempt: int) -> None:
        """Waits before a retry; the longer, the higher ``attempt`` (from 0)."""
        longest = min(self._backoff * 2**attempt, _LONGEST_PAUSE_SECONDS)
        await asyncio.sleep(longest * _random.uniform(0.5, 1.0))

    async def aclose(self) -> None:
        """Closes the connections that were opened here."""
        if self._owned:
            await self._http.aclose()

    def _asking(self, request: BaseReq, accept: str) -> Callable[[httpx2.AsyncClient], httpx2.Request]:
        body = _encode(request)
        headers = {**self._headers, "Accept": accept}
        return lambda http: http.build_request("POST", self.url, content=body, headers=headers)

    async def _send(
        self,
        make: Callable[[httpx2.AsyncClient], httpx2.Request],
        *,
        repeatable: bool,
        whole: bool,
        is_upload: bool = False,
    ) -> tuple[httpx2.Response, bytes]:
        """Returns the answer and, if the ``whole`` is asked for, its body."""
        attempt = 0
        where = self.url
        while True:
            body = b""
            try:
                sent = make(self._http)
                # Without its query, which may be a signature.
                where = str(sent.url.copy_with(query=None)) if is_upload else self.url
                # A client that was given may add credentials of its own.
                auth = None if is_upload and not self.has_origin_of(sent.url) else httpx2.USE_CLIENT_DEFAULT
                response = await self._http.send(sent, stream=True, auth=auth)
                try:
                    if not response.is_success:
                        body = await _beginning(response, _MAX_ERROR_BYTES)
                    elif whole:
                        body = await _beginning(response, self.max_bytes + 1)
                except BaseException:
                    await response.aclose()
                    raise
            except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
                raise TransportError(f"{where} is not an http or https URL.") from error
            except httpx2.TransportError as error:
                if attempt >= self.retries or not (repeatable or isinstance(error, _NOT_SENT)):
                    raise TransportError(f"{where} cannot be reached: {describe(error)}.") from error
            except httpx2.RequestError as error:
                # Compressed in a way that cannot be undone, or redirected without an end.
                raise UnexpectedAnswerError(
                    f"{where} answered with what cannot be read: {describe(error)}."
                ) from error
            else:
                if not response.is_success:
                    otherwise = _refusal(response, body) if is_upload else None
                    raise error_of_answer(response.status_code, body, response.headers, otherwise)
                if len(body) > self.max_bytes:
                    raise UnexpectedAnswerError(
                        f"{where} answered with more than {self.max_bytes} bytes; ask for less, or raise max_bytes=."
                    )
                return response, body
            await self.pause(attempt)
            attempt += 1


async def _beginning(response: httpx2.Response, size: int) -> bytes:
    """Returns the first bytes of a body, ``size`` at most: it may be endless, or grow as it is decompressed."""
    chunks: list[bytes] = []
    left = size
    async with aclosing(response.aiter_bytes()) as stream:
        async for chunk in stream:
            chunks.append(chunk[:left])
            left -= len(chunks[-1])
            if left == 0:
                break
    return b"".join(chunks)


def _port(url: httpx2.URL) -> int | None:
    return url.port or {"http": 80, "https": 443}.get(url.scheme)


def _refusal(response: httpx2.Response, body: bytes) -> str:
    # Buckets explain themselves in XML; the rest of it repeats the signed request.
    code = _BUCKET_ERROR.search(body[:4096])
    reason = f" ({code[1].decode()})" if code else ""
    return f"{response.url.host} refused the file with HTTP status {response.status_code}{reason}."


def _encode(request: BaseReq) -> bytes:
    # A tool's output may be null, and must be there all the same.
    keep_none = isinstance(request, ThreadsAddClientToolOutputReq)
    given = well_formed(request)
    return type(given).__pydantic_serializer__.to_json(given, exclude_none=not keep_none, by_alias=True)


def describe(error: Exception) -> str:
    """Returns the reason of a transport failure in a few words, without a full stop."""
    return str(error)[:_LONGEST_REASON_CHARACTERS].rstrip(".") or type(error).__name__
