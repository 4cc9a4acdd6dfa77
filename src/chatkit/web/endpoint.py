"""What the endpoints do, whatever framework they are registered with."""

from __future__ import annotations

import logging
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from chatkit.errors import ChatKitError, ConfigurationError, ShuttingDownError, StoreUnavailableError
from chatkit.files.links import serving_at
from chatkit.server import ChatKitServer, StreamingResult
from chatkit.web.errors import error_response, response_for
from chatkit.web.lifecycle import Lifecycle
from chatkit.web.limits import check_media_type, read_body
from chatkit.web.outages import Outage
from chatkit.web.response import EventStreamResponse
from chatkit.web.uploads import address_of_files

__all__ = ["HEALTH_PATH", "READY_PATH", "Endpoint", "check_path"]

logger = logging.getLogger("chatkit.web")

HEALTH_PATH: Final = "/health"
READY_PATH: Final = "/readyz"


class Endpoint:
    """Answers requests.

    Args:
        server: The server.
        lifecycle: Its start and end.
        max_body_bytes: The most bytes of a body.
        keep_alive: Seconds of silence after which a stream gets a comment.
        path: Where the protocol is spoken.
        files: Where files are served; None if nowhere.

    Raises:
        ConfigurationError: A number is out of range.
    """

    def __init__(
        self,
        server: ChatKitServer[Any],
        lifecycle: Lifecycle,
        *,
        max_body_bytes: int,
        keep_alive: float,
        path: str,
        files: str | None,
    ) -> None:
        if max_body_bytes < 1:
            raise ConfigurationError(f"max_body_bytes={max_body_bytes} must be at least 1.")
        if not keep_alive > 0:
            raise ConfigurationError(f"keep_alive={keep_alive} must be a positive number of seconds.")
        self._server = server
        self._lifecycle = lifecycle
        self._max_body_bytes = max_body_bytes
        self._keep_alive = keep_alive
        self._path = path
        self._files = files
        self._unready = Outage("The server is not ready", "The server is ready again.")

    async def chat(self, request: Request, context: object) -> Response:
        """Answers a request of the protocol.

        Raises:
            Exception: What ``process()`` raised; the caller turns it into an answer.
        """
        check_media_type(request)
        try:
            body = await read_body(request, self._max_body_bytes)
        except ClientDisconnect:
            logger.debug("A client left before it had sent its request.")
            return Response(status_code=400)
        if self._lifecycle.ending:
            raise ShuttingDownError
        await self._lifecycle.ensure_started()
        if self._files is None:
            result = await self._server.process(body, context)
        else:
            # A turn that begins here runs in a copy of this context.
            with serving_at(address_of_files(request, self._path, self._files)):
                result = await self._server.process(body, context)
        if isinstance(result, StreamingResult):
            logger.debug("Turn %s streams to %s.", result.turn_id, request.client)
            stream = EventStreamResponse(result, keep_alive=self._keep_alive)
            self._lifecycle.watch(stream)
            return stream
        logger.debug("Answered %s with %d bytes.", request.client, len(result.json))
        return Response(
            result.json, media_type="application/json", background=self._lifecycle.sweep_in_passing()
        )

    async def ready(self) -> Response:
        """Answers a readiness probe: 200 if requests can be served, else 503."""
        if self._lifecycle.ending:
            return response_for(ShuttingDownError())
        try:
            await self._lifecycle.check()
        except Exception as error:  # noqa: BLE001 -- it is logged
            self._unready.goes_on(error)
            code = error.code if isinstance(error, ChatKitError) else StoreUnavailableError.code
            return error_response(503, code, StoreUnavailableError.default_message)
        self._unready.is_over()
        return Response(b'{"status":"ok"}', media_type="application/json")

    async def health(self) -> Response:
        """Answers a liveness probe."""
        return Response(b'{"status":"ok"}', media_type="application/json")


def check_path(path: str, *, probes: bool = True) -> None:
    """Raises ConfigurationError if the protocol cannot be spoken at ``path``."""
    if not path.startswith("/"):
        raise ConfigurationError(f"path={path!r} must begin with a slash.")
    if probes and path in {HEALTH_PATH, READY_PATH}:
        raise ConfigurationError(f"path={path!r} is the path of a probe; choose another one.")
