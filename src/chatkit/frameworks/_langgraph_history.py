"""Items of a thread as messages of LangChain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from chatkit._tasks import maybe_await
from chatkit.frameworks._shown import shown_parts
from chatkit.item_texts import answer_text, message_text, quote_text
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
                content = await _said(item, attachment_to_content, tag_to_content)
                messages.append(_human(content, item.id))
            case AssistantMessageItem():
                if text := answer_text(item):
                    messages.append(AIMessage(text, id=item.id))
            case ClientToolCallItem():
                if item.status == "completed":
                    messages += _call(item.call_id, item.name, item.arguments, item.output)
            case SDKHiddenContextItem() if answered_calls(item) is not None:
                # Of another framework's agent.
                pass
            case _:
                messages += [_human([_part(part) for part in parts]) for parts in shown_parts(item)]
    return messages


def _human(content: list[Any], id: str | None = None) -> HumanMessage:
    blocks = [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
    if len(content) == 1 and isinstance(content[0], str):
        return HumanMessage(content[0], id=id)
    return HumanMessage(content=cast("list[Any]", blocks), id=id)


async def _said(item: UserMessageItem, attachment_to_content: Any, tag_to_content: Any) -> list[Any]:
    text, tags = message_text(item)
    content: list[Any] = [text]
    if item.quoted_text:
        content.append(quote_text(item.quoted_text))
    for attachment in item.attachments:
        if attachment_to_content is None:
            raise NotImplementedError(
                f"The message has the attachment {attachment.id}. Give attachment_to_content= to to_messages() to "
                "say how the model gets the file."
            )
        content.append(await maybe_await(attachment_to_content(attachment)))
    if tag_to_content is not None:
        content += [await maybe_await(tag_to_content(tag)) for tag in tags]
    return content


def _call(call_id: str, name: str, arguments: Any, output: Any) -> list[AnyMessage]:
    asked = AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": call_id, "type": "tool_call"}])
    return [asked, ToolMessage(str(output), tool_call_id=call_id, name=name)]


def _part(part: str | GeneratedImage) -> Any:
    if isinstance(part, str):
        return part
    head, comma, data = part.url.partition(",")
    if not (comma and head.startswith("data:")):
        return {"type": "image", "url": part.url}
    return {"type": "image", "base64": data, "mime_type": head.removeprefix("data:").partition(";")[0]}
