"""Tools of LangGraph's that the page carries out, in graphs and agents that are served as they are."""

# LangGraph has no stubs, and types that are only known in part.
# pyright: basic

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import interrupt
from pydantic import BaseModel

from chatkit.errors import ConflictError
from chatkit.frameworks.langgraph import client_tool
from chatkit.store import MemoryStore
from tests.frameworks.scripted_langchain import Script, calls, said, serve, thought
from tests.frameworks.support import ADA, ask, create, done, say, text_of, thread_of

SHOWN = {"shown": True}
NOT_DONE = "This was not done: the answer was stopped, or failed, before it was complete."


@client_tool
def show_map(word: str) -> dict[str, bool]:
    """Shows a place on the user's map."""
    raise AssertionError


@tool
async def look_up(word: str) -> str:
    """Looks a word up."""
    return f"{word}: a leaf"


TOOLS = [show_map, look_up]


def agent(model: Script, checkpointer: Any = None) -> Any:
    return create_agent(model, TOOLS, checkpointer=checkpointer)


def graph(model: Script, checkpointer: Any = None) -> Any:
    """One node runs all tools of a response, so that the page is asked in the middle of it."""

    async def answer(state: MessagesState) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("answer", answer)
    builder.add_node("tools", ToolNode(TOOLS))
    builder.add_edge(START, "answer")
    builder.add_conditional_edges("answer", tools_condition)
    builder.add_edge("tools", "answer")
    return builder.compile(checkpointer=checkpointer)


def nested(model: Script, checkpointer: Any = None) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("child", agent(model))
    builder.add_edge(START, "child")
    builder.add_edge("child", END)
    return builder.compile(checkpointer=checkpointer)


async def output(server: Any, thread_id: str, result: Any) -> list[dict[str, Any]]:
    return await ask(server, "threads.add_client_tool_output", thread_id=thread_id, result=result)


