"""Several runs that have the same context: agents in tools, one beside the other, one within the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from agents import Agent, RunContextWrapper, Runner, function_tool

from chatkit.agents import AgentContext, stream_agent_response
from chatkit.testing import ModelText, ModelToolCall, ScriptedModel
from chatkit.types import ProgressUpdateEvent
from tests.agents.support import QUIET, AgentServer, events_of
from tests.support.scale import scaled

Context = RunContextWrapper[AgentContext[Any]]


def run(context: AgentContext[Any], *answers: Any, tools: Any = ()) -> Any:
    agent: Agent[Any] = Agent(name="Helper", model=ScriptedModel(list(answers)), tools=list(tools))
    return stream_agent_response(context, Runner.run_streamed(agent, "go", context=context, run_config=QUIET))


def texts(events: list[dict[str, Any]]) -> list[str]:
    done = [event["item"] for event in events if event["type"] == "thread.item.done"]
    return [item["content"][0]["text"] for item in done if item["type"] == "assistant_message"]


class Server(AgentServer):
    """Answers by ``handler``, which gets the context."""

    def __init__(self, handler: Any) -> None:
        super().__init__(ScriptedModel([]))
        self.handler = handler

    async def respond(self, thread: Any, input: Any, context: Any) -> AsyncIterator[Any]:
        agent_context = AgentContext[Any](thread=thread, store=self.store, request_context=context)
        async for event in self.handler(agent_context):
            yield event


async def answer(handler: Any) -> list[dict[str, Any]]:
    async with asyncio.timeout(scaled(10)):
        return await events_of(await Server(handler).create())


async def test_a_tool_runs_another_agent_and_sends_what_it_says() -> None:
    sent = 0

    @function_tool
    async def ask_helper(ctx: Context) -> str:
        nonlocal sent
        async for event in run(ctx.context, "From the helper"):
            sent += 1
            assert sent < 100
            await ctx.context.stream(event)
        return "ok"

    server = AgentServer(ScriptedModel([ModelToolCall("ask_helper"), "Done"]), tools=[ask_helper])
    async with asyncio.timeout(scaled(10)):
        events = await events_of(await server.create())
    assert texts(events) == ["From the helper", "Done"]


async def test_runs_side_by_side_say_all_that_they_have_to_say() -> None:
    last_may_go_on = asyncio.Event()

    @function_tool
    async def report(ctx: Context) -> str:
        await last_may_go_on.wait()
        ctx.context.stream(ProgressUpdateEvent(text="still at it"))
        return "ok"

    async def handler(context: AgentContext[Any]) -> AsyncGenerator[Any, None]:
        queue: asyncio.Queue[Any] = asyncio.Queue()

        async def read(events: Any) -> None:
            async for event in events:
                await queue.put(event)
            await queue.put(None)

        tasks = [
            asyncio.create_task(read(run(context, ModelText("first " * 40, pieces=40)))),
            asyncio.create_task(read(run(context, ModelToolCall("report"), "last", tools=[report]))),
        ]
        for _ in tasks:
            while (event := await queue.get()) is not None:
                yield event
            # The one that took what tools send is over: the other one does from now on.
            last_may_go_on.set()
        await asyncio.gather(*tasks)

    events = await answer(handler)
    assert texts(events) == ["first " * 40, "last"]
    assert [event["text"] for event in events if event["type"] == "progress_update"] == ["still at it"]


async def test_a_run_that_is_read_while_another_one_waits() -> None:
    async def handler(context: AgentContext[Any]) -> AsyncGenerator[Any, None]:
        async for event in run(context, ModelText("outer " * 100, pieces=100)):
            yield event
            if event.type == "thread.item.added":
                async for inner in run(context, "inner"):
                    yield inner

    assert texts(await answer(handler)) == ["inner", "outer " * 100]


async def test_a_run_after_one_that_was_left_early() -> None:
    async def handler(context: AgentContext[Any]) -> AsyncGenerator[Any, None]:
        async for _ in run(context, ModelText("never said " * 100, pieces=100)):
            break
        async for event in run(context, "said"):
            yield event

    assert texts(await answer(handler)) == ["said"]
