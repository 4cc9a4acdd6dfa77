"""Traces: the tree of spans, the semantic conventions, what is recorded, feedback and records of the log."""

# LangGraph has no stubs.
# pyright: basic

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, RunConfig, function_tool
from langchain.agents import create_agent
from langchain_core.tools import tool
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import db_attributes, gen_ai_attributes
from opentelemetry.semconv.attributes import error_attributes, http_attributes, url_attributes
from opentelemetry.trace import SpanKind, StatusCode
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai.models.function import DeltaToolCall, FunctionModel
from starlette.testclient import TestClient

from chatkit._observers import observers, remove_observer
from chatkit.agents import AgentServer
from chatkit.audit import Auditing, MemoryAuditLog
from chatkit.frameworks import langgraph, pydantic_ai
from chatkit.frameworks.openai import Api
from chatkit.logs import JSONFormatter
from chatkit.server import ChatKitServer
from chatkit.store import MemoryStore, SQLiteStore
from chatkit.testing import ModelToolCall, ScriptedModel
from chatkit.tracing import collect_traces
from chatkit.web import create_app
from tests.frameworks.support import ADA, create
from tests.frameworks.test_langgraph import Script as LangChainModel
from tests.frameworks.test_openai import APIS, serving
from tests.server.support import ScriptedServer, done, hello, user_input
from tests.server.test_recovery import crashed

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SECRETS = ("said by the user", "said by the model", "Rome in the arguments", "rain in the result")


class Spans:
    """The spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def all(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.all() if span.name == name]
        return found

    def tree(self) -> dict[str, str]:
        """Returns the name of each span's parent by its own."""
        names = {span.context.span_id: span.name for span in self.all()}
        return {
            span.name: names.get(span.parent.span_id, f"{span.parent.span_id:016x}") if span.parent else ""
            for span in self.all()
        }

    def text(self) -> str:
        return "\n".join(span.to_json() for span in self.all())


@pytest.fixture
def trace() -> Iterator[Callable[..., Spans]]:
    def begin(**options: Any) -> Spans:
        spans = Spans()
        collect_traces(tracer_provider=spans.provider, **options)
        return spans

    try:
        yield begin
    finally:
        for observer in observers():
            remove_observer(observer)


def agents_sdk() -> ChatKitServer[Any]:
    @function_tool
    def weather(city: str) -> str:
        return SECRETS[3]

    model = ScriptedModel([ModelToolCall("weather", {"city": SECRETS[2]}), SECRETS[1]])
    agent = Agent[Any](name="Guide", model=model, tools=[weather])
    config = RunConfig(tracing_disabled=True)
    return AgentServer(agent, MemoryStore(), titles=False, run_config=config)


def of_pydantic_ai() -> ChatKitServer[Any]:
    async def stream(messages: Any, info: Any) -> Any:
        if len(messages) == 1:
            yield {
                0: DeltaToolCall(name="weather", json_args=json.dumps({"city": SECRETS[2]}), tool_call_id="c")
            }
        else:
            yield SECRETS[1]

    agent = PydanticAgent(FunctionModel(stream_function=stream, model_name="script"), name="Guide")

    @agent.tool_plain
    def weather(city: str) -> str:
        return SECRETS[3]

    return pydantic_ai.AgentServer(agent, MemoryStore(), titles=False)


def of_langgraph() -> ChatKitServer[Any]:
    @tool
    def weather(city: str) -> str:
        """Returns the weather."""
        return SECRETS[3]

    call = {"name": "weather", "args": json.dumps({"city": SECRETS[2]}), "id": "c", "index": 0}
    model = LangChainModel(answers=[{"tool_call_chunks": [call]}, SECRETS[1]])
    return langgraph.AgentServer(create_agent(model, [weather], name="Guide"), MemoryStore(), titles=False)


FRAMEWORKS = pytest.mark.parametrize("make", [agents_sdk, of_pydantic_ai, of_langgraph])


