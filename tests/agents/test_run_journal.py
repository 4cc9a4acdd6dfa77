"""The run of an agent goes on where its worker left it: models and tools that have answered are not asked again."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

import pytest
from agents import (
    Agent,
    CustomTool,
    FunctionTool,
    Model,
    RunConfig,
    StopAtTools,
    ToolOutputImage,
    ToolOutputText,
    function_tool,
    handoff,
)
from agents.models.multi_provider import MultiProvider
from agents.tool_context import ToolContext
from mcp.types import ToolAnnotations
from openai.types.responses import ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from chatkit._observers import ObservedRun, Observer, add_observer, remove_observer
from chatkit.agents import AgentContext, AgentServer, ClientToolCall
from chatkit.agents.recorded_response import load_response
from chatkit.agents.run_journal import RunJournal, usual_effect
from chatkit.errors import ConfigurationError
from chatkit.limits import Limits
from chatkit.quotas import Quota
from chatkit.server import journal
from chatkit.store import MemoryStore, SQLiteStore
from chatkit.testing import ModelText, ModelThoughts, ModelToolCall, ScriptedModel
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ProgressUpdateEvent,
    ThreadItemDoneEvent,
)
from chatkit.widgets import Card, Text
from tests.frameworks.support import ADA, user_input
from tests.server.support import LIMIT, decode, drain
from tests.stateful.plain_store import PlainStore

QUIET = RunConfig(tracing_disabled=True)


class Worker:
    """A worker that comes to its end at a point, and the ones after it.

    Attributes:
        called: The tools that were called, in order.
        ended: How many workers have come to their end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reached = asyncio.Event()
        self.ended = 0
        self._place = 0
        self.called: list[Any] = []

    async def halt(self, attempt: int = 1) -> None:
        """Waits for the end of the worker, where it is that attempt's."""
        if self.ended < attempt:
            self._reached.set()
            await asyncio.Event().wait()

    def tool(
        self,
        name: str,
        output: Callable[[Any], Any] | None = None,
        *,
        halts: bool = False,
        after: bool = False,
    ) -> Any:
        async def call(context: ToolContext[AgentContext[Any]], text: str = "") -> Any:
            if halts:
                await self.halt()
            self.called.append(f"{name} {text}".strip())
            if after:
                await self.halt()
            made = None if output is None else output(context)
            return (await made if asyncio.iscoroutine(made) else made) or f"{name} done"

        call.__name__ = name
        return function_tool(call)

    async def run(
        self, agent: Agent[Any], attempts: int = 2, last: Any = None, kind: Any = AgentServer, **options: Any
    ) -> Any:
        """Has a message answered by so many workers, and returns the events, the items and how it ended."""
        options = {"titles": False, "run_config": QUIET, **options}

        def server(**more: Any) -> AgentServer[Any]:
            return kind(agent, SQLiteStore(self._path), **(options | more))

        current = server()
        body = {
            "type": "threads.create",
            "params": {"input": user_input("Hi")},
            "metadata": {"resumable": True},
        }
        result: Any = await current.process(json.dumps(body), ADA)
        thread_id = result.thread_id
        async with asyncio.timeout(LIMIT):
            for number in range(2, attempts + 1):
                await self._reached.wait()
                self._reached.clear()
                await current.close()
                self.ended += 1
                current = server(**((last or {}) if number == attempts else {}))
                while not await current.recover():
                    await asyncio.sleep(0.01)
            body = {"type": "turns.resume", "params": {"thread_id": thread_id}}
            result = await current.process(json.dumps(body), ADA)
            frames = await drain(result.json_events)
        page = await current.store.load_thread_items(thread_id, None, 100, "asc", ADA)
        await current.close()
        return decode(frames), page.data, json.loads(frames[-1].rpartition(b"data: ")[2])["status"]


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path / "chat.db")


def texts(items: list[Any]) -> list[str]:
    return ["".join(part.text for part in item.content) for item in items if item.type == "assistant_message"]


def error(events: list[Any]) -> str:
    return next(event["message"] for event in events if event["type"] == "error")


