"""Results that are read: those of the SDK, while the run goes on, and what stands in for them in tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from agents import Agent, Runner, function_tool
from pydantic import BaseModel

from chatkit.agents import AgentContext, stream_agent_response
from chatkit.store import MemoryStore
from chatkit.testing import ModelToolCall, ScriptedModel
from chatkit.types import ThreadMetadata
from tests.agents.support import QUIET
from tests.server.support import ADA, ScriptedServer, drain


async def make_context() -> AgentContext[Any]:
    store = MemoryStore[Any]()
    thread = ThreadMetadata(id="thr_1")
    await store.save_thread(thread, ADA)
    return AgentContext(thread=thread, store=store, request_context=ADA)


def raw(kind: str, **fields: Any) -> Any:
    return SimpleNamespace(type="raw_response_event", data=SimpleNamespace(type=kind, **fields))


def text_events(item_id: str = "msg_1") -> list[Any]:
    item = SimpleNamespace(type="message", id=item_id, content=[])
    part = SimpleNamespace(type="output_text", text="Hello")
    whole = SimpleNamespace(type="message", id=item_id, content=[part])
    return [
        raw("response.output_item.added", item=item),
        raw("response.output_text.delta", item_id=item_id, delta="Hello"),
        raw("response.output_item.done", item=whole),
    ]


ODD: list[Any] = [
    SimpleNamespace(type="raw_response_event"),
    SimpleNamespace(type="run_item_stream_event"),
    SimpleNamespace(type="run_item_stream_event", item=SimpleNamespace(type="tool_call_item")),
    SimpleNamespace(type="agent_updated_stream_event"),
    object(),
]


class OnlyEvents:
    __slots__ = ("given",)

    def __init__(self, given: list[Any]) -> None:
        self.given = given

    async def stream_events(self) -> AsyncIterator[Any]:
        for event in self.given:
            yield event


class Awaited(OnlyEvents):
    async def stream_events(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return OnlyEvents(self.given).stream_events()


class Growing:
    """Fills ``new_items`` as its events are read."""

    def __init__(self) -> None:
        self.new_items: list[Any] = []

    async def stream_events(self) -> AsyncIterator[Any]:
        for event in text_events():
            self.new_items.append(event)
            yield event


class ModelEvent(BaseModel):
    type: str = "raw_response_event"
    data: Any = None


def bare(events: list[Any]) -> Any:
    return OnlyEvents(events).stream_events()


def nameless(events: list[Any]) -> Any:
    return SimpleNamespace(stream_events=OnlyEvents(events).stream_events)


@pytest.mark.parametrize("make", [OnlyEvents, Awaited, bare, nameless])
async def test_what_has_events_only_is_read(make: Any) -> None:
    models = [ModelEvent(data=event.data) for event in text_events("msg_2")]
    stream = stream_agent_response(await make_context(), make([*text_events(), *ODD, *models]))
    events = [event async for event in stream]
    assert [event.type.rpartition(".")[2] for event in events] == ["added", "updated", "done"] * 2
    assert events[-1].item.id == "msg_2"  # pyright: ignore


async def test_it_may_be_left_early() -> None:
    stream = stream_agent_response(await make_context(), OnlyEvents(text_events()))  # pyright: ignore
    async for _ in stream:
        break
    await stream.aclose()


async def test_it_is_read_in_a_turn() -> None:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        agent_context = AgentContext(thread=thread, store=server.store, request_context=context)
        async for event in stream_agent_response(agent_context, OnlyEvents(text_events())):  # pyright: ignore
            yield event

    server = ScriptedServer(script)
    assert b'"text":"Hello"' in (await drain(await server.create()))[-1]


async def test_it_is_not_read_ahead() -> None:
    result: Any = Growing()
    counts = [len(result.new_items) async for _ in stream_agent_response(await make_context(), result)]
    assert counts == [1, 2, 3]


async def test_new_items_are_there_with_the_events() -> None:
    @function_tool
    def look() -> str:
        return "seen"

    model = ScriptedModel([["Hm", ModelToolCall("look")], "Fine"])
    context = await make_context()
    agent = Agent[Any](name="Guide", model=model, tools=[look])
    result = Runner.run_streamed(agent, "Hi", context=context, run_config=QUIET)
    events: Any = stream_agent_response(context, result)
    counts = [
        (event.item.content[0].text, len(result.new_items), result.last_response_id is not None)
        async for event in events
        if event.type == "thread.item.done"
    ]
    assert counts == [("Hm", 3, True), ("Fine", 4, True)]
    assert result.final_output == "Fine"
    assert len(result.to_input_list()) == 5
