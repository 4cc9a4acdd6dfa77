"""Answers from a graph of LangGraph, an agent of LangChain, or another runnable.

``AgentServer(agent)`` serves it as it is. What it is made of serves your own ``respond()``, too::

    async def respond(self, thread: ThreadMetadata, input: UserMessageItem | None, context: Context):
        page = await self.store.load_thread_items(thread.id, None, 50, "desc", context)
        messages = await to_messages(page.data[::-1])
        stream = graph.astream({"messages": messages}, stream_mode=[*STREAM_MODES], subgraphs=True)
        steps = run_steps(stream, RunConverter())
        async for event in stream_steps(steps, thread=thread, store=self.store, context=context):
            yield event

Tools that were made with ``client_tool`` are carried out by the page.

Needs the extra ``langgraph``: ``pip install 'chatkit-server[langgraph]'``.
"""

from __future__ import annotations

from importlib import import_module

from chatkit.errors import MissingExtraError

try:
    import_module("langgraph.pregel")
    import_module("langchain_core.messages")
except ImportError as error:
    raise MissingExtraError(
        "chatkit.frameworks.langgraph needs LangGraph: pip install 'chatkit-server[langgraph]'."
    ) from error

from chatkit.frameworks._langgraph_client_tools import client_tool
from chatkit.frameworks._langgraph_history import to_messages
from chatkit.frameworks._langgraph_run import STREAM_MODES, RunConverter, run_steps
from chatkit.frameworks._langgraph_server import AgentServer

__all__ = ["STREAM_MODES", "AgentServer", "RunConverter", "client_tool", "run_steps", "to_messages"]
