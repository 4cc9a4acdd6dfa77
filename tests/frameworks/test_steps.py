"""Steps of any agent as items: what opens, grows and closes what, and how turns with them end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.frameworks import (
    CitationStep,
    Step,
    StepConverter,
    TextEndStep,
    TextStep,
    ThoughtEndStep,
    ThoughtStep,
    ToolEndStep,
    ToolStep,
    stream_steps,
)
from chatkit.reduce import accumulator
from chatkit.store import MemoryStore
from chatkit.types import (
    Annotation,
    HiddenContextItem,
    ProgressUpdateEvent,
    ThreadItemDoneEvent,
    ThreadMetadata,
    URLSource,
    WidgetItem,
)
from chatkit.widgets import Card
from tests.server.support import ScriptedServer
from tests.support.scale import scaled

SOURCE = Annotation(source=URLSource(title="Tea", url="https://example.com"), index=2)


def thread() -> ThreadMetadata:
    return ThreadMetadata(id="thr_1")


class Teller:
    """Answers each message by the same steps.

    Attributes:
        closed: Whether the steps were closed.
    """

    def __init__(self, *steps: Step | BaseException | asyncio.Event) -> None:
        self.given = steps
        self.closed = False
        self.kept: list[Any] = []

    def steps(self) -> AsyncIterator[Step]:
        made = self._steps()
        # So that the garbage collector closes nothing in place of those who should.
        self.kept.append(made)
        return made

    async def _steps(self) -> AsyncIterator[Step]:
        try:
            for step in self.given:
                if isinstance(step, asyncio.Event):
                    await step.wait()
                elif isinstance(step, BaseException):
                    raise step
                else:
                    yield step
        finally:
            self.closed = True

    def server(self) -> ScriptedServer:
        server = ScriptedServer()

        async def respond(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
            async for event in stream_steps(self.steps(), thread=thread, store=server.store, context=context):
                yield event

        server.script = respond
        return server


async def told(*steps: Step) -> tuple[list[dict[str, Any]], list[Any]]:
    """Returns the events behind the opening, and the items behind the message."""
    server = Teller(*steps).server()
    events = await server.ask("threads.create", input={"content": [{"type": "input_text", "text": "Hi"}]})
    thread_id = events[0]["thread"]["id"]
    return events[3:], (await server.items(thread_id))[1:]


async def test_text_is_a_message_that_grows() -> None:
    events, (message,) = await told(TextStep("Hel"), TextStep(""), TextStep("lo"), CitationStep(SOURCE))
    kinds = [event.get("update", event)["type"].split(".", 1)[1] for event in events]
    assert kinds == [
        "item.added",
        "content_part.added",
        "content_part.text_delta",
        "content_part.text_delta",
        "content_part.annotation_added",
        "item.done",
    ]
    assert message.content[0].text == "Hello"
    assert message.content[0].annotations == [SOURCE]


async def test_text_behind_an_end_is_another_message() -> None:
    _, items = await told(TextStep("One"), TextEndStep(), TextEndStep(), TextStep("Two"))
    assert [item.content[0].text for item in items] == ["One", "Two"]


async def test_thoughts_and_tools_are_a_workflow_before_the_text() -> None:
    events, (workflow, message) = await told(
        ThoughtStep("Let me "),
        ThoughtStep("look"),
        ToolStep("c1", "Look up", "tea"),
        ToolStep("c2", "Count"),
        ToolEndStep("c2", failed=True),
        ToolEndStep("c1"),
        ToolEndStep("nobody's"),
        ThoughtStep("Found"),
        ThoughtEndStep(),
        ThoughtStep("it"),
        TextStep("Tea"),
    )
    assert workflow.workflow.type == "reasoning"
    assert workflow.workflow.summary.duration >= 0
    shown = [
        (task.type, task.content, task.status_indicator, getattr(task, "title", None))
        for task in workflow.workflow.tasks
    ]
    assert shown == [
        ("thought", "Let me look", "none", None),
        ("custom", "tea", "complete", "Look up"),
        ("custom", None, "none", "Count"),
        ("thought", "Found", "none", None),
        ("thought", "it", "none", None),
    ]
    assert message.content[0].text == "Tea"
    indexes = [e["update"]["task_index"] for e in events if "task_index" in e.get("update", {})]
    assert indexes == [0, 1, 2, 2, 1, 3, 4]
    assert [event["item"]["type"] for event in events if event["type"] == "thread.item.done"] == [
        "workflow",
        "assistant_message",
    ]


async def test_tools_alone_are_a_custom_workflow_and_stop_at_its_end() -> None:
    _, items = await told(
        TextStep("I look"),
        ToolStep("c1", "Look up"),
        TextStep("So"),
        ToolStep("c2", "Again"),
        ToolEndStep("c1"),
    )
    assert [item.type for item in items] == ["assistant_message", "workflow", "assistant_message", "workflow"]
    assert [item.workflow.type for item in items[1::2]] == ["custom", "custom"]
    assert [item.workflow.tasks[0].status_indicator for item in items[1::2]] == ["complete", "none"]


async def test_events_pass_and_visible_items_end_what_is_open() -> None:
    hidden = HiddenContextItem(id="hid_1", content="note")
    shown = WidgetItem(id="wgt_1", widget=Card(children=[]))
    events, items = await told(
        TextStep("a"),
        ProgressUpdateEvent(text="wait"),
        ThreadItemDoneEvent(item=hidden),
        TextStep("b"),
        ThreadItemDoneEvent(item=shown),
        TextStep("c"),
    )
    texts = [item.content[0].text for item in items if item.type == "assistant_message"]
    assert texts == ["ab", "c"]
    assert "progress_update" in [event["type"] for event in events]
    done = [event["item"]["type"] for event in events if event["type"] == "thread.item.done"]
    assert done == ["assistant_message", "widget", "assistant_message"]


def test_a_citation_without_text_is_left_out() -> None:
    assert StepConverter(thread(), MemoryStore(), None).convert(CitationStep(SOURCE)) == []


def test_what_is_no_step_is_an_error() -> None:
    wrong: Any = "text"
    with pytest.raises(TypeError, match="must yield steps"):
        StepConverter(thread(), MemoryStore(), None).convert(wrong)


async def test_an_error_keeps_what_was_said() -> None:
    teller = Teller(TextStep("Half an ans"), RuntimeError("no more"))
    server = teller.server()
    events = await server.ask("threads.create", input={"content": [{"type": "input_text", "text": "Hi"}]})
    assert events[-1]["type"] == "error"
    (_, message) = await server.items(events[0]["thread"]["id"])
    assert message.content[0].text == "Half an ans"
    assert teller.closed


@pytest.mark.parametrize("way", ["leave", "stop"])
async def test_a_stop_closes_the_steps_and_keeps_what_was_said(way: str) -> None:
    teller = Teller(ToolStep("c", "Look"), TextStep("Half"), asyncio.Event())
    server = teller.server()
    before = asyncio.all_tasks()
    result = await server.create()
    stopping: asyncio.Task[Any] | None = None
    async with asyncio.timeout(scaled(10)):
        async for frame in result:
            if b"text_delta" not in frame:
                continue
            if way == "leave":
                await result.aclose()
                break
            stopping = asyncio.create_task(server.ask("turns.stop", thread_id=result.thread_id))
        if stopping is not None:
            await stopping
    assert teller.closed
    assert asyncio.all_tasks() <= before
    kept = [item for item in await server.items(result.thread_id) if item.type == "assistant_message"]
    assert [item.content[0].text for item in kept] == ["Half"]


async def test_a_stream_that_the_handler_drops_is_closed_with_the_turn() -> None:
    teller = Teller(TextStep("Half"), TextStep("Never"))
    server = teller.server()

    async def respond(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        events = stream_steps(teller.steps(), thread=thread, store=server.store, context=context)
        teller.kept.append(events)
        async for event in events:
            yield event
            break

    server.script = respond
    await server.ask("threads.create", input={"content": [{"type": "input_text", "text": "Hi"}]})
    assert teller.closed


CALLS = st.sampled_from(["c1", "c2"])
STEPS = st.one_of(
    st.builds(TextStep, st.text(max_size=3)),
    st.just(TextEndStep()),
    st.just(CitationStep(SOURCE)),
    st.builds(ThoughtStep, st.text(max_size=3)),
    st.just(ThoughtEndStep()),
    st.builds(ToolStep, CALLS, st.text(max_size=3)),
    st.builds(ToolEndStep, CALLS, st.booleans()),
)


@given(st.lists(STEPS, max_size=20))
def test_any_steps_make_a_stream_that_fits(steps: list[Step]) -> None:
    """One item is open at a time, each is closed once, updates fit, and no word is lost."""
    converter = StepConverter(thread(), MemoryStore(), {"user_id": "ada"})
    open_items: dict[str, Any] = {}
    closed: dict[str, Any] = {}
    events: list[Any] = [event for step in steps for event in converter.convert(step)]
    events += converter.finish()
    for event in events:
        match event.type:
            case "thread.item.added":
                assert not open_items
                assert event.item.id not in closed
                open_items[event.item.id] = accumulator(event.item)
            case "thread.item.updated":
                open_items[event.item_id].add(event.update)
            case "thread.item.done":
                item_id = event.item.id if event.item else event.id
                closed[item_id] = open_items.pop(item_id).item()
                if event.item:
                    assert [t.type for t in event.item.workflow.tasks] == [
                        t.type for t in closed[item_id].workflow.tasks
                    ]
                    closed[item_id] = event.item
            case "thread.item.replaced":
                # A task ended after its item was done.
                assert len(event.item.workflow.tasks) == len(closed[event.item.id].workflow.tasks)
                closed[event.item.id] = event.item
            case _:
                pytest.fail(event.type)
    assert not open_items
    said = "".join(item.content[0].text for item in closed.values() if item.type == "assistant_message")
    assert said == "".join(step.text for step in steps if isinstance(step, TextStep))
    tasks = [task for item in closed.values() if item.type == "workflow" for task in item.workflow.tasks]
    assert not any(task.status_indicator == "loading" for task in tasks)
    thought = "".join(task.content for task in tasks if task.type == "thought")
    assert thought == "".join(step.text for step in steps if isinstance(step, ThoughtStep))


async def test_outside_of_turns_a_stream_that_is_left_closes_its_steps() -> None:
    teller = Teller(TextStep("Half"), TextStep("Never"))
    events = stream_steps(teller.steps(), thread=thread(), store=MemoryStore(), context={"user_id": "ada"})
    await anext(events)
    await events.aclose()
    assert teller.closed


@pytest.mark.parametrize("size", [1, 3, 99])
async def test_thoughts_in_a_text(size: int) -> None:
    text = "<think>Let me see.</think>\n\nIt is `<think>` 4<think>or 5</think>!"
    steps = [TextStep(text[start : start + size]) for start in range(0, len(text), size)]
    _, stored = await told(*steps)
    said = [
        item.content[0].text
        if item.type == "assistant_message"
        else [task.content for task in item.workflow.tasks]
        for item in stored
        if item.type != "user_message"
    ]
    assert said == [["Let me see."], "It is `<think>` 4", ["or 5"], "!"]


async def test_a_tag_that_does_not_come_is_text() -> None:
    for end in (TextEndStep(), ToolStep("1", "Look"), ThoughtStep("hm")):
        _, stored = await told(TextStep("a <thin"), end)
        assert [item.content[0].text for item in stored if item.type == "assistant_message"] == ["a <thin"]


def test_tags_may_be_left_as_they_are() -> None:
    converter = StepConverter(thread(), MemoryStore(), {"user_id": "ada"}, think_tags=False)
    events = converter.convert(TextStep("<think>hm</think>Yes"))
    assert events[-1].update.delta == "<think>hm</think>Yes"  # pyright: ignore
