"""An agent of the Agents SDK, served as it is."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from agents import (
    Agent,
    RawResponsesStreamEvent,
    RunConfig,
    RunContextWrapper,
    Runner,
    SQLiteSession,
    StopAtTools,
    function_tool,
)
from agents.mcp import MCPServerStdio

from chatkit.agents import AgentContext, AgentServer, ClientToolCall
from chatkit.agents.tool_steps import HostedToolConverter
from chatkit.dialects.adapters import adapt_files
from chatkit.files import LocalFileStore
from chatkit.frameworks import AgentTurn
from chatkit.store import MemoryStore
from chatkit.testing import ModelThoughts, ModelToolCall, ScriptedModel
from chatkit.types import AttachmentCreateParams, WorkflowItem
from chatkit.widgets import Card, Text
from tests.files.page import PNG
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
from tests.stateful.plain_store import PlainStore
from tests.support.scale import FAST, scaled

QUIET = RunConfig(tracing_disabled=True)


def serve(model: ScriptedModel, store: Any = None, **options: Any) -> AgentServer[Any]:
    options = {"titles": False, **options}
    agent = {
        name: options.pop(name)
        for name in ("tools", "handoffs", "mcp_servers", "tool_use_behavior")
        if name in options
    }
    return AgentServer(
        Agent[Any](name="Guide", model=model, **agent),
        MemoryStore() if store is None else store,
        run_config=QUIET,
        **options,
    )


def given(session: SQLiteSession) -> Callable[[Any, Any], SQLiteSession]:
    return lambda thread, context: session


def said(request: Any) -> list[str]:
    """Returns the texts of a request's messages, in order."""
    if isinstance(request.input, str):
        return [request.input]
    return [
        entry["content"]
        if isinstance(entry["content"], str)
        else "".join(part["text"] for part in entry["content"])
        for entry in request.input
        if "content" in entry
    ]


def answers(count: int) -> list[str]:
    return [f"A{number}" for number in range(1, count + 1)]


@pytest.mark.parametrize("make_store", [MemoryStore, PlainStore])
@pytest.mark.parametrize("with_session", [False, True])
async def test_the_model_is_given_each_message_once(
    with_session: bool, make_store: Callable[[], Any], tmp_path: Path
) -> None:
    model, store = ScriptedModel(answers(5)), make_store()
    sessions: list[SQLiteSession] = []

    def session(thread: Any, context: Any) -> SQLiteSession:
        # A new object each time, as in another process.
        made = SQLiteSession(f"{context['user_id']}/{thread.id}", tmp_path / "sessions.db")
        sessions.append(made)
        return made

    options = {"session": session} if with_session else {}
    servers = [serve(model, store, **options) for _ in range(2)]
    await talk_of_three(*servers)
    assert [said(request) for request in model.requests] == EACH_MESSAGE_ONCE
    for made in sessions:
        made.close()


async def test_where_the_session_was_is_stored_before_the_model_is_asked(tmp_path: Path) -> None:
    store = MemoryStore[Any]()
    kept: list[Any] = []

    async def look() -> None:
        (thread,) = (await store.load_threads(10, None, "desc", ADA)).data
        kept.append(thread.metadata["chatkit.memory"])

    session = SQLiteSession("s", tmp_path / "sessions.db")
    model = ScriptedModel(["A1"], before_each_event=look)
    events = await create(serve(model, store, session=given(session)))
    assert kept[0] == [[done(events, "user_message")[0]["id"], 0]]
    session.close()


async def test_a_session_that_is_new_gets_the_history(tmp_path: Path) -> None:
    model, store = ScriptedModel(answers(3)), MemoryStore[Any]()
    thread_id = thread_of(await create(serve(model, store), "one"))
    session = SQLiteSession("s", tmp_path / "sessions.db")
    server = serve(model, store, session=given(session))
    await say(server, thread_id, "two")
    await say(server, thread_id, "three")
    assert [said(request) for request in model.requests][1:] == [
        ["one", "A1", "two"],
        ["one", "A1", "two", "A2", "three"],
    ]
    session.close()