async def test_what_models_and_tools_have_answered_is_not_asked_again(worker: Worker) -> None:
    model = ScriptedModel(
        [
            [
                ModelThoughts(["Hm."]),
                ModelText("First I pay.", citations=[]),
                ModelToolCall("pay", {"text": "5"}),
            ],
            ModelToolCall("tell"),
            ModelToolCall("wait"),
            "Done.",
        ]
    )
    tools = [
        worker.tool("pay", lambda context: {"cents": 5}),
        worker.tool("tell", lambda context: Shown()),
        worker.tool("wait"),
    ]
    slow = worker.tool("wait", halts=True)

    class Shown:
        def __str__(self) -> str:
            return "shown"

    agent = Agent[Any](name="Guide", model=model, tools=[*tools[:2], slow])
    # What runs when the worker ends is left open: a read may run again.
    events, items, end = await worker.run(agent, tool_effects={"wait": "repeatable"})
    assert end == "completed"
    assert worker.called == ["pay 5", "tell", "wait"]
    assert len(model.requests) == 4
    outputs = [
        entry["output"] for entry in model.requests[-1].input if entry.get("type") == "function_call_output"
    ]
    assert outputs == ["{'cents': 5}", "shown", "wait done"]
    assert texts(items) == ["First I pay.", "Done."]
    # All of it is continued in place: under the ids that it had, and nothing is removed.
    assert not [event for event in events if event["type"] == "thread.item.removed"]
    assert {event["item"]["id"] for event in events if "item" in event} == {item.id for item in items}
    tasks = [task for item in items if item.type == "workflow" for task in item.workflow.tasks]
    assert tasks[0].content == "Hm."
    assert agent.tools[2] is slow
    assert agent.model is model


async def test_a_tool_that_was_cut_off_is_not_called_again(worker: Worker) -> None:
    model = ScriptedModel([["I pay.", ModelToolCall("pay")], "Paid."])
    agent = Agent[Any](name="Guide", model=model, tools=[worker.tool("pay", after=True)])
    events, items, end = await worker.run(agent)
    assert worker.called == ["pay"]
    assert end == "failed"
    assert '"pay"' in error(events)
    assert "was not repeated" in error(events)
    assert len(model.requests) == 1
    assert texts(items) == ["I pay."]
    # The model is told with the next message.
    (hidden,) = [item.content for item in items if item.type == "hidden_context_item"]
    assert "cannot tell whether that was done" in hidden
    assert not [event for event in events if event["type"] == "thread.item.removed"]


async def test_what_was_told_as_done_is_there_however_the_next_attempts_end(worker: Worker) -> None:
    async def instructions(context: Any, agent: Any) -> str:
        if worker.ended == 1:
            await worker.halt(2)
        return "Be kind."

    model = ScriptedModel([["I look.", ModelToolCall("look")], "Done."])
    agent = Agent[Any](
        name="Guide", model=model, tools=[worker.tool("look", halts=True)], instructions=instructions
    )
    events, items, end = await worker.run(agent, 3, last={"rerun_on_crash": 0}, rerun_on_crash=2)
    assert (end, texts(items)) == ("interrupted", ["I look."])
    shown = [event["item"]["id"] for event in events if event["type"] == "thread.item.done"]
    assert {item.id for item in items} <= set(shown)


async def test_a_model_that_was_cut_off_is_asked_again(worker: Worker) -> None:
    events = 0

    async def halt() -> None:
        nonlocal events
        events += 1
        if events == 4:
            await worker.halt()

    model = ScriptedModel(["Hello there.", "Hello there."], before_each_event=halt)
    _, items, end = await worker.run(Agent[Any](name="Guide", model=model))
    assert (end, texts(items), len(model.requests)) == ("completed", ["Hello there."], 2)


async def test_what_was_paid_is_not_charged_again_and_is_told_as_a_replay(
    worker: Worker, tmp_path: Path
) -> None:
    class Told(ObservedRun):
        def __init__(self) -> None:
            self.told: list[Any] = []

        def began_model(self, key: object, model: Any, provider: str, agent: Any, given: Any) -> None:
            self.told.append("model")

        def began_tool(self, key: object, name: str, call_id: Any, arguments: Any) -> None:
            self.told.append(name)

        def replayed(self, key: object) -> None:
            self.told.append("replayed")

    class Watching(Observer):
        def run(self, agent: str | None, thread_id: str) -> ObservedRun:
            runs.append(Told())
            return runs[-1]

    runs: list[Told] = []
    watching = Watching()
    add_observer(watching)
    # A budget that three calls use up: what is taken from the journal needs nothing of it.
    limits = Limits(quotas=(Quota("tokens", 6, seconds=3600),), unbounded_calls=True)
    model = ScriptedModel([ModelToolCall("pay"), ModelToolCall("wait"), "Done."])
    tools = [worker.tool("pay"), worker.tool("wait", halts=True)]
    agent = Agent[Any](name="Guide", model=model, tools=tools)
    try:
        _, _, end = await worker.run(agent, tool_effects={"wait": "repeatable"}, limits=limits)
    finally:
        remove_observer(watching)
    assert end == "completed"
    assert runs[0].told == ["model", "pay", "model", "wait"]
    assert runs[1].told == ["model", "replayed", "pay", "replayed", "model", "replayed", "wait", "model"]
    store = SQLiteStore[Any](tmp_path / "chat.db")
    (total,) = await store.sum_usage(datetime(2000, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC), ADA)
    assert (total.calls, total.input_tokens) == (3, 3)
    await store.close()


