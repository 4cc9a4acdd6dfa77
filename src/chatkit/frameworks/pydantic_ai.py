"""Answers from an agent of Pydantic AI.

``AgentServer(agent)`` serves an agent as it is. What it is made of serves your own ``respond()``, too::

    async def respond(self, thread: ThreadMetadata, input: UserMessageItem | None, context: Context):
        page = await self.store.load_thread_items(thread.id, None, 50, "desc", context)
        run = agent.run_stream_events(message_history=await to_message_history(page.data[::-1]))
        async for event in stream_run(run, thread=thread, store=self.store, context=context):
            yield event

Needs the extra ``pydantic-ai``: ``pip install 'chatkit-server[pydantic-ai]'``.
"""

from __future__ import annotations

from importlib import import_module

from chatkit.errors import MissingExtraError

try:
    import_module("pydantic_ai")
except ImportError as error:
    raise MissingExtraError(
        "chatkit.frameworks.pydantic_ai needs Pydantic AI: pip install 'chatkit-server[pydantic-ai]'."
    ) from error

from chatkit.frameworks._pydantic_ai_history import to_message_history
from chatkit.frameworks._pydantic_ai_run import run_steps, stream_run
from chatkit.frameworks._pydantic_ai_server import AgentServer

__all__ = ["AgentServer", "run_steps", "stream_run", "to_message_history"]
