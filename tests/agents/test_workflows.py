"""Workflows: begun by a tool while thoughts are unread, and continued in the turn after a client tool call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from agents import RunContextWrapper, Runner, StopAtTools, function_tool

from chatkit.agents import AgentContext, ClientToolCall, stream_agent_response
from chatkit.review import map_texts
from chatkit.testing import ModelThoughts, ModelToolCall, ScriptedModel
from chatkit.types import CustomTask, Workflow
from tests.agents.support import QUIET, AgentServer, events_of
from tests.server.support import ADA
from tests.support.scale import scaled

Context = RunContextWrapper[AgentContext[Any]]


async def workflows_of(server: AgentServer, thread_id: str) -> list[Any]:
    page = await server.store.load_thread_items(thread_id, None, 100, "asc", ADA)
    return [item for item in page.data if item.type == "workflow"]


def words_of(workflow: Any) -> list[str]:
    return [getattr(task, "title", None) or task.content for task in workflow.tasks]


class LateReader(AgentServer):
    """Reads few events of a run, or none, before its tool has acted.

    Attributes:
        acted: To be set by the tool.
        read_before: How many events are read before.
    """

    acted: asyncio.Event
    read_before: int

    async def respond(self, thread: Any, input: Any, context: Any) -> AsyncIterator[Any]:
        agent_context = AgentContext(thread=thread, store=self.store, request_context=context)
        result = Runner.run_streamed(self.agent, "Hi", context=agent_context, run_config=QUIET)
        events = stream_agent_response(agent_context, result)
        for _ in range(self.read_before):
            yield await anext(events)
        async with asyncio.timeout(scaled(10)):
            await self.acted.wait()
        async for event in events:
            yield event


@pytest.mark.parametrize("read_before", [1, 2, 5])
async def test_a_tool_begins_a_workflow_while_thoughts_are_unread(read_before: int) -> None:
    @function_tool
    async def look_up(ctx: Context) -> str:
        await ctx.context.start_workflow(Workflow(type="custom", tasks=[]))
        await ctx.context.add_workflow_task(CustomTask(title="Looking", status_indicator="loading"))
        await ctx.context.update_workflow_task(CustomTask(title="Found"), 0)
        server.acted.set()
        return "ok"

    model = ScriptedModel([[ModelThoughts(["First this", "then that"]), ModelToolCall("look_up")], "Done"])
    server = LateReader(model, tools=[look_up])
    server.acted, server.read_before = asyncio.Event(), read_before
    events = await events_of(await server.create())
    began = next(i for i, e in enumerate(events) if e.get("item", {}).get("type") == "workflow")
    seen = events[began:]
    thoughts, own = dict.fromkeys(
        e["item"]["id"] for e in seen if e.get("item", {}).get("type") == "workflow"
    )

    def kinds(item_id: str) -> list[str]:
        mine = [e for e in seen if item_id in (e.get("item_id"), e.get("item", {}).get("id"))]
        return [e.get("update", e)["type"].rsplit(".", 1)[1] for e in mine]

    # The thoughts, of which the first grows in three pieces, are told whole and are over before the tool's begins.
    assert kinds(thoughts) == ["added", "added", "updated", "updated", "updated", "added", "done"]
    assert kinds(own) == ["added", "updated", "done"]
    order = [e.get("item_id") or e["item"]["id"] for e in seen if "item" in e or "item_id" in e]
    assert order[: 7 + 3] == [thoughts] * 7 + [own] * 3
    stored = await workflows_of(server, events[0]["thread"]["id"])
    assert [(item.workflow.type, words_of(item.workflow)) for item in stored] == [
        ("reasoning", ["First this", "then that"]),
        ("custom", ["Found"]),
    ]
    assert all(item.workflow.summary is not None for item in stored)


@function_tool
async def open_tab(ctx: Context) -> str:
    if ctx.context.workflow_item is None:
        ctx.context.add_workflow_task(CustomTask(title="one"))
    else:
        ctx.context.add_workflow_task(CustomTask(title="three"))
    ctx.context.client_tool_call = ClientToolCall(name="open_tab", arguments={})
    return "asked the page"


@function_tool
async def go_on(ctx: Context) -> str:
    ctx.context.update_workflow_task(CustomTask(title="one is done"), 0)
    ctx.context.add_workflow_task(CustomTask(title="two", status_indicator="loading"))
    return "ok"


OPEN_TAB = ModelToolCall("open_tab")
GO_ON = ModelToolCall("go_on")


async def begun(model: ScriptedModel) -> tuple[AgentServer, str]:
    """Returns a server with a thread whose workflow is open at a client tool call, and the thread's id."""
    server = AgentServer(
        model,
        tools=[open_tab, go_on],
        tool_use_behavior=StopAtTools(stop_at_tool_names=["open_tab"]),
    )
    events = await events_of(await server.create())
    assert events[-1]["item"]["type"] == "client_tool_call"
    thread_id = events[0]["thread"]["id"]
    (item,) = await workflows_of(server, thread_id)
    assert item.workflow.summary is None
    return server, thread_id