async def test_what_the_sdk_carries_out_by_itself_does_not_run_twice(worker: Worker) -> None:
    async def call(context: Any, text: str) -> str:
        worker.called.append(text)
        await worker.halt()
        return "ran"

    class Custom(ScriptedModel):
        async def stream_response(self, *arguments: Any, **rest: Any) -> AsyncGenerator[Any, None]:
            item = {
                "type": "custom_tool_call",
                "call_id": "call_1",
                "id": "ctc_1",
                "name": "run",
                "input": "ls",
            }
            response = {"id": "resp_1", "created_at": 0, "model": "scripted", "output": [item]}
            yield TypeAdapter(ResponseStreamEvent).validate_python(
                {"type": "response.completed", "response": load_response(response), "sequence_number": 0}
            )

    tool = CustomTool(name="run", description="Runs", on_invoke_tool=call)
    events, _, end = await worker.run(Agent[Any](name="Guide", model=Custom([]), tools=[tool]))
    assert (end, worker.called) == ("failed", ["ls"])
    assert '"run"' in error(events)


async def test_agents_that_take_over_are_journaled_too_also_in_a_circle(worker: Worker) -> None:
    model = ScriptedModel(
        [
            ModelToolCall("transfer_to_cashier"),
            ModelToolCall("pay"),
            ModelToolCall("transfer_to_guide"),
            ModelToolCall("wait"),
            "Done.",
        ]
    )
    guide = Agent[Any](name="guide", model=model, tools=[worker.tool("wait", halts=True)])
    cashier = Agent[Any](name="cashier", model=model, tools=[worker.tool("pay")], handoffs=[guide])
    guide.handoffs = [handoff(cashier)]
    _, items, end = await worker.run(guide, tool_effects={"wait": "repeatable"})
    assert (end, worker.called, texts(items)) == ("completed", ["pay", "wait"], ["Done."])
    assert len(model.requests) == 5
    assert cashier.handoffs == [guide]


async def test_what_a_tool_showed_is_shown_again_without_it(worker: Worker) -> None:
    async def show(context: Any) -> str:
        chat = context.context
        await chat.stream(ProgressUpdateEvent(text="Looking"))
        await chat.stream_widget(Card(children=[Text(value="A card")]))
        content = [AssistantMessageContent(text="From the tool")]
        item = AssistantMessageItem(id=chat.generate_id("message"), thread_id=chat.thread.id, content=content)
        await chat.stream(ThreadItemDoneEvent(item=item))
        return "shown"

    model = ScriptedModel([ModelToolCall("show"), ModelToolCall("wait"), "Done."])
    agent = Agent[Any](
        name="Guide", model=model, tools=[worker.tool("show", show), worker.tool("wait", halts=True)]
    )
    _, items, end = await worker.run(agent, tool_effects={"wait": "repeatable"})
    assert (end, worker.called) == ("completed", ["show", "wait"])
    assert texts(items) == ["From the tool", "Done."]
    assert [item.widget.children[0].value for item in items if item.type == "widget"] == ["A card"]


async def test_a_tool_that_changed_a_workflow_cannot_be_gone_on_after(worker: Worker) -> None:
    async def show(context: Any) -> str:
        from chatkit.types import CustomTask

        await context.context.add_workflow_task(CustomTask(title="Mine"))
        return "shown"

    model = ScriptedModel([ModelToolCall("show"), ModelToolCall("wait"), "Done."])
    agent = Agent[Any](
        name="Guide", model=model, tools=[worker.tool("show", show), worker.tool("wait", halts=True)]
    )
    events, _, end = await worker.run(agent)
    assert (end, worker.called) == ("failed", ["show"])
    assert '"show"' in error(events)