@function_tool
async def look_up(ctx: RunContextWrapper[AgentContext[Any]], word: str) -> str:
    """Looks a word up."""
    return f"{word}: a word"


async def test_tools_handoffs_and_thoughts_are_steps() -> None:
    model = ScriptedModel(
        [
            [ModelThoughts(["It is a word."]), ModelToolCall("look_up", {"word": "tea"})],
            ModelToolCall("transfer_to_poet", {}),
            "Tea, oh tea.",
        ]
    )
    poet = Agent[Any](name="poet", model=model)
    events = await create(serve(model, tools=[look_up], handoffs=[poet]))
    (workflow,) = done(events, "workflow")
    shown = [
        (task.get("title") or task["content"], task["status_indicator"])
        for task in workflow["workflow"]["tasks"]
    ]
    assert shown == [
        ("It is a word.", "none"),
        ("Look up", "complete"),
        ("Handing over to poet", "complete"),
    ]
    assert text_of(events) == "Tea, oh tea."


@function_tool
async def show_map(ctx: RunContextWrapper[AgentContext[Any]], city: str) -> None:
    """Shows a city on the page's map."""
    ctx.context.client_tool_call = ClientToolCall(name="show_map", arguments={"city": city})


@pytest.mark.parametrize("with_session", [False, True])
async def test_a_tool_of_the_page(with_session: bool, tmp_path: Path) -> None:
    calls = [
        ModelToolCall("show_map", {"city": "Rome"}, "call_1"),
        ModelToolCall("look_up", {"word": "Rome"}),
    ]
    model = ScriptedModel([calls, "There it is."])
    session = SQLiteSession("s", tmp_path / "sessions.db")
    options = {"session": given(session)} if with_session else {}
    tools = {"tools": [show_map, look_up], "tool_use_behavior": StopAtTools(stop_at_tool_names=["show_map"])}
    server = serve(model, **tools, **options)
    events = await create(server, "Rome?")
    (call,) = done(events, "client_tool_call")
    assert call["status"] == "pending"
    output = {"shown": "yes"}
    thread_id = thread_of(events)
    events = await ask(server, "threads.add_client_tool_output", thread_id=thread_id, result=output)
    assert text_of(events) == "There it is."
    entries = model.requests[1].input
    outputs = {
        entry["call_id"]: entry["output"] for entry in entries if entry.get("type") == "function_call_output"
    }
    assert outputs.pop("call_1") == '{"shown": "yes"}'
    assert list(outputs.values()) == ["Rome: a word"]
    assert sum(entry.get("type") == "function_call" for entry in entries) == 2
    assert said(model.requests[1]) == ["Rome?"]
    session.close()


async def test_a_run_that_waits_for_an_approval_says_so() -> None:
    @function_tool(needs_approval=True)
    async def delete_all() -> str:
        """Deletes everything."""
        raise AssertionError

    model = ScriptedModel([ModelToolCall("delete_all", {})])
    events = await create(serve(model, tools=[delete_all]))
    (notice,) = [event for event in events if event["type"] == "notice"]
    assert notice["message"].startswith("delete_all: this needs an approval")


@pytest.mark.parametrize(("picked", "answer"), [("small", "Small."), ("other", "Usual."), (None, "Usual.")])
async def test_the_user_picks_one_of_the_models(picked: str | None, answer: str) -> None:
    small = ScriptedModel(["Small."])
    server = serve(ScriptedModel(["Usual."]), models={"small": small})
    assert text_of(await create(server, model=picked)) == answer


