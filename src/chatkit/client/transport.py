"""Carries requests to the endpoint: one POST each, with retries where a second one does no harm."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Final

from chatkit.client.errors import TransportError, error_of_answer
from chatkit.errors import MissingExtraError
from chatkit.sse import MEDIA_TYPE
from chatkit.types import BaseReq, ThreadsAddClientToolOutputReq

try:
    import httpx2
except ImportError as error:  # pragma: no cover - needs an environment without the extra
    raise MissingExtraError("The client needs httpx2: pip install 'chatkit-server[client]'") from error

__all__ = ["DEFAULT_TIMEOUT", "Transport"]

DEFAULT_TIMEOUT: Final = httpx2.Timeout(60.0, connect=10.0)
"""Seconds. A stream counts as broken after that long without a byte; servers send keep-alives more often."""

_LONGEST_PAUSE: Final = 5.0
_NOT_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_BUCKET_ERROR: Final = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")
_random = secrets.SystemRandom()


class Transport:
    """The way to one endpoint.

    Args:
        url: The endpoint, such as ``http://127.0.0.1:8000/chatkit``.
        headers: Sent with each request.
        http: A client to use; it stays open when this transport closes. None makes one.
        timeout: For a client made here.
        retries: How often a request is sent again after a connection failed.
        backoff: Seconds before the first retry; doubled each time, up to 5, and shortened at random by up to half.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        http: httpx2.AsyncClient | None = None,
        timeout: httpx2.Timeout | float = DEFAULT_TIMEOUT,
        retries: int = 2,
        backoff: float = 0.25,
    ) -> None:
        self.url = url
        self.retries = retries
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
        """
        response = await self._send(
            self._asking(request, "application/json"), repeatable=repeatable, whole=True
        )
        return response.content

    async def open(self, request: BaseReq, *, repeatable: bool = False) -> httpx2.Response:
        """Returns the answer to a streaming request with its body unread; the caller closes it.

        Raises and arguments as in ``call``.
        """
        return await self._send(self._asking(request, MEDIA_TYPE), repeatable=repeatable, whole=False)

    async def send_file(
        self, make: Callable[[httpx2.AsyncClient], httpx2.Request], *, repeatable: bool
    ) -> bytes:
        """Returns the body of the answer to an upload, which may go to another server than the endpoint's.

        Args:
            make: Makes the request, anew for each attempt.
            repeatable: As in ``call``.

        Raises:
            ChatKitError: The error that the server reported.
            TransportError: The server cannot be reached.
        """
        response = await self._send(make, repeatable=repeatable, whole=True, is_upload=True)
        return response.content

    def has_origin_of(self, url: httpx2.URL) -> bool:
        """Whether a URL leads to the server that the endpoint is at."""
        own = httpx2.URL(self.url)
        return (own.scheme, own.host, _port(own)) == (url.scheme, url.host, _port(url))

    @property
    def credentials(self) -> dict[str, str]:
        """The headers that the user gave for every request."""
        return {name: value for name, value in self._headers.items() if name.lower() != "content-type"}

    async def pause(self, attempt: int) -> None:
        """Waits before a retry; the longer, the higher ``attempt`` (from 0)."""
        longest = min(self._backoff * 2**attempt, _LONGEST_PAUSE)
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
    ) -> httpx2.Response:
        attempt = 0
        where = self.url
        while True:
            try:
                sent = make(self._http)
                # Without its query, which may be a signature.
                where = str(sent.url.copy_with(query=None)) if is_upload else self.url
                # A client that was given may add credentials of its own.
                auth = None if is_upload and not self.has_origin_of(sent.url) else httpx2.USE_CLIENT_DEFAULT
                response = await self._http.send(sent, stream=True, auth=auth)
                try:
                    if whole or not response.is_success:
                        await response.aread()
                except BaseException:
                    await response.aclose()
                    raise
            except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
                raise TransportError(f"{where} is not an http or https URL.") from error
            except httpx2.TransportError as error:
                if attempt >= self.retries or not (repeatable or isinstance(error, _NOT_SENT)):
                    raise TransportError(f"{where} cannot be reached: {describe(error)}.") from error
            else:
                if not response.is_success:
                    otherwise = _refusal(response) if is_upload else None
                    raise error_of_answer(response.status_code, response.content, response.headers, otherwise)
                return response
            await self.pause(attempt)
            attempt += 1


def _port(url: httpx2.URL) -> int | None:
    return url.port or {"http": 80, "https": 443}.get(url.scheme)


def _refusal(response: httpx2.Response) -> str:
    # Buckets explain themselves in XML; the rest of it repeats the signed request.
    code = _BUCKET_ERROR.search(response.content[:4096])
    reason = f" ({code[1].decode()})" if code else ""
    return f"{response.url.host} refused the file with HTTP status {response.status_code}{reason}."


def _encode(request: BaseReq) -> bytes:
    # A tool's output may be null, and must be there all the same.
    keep_none = isinstance(request, ThreadsAddClientToolOutputReq)
    return type(request).__pydantic_serializer__.to_json(request, exclude_none=not keep_none, by_alias=True)


def describe(error: Exception) -> str:
    """Returns the reason of a transport failure in a few words, without a full stop."""
    return str(error).rstrip(".") or type(error).__name__
