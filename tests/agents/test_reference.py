"""The blocks of the integration reference that are about the Agents SDK, as the document has them, in functions."""

from __future__ import annotations

import textwrap
from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, RunConfig, Runner

from chatkit.agents import AgentContext, stream_agent_response
from chatkit.server import ChatKitServer
from chatkit.store import MemoryStore
from chatkit.testing import ScriptedModel
from chatkit.types import (
    CustomTask,
    FileAttachment,
    ProgressUpdateEvent,
    UserMessageItem,
    UserMessageTagContent,
    Workflow,
)
from chatkit.types import ThreadMetadata as Metadata
from chatkit.widgets import Card
from tests.agents.support import events_of
from tests.reference.document import read_blocks
from tests.server.support import ADA, user_input

BLOCKS = {block.title: block.code for block in read_blocks()}
MODEL = ScriptedModel(["Hello"], repeat=True)
AGENT: Agent[Any] = Agent(name="Guide", model=MODEL)


class QuietRunner:
    """The SDK's, without sending traces anywhere."""

    @staticmethod
    def run_streamed(agent: Any, input: Any, context: Any) -> Any:
        return Runner.run_streamed(agent, input, context=context, run_config=RunConfig(tracing_disabled=True))


def function_of(title: str, parameters: str, ending: str = "") -> Any:
    """Returns the block as an async function; it is a generator if the block yields."""
    code = textwrap.indent(BLOCKS[title] + ending, "    ")
    scope: dict[str, Any] = {}
    exec(f"async def block({parameters}):\n{code}", scope)
    return scope["block"]


class Server(ChatKitServer[Any]):
    def __init__(self, answer: Any) -> None:
        super().__init__(MemoryStore())
        self.answer = answer
        self.thread: Any = None

    async def respond(self, thread: Any, input: Any, context: Any) -> AsyncIterator[Any]:
        self.thread = thread
        agent_context = AgentContext(thread=thread, store=self.store, request_context=context)
        async for event in self.answer(agent_context, input):
            yield event


async def turn(answer: Any) -> tuple[Server, list[dict[str, Any]]]:
    import json

    server = Server(answer)
    body = json.dumps({"type": "threads.create", "params": {"input": user_input("Hi")}})
    return server, await events_of(await server.process(body, ADA))


async def test_properties_and_methods() -> None:
    methods = function_of(
        "Methods", "agent_context, other_thread, event, widget, workflow, task", "\nreturn id\n"
    )
    properties = function_of("Properties", "agent_context")

    async def answer(agent_context: Any, input: Any) -> AsyncIterator[Any]:
        await properties(agent_context)
        made = await methods(
            agent_context,
            Metadata(id="thr_other"),
            ProgressUpdateEvent(text="working"),
            Card(children=[]),
            Workflow(type="custom", tasks=[]),
            CustomTask(title="one"),
        )
        assert made.startswith("widget_")
        result = QuietRunner.run_streamed(AGENT, "Hi", context=agent_context)
        async for event in stream_agent_response(agent_context, result):
            yield event

    _, events = await turn(answer)
    kinds = [event["type"].removeprefix("thread.item.") for event in events[3:8]]
    assert kinds == ["progress_update", "done", "added", "updated", "done"]
    assert events[7]["item"]["workflow"]["summary"] == {"title": "Completed"}
    assert events[-1]["item"]["content"][0]["text"] == "Hello"


async def test_input_and_response() -> None:
    to_input = function_of("simple_to_agent_input()", "user_message_item", "\nreturn agent_input\n")
    respond = function_of("stream_agent_response()", "agent, input, agent_context, Runner")

    async def answer(agent_context: Any, item: Any) -> AsyncIterator[Any]:
        async for event in respond(AGENT, await to_input(item), agent_context, QuietRunner):
            yield event

    _, events = await turn(answer)
    assert MODEL.requests[-1].input[0]["content"] == [{"type": "input_text", "text": "Hi"}]
    assert events[-1]["item"]["content"][0]["text"] == "Hello"


async def test_converters() -> None:
    convert = function_of("ThreadItemConverter", "thread_items", "\nreturn agent_input\n")
    tag = UserMessageTagContent(id="7", text="Acme", data={}, group="company")
    file = FileAttachment(id="atc_1", name="a.pdf", mime_type="application/pdf")
    message, mentions = await convert([UserMessageItem(id="msg_1", content=[tag], attachments=[file])])
    assert message["content"][1] == {"type": "input_file", "file_id": "atc_1"}
    assert mentions["content"][1] == {"type": "input_text", "text": "[Reference: company/7]"}

    stream = function_of("ResponseStreamConverter", "agent_context, result, stream_agent_response")

    async def answer(agent_context: Any, item: Any) -> AsyncIterator[Any]:
        result = QuietRunner.run_streamed(AGENT, "Hi", context=agent_context)
        async for event in stream(agent_context, result, stream_agent_response):
            yield event

    _, events = await turn(answer)
    assert events[-1]["item"]["content"][0]["text"] == "Hello"
