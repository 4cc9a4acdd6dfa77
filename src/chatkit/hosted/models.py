"""The shapes of sessions in the API of hosted ChatKit: what a server asks for, and what it is answered."""

from __future__ import annotations

import logging
from typing import Annotated, Any, Final, Literal, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from chatkit.limits import DEFAULT_LIMITS

__all__ = ["Configuration", "FileUpload", "History", "Session", "SessionRequest", "Switch", "Workflow"]

logger = logging.getLogger("chatkit.hosted")

_DAY_SECONDS: Final = 86_400
_MEGABYTES: Final = 512
_MOST_THREADS: Final = 100
"""Each request about a thread reads as many."""

_MOST_REQUESTS: Final = 100_000

_Name = Annotated[str, Field(min_length=1, max_length=DEFAULT_LIMITS.name_chars, pattern=r"^[^\x00]+$")]
_Value = StrictBool | StrictInt | StrictFloat | Annotated[StrictStr, Field(max_length=4_096)]
_Whole = Annotated[int, Field(strict=True)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: object) -> object:
        # What is null is not given: not every client leaves it out.
        if not isinstance(value, dict):
            return value
        fields = cast("dict[str, object]", value)
        return {name: given for name, given in fields.items() if given is not None}


class Switch(_Model):
    """Something that is on unless it is turned off."""

    enabled: StrictBool = True


class Workflow(_Model):
    """The workflow of a session.

    Attributes:
        id: Names one of the application's workflows.
        version: Which version of it; for the handler to heed.
        state_variables: Given to the handler; None for none.
        tracing: Whether the handler should trace its runs.
    """

    id: _Name
    version: _Name | None = None
    state_variables: (
        Annotated[
            dict[Annotated[str, Field(max_length=64)], _Value], Field(max_length=DEFAULT_LIMITS.list_entries)
        ]
        | None
    ) = None
    tracing: Switch = Switch()


class FileUpload(_Model):
    """Which files users may attach: megabytes of each, and how many in the time of a session."""

    enabled: StrictBool = False
    max_file_size: Annotated[_Whole, Field(ge=1, le=_MEGABYTES)] = _MEGABYTES
    max_files: Annotated[_Whole, Field(ge=1)] = 10


class History(_Model):
    """Which of their threads users can see; ``recent_threads`` None for all."""

    enabled: StrictBool = True
    recent_threads: Annotated[_Whole, Field(ge=1, le=_MOST_THREADS)] | None = None


class Configuration(_Model):
    """What the chat of a session offers."""

    automatic_thread_titling: Switch = Switch()
    file_upload: FileUpload = FileUpload()
    history: History = History()


class ExpiresAfter(_Model):
    """When a session ends."""

    anchor: Literal["created_at"]
    seconds: Annotated[_Whole, Field(ge=1, le=_DAY_SECONDS)]


class RateLimits(_Model):
    """How many requests a session may send."""

    max_requests_per_1_minute: Annotated[_Whole, Field(ge=1, le=_MOST_REQUESTS)] = 10


class SessionRequest(_Model):
    """What a server asks for when it opens a session."""

    user: _Name
    workflow: Workflow
    chatkit_configuration: Configuration = Configuration()
    expires_after: ExpiresAfter = ExpiresAfter(anchor="created_at", seconds=600)
    rate_limits: RateLimits = RateLimits()


class Session(_Model):
    """A session: one user's leave to use one workflow for some time.

    What a later version wrote into one is ignored, in its parts too.

    Attributes:
        id: Of the session.
        tenant: Whose API key opened it.
        user: The tenant's name for the user.
        workflow: What the user may use.
        configuration: How.
        requests_per_minute: How often.
        created_at: Seconds since 1970.
        expires_at: Seconds since 1970.
        cancelled: Whether it was cancelled.
    """

    id: str
    tenant: str
    user: str
    workflow: Workflow
    configuration: Configuration
    requests_per_minute: int
    created_at: int
    expires_at: int
    cancelled: bool = False

    @model_validator(mode="before")
    @classmethod
    def _without_what_is_unknown(cls, value: object) -> object:
        return _known(cls, value)

    @classmethod
    def read(cls, data: str | bytes, *, cancelled: bool) -> Session | None:
        """Returns a session that was kept as JSON, None for one that cannot be read.

        Args:
            data: The JSON.
            cancelled: Whether it was cancelled.
        """
        try:
            return cls.model_validate_json(data).model_copy(update={"cancelled": cancelled})
        except ValidationError as error:
            logger.warning(
                "A session cannot be read and opens nothing: %d fields do not fit.", error.error_count()
            )
            return None

    def answer(self, client_secret: str, now: float) -> dict[str, Any]:
        """Returns the session as the API shows it.

        Args:
            client_secret: The secret that opens it.
            now: Seconds since 1970.
        """
        status = "cancelled" if self.cancelled else "expired" if now >= self.expires_at else "active"
        return {
            "id": self.id,
            "object": "chatkit.session",
            "status": status,
            "client_secret": client_secret,
            "expires_at": self.expires_at,
            "user": self.user,
            "workflow": self.workflow.model_dump(),
            "chatkit_configuration": self.configuration.model_dump(),
            "rate_limits": {"max_requests_per_1_minute": self.requests_per_minute},
            "max_requests_per_1_minute": self.requests_per_minute,
        }


def _known(model: type[BaseModel], value: object) -> object:
    """Returns of a value what a model, and the models in it, have fields for."""
    if not isinstance(value, dict):
        return value
    given = cast("dict[str, object]", value)
    known: dict[str, object] = {}
    for name, field in model.model_fields.items():
        if name in given:
            kind: object = field.annotation
            part = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
            known[name] = given[name] if part is None else _known(part, given[name])
    return known
