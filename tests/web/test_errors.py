from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chatkit import errors
from chatkit.demo import GuideServer
from chatkit.store import MemoryStore
from chatkit.web import install_error_handlers
from chatkit.web.errors import error_response, response_for
from tests.support.live_server import live_server
from tests.web import hand_written

CLIENT_ERRORS: list[tuple[errors.ChatKitError, int, str]] = [
    (errors.MalformedRequestError(), 400, "malformed_request"),
    (errors.AuthenticationError(), 401, "unauthenticated"),
    (errors.PermissionDeniedError(), 403, "forbidden"),
    (errors.ConflictError(), 409, "conflict"),
    (errors.AlreadyUploadedError(), 409, "already_uploaded"),
    (errors.UploadIncompleteError(), 409, "upload_incomplete"),
    (errors.LinkExpiredError(), 410, "link_expired"),
    (errors.ThreadLockedError(), 409, "thread_locked"),
    (errors.ThreadClosedError(), 409, "thread_closed"),
    (errors.ThreadBusyError(), 409, "thread_busy"),
    (errors.ErasureRunningError(), 409, "being_erased"),
    (errors.RequestTooLargeError(), 413, "request_too_large"),
    (errors.UnsupportedMediaTypeError(), 415, "unsupported_media_type"),
    (errors.InvalidRequestError("limit: must not be negative"), 422, "invalid_request"),
    (errors.ContentRefusedError("Not here."), 422, "content_refused"),
    (errors.RateLimitedError(), 429, "rate_limited"),
    (errors.QuotaExceededError(), 429, "quota_exceeded"),
    (errors.TooManyTurnsError(), 429, "too_many_turns"),
]
SERVER_ERRORS: list[tuple[errors.ChatKitError, int, str]] = [
    (errors.MissingOwnerError("secret"), 401, "owner_missing"),
    (errors.UnsupportedOperationError("secret"), 501, "not_implemented"),
    (errors.StoreUnavailableError("secret"), 503, "store_unavailable"),
    (errors.AuthenticationUnavailableError("secret"), 503, "authentication_unavailable"),
    (errors.ShuttingDownError("secret"), 503, "shutting_down"),
    (errors.ExportError("secret"), 500, "export_error"),
    (errors.ReviewFailedError("secret"), 503, "review_failed"),
    (errors.StoreError("secret"), 500, "store_error"),
    (errors.StaleTurnError("secret"), 500, "stale_turn"),
    (errors.StepFailedError("pay", "shop.Declined", "secret"), 500, "step_failed"),
    (errors.ConfigurationError("secret"), 500, "configuration_error"),
    (errors.InvalidResultError("secret"), 500, "invalid_result"),
    (errors.StreamError(errors.ErrorCode.STREAM_ERROR), 500, "stream.error"),
]


def body(response: Response) -> Any:
    assert response.headers["content-type"] == "application/json"
    return httpx2.Response(200, content=bytes(response.body)).json()


@pytest.mark.parametrize(("error", "status", "code"), CLIENT_ERRORS)
def test_errors_of_the_client_say_what_to_do(error: errors.ChatKitError, status: int, code: str) -> None:
    response = response_for(error)
    assert response.status_code == status
    assert body(response) == {"error": {"code": code, "message": str(error)}}


@pytest.mark.parametrize(("error", "status", "code"), SERVER_ERRORS)
def test_errors_of_the_server_tell_nothing_and_are_logged(
    error: errors.ChatKitError, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "chatkit.web")
    response = response_for(error)
    assert response.status_code == status
    assert body(response) == {"error": {"code": code, "message": error.default_message}}
    assert [record.name for record in caplog.records] == ["chatkit.web"]
    # That a server ends is nothing to warn of.
    ending = isinstance(error, errors.ShuttingDownError)
    assert (caplog.records[0].levelno >= logging.WARNING) is not ending


def test_every_error_of_the_package_is_in_one_of_the_tables() -> None:
    def descendants(kind: type[errors.ChatKitError]) -> set[type[errors.ChatKitError]]:
        return {kind}.union(*(descendants(child) for child in kind.__subclasses__()))

    listed = {type(error) for error, *_ in CLIENT_ERRORS + SERVER_ERRORS}
    named = {kind for kind in vars(errors).values() if isinstance(kind, type)}
    rest = (descendants(errors.ChatKitError) & named) - listed
    assert rest == {
        errors.ChatKitError,
        errors.RequestError,
        errors.NotFoundError,
        errors.TurnNotFoundError,
        errors.MissingExtraError,
        errors.InvalidEventError,
        # Raised while an application makes a widget, before anything is sent.
        errors.WidgetTemplateError,
        errors.WidgetDataError,
        errors.BaseStreamError,
        errors.CustomStreamError,
        errors.UnsureStepError,
    }


def test_a_missing_thing_is_never_named() -> None:
    response = response_for(errors.NotFoundError("Thread thr_1 belongs to alice."))
    assert response.status_code == 404
    assert body(response) == {"error": {"code": "not_found", "message": errors.NotFoundError.default_message}}


