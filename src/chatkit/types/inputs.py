"""What requests carry, and what answers of the application's own functions hold."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import FailFast, Field

from chatkit.limits import Bound, Id
from chatkit.types.base import Model
from chatkit.types.content import InferenceOptions, UserMessageContent
from chatkit.types.items import ThreadItem

__all__ = [
    "AudioInput",
    "StructuredInputAnswerSubmission",
    "StructuredInputSubmission",
    "SyncCustomActionResponse",
    "TranscriptionResult",
    "UserMessageInput",
]

_Id: TypeAlias = Annotated[str, Id()]
_Name: TypeAlias = Annotated[str, Bound("name_chars")]
_Text: TypeAlias = Annotated[str, Bound("text_chars")]
_Ids: TypeAlias = Annotated[list[_Id], Bound("list_entries"), FailFast()]


class UserMessageInput(Model):
    """What the user sends; ``attachments`` are ids."""

    content: Annotated[list[UserMessageContent], Bound("list_entries"), FailFast()]
    attachments: _Ids = Field(default_factory=list)
    quoted_text: _Text | None = None
    inference_options: InferenceOptions = Field(default_factory=InferenceOptions)


class StructuredInputAnswerSubmission(Model):
    """The answer to one question."""

    values: Annotated[list[_Text], Bound("list_entries"), FailFast()] = Field(default_factory=list)
    skipped: bool = False


class StructuredInputSubmission(Model):
    """The answers by question id."""

    status: Literal["answered", "skipped"] = "answered"
    answers: Annotated[dict[_Name, StructuredInputAnswerSubmission], Bound("list_entries")] = Field(
        default_factory=dict[str, StructuredInputAnswerSubmission]
    )


class AudioInput(Model):
    """A recording.

    Attributes:
        data: The bytes of the file.
        mime_type: Media type with its parameters.
    """

    data: bytes
    mime_type: str

    @property
    def media_type(self) -> str:
        """Media type without parameters, such as ``audio/webm``."""
        return self.mime_type.partition(";")[0].strip()


class TranscriptionResult(Model):
    """The text of a recording."""

    text: str


class SyncCustomActionResponse(Model):
    """The answer to a sync action: the item as it is now, when it changed."""

    updated_item: ThreadItem | None = None
