"""Errors as HTTP answers, ``{"error": {"code": ..., "message": ...}}`` with the status of the error, and in the log."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from chatkit.errors import ChatKitError, ConfigurationError, ShuttingDownError, StoreUnavailableError

__all__ = [
    "SELF_EXPLANATORY",
    "Outage",
    "answer_error",
    "error_response",
    "install_error_handlers",
    "log_failure",
    "response_for",
]

logger = logging.getLogger("chatkit.web")

_CODES: Final[dict[int, str]] = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    410: "gone",
    413: "request_too_large",
    415: "unsupported_media_type",
    422: "invalid_request",
    429: "rate_limited",
    500: "internal_error",
    501: "not_implemented",
    503: "unavailable",
}
# What is out of service is expected back soon; seconds.
_RETRY: Final = {"Retry-After": "1"}
_WITHOUT_BODY: Final = frozenset({204, 205, 304})

SELF_EXPLANATORY: Final = (ConfigurationError, StoreUnavailableError)
"""Errors whose message says what an operator has to do; where they were raised does not help."""

_REMINDER_SECONDS: Final = 60.0


def error_response(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Returns an answer in the form that every error has."""
    body = json.dumps({"error": {"code": code, "message": message}}, separators=(",", ":"))
    return Response(body, status, headers, media_type="application/json")


def response_for(error: Exception) -> Response:
    """Returns the answer to an error.

    Errors of this package show their public message; exceptions of the framework keep status, headers and
    detail; any other exception is logged and answered with a general text.
    """
    if isinstance(error, ChatKitError):
        return _from_chatkit_error(error)
    if isinstance(error, HTTPException):
        return _from_http_exception(error)
    logger.error("A request failed.", exc_info=error)
    return error_response(500, ChatKitError.code, ChatKitError.default_message)


def install_error_handlers(app: Starlette) -> None:
    """Makes an application answer the errors of ``ChatKitServer.process()`` with their status and body.

    For endpoints written by hand; ``create_app`` and ``chatkit_router`` do so by themselves. The framework's
    own exceptions and those of the application keep their handling.

    Args:
        app: A Starlette or FastAPI application.
    """
    app.add_exception_handler(ChatKitError, answer_error)


async def answer_error(request: Request, error: Exception) -> Response:
    """Answers an error, as an exception handler of the framework."""
    return response_for(error)


def _from_chatkit_error(error: ChatKitError) -> Response:
    if isinstance(error, ShuttingDownError):
        logger.info("A request came while the server ends.")
    elif error.status >= 500 and error.status not in {501, 503}:
        logger.error("A request failed.", exc_info=error)
    elif error.status >= 500 or isinstance(error, ConfigurationError):
        logger.warning("A request could not be served: %s", error)
    # A stream error carries a member of an enum of texts.
    code = cast("str", getattr(error.code, "value", error.code))
    headers = {**_RETRY, **error.headers} if error.status == 503 else error.headers
    return error_response(error.status, code, error.public_message, headers)


def _from_http_exception(error: HTTPException) -> Response:
    if error.status_code in _WITHOUT_BODY or error.status_code < 200:
        return Response(status_code=error.status_code, headers=error.headers)
    detail = cast("object", error.detail)
    message = detail if isinstance(detail, str) and detail else _phrase(error.status_code)
    code = _CODES.get(error.status_code, f"http_{error.status_code}")
    return error_response(error.status_code, code, message, error.headers)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "The request failed."


def log_failure(what: str, error: Exception) -> None:
    """Logs that ``what`` failed: in one line if the error's message says what to do, else with its traceback."""
    if isinstance(error, SELF_EXPLANATORY):
        logger.warning("%s: %s", what, error)
        logger.debug("Where that was found out:", exc_info=error)
    else:
        logger.error("%s.", what, exc_info=error)


class Outage:
    """Something that is tried again and again, and may fail for a while.

    ``what`` says what failed, without a full stop; ``over`` is logged when it works again.
    """

    def __init__(self, what: str, over: str) -> None:
        self._what = what
        self._over = over
        self._kind: type[Exception] | None = None
        self._told_at = 0.0

    def failed(self, error: Exception) -> None:
        """Logs a failure, unless the same kind of failure was logged within the last minute."""
        now = time.monotonic()
        if type(error) is not self._kind or now - self._told_at >= _REMINDER_SECONDS:
            log_failure(self._what, error)
            self._kind, self._told_at = type(error), now

    def recovered(self) -> None:
        """Logs that it works again, if a failure was logged before."""
        if self._kind is not None:
            # As loud as its beginning: who saw that one waits for this.
            logger.warning("%s", self._over)
            self._kind = None
