"""Errors as HTTP answers, ``{"error": {"code": ..., "message": ...}}`` with the status of the error, and in the log."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from chatkit._observers import observers
from chatkit._outages import is_disk_full, log_failure
from chatkit.errors import ChatKitError, ConfigurationError, ShuttingDownError, StoreUnavailableError

__all__ = ["answer_error", "error_response", "install_error_handlers", "response_for"]

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
    log_failure(logger, "A request failed", error)
    if is_disk_full(error):
        return _told(503, StoreUnavailableError.code, StoreUnavailableError.default_message, _RETRY)
    return _told(500, ChatKitError.code, ChatKitError.default_message)


def _told(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    for observer in observers():
        observer.failed(code, "answer")
    return error_response(status, code, message, headers)


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
    elif error.status == 501:
        logger.warning("A request could not be served: %s", error)
    elif error.status >= 500 or isinstance(error, ConfigurationError):
        log_failure(
            logger, "A request could not be served" if error.status == 503 else "A request failed", error
        )
    # A stream error carries a member of an enum of texts.
    code = cast("str", getattr(error.code, "value", error.code))
    headers = {**_RETRY, **error.headers} if error.status == 503 else error.headers
    return _told(error.status, code, error.public_message, headers)


def _from_http_exception(error: HTTPException) -> Response:
    if error.status_code in _WITHOUT_BODY or error.status_code < 200:
        return Response(status_code=error.status_code, headers=error.headers)
    detail = cast("object", error.detail)
    message = detail if isinstance(detail, str) and detail else _phrase(error.status_code)
    code = _CODES.get(error.status_code, f"http_{error.status_code}")
    return _told(error.status_code, code, message, error.headers)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "The request failed."
