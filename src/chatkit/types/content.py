"""Parts of items: message content, annotations and their sources, attachments, tasks and workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import AnyUrl, Discriminator, Field, field_validator

from chatkit.icons import IconName
from chatkit.limits import Bound
from chatkit.types.base import Model

__all__ = [
    "Annotation",
    "AssistantMessageContent",
    "Attachment",
    "AttachmentBase",
    "AttachmentUploadDescriptor",
    "BaseTask",
    "CustomSummary",
    "CustomTask",
    "DurationSummary",
    "EntitySource",
    "FileAttachment",
    "FileSource",
    "FileTask",
    "GeneratedImage",
    "ImageAttachment",
    "ImageTask",
    "InferenceOptions",
    "SearchTask",
    "Source",
    "SourceBase",
    "Task",
    "TextContent",
    "ThoughtTask",
    "ToolChoice",
    "URLSource",
    "UserMessageContent",
    "UserMessageTagContent",
    "UserMessageTextContent",
    "Workflow",
    "WorkflowSummary",
]


class SourceBase(Model):
    """What every citable source has."""

    title: str
    description: str | None = None
    timestamp: str | None = None
    group: str | None = None


class FileSource(SourceBase):
    """A file that an answer cites."""

    type: Literal["file"] = "file"
    filename: str


class URLSource(SourceBase):
    """A web page that an answer cites."""

    type: Literal["url"] = "url"
    url: str
    attribution: str | None = None


class EntitySource(SourceBase):
    """An object of the application that an answer cites."""

    type: Literal["entity"] = "entity"
    id: str
    icon: IconName | None = None
    label: str | None = None
    inline_label: str | None = None
    interactive: bool = False
    data: dict[str, Any] = Field(default_factory=dict)
    preview: Literal["lazy"] | None = None


Source: TypeAlias = Annotated[URLSource | FileSource | EntitySource, Discriminator("type")]


class Annotation(Model):
    """A citation in a piece of text.

    Attributes:
        source: What is cited.
        index: Position in the text, in characters, after which the mark stands.
    """

    type: Literal["annotation"] = "annotation"
    source: Source
    index: int | None = None


class AssistantMessageContent(Model):
    """One part of an assistant message: markdown text with citations."""

    annotations: list[Annotation] = Field(default_factory=list[Annotation])
    text: str
    type: Literal["output_text"] = "output_text"

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            text: str,
            annotations: list[Annotation] = ...,
            type: Literal["output_text", "text"] = ...,
        ) -> None: ...

    @field_validator("type", mode="before")
    @classmethod
    def _accept_short_type(cls, value: object) -> object:
        return "output_text" if value == "text" else value


TextContent = AssistantMessageContent


class UserMessageTextContent(Model):
    """Text that the user typed."""

    type: Literal["input_text"] = "input_text"
    text: Annotated[str, Bound("text_chars")]


class UserMessageTagContent(Model):
    """An @-mention: an entity of the application that the user put into the message."""

    type: Literal["input_tag"] = "input_tag"
    id: Annotated[str, Bound("name_chars")]
    text: Annotated[str, Bound("title_chars")]
    data: Annotated[dict[str, Any], Bound("payload_bytes")]
    group: Annotated[str, Bound("name_chars")] | None = None
    interactive: bool = False

    @property
    def entity_type(self) -> str | None:
        """Same as ``group``."""
        return self.group

    @property
    def entity_id(self) -> str:
        """Same as ``id``."""
        return self.id


UserMessageContent: TypeAlias = Annotated[
    UserMessageTextContent | UserMessageTagContent, Discriminator("type")
]


class ToolChoice(Model):
    """The tool that the user chose in the composer."""

    id: Annotated[str, Bound("name_chars")]


class InferenceOptions(Model):
    """The user's choices for the answer."""

    tool_choice: ToolChoice | None = None
    model: Annotated[str, Bound("name_chars")] | None = None


class AttachmentUploadDescriptor(Model):
    """Where and how the client uploads an attachment's bytes (two-phase upload)."""

    url: AnyUrl
    method: Literal["POST", "PUT"]
    headers: dict[str, str] = Field(default_factory=dict)

    if TYPE_CHECKING:

        def __init__(
            self, *, url: AnyUrl | str, method: Literal["POST", "PUT"], headers: dict[str, str] = ...
        ) -> None: ...


class AttachmentBase(Model):
    """What every attachment has.

    Attributes:
        id: Id of the attachment, and of its file.
        name: File name as the user gave it.
        mime_type: Media type as the client declared it.
        upload_descriptor: Set while the upload is outstanding.
        thread_id: Set once a message uses the attachment.
        metadata: The application's own data; never sent to a client.
    """

    id: str
    name: str
    mime_type: str
    upload_descriptor: AttachmentUploadDescriptor | None = None
    thread_id: str | None = None
    metadata: dict[str, Any] | None = None

    @property
    def file_id(self) -> str:
        """Same as ``id``."""
        return self.id


class FileAttachment(AttachmentBase):
    """An attachment shown by name."""

    type: Literal["file"] = "file"


class ImageAttachment(AttachmentBase):
    """An attachment shown as a picture."""

    type: Literal["image"] = "image"
    preview_url: AnyUrl

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            id: str,
            name: str,
            mime_type: str,
            preview_url: AnyUrl | str,
            upload_descriptor: AttachmentUploadDescriptor | None = ...,
            thread_id: str | None = ...,
            metadata: dict[str, Any] | None = ...,
            type: Literal["image"] = ...,
        ) -> None: ...


Attachment: TypeAlias = Annotated[FileAttachment | ImageAttachment, Discriminator("type")]


class BaseTask(Model):
    """What every task has."""

    status_indicator: Literal["none", "loading", "complete"] = "none"


class CustomTask(BaseTask):
    """A step of the application's own."""

    type: Literal["custom"] = "custom"
    title: str | None = None
    icon: IconName | None = None
    content: str | None = None


class SearchTask(BaseTask):
    """A web search."""

    type: Literal["web_search"] = "web_search"
    title: str | None = None
    title_query: str | None = None
    queries: list[str] = Field(default_factory=list)
    sources: list[URLSource] = Field(default_factory=list[URLSource])


class ThoughtTask(BaseTask):
    """A piece of reasoning."""

    type: Literal["thought"] = "thought"
    title: str | None = None
    content: str


class FileTask(BaseTask):
    """Work on files."""

    type: Literal["file"] = "file"
    title: str | None = None
    sources: list[FileSource] = Field(default_factory=list[FileSource])


class ImageTask(BaseTask):
    """Work on an image."""

    type: Literal["image"] = "image"
    title: str | None = None


Task: TypeAlias = Annotated[
    CustomTask | SearchTask | ThoughtTask | FileTask | ImageTask, Discriminator("type")
]


class CustomSummary(Model):
    """A workflow's headline in the application's words."""

    title: str
    icon: IconName | None = None


class DurationSummary(Model):
    """A workflow's headline by its duration, in seconds."""

    duration: int


WorkflowSummary: TypeAlias = CustomSummary | DurationSummary


class Workflow(Model):
    """Steps that belong together, shown as one expandable group."""

    type: Literal["custom", "reasoning"]
    tasks: list[Task]
    summary: WorkflowSummary | None = None
    expanded: bool = False


class GeneratedImage(Model):
    """A picture that a model made; the URL may be a data URL."""

    id: str
    url: str
