"""Errors of the connection, and of what was answered.

Errors that the server reports are the classes of :mod:`chatkit.errors`, with the server's message.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final, cast

from pydantic_core import from_json

from chatkit.errors import (
    AlreadyUploadedError,
    AuthenticationError,
    ChatKitError,
    ConflictError,
    InvalidRequestError,
    MalformedRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RequestError,
    RequestTooLargeError,
    StoreUnavailableError,
    UnsupportedMediaTypeError,
    UnsupportedOperationError,
)

__all__ = ["ServerError", "StreamInterrupted", "TransportError", "UnexpectedAnswerError", "error_of_answer"]


class TransportError(ChatKitError):
    """The server cannot be reached, or the connection broke and could not be restored."""

    code = "transport_error"
    status = 503
    default_message = "The server cannot be reached."


class StreamInterrupted(TransportError):  # noqa: N818 - names what happened to the stream, not a fault of the caller
    """A stream broke off before the turn's end, and re-attaching failed. What was read so far is valid.

    Attributes:
        last_event_id: The cursor for a later ``resume``; None if no event with an id arrived.
    """

    code = "stream_interrupted"
    default_message = "The answer broke off before its end."

    def __init__(self, message: str | None = None, *, last_event_id: str | None = None) -> None:
        super().__init__(message)
        self.last_event_id = last_event_id


class ServerError(ChatKitError):
    """The server failed, or refused in a way that has no class of its own.

    Attributes:
        http_status: The status of the answer.
        server_code: The ``code`` of the error body, empty if there was none.
    """

    code = "server_error"

    def __init__(self, message: str | None = None, *, http_status: int = 500, server_code: str = "") -> None:
        super().__init__(message)
        self.http_status = http_status
        self.server_code = server_code


class UnexpectedAnswerError(ChatKitError):
    """What answered does not speak the protocol; most often the URL is not the chat's endpoint."""

    code = "unexpected_answer"
    status = 502
    default_message = "The answer is not one of the ChatKit protocol. Is the URL the chat's endpoint?"


_LONGEST_CHARACTERS: Final = 2_000
"""Characters of what a server says of an error that are kept."""

_BY_STATUS: Final[dict[int, type[ChatKitError]]] = {
    400: MalformedRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    # Of buckets, which write a file once.
    412: AlreadyUploadedError,
    413: RequestTooLargeError,
    415: UnsupportedMediaTypeError,
    422: InvalidRequestError,
    429: RateLimitedError,
    501: UnsupportedOperationError,
    503: StoreUnavailableError,
}


def _family(base: type[ChatKitError]) -> Iterator[type[ChatKitError]]:
    yield base
    for child in base.__subclasses__():
        yield from _family(child)


def _class_of(status: int, code: str) -> type[ChatKitError] | None:
    general = _BY_STATUS.get(status)
    for candidate in _family(general or RequestError):
        # Only the package's own classes: an application's subclass may have a constructor of its own.
        if (
            candidate.__module__ == ChatKitError.__module__
            and "code" in vars(candidate)
            and candidate.code == code
        ):
            return candidate
    return general


def error_of_answer(
    status: int, body: bytes, headers: Mapping[str, str], otherwise: str | None = None
) -> ChatKitError:
    """Returns the error that an answer with a failure status stands for.

    Bodies of this package (``{"error": {"code", "message"}}``) and of FastAPI (``{"detail": ...}``) are understood;
    ``otherwise`` is the message where a body is neither.
    """
    code, message = _read_body(body)
    if not message:
        message = (
            otherwise or f"The server answered with HTTP status {status}. Is the URL the chat's endpoint?"
        )
    kind = _class_of(status, code)
    if kind is None:
        return ServerError(message, http_status=status, server_code=code)
    if issubclass(kind, RateLimitedError):
        return RateLimitedError(message, retry_after=_seconds(headers.get("retry-after")))
    return kind(message)


def _read_body(body: bytes) -> tuple[str, str]:
    try:
        parsed: object = from_json(body)
    except ValueError:
        return "", ""
    if not isinstance(parsed, dict):
        return "", ""
    fields = cast("dict[str, object]", parsed)
    error = fields.get("error")
    if isinstance(error, dict):
        described = cast("dict[str, object]", error)
        return _text(described.get("code")), _text(described.get("message"))
    return "", _text(fields.get("detail"))


def _text(value: object) -> str:
    return value[:_LONGEST_CHARACTERS] if isinstance(value, str) else ""


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value) if value is not None else None
    except ValueError:
        return None
    return seconds if seconds is not None and 0 <= seconds < math.inf else None