async def test_a_tool_of_the_page_is_asked_for_again_without_it(worker: Worker) -> None:
    async def ask(context: Any) -> str:
        context.context.client_tool_call = ClientToolCall(name="where", arguments={"a": 1})
        return "asked"

    class Slow(AgentServer[Any]):
        async def answer(self, turn: Any) -> AsyncIterator[Any]:  # type: ignore[override]
            async for event in super().answer(turn):
                if isinstance(event, ThreadItemDoneEvent) and event.item.type == "client_tool_call":
                    await worker.halt()
                yield event

    model = ScriptedModel([ModelToolCall("ask")])
    agent = Agent[Any](
        name="Guide",
        model=model,
        tools=[worker.tool("ask", ask)],
        tool_use_behavior=StopAtTools(stop_at_tool_names=["ask"]),
    )
    _, items, end = await worker.run(agent, kind=Slow, rerun_on_crash=1)
    assert (end, worker.called) == ("completed", ["ask"])
    (call,) = [item for item in items if item.type == "client_tool_call"]
    assert (call.name, call.arguments) == ("where", {"a": 1})


async def test_instructions_that_say_the_time_do_not_matter(worker: Worker) -> None:
    asked: list[str] = []

    def instructions(context: Any, agent: Any) -> str:
        asked.append(f"It is {len(asked)} o'clock.")
        return asked[-1]

    model = ScriptedModel([ModelToolCall("pay"), ModelToolCall("wait"), "Done."])
    tools = [worker.tool("pay"), worker.tool("wait", halts=True)]
    agent = Agent[Any](name="Guide", model=model, tools=tools, instructions=instructions)
    _, _, end = await worker.run(agent, tool_effects={"wait": "repeatable"})
    assert (end, worker.called, len(model.requests)) == ("completed", ["pay", "wait"], 3)
    assert len(set(asked)) == len(asked) > 3


async def test_an_agent_that_changed_meanwhile_takes_another_way_but_pays_once(worker: Worker) -> None:
    model = ScriptedModel([ModelToolCall("pay"), ModelToolCall("wait"), ModelToolCall("pay"), "Done."])
    agent = Agent[Any](name="Guide", model=model, tools=[worker.tool("pay"), worker.tool("wait", halts=True)])

    def deploy() -> None:
        agent.tools = [*agent.tools, worker.tool("another")]

    halt = worker.halt

    async def halt_and_deploy(attempt: int = 1) -> None:
        if not worker.ended:
            deploy()
        await halt(attempt)

    worker.halt = halt_and_deploy  # type: ignore[method-assign]
    events, _, end = await worker.run(agent)
    assert (end, worker.called) == ("failed", ["pay"])
    assert '"pay"' in error(events)


async def test_tools_get_the_key_of_their_step(worker: Worker) -> None:
    keys: list[Any] = []

    async def order(context: Any) -> str:
        keys.append(journal.idempotency_key())
        await worker.halt()
        return "ordered"

    model = ScriptedModel([ModelToolCall("order", {"text": "a"}), "Done."])
    agent = Agent[Any](name="Guide", model=model, tools=[worker.tool("order", order)])
    _, _, end = await worker.run(agent, tool_effects={"order": "keyed"})
    assert end == "completed"
    assert keys[0] == keys[1] is not None


async def test_an_agent_that_is_a_tool_is_one_step(worker: Worker) -> None:
    inner = ScriptedModel([ModelToolCall("look"), "Found it."])
    helper = Agent[Any](name="helper", model=inner, tools=[worker.tool("look")])
    model = ScriptedModel([ModelToolCall("help", {"input": "x"}), ModelToolCall("wait"), "Done."])
    tools: list[Any] = [helper.as_tool("help", "Helps"), worker.tool("wait", halts=True)]
    agent = Agent[Any](name="Guide", model=model, tools=tools)
    _, _, end = await worker.run(agent, tool_effects={"wait": "repeatable"})
    assert (end, worker.called, len(inner.requests)) == ("completed", ["look", "wait"], 2)
    outputs = [
        entry["output"] for entry in model.requests[-1].input if entry.get("type") == "function_call_output"
    ]
    assert outputs == ["Found it.", "wait done"]