def ask(server: ChatKitServer[Any], text: str = "Hi", **headers: str) -> list[dict[str, Any]]:
    """Sends a message over HTTP, and returns the events."""
    with TestClient(create_app(server, context=lambda request: ADA)) as client:
        body = {"type": "threads.create", "params": {"input": user_input(text)}}
        answer = client.post("/chatkit", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]


def check_conventions(spans: list[ReadableSpan]) -> None:
    """Compares names and values with the semantic conventions as the package of OpenTelemetry lists them."""
    modules = (gen_ai_attributes, db_attributes, http_attributes, url_attributes, error_attributes)
    known = {value for module in modules for value in vars(module).values() if isinstance(value, str)}
    operations = {member.value for member in gen_ai_attributes.GenAiOperationNameValues}
    for span in spans:
        attributes = dict(span.attributes or {})
        ours = {name for name in attributes if not name.startswith("chatkit.")}
        if span.instrumentation_scope and span.instrumentation_scope.name == "chatkit":
            assert ours <= known, ours - known
        operation = attributes.get("gen_ai.operation.name")
        if operation is None:
            continue
        assert operation in operations
        about = {"chat": "request.model", "execute_tool": "tool.name", "invoke_agent": "agent.name"}
        named = attributes.get(f"gen_ai.{about[str(operation)]}")
        assert span.name == (f"{operation} {named}" if named else operation)
        assert span.kind is (SpanKind.CLIENT if operation == "chat" else SpanKind.INTERNAL)
        if operation == "chat":
            assert attributes["gen_ai.provider.name"]


@FRAMEWORKS
def test_one_trace_leads_from_the_request_to_models_and_tools(
    trace: Callable[..., Spans], make: Callable[[], ChatKitServer[Any]]
) -> None:
    spans = trace()
    events = ask(make(), traceparent=f"00-{TRACE}-{PARENT}-01")
    assert {f"{span.context.trace_id:032x}" for span in spans.all()} == {TRACE}
    tree = spans.tree()
    (chat,) = {name for name in tree if name.startswith("chat")}
    assert tree == {
        "POST /chatkit": PARENT,
        "turn": "POST /chatkit",
        "attempt": "turn",
        "invoke_agent Guide": "attempt",
        chat: "invoke_agent Guide",
        "execute_tool weather": "invoke_agent Guide",
    }
    check_conventions(spans.all())
    assert sum(span.name == chat for span in spans.all()) == 2
    thread_id = events[0]["thread"]["id"]
    # Pydantic AI, which makes those of its models and tools itself, has conversations of its own.
    others = {name for name in tree if make is of_pydantic_ai and name not in {"turn", "attempt"}}
    for span in spans.all():
        if span.name not in {*others, "POST /chatkit"}:
            assert (span.attributes or {})["gen_ai.conversation.id"] == thread_id, span.name
    request = dict(spans.named("POST /chatkit").attributes or {})
    assert (request["http.request.method"], request["http.response.status_code"]) == ("POST", 200)
    attempt = spans.named("attempt")
    assert (attempt.attributes or {})["chatkit.end"] == "completed"
    assert [event.name for event in attempt.events] == ["first_delta"]


@FRAMEWORKS
@pytest.mark.parametrize("content", [False, True])
def test_what_is_said_is_recorded_only_if_that_was_asked_for(
    trace: Callable[..., Spans], make: Callable[[], ChatKitServer[Any]], content: bool
) -> None:
    spans = trace(content=content, storage=True)
    ask(make(), SECRETS[0])
    recorded = {secret for secret in SECRETS if secret in spans.text()}
    assert recorded == ({*SECRETS} if content else set())


async def test_tokens_and_ids_of_a_model_are_recorded(trace: Callable[..., Spans]) -> None:
    spans = trace()
    ask(agents_sdk())
    first, second = [span for span in spans.all() if span.name.startswith("chat")]
    for span in (first, second):
        attributes = dict(span.attributes or {})
        assert attributes["gen_ai.response.id"]
        assert {"gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"} <= attributes.keys()
    assert (spans.named("execute_tool weather").attributes or {})["gen_ai.tool.call.id"]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("content", [False, True])
