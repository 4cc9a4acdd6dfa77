"""What a model is told of items of a thread that are no messages, whatever framework it is asked by."""

from __future__ import annotations

from typing import TypeAlias

from chatkit.item_texts import GENERATED_IMAGE, answers_text, hidden_text, task_text, widget_text
from chatkit.types import (
    GeneratedImage,
    GeneratedImageItem,
    HiddenContextItem,
    SDKHiddenContextItem,
    StructuredInputItem,
    TaskItem,
    ThreadItem,
    WidgetItem,
    WorkflowItem,
)

__all__ = ["Parts", "shown_parts"]

Parts: TypeAlias = list[str | GeneratedImage]
"""The content of a message of the user's: texts and pictures."""


def shown_parts(item: ThreadItem) -> list[Parts]:
    """Returns the messages that stand for an item, none for items that a model is told nothing of.

    Raises:
        NotImplementedError: It is hidden context that is no text.
    """
    match item:
        case HiddenContextItem() | SDKHiddenContextItem():
            if not isinstance(item.content, str):
                raise NotImplementedError(
                    f"The hidden context {item.id} is no text. Leave it out of the items that are given to the model, "
                    "or turn it into a text."
                )
            return [[hidden_text(item.content)]]
        case WidgetItem():
            return [[widget_text(item)]]
        case GeneratedImageItem():
            return [] if item.image is None or not item.image.url else [[GENERATED_IMAGE, item.image]]
        case StructuredInputItem():
            return [[f"The user was asked questions (status: {item.status}):\n{answers_text(item)}"]]
        case TaskItem() | WorkflowItem():
            tasks = [item.task] if isinstance(item, TaskItem) else item.workflow.tasks
            return [[done] for task in tasks if (done := task_text(task)) is not None]
        case _:
            return []
