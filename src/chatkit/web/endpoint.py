"""The endpoint of the protocol and the probes, for any framework."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final, TypeAlias

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from chatkit._outages import Outage
from chatkit.errors import (
    ChatKitError,
    ConfigurationError,
    RequestTooLargeError,
    ShuttingDownError,
    StoreUnavailableError,
    UnsupportedMediaTypeError,
)
from chatkit.files.links import serving_at
from chatkit.limits import DEFAULT_LIMITS
from chatkit.server import ChatKitServer, NonStreamingResult, StreamingResult
from chatkit.web.auth import check_context, note_single_user
from chatkit.web.errors import error_response, response_for
from chatkit.web.lifecycle import Lifecycle
from chatkit.web.response import EventStreamResponse

__all__ = [
    "HEALTH_PATH",
    "READY_PATH",
    "ChatRoutes",
    "Process",
    "check_media_type",
    "declares_more",
    "read_body",
]

logger = logging.getLogger("chatkit.web")

Process: TypeAlias = Callable[[bytes, Any], Awaitable[StreamingResult | NonStreamingResult]]
"""Answers a body with a context, as ``ChatKitServer.process`` does."""

HEALTH_PATH: Final = "/health"
READY_PATH: Final = "/readyz"

_FOR_POST: Final = "This is the address of the ChatKit protocol: send requests with POST."
_DESCRIPTION: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>ChatKit endpoint</title>
<body>
<h1>This is a ChatKit endpoint</h1>
<p>Chat pages and programs send their requests here, with POST. Give this address to yours as <code>api.url</code>, or
talk to it in a terminal with <code>chatkit chat</code> and this address.</p>
<p>A page to chat on is at <a href="./">the address without its last part</a>, if this server has one.</p>
"""
_DESCRIPTION_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Vary": "Accept",
}


class ChatRoutes:
    """Answers requests of the protocol, and probes. It checks its options, which are those of ``create_app``.

    Files are served at the path ``files``; None if nowhere. ``probes`` is whether there are probes beside ``path``.
    """

    def __init__(
        self,
        server: ChatKitServer[Any],
        context: object,
        *,
        path: str,
        files: str | None,
        probes: bool = True,
        max_body_bytes: int | None,
        keep_alive: float,
        workers: int | None,
        drain_seconds: float,
    ) -> None:
        if not path.startswith("/"):
            raise ConfigurationError(f"path={path!r} must begin with a slash.")
        if probes and path in {HEALTH_PATH, READY_PATH}:
            raise ConfigurationError(f"path={path!r} is the path of a probe; choose another one.")
        check_context(context)
        note_single_user(server, context)
        self.lifecycle = Lifecycle(server, workers=workers, drain_seconds=drain_seconds)
        if max_body_bytes is not None:
            if max_body_bytes < 1:
                raise ConfigurationError(f"max_body_bytes={max_body_bytes} must be at least 1.")
            server.limits = (server.limits or DEFAULT_LIMITS).for_bodies_of(max_body_bytes)
        if not keep_alive > 0:
            raise ConfigurationError(f"keep_alive={keep_alive} must be a positive number of seconds.")
        self._server = server
        self._max_body_bytes = max_body_bytes
        self._keep_alive = keep_alive
        self._path = path
        self._files = files
        self._unready = Outage("The server is not ready", "The server is ready again.", logger)

    async def chat(self, request: Request, context: object, process: Process | None = None) -> Response:
        """Answers a request of the protocol; raises what ``process()`` raises.

        Args:
            request: The request.
            context: Its context.
            process: What answers the body; by default the server.
        """
        process = process or self._server.process
        check_media_type(request)
        most_bytes = self._max_body_bytes
        if most_bytes is None:
            # The server knows how many each type of request may have.
            limits = self._server.limits or DEFAULT_LIMITS
            most_bytes = max(limits.body_bytes, limits.transcribe_bytes)
        try:
            body = await read_body(request, most_bytes)
        except ClientDisconnect:
            logger.debug("A client left before it had sent its request.")
            return Response(status_code=400)
        if self.lifecycle.ending:
            raise ShuttingDownError
        await self.lifecycle.ensure_started()
        if self._files is None:
            result = await process(body, context)
        else:
            # As the request reached the application.
            url = request.url
            address = f"{url.scheme}://{url.netloc}{url.path.removesuffix(self._path)}{self._files}"
            # A turn that begins here runs in a copy of this context.
            with serving_at(address):
                result = await process(body, context)
        if isinstance(result, StreamingResult):
            logger.debug("Turn %s streams to %s.", result.turn_id, request.client)
            stream = EventStreamResponse(result, keep_alive=self._keep_alive)
            self.lifecycle.watch(stream)
            return stream
        logger.debug("Answered %s with %d bytes.", request.client, len(result.json))
        return Response(
            result.json, media_type="application/json", background=self.lifecycle.sweep_in_passing()
        )

    async def describe(self, request: Request) -> Response:
        """Answers a browser that opens the address of the protocol; raises HTTPException (405) for other clients."""
        if "text/html" not in request.headers.get("accept", ""):
            raise HTTPException(405, _FOR_POST, {"Allow": "POST"})
        return Response(_DESCRIPTION, media_type="text/html", headers=_DESCRIPTION_HEADERS)

    async def ready(self, request: Request) -> Response:
        """Answers a readiness probe: 200 if requests can be served, else 503."""
        if self.lifecycle.ending:
            return response_for(ShuttingDownError())
        try:
            await self.lifecycle.check()
        except Exception as error:  # noqa: BLE001 -- it is logged
            self._unready.failed(error)
            code = error.code if isinstance(error, ChatKitError) else StoreUnavailableError.code
            return error_response(503, code, StoreUnavailableError.default_message)
        self._unready.recovered()
        return Response(b'{"status":"ok"}', media_type="application/json")

    async def health(self, request: Request) -> Response:
        """Answers a liveness probe."""
        return Response(b'{"status":"ok"}', media_type="application/json")


def check_media_type(request: Request) -> None:
    """Raises UnsupportedMediaTypeError unless a request is ``application/json`` or ``application/*+json``.

    Browsers send requests without a media type, or with one that a form can have, across origins without asking
    first, with the cookies of the user.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = media_type.startswith("application/") and media_type.endswith("+json")
    if not is_json and media_type != "application/json":
        raise UnsupportedMediaTypeError


async def read_body(request: Request, limit: int) -> bytes:
    """Returns the body of a request, which may have been read already.

    What the client declares is checked first, so that a declared excess is refused at once; what it sends is counted
    in any case.

    Raises:
        RequestTooLargeError: The body has more bytes than ``limit``.
        starlette.requests.ClientDisconnect: The client left before it had sent everything.
    """
    if declares_more(request, limit):
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


def declares_more(request: Request, limit: int) -> bool:
    """Returns whether a request declares a body of more than ``limit`` bytes."""
    declared = request.headers.get("content-length", "")
    # A number of more digits than any limit has would be slow to convert.
    return declared.isascii() and declared.isdigit() and (len(declared) > 18 or int(declared) > limit)


def _too_large(limit: int) -> RequestTooLargeError:
    return RequestTooLargeError(f"The request is too large; at most {limit} bytes are taken.")
