"""A server that answers through the Agents SDK."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from agents import (
    Agent,
    Model,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
)
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from chatkit.agents import AgentContext, simple_to_agent_input, stream_agent_response
from chatkit.server import ChatKitServer
from chatkit.store import MemoryStore
from tests.server.support import ADA, user_input
from tests.support.live_server import live_server

QUIET = RunConfig(tracing_disabled=True)


class AgentServer(ChatKitServer[Any]):
    """Answers each message by a run of an agent."""

    def __init__(self, model: Model, store: Any = None, **agent: Any) -> None:
        super().__init__(MemoryStore() if store is None else store)
        self.agent: Agent[Any] = Agent(name="Guide", model=model, **agent)
        self.contexts: list[AgentContext[Any]] = []
        self.results: list[Any] = []
        self.make_context: Callable[..., AgentContext[Any]] = AgentContext
        self.stream_options_of_run: dict[str, Any] = {}

    async def respond(self, thread: Any, input: Any, context: Any) -> AsyncIterator[Any]:
        agent_context = self.make_context(thread=thread, store=self.store, request_context=context)
        self.contexts.append(agent_context)
        given = await self.input_of(thread, input, context)
        result = Runner.run_streamed(self.agent, given, context=agent_context, run_config=QUIET)
        self.results.append(result)
        async for event in stream_agent_response(agent_context, result, **self.stream_options_of_run):
            yield event

    async def input_of(self, thread: Any, input: Any, context: Any) -> Any:
        return await simple_to_agent_input(input) or "Go on."

    async def create(self, text: str = "Hi") -> Any:
        body = {"type": "threads.create", "params": {"input": user_input(text)}}
        return await self.process(json.dumps(body), ADA)

    async def ask(self, kind: str, **params: Any) -> Any:
        return await self.process(json.dumps({"type": kind, "params": params}), ADA)


async def events_of(result: Any) -> list[dict[str, Any]]:
    return [json.loads(frame.removeprefix(b"data: ")) async for frame in result]


@asynccontextmanager
async def http_model(app: Any, api: str) -> AsyncGenerator[Any, None]:
    """Serves a scripted model and yields the SDK's model for it, by "responses" or "chat"."""
    with live_server(app) as live:
        async with DefaultAsyncHttpxClient() as http:
            client = AsyncOpenAI(base_url=f"{live.url}/v1", api_key="secret", http_client=http, max_retries=0)
            yield (OpenAIResponsesModel if api == "responses" else OpenAIChatCompletionsModel)(
                "scripted", client
            )
