"""Agents of Pydantic AI, answering by its own test models."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, ModelRetry
from pydantic_ai import messages as ai
from pydantic_ai.models.function import AgentInfo, DeltaThinkingPart, DeltaToolCall, FunctionModel
from pydantic_ai.models.test import TestModel

from chatkit.frameworks.pydantic_ai import run_steps, stream_run, to_message_history
from chatkit.frameworks.steps import CitationStep, TextStep
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ClientToolCallItem,
    CustomTask,
    EndOfTurnItem,
    FileAttachment,
    GeneratedImage,
    GeneratedImageItem,
    HiddenContextItem,
    SDKHiddenContextItem,
    StructuredInputAnswer,
    StructuredInputFreeform,
    StructuredInputItem,
    TaskItem,
    ThoughtTask,
    ThreadItem,
    UserMessageItem,
    UserMessageTagContent,
    UserMessageTextContent,
    WidgetItem,
    Workflow,
    WorkflowItem,
)
from chatkit.widgets import Card, Text
from tests.server.support import ScriptedServer, user_input
from tests.support.scale import scaled

PIXEL = "data:image/png;base64,iVBORw0KGgo="


def server_of(agent: Agent[Any, Any], **options: Any) -> ScriptedServer:
    server = ScriptedServer()

    async def respond(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        page = await server.store.load_thread_items(thread.id, None, 50, "desc", context)
        run = agent.run_stream_events(message_history=await to_message_history(page.data[::-1]))
        async for event in stream_run(run, thread=thread, store=server.store, context=context, **options):
            yield event

    server.script = respond
    return server


async def create(server: ScriptedServer, text: str = "Hi") -> tuple[list[dict[str, Any]], list[Any]]:
    events = await server.ask("threads.create", input=user_input(text))
    return events, (await server.items(events[0]["thread"]["id"]))[1:]


async def look_up_then_say(messages: list[ai.ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
    if not any(isinstance(part, ai.ToolReturnPart) for message in messages for part in message.parts):
        yield {0: DeltaThinkingPart(content="Let me ")}
        yield {0: DeltaThinkingPart(content="look")}
        yield {1: DeltaToolCall(name="look_up", json_args='{"word": "tea"}', tool_call_id="c1")}
        return
    for piece in ("It is ", "a ", "leaf."):
        yield piece


async def test_thoughts_tools_and_text() -> None:
    agent = Agent(FunctionModel(stream_function=look_up_then_say))

    @agent.tool_plain
    async def look_up(word: str) -> str:
        return f"{word}: a leaf"

    events, (workflow, message) = await create(server_of(agent))
    thought, tool = workflow.workflow.tasks
    assert (thought.type, thought.content) == ("thought", "Let me look")
    assert (tool.title, tool.status_indicator) == ("Look up", "complete")
    assert message.content[0].text == "It is a leaf."
    deltas = [e["update"]["delta"] for e in events if "delta" in e.get("update", {})]
    assert deltas == ["It is ", "a ", "leaf."]


async def test_its_test_model_calls_every_tool() -> None:
    agent = Agent(TestModel())

    @agent.tool_plain
    def secret() -> str:
        return "x"

    @agent.tool_plain
    def refuse(word: str) -> str:
        return "ok"

    titles = {"refuse": "Refusing"}
    _, (workflow, message) = await create(server_of(agent, tool_title=titles.get))
    assert [task.title for task in workflow.workflow.tasks] == ["Refusing"]
    assert message.content[0].text == '{"secret":"x","refuse":"ok"}'


async def test_a_tool_that_asks_for_another_try_has_no_check_mark() -> None:
    calls = 0

    async def model(messages: list[ai.ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        if calls < 2:
            yield {0: DeltaToolCall(name="guess", json_args="{}", tool_call_id=f"c{calls}")}
        else:
            yield "Done"

    agent = Agent(FunctionModel(stream_function=model), retries=2)

    @agent.tool_plain
    def guess() -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ModelRetry("Guess again")
        return "right"

    _, (workflow, _) = await create(server_of(agent))
    assert [task.status_indicator for task in workflow.workflow.tasks] == ["none", "complete"]


class City(BaseModel):
    name: str


def name_of(city: City) -> str:
    return city.name


@pytest.mark.parametrize(
    ("options", "said"),
    [({}, ['{"name":"Ely"}']), ({"output_text": name_of}, ["Ely"])],
)
async def test_a_result_that_the_model_did_not_say(options: Any, said: list[str]) -> None:
    agent = Agent(TestModel(custom_output_args={"name": "Ely"}), output_type=City)
    _, items = await create(server_of(agent, **options))
    assert [item.content[0].text for item in items] == said


async def test_history_goes_back_to_the_model() -> None:
    seen: list[Any] = []

    async def model(messages: list[ai.ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        seen[:] = [part.content for message in messages for part in message.parts]  # type: ignore[union-attr]
        yield f"Answer {len(messages)}"

    server = server_of(Agent(FunctionModel(stream_function=model)))
    events, _ = await create(server, "One")
    thread_id = events[0]["thread"]["id"]
    await server.ask("threads.add_user_message", thread_id=thread_id, input=user_input("Two"))
    assert seen == ["One", "Answer 1", "Two"]


async def test_an_error_of_the_model_keeps_what_was_said() -> None:
    async def model(messages: list[ai.ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        yield "Half "
        yield "an answer"
        raise RuntimeError("no more")

    events, (message,) = await create(server_of(Agent(FunctionModel(stream_function=model))))
    assert events[-1]["type"] == "error"
    assert "no more" not in str(events)
    assert message.content[0].text == "Half an answer"


@pytest.mark.parametrize("way", ["leave", "stop"])
@pytest.mark.parametrize("where", ["model", "tool"])
async def test_a_stop_ends_the_run_and_keeps_what_was_said(way: str, where: str) -> None:
    never, reached, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def hang() -> str:
        reached.set()
        try:
            await never.wait()
        finally:
            ended.set()
        return "never"

    async def model(messages: list[ai.ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        yield "Half"
        yield " an answer"
        if where == "model":
            await hang()
        yield {1: DeltaToolCall(name="hang", json_args="{}", tool_call_id="c1")}

    server = server_of(Agent(FunctionModel(stream_function=model), tools=[hang]))
    before = asyncio.all_tasks()
    stopping: asyncio.Task[Any] | None = None
    async with asyncio.timeout(scaled(20)):
        result = await server.create()
        async for frame in result:
            if (b" an answer" if where == "model" else b"workflow") not in frame or stopping is not None:
                continue
            await reached.wait()
            if way == "leave":
                await result.aclose()
                break
            stopping = asyncio.create_task(server.ask("turns.stop", thread_id=result.thread_id))
        if stopping is not None:
            await stopping
    assert ended.is_set()
    assert asyncio.all_tasks() <= before
    kept = [item for item in await server.items(result.thread_id) if item.type == "assistant_message"]
    assert [item.content[0].text for item in kept] == ["Half an answer"]


class Run:
    """A run that gives events which the test models do not make."""

    def __init__(self, *events: Any) -> None:
        self.events = events

    async def __aenter__(self) -> AsyncIterator[Any]:
        return self._all()

    async def __aexit__(self, *given: object) -> None:
        pass

    async def _all(self) -> AsyncIterator[Any]:
        for event in self.events:
            yield event


@pytest.mark.skipif(not hasattr(ai, "WebCitationSource"), reason="this version knows no citations")
async def test_citations_hosted_tools_and_images() -> None:
    web = ai.WebCitationSource(url="https://example.com/tea", title="Tea")
    document = ai.DocumentCitationSource(document_id="tea.pdf")
    image = BinaryContent.from_data_uri(PIXEL)
    run: Any = Run(
        ai.PartStartEvent(index=0, part=ai.NativeToolCallPart("web_search", {}, tool_call_id="n1")),
        ai.PartStartEvent(index=1, part=ai.NativeToolReturnPart("web_search", "found", tool_call_id="n1")),
        ai.PartStartEvent(index=2, part=ai.TextPart("Te", citations=[ai.Citation(sources=[web])])),
        ai.PartDeltaEvent(
            index=2, delta=ai.TextPartDelta("a", citations_delta=[ai.Citation(sources=[document])])
        ),
        ai.PartStartEvent(index=3, part=ai.FilePart(content=image)),
    )
    steps = [step async for step in run_steps(run)]
    names = [type(step).__name__ for step in steps]
    assert names == [
        "ToolStep",
        "ToolEndStep",
        "TextStep",
        "CitationStep",
        "TextStep",
        "CitationStep",
        "ThreadItemDoneEvent",
    ]
    assert "".join(step.text for step in steps if isinstance(step, TextStep)) == "Tea"
    sources = [step.annotation.source for step in steps if isinstance(step, CitationStep)]
    assert [(source.type, source.title) for source in sources] == [("url", "Tea"), ("file", "tea.pdf")]
    last: Any = steps[-1]
    assert last.item.image.url == PIXEL


TAG = UserMessageTagContent(id="shop_1", text="Shop", data={"town": "Ely"}, group="shop")
FILE = FileAttachment(id="atc_1", name="leaves.pdf", mime_type="application/pdf")
HISTORY: list[ThreadItem] = [
    UserMessageItem(
        id="i1",
        content=[UserMessageTextContent(text="Where is "), TAG],
        attachments=[FILE],
        quoted_text="quoted",
    ),
    AssistantMessageItem(
        id="i2", content=[AssistantMessageContent(text=text) for text in ("One", "", "Two")]
    ),
    AssistantMessageItem(id="i3", content=[]),
    ClientToolCallItem(
        id="i4", call_id="c4", name="locate", arguments={"of": 1}, status="completed", output=[52.4]
    ),
    ClientToolCallItem(id="i5", call_id="c5", name="waits", arguments={}),
    WidgetItem(id="i6", widget=Card(children=[Text(value="a widget")])),
    GeneratedImageItem(id="i7", image=GeneratedImage(id="g", url=PIXEL)),
    GeneratedImageItem(id="i8", image=GeneratedImage(id="g", url="https://example.com/x.png")),
    GeneratedImageItem(id="i9"),
    GeneratedImageItem(id="i10", image=GeneratedImage(id="g", url="")),
    WorkflowItem(
        id="i11",
        workflow=Workflow(type="custom", tasks=[CustomTask(title="Looked"), ThoughtTask(content="t")]),
    ),
    TaskItem(id="i12", task=CustomTask(title="Done", content="all")),
    HiddenContextItem(id="i13", content="hidden context"),
    SDKHiddenContextItem(id="i14", content="stopped"),
    StructuredInputItem(
        id="i15",
        inputs=[
            StructuredInputFreeform(
                id="q", question="Which?", answer=StructuredInputAnswer(values=["green"])
            ),
            StructuredInputFreeform(id="r", question="Why?"),
        ],
    ),
    EndOfTurnItem(id="i16"),
    UserMessageItem(id="i17", content=[UserMessageTextContent(text="And now?")]),
]


async def test_every_kind_of_item_is_a_message_that_its_agents_take() -> None:
    async def describe(tag: UserMessageTagContent) -> str:
        return f"{tag.text}: {tag.data}"

    history = await to_message_history(
        HISTORY, attachment_to_content=lambda file: f"(file {file.name})", tag_to_content=describe
    )
    seen: list[ai.ModelMessage] = []

    async def model(messages: list[ai.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        seen.extend(messages)
        yield "ok"

    async with Agent(FunctionModel(stream_function=model)).run_stream_events(message_history=history) as run:
        async for _ in run:
            pass
    parts = [part for message in seen for part in message.parts]
    assert [part.content for part in parts if isinstance(part, ai.TextPart)] == ["One\nTwo"]
    assert [(p.tool_name, p.tool_call_id) for p in parts if isinstance(p, ai.ToolCallPart)] == [
        ("locate", "c4")
    ]
    assert [part.content for part in parts if isinstance(part, ai.ToolReturnPart)] == [[52.4]]
    given = str([part.content for part in parts if isinstance(part, ai.UserPromptPart)])
    for words in ("@Shop", "Ely", "leaves.pdf", "quoted", "a widget", "https://example.com/x.png", "Looked"):
        assert words in given
    for words in (
        "Done: all",
        "hidden context",
        "stopped",
        "Which?: green",
        "Why?: not answered",
        "And now?",
    ):
        assert words in given


async def test_what_has_no_default_says_what_to_do() -> None:
    with pytest.raises(NotImplementedError, match="attachment_to_content="):
        await to_message_history([UserMessageItem(id="i", content=[], attachments=[FILE])])
    with pytest.raises(NotImplementedError, match="hidden context i"):
        await to_message_history([HiddenContextItem(id="i", content={"a": 1})])


def test_without_it_it_is_said_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "pydantic_ai.py").write_text("raise ImportError('not installed')")
    done = subprocess.run(
        [sys.executable, "-c", "import chatkit.frameworks; import chatkit.frameworks.pydantic_ai"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=scaled(60),
        check=False,
    )
    assert "chatkit-server[pydantic-ai]" in done.stderr.splitlines()[-1]