async def test_a_model_behind_the_client_of_openai_is_traced_with_either_api(
    trace: Callable[..., Spans], api: Api, content: bool
) -> None:
    spans = trace(content=content)
    async with serving([SECRETS[1]], api) as (make, _):
        server = make(MemoryStore())
        await create(server, SECRETS[0])
        chat = spans.named("chat m")
        assert spans.tree() == {
            "turn": "",
            "attempt": "turn",
            "invoke_agent": "attempt",
            "chat m": "invoke_agent",
        }
        check_conventions(spans.all())
        attributes = dict(chat.attributes or {})
        assert attributes["gen_ai.response.id"]
        assert "gen_ai.usage.output_tokens" in attributes
        assert {secret for secret in SECRETS if secret in spans.text()} == (
            set(SECRETS[:2]) if content else set()
        )


def test_a_model_that_fails_is_an_error_without_its_text(trace: Callable[..., Spans]) -> None:
    spans = trace()
    model = ScriptedModel([RuntimeError(SECRETS[1])])  # type: ignore[list-item]
    config = RunConfig(tracing_disabled=True)
    ask(AgentServer(Agent[Any](name="Guide", model=model), MemoryStore(), titles=False, run_config=config))
    for name in ("invoke_agent Guide", "chat"):
        span = spans.named(name)
        assert span.status.status_code is StatusCode.ERROR
        assert (span.attributes or {})["error.type"]
    assert (spans.named("turn").attributes or {})["chatkit.end"] == "failed"
    assert spans.named("turn").status.status_code is StatusCode.ERROR
    assert SECRETS[1] not in spans.text()


def test_a_request_that_is_refused_has_its_status_and_no_turn(trace: Callable[..., Spans]) -> None:
    spans = trace()
    with TestClient(create_app(ScriptedServer(hello), context=lambda request: ADA)) as client:
        body = {
            "type": "threads.add_user_message",
            "params": {"thread_id": "thr_none", "input": user_input()},
        }
        assert client.post("/chatkit", json=body).status_code == 404
        assert client.get("/readyz").status_code == 200
    span = spans.named("POST /chatkit")
    assert (span.attributes or {})["http.response.status_code"] == 404
    assert (span.attributes or {})["url.path"] == "/chatkit"
    assert [event.name for event in span.events] == ["error"]
    assert len(spans.all()) == 1


def test_the_span_of_an_instrumentation_is_used_where_there_is_one(trace: Callable[..., Spans]) -> None:
    spans = trace()
    app = create_app(ScriptedServer(hello), context=lambda request: ADA)
    tracer = spans.provider.get_tracer("theirs")

    async def instrumented(scope: Any, receive: Any, send: Any) -> None:
        with tracer.start_as_current_span("theirs"):
            await app(scope, receive, send)

    with TestClient(instrumented) as client:
        body = {"type": "threads.create", "params": {"input": user_input()}}
        assert client.post("/chatkit", json=body).status_code == 200
    assert spans.tree()["turn"] == "theirs"
    assert "POST /chatkit" not in spans.tree()


async def test_storage_is_traced_if_that_was_asked_for(trace: Callable[..., Spans], tmp_path: Path) -> None:
    spans = trace(storage=True)
    store = SQLiteStore(tmp_path / "chat.db")
    server = ScriptedServer(store=store)
    await server.ask("threads.create", input=user_input())
    await server.close()
    saved = spans.named("save sqlite log")
    assert saved.parent is not None
    assert saved.parent.span_id == spans.named("turn").context.span_id
    attempt = spans.named("attempt").context.span_id
    written = [span for span in spans.all() if span.name == "write sqlite"]
    assert attempt in {span.parent.span_id for span in written if span.parent}
    assert {span.kind for span in written} == {SpanKind.CLIENT}
    check_conventions(spans.all())


