"""What model servers send that is not as OpenAI's does: ids, calls, thoughts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any, cast

import pytest
from agents import RunContextWrapper, StopAtTools, function_tool
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from chatkit.agents import AgentContext, ClientToolCall, ResponseStreamConverter, simple_to_agent_input
from chatkit.store import MemoryStore, SQLiteStore
from chatkit.testing import ModelText, ModelThoughts, ModelToolCall, ScriptedModel, scripted_model_app
from chatkit.testing.model_script import ModelScript, response_events
from tests.agents.support import AgentServer, events_of, http_model
from tests.server.support import ADA

EVENTS: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
Context = RunContextWrapper[AgentContext[Any]]
Change = Callable[[dict[str, Any], int], None]


class OtherModel(ScriptedModel):
    """Answers by a script, in events that a function changes."""

    def __init__(self, answers: Any, change: Change) -> None:
        super().__init__(answers)
        self.script = ModelScript(answers)
        self.change = change

    async def stream_response(self, *given: Any, **rest: Any) -> AsyncGenerator[ResponseStreamEvent, None]:
        for number, event in enumerate(response_events(self.script.next(given[1]))):
            changed = json.loads(json.dumps(event))
            self.change(changed, number)
            yield EVENTS.validate_python(changed)


def with_ids(make: Callable[[str, int], str]) -> Change:
    """Returns a change of the ids of items; called with the kind of event and its number."""

    def change(event: dict[str, Any], number: int) -> None:
        if "item_id" in event:
            event["item_id"] = make(event["type"], number)
        if "item" in event:
            event["item"]["id"] = make(event["type"], number)

    return change


SAME = with_ids(lambda kind, number: "msg_1")
CHANGING = {
    "another at the end": with_ids(lambda kind, number: "C" if kind.endswith("item.done") else "A"),
    "three": with_ids(
        lambda kind, number: (
            "A" if kind.endswith("item.added") else "C" if kind.endswith("item.done") else "B"
        )
    ),
    "one an event": with_ids(lambda kind, number: f"id_{number}"),
    "none": with_ids(lambda kind, number: ""),
    "the same": SAME,
}


async def answers(server: AgentServer, thread_id: str) -> list[str]:
    page = await server.store.load_thread_items(thread_id, None, 100, "asc", ADA)
    return [item.content[0].text for item in page.data if item.type == "assistant_message"]


@pytest.mark.parametrize("store", ["memory", "sqlite"])
async def test_one_id_in_every_response(store: str, tmp_path: Any) -> None:
    kept = MemoryStore[Any]() if store == "memory" else SQLiteStore[Any](str(tmp_path / "chat.db"))
    server = AgentServer(OtherModel(["One", "Two", "Three"], SAME), kept)
    thread_id = (await events_of(await server.create()))[0]["thread"]["id"]
    for _ in range(2):
        await events_of(
            await server.ask(
                "threads.add_user_message",
                thread_id=thread_id,
                input={"content": [{"type": "input_text", "text": "More"}]},
            )
        )
    assert await answers(server, thread_id) == ["One", "Two", "Three"]
    await server.close()


async def test_one_id_in_every_response_of_one_run() -> None:
    @function_tool
    def look() -> str:
        return "seen"

    model = OtherModel([["First", ModelToolCall("look")], ["Second", "Third"]], SAME)
    server = AgentServer(model, tools=[look])
    thread_id = (await events_of(await server.create()))[0]["thread"]["id"]
    assert await answers(server, thread_id) == ["First", "Second", "Third"]


@pytest.mark.parametrize("name", CHANGING)
async def test_ids_that_change_within_an_item(name: str) -> None:
    server = AgentServer(OtherModel([["Hello there", "And more"]], CHANGING[name]))
    events = await events_of(await server.create())
    thread_id = events[0]["thread"]["id"]
    assert await answers(server, thread_id) == ["Hello there", "And more"]
    shown: dict[str, str] = {}
    for event in events:
        update = event.get("update", {})
        if "delta" in update:
            shown[event["item_id"]] = shown.get(event["item_id"], "") + update["delta"]
    done = {
        event["item"]["id"]: event["item"]["content"][0]["text"]
        for event in events[3:]
        if event["type"] == "thread.item.done"
    }
    assert shown == done
    assert list(done.values()) == ["Hello there", "And more"]


async def test_images_of_one_id(tmp_path: Any) -> None:
    urls: list[str] = []

    class Converter(ResponseStreamConverter):
        async def base64_image_to_url(self, image_id: str, base64_image: str, *rest: Any) -> str:  # pyright: ignore
            urls.append(image_id)
            return f"https://pictures.example/{image_id}.png"

    def change(event: dict[str, Any], number: int) -> None:
        if "item" in event:
            item: Any = {
                "type": "image_generation_call",
                "id": "ig_1",
                "status": "completed",
                "result": "AAAA",
            }
            event["item"] = item
        elif event["type"] not in {"response.created", "response.completed"}:
            event.clear()
            event.update(type="response.in_progress", sequence_number=number, response=RESPONSE)
        elif event["type"] == "response.completed":
            event["response"]["output"] = []

    server = AgentServer(OtherModel(["x", "x"], change))
    server.stream_options_of_run = {"converter": Converter()}
    thread_id = (await events_of(await server.create()))[0]["thread"]["id"]
    await events_of(
        await server.ask(
            "threads.add_user_message",
            thread_id=thread_id,
            input={"content": [{"type": "input_text", "text": "More"}]},
        )
    )
    page = await server.store.load_thread_items(thread_id, None, 100, "asc", ADA)
    images: list[Any] = [item for item in page.data if item.type == "generated_image"]
    assert len({item.image.url for item in images}) == 2
    assert len(set(urls)) == 2


RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 0,
    "model": "m",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}


# Tools of the page.


@function_tool
async def ask_page(ctx: Context, what: str) -> str:
    await asyncio.sleep(0)
    ctx.context.client_tool_call = ClientToolCall(name="page", arguments={"what": what})
    return ""


@function_tool
def locate(ctx: Context) -> str:
    ctx.context.client_tool_call = ClientToolCall(name="locate", arguments={})
    return ""


@function_tool
async def weather(ctx: Context, city: str) -> str:
    return f"sunny in {city}"


def asked(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        event["item"]
        for event in events
        if event["type"] == "thread.item.done" and event["item"]["type"] == "client_tool_call"
    ]


class PageServer(AgentServer):
    """Gives the model the thread."""

    async def input_of(self, thread: Any, input: Any, context: Any) -> Any:
        page = await self.store.load_thread_items(thread.id, None, 50, "desc", context)
        return await simple_to_agent_input(page.data[::-1])


def page_server(answers: Any, store: Any = None) -> PageServer:
    return PageServer(
        ScriptedModel(answers),
        store,
        tools=[ask_page, locate, weather],
        tool_use_behavior=StopAtTools(stop_at_tool_names=["ask_page", "locate"]),
    )


async def test_tools_of_the_page_are_asked_for_one_after_the_other() -> None:
    calls = [
        ModelToolCall("ask_page", {"what": "a"}, "call_a"),
        ModelToolCall("weather", {"city": "Rome"}, "call_w"),
        ModelToolCall("ask_page", {"what": "b"}, "call_b"),
        ModelToolCall("locate", {}, "call_c"),
    ]
    first = page_server([calls])
    events = await events_of(await first.create())
    thread_id = events[0]["thread"]["id"]
    assert [(call["call_id"], call["arguments"]) for call in asked(events)] == [("call_a", {"what": "a"})]
    # Each output goes to another worker.
    ids = [asked(events)[0]["id"]]
    for number, call_id in enumerate(("call_b", "call_c")):
        worker = page_server([], first.store)
        events = await events_of(
            await worker.ask("threads.add_client_tool_output", thread_id=thread_id, result=number)
        )
        assert [call["call_id"] for call in asked(events)] == [call_id]
        ids.append(asked(events)[0]["id"])
    last = page_server(["Done"], first.store)
    events = await events_of(
        await last.ask("threads.add_client_tool_output", thread_id=thread_id, result={"x": 2})
    )
    assert events[-1]["item"]["content"][0]["text"] == "Done"
    assert len(set(ids)) == 3
    given = cast("list[Any]", last.agent.model.requests[0].input)  # pyright: ignore
    outputs = {part["call_id"]: part["output"] for part in given if part["type"] == "function_call_output"}
    assert outputs == {
        "call_a": "0",
        "call_b": "1",
        "call_c": '{"x": 2}',
        "call_w": "sunny in Rome",
    }
    named = {part["call_id"]: part["name"] for part in given if part["type"] == "function_call"}
    assert named == {"call_a": "page", "call_b": "page", "call_c": "locate", "call_w": "weather"}


@pytest.mark.parametrize("order", [("weather", "locate"), ("locate", "weather")])
async def test_a_tool_of_the_page_beside_one_of_the_server(order: tuple[str, str]) -> None:
    calls = {
        "weather": ModelToolCall("weather", {"city": "Rome"}, "call_w"),
        "locate": ModelToolCall("locate", {}, "call_l"),
    }
    server = page_server([[calls[name] for name in order], "Done"])
    events = await events_of(await server.create())
    assert [call["call_id"] for call in asked(events)] == ["call_l"]
    await events_of(
        await server.ask("threads.add_client_tool_output", thread_id=events[0]["thread"]["id"], result="here")
    )
    given = cast("list[Any]", server.agent.model.requests[1].input)  # pyright: ignore
    outputs = {part["call_id"]: part["output"] for part in given if part["type"] == "function_call_output"}
    assert outputs == {"call_w": "sunny in Rome", "call_l": '"here"'}


async def test_an_output_that_is_sent_twice_answers_one_call() -> None:
    server = page_server(
        [[ModelToolCall("locate", {}, "call_a"), ModelToolCall("ask_page", {"what": "b"}, "call_b")]]
    )
    events = await events_of(await server.create())
    thread_id = events[0]["thread"]["id"]
    body = {
        "type": "threads.add_client_tool_output",
        "params": {"thread_id": thread_id, "result": "A"},
        "metadata": {"idempotency_key": "once"},
    }
    for _ in range(2):
        await events_of(await server.process(json.dumps(body), ADA))
    page = await server.store.load_thread_items(thread_id, None, 100, "asc", ADA)
    calls = [item for item in page.data if item.type == "client_tool_call"]
    assert [(call.call_id, call.status, call.output) for call in calls] == [
        ("call_a", "completed", "A"),
        ("call_b", "pending", None),
    ]


async def test_a_message_ends_the_waiting() -> None:
    server = page_server(
        [
            [ModelToolCall("locate", {}, "a"), ModelToolCall("locate", {}, "b")],
            "Never mind",
            ModelToolCall("locate"),
        ]
    )
    events = await events_of(await server.create())
    thread_id = events[0]["thread"]["id"]
    say = {"thread_id": thread_id, "input": {"content": [{"type": "input_text", "text": "No"}]}}
    await events_of(await server.ask("threads.add_user_message", **say))
    events = await events_of(await server.ask("threads.add_user_message", **say))
    assert len(asked(events)) == 1


# Thoughts.


def thoughts(events: list[dict[str, Any]]) -> list[str]:
    return [
        task["content"]
        for event in events
        if event["type"] == "thread.item.done" and event["item"]["type"] == "workflow"
        for task in event["item"]["workflow"]["tasks"]
    ]


def texts(events: list[dict[str, Any]]) -> list[str]:
    return [
        event["item"]["content"][0]["text"]
        for event in events
        if event["type"] == "thread.item.done" and event["item"]["type"] == "assistant_message"
    ]


def raw_reasoning(event: dict[str, Any], number: int) -> None:
    kind = event["type"]
    if "reasoning_summary_text" in kind:
        event["type"] = kind.replace("reasoning_summary_text", "reasoning_text")
        event["content_index"] = event.pop("summary_index")
    elif "reasoning_summary_part" in kind:
        event["type"] = kind.replace("reasoning_summary_part", "content_part")
        event["content_index"] = event.pop("summary_index")
        event["part"]["type"] = "reasoning_text"
    elif event.get("item", {}).get("type") == "reasoning":
        event["item"]["content"] = [
            {"type": "reasoning_text", "text": part["text"]} for part in event["item"]["summary"]
        ]
        event["item"]["summary"] = []


async def test_reasoning_as_text_is_shown() -> None:
    long = "I have to think about it. " * 200
    server = AgentServer(OtherModel([[ModelThoughts(["First", long]), "Answer"]], raw_reasoning))
    events = await events_of(await server.create())
    assert thoughts(events) == ["First", long.strip()]
    assert texts(events) == ["Answer"]


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_thoughts_in_the_text_of_a_model_over_http(api: str) -> None:
    text = ModelText("<think>Let me see.</think>\n\nIt is 4.", pieces=99)
    async with http_model(scripted_model_app([text]), api) as model:
        events = await events_of(await AgentServer(model).create())
    assert thoughts(events) == ["Let me see."]
    assert texts(events) == ["It is 4."]
    assert all("think>" not in json.dumps(event) for event in events)


CASES: list[tuple[str, str | None, list[str]]] = [
    ("<think>hm</think>\n\nYes", "Yes", ["hm"]),
    ("Well <think>hm</think> yes", "Well  yes", ["hm"]),
    ("<think>only", None, ["only"]),
    ("<think>a<think>b</think>c</think>Yes", "Yes", ["abc"]),
    ("Say:\n```\n<think>x</think>\n```", "Say:\n```\n<think>x</think>\n```", []),
    ("<think>a</think>One<think>b</think>Two", "OneTwo", ["a", "b"]),
    ("<think>\n</think>\nYes", "Yes", []),
]


def without_deltas(event: dict[str, Any], number: int) -> None:
    if event["type"] == "response.output_text.delta":
        event.clear()
        event.update(type="response.in_progress", sequence_number=number, response=RESPONSE)


@pytest.mark.parametrize("pieces", [1, 3, 99, 0])
@pytest.mark.parametrize(("text", "answer", "thought"), CASES)
async def test_thoughts_in_a_text(text: str, answer: str | None, thought: list[str], pieces: int) -> None:
    change: Change = without_deltas if pieces == 0 else lambda event, number: None
    server = AgentServer(OtherModel([ModelText(text, pieces=pieces)], change))
    events = await events_of(await server.create())
    assert thoughts(events) == thought
    assert texts(events) == ([] if answer is None else [answer])
    if pieces and answer:
        shown = ""
        for event in events[3:]:
            if event["type"] == "thread.item.removed":
                shown = ""
            shown += event.get("update", {}).get("delta", "")
        assert shown == answer
    assert "error" not in {event["type"] for event in events}


async def test_thoughts_come_before_the_answer() -> None:
    server = AgentServer(ScriptedModel([ModelText("<think>hm</think>Yes", pieces=5)]))
    events = await events_of(await server.create())
    page = await server.store.load_thread_items(events[0]["thread"]["id"], None, 9, "asc", ADA)
    assert [item.type for item in page.data] == ["user_message", "workflow", "assistant_message"]
    added = [event["item"]["type"] for event in events[3:] if event["type"] == "thread.item.added"]
    assert added == ["assistant_message", "workflow", "assistant_message"]


async def test_citations_move_with_the_text() -> None:
    citation = {
        "type": "url_citation",
        "url": "https://a.example",
        "title": "A",
        "start_index": 0,
        "end_index": 21,
    }
    server = AgentServer(ScriptedModel([ModelText("<think>hm</think>Yes!", pieces=3, citations=[citation])]))
    events = await events_of(await server.create())
    (annotation,) = events[-1]["item"]["content"][0]["annotations"]
    assert annotation["index"] == 4


async def test_tags_may_be_left_as_they_are() -> None:
    server = AgentServer(ScriptedModel(["<think>hm</think>Yes"]))
    server.stream_options_of_run = {"converter": ResponseStreamConverter(think_tags=False)}
    assert texts(await events_of(await server.create())) == ["<think>hm</think>Yes"]
