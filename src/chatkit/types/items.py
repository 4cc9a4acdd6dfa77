"""Items of a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, TypeAlias

from pydantic import Discriminator, Field

from chatkit.ids import utc_now
from chatkit.types.base import Model, UTCDateTime
from chatkit.types.content import (
    AssistantMessageContent,
    Attachment,
    GeneratedImage,
    InferenceOptions,
    Task,
    UserMessageContent,
    Workflow,
)
from chatkit.widgets import WidgetRoot

__all__ = [
    "HIDDEN_ITEM_TYPES",
    "AssistantMessageItem",
    "ClientToolCallItem",
    "EndOfTurnItem",
    "GeneratedImageItem",
    "HiddenContextItem",
    "SDKHiddenContextItem",
    "StructuredInput",
    "StructuredInputAnswer",
    "StructuredInputBase",
    "StructuredInputFreeform",
    "StructuredInputItem",
    "StructuredInputMultipleChoice",
    "StructuredInputMultipleChoiceOption",
    "TaskItem",
    "ThreadItem",
    "ThreadItemBase",
    "UserMessageItem",
    "WidgetItem",
    "WorkflowItem",
]


class ThreadItemBase(Model):
    """What every item has.

    Attributes:
        id: Unique within the store. A handler may leave it out in what it yields: the store makes one. Then it is empty
            in this object, and an event with an empty id means the item of the turn that was added without one.
        thread_id: The item's thread; the server fills it in when a handler leaves it empty.
        created_at: When the item was made, UTC. The order of items is the store's, not this.
    """

    # Only a constructor may leave it out: what is read and what is sent has one.
    _optional_id: ClassVar[str] = "id"

    if TYPE_CHECKING:
        id: str = ""
    else:
        id: str
    thread_id: str = ""
    created_at: UTCDateTime = Field(default_factory=utc_now)


class UserMessageItem(ThreadItemBase):
    """What the user sent."""

    type: Literal["user_message"] = "user_message"
    content: list[UserMessageContent]
    attachments: list[Attachment] = Field(default_factory=list[Attachment])
    quoted_text: str | None = None
    inference_options: InferenceOptions = Field(default_factory=InferenceOptions)


class AssistantMessageItem(ThreadItemBase):
    """What the assistant answered."""

    type: Literal["assistant_message"] = "assistant_message"
    content: list[AssistantMessageContent]


class ClientToolCallItem(ThreadItemBase):
    """A call that the page carries out; the turn ends with it and the page posts the output."""

    type: Literal["client_tool_call"] = "client_tool_call"
    status: Literal["pending", "completed"] = "pending"
    call_id: str
    name: str
    arguments: dict[str, Any]
    output: Any | None = None


class WidgetItem(ThreadItemBase):
    """An interactive widget.

    Attributes:
        widget: The widget's root component.
        copy_text: Plain text that stands for the widget when the user copies it.
    """

    type: Literal["widget"] = "widget"
    widget: WidgetRoot
    copy_text: str | None = None


class GeneratedImageItem(ThreadItemBase):
    """A generated picture; ``image`` is None until the first version of it is there."""

    type: Literal["generated_image"] = "generated_image"
    image: GeneratedImage | None = None


class StructuredInputAnswer(Model):
    """What the user answered to one question."""

    values: list[str] = Field(default_factory=list)
    skipped: bool = False


class StructuredInputBase(Model):
    """What every question has."""

    id: str
    question: str
    answer: StructuredInputAnswer | None = None


class StructuredInputMultipleChoiceOption(Model):
    """An answer to choose."""

    value: str


class StructuredInputMultipleChoice(StructuredInputBase):
    """A question with answers to choose from."""

    type: Literal["multiple_choice"] = "multiple_choice"
    options: list[StructuredInputMultipleChoiceOption]
    multiple: bool = False


class StructuredInputFreeform(StructuredInputBase):
    """A question that is answered in the user's own words."""

    type: Literal["freeform"] = "freeform"
    description: str | None = None


StructuredInput: TypeAlias = Annotated[
    StructuredInputMultipleChoice | StructuredInputFreeform, Discriminator("type")
]


class StructuredInputItem(ThreadItemBase):
    """Questions to the user."""

    type: Literal["structured_input"] = "structured_input"
    status: Literal["pending", "answered", "skipped"] = "pending"
    inputs: list[StructuredInput]


class WorkflowItem(ThreadItemBase):
    """Steps of the assistant's work."""

    type: Literal["workflow"] = "workflow"
    workflow: Workflow


class TaskItem(ThreadItemBase):
    """A single step of the assistant's work."""

    type: Literal["task"] = "task"
    task: Task


class EndOfTurnItem(ThreadItemBase):
    """Marks that the assistant has finished its turn."""

    type: Literal["end_of_turn"] = "end_of_turn"


class HiddenContextItem(ThreadItemBase):
    """Context for the model that the application keeps in the thread; never sent to a client."""

    type: Literal["hidden_context_item"] = "hidden_context_item"
    content: Any


class SDKHiddenContextItem(ThreadItemBase):
    """Context for the model that this package keeps in the thread; never sent to a client."""

    type: Literal["sdk_hidden_context"] = "sdk_hidden_context"
    content: str


ThreadItem: TypeAlias = Annotated[
    UserMessageItem
    | AssistantMessageItem
    | ClientToolCallItem
    | WidgetItem
    | GeneratedImageItem
    | StructuredInputItem
    | WorkflowItem
    | TaskItem
    | HiddenContextItem
    | SDKHiddenContextItem
    | EndOfTurnItem,
    Discriminator("type"),
]

HIDDEN_ITEM_TYPES: Final = frozenset({"hidden_context_item", "sdk_hidden_context"})
"""Types of the items that exist in stores only."""
