"""Items of a thread as messages of Pydantic AI."""

from __future__ import annotations

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

from chatkit.frameworks._shown import said_parts, shown_parts
from chatkit.item_texts import answer_text
from chatkit.server.tool_calls import answered_calls
from chatkit.types import (
    AssistantMessageItem,
    Attachment,
    ClientToolCallItem,
    GeneratedImage,
    SDKHiddenContextItem,
    ThreadItem,
    UserMessageItem,
    UserMessageTagContent,
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
                content = await said_parts(item, "to_message_history", attachment_to_content, tag_to_content)
                messages.append(_request(*content))
            case AssistantMessageItem():
                if text := answer_text(item):
                    messages.append(ModelResponse(parts=[TextPart(text)]))
            case ClientToolCallItem():
                if item.status == "completed":
                    messages += _call(item.call_id, item.name, item.arguments, item.output)
            case SDKHiddenContextItem() if (answered := answered_calls(item)) is not None:
                for call in answered:
                    messages += _call(call.call_id, call.name, call.arguments, call.output)
            case _:
                messages += [_request(*map(_part, parts)) for parts in shown_parts(item)]
    return messages


def _request(*content: UserContent) -> ModelRequest:
    (first, *rest) = content
    return ModelRequest(parts=[UserPromptPart(first if isinstance(first, str) and not rest else [*content])])


def _call(call_id: str, name: str, arguments: Any, output: Any) -> list[ModelMessage]:
    call = ToolCallPart(tool_name=name, args=arguments, tool_call_id=call_id)
    answer = ToolReturnPart(tool_name=name, content=output, tool_call_id=call_id)
    return [ModelResponse(parts=[call]), ModelRequest(parts=[answer])]


def _part(part: str | GeneratedImage) -> UserContent:
    if isinstance(part, str):
        return part
    is_data = part.url.startswith("data:")
    return BinaryContent.from_data_uri(part.url) if is_data else ImageUrl(url=part.url)
