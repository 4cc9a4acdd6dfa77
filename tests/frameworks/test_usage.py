"""What agents of each framework use: recorded by each call of a model, within budgets."""

# LangGraph has no stubs, and types that are only known in part.
# pyright: basic

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from agents import Agent, ModelSettings, RunConfig, Runner, WebSearchTool, function_tool
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.graph import END, START, MessagesState, StateGraph
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai import RunContext
from pydantic_ai.models.test import TestModel

from chatkit.agents import AgentContext, AgentServer, stream_agent_response
from chatkit.frameworks import AgentTurn, FunctionServer, langgraph, pydantic_ai, stream_steps
from chatkit.frameworks.openai import Api, ModelServer
from chatkit.frameworks.usage import input_bound, output_bound, usage_of
from chatkit.ids import utc_now
from chatkit.limits import Limits
from chatkit.quotas import Quota
from chatkit.server import ChatKitServer, record_usage
from chatkit.store import MemoryStore
from chatkit.testing import ModelToolCall, ScriptedModel, scripted_model_app
from chatkit.usage import Usage
from tests.frameworks.support import ADA, create, text_of, thread_of, titles_of
from tests.support.live_server import live_server
from tests.support.scale import scaled

Make = Callable[..., Any]
KINDS = ["agents", "pydantic_ai", "langgraph", "responses", "chat"]
QUIET = RunConfig(tracing_disabled=True)


async def recorded(server: Any) -> list[tuple[str, int, int, int]]:
    """Returns model, calls and tokens of each."""
    now = utc_now()
    totals = await server.store.sum_usage(now - timedelta(days=2), now + timedelta(days=2), ADA)
    return [(total.model, total.calls, total.input_tokens, total.output_tokens) for total in totals]


async def counted(server: Any) -> int:
    return (await server.counter.take("quota:tokens:60:owner:ada", 0, window=60)).total


class Chat(BaseChatModel):
    """Says hello, and what that took."""

    max_tokens: int | None = None
    fails: bool = False

    @property
    def _llm_type(self) -> str:
        return "chat"

    def _get_ls_params(self, stop: Any = None, **options: Any) -> Any:
        return {"ls_model_name": "m", "ls_model_type": "chat", "ls_max_tokens": self.max_tokens}

    def _message(self, kind: Any) -> Any:
        if self.fails:
            raise RuntimeError("broken")
        details = {"input_token_details": {"cache_read": 1}, "output_token_details": {"reasoning": 1}}
        usage = {"input_tokens": 2, "output_tokens": 2, "total_tokens": 4, **details}
        return kind(content="Hello.", usage_metadata=usage)

    def _generate(self, messages: Any, *arguments: Any, **options: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._message(AIMessage))])

    async def _astream(self, messages: Any, *arguments: Any, **options: Any) -> AsyncIterator[Any]:
        yield ChatGenerationChunk(message=self._message(AIMessageChunk))


@asynccontextmanager
async def maker(kind: str) -> AsyncGenerator[Make]:
    """Yields what makes a server whose model may make so many tokens."""
    async with AsyncExitStack() as stack:
        if kind in {"responses", "chat"}:
            live = stack.enter_context(live_server(scripted_model_app(["Hello."] * 5)))
            http = await stack.enter_async_context(DefaultAsyncHttpxClient())
            client = AsyncOpenAI(base_url=f"{live.url}/v1", api_key="k", http_client=http, max_retries=0)

        def make(most: int | None = None, **options: Any) -> Any:
            options = {"titles": False, **options}
            store = MemoryStore[Any]()
            match kind:
                case "agents":
                    agent = Agent[Any](
                        name="Guide",
                        model=ScriptedModel(["Hello."] * 5),
                        model_settings=ModelSettings(max_tokens=most),
                    )
                    return AgentServer(agent, store, run_config=QUIET, **options)
                case "pydantic_ai":
                    settings: Any = {} if most is None else {"max_tokens": most}
                    model = TestModel(custom_output_text="Hello.")
                    return pydantic_ai.AgentServer(
                        PydanticAgent(model, model_settings=settings), store, **options
                    )
                case "langgraph":
                    return langgraph.AgentServer(Chat(max_tokens=most), store, **options)
                case _:
                    name = "max_output_tokens" if kind == "responses" else "max_completion_tokens"
                    bounds = {} if most is None else {name: most}
                    api: Api = "chat" if kind == "chat" else "responses"
                    return ModelServer("m", store, client=client, api=api, request_options=bounds, **options)

        yield make


