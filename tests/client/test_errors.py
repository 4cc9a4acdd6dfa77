"""The errors that answers stand for."""

import json

import pytest

from chatkit import errors
from chatkit.client import ServerError
from chatkit.client.errors import error_of_answer


def body(code: str, message: str) -> bytes:
    return json.dumps({"error": {"code": code, "message": message}}).encode()


@pytest.mark.parametrize(
    "kind",
    [
        errors.MalformedRequestError,
        errors.AuthenticationError,
        errors.PermissionDeniedError,
        errors.NotFoundError,
        errors.ConflictError,
        errors.ThreadLockedError,
        errors.ThreadClosedError,
        errors.ThreadBusyError,
        errors.RequestTooLargeError,
        errors.UnsupportedMediaTypeError,
        errors.InvalidRequestError,
        errors.RateLimitedError,
        errors.UnsupportedOperationError,
        errors.StoreUnavailableError,
    ],
)
def test_errors_of_the_server_come_back_as_their_class(kind: type[errors.ChatKitError]) -> None:
    error = error_of_answer(kind.status, body(kind.code, "What the server said."), {})
    assert type(error) is kind
    assert str(error) == "What the server said."


def test_status_decides_where_the_code_is_not_known() -> None:
    assert type(error_of_answer(404, body("no_such_thing", "Gone."), {})) is errors.NotFoundError
    assert type(error_of_answer(409, body("", "Busy."), {})) is errors.ConflictError


def test_code_of_another_status_does_not_decide() -> None:
    assert type(error_of_answer(403, body("thread_locked", "No."), {})) is errors.PermissionDeniedError


@pytest.mark.parametrize("status", [302, 418, 500, 502])
def test_other_statuses_are_server_errors(status: int) -> None:
    error = error_of_answer(status, body("internal_error", "Broken."), {})
    assert isinstance(error, ServerError)
    assert (error.http_status, error.server_code, str(error)) == (status, "internal_error", "Broken.")


def test_retry_after_is_kept() -> None:
    error = error_of_answer(429, body("rate_limited", "Slowly."), {"retry-after": "7"})
    assert isinstance(error, errors.RateLimitedError)
    assert error.retry_after == 7
    unreadable = error_of_answer(429, body("rate_limited", "Slowly."), {"retry-after": "Fri, 01 Jan 2027"})
    assert isinstance(unreadable, errors.RateLimitedError)
    assert unreadable.retry_after is None


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b'{"detail": "Invalid token"}', "Invalid token"),
        (b'{"detail": [{"msg": "x"}]}', "HTTP status 401"),
        (b"<html>no</html>", "HTTP status 401"),
        (b"[1]", "HTTP status 401"),
        (b"\xff", "HTTP status 401"),
        (b"", "HTTP status 401"),
    ],
)
def test_bodies_of_other_makes(answer: bytes, message: str) -> None:
    error = error_of_answer(401, answer, {})
    assert type(error) is errors.AuthenticationError
    assert message in str(error)


def test_an_applications_own_subclass_is_never_made() -> None:
    class Special(errors.NotFoundError):
        code = "special"

        def __init__(self) -> None:
            raise AssertionError("made from an answer")

    assert type(error_of_answer(404, body("special", "x"), {})) is errors.NotFoundError
