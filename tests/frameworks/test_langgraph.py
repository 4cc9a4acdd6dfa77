"""Graphs of LangGraph, agents of LangChain and other runnables, served as they are."""

# LangGraph has no stubs, and types that are only known in part.
# pyright: basic

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import ToolException, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt

from chatkit.dialects.adapters import adapt_files
from chatkit.errors import ConfigurationError
from chatkit.files import LocalFileStore
from chatkit.store import MemoryStore
from chatkit.types import AttachmentCreateParams
from tests.files.page import PNG
from tests.frameworks.scripted_langchain import Script, calls, said, serve, thought
from tests.frameworks.support import (
    ADA,
    EACH_MESSAGE_ONCE,
    ask,
    create,
    done,
    say,
    talk_of_three,
    text_of,
    thread_of,
    titles_of,
    user_input,
)
from tests.support.scale import scaled


@tool
def look_up(word: str) -> str:
    """Looks a word up."""
    get_stream_writer()(f"Asking for {word}")
    return f"{word}: a leaf"


@tool
def fail(word: str) -> str:
    """Fails."""
    raise ToolException(word)


fail.handle_tool_error = True


def chat_model(model: Script, checkpointer: Any) -> Any:
    return model


def chain(model: Script, checkpointer: Any) -> Any:
    return (lambda given: given["messages"]) | model | StrOutputParser()


def graph(model: Script, checkpointer: Any) -> Any:
    async def answer(state: MessagesState) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    return builder.compile(checkpointer=checkpointer)


def agent(model: Script, checkpointer: Any) -> Any:
    return create_agent(model, [look_up], checkpointer=checkpointer)


@pytest.mark.parametrize(
    ("make", "with_checkpointer"),
    [(chat_model, False), (chain, False), (graph, False), (graph, True), (agent, False), (agent, True)],
)
async def test_the_model_is_given_each_message_once(
    make: Callable[..., Any], with_checkpointer: bool
) -> None:
    model, store = Script(answers=["A1", "A2", "A3", "A4", "A5"]), MemoryStore[Any]()
    checkpointer = InMemorySaver() if with_checkpointer else None
    await talk_of_three(*(serve(make(model, checkpointer), store) for _ in range(2)))
    assert [said(request) for request in model.requests] == EACH_MESSAGE_ONCE


async def test_a_checkpointer_that_lost_everything_gets_the_history_and_the_first_message_is_tried_again() -> (
    None
):
    model, store = Script(answers=["A1", "A2", "A3", "A4"]), MemoryStore[Any]()
    server = serve(graph(model, InMemorySaver()), store)
    events = await create(server, "one")
    thread_id, first = thread_of(events), done(events, "user_message")[0]["id"]
    await ask(server, "threads.retry_after_item", thread_id=thread_id, item_id=first)
    server = serve(graph(model, InMemorySaver()), store)
    for text in ("two", "three"):
        await say(server, thread_id, text)
    assert [said(request) for request in model.requests] == [
        ["one"],
        ["one"],
        ["one", "A2", "two"],
        ["one", "A2", "two", "A3", "three"],
    ]


async def test_a_message_is_answered_again_after_the_checkpointer_lost_everything() -> None:
    model, store = Script(answers=["A1", "A2", "A3", "A4"]), MemoryStore[Any]()
    server = serve(graph(model, InMemorySaver()), store)
    thread_id = thread_of(await create(server, "one"))
    second = done(await say(server, thread_id, "two"), "user_message")[0]["id"]
    server = serve(graph(model, InMemorySaver()), store)
    await ask(server, "threads.retry_after_item", thread_id=thread_id, item_id=second)
    await say(server, thread_id, "three")
    assert [said(request) for request in model.requests][2:] == [
        ["one", "A1", "two"],
        ["one", "A1", "two", "A3", "three"],
    ]


async def test_thoughts_tools_and_custom_events_are_steps() -> None:
    model = Script(answers=[[thought("Let me look"), calls("look_up", "fail")], ["It is ", "a leaf."]])
    events = await create(serve(create_agent(model, [look_up, fail])), "Tea?")
    shown = done(events, "workflow")[0]["workflow"]["tasks"]
    assert [(task.get("title") or task["content"], task["status_indicator"]) for task in shown] == [
        ("Let me look", "none"),
        ("Look up", "complete"),
        ("Fail", "none"),
        ("Asking for tea", "complete"),
    ]
    assert text_of(events) == "It is a leaf."


