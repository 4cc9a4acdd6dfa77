"""Threads and pages."""

from __future__ import annotations

import json
from typing import Annotated, Any, Generic, Literal, TypeAlias, TypeVar, cast

from pydantic import Discriminator, Field, field_validator

from chatkit.ids import utc_now
from chatkit.types.base import Model, UTCDateTime
from chatkit.types.items import ThreadItem

__all__ = [
    "ActiveStatus",
    "Capabilities",
    "ClosedStatus",
    "LockedStatus",
    "Page",
    "Thread",
    "ThreadMetadata",
    "ThreadStatus",
]

T = TypeVar("T")


class Page(Model, Generic[T]):
    """A slice of a list.

    Attributes:
        data: The entries, in the order asked for.
        has_more: Whether entries follow.
        after: Cursor for the next page: the id of the last entry.
    """

    data: list[T] = []  # noqa: RUF012 -- pydantic copies it
    has_more: bool = False
    after: str | None = None


class ActiveStatus(Model):
    """The thread takes messages."""

    type: Literal["active"] = "active"


class LockedStatus(Model):
    """The thread takes no messages for the time being."""

    type: Literal["locked"] = "locked"
    reason: str | None = None


class ClosedStatus(Model):
    """The thread takes no messages any more."""

    type: Literal["closed"] = "closed"
    reason: str | None = None


ThreadStatus: TypeAlias = Annotated[ActiveStatus | LockedStatus | ClosedStatus, Discriminator("type")]


class ThreadMetadata(Model):
    """A thread without its items.

    Attributes:
        title: Shown in the history.
        id: Unique within the store.
        created_at: When the thread was made, UTC.
        updated_at: When the thread was saved last, UTC; set by stores, never sent to a client.
        status: Whether the thread takes messages.
        allowed_image_domains: Hosts besides the application's own that images may load from, those below them
            included. None: those of markdown load when the reader asks for them, those of widgets from every host.
        metadata: The application's own data; never sent to a client. A JSON text is parsed, None is the empty dict.
    """

    title: str | None = None
    id: str
    created_at: UTCDateTime = Field(default_factory=utc_now)
    updated_at: UTCDateTime | None = None
    status: ThreadStatus = Field(default_factory=ActiveStatus)
    allowed_image_domains: list[str] | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)

    @field_validator("metadata", mode="before")
    @classmethod
    def _accept_stored_forms(cls, value: object) -> object:
        if value is None:
            return {}
        if isinstance(value, str):
            try:
                return cast("object", json.loads(value))
            except RecursionError as error:
                raise ValueError("the JSON text is nested too deep") from error
        return value

    @field_validator("created_at", mode="before")
    @classmethod
    def _fill_missing_time(cls, value: object) -> object:
        return utc_now() if value is None else value


class Thread(ThreadMetadata):
    """A thread with a page of its items, as it goes to a client."""

    items: Page[ThreadItem]


class Capabilities(Model):
    """What a server can do for the owner of a request: the key ``capabilities`` of the answer to ``threads.list``.

    A key that is missing is false. Where ``capabilities`` is missing as a whole, the server can do what
    openai-chatkit 1.6.5 can.

    Attributes:
        transcription: Recordings are transcribed.
        uploads: Files can be attached.
        search: ``threads.search`` searches titles and messages.
        branches: Earlier versions of an edited message are kept.
        approvals: Tool calls can wait for the user's approval.
        resume: ``turns.resume`` attaches to a turn that is running or has just ended.
        stop: ``turns.stop`` stops a turn.
    """

    transcription: bool = False
    uploads: bool = False
    search: bool = False
    branches: bool = False
    approvals: bool = False
    resume: bool = False
    stop: bool = False