async def test_titles_by_a_model_of_their_own_never_harm_the_answer() -> None:
    titles = ScriptedModel([RuntimeError("away"), "«A talk about tea»"])
    server = serve(ScriptedModel(["Yes."] * 2), titles=True, title_model=titles)
    made: list[str | None] = []
    for _ in range(2):
        events = await create(server, "Tea?")
        assert text_of(events) == "Yes."
        async with asyncio.timeout(scaled(20)):
            await asyncio.gather(*titles_of(server))
        made.append((await server.store.load_thread(thread_of(events), ADA)).title)
    assert made == ["Tea?", "A talk about tea"]
    await server.close()


async def test_hosted_tools_are_steps() -> None:
    from openai.types.responses import (
        ResponseCodeInterpreterToolCall,
        ResponseFileSearchToolCall,
        ResponseFunctionWebSearch,
    )
    from openai.types.responses.response_output_item import McpCall

    shown = HostedToolConverter().hosted_tool_to_task
    search = {"type": "search", "query": "tea", "sources": [{"type": "url", "url": "https://tea.example"}]}
    calls: list[Any] = [
        ResponseFunctionWebSearch.model_validate(
            {"id": "1", "type": "web_search_call", "status": "completed", "action": search}
        ),
        ResponseFileSearchToolCall.model_validate(
            {
                "id": "2",
                "type": "file_search_call",
                "status": "completed",
                "queries": ["tea"],
                "results": [{"filename": "tea.pdf"}, {"filename": "tea.pdf"}],
            }
        ),
        ResponseCodeInterpreterToolCall.model_validate(
            {
                "id": "3",
                "type": "code_interpreter_call",
                "status": "completed",
                "code": "1 + 1",
                "container_id": "c",
            }
        ),
        McpCall.model_validate(
            {"id": "4", "type": "mcp_call", "name": "read_page", "arguments": "{}", "server_label": "wiki"}
        ),
    ]
    tasks = [shown(call, is_done=True) for call in calls]
    assert [task.model_dump(exclude_none=True, exclude_defaults=True) for task in tasks if task] == [
        {
            "status_indicator": "complete",
            "title_query": "tea",
            "queries": ["tea"],
            "sources": [{"title": "https://tea.example", "url": "https://tea.example"}],
        },
        {
            "status_indicator": "complete",
            "title": "Searching files: tea",
            "sources": [{"title": "tea.pdf", "filename": "tea.pdf"}],
        },
        {"status_indicator": "complete", "title": "Running code", "content": "```python\n1 + 1\n```"},
        {"status_indicator": "complete", "title": "Read page"},
    ]
    assert shown(calls[0], is_done=False) != tasks[0]


