"""Whole turns: an application, the Agents SDK, and a model that answers by a script."""

# Looks at what is private to see that nothing is left.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import threading
import warnings
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    OutputGuardrail,
    RunContextWrapper,
    StopAtTools,
    function_tool,
)
from pydantic import Field

from chatkit.agents import AgentContext, ClientToolCall, stream_agent_response
from chatkit.testing import ModelRefusal, ModelText, ModelThoughts, ModelToolCall, ScriptedModel
from chatkit.types import CustomTask, ProgressUpdateEvent, Workflow
from chatkit.widgets import Card, Markdown, Text
from tests.agents.support import AgentServer, events_of
from tests.server.support import ADA

Context = RunContextWrapper[AgentContext[Any]]


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """Returns what came, in one word each, without the opening and repeated updates."""
    names: list[str] = []
    for event in events[3:]:
        item = event.get("item", {}).get("type")
        name = event.get("update", event)["type"].removeprefix("thread.item.")
        name = f"{item} {name}" if item else name
        if not names or names[-1] != name:
            names.append(name)
    return names


def texts(events: list[dict[str, Any]]) -> list[str]:
    return [
        event["item"]["content"][0]["text"]
        for event in events
        if event["type"] == "thread.item.done" and event["item"]["type"] == "assistant_message"
    ]


async def items_of(server: AgentServer, thread_id: str) -> list[Any]:
    return (await server.store.load_thread_items(thread_id, None, 100, "asc", ADA)).data


async def test_a_text_is_streamed_and_stored() -> None:
    server = AgentServer(ScriptedModel(["Hello there"]))
    events = await events_of(await server.create())
    deltas = [event["update"]["delta"] for event in events if "delta" in event.get("update", {})]
    assert len(deltas) == 4
    assert "".join(deltas) == "Hello there"
    assert texts(events) == ["Hello there"]
    stored = await items_of(server, events[0]["thread"]["id"])
    assert [item.type for item in stored] == ["user_message", "assistant_message"]


async def test_thoughts_citations_and_a_refusal() -> None:
    citation = {
        "type": "url_citation",
        "url": "https://a.example",
        "title": "A",
        "start_index": 0,
        "end_index": 2,
    }
    answer = [
        ModelThoughts(["First this", "then that"]),
        ModelText("Yes", citations=[citation]),
        ModelRefusal("No"),
    ]
    events = await events_of(await AgentServer(ScriptedModel([answer])).create())
    workflow = next(event["item"] for event in events if event.get("item", {}).get("type") == "workflow")
    assert workflow["workflow"]["type"] == "reasoning"
    done = [event["item"] for event in events if event["type"] == "thread.item.done"]
    assert [task["content"] for task in done[1]["workflow"]["tasks"]] == ["First this", "then that"]
    assert done[2]["content"][0]["annotations"][0]["source"]["url"] == "https://a.example"
    assert texts(events) == ["Yes", "No"]


@function_tool
async def look_up(ctx: Context, word: str) -> str:
    await ctx.context.start_workflow(Workflow(type="custom", tasks=[]))
    await ctx.context.add_workflow_task(CustomTask(title=f"Looking up {word}"))
    await ctx.context.stream(ProgressUpdateEvent(text="Looking"))
    ctx.context.update_workflow_task(CustomTask(title="Found", status_indicator="complete"), 0)
    ctx.context.end_workflow(summary="Completed", expanded=True)
    return "a word"


async def test_a_tool_shows_its_work_between_two_messages() -> None:
    model = ScriptedModel([["One moment", ModelToolCall("look_up", {"word": "x"})], "It is a word"])
    events = await events_of(await AgentServer(model, tools=[look_up]).create())
    assert texts(events) == ["One moment", "It is a word"]
    assert kinds(events)[5:10] == [
        "workflow added",
        "progress_update",
        "workflow.task.updated",
        "workflow done",
        "assistant_message added",
    ]
    assert model.requests[1].input[-1]["output"] == "a word"


def test_methods_need_no_running_loop() -> None:
    from datetime import UTC, datetime

    from chatkit.store import MemoryStore
    from chatkit.types import ThreadMetadata

    context = AgentContext(
        thread=ThreadMetadata(id="thr_1", created_at=datetime.now(UTC)),
        store=MemoryStore(),
        request_context=ADA,
    )

    async def waits() -> None:
        await context.start_workflow(Workflow(type="custom", tasks=[CustomTask(title="one")]))
        await context.end_workflow("Done")

    with pytest.raises(StopIteration):
        waits().send(None)
    assert context.workflow_item is None
    assert context.generate_id("msg").startswith("msg_")
    assert context.generate_id("widget", thread=context.thread).startswith("widget_")


