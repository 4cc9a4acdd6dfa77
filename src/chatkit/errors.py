"""Errors of the server, each with a stable code, an HTTP status and a message that says what to do.

::

    ChatKitError
    ├── RequestError                      raised by process() before the first byte, nothing was written
    │   ├── MalformedRequestError    400  not JSON, or not a request of the protocol; also a ValueError
    │   ├── AuthenticationError      401
    │   ├── PermissionDeniedError    403
    │   ├── NotFoundError            404  unknown here, or another owner's
    │   │   └── TurnNotFoundError             its stream is not kept (any more)
    │   ├── LinkExpiredError         410  a signed link whose time is over
    │   ├── ConflictError            409
    │   │   ├── AlreadyUploadedError
    │   │   ├── UploadIncompleteError         a message names a file that is not there
    │   │   ├── ThreadLockedError
    │   │   ├── ThreadClosedError
    │   │   ├── ThreadBusyError
    │   │   └── ErasureRunningError           what is kept of the owner is being erased
    │   ├── RequestTooLargeError     413
    │   ├── UnsupportedMediaTypeError 415
    │   ├── InvalidRequestError      422  also a ValueError
    │   │   └── ContentRefusedError           a hook of the application refuses what it says, or holds
    │   └── RateLimitedError         429
    │       ├── QuotaExceededError            a quota has not as much left
    │       └── TooManyTurnsError             as many answers of one owner run as may
    ├── UnsupportedOperationError    501  also a NotImplementedError
    ├── ConfigurationError           500  also a RuntimeError
    │   ├── MissingExtraError             also an ImportError
    │   └── MissingOwnerError        401  the context has a place for the owner, and nobody in it
    ├── StoreError                   500
    │   ├── StaleTurnError                a turn that lost its lease tried to write
    │   └── StoreUnavailableError    503
    ├── AuthenticationUnavailableError 503  who signs people in cannot be reached
    ├── ExportError                  500  an export cannot be written, read or taken
    ├── ShuttingDownError            503  the process ends and takes no new turns
    ├── ReviewFailedError            503  a hook that reviews content failed: nothing passes
    ├── StepFailedError              500  a recorded step of a turn failed, in this attempt at it or in an earlier one
    ├── InvalidEventError            500  also a ValueError: an application yielded an event that cannot be
    │   └── InvalidResultError            also a TypeError: its method returned what it must not
    ├── WidgetTemplateError          500  also a ValueError: a widget template is not valid, or makes no widget
    │   └── WidgetDataError                   the data does not fit the template's schema
    └── BaseStreamError                   raised inside a turn, sent to the client as an error event
        ├── StreamError                   by code
        └── CustomStreamError             by message
            └── UnsureStepError           a step may have been carried out before its worker died

``BaseStreamError``, ``StreamError``, ``CustomStreamError`` and ``ErrorCode`` have the names and signatures that
applications of ``openai-chatkit`` use.
"""

from __future__ import annotations

from abc import ABC
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from chatkit._outages import Outage

__all__ = [
    "DEFAULT_ALLOW_RETRY",
    "DEFAULT_STATUS",
    "AlreadyUploadedError",
    "AuthenticationError",
    "AuthenticationUnavailableError",
    "BaseStreamError",
    "ChatKitError",
    "ConfigurationError",
    "ConflictError",
    "ContentRefusedError",
    "CustomStreamError",
    "ErasureRunningError",
    "ErrorCode",
    "ExportError",
    "InvalidEventError",
    "InvalidRequestError",
    "InvalidResultError",
    "LinkExpiredError",
    "MalformedRequestError",
    "MissingExtraError",
    "MissingOwnerError",
    "NotFoundError",
    "PermissionDeniedError",
    "QuotaExceededError",
    "RateLimitedError",
    "RequestError",
    "RequestTooLargeError",
    "ReviewFailedError",
    "ShuttingDownError",
    "StaleTurnError",
    "StepFailedError",
    "StoreError",
    "StoreUnavailableError",
    "StreamError",
    "ThreadBusyError",
    "ThreadClosedError",
    "ThreadLockedError",
    "TooManyTurnsError",
    "TurnNotFoundError",
    "UnsupportedMediaTypeError",
    "UnsupportedOperationError",
    "UnsureStepError",
    "UploadIncompleteError",
    "WidgetDataError",
    "WidgetTemplateError",
]


class ErrorCode(str, Enum):  # noqa: UP042 -- str() of a member is part of the interface
    """Error codes that the protocol knows; every other code travels as ``custom`` with a ``reason``."""

    STREAM_ERROR = "stream.error"


DEFAULT_STATUS: dict[ErrorCode, int] = {ErrorCode.STREAM_ERROR: 500}
DEFAULT_ALLOW_RETRY: dict[ErrorCode, bool] = {ErrorCode.STREAM_ERROR: True}