class HostedSearch:
    """Stands for a run in which the model's API searches the web, and then answers."""

    new_items = ()

    async def stream_events(self) -> AsyncIterator[Any]:
        from openai.types.responses import (
            ResponseFunctionWebSearch,
            ResponseOutputItemAddedEvent,
            ResponseOutputItemDoneEvent,
            ResponseOutputMessage,
        )

        search = {"id": "ws", "type": "web_search_call", "action": {"type": "search", "query": "tea"}}
        begun = ResponseFunctionWebSearch.model_validate({**search, "status": "in_progress"})
        ended = ResponseFunctionWebSearch.model_validate({**search, "status": "completed"})
        part: dict[str, Any] = {"type": "output_text", "text": "A leaf.", "annotations": []}
        message = ResponseOutputMessage.model_validate(
            {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
        )
        for kind, number, item in (("added", 0, begun), ("done", 0, ended), ("done", 1, message)):
            event = ResponseOutputItemAddedEvent if kind == "added" else ResponseOutputItemDoneEvent
            yield RawResponsesStreamEvent(
                data=event(
                    type=f"response.output_item.{kind}",  # type: ignore[arg-type]
                    item=item,
                    output_index=number,
                    sequence_number=number,
                )
            )


async def test_a_hosted_search_is_a_step_of_the_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_streamed(*arguments: Any, **options: Any) -> HostedSearch:
        return HostedSearch()

    monkeypatch.setattr(Runner, "run_streamed", run_streamed)
    events = await create(serve(ScriptedModel([])), "Tea?")
    steps = [
        event.get("item", {}).get("workflow", {}).get("tasks", [event.get("update", {}).get("task")])
        for event in events
        if "workflow" in json.dumps(event)
    ]
    assert [task["status_indicator"] for (task,) in steps] == ["loading", "complete", "complete"]
    assert [task["title_query"] for (task,) in steps] == ["tea"] * 3
    assert text_of(events) == "A leaf."


async def test_the_step_of_a_tool_that_shows_something_is_complete_when_the_tool_is() -> None:
    @function_tool
    async def show_card(ctx: RunContextWrapper[AgentContext[Any]]) -> str:
        """Shows a card."""
        await ctx.context.stream_widget(Card(children=[Text(value="Hi")]))
        return "shown"

    server = serve(ScriptedModel([ModelToolCall("show_card"), "There."]), tools=[show_card])
    events = await create(server)
    ((task,),) = [item["workflow"]["tasks"] for item in done(events, "workflow")]
    # The workflow ends with the widget, and the tool after it.
    assert (task["title"], task["status_indicator"]) == ("Show card", "none")
    assert len(done(events, "widget")) == 1
    (shown,) = [event["item"] for event in events if event["type"] == "thread.item.replaced"]
    page = await server.store.load_thread_items(thread_of(events), None, 10, "asc", ADA)
    (stored,) = [item for item in page.data if isinstance(item, WorkflowItem)]
    for task in (shown["workflow"]["tasks"][0], stored.workflow.tasks[0].model_dump()):
        assert (task["title"], task["status_indicator"]) == ("Show card", "complete")
    assert [item.type for item in page.data][1:] == ["workflow", "widget", "assistant_message"]


async def test_files_are_given_as_what_they_are(tmp_path: Path) -> None:
    model = ScriptedModel(["Seen."])
    server = serve(model)
    server.attachment_store = adapt_files(LocalFileStore(tmp_path, base_url="http://x", secret="s"))
    ids: list[str] = []
    for name, kind, content in (("a.png", "image/png", PNG), ("b.pdf", "application/pdf", b"%PDF-1.4 x")):
        path = tmp_path / name
        path.write_bytes(content)
        params = AttachmentCreateParams(name=name, size=len(content), mime_type=kind)
        ids.append(json.loads((await server.upload_attachment(params, path, ADA)).json)["id"])
    await create(server, "Look", attachments=ids)
    (message,) = model.requests[0].input
    assert [part["type"] for part in message["content"]] == ["input_text", "input_image", "input_file"]
    await server.close()


MCP_SERVER = """
try:
    from mcp.server.mcpserver import MCPServer
except ImportError:
    from mcp.server.fastmcp import FastMCP as MCPServer

server = MCPServer("words")


@server.tool()
def look_it_up(word: str) -> str:
    return f"{word}: a leaf"


server.run()
"""


@pytest.mark.skipif(FAST, reason="starts processes, which a fast run does not")
async def test_mcp_servers_are_connected_for_the_first_answer(tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text(MCP_SERVER)
    words = MCPServerStdio(
        {"command": sys.executable, "args": [str(tmp_path / "words.py")]}, name="words", cache_tools_list=True
    )
    gone = MCPServerStdio({"command": str(tmp_path / "nothing")}, name="gone")
    model = ScriptedModel([ModelToolCall("look_it_up", {"word": "tea"}), "A leaf.", "Still."])
    server = serve(model, mcp_servers=[words, gone])
    events = await create(server, "Tea?")
    (task,) = done(events, "workflow")[0]["workflow"]["tasks"]
    assert (task["title"], task["status_indicator"]) == ("Look it up", "complete")
    assert "tea: a leaf" in str(model.requests[1].input)
    assert text_of(await say(server, thread_of(events), "And now?")) == "Still."
    await server.close()
    assert words.session is None


@pytest.mark.skipif(FAST, reason="starts processes, which a fast run does not")
async def test_mcp_servers_of_an_agent_that_takes_over_are_connected(tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text(MCP_SERVER)
    words = MCPServerStdio(
        {"command": sys.executable, "args": [str(tmp_path / "words.py")]}, name="words", cache_tools_list=True
    )
    model = ScriptedModel(
        [ModelToolCall("transfer_to_clerk"), ModelToolCall("look_it_up", {"word": "tea"}), "A leaf."]
    )
    clerk = Agent[Any](name="Clerk", model=model, mcp_servers=[words])
    server = serve(model, handoffs=[clerk])
    events = await create(server, "Tea?")
    assert text_of(events) == "A leaf."
    assert "tea: a leaf" in str(model.requests[2].input)
    await server.close()
    assert words.session is None


@pytest.mark.skipif(FAST, reason="starts processes, which a fast run does not")
async def test_mcp_servers_of_an_agent_that_is_a_tool_are_connected_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text(MCP_SERVER)
    words = MCPServerStdio(
        {"command": sys.executable, "args": [str(tmp_path / "words.py")]}, name="words", cache_tools_list=True
    )
    model = ScriptedModel(
        [
            ModelToolCall("ask_clerk", {"input": "tea?"}),
            ModelToolCall("look_it_up", {"word": "tea"}),
            "tea is a leaf",
            "A leaf.",
        ]
    )
    clerk = Agent[Any](name="Clerk", model=model, mcp_servers=[words])

    class Desk(AgentServer[Any]):
        async def agent_of(self, turn: AgentTurn[Any]) -> Agent[Any]:
            await self.connect_mcp_servers(clerk)
            return self.agent

    desk = Agent[Any](name="Desk", model=model, tools=[clerk.as_tool("ask_clerk", "Asks the clerk.")])
    server = Desk(desk, MemoryStore(), titles=False, run_config=QUIET)
    assert text_of(await create(server, "Tea?")) == "A leaf."
    assert "tea: a leaf" in str(model.requests[2].input)
    await server.close()
    assert words.session is None


async def test_after_a_stop_in_a_tool_the_session_can_go_on(tmp_path: Path) -> None:
    began = asyncio.Event()

    @function_tool
    async def wait() -> str:
        """Waits."""
        began.set()
        await asyncio.Event().wait()
        return ""

    model = ScriptedModel([ModelToolCall("wait", {}), "Well."])
    session = SQLiteSession("s", tmp_path / "sessions.db")
    server = serve(model, tools=[wait], session=given(session))
    body = json.dumps({"type": "threads.create", "params": {"input": user_input("one")}})
    result: Any = await server.process(body, ADA)
    frames: AsyncIterator[bytes] = aiter(result)
    thread_id = json.loads((await anext(frames))[6:])["thread"]["id"]

    async def read() -> None:
        async for _ in frames:
            pass

    async with asyncio.timeout(scaled(20)):
        reading = asyncio.create_task(read())
        await began.wait()
        reading.cancel()
        await asyncio.wait([reading])
    assert text_of(await say(server, thread_id, "two")) == "Well."
    texts = said(model.requests[1])
    assert (texts[0], texts[-1], len(texts)) == ("one", "two", 3)
    calls = [entry for entry in model.requests[1].input if entry.get("type") == "function_call"]
    outputs = [entry for entry in model.requests[1].input if entry.get("type") == "function_call_output"]
    assert len(calls) == len(outputs)
    session.close()


async def test_the_key_that_the_agents_model_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    by_name = AgentServer(Agent[Any](name="Guide"), MemoryStore(), run_config=RunConfig())
    assert by_name.missing_key() == "OPENAI_API_KEY"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    assert by_name.missing_key() is None
    monkeypatch.delenv("OPENAI_API_KEY")
    assert serve(ScriptedModel([])).missing_key() is None
