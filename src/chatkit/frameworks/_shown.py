"""What a model is told of items of a thread, whatever framework it is asked by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from chatkit._tasks import maybe_await
from chatkit.item_texts import (
    GENERATED_IMAGE,
    answers_text,
    hidden_text,
    message_text,
    quote_text,
    task_text,
    widget_text,
)
from chatkit.types import (
    Attachment,
    GeneratedImage,
    GeneratedImageItem,
    HiddenContextItem,
    SDKHiddenContextItem,
    StructuredInputItem,
    TaskItem,
    ThreadItem,
    UserMessageItem,
    UserMessageTagContent,
    WidgetItem,
    WorkflowItem,
)

__all__ = ["Parts", "said_parts", "shown_parts"]

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


async def said_parts(
    item: UserMessageItem,
    function: str,
    attachment_to_content: Callable[[Attachment], Any] | None,
    tag_to_content: Callable[[UserMessageTagContent], Any] | None,
) -> list[Any]:
    """Returns what a user said: texts, and what the two make of files and of what was mentioned, sync or async.

    Args:
        item: The message.
        function: What the application calls, for the error's text.
        attachment_to_content: Returns the content for a file.
        tag_to_content: Returns the content for something that was mentioned; None for nothing but its name.

    Raises:
        NotImplementedError: There is a file, and nothing to convert it by.
    """
    text, tags = message_text(item)
    content: list[Any] = [text]
    if item.quoted_text:
        content.append(quote_text(item.quoted_text))
    for attachment in item.attachments:
        if attachment_to_content is None:
            raise NotImplementedError(
                f"The message has the attachment {attachment.id}. Give attachment_to_content= to {function}() to say "
                "how the model gets the file."
            )
        content.append(await maybe_await(attachment_to_content(attachment)))
    if tag_to_content is not None:
        content += [await maybe_await(tag_to_content(tag)) for tag in tags]
    return content