class ChatKitError(Exception):
    """Base of every error that this package raises on purpose.

    Attributes:
        code: Stable, machine-readable name of the failure.
        status: HTTP status that an endpoint answers with.
    """

    code: str = "internal_error"
    status: ClassVar[int] = 500
    default_message: ClassVar[str] = "Something went wrong on the server. Try again later."

    def __init__(self, message: str | None = None, *details: object) -> None:
        super().__init__(message or self.default_message, *details)

    @property
    def public_message(self) -> str:
        """The message that a client may see; errors of the server itself show their default message only."""
        return str(self) if self.status < 500 else self.default_message

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers that an endpoint adds to its answer."""
        return {}


class RequestError(ChatKitError):
    """A request that cannot be carried out as it is. Nothing was written."""

    code = "bad_request"
    status = 400
    default_message = "The request cannot be carried out as it is."


class MalformedRequestError(RequestError, ValueError):
    """The body is not JSON, or not a request of the protocol."""

    code = "malformed_request"
    default_message = "The body must be a JSON object with a known 'type' and 'params'."


class AuthenticationError(RequestError):
    """Nobody is signed in, or the credentials are not valid.

    Args:
        message: What the client should do.
        scheme: Value of the ``WWW-Authenticate`` header.
    """

    code = "unauthenticated"
    status = 401
    default_message = "Sign in to use this chat."

    def __init__(self, message: str | None = None, *, scheme: str = "Bearer") -> None:
        super().__init__(message)
        self.scheme = scheme

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": self.scheme}


class PermissionDeniedError(RequestError):
    """Somebody is signed in who may not do this."""

    code = "forbidden"
    status = 403
    default_message = "You are not allowed to do this."


class NotFoundError(RequestError):
    """What the request names does not exist, or belongs to another owner; a client cannot tell which."""

    code = "not_found"
    status = 404
    default_message = "The thread, item or attachment does not exist."

    @property
    def public_message(self) -> str:
        """Always the same text: a store's own message may name what a client must not learn."""
        return self.default_message


class TurnNotFoundError(NotFoundError):
    """No stream of the turn is kept: it never was resumable, or it ended a while ago."""

    code = "turn_not_found"
    default_message = "The stream of this turn is not kept any more. Load the thread instead."


class LinkExpiredError(RequestError):
    """A signed link whose time is over."""

    code = "link_expired"
    status = 410
    default_message = "This link has expired. Load the thread again, or start the upload again."


class ConflictError(RequestError):
    """The thread's present state does not allow the request."""

    code = "conflict"
    status = 409
    default_message = "The thread is in a state that does not allow this."


class AlreadyUploadedError(ConflictError):
    """The file was uploaded before; nothing was changed."""

    code = "already_uploaded"
    default_message = "This file has been uploaded already."


class UploadIncompleteError(ConflictError):
    """A message names an attachment whose file has not arrived, or was deleted because no message came."""

    code = "upload_incomplete"
    default_message = "The upload of an attachment has not completed. Wait for it, or upload the file again."


class ThreadLockedError(ConflictError):
    """The thread is locked; it refuses messages until it is active again."""

    code = "thread_locked"
    default_message = "This thread is locked and takes no messages at the moment."


class ThreadClosedError(ConflictError):
    """The thread is closed for good; start a new one."""

    code = "thread_closed"
    default_message = "This thread is closed. Start a new one."


class ThreadBusyError(ConflictError):
    """A turn is running in the thread and the concurrency policy is ``reject``."""

    code = "thread_busy"
    default_message = "An answer is still being written in this thread. Wait for it or stop it first."


class ErasureRunningError(ConflictError):
    """What is kept of the owner is being erased, so that nothing is added."""

    code = "being_erased"
    default_message = "Your data is being erased. Try again once that is done."


class RequestTooLargeError(RequestError):
    """The body exceeds the configured limit."""

    code = "request_too_large"
    status = 413
    default_message = "The request is too large."


class UnsupportedMediaTypeError(RequestError):
    """The body is of a type that the endpoint does not read."""

    code = "unsupported_media_type"
    status = 415
    default_message = "Send the request as application/json."


class InvalidRequestError(RequestError, ValueError):
    """A well-formed request with values that are not valid."""

    code = "invalid_request"
    status = 422
    default_message = "The request has values that are not valid."


class ContentRefusedError(InvalidRequestError):
    """A hook of the application refuses what a user sends, or a file: raise it in one, with a text for the user."""

    code = "content_refused"
    default_message = "This is against the rules of this chat."


