"""The error tree: as documented, with a status and a message that a client may see."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from chatkit import errors
from chatkit.errors import ChatKitError, CustomStreamError, ErrorCode, RateLimitedError, StreamError

CLASSES: dict[str, type[Exception]] = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, ChatKitError)
}
SECRET = "password=hunter2 at /srv/app/db.py"


def documented() -> dict[str, tuple[str | None, int | None]]:
    """Returns, for each class that the module's docstring draws, its parent and status."""
    found: dict[str, tuple[str | None, int | None]] = {}
    path: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^([ │├└─]*)(\w+Error)\s*(\d{3})?", line)
        if match is None or (not match[1] and match[2] != "ChatKitError"):
            continue
        depth = len(match[1])
        while path and path[-1][0] >= depth:
            path.pop()
        found[match[2]] = (path[-1][1] if path else None, int(match[3]) if match[3] else None)
        path.append((depth, match[2]))
    return found


def test_the_documented_tree_is_the_real_one() -> None:
    drawn = documented()
    assert drawn.keys() == CLASSES.keys()
    for name, (parent, _) in drawn.items():
        bases = {base.__name__ for base in CLASSES[name].__bases__ if issubclass(base, ChatKitError)}
        assert bases == ({parent} if parent else set()), name


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_the_documented_status_is_the_real_one(name: str) -> None:
    drawn = documented()
    known: str | None = name
    while known is not None and drawn[known][1] is None:
        known = drawn[known][0]
    expected = drawn[known][1] if known is not None else None
    kind: Any = CLASSES[name]
    assert kind.status == (expected or (400 if name == "RequestError" else 500))


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("InvalidRequestError", ValueError),
        ("InvalidEventError", ValueError),
        ("InvalidResultError", TypeError),
        ("UnsupportedOperationError", NotImplementedError),
        ("ConfigurationError", RuntimeError),
        ("MissingExtraError", ImportError),
    ],
)
def test_bases_by_which_code_catches_them(name: str, base: type[Exception]) -> None:
    assert issubclass(CLASSES[name], base)


def made() -> list[Any]:
    # They are made of something else than a message.
    others = {"BaseStreamError", "StreamError", "CustomStreamError", "StepFailedError", "UnsureStepError"}
    return [kind for name, kind in sorted(CLASSES.items()) if name not in others]


@pytest.mark.parametrize("kind", made())
def test_codes_and_default_messages(kind: Any) -> None:
    error = kind()
    assert str(error) == kind.default_message
    assert re.fullmatch(r"[a-z_]+", kind.code)
    assert error.public_message[-1] == "."


def test_codes_name_one_error_each() -> None:
    own = {name: kind for name, kind in CLASSES.items() if "code" in vars(kind)}
    codes = [kind.code for kind in own.values() if isinstance(kind.code, str)]
    assert sorted(codes) == sorted(set(codes))


def test_what_a_step_has_raised_stays_inside() -> None:
    error: Any = errors.StepFailedError("pay", "builtins.ValueError", SECRET)
    assert SECRET in str(error)
    assert error.public_message == errors.StepFailedError.default_message
    assert re.fullmatch(r"[a-z_]+", error.code)


def test_a_step_that_may_have_been_carried_out_is_named() -> None:
    error = errors.UnsureStepError("pay")
    assert error.names == ("pay",)
    assert '"pay"' in error.message
    assert not error.allow_retry


@pytest.mark.parametrize("kind", made())
def test_messages_of_the_servers_own_errors_stay_inside(kind: Any) -> None:
    error = kind(SECRET)
    assert str(error) == SECRET
    own = {"MissingOwnerError", "NotFoundError", "TurnNotFoundError"}
    if error.status >= 500 or kind.__name__ in own:
        assert error.public_message == kind.default_message
    else:
        assert error.public_message == SECRET


def test_headers() -> None:
    assert RateLimitedError(retry_after=0.2).headers == {"Retry-After": "1"}
    assert RateLimitedError(retry_after=30).headers == {"Retry-After": "30"}
    assert RateLimitedError().headers == {}
    assert errors.AuthenticationError().headers == {"WWW-Authenticate": "Bearer"}
    assert errors.AuthenticationError(scheme="Basic").headers == {"WWW-Authenticate": "Basic"}
    assert errors.NotFoundError().headers == {}


def test_stream_errors_as_applications_know_them() -> None:
    error = StreamError(ErrorCode.STREAM_ERROR)
    assert (error.code, error.status_code, error.allow_retry) == (ErrorCode.STREAM_ERROR, 500, True)
    assert StreamError(ErrorCode.STREAM_ERROR, allow_retry=False).allow_retry is False
    custom = CustomStreamError("Sorry")
    assert (custom.message, custom.allow_retry, custom.code) == ("Sorry", False, "custom")


def test_all_is_sorted_and_whole() -> None:
    constants = [name for name in errors.__all__ if name.isupper()]
    assert errors.__all__ == [*sorted(constants), *sorted(set(errors.__all__) - set(constants))]
    assert CLASSES.keys() <= set(errors.__all__)
