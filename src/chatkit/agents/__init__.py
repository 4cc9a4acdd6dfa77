"""Answers from agents of the OpenAI Agents SDK.

``AgentServer(agent)`` serves an agent as it is. The helpers that it is made of serve your own ``respond()``, too::

    async def respond(self, thread: ThreadMetadata, input: UserMessageItem | None, context: Context):
        agent_context = AgentContext(thread=thread, store=self.store, request_context=context)
        result = Runner.run_streamed(agent, await simple_to_agent_input(input), context=agent_context)
        async for event in stream_agent_response(agent_context, result):
            yield event

Needs the extra ``agents``: ``pip install 'chatkit-server[agents]'``.
"""

from __future__ import annotations

from importlib import import_module

from chatkit.errors import MissingExtraError

try:
    import_module("agents")
except ImportError as error:
    raise MissingExtraError(
        "chatkit.agents needs the OpenAI Agents SDK: pip install 'chatkit-server[agents]'."
    ) from error

from chatkit.agents.agent_server import AgentServer
from chatkit.agents.context import AgentContext, ClientToolCall
from chatkit.agents.input_items import ThreadItemConverter, simple_to_agent_input
from chatkit.agents.model_text import accumulate_text
from chatkit.agents.reasoning import StreamingThoughtTracker
from chatkit.agents.response_converter import ResponseStreamConverter
from chatkit.agents.response_stream import stream_agent_response
from chatkit.dialects.openai_chatkit.agents_names import *  # noqa: F403
from chatkit.server import stream_widget as stream_widget

__all__ = [
    "AgentContext",
    "AgentServer",
    "ClientToolCall",
    "ResponseStreamConverter",
    "StreamingThoughtTracker",
    "ThreadItemConverter",
    "accumulate_text",
    "simple_to_agent_input",
    "stream_agent_response",
]
