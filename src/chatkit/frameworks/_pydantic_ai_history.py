"""Items of a thread as messages of Pydantic AI."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from pydantic_ai import BinaryContent, ImageUrl
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)

from chatkit.types import (
    AssistantMessageItem,
    Attachment,
    ClientToolCallItem,
    CustomTask,
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

__all__ = ["to_message_history"]


async def to_message_history(
    items: Sequence[ThreadItem],
    *,
    attachment_to_content: Callable[[Attachment], Any] | None = None,
    tag_to_content: Callable[[UserMessageTagContent], Any] | None = None,
) -> list[ModelMessage]:
    """Returns items of a thread for ``message_history=``; with a user's message last, no prompt is needed.

    Args:
        items: The items, oldest first.
        attachment_to_content: Returns how the model gets a file, as content of Pydantic AI (a text, an ``ImageUrl``,
            a ``BinaryContent``); sync or async.
        tag_to_content: Returns what the model is to know of something that was mentioned, in the same way; by
            default nothing but its name.

    Raises:
        NotImplementedError: There is an attachment, or hidden context that is no text, and nothing to convert it by.
    """
    messages: list[ModelMessage] = []
    for item in items:
        match item:
            case UserMessageItem():
                content = await _said(item, attachment_to_content, tag_to_content)
                messages.append(_request(*content))
            case AssistantMessageItem():
                if text := "\n".join(part.text for part in item.content if part.text):
                    messages.append(ModelResponse(parts=[TextPart(text)]))
            case ClientToolCallItem():
                messages += _tool_call(item)
            case _:
                messages += [_request(*content) for content in _shown(item) if content]
    return messages


def _request(*content: UserContent) -> ModelRequest:
    (first, *rest) = content
    return ModelRequest(parts=[UserPromptPart(first if isinstance(first, str) and not rest else [*content])])


async def _said(item: UserMessageItem, attachment_to_content: Any, tag_to_content: Any) -> list[UserContent]:
    words: list[str] = []
    tags: dict[str, UserMessageTagContent] = {}
    for part in item.content:
        if isinstance(part, UserMessageTagContent):
            words.append(f"@{part.text}")
            tags.setdefault(part.id, part)
        else:
            words.append(part.text)
    content: list[UserContent] = ["".join(words)]
    if item.quoted_text:
        content.append(f"The user quotes this, and means it:\n{item.quoted_text}")
    for attachment in item.attachments:
        if attachment_to_content is None:
            raise NotImplementedError(
                f"The message has the attachment {attachment.id}. Give attachment_to_content= to "
                "to_message_history() to say how the model gets the file."
            )
        content.append(await _settled(attachment_to_content(attachment)))
    if tag_to_content is not None:
        content += [await _settled(tag_to_content(tag)) for tag in tags.values()]
    return content


async def _settled(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def _tool_call(item: ClientToolCallItem) -> list[ModelMessage]:
    if item.status == "pending":
        return []
    call = ToolCallPart(tool_name=item.name, args=item.arguments, tool_call_id=item.call_id)
    output = ToolReturnPart(tool_name=item.name, content=item.output, tool_call_id=item.call_id)
    return [ModelResponse(parts=[call]), ModelRequest(parts=[output])]


def _shown(item: ThreadItem) -> list[list[UserContent]]:
    """Returns what the model is to know of items that are no messages."""
    match item:
        case HiddenContextItem() | SDKHiddenContextItem():
            if not isinstance(item.content, str):
                raise NotImplementedError(
                    f"The hidden context {item.id} is no text. Leave it out of what you give to "
                    "to_message_history(), or turn it into a text."
                )
            return [[f"Context for you, which the user does not see:\n<context>\n{item.content}\n</context>"]]
        case WidgetItem():
            shown = item.widget.model_dump_json(exclude_none=True)
            return [[f"The user was shown this widget (id: {item.id}): {shown}"]]
        case GeneratedImageItem():
            return [] if item.image is None else [_image(item.image.url)]
        case StructuredInputItem():
            lines = "\n".join(f"- {question.question}: {_answer(question)}" for question in item.inputs)
            return [[f"The user was asked questions (status: {item.status}):\n{lines}"]]
        case TaskItem():
            return [_done(item.task)]
        case WorkflowItem():
            return [_done(task) for task in item.workflow.tasks]
        case _:
            return []


def _image(url: str) -> list[UserContent]:
    if not url:
        return []
    image = BinaryContent.from_data_uri(url) if url.startswith("data:") else ImageUrl(url=url)
    return ["The assistant generated this image.", image]


def _done(task: Any) -> list[UserContent]:
    if not isinstance(task, CustomTask) or not (task.title or task.content):
        return []
    done = ": ".join(part for part in (task.title, task.content) if part)
    return [f"The user was shown that this was done:\n<task>\n{done}\n</task>"]


def _answer(question: Any) -> str:
    answer = question.answer
    if answer is None:
        return "not answered"
    return "skipped" if answer.skipped else ", ".join(answer.values)