def test_errors_add_their_headers() -> None:
    assert response_for(errors.RateLimitedError(retry_after=2.4)).headers["retry-after"] == "2"
    assert response_for(errors.StoreUnavailableError()).headers["retry-after"] == "1"
    assert "retry-after" not in response_for(errors.StoreError()).headers
    assert response_for(errors.AuthenticationError(scheme="Basic")).headers["www-authenticate"] == "Basic"


@pytest.mark.parametrize(
    ("error", "status", "code", "message"),
    [
        (HTTPException(401, "Invalid token"), 401, "unauthenticated", "Invalid token"),
        (HTTPException(403), 403, "forbidden", "Forbidden"),
        (HTTPException(418), 418, "http_418", "I'm a Teapot"),
        (HTTPException(404), 404, "not_found", "Not Found"),
        (HTTPException(405), 405, "method_not_allowed", "Method Not Allowed"),
        (HTTPException(503, "Down until noon"), 503, "unavailable", "Down until noon"),
        (HTTPException(499, "gone"), 499, "http_499", "gone"),
        (HTTPException(402, {"plan": "free"}), 402, "http_402", "Payment Required"),  # pyright: ignore[reportArgumentType] -- FastAPI allows any JSON
    ],
)
def test_exceptions_of_the_framework_get_the_same_form(
    error: HTTPException, status: int, code: str, message: str
) -> None:
    response = response_for(error)
    assert response.status_code == status
    assert body(response) == {"error": {"code": code, "message": message}}


def test_exceptions_of_the_framework_keep_their_headers_and_empty_bodies() -> None:
    assert (
        response_for(HTTPException(401, headers={"WWW-Authenticate": "Bearer"})).headers["www-authenticate"]
        == "Bearer"
    )
    assert response_for(HTTPException(304)).body == b""


def test_an_unexpected_exception_is_logged_and_kept_from_the_client(caplog: pytest.LogCaptureFixture) -> None:
    response = response_for(KeyError("password=hunter2"))
    assert response.status_code == 500
    assert body(response) == {
        "error": {"code": "internal_error", "message": errors.ChatKitError.default_message}
    }
    assert "hunter2" in caplog.text


def test_a_full_disk_is_answered_as_an_outage_and_has_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(20):
        response = response_for(OSError(errno.ENOSPC, "No space left on device"))
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert body(response)["error"]["code"] == "store_unavailable"
    (record,) = caplog.records
    assert "No space left on device" in record.getMessage()
    assert record.exc_info is None


def test_a_text_that_is_not_quite_unicode_can_be_sent() -> None:
    response = error_response(422, "invalid_request", "lone \ud800 surrogate")
    assert body(response)["error"]["message"].startswith("lone ")


async def _raise(request: Request) -> Response:
    kind = request.path_params["kind"]
    raised: dict[str, Exception] = {
        "conflict": errors.ThreadLockedError(),
        "invalid": errors.InvalidRequestError("title: must be a text"),
        "internal": errors.StoreError("disk failure on /dev/sda"),
        "framework": HTTPException(403, "Members only"),
        "value": ValueError("mine"),
    }
    raise raised[kind]


async def _own(request: Request, error: Exception) -> Response:
    return Response("my own", 418)


def starlette_app() -> Starlette:
    return Starlette(routes=[Route("/{kind}", _raise)], exception_handlers={ValueError: _own})


def fastapi_app() -> Starlette:
    app = FastAPI(exception_handlers={ValueError: _own})
    app.add_route("/{kind}", _raise)
    return app


@pytest.mark.parametrize(
    ("make", "framework"), [(starlette_app, "Members only"), (fastapi_app, '{"detail":"Members only"}')]
)
def test_handlers_on_applications_leave_everything_else_alone(
    make: Callable[[], Starlette], framework: str
) -> None:
    app = make()
    install_error_handlers(app)
    with live_server(app) as server, httpx2.Client(base_url=server.url) as client:
        locked = client.get("/conflict")
        assert locked.status_code == 409
        assert locked.json()["error"]["code"] == "thread_locked"
        invalid = client.get("/invalid")
        assert invalid.status_code == 422, "although it is a ValueError too"
        assert invalid.json() == {"error": {"code": "invalid_request", "message": "title: must be a text"}}
        internal = client.get("/internal")
        assert internal.status_code == 500
        assert "sda" not in internal.text
        assert (client.get("/framework").status_code, client.get("/framework").text) == (403, framework)
        assert (client.get("/value").status_code, client.get("/value").text) == (418, "my own")


def test_the_references_endpoint_without_its_user_header_answers_401() -> None:
    app = hand_written.make_app(GuideServer(MemoryStore()))
    install_error_handlers(app)
    with live_server(app) as server:
        answer = httpx2.post(f"{server.url}/chatkit", json={"type": "threads.list", "params": {}})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json() == {"error": {"code": "owner_missing", "message": "Sign in to use this chat."}}