async def test_models_are_found_by_name_and_by_the_configuration(worker: Worker) -> None:
    model = ScriptedModel([ModelToolCall("pay"), ModelToolCall("wait"), "Done."])

    class Provider(MultiProvider):
        def get_model(self, model_name: str | None) -> Any:
            assert model_name == "named"
            return model

    agent = Agent[Any](
        name="Guide", model="named", tools=[worker.tool("pay"), worker.tool("wait", halts=True)]
    )
    config = RunConfig(tracing_disabled=True, model_provider=Provider())
    _, _, end = await worker.run(agent, run_config=config, tool_effects={"wait": "repeatable"})
    assert (end, worker.called, len(model.requests)) == ("completed", ["pay", "wait"], 3)


async def test_pictures_that_tools_return_reach_the_model_again(worker: Worker) -> None:
    picture = ToolOutputImage(image_url="data:image/png;base64,AAAA", detail="low")
    model = ScriptedModel([ModelToolCall("draw"), ModelToolCall("wait"), "Done."])
    tools = [worker.tool("draw", lambda context: [picture]), worker.tool("wait", halts=True)]
    _, _, end = await worker.run(
        Agent[Any](name="Guide", model=model, tools=tools), tool_effects={"wait": "repeatable"}
    )
    assert end == "completed"
    (first, *_), (last, *_) = (
        [entry["output"] for entry in request.input if entry.get("type") == "function_call_output"]
        for request in model.requests[1:]
    )
    assert first == last
    assert last[0]["image_url"] == picture.image_url


async def test_whatever_a_tool_returns_the_model_is_told_the_same_again(worker: Worker) -> None:
    class Book(BaseModel):
        title: str

    class Colour(str, Enum):  # noqa: UP042 -- its text is not its value
        RED = "red"

    returned: list[Any] = [
        (1, 2),
        {1: "a"},
        [Book(title="Emma")],
        Book(title="Emma"),
        [ToolOutputText(text="a"), "b"],
        (ToolOutputText(text="a"),),
        [{"a": (1, 2)}, {"b": 3}],
        Counter("aab"),
        Colour.RED,
        {"colour": Colour.RED},
        [],
        [1.5, True, None],
    ]
    tools = [worker.tool(f"t{number}", lambda _, each=each: each) for number, each in enumerate(returned)]
    model = ScriptedModel(
        [[ModelToolCall(tool.name) for tool in tools], ModelToolCall("pay"), ModelToolCall("wait"), "Done."]
    )
    agent = Agent[Any](
        name="Guide", model=model, tools=[*tools, worker.tool("pay"), worker.tool("wait", halts=True)]
    )
    _, _, end = await worker.run(agent, tool_effects={"wait": "repeatable"})
    assert (end, worker.called.count("pay"), len(model.requests)) == ("completed", 1, 4)
    (first, last) = (
        [entry["output"] for entry in request.input if entry.get("type") == "function_call_output"]
        for request in (model.requests[1], model.requests[-1])
    )
    assert first == last[: len(first)]


async def test_arguments_that_are_no_json_reach_their_tool(worker: Worker) -> None:
    async def call(context: Any, arguments: str) -> str:
        worker.called.append(arguments)
        return "ok"

    tool = FunctionTool(
        "measure", "Measures", {"type": "object", "properties": {}}, call, strict_json_schema=False
    )
    model = ScriptedModel([ModelToolCall("measure", {"value": float("nan")}), "Done."])
    _, items, end = await worker.run(Agent[Any](name="Guide", model=model, tools=[tool]), 1)
    assert (end, texts(items)) == ("completed", ["Done."])
    assert "NaN" in worker.called[0]


async def test_tools_of_an_agent_that_is_a_tool_get_no_key_in_common(worker: Worker) -> None:
    keys: list[Any] = []
    order = worker.tool("order", lambda context: keys.append(journal.idempotency_key()))
    inner = ScriptedModel(
        [[ModelToolCall("order", {"text": "a"}), ModelToolCall("order", {"text": "b"})], "Ordered."]
    )
    helper = Agent[Any](name="helper", model=inner, tools=[order])
    model = ScriptedModel([ModelToolCall("help", {"input": "x"}), "Done."])
    await worker.run(Agent[Any](name="Guide", model=model, tools=[helper.as_tool("help", "Helps")]), 1)
    assert keys == [None, None]