async def test_the_end_of_the_audit_log_is_a_span_of_its_own(trace: Callable[..., Spans]) -> None:
    spans = trace()
    auditing = Auditing(log := MemoryAuditLog())
    await auditing.refused("203.0.113.7", "unauthenticated", has_credentials=True)
    (span,) = spans.all()
    head = await log.head()
    assert (span.name, span.parent, dict(span.attributes or {})) == (
        "audit head",
        None,
        {"chatkit.audit.head": str(head)},
    )


async def test_feedback_is_a_score_in_the_trace_of_its_turn_whoever_takes_it(
    trace: Callable[..., Spans], tmp_path: Path
) -> None:
    spans = trace()
    first, second = (ScriptedServer(store=SQLiteStore(tmp_path / "chat.db")) for _ in range(2))
    answers, threads = list[Any](), list[str]()
    for _ in range(2):
        events = await first.ask("threads.create", input=user_input())
        threads.append(events[0]["thread"]["id"])
        answers.append([event["item"] for event in events if event["type"] == "thread.item.done"][-1])
    again = await first.ask("threads.add_user_message", thread_id=threads[0], input=user_input("More"))
    answers.append([event["item"] for event in again if event["type"] == "thread.item.done"][-1])
    turns = [span for span in spans.all() if span.name == "turn"]
    await first.close()
    for answer, kind in zip(answers, ("positive", "negative", "negative"), strict=True):
        await second.ask("items.feedback", thread_id=answer["thread_id"], item_ids=[answer["id"]], kind=kind)
    await second.close()
    given = [span for span in spans.all() if span.name == "feedback"]
    assert [span.parent.span_id if span.parent else 0 for span in given] == [
        turn.context.span_id for turn in turns
    ]
    assert [(span.attributes or {})["gen_ai.evaluation.score.value"] for span in given] == [1.0, 0.0, 0.0]
    assert {event.name for span in given for event in span.events} == {"gen_ai.evaluation.result"}
    check_conventions(given)


async def test_the_end_of_a_turn_of_a_dead_worker_is_in_its_trace(trace: Callable[..., Spans]) -> None:
    server, log, _ = await crashed(MemoryStore())
    (left,) = log.left_behind
    log.left_behind = [replace(left, info=replace(left.info, trace=f"00-{TRACE}-{PARENT}-01"))]
    spans = trace()
    assert await server.recover() == 1
    span = spans.named("takeover")
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == PARENT
    assert (span.attributes or {})["chatkit.end"] == "interrupted"


async def test_who_comes_back_has_a_trace_of_its_own_that_is_linked(trace: Callable[..., Spans]) -> None:
    spans = trace()
    server = ScriptedServer(hello)
    result = await server.send("threads.create", metadata={"resumable": True}, input=user_input())
    assert [frame async for frame in result]
    with TestClient(create_app(server, context=lambda request: ADA)) as client:
        body = {"type": "turns.resume", "params": {"thread_id": result.thread_id}}
        assert client.post("/chatkit", json=body).status_code == 200
    request, turn = spans.named("POST /chatkit"), spans.named("turn")
    assert request.context.trace_id != turn.context.trace_id
    assert [link.context.span_id for link in request.links] == [turn.context.span_id]


def test_records_of_the_log_have_the_trace(trace: Callable[..., Spans]) -> None:
    spans = trace()
    written, handler = StringIO(), logging.StreamHandler()
    handler.setStream(written)
    handler.setFormatter(JSONFormatter())
    logger = logging.getLogger("chatkit.test")

    async def script(thread: Any, message: Any, context: Any) -> Any:
        logger.warning("inside")
        yield done("Hello!")

    logger.addHandler(handler)
    try:
        ask(ScriptedServer(script))
    finally:
        logger.removeHandler(handler)
    (record,) = [json.loads(line) for line in written.getvalue().splitlines()]
    assert record["trace"] == f"{spans.named('turn').context.trace_id:032x}"
    assert record["turn"]
