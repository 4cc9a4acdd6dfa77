"""Stopping: many turns, each at another moment; nothing of them is left afterwards."""

# Looks at what is private to see that nothing is left.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import AsyncGenerator
from importlib.metadata import version
from typing import Any, cast

import pytest
from agents import OpenAIChatCompletionsModel, OpenAIResponsesModel, RunContextWrapper, function_tool
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from chatkit.agents import AgentContext
from chatkit.testing import ModelText, ModelThoughts, ModelToolCall, ScriptedModel, scripted_model_app
from chatkit.types import CustomTask
from chatkit.widgets import Card, Markdown
from tests.agents.support import AgentServer
from tests.support.live_server import live_server
from tests.support.scale import examples, scaled

TURNS = examples(100)


@function_tool
async def work(ctx: RunContextWrapper[AgentContext[Any]], steps: int) -> str:
    async def versions() -> AsyncGenerator[Card, None]:
        for step in range(steps):
            await asyncio.sleep(0)
            yield Card(children=[Markdown(id="m", value="x" * step, streaming=True)])

    ctx.context.stream_widget(versions())
    for step in range(steps):
        await ctx.context.add_workflow_task(CustomTask(title=str(step)))
        await asyncio.sleep(0)
    return "ok"


@function_tool
def work_in_thread(ctx: RunContextWrapper[AgentContext[Any]], steps: int) -> str:
    for step in range(steps):
        ctx.context.add_workflow_task(CustomTask(title=str(step)))
    return "ok"


ANSWERS = [
    [ModelThoughts(["Let me see"]), ModelText("I look", pieces=5), ModelToolCall("work", {"steps": 5})],
    [ModelToolCall("work_in_thread", {"steps": 5})],
    ModelText("This is what I found", pieces=10),
]


async def stop_somewhere(server: AgentServer, chance: random.Random) -> str:
    """Reads a turn up to a moment and leaves it in one of the ways there are; returns how."""
    result = await server.create()
    frames = aiter(result)
    way = chance.choice(["aclose", "cancel", "stop"])
    for _ in range(chance.randrange(40)):
        try:
            await anext(frames)
        except StopAsyncIteration:
            break
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
    if way == "stop":
        await server.ask("turns.stop", thread_id=result.thread_id)
    elif way == "cancel":

        async def read() -> None:
            async for _ in frames:
                pass

        reader = asyncio.ensure_future(read())
        for _ in range(chance.randrange(6)):
            await asyncio.sleep(0)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
    await result.aclose()
    return way


# Seen with the oldest version only, for a few of fifty stops on a busy machine: the answer has ended at the model's
# side, and the HTTP client counts its connection as busy for ever.
FORGOTTEN = 0 if int(version("openai-agents").split(".")[1]) >= 24 else 5


@pytest.mark.parametrize("seed", range(2))
async def test_nothing_is_left_of_stopped_turns(seed: int) -> None:
    chance = random.Random(seed)
    before = asyncio.all_tasks()
    ways: set[str] = set()
    for _ in range(TURNS // 2):
        server = AgentServer(ScriptedModel(ANSWERS), tools=[work, work_in_thread])
        ways.add(await stop_somewhere(server, chance))
        assert asyncio.all_tasks() <= before
        assert all(not server.contexts or not context._widgets for context in server.contexts)
    assert ways == {"aclose", "cancel", "stop"}


def busy_connections(pool: Any) -> list[Any]:
    return [one for one in pool.connections if not (one.is_idle() or one.is_closed())]


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_no_connection_to_the_model_stays_open(api: str) -> None:
    chance = random.Random(api)
    before = asyncio.all_tasks()
    app = scripted_model_app(ANSWERS, repeat=True, before_each_event=lambda: asyncio.sleep(0.0005))
    with live_server(app) as live:
        async with DefaultAsyncHttpxClient() as http:
            client = AsyncOpenAI(base_url=f"{live.url}/v1", api_key="k", http_client=http, max_retries=0)
            model: Any = (
                OpenAIResponsesModel("scripted", client)
                if api == "responses"
                else OpenAIChatCompletionsModel("scripted", client)
            )
            for _ in range(TURNS // 2):
                server = AgentServer(model, tools=[work, work_in_thread])
                app.state.requests.clear()
                await stop_somewhere(server, chance)
                async with asyncio.timeout(scaled(10)):
                    # The SDK leaves generators of the HTTP client half read, which the loop closes.
                    while not asyncio.all_tasks() <= before:
                        await asyncio.sleep(0)
            async with asyncio.timeout(scaled(10)):
                while app.state.open_streams:
                    await asyncio.sleep(0.01)
            pool: Any = cast("Any", http._transport)._pool
            async with asyncio.timeout(scaled(10)):
                while len(busy_connections(pool)) > FORGOTTEN:
                    # What the SDK left half read may be part of a cycle.
                    gc.collect()
                    await asyncio.sleep(0.01)