class RateLimitedError(RequestError):
    """Too many requests.

    Args:
        message: What the client should do.
        retry_after: Seconds until a retry makes sense, sent as ``Retry-After``.
    """

    code = "rate_limited"
    status = 429
    default_message = "Too many requests. Try again in a moment."

    def __init__(self, message: str | None = None, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry_after is None else {"Retry-After": str(max(1, round(self.retry_after)))}


class QuotaExceededError(RateLimitedError):
    """A :class:`chatkit.quotas.Quota` has not as much left as the request needs."""

    code = "quota_exceeded"


class TooManyTurnsError(RateLimitedError):
    """As many answers of the owner are being written, or wait to be, as ``Limits.running_turns_per_owner`` allows."""

    code = "too_many_turns"
    default_message = (
        "Too many answers are being written at once. Wait until one has ended, or stop one first."
    )


class UnsupportedOperationError(ChatKitError, NotImplementedError):
    """The request is part of the protocol, but this application does not implement it."""

    code = "not_implemented"
    status = 501
    default_message = "This server does not support that request."


class ConfigurationError(ChatKitError, RuntimeError):
    """The application is put together in a way that cannot work; the message names the option to set."""

    code = "configuration_error"


class MissingOwnerError(ConfigurationError):
    """The request's context has a place for the owner, and it is empty: nobody is signed in.

    A client hears that it should sign in; the error itself names the option for applications without users.
    """

    code = "owner_missing"
    status = 401
    default_message = AuthenticationError.default_message

    @property
    def public_message(self) -> str:
        """What the client should do; the error's own text is for the application's author."""
        return self.default_message

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class MissingExtraError(ConfigurationError, ImportError):
    """An optional dependency is not installed; the message names the extra."""


class StoreError(ChatKitError):
    """A store could not do its work."""

    code = "store_error"


class StaleTurnError(StoreError):
    """A turn whose lease passed to another worker tried to write; nothing was written."""

    code = "stale_turn"


class StoreUnavailableError(StoreError):
    """The database cannot be reached or is out of space; the same request may succeed later."""

    code = "store_unavailable"
    status = 503
    default_message = "The chat's storage is not available. Try again in a moment."
    outage: Outage | None = None
    # For the log, in which all that fails during it is told once.


class AuthenticationUnavailableError(ChatKitError):
    """The keys that credentials are checked with cannot be fetched; the same request may succeed later."""

    code = "authentication_unavailable"
    status = 503
    default_message = "Signing in is not possible at the moment. Try again in a moment."
    outage: Outage | None = None


class ExportError(ChatKitError):
    """An export of what is kept of a person cannot be written, is damaged, or cannot be taken."""

    code = "export_error"


class ShuttingDownError(ChatKitError):
    """The process ends; another one will take the request in a moment."""

    code = "shutting_down"
    status = 503
    default_message = "The server is restarting. Try again in a moment."


class ReviewFailedError(ChatKitError):
    """A hook of the application that reviews content failed, or took too long: nothing of it was kept or shown."""

    code = "review_failed"
    status = 503
    default_message = "This could not be checked just now, so nothing of it was kept. Try again in a moment."


class StepFailedError(ChatKitError):
    """A step of a turn has raised an error, in this attempt at the turn (then it is the cause) or in an earlier one.

    Args:
        name: The step.
        type_name: Module and class of the error.
        message: Its text.
    """

    code = "step_failed"

    def __init__(self, name: str, type_name: str, message: str) -> None:
        super().__init__(f"The step {name} failed: {type_name}: {message}")
        self.name = name
        self.type_name = type_name
        self.message = message


class InvalidEventError(ChatKitError, ValueError):
    """An application yielded an event that does not fit the state of the turn."""

    code = "invalid_event"


class InvalidResultError(InvalidEventError, TypeError):
    """A method of an application returned, or is, something else than the server can use."""

    code = "invalid_result"


class WidgetTemplateError(ChatKitError, ValueError):
    """A widget template is not valid, or what it renders to is no widget."""

    code = "widget_template_error"


class WidgetDataError(WidgetTemplateError):
    """The data for a widget does not fit the schema of its template."""

    code = "widget_data_error"


class BaseStreamError(ABC, ChatKitError):
    """Base of the errors that a handler raises to tell the client what went wrong.

    Attributes:
        allow_retry: Whether the client offers a retry.
    """

    allow_retry: bool


class StreamError(BaseStreamError):
    """An error that the client explains by its code.

    Args:
        code: Code known to the protocol.
        allow_retry: Whether the client offers a retry; by default as usual for the code.
    """

    code: ErrorCode

    def __init__(self, code: ErrorCode, *, allow_retry: bool | None = None) -> None:
        Exception.__init__(self, code)
        self.code = code  # pyright: ignore[reportIncompatibleVariableOverride] -- 1.6.5 has the member there
        self.status_code = DEFAULT_STATUS.get(code, 500)
        self.allow_retry = DEFAULT_ALLOW_RETRY.get(code, False) if allow_retry is None else allow_retry


class CustomStreamError(BaseStreamError):
    """An error whose message is shown to the user.

    Args:
        message: Text for the user.
        allow_retry: Whether the client offers a retry.
    """

    code = "custom"

    def __init__(self, message: str, *, allow_retry: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.allow_retry = allow_retry

    @property
    def public_message(self) -> str:
        """The message, which was written for the user."""
        return self.message


class UnsureStepError(CustomStreamError):
    """Steps may have been carried out before their worker died: neither they nor what comes after is done now.

    Args:
        names: The steps, which ran side by side if there are several.
    """

    code = "step_unsure"

    def __init__(self, *names: str) -> None:
        named = " and ".join(f'"{name}"' for name in names)
        super().__init__(
            f"The server stopped while it carried out {named}, and cannot tell whether that was done. It was not "
            "repeated, and nothing after it was done. Please check before you ask for it again."
        )
        self.names = names