async def test_what_a_model_of_a_dead_worker_has_used_is_recorded_once(
    worker: Worker, tmp_path: Path
) -> None:
    class Halting(Model):
        """Halts where its answer is recorded, and nothing else is."""

        def __init__(self) -> None:
            self.scripted = ScriptedModel([ModelToolCall("pay"), "Done."])

        async def get_response(self, *arguments: Any, **rest: Any) -> Any:
            return await self.scripted.get_response(*arguments, **rest)

        async def stream_response(self, *arguments: Any, **rest: Any) -> AsyncGenerator[Any, None]:
            async for event in self.scripted.stream_response(*arguments, **rest):
                yield event
            await worker.halt()

    agent = Agent[Any](name="Guide", model=Halting(), tools=[worker.tool("pay")])
    limits = Limits(quotas=(Quota("tokens", 100, seconds=3600),), unbounded_calls=True)
    _, _, end = await worker.run(agent, limits=limits)
    assert (end, worker.called) == ("completed", ["pay"])
    store = SQLiteStore[Any](tmp_path / "chat.db")
    (total,) = await store.sum_usage(datetime(2000, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC), ADA)
    # By the name that it has without a journal, which prices are given for.
    assert (total.model, total.calls, total.input_tokens) == ("Halting", 2, 2)
    await store.close()


def test_a_model_of_a_run_is_in_all_else_as_it_is() -> None:
    class Advising(ScriptedModel):
        advised: ClassVar[list[Any]] = []

        def get_retry_advice(self, request: Any) -> Any:
            self.advised.append(request)

        async def close(self) -> None:
            """Ends its connections."""

    model = Advising([])
    steps = RunJournal(Any, Any, usual_effect)  # type: ignore[arg-type]
    made: Any = steps.config(RunConfig(model=model)).model
    made.get_retry_advice("request")
    assert model.advised == ["request"]
    assert made.close == model.close


@pytest.mark.skipif(not hasattr(FunctionTool, "mcp_annotations"), reason="this version does not pass them on")
def test_tools_of_servers_say_what_they_do() -> None:
    def tool(**hints: Any) -> FunctionTool:
        async def call(context: Any, arguments: str) -> str:
            return ""

        annotations = ToolAnnotations(**hints) if hints else None
        return FunctionTool("t", "", {}, call, _mcp_annotations=annotations)

    assert usual_effect(tool()) == "once"
    assert usual_effect(tool(readOnlyHint=True)) == "repeatable"
    assert usual_effect(tool(idempotentHint=True)) == "repeatable"
    assert usual_effect(tool(readOnlyHint=False, destructiveHint=False)) == "once"


def test_turns_go_on_by_default_where_the_store_keeps_journals() -> None:
    agent = Agent[Any](name="Guide")

    class Mine(AgentServer[Any]):
        rerun_on_crash = 3

    class OwnAnswer(AgentServer[Any]):
        async def answer(self, turn: Any) -> AsyncIterator[Any]:  # type: ignore[override]
            async for event in super().answer(turn):
                yield event

    class OwnResponse(AgentServer[Any]):
        async def respond(self, thread: Any, input: Any, context: Any) -> AsyncIterator[Any]:
            async for event in super().respond(thread, input, context):
                yield event

    assert AgentServer(agent, MemoryStore()).rerun_on_crash == 1
    with pytest.raises(ConfigurationError, match="pay"):
        AgentServer(agent, MemoryStore(), tool_effects={"pay": "twice"})  # type: ignore[dict-item]
    assert AgentServer(agent, PlainStore()).rerun_on_crash == 0
    assert AgentServer(agent, PlainStore(), rerun_on_crash=1).rerun_on_crash == 1
    assert AgentServer(agent, MemoryStore(), rerun_on_crash=0).rerun_on_crash == 0
    assert Mine(agent, PlainStore()).rerun_on_crash == 3
    # What runs an agent in a way of its own has no journal.
    for kind in (OwnAnswer, OwnResponse):
        assert kind(agent, MemoryStore()).rerun_on_crash == 0
        assert kind(agent, MemoryStore(), rerun_on_crash=1).rerun_on_crash == 1
    server = AgentServer[Any](agent, MemoryStore())
    assert server.dump_context(ADA) == ADA == server.load_context({**ADA})
    for secret in ({"user_id": "ada", "token": "secret"}, {"user_id": 1}, object(), None):
        assert server.dump_context(secret) is None
