"""Thread stream events: what a handler yields and a client receives.

Two spellings of each event are accepted, as keywords of the constructor; both make the same event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias, cast, overload

from pydantic import AliasChoices, Discriminator, Field, model_validator

from chatkit.errors import ErrorCode
from chatkit.icons import IconName
from chatkit.types.base import Model
from chatkit.types.items import ThreadItem
from chatkit.types.threads import Thread
from chatkit.types.updates import TextDelta, ThreadItemUpdate

__all__ = [
    "ClientEffectEvent",
    "ErrorEvent",
    "NoticeEvent",
    "ProgressUpdateEvent",
    "StreamOptions",
    "StreamOptionsEvent",
    "ThreadCreatedEvent",
    "ThreadItemAddedEvent",
    "ThreadItemDoneEvent",
    "ThreadItemRemovedEvent",
    "ThreadItemReplacedEvent",
    "ThreadItemUpdated",
    "ThreadItemUpdatedEvent",
    "ThreadStreamEvent",
    "ThreadUpdatedEvent",
]

_ITEM_ID = AliasChoices("item_id", "id")


def _keywords(data: object) -> dict[str, Any] | None:
    """Returns a copy of what a constructor was called with; None for anything else."""
    return dict(cast("dict[str, Any]", data)) if isinstance(data, dict) else None


class ThreadCreatedEvent(Model):
    """A thread was created."""

    type: Literal["thread.created"] = "thread.created"
    thread: Thread


class ThreadUpdatedEvent(Model):
    """Title, status or image domains of the thread changed."""

    type: Literal["thread.updated"] = "thread.updated"
    thread: Thread


class ThreadItemAddedEvent(Model):
    """Introduces an item that is still being written; it is stored when it is done."""

    type: Literal["thread.item.added"] = "thread.item.added"
    item: ThreadItem


class ThreadItemDoneEvent(Model):
    """Completes an item; it is stored, then sent.

    Attributes:
        item: The final item.
        id: Instead of ``item``: the id of a pending item, completed as it was accumulated in this turn. With neither,
            it is the one that was added without an id.
        added_id: Set by the server in resumable streams: the id that the item was added under, where the store gave it
            another one.
    """

    type: Literal["thread.item.done"] = "thread.item.done"
    if TYPE_CHECKING:
        item: ThreadItem

        @overload
        def __init__(self, *, item: ThreadItem, type: Literal["thread.item.done"] = ...) -> None: ...
        @overload
        def __init__(self, *, id: str = ..., type: Literal["thread.item.done"] = ...) -> None: ...
        def __init__(self, **data: Any) -> None: ...
    else:
        _optional_id: ClassVar[str] = "id"
        item: ThreadItem | None = None
    id: str | None = None
    added_id: str | None = Field(default=None, exclude=True)

    @model_validator(mode="after")
    def _require_one(self) -> ThreadItemDoneEvent:
        item = cast("ThreadItem | None", self.item)
        if item is None and self.id is None:
            raise ValueError("give the final item as item=, or the id of a pending item as id=")
        if item is not None and self.id is not None and item.id != self.id:
            raise ValueError(f"id= is {self.id!r} but item= has the id {item.id!r}: give one of them")
        return self


class ThreadItemUpdatedEvent(Model):
    """Changes a pending item.

    Attributes:
        item_id: The item; ``id=`` is accepted too. Without it, the pending item that was added without an id.
        update: The change.
        delta: Instead of ``update``: text for the last part of an assistant message.
    """

    type: Literal["thread.item.updated"] = "thread.item.updated"
    item_id: str = Field(validation_alias=_ITEM_ID)
    if TYPE_CHECKING:
        update: ThreadItemUpdate

        @overload
        def __init__(
            self, *, item_id: str = ..., update: ThreadItemUpdate, type: Literal["thread.item.updated"] = ...
        ) -> None: ...
        @overload
        def __init__(
            self, *, id: str = ..., delta: TextDelta, type: Literal["thread.item.updated"] = ...
        ) -> None: ...
        def __init__(self, **data: Any) -> None: ...
    else:
        _optional_id: ClassVar[str] = "item_id"
        update: ThreadItemUpdate | None = None
    delta: TextDelta | None = Field(default=None, exclude=True)


ThreadItemUpdated = ThreadItemUpdatedEvent


class ThreadItemRemovedEvent(Model):
    """Deletes an item, from the store too."""

    type: Literal["thread.item.removed"] = "thread.item.removed"
    item_id: str = Field(validation_alias=_ITEM_ID)

    if TYPE_CHECKING:

        @overload
        def __init__(self, *, item_id: str, type: Literal["thread.item.removed"] = ...) -> None: ...
        @overload
        def __init__(self, *, id: str, type: Literal["thread.item.removed"] = ...) -> None: ...
        def __init__(self, **data: Any) -> None: ...


class ThreadItemReplacedEvent(Model):
    """Puts an item in the place of the one with the same id, in the store too.

    Attributes:
        item: The new item.
        id: Optional; the item's id, if that has one.
        added_id: As in ``ThreadItemDoneEvent``.
    """

    type: Literal["thread.item.replaced"] = "thread.item.replaced"
    item: ThreadItem
    id: str | None = Field(default=None, exclude=True)
    added_id: str | None = Field(default=None, exclude=True)

    @model_validator(mode="after")
    def _require_same_id(self) -> ThreadItemReplacedEvent:
        if self.id and not self.item.id:
            self.item = self.item.model_copy(update={"id": self.id})
        if self.id is not None and self.id != self.item.id:
            raise ValueError(f"id= is {self.id!r} but item= has the id {self.item.id!r}: they must be equal")
        return self


class StreamOptions(Model):
    """What the client may do with the stream.

    Attributes:
        allow_cancel: Whether the client offers to stop the answer.
    """

    allow_cancel: bool


class StreamOptionsEvent(Model):
    """Sets the options of the running stream."""

    # Keywords that are no fields.
    _spellings: ClassVar[tuple[str, ...]] = ("allow_cancel",)

    type: Literal["stream_options"] = "stream_options"
    stream_options: StreamOptions

    if TYPE_CHECKING:

        @overload
        def __init__(
            self, *, stream_options: StreamOptions, type: Literal["stream_options"] = ...
        ) -> None: ...
        @overload
        def __init__(self, *, allow_cancel: bool, type: Literal["stream_options"] = ...) -> None: ...
        def __init__(self, **data: Any) -> None: ...

    @model_validator(mode="before")
    @classmethod
    def _accept_flat_spelling(cls, data: Any) -> Any:
        given = _keywords(data)
        if given is None or "allow_cancel" not in given:
            return data
        given.setdefault("stream_options", {"allow_cancel": given.pop("allow_cancel")})
        return given


class ProgressUpdateEvent(Model):
    """A transient status line."""

    type: Literal["progress_update"] = "progress_update"
    icon: IconName | None = None
    text: str = Field(validation_alias=AliasChoices("text", "message"))

    if TYPE_CHECKING:

        @overload
        def __init__(
            self, *, text: str, icon: IconName | None = ..., type: Literal["progress_update"] = ...
        ) -> None: ...
        @overload
        def __init__(
            self, *, message: str, icon: IconName | None = ..., type: Literal["progress_update"] = ...
        ) -> None: ...
        def __init__(self, **data: Any) -> None: ...


class ClientEffectEvent(Model):
    """Makes the page do something; nothing is stored.

    Attributes:
        name: Name of the effect; ``type=`` is accepted too, together with ``payload=``.
        data: Arguments of the effect.
    """

    _spellings: ClassVar[tuple[str, ...]] = ("payload",)

    type: Literal["client_effect"] = "client_effect"
    name: str
    data: dict[str, Any] = Field(default_factory=dict)

    if TYPE_CHECKING:

        @overload
        def __init__(
            self, *, name: str, data: dict[str, Any] = ..., type: Literal["client_effect"] = ...
        ) -> None: ...
        @overload
        def __init__(self, *, type: str, payload: dict[str, Any] = ...) -> None: ...
        def __init__(self, **data: Any) -> None: ...

    @model_validator(mode="before")
    @classmethod
    def _accept_type_and_payload(cls, data: Any) -> Any:
        given = _keywords(data)
        if given is None:
            return data
        if "name" not in given and given.get("type", "client_effect") != "client_effect":
            given["name"] = given.pop("type")
        if "payload" in given:
            payload = given.pop("payload")
            given.setdefault("data", {} if payload is None else payload)
        return given


class ErrorEvent(Model):
    """An error that the user is shown.

    Attributes:
        code: A code of the protocol, or "custom".
        message: Text for the user.
        allow_retry: Whether the client offers a retry; ``retryable=`` is accepted too.
        reason: The application's own code. A ``code`` that the protocol does not know becomes the reason of a
            "custom" error.
    """

    type: Literal["error"] = "error"
    code: ErrorCode | Literal["custom"] = Field(default="custom")
    message: str | None = None
    allow_retry: bool = Field(default=False, validation_alias=AliasChoices("allow_retry", "retryable"))
    reason: str | None = None

    if TYPE_CHECKING:

        @overload
        def __init__(
            self,
            *,
            code: ErrorCode | str = ...,
            message: str | None = ...,
            allow_retry: bool = ...,
            reason: str | None = ...,
            type: Literal["error"] = ...,
        ) -> None: ...
        @overload
        def __init__(
            self,
            *,
            message: str | None = ...,
            code: ErrorCode | str = ...,
            retryable: bool,
            reason: str | None = ...,
        ) -> None: ...
        def __init__(self, **data: Any) -> None: ...

    @model_validator(mode="before")
    @classmethod
    def _accept_own_codes(cls, data: Any) -> Any:
        given = _keywords(data)
        if given is None:
            return data
        code = given.get("code")
        if isinstance(code, str) and code not in _PROTOCOL_CODES:
            given["code"] = "custom"
            if given.get("reason") is None:
                given["reason"] = code
        return given


_PROTOCOL_CODES = frozenset({"custom", *(code.value for code in ErrorCode)})


class NoticeEvent(Model):
    """A message outside the conversation.

    Attributes:
        level: How much it matters.
        message: Text for the user, markdown.
        title: Headline.
    """

    type: Literal["notice"] = "notice"
    level: Literal["info", "warning", "danger"]
    message: str
    title: str | None = None


ThreadStreamEvent: TypeAlias = Annotated[
    ThreadCreatedEvent
    | ThreadUpdatedEvent
    | ThreadItemDoneEvent
    | ThreadItemAddedEvent
    | ThreadItemUpdatedEvent
    | ThreadItemRemovedEvent
    | ThreadItemReplacedEvent
    | StreamOptionsEvent
    | ProgressUpdateEvent
    | ClientEffectEvent
    | ErrorEvent
    | NoticeEvent,
    Discriminator("type"),
]
