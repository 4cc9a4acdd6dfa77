"""Claude by the `anthropic` client alone: what was said before, pictures, thoughts, and a tool whose work is shown."""

import os
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Literal

from anthropic import AsyncAnthropic
from anthropic.types import ContentBlockParam, MessageParam, ToolParam, ToolResultBlockParam

from chatkit.files import LocalFileStore
from chatkit.frameworks import AgentTurn, FunctionServer, Step, ThoughtStep, ToolEndStep, ToolStep
from chatkit.store import SQLiteStore
from chatkit.types import AssistantMessageItem, UserMessageItem
from chatkit.web import ChatPage, create_app, single_user

MODEL = os.environ.get("CHAT_MODEL", "claude-sonnet-4-5")
PICTURES: dict[str, Literal["image/png", "image/jpeg", "image/gif", "image/webp"]] = {
    "image/png": "image/png",
    "image/jpeg": "image/jpeg",
    "image/gif": "image/gif",
    "image/webp": "image/webp",
}
CLOCK = ToolParam(
    name="time_of_day",
    description="Returns the time in UTC.",
    input_schema={"type": "object", "properties": {}},
)

client = AsyncAnthropic()


async def agent(text: str, turn: AgentTurn[dict[str, str]]) -> AsyncIterator[str | Step]:
    """Answers a message; the model is asked again as long as it wants a tool."""
    messages = history(turn)
    while True:
        # Left by a stop, it closes the stream, so that the model stops too.
        async with client.messages.stream(
            model=MODEL, max_tokens=4096, system="Answer briefly.", messages=messages, tools=[CLOCK]
        ) as stream:
            async for event in stream:
                if event.type == "text":
                    yield event.text
                elif event.type == "thinking":
                    yield ThoughtStep(event.thinking)
            answer = await stream.get_final_message()
        calls = [block for block in answer.content if block.type == "tool_use"]
        if not calls:
            return
        results: list[ToolResultBlockParam] = []
        for call in calls:
            yield ToolStep(call.id, "Looking at the clock")
            results.append(
                {"type": "tool_result", "tool_use_id": call.id, "content": f"{datetime.now(UTC):%H:%M}"}
            )
            yield ToolEndStep(call.id)
        messages.append({"role": "assistant", "content": answer.content})
        messages.append({"role": "user", "content": results})


def history(turn: AgentTurn[dict[str, str]]) -> list[MessageParam]:
    """Returns what was said in the thread so far, the message to answer last."""
    messages: list[MessageParam] = []
    for item in turn.items:
        if isinstance(item, UserMessageItem):
            messages.append({"role": "user", "content": said(item, turn)})
        elif isinstance(item, AssistantMessageItem) and (text := "".join(part.text for part in item.content)):
            messages.append({"role": "assistant", "content": text})
    return messages


def said(message: UserMessageItem, turn: AgentTurn[dict[str, str]]) -> list[ContentBlockParam]:
    """Returns a message of the user's: its pictures, then its text."""
    parts: list[ContentBlockParam] = []
    for attached in message.attachments:
        content, kind = turn.contents.get(attached.id), PICTURES.get(attached.mime_type)
        if content is not None and kind is not None:
            data = b64encode(content).decode()
            parts.append({"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}})
    text = "".join(part.text for part in message.content)
    return [*parts, {"type": "text", "text": text or "(no text)"}]


server = FunctionServer(agent, SQLiteStore("chatkit.db"), LocalFileStore("chatkit-files"))
app = create_app(server, context=single_user(), ui=ChatPage(title="Claude", attachments=True))