def asked(events: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    return [(call["name"], call["arguments"]) for call in done(events, "client_tool_call")]


def outputs_in(request: list[BaseMessage]) -> dict[str, str]:
    """Returns the outputs that a model is given, by the ids of their calls: one for each call, after it."""
    open_calls: set[Any] = set()
    found: dict[str, str] = {}
    for message in request:
        if isinstance(message, AIMessage):
            assert not open_calls
            open_calls = {call["id"] for call in message.tool_calls}
        elif isinstance(message, ToolMessage):
            open_calls.remove(message.tool_call_id)
            assert message.tool_call_id not in found
            found[message.tool_call_id] = message.text
        else:
            assert not open_calls
    assert not open_calls
    return found


@pytest.mark.parametrize(
    ("make", "remembers"), [(agent, False), (agent, True), (graph, True), (nested, False), (nested, True)]
)
async def test_the_page_is_asked_for_one_call_after_the_other_and_the_run_goes_on(
    make: Callable[..., Any], remembers: bool
) -> None:
    model = Script(
        answers=[
            ["Let me look.", calls("show_map", "look_up", "show_map")],
            [calls("show_map", first=3)],
            "There it is.",
            "You are welcome.",
        ]
    )
    server = serve(make(model, InMemorySaver() if remembers else None))
    events = await create(server, "Tea?")
    thread_id = thread_of(events)
    assert (asked(events), text_of(events)) == ([("show_map", {"word": "tea"})], "Let me look.")
    assert not [event for event in events if event["type"] in {"notice", "error"}]
    for result in (SHOWN, "at once"):
        assert len(model.requests) == 1
        events = await output(server, thread_id, result)
        assert asked(events) == [("show_map", {"word": "tea"})]
    assert outputs_in(model.requests[1]) == {"c0": '{"shown":true}', "c1": "tea: a leaf", "c2": "at once"}
    events = await output(server, thread_id, None)
    assert (asked(events), text_of(events)) == ([], "There it is.")
    await say(server, thread_id, "Thanks")
    assert [said(request) for request in model.requests] == [
        ["Tea?"],
        ["Tea?", "Let me look."],
        ["Tea?", "Let me look."],
        ["Tea?", "Let me look.", "There it is.", "Thanks"],
    ]
    known = {"c0": '{"shown":true}', "c1": "tea: a leaf", "c2": "at once", "c3": "null"}
    assert outputs_in(model.requests[2]) == outputs_in(model.requests[3]) == known


async def test_a_node_of_many_tools_without_a_checkpointer_asks_for_the_first() -> None:
    model = Script(answers=[[calls("show_map", "show_map")], [calls("show_map", first=2)], "Both."])
    server = serve(graph(model))
    thread_id = thread_of(await create(server, "Tea?"))
    assert len(asked(await output(server, thread_id, SHOWN))) == 1
    assert text_of(await output(server, thread_id, SHOWN)) == "Both."
    assert [*outputs_in(model.requests[2])] == ["c0", "c2"]


async def test_what_is_shown() -> None:
    model = Script(answers=[[thought("Where?"), calls("show_map", "look_up")]])
    events = await create(serve(agent(model, InMemorySaver())), "Tea?")
    shown = done(events, "workflow")[0]["workflow"]["tasks"]
    assert [(task.get("title"), task["status_indicator"]) for task in shown[1:]] == [
        ("Show map", "complete"),
        ("Look up", "complete"),
    ]
    order = [event["item"]["type"] for event in events if event["type"] == "thread.item.done"]
    assert order == ["user_message", "workflow", "client_tool_call"]


@pytest.mark.parametrize("remembers", [True, False])
async def test_a_message_instead_of_the_output_and_that_message_again(remembers: bool) -> None:
    model = Script(
        answers=[[calls("show_map", "look_up", "show_map")], "Never mind, then.", "As you like."],
    )
    server = serve(agent(model, InMemorySaver() if remembers else None))
    thread_id = thread_of(await create(server, "Tea?"))
    await output(server, thread_id, SHOWN)
    body = json.dumps({"type": "turns.stop", "params": {"thread_id": thread_id}})
    await server.process(body, ADA)
    events = await say(server, thread_id, "Leave it")
    assert text_of(events) == "Never mind, then."
    message = done(events, "user_message")[0]["id"]
    await ask(server, "threads.retry_after_item", thread_id=thread_id, item_id=message)
    for request in model.requests[1:]:
        assert said(request) == ["Tea?", "Leave it"]
        missing = {"c2": NOT_DONE} if remembers else {}
        assert outputs_in(request) == {"c0": '{"shown":true}', "c1": "tea: a leaf", **missing}
    with pytest.raises(ConflictError):
        await output(server, thread_id, SHOWN)


async def test_a_message_is_answered_again_while_the_page_is_asked() -> None:
    model = Script(
        answers=["Hello.", [calls("show_map")], [calls("show_map", first=1)], "There."],
    )
    server = serve(agent(model, InMemorySaver()))
    thread_id = thread_of(await create(server, "Hi"))
    message = done(await say(server, thread_id, "Tea?"), "user_message")[0]["id"]
    events = await ask(server, "threads.retry_after_item", thread_id=thread_id, item_id=message)
    assert len(asked(events)) == 1
    assert text_of(await output(server, thread_id, SHOWN)) == "There."
    assert said(model.requests[-1]) == ["Hi", "Hello.", "Tea?"]
    assert outputs_in(model.requests[-1]) == {"c1": '{"shown":true}'}


@pytest.mark.parametrize("loses", [False, True])
async def test_another_worker_goes_on(loses: bool) -> None:
    model, store, checkpointer = (
        Script(answers=["Hello.", [calls("show_map", "look_up")], "There.", "Bye."]),
        MemoryStore[Any](),
        InMemorySaver(),
    )
    first = serve(agent(model, checkpointer), store)
    thread_id = thread_of(await create(first, "Hi"))
    await say(first, thread_id, "Tea?")
    server = serve(agent(model, InMemorySaver() if loses else checkpointer), store)
    body = json.dumps({"type": "threads.get_by_id", "params": {"thread_id": thread_id}})
    loaded = json.loads((await server.process(body, ADA)).json)  # type: ignore[union-attr]
    assert loaded["items"]["data"][-1]["status"] == "pending"
    assert text_of(await output(server, thread_id, SHOWN)) == "There."
    await say(server, thread_id, "Thanks")
    assert [said(request) for request in model.requests[2:]] == [
        ["Hi", "Hello.", "Tea?"],
        ["Hi", "Hello.", "Tea?", "There.", "Thanks"],
    ]
    for request in model.requests[2:]:
        assert outputs_in(request) == {"c0": '{"shown":true}', "c1": "tea: a leaf"}


async def test_a_tool_that_failed_is_told_to_the_model() -> None:
    model = Script(answers=[[calls("show_map")], "I cannot show it."])
    server = serve(agent(model, InMemorySaver()))
    thread_id = thread_of(await create(server, "Tea?"))
    events = await output(server, thread_id, {"error": "The page has no map."})
    assert text_of(events) == "I cannot show it."
    assert outputs_in(model.requests[1]) == {"c0": '{"error":"The page has no map."}'}


async def test_a_model_that_fails_after_the_output_keeps_it() -> None:
    model = Script(answers=[[calls("show_map")], RuntimeError("away"), "There.", "Here."])
    store = MemoryStore[Any]()
    server = serve(agent(model, InMemorySaver()), store)
    thread_id = thread_of(await create(server, "Tea?"))
    events = await output(server, thread_id, SHOWN)
    assert [event["type"] for event in events][-1] == "error"
    # As when the worker that had the output has died, and another one answers it.
    thread = await store.load_thread(thread_id, ADA)
    async for _ in server.respond(thread, None, ADA):
        pass
    await say(server, thread_id, "Again?")
    assert [said(request) for request in model.requests[2:]] == [["Tea?"], ["Tea?", "There.", "Again?"]]
    for request in model.requests[1:]:
        assert outputs_in(request) == {"c0": '{"shown":true}'}


async def test_a_question_of_the_application_beside_a_call() -> None:
    def approve(state: MessagesState) -> Any:
        interrupt("Book the flight?")

    model = Script(answers=[[calls("show_map")], "There."])
    builder = StateGraph(MessagesState)
    builder.add_node("approve", approve)
    builder.add_node("agent", agent(model))
    builder.add_edge(START, "approve")
    builder.add_edge(START, "agent")
    server = serve(builder.compile(checkpointer=InMemorySaver()))
    events = await create(server, "Tea?")
    assert len(asked(events)) == 1
    after = await output(server, thread_of(events), SHOWN)
    for told in (events, after):
        (notice,) = [event for event in told if event["type"] == "notice"]
        assert notice["message"].startswith("Book the flight?: this needs an approval")
    assert (asked(after), text_of(after)) == ([], "There.")


class Place(BaseModel):
    name: str


async def test_tools_of_models_as_arguments_and_the_spelling_of_javascript() -> None:
    @client_tool
    def mark(place: Place, color: str = "red") -> None:
        """Marks a place."""

    class State(TypedDict):
        outputs: list[str]

    async def run(state: State) -> Any:
        call = {"name": "mark", "args": {"place": {"name": "Rome"}}, "id": "c0", "type": "tool_call"}
        answer = (await mark.ainvoke(call)).content
        theirs = interrupt({"type": "tool", "toolCall": {"id": "c1", "name": "clear", "args": {}}})
        return {"outputs": [answer, theirs]}

    builder = StateGraph(State)
    builder.add_node("run", run)
    builder.add_edge(START, "run")
    compiled: Any = builder.compile(checkpointer=InMemorySaver())
    server = serve(compiled)
    server.make_input = lambda turn, messages: {"outputs": []}  # type: ignore[method-assign]
    events = await create(server)
    assert asked(events) == [("mark", {"place": {"name": "Rome"}, "color": "red"})]
    thread_id = thread_of(events)
    assert asked(await output(server, thread_id, "marked")) == [("clear", {})]
    await output(server, thread_id, 1)
    config = {"configurable": {"thread_id": thread_id}}
    assert (await compiled.aget_state(config)).values == {"outputs": ["marked", 1]}


def test_what_the_model_is_told_of_a_tool() -> None:
    assert (show_map.name, show_map.description) == ("show_map", "Shows a place on the user's map.")
    assert [*show_map.tool_call_schema.model_json_schema()["properties"]] == ["word"]  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="docstring"):
        client_tool(lambda word: word)


def test_a_graph_that_is_run_without_asyncio() -> None:
    def call(state: MessagesState) -> Any:
        asks = {"name": "show_map", "args": {"word": "tea"}, "id": "c0", "type": "tool_call"}
        return {"messages": [AIMessage("", tool_calls=[asks])]}  # type: ignore[list-item]

    builder = StateGraph(MessagesState)
    builder.add_node("call", call)
    builder.add_node("tools", ToolNode(TOOLS))
    builder.add_edge(START, "call")
    builder.add_edge("call", "tools")
    result = builder.compile().invoke({"messages": [HumanMessage("Tea?")]})
    (paused,) = result["__interrupt__"]
    asks = {"id": "c0", "name": "show_map", "args": {"word": "tea"}}
    assert paused.value == {"type": "tool", "tool_call": asks}
