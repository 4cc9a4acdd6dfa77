"""Any provider's model by LiteLLM: `litellm.acompletion`, with what was said before, and thoughts."""

import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import litellm

from chatkit.frameworks import AgentTurn, FunctionServer, Step, ThoughtStep
from chatkit.store import SQLiteStore
from chatkit.types import AssistantMessageItem, UserMessageItem
from chatkit.web import ChatPage, create_app, single_user

MODELS = os.environ.get("CHAT_MODELS", "openai/gpt-5.1,anthropic/claude-sonnet-4-5").split(",")
"""As LiteLLM names them; the first one answers, unless the page says otherwise by its option ``composer.models``."""


async def agent(text: str, turn: AgentTurn[dict[str, str]]) -> AsyncIterator[str | Step]:
    """Answers a message."""
    stream = await litellm.acompletion(
        model=turn.model if turn.model in MODELS else MODELS[0], messages=history(turn), stream=True
    )
    # Left by a stop, it closes the stream, so that the model stops too.
    async with aclosing(stream):
        async for chunk in stream:
            delta = chunk.choices[0].delta
            if thought := getattr(delta, "reasoning_content", None):
                yield ThoughtStep(thought)
            if delta.content:
                yield delta.content


def history(turn: AgentTurn[dict[str, str]]) -> list[dict[str, Any]]:
    """Returns what was said in the thread so far, the message to answer last."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": "Answer briefly."}]
    for item in turn.items:
        if isinstance(item, UserMessageItem | AssistantMessageItem):
            role = "user" if isinstance(item, UserMessageItem) else "assistant"
            if text := "".join(part.text for part in item.content):
                messages.append({"role": role, "content": text})
    return messages


server = FunctionServer(agent, SQLiteStore("chatkit.db"))
app = create_app(server, context=single_user(), ui=ChatPage(title="Models"))
