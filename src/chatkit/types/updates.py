"""Updates of a pending item: what ``thread.item.updated`` carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import BaseModel, Discriminator

from chatkit.types.base import Model
from chatkit.types.content import Annotation, AssistantMessageContent, GeneratedImage, Task
from chatkit.widgets import WidgetComponent, WidgetRoot

__all__ = [
    "AssistantMessageContentPartAdded",
    "AssistantMessageContentPartAnnotationAdded",
    "AssistantMessageContentPartDone",
    "AssistantMessageContentPartTextDelta",
    "GeneratedImageUpdated",
    "TextDelta",
    "ThreadItemUpdate",
    "WidgetComponentUpdated",
    "WidgetRootUpdated",
    "WidgetStreamingTextValueDelta",
    "WorkflowTaskAdded",
    "WorkflowTaskUpdated",
]


class AssistantMessageContentPartAdded(Model):
    """Opens a part of an assistant message."""

    type: Literal["assistant_message.content_part.added"] = "assistant_message.content_part.added"
    content_index: int
    content: AssistantMessageContent


class AssistantMessageContentPartTextDelta(Model):
    """Appends text to a part of an assistant message."""

    type: Literal["assistant_message.content_part.text_delta"] = "assistant_message.content_part.text_delta"
    content_index: int
    delta: str

    if not TYPE_CHECKING:
        # Made for each piece of text, and refused without its fields anyway.
        __init__ = BaseModel.__init__


class AssistantMessageContentPartAnnotationAdded(Model):
    """Adds a citation to a part of an assistant message."""

    type: Literal["assistant_message.content_part.annotation_added"] = (
        "assistant_message.content_part.annotation_added"
    )
    content_index: int
    annotation_index: int
    annotation: Annotation


class AssistantMessageContentPartDone(Model):
    """Closes a part of an assistant message, with its final content."""

    type: Literal["assistant_message.content_part.done"] = "assistant_message.content_part.done"
    content_index: int
    content: AssistantMessageContent


class WidgetStreamingTextValueDelta(Model):
    """Appends text to a Text or Markdown component with that id."""

    type: Literal["widget.streaming_text.value_delta"] = "widget.streaming_text.value_delta"
    component_id: str
    delta: str
    done: bool


class WidgetComponentUpdated(Model):
    """Replaces the component with that id."""

    type: Literal["widget.component.updated"] = "widget.component.updated"
    component_id: str
    component: WidgetComponent


class WidgetRootUpdated(Model):
    """Replaces the whole widget."""

    type: Literal["widget.root.updated"] = "widget.root.updated"
    widget: WidgetRoot


class WorkflowTaskAdded(Model):
    """Adds a task to a workflow."""

    type: Literal["workflow.task.added"] = "workflow.task.added"
    task_index: int
    task: Task


class WorkflowTaskUpdated(Model):
    """Replaces a task of a workflow."""

    type: Literal["workflow.task.updated"] = "workflow.task.updated"
    task_index: int
    task: Task


class GeneratedImageUpdated(Model):
    """Shows a newer version of a picture.

    Attributes:
        image: The picture so far.
        progress: From 0 to 1.
    """

    type: Literal["generated_image.updated"] = "generated_image.updated"
    image: GeneratedImage
    progress: float | None = None


ThreadItemUpdate: TypeAlias = Annotated[
    AssistantMessageContentPartAdded
    | AssistantMessageContentPartTextDelta
    | AssistantMessageContentPartAnnotationAdded
    | AssistantMessageContentPartDone
    | WidgetStreamingTextValueDelta
    | WidgetComponentUpdated
    | WidgetRootUpdated
    | WorkflowTaskAdded
    | WorkflowTaskUpdated
    | GeneratedImageUpdated,
    Discriminator("type"),
]


class TextDelta(Model):
    """Text to append to the last part of an assistant message, which is opened first if there is none."""

    type: Literal["text_delta"] = "text_delta"
    text: str

    if not TYPE_CHECKING:
        # Made for each piece of text, and refused without its fields anyway.
        __init__ = BaseModel.__init__