async def post_output(server: AgentServer, thread_id: str) -> Any:
    return await server.ask("threads.add_client_tool_output", thread_id=thread_id, result={})


def ends_of_workflow(events: list[dict[str, Any]]) -> list[list[tuple[str, str]]]:
    return [
        [(task["title"], task["status_indicator"]) for task in e["item"]["workflow"]["tasks"]]
        for e in events
        if e["type"] == "thread.item.done" and e["item"]["type"] == "workflow"
    ]


SETTLED = [("one is done", "none"), ("two", "none")]


async def stored_tasks(server: AgentServer, thread_id: str) -> list[tuple[str, str]]:
    (item,) = await workflows_of(server, thread_id)
    return [(task.title, task.status_indicator) for task in item.workflow.tasks]


async def test_a_turn_that_fails_keeps_the_workflow_that_it_continued() -> None:
    server, thread_id = await begun(ScriptedModel([OPEN_TAB, GO_ON, RuntimeError("no more")]))
    events = await events_of(await post_output(server, thread_id))
    assert events[-1]["type"] == "error"
    assert ends_of_workflow(events) == [SETTLED]
    assert await stored_tasks(server, thread_id) == SETTLED


@pytest.mark.parametrize("way", ["leave", "stop"])
async def test_a_turn_that_is_stopped_keeps_the_workflow_that_it_continued(way: str) -> None:
    never = asyncio.Event()

    async def hang_in_the_third_answer() -> None:
        if len(model.requests) == 3:
            await never.wait()

    model = ScriptedModel([OPEN_TAB, GO_ON, "Never said"], before_each_event=hang_in_the_third_answer)
    server, thread_id = await begun(model)
    events: list[dict[str, Any]] = []
    stopping: asyncio.Task[Any] | None = None
    result = await post_output(server, thread_id)
    async with asyncio.timeout(scaled(10)):
        async for frame in result:
            events.append(json.loads(frame.removeprefix(b"data: ")))
            if events[-1].get("update", {}).get("type") != "workflow.task.added":
                continue
            if way == "leave":
                await result.aclose()
                break
            stopping = asyncio.create_task(server.ask("turns.stop", thread_id=thread_id))
        if stopping is not None:
            await stopping
            assert ends_of_workflow(events) == [SETTLED]
    assert await stored_tasks(server, thread_id) == SETTLED


async def test_a_workflow_is_continued_until_another_client_tool_call() -> None:
    server, thread_id = await begun(ScriptedModel([OPEN_TAB, GO_ON, OPEN_TAB]))
    events = await events_of(await post_output(server, thread_id))
    assert events[-1]["item"]["type"] == "client_tool_call"
    assert ends_of_workflow(events) == []
    (item,) = await workflows_of(server, thread_id)
    assert words_of(item.workflow) == ["one is done", "two", "three"]
    assert item.workflow.summary is None


async def test_a_workflow_that_is_reviewed_is_continued_and_shown_when_its_turns_end() -> None:
    class ReviewedServer(AgentServer):
        async def review_output(self, item: Any, thread: Any, context: Any) -> Any:
            return map_texts(item, lambda text: text.replace("two", "2"))

    server = ReviewedServer(
        ScriptedModel([OPEN_TAB, GO_ON, "All two done"]),
        tools=[open_tab, go_on],
        tool_use_behavior=StopAtTools(stop_at_tool_names=["open_tab"]),
    )
    events = await events_of(await server.create())
    thread_id = events[0]["thread"]["id"]
    assert events[-1]["item"]["type"] in {"client_tool_call", "workflow"}
    assert ends_of_workflow(events) == [[("one", "none")]]
    events = await events_of(await post_output(server, thread_id))
    assert "two" not in str(events)
    # As the tool left it.
    left = [("one is done", "none"), ("2", "loading")]
    assert ends_of_workflow(events) == [left]
    assert await stored_tasks(server, thread_id) == left
    assert "All 2 done" in str(events)
    kept = await server.store.load_thread_items(thread_id, None, 100, "asc", ADA)
    assert [item.type for item in kept.data].count("workflow") == 1
    assert "two" not in str([item for item in kept.data if item.type != "sdk_hidden_context"])
