"""uvicorn's HTTP connection with bounds on the size and the slowness of requests.

uvicorn's own connection class keeps a header line of any length in memory, waits for ever for the rest of a request,
and takes any number of requests before the first one is answered.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from chatkit.errors import ConfigurationError, MissingExtraError

try:
    from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
except ImportError as error:
    raise MissingExtraError(
        "Bounded connections need uvicorn and httptools: pip install 'chatkit-server[serve]'."
    ) from error

__all__ = ["DEFAULT_REQUEST_TIMEOUT", "BoundedProtocol"]

DEFAULT_REQUEST_TIMEOUT: Final = 20.0
"""Seconds for the head of a request, and for each further part of its body."""

_MAX_HEAD_BYTES: Final = 64 * 1024
_MAX_HEADERS: Final = 200
_MAX_PIPELINED: Final = 16
_MAX_SILENT_BYTES: Final = 64 * 1024
"""Bytes that bring a request no further: an unfinished line, extensions of a chunk, trailers, empty lines."""

_MIN_BODY_BYTES: Final = 1024
"""Bytes of a body in each period of the timeout; a client that sends fewer holds a connection for nothing."""

_LAST_REQUEST_SECONDS: Final = 0.5
"""For a request that is on its way to a server that ends: a connection closed at once would reset it unanswered."""

_FIRST_REQUEST_SECONDS: Final = 3.0
"""The same for a connection that has had no request yet: who opens one is about to send one, and a client does not
expect it to be closed, as it does after an answer."""

_LINGER_SECONDS: Final = 1.0
_LINGER_BYTES: Final = 256 * 1024
"""For what a client still sends after a refusal: closing at once would reset the connection before it has read why."""

_REFUSALS: Final = {
    400: "Invalid HTTP request received.",
    408: "The request did not arrive in time.",
    431: "The head of the request is too large.",
}


class _RefusedError(Exception):
    """Ends the parsing of what a client sent."""


class BoundedProtocol(HttpToolsProtocol):
    """An HTTP connection whose requests are bounded before the application sees them.

    A head has at most 64 KiB and 200 headers, else the answer is 431. It has to be complete within ``request_timeout``
    seconds of the connection's, or of its own, first byte; a body must bring at least 1 KiB in each such period, else
    the answer is 408. Trailers are dropped. At most 16 requests wait for the answer to one before them.

    When the server ends, a connection without a request stays open for another half a second, for three seconds if it
    has had none yet: what was on its way to it is answered, and closed after that.

    ``chatkit serve`` uses it. With uvicorn: ``uvicorn.run(app, http=BoundedProtocol)``.

    Args:
        request_timeout: Seconds. Another number: ``http=functools.partial(BoundedProtocol, request_timeout=60)``.
        arguments: What uvicorn gives.

    Raises:
        ConfigurationError: The timeout is no positive number.
    """

    def __init__(
        self, *arguments: Any, request_timeout: float = DEFAULT_REQUEST_TIMEOUT, **more: Any
    ) -> None:
        if not request_timeout > 0:
            raise ConfigurationError(
                f"request_timeout must be a positive number of seconds, not {request_timeout!r}."
            )
        super().__init__(*arguments, **more)
        self._timeout = request_timeout
        self._begun = False
        self._in_head = True
        self._in_body = False
        self._timer: asyncio.TimerHandle | None = None
        self._progressed = False
        self._silent_bytes = 0
        self._body_bytes = 0
        self._refusal = 400
        self._refused = False
        self._lingering_bytes = 0
        self._ends = False
        self._used = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._lingering_bytes += len(data)
            if self._lingering_bytes > _LINGER_BYTES:
                self.transport.close()
            return
        self._progressed = False
        # Data after the end of a request, such as an empty line, is the head of the next one.
        self._in_head = not self._in_body
        super().data_received(data)
        if self._refused or self.transport.is_closing() or self.transport.get_protocol() is not self:
            self._unwatch()
            return
        self._silent_bytes = 0 if self._progressed else self._silent_bytes + len(data)
        if self._silent_bytes > _MAX_SILENT_BYTES:
            self._refuse(431)
            return
        if self._timer is None and (self._in_head or self._in_body):
            self._watch()

    def shutdown(self) -> None:
        self._ends = True
        seconds = _LAST_REQUEST_SECONDS if self._used else _FIRST_REQUEST_SECONDS
        self.loop.call_later(seconds, self._end_idle)

    def _end_idle(self) -> None:
        # What has begun has its own limit of time.
        if not self._begun:
            super().shutdown()

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._progress()
        self._begun, self._in_head, self._in_body, self._used = True, True, False, True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._progress()
        headers = self.headers
        # What came in one piece with other requests has not been counted.
        size = len(self.url) + sum([len(name) + len(value) for name, value in headers])
        if size > _MAX_HEAD_BYTES or len(headers) > _MAX_HEADERS:
            self._refusal = 431
            raise _RefusedError
        self._in_head, self._in_body = False, True
        self._body_bytes = 0
        super().on_headers_complete()
        cycle: Any = self.cycle
        if self._ends and cycle is not None:
            # uvicorn says so in the answer, but for old versions, and closes the connection after it.
            cycle.keep_alive = False
        if len(self.pipeline) > _MAX_PIPELINED:
            raise _RefusedError
        if not cast("Any", self.parser).should_upgrade():
            # Where trailers go: the application has its headers.
            self.headers = []

    def on_body(self, body: bytes) -> None:
        self._progressed = True
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._progress()
        self._begun = self._in_head = self._in_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._refusal)

    # Time.

    def _progress(self) -> None:
        self._progressed = True
        self._unwatch()

    def _watch(self) -> None:
        self._timer = self.loop.call_later(self._timeout, self._time_is_up)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_is_up(self) -> None:
        self._timer = None
        # An application that does not read the body holds it up itself.
        in_time = self._in_body and (self.flow.read_paused or self._body_bytes >= _MIN_BODY_BYTES)
        if in_time and not self.cycle.response_complete:
            self._body_bytes = 0
            self._watch()
        else:
            self._refuse(408)

    def _refuse(self, status: int) -> None:
        self._unwatch()
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        if self._is_asked() if status == 408 else self._is_silent():
            message = _REFUSALS[status].encode()
            self.transport.write(
                STATUS_LINE[status]
                + b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
                + b"content-length: %d\r\n\r\n" % len(message)
                + message
            )
        cycle: Any = self.cycle
        # While an application answers, what it writes would find no open end.
        if (cycle is None or cycle.response_complete) and self.transport.can_write_eof():
            self.transport.write_eof()
            self.loop.call_later(_LINGER_SECONDS, self.transport.close)
        else:
            self.transport.close()

    def _is_silent(self) -> bool:
        """Returns whether no answer has begun, or is due before that to what arrives now."""
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete:
            return True
        return self._in_body and not cycle.response_started and not self.pipeline

    def _is_asked(self) -> bool:
        """Returns whether a part of a request has arrived that is still to be answered."""
        if self._in_body:
            return self._is_silent() and not self.cycle.response_complete
        return self._begun and self._is_silent()