@pytest.mark.parametrize("kind", KINDS)
async def test_usage_is_recorded(kind: str) -> None:
    async with maker(kind) as make:
        server = make()
        assert text_of(await create(server)) == "Hello."
        ((model, calls, given, made),) = await recorded(server)
        assert model == {"agents": "ScriptedModel", "pydantic_ai": "test"}.get(kind, "m")
        assert calls == 1
        assert given > 0
        assert made > 0
        await server.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_budget_needs_the_most_that_a_model_may_make(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with maker(kind) as make:
        limits = Limits(quotas=(Quota("tokens", 100_000),))
        refused = make(limits=limits)
        assert text_of(await create(refused)) == ""
        assert "bound its output, as by max_tokens of the model's settings" in caplog.text
        assert await recorded(refused) == []
        server = make(1_000, limits=limits)
        assert text_of(await create(server)) == "Hello."
        ((_, _, given, made),) = await recorded(server)
        assert await counted(server) == given + made
        for each in (refused, server):
            await each.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_that_may_exceed_a_budget_is_not_begun(kind: str) -> None:
    async with maker(kind) as make:
        server = make(1_000, limits=Limits(quotas=(Quota("tokens", 1_020),)))
        events = await create(server)
        (error,) = [event for event in events if event["type"] == "error"]
        assert error["message"].startswith("You may use 1,020 tokens in a minute, and this is more.")
        assert await recorded(server) == []
        assert await counted(server) == 0
        await server.close()


async def test_each_call_of_a_run_is_a_step() -> None:
    @function_tool
    def look() -> str:
        return "tea"

    model = ScriptedModel([[ModelToolCall("look", {})], "Tea."])
    server = AgentServer(
        Agent[Any](name="Guide", model=model, tools=[look]), MemoryStore(), run_config=QUIET, titles=False
    )
    await create(server)
    assert await recorded(server) == [("ScriptedModel", 2, 2, 2)]

    agent = PydanticAgent(TestModel())

    @agent.tool
    def find(context: RunContext[Any]) -> str:
        return "tea"

    other = pydantic_ai.AgentServer(agent, MemoryStore(), titles=False)
    await create(other)
    assert [calls for _, calls, _, _ in await recorded(other)] == [2]


async def test_a_node_that_calls_its_model_in_a_thread_or_in_the_loop() -> None:
    async def busy(state: Any) -> Any:
        # Keeps the loop busy, as code that is not asynchronous does.
        return {"messages": [Chat(max_tokens=10).invoke([HumanMessage("Hi")])]}

    def threaded(state: Any) -> Any:
        return {"messages": [Chat(max_tokens=10).invoke([HumanMessage("Hi")])]}

    graph = StateGraph(MessagesState)
    graph.add_node("busy", busy)
    graph.add_node("threaded", threaded)
    graph.add_edge(START, "busy")
    graph.add_edge("busy", "threaded")
    graph.add_edge("threaded", END)
    limits = Limits(quotas=(Quota("tokens", 100_000),))
    server = langgraph.AgentServer(graph.compile(), MemoryStore(), titles=False, limits=limits)
    events = await create(server)
    assert [event for event in events if event["type"] == "error"] == []
    assert await recorded(server) == [("m", 2, 4, 4)]
    assert await counted(server) == 8
    await server.close()


@pytest.mark.parametrize("kind", ["agents", "langgraph"])
async def test_what_a_failed_call_had_reserved_is_given_back(kind: str) -> None:
    limits = Limits(quotas=(Quota("tokens", 100_000),))
    server: Any
    if kind == "agents":
        model = ScriptedModel([])
        agent = Agent[Any](name="Guide", model=model, model_settings=ModelSettings(max_tokens=10))
        server = AgentServer(agent, MemoryStore(), run_config=QUIET, titles=False, limits=limits)
    else:
        server = langgraph.AgentServer(
            Chat(max_tokens=10, fails=True), MemoryStore(), titles=False, limits=limits
        )
    events = await create(server)
    assert [event["type"] for event in events][-1] == "error"
    assert await counted(server) == 0
    await server.close()


async def test_tools_that_run_at_the_provider_leave_the_input_unknown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    agent = Agent[Any](
        name="Guide",
        model=ScriptedModel(["Hello."]),
        tools=[WebSearchTool()],
        model_settings=ModelSettings(max_tokens=10),
    )
    limits = Limits(quotas=(Quota("tokens", 100_000),))
    server = AgentServer(agent, MemoryStore(), run_config=QUIET, titles=False, limits=limits)
    assert text_of(await create(server)) == ""
    assert "input_limit of its price" in caplog.text
    server.model_prices = {"ScriptedModel": {"input": 1, "output": 1, "input_limit": 5_000}}
    assert text_of(await create(server)) == "Hello."
    await server.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_titles_are_recorded_and_bounded_as_answers_are(kind: str) -> None:
    async with maker(kind) as make:
        title: dict[str, Any] = {"title_model": Chat(max_tokens=100)} if kind == "langgraph" else {}
        server = make(100, titles=True, limits=Limits(quotas=(Quota("tokens", 100_000),)), **title)
        events = await create(server, "Tea?")
        async with asyncio.timeout(scaled(20)):
            await asyncio.gather(*titles_of(server))
        assert (await server.store.load_thread(thread_of(events), ADA)).title == "Hello"
        ((_, calls, given, made),) = await recorded(server)
        assert calls == 2
        assert await counted(server) == given + made
        await server.close()


async def test_a_function_records_by_hand() -> None:
    async def agent(text: str, turn: AgentTurn) -> AsyncIterator[str]:
        yield "Hello."
        await record_usage(Usage("own", input_tokens=3, output_tokens=4))

    server = FunctionServer(agent, MemoryStore(), titles=False)
    await create(server)
    assert await recorded(server) == [("own", 1, 3, 4)]


async def test_a_server_that_refuses_to_be_asked_for_usage_is_not_asked_again() -> None:
    app = scripted_model_app(["A", "B"])
    asked: list[bool] = []

    async def picky(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", scope["type"] == "http"
        while more:
            message = await receive()
            body, more = body + message["body"], message.get("more_body", False)
        if scope["type"] == "http":
            asked.append(b"stream_options" in body)
            if asked[-1]:
                await send({"type": "http.response.start", "status": 422, "headers": []})
                await send({"type": "http.response.body", "body": b'{"message": "stream_options: extra"}'})
                return

        whole = iter([{"type": "http.request", "body": body}] if scope["type"] == "http" else [])

        async def again() -> Any:
            return next(whole, None) or await receive()

        await app(scope, again, send)

    with live_server(picky) as live:
        async with DefaultAsyncHttpxClient() as http:
            client = AsyncOpenAI(base_url=f"{live.url}/v1", api_key="k", http_client=http, max_retries=0)
            server = ModelServer("m", MemoryStore(), client=client, api="chat", titles=False)
            assert [text_of(await create(server)) for _ in range(2)] == ["A", "B"]
            assert asked == [True, False, False]
            await server.close()


def test_the_bytes_of_an_input_bound_its_tokens_where_it_is_text() -> None:
    assert input_bound([{"role": "user", "content": "é" * 100}]) > 200 + 256  # type: ignore[operator]
    assert input_bound("a", None, [1]) == 256 + 3 + 4 + 3
    for kind in ("input_image", "image_url", "file", "item_reference"):
        assert input_bound("a", [{"content": [{"type": kind}]}]) is None
    assert output_bound({"max_tokens": 5, "n": 3}) == 15
    assert output_bound({"max_tokens": None}) is None


@pytest.mark.parametrize("found", [None, {}, {"input_tokens": 0, "output_tokens": None}])
def test_usage_that_is_not_told(found: Any) -> None:
    assert usage_of("m", found) is None


def test_usage_in_each_spelling() -> None:
    chat = {
        "prompt_tokens": 5,
        "completion_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    assert usage_of("m", chat) == Usage("m", 5, 2, 3, 1)


async def by_agents(thread: Any, context: Any, store: Any) -> AsyncIterator[Any]:
    chat = AgentContext(thread=thread, store=store, request_context=context)
    agent = Agent[Any](name="Guide", model=ScriptedModel(["Hello."]))
    async for event in stream_agent_response(
        chat, Runner.run_streamed(agent, "Hi", context=chat, run_config=QUIET)
    ):
        yield event


async def by_pydantic_ai(thread: Any, context: Any, store: Any) -> AsyncIterator[Any]:
    run = PydanticAgent(TestModel(custom_output_text="Hello.")).run_stream_events("Hi")
    async for event in pydantic_ai.stream_run(run, thread=thread, store=store, context=context):
        yield event


async def by_langgraph(thread: Any, context: Any, store: Any) -> AsyncIterator[Any]:
    steps = langgraph.run_steps(Chat().astream("Hi"), langgraph.RunConverter())
    async for event in stream_steps(steps, thread=thread, store=store, context=context):
        yield event


@pytest.mark.parametrize("answer", [by_agents, by_pydantic_ai, by_langgraph])
async def test_the_helpers_record_usage_in_handlers_of_your_own(answer: Any) -> None:
    class Own(ChatKitServer[Any]):
        async def respond(self, thread: Any, input: Any, context: Any) -> AsyncIterator[Any]:
            async for event in answer(thread, context, self.store):
                yield event

    server = Own(MemoryStore(), limits=Limits(quotas=(Quota("tokens", 100_000),)))
    assert text_of(await create(server)) == "Hello."
    ((_, calls, given, made),) = await recorded(server)
    assert calls == 1
    assert given * made > 0
    assert await counted(server) == given + made
    await server.close()
