"""Items of a thread as messages of LangChain."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, cast

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from chatkit.frameworks._langgraph_client_tools import output_text
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

__all__ = ["to_messages"]


async def to_messages(
    items: Sequence[ThreadItem],
    *,
    attachment_to_content: Callable[[Attachment], Any] | None = None,
    tag_to_content: Callable[[UserMessageTagContent], Any] | None = None,
) -> list[AnyMessage]:
    """Returns items of a thread as messages of LangChain. Those of the user have the ids of their items.

    Args:
        items: The items, oldest first.
        attachment_to_content: Returns how the model gets a file: a text, or a content block of LangChain; sync or
            async.
        tag_to_content: Returns what the model is to know of something that was mentioned, in the same way; by
            default nothing but its name.

    Raises:
        NotImplementedError: There is an attachment, or hidden context that is no text, and nothing to convert it by.
    """
    messages: list[AnyMessage] = []
    for item in items:
        match item:
            case UserMessageItem():
                content = await said_parts(item, "to_messages", attachment_to_content, tag_to_content)
                messages.append(_human(content, item.id))
            case AssistantMessageItem():
                if text := answer_text(item):
                    messages.append(AIMessage(text, id=item.id))
            case ClientToolCallItem():
                if item.status == "completed":
                    messages += _call(item.call_id, item.name, item.arguments, item.output)
            case SDKHiddenContextItem() if (answered := answered_calls(item)) is not None:
                for call in answered:
                    messages += _call(call.call_id, call.name, _arguments(call.arguments), call.output)
            case _:
                messages += [_human([_part(part) for part in parts]) for parts in shown_parts(item)]
    return messages


def _human(content: list[Any], id: str | None = None) -> HumanMessage:
    blocks = [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
    if len(content) == 1 and isinstance(content[0], str):
        return HumanMessage(content[0], id=id)
    return HumanMessage(content=cast("list[Any]", blocks), id=id)


def _call(call_id: str, name: str, arguments: Any, output: Any) -> list[AnyMessage]:
    asked = AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": call_id, "type": "tool_call"}])
    return [asked, ToolMessage(output_text(output), tool_call_id=call_id, name=name)]


def _arguments(text: str) -> Any:
    """Returns the arguments of a call, which a model may have written wrongly."""
    try:
        arguments = json.loads(text)
    except ValueError:
        return {}
    return cast("dict[str, Any]", arguments) if isinstance(arguments, dict) else {}


def _part(part: str | GeneratedImage) -> Any:
    if isinstance(part, str):
        return part
    head, comma, data = part.url.partition(",")
    if not (comma and head.startswith("data:")):
        return {"type": "image", "url": part.url}
    return {"type": "image", "base64": data, "mime_type": head.removeprefix("data:").partition(";")[0]}