async def test_subgraphs_answer_and_models_in_tools_do_not() -> None:
    inner = Script(answers=["a secret"])

    @tool
    async def ask_another(word: str) -> str:
        """Asks another model."""
        return (await inner.ainvoke(word)).text

    model = Script(answers=[[calls("ask_another")], "It is a leaf."])
    builder = StateGraph(MessagesState)
    builder.add_node("child", create_agent(model, [ask_another]))
    builder.add_edge(START, "child")
    builder.add_edge("child", END)
    events = await create(serve(builder.compile()), "Tea?")
    assert text_of(events) == "It is a leaf."
    (task,) = done(events, "workflow")[0]["workflow"]["tasks"]
    assert (task["title"], task["status_indicator"]) == ("Ask another", "complete")


async def test_a_stop_cancels_the_run_and_the_next_message_is_answered() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    @tool
    async def wait(word: str) -> str:
        """Waits."""
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return word

    model = Script(answers=[[calls("wait")], "Well."])
    server = serve(create_agent(model, [wait], checkpointer=InMemorySaver()))
    body = json.dumps({"type": "threads.create", "params": {"input": user_input("one")}})
    frames: Any = aiter(await server.process(body, ADA))  # type: ignore[arg-type]
    thread_id = json.loads((await anext(frames))[6:])["thread"]["id"]

    async def read() -> None:
        async for _ in frames:
            pass

    async with asyncio.timeout(scaled(20)):
        reading = asyncio.create_task(read())
        await began.wait()
        reading.cancel()
        await asyncio.wait([reading])
        await ended.wait()
    assert text_of(await say(server, thread_id, "two")) == "Well."
    given = model.requests[1]
    assert [message.text for message in given if isinstance(message, HumanMessage)][:1] == ["one"]
    assert given[-1].text == "two"
    (answered,) = [message for message in given if isinstance(message, ToolMessage)]
    assert (answered.tool_call_id, answered.status) == ("c0", "error")


async def test_a_run_that_stops_to_ask_says_so() -> None:
    def ask_user(state: MessagesState) -> Any:
        interrupt("Book the flight?")

    builder = StateGraph(MessagesState)
    builder.add_node("ask", ask_user)
    builder.add_edge(START, "ask")
    events = await create(serve(builder.compile(checkpointer=InMemorySaver())))
    (notice,) = [event for event in events if event["type"] == "notice"]
    assert notice["message"].startswith("Book the flight?: this needs an approval")


async def test_pictures_and_texts_are_given(tmp_path: Path) -> None:
    model = Script(answers=["Seen."])
    server = serve(model)
    server.attachment_store = adapt_files(LocalFileStore(tmp_path, base_url="http://x", secret="s"))
    ids: list[str] = []
    for name, kind, content in (("a.png", "image/png", PNG), ("b.txt", "text/plain", b"Dear diary")):
        path = tmp_path / name
        path.write_bytes(content)
        params = AttachmentCreateParams(name=name, size=len(content), mime_type=kind)
        ids.append(json.loads((await server.upload_attachment(params, path, ADA)).json)["id"])
    await create(server, "Look", attachments=ids)
    ((message,),) = model.requests
    assert [block["type"] for block in message.content_blocks] == ["text", "image", "text"]
    assert message.text == "LookThe file b.txt was attached:\n\nDear diary"
    await server.close()


async def test_titles_and_picked_models() -> None:
    picked: list[Any] = []

    async def answer(state: MessagesState, config: RunnableConfig) -> Any:
        picked.append(config.get("configurable", {}).get("model"))
        return {"messages": [await Script(answers=["Yes."]).ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    titles = Script(answers=[RuntimeError("away"), "«A talk about tea»"])
    server = serve(builder.compile(), title_model=titles, models=["small"])
    made: list[str | None] = []
    for model in ("small", "other"):
        events = await create(server, "Tea?", model=model)
        assert text_of(events) == "Yes."
        async with asyncio.timeout(scaled(20)):
            await asyncio.gather(*titles_of(server))
        made.append((await server.store.load_thread(thread_of(events), ADA)).title)
    assert made == ["Tea?", "A talk about tea"]
    assert picked == ["small", None]
    await server.close()


def test_a_graph_has_to_be_compiled() -> None:
    with pytest.raises(ConfigurationError, match=r"call compile\(\)"):
        serve(StateGraph(MessagesState))
