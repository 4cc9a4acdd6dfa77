"""Errors as the ``openai`` client, and pages, read them: ``{"error": {"message", "type", "param", "code"}}``."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from chatkit.errors import RequestError, UnsupportedOperationError
from chatkit.hosted.keys import is_of_openai
from chatkit.server import ChatKitServer
from chatkit.server.blocking import watch_loop
from chatkit.web.errors import response_for
from chatkit.web.refusals import note_refusal

__all__ = ["BadRequestError", "UnknownError", "UnlistedError", "answering", "first_problem"]

_TYPES: Final = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_UNIMPLEMENTED: Final = 501
_SHOWN_CHARS: Final = 64


class BadRequestError(RequestError):
    """A request with a parameter that is not as it should be.

    Args:
        message: What is wrong.
        param: The parameter.
        code: The reason, for programs.
    """

    def __init__(self, message: str, *, param: str | None = None, code: str = "invalid_value") -> None:
        super().__init__(message)
        self.param = param
        self.code = code


class UnknownError(RequestError):
    """A request for what there is not; its message says what."""

    status = 404

    def __init__(self, message: str, *, param: str | None = None, code: str = "not_found") -> None:
        super().__init__(message)
        self.param = param
        self.code = code


class UnlistedError(UnsupportedOperationError):
    """A store cannot list the threads of a tenant; its message, which the tenant's server reads, says which and why."""

    @property
    def public_message(self) -> str:
        return str(self)


def first_problem(error: ValidationError) -> BadRequestError:
    """Returns the error for a body that does not fit; what the client sent is not repeated."""
    found = error.errors(include_url=False, include_input=False, include_context=False)[0]
    # A name may be a key that was put in the wrong place.
    names = ["sk-..." if is_of_openai(str(name)) else str(name) for name in found["loc"]]
    place = ".".join(names)
    if len(place) > _SHOWN_CHARS:
        place = f"{place[:_SHOWN_CHARS]}..."
    unknown = found["type"] == "extra_forbidden"
    message = f"Unknown parameter: '{place}'." if unknown else f"{place or 'The body'}: {found['msg']}."
    return BadRequestError(
        message, param=place or None, code="unknown_parameter" if unknown else "invalid_value"
    )


def answering(
    work: Callable[[Request], Awaitable[Response]], servers: Iterable[ChatKitServer[Any]] = ()
) -> Callable[[Request], Awaitable[Response]]:
    """Returns an endpoint that answers with what ``work`` returns or raises.

    Args:
        work: Answers a request.
        servers: One of them may have an audit log, which is told of refused sign-ins.
    """

    async def answer(request: Request) -> Response:
        try:
            with watch_loop():
                return await work(request)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:  # noqa: BLE001 -- response_for logs what is not expected
            await note_refusal(servers, request, error)
            return _in_form(response_for(error), getattr(error, "param", None))

    return answer


def _in_form(response: Response, param: str | None) -> Response:
    status = response.status_code
    said: dict[str, Any] = json.loads(bytes(response.body))["error"]
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    error = {"message": said["message"], "type": kind, "param": param, "code": said["code"]}
    headers = {
        name: value
        for name, value in response.headers.items()
        if name not in {"content-length", "content-type"}
    }
    if status == _UNIMPLEMENTED:
        # The client would send it again.
        headers["x-should-retry"] = "false"
    return Response(json.dumps({"error": error}), status, headers, media_type="application/json")