async def test_a_sync_tool_works_from_its_thread() -> None:
    threads: list[int] = []
    card = Card(children=[Text(value="done")])

    @function_tool
    def measure(ctx: Context) -> str:
        threads.append(threading.get_ident())
        for number in range(50):
            ctx.context.add_workflow_task(CustomTask(title=str(number)))
        ctx.context.stream_widget(card, copy_text="done")
        return "ok"

    model = ScriptedModel([ModelToolCall("measure"), "Measured"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        events = await events_of(await AgentServer(model, tools=[measure]).create())
    assert threads != [threading.get_ident()]
    done = [event["item"] for event in events if event["type"] == "thread.item.done"][1:]
    assert [item["type"] for item in done] == ["workflow", "widget", "assistant_message"]
    assert [task["title"] for task in done[0]["workflow"]["tasks"]] == [str(number) for number in range(50)]
    indexes = [event["update"]["task_index"] for event in events if "task_index" in event.get("update", {})]
    assert indexes == [*range(1, 50)]


@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_widget_generator_that_nobody_awaits_belongs_to_the_run(in_thread: bool) -> None:
    gate = asyncio.Event()

    async def versions() -> AsyncGenerator[Card, None]:
        for value in ("", "Hel", "Hello"):
            yield Card(children=[Markdown(id="m", value=value, streaming=True)])
        await gate.wait()
        yield Card(children=[Markdown(id="m", value="Hello world", streaming=True)])

    def show(ctx: Context) -> str:
        ctx.context.stream_widget(versions(), copy_text="Hello world")
        return "ok"

    async def show_here(ctx: Context) -> str:
        return show(ctx)

    tool = function_tool(show if in_thread else show_here, name_override="show")
    model = ScriptedModel([ModelToolCall("show"), "There"])
    events: list[dict[str, Any]] = []
    async for frame in await AgentServer(model, tools=[tool]).create():
        events.append(json.loads(frame.removeprefix(b"data: ")))
        if events[-1]["type"] == "thread.item.done" and events[-1]["item"]["type"] == "assistant_message":
            gate.set()
    assert events[-1]["item"]["widget"]["children"][0]["value"] == "Hello world"
    assert (
        "".join(e["update"]["delta"] for e in events if "component_id" in e.get("update", {}))
        == "Hello world"
    )


@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_tool_shows_the_versions_of_a_widget(in_thread: bool) -> None:
    async def versions() -> AsyncGenerator[Card, None]:
        for number in range(3):
            yield Card(children=[], background=str(number))

    def show(ctx: Context) -> str:
        ctx.context.stream_widget(versions())
        return "shown"

    async def show_and_wait(ctx: Context) -> str:
        await ctx.context.stream_widget(versions())
        return "shown"

    # Without a function for failures, an error of the tool is one of the run.
    tool = function_tool(
        show if in_thread else show_and_wait, name_override="show", failure_error_function=None
    )
    model = ScriptedModel([ModelToolCall("show"), "There"])
    loop = asyncio.get_running_loop()
    problems: list[Any] = []
    loop.set_exception_handler(lambda _, problem: problems.append(problem))
    events = await events_of(await AgentServer(model, tools=[tool]).create())
    assert problems == []
    done = [event["item"] for event in events if event["type"] == "thread.item.done"]
    assert [item["widget"]["background"] for item in done if item["type"] == "widget"] == ["2"]


async def test_an_error_of_a_widget_that_nobody_awaits_ends_the_turn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def versions() -> AsyncGenerator[Card, None]:
        yield Card(children=[])
        raise RuntimeError("no more")

    @function_tool
    async def show(ctx: Context) -> str:
        ctx.context.stream_widget(versions())
        return "ok"

    events = await events_of(
        await AgentServer(ScriptedModel([ModelToolCall("show"), "x"]), tools=[show]).create()
    )
    assert events[-1]["type"] == "error"
    assert "no more" in caplog.text


async def test_contexts_share_no_queue() -> None:
    server = AgentServer(ScriptedModel(["a", "b"]))
    await events_of(await server.create())
    first = server.contexts[0]
    first.stream(ProgressUpdateEvent(text="for nobody"))
    events = await events_of(await server.create())
    assert not [event for event in events if event["type"] == "progress_update"]
    assert copy.deepcopy(first._inbox) is not first._inbox
    assert len(pickle.loads(pickle.dumps(first._inbox))) == 0


async def test_a_cancelled_task_that_a_tool_waits_for_is_no_answer() -> None:
    """The run raises a CancelledError then, though nobody stopped the turn: it must not pass for a run that ended."""

    @function_tool(failure_error_function=None)
    async def wait(ctx: Context) -> str:
        other = asyncio.create_task(asyncio.Event().wait())
        other.cancel()
        await other
        return "ok"

    server = AgentServer(ScriptedModel([["I look", ModelToolCall("wait")], "Found"]), tools=[wait])
    events: list[dict[str, Any]] = []

    async def read() -> None:
        async for frame in await server.create():
            events.append(json.loads(frame.removeprefix(b"data: ")))  # noqa: PERF401 -- what came before the error

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(read())
    kept = await items_of(server, events[0]["thread"]["id"])
    assert [item.type for item in kept] == ["user_message", "assistant_message", "sdk_hidden_context"]


async def test_a_handoff_and_a_hosted_tool_leave_only_messages() -> None:
    model = ScriptedModel(
        [[ModelText("I pass you on"), ModelToolCall("transfer_to_expert")], "I am the expert"]
    )
    expert: Agent[Any] = Agent(name="expert", model=model)
    events = await events_of(await AgentServer(model, handoffs=[expert]).create())
    assert texts(events) == ["I pass you on", "I am the expert"]


@function_tool
async def open_tab(ctx: Context, url: str) -> str:
    ctx.context.client_tool_call = ClientToolCall(name="open_tab", arguments={"url": url})
    return "asked the page"


async def test_a_client_tool_ends_the_turn_and_its_workflow_goes_on() -> None:
    @function_tool
    async def begin(ctx: Context) -> str:
        ctx.context.add_workflow_task(CustomTask(title="one"))
        return "ok"

    @function_tool
    async def go_on(ctx: Context) -> str:
        ctx.context.add_workflow_task(CustomTask(title="two"))
        return "ok"

    model = ScriptedModel(
        [
            ModelToolCall("begin"),
            ModelToolCall("open_tab", {"url": "u"}, call_id="call_7"),
            ModelToolCall("go_on"),
            "All done",
        ]
    )
    server = AgentServer(
        model,
        tools=[begin, open_tab, go_on],
        tool_use_behavior=StopAtTools(stop_at_tool_names=["open_tab"]),
    )
    events = await events_of(await server.create())
    thread_id = events[0]["thread"]["id"]
    call = events[-1]["item"]
    assert (call["type"], call["status"], call["call_id"]) == ("client_tool_call", "pending", "call_7")
    assert [item.type for item in await items_of(server, thread_id)] == [
        "user_message",
        "workflow",
        "client_tool_call",
    ]
    more = await events_of(
        await server.ask("threads.add_client_tool_output", thread_id=thread_id, result={"ok": 1})
    )
    done = next(
        e["item"] for e in more if e["type"] == "thread.item.done" and e["item"]["type"] == "workflow"
    )
    assert [task["title"] for task in done["workflow"]["tasks"]] == ["one", "two"]
    stored = await items_of(server, thread_id)
    assert [item.type for item in stored] == [
        "user_message",
        "workflow",
        "client_tool_call",
        "assistant_message",
    ]
    assert len(stored[1].workflow.tasks) == 2


@pytest.mark.parametrize("kind", ["input", "output"])
async def test_a_guardrail_removes_what_was_produced(kind: str) -> None:
    async def check(*given: Any) -> GuardrailFunctionOutput:
        await asyncio.sleep(0)
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)

    guards: dict[str, Any] = {
        "input": {"input_guardrails": [InputGuardrail(guardrail_function=check)]},
        "output": {"output_guardrails": [OutputGuardrail(guardrail_function=check)]},
    }
    server = AgentServer(ScriptedModel(["Something bad"]), **guards[kind])
    events = await events_of(await server.create())
    assert events[-1]["type"] == "error"
    shown = {e["item"]["id"] for e in events[2:] if "item" in e and e["item"]["type"] == "assistant_message"}
    removed = {e["item_id"] for e in events if e["type"] == "thread.item.removed"}
    assert shown == removed
    stored = await items_of(server, events[0]["thread"]["id"])
    assert [item.type for item in stored] == ["user_message"]


async def test_a_subclass_has_fields_and_an_async_override_of_stream() -> None:
    class Own(AgentContext[Any]):
        seen: list[str] = Field(default_factory=list[str])

        async def stream(self, event: Any) -> None:
            self.seen.append(event.type)
            await super().stream(event)

    server = AgentServer(ScriptedModel([ModelToolCall("look_up_well", {"word": "x"}), "Well"]))

    @function_tool
    async def look_up_well(ctx: Context, word: str) -> str:
        await ctx.context.add_workflow_task(CustomTask(title=word))
        await ctx.context.end_workflow()
        return "ok"

    server.agent.tools = [look_up_well]
    server.make_context = Own
    events = await events_of(await server.create())
    context: Any = server.contexts[0]
    assert context.seen == ["thread.item.added", "thread.item.done"]
    assert [event["item"]["type"] for event in events if event["type"] == "thread.item.done"] == [
        "user_message",
        "workflow",
        "assistant_message",
    ]


async def test_outside_of_turns_a_stream_that_is_left_ends_its_run() -> None:
    server = AgentServer(ScriptedModel(["a b c d"]))
    await events_of(await server.create())
    from agents import Runner

    never = asyncio.Event()
    model = ScriptedModel(["x"], before_each_event=never.wait)
    context = server.contexts[0]
    result = Runner.run_streamed(Agent[Any](name="A", model=model), "Hi", context=context)
    events = stream_agent_response(context, result)
    before = asyncio.all_tasks()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await anext(events)
    await events.aclose()
    assert asyncio.all_tasks() <= before
