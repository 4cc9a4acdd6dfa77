"""Traces for OpenTelemetry: one from the HTTP request through turn, attempts, models, tools, store and log.

Needs the extra ``otel``, which is OpenTelemetry's API alone: where spans go is up to the SDK that the application sets
up. Nothing is traced before :func:`collect_traces` is called; ``chatkit serve --traces on`` does so. Attributes and
names of spans of models, tools and agents follow the semantic conventions for generative AI.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from chatkit._observers import (
    ModelTracing,
    ObservedRequest,
    ObservedRun,
    ObservedTurn,
    Observer,
    add_observer,
    observers,
)
from chatkit.errors import MissingExtraError
from chatkit.version import __version__

try:
    from opentelemetry import context as contexts
    from opentelemetry import propagate, trace
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer, TracerProvider
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as error:
    raise MissingExtraError("Traces need opentelemetry-api: pip install 'chatkit-server[otel]'.") from error

__all__ = ["collect_traces"]

_W3C: Final = TraceContextTextMapPropagator()
_PARENT: Final = "traceparent"
_THREAD: Final = "gen_ai.conversation.id"
_REPLAYED: Final = "chatkit.replayed"
"""Of a model or a tool that an earlier attempt at the turn has called."""
_ERROR: Final = "error.type"
_PROBES: Final = ("/health", "/readyz")


def collect_traces(
    *, content: bool = False, storage: bool = False, tracer_provider: TracerProvider | None = None
) -> None:
    """Begins to trace what this process does; has no effect where that was done before.

    Args:
        content: Whether what users, models and tools say is recorded, too. It is never by default.
        storage: Whether transactions of the database, and saves of the stream log, are spans as well; they are many.
        tracer_provider: Where spans go; by default OpenTelemetry's global one, which may be set later.
    """
    if not any(isinstance(observer, _Traces) for observer in observers()):
        add_observer(_Traces(content, storage, tracer_provider))


def has_sdk() -> bool:
    """Returns whether an SDK is set up that does something with spans."""
    return not isinstance(trace.get_tracer_provider(), (trace.ProxyTracerProvider, trace.NoOpTracerProvider))


class _Traces(Observer):
    """Makes spans. They are listed in ``docs/metrics.md``."""

    def __init__(self, content: bool, storage: bool, provider: TracerProvider | None) -> None:
        self._content = content
        self._storage = storage
        self._provider = provider
        self._tracer = trace.get_tracer("chatkit", __version__, provider)
        self._turns: dict[str, Span] = {}
        self._attempts: dict[str, Span] = {}

    # Requests.

    @contextmanager
    def request(self, request: ObservedRequest) -> Generator[None]:
        """Is a span of kind server, unless an instrumentation of the application's has made one, or it is a probe."""
        if request.scope["path"].endswith(_PROBES):
            yield
            return
        if trace.get_current_span().get_span_context().is_valid:
            request.trace_id = _trace_id(trace.get_current_span())
            yield
            return
        scope = request.scope
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        attributes = {"http.request.method": scope["method"], "url.scheme": scope.get("scheme", "http")}
        with _current(
            self._tracer, scope["method"], propagate.extract(headers), SpanKind.SERVER, attributes
        ) as span:
            request.trace_id = _trace_id(span)
            try:
                yield
            finally:
                route = getattr(scope.get("route"), "path", None)
                if route is not None:
                    span.update_name(f"{scope['method']} {route}")
                    span.set_attribute("http.route", route)
                    if "{" not in route:
                        # Paths of files are signed: who knows them may read them.
                        span.set_attribute("url.path", scope["path"])
                if request.status is not None:
                    span.set_attribute("http.response.status_code", request.status)
                    if request.status >= 500:
                        span.set_attribute(_ERROR, str(request.status))
                        span.set_status(StatusCode.ERROR)

    # Turns.

    def opened_turn(self, turn: ObservedTurn) -> str | None:
        """Begins the span of the turn, below that of its request, and returns it for the records of the turn."""
        span = self._turns[turn.id] = self._tracer.start_span("turn", attributes=_of(turn))
        carrier = dict[str, str]()
        _W3C.inject(carrier, trace.set_span_in_context(span))
        return carrier.get(_PARENT)

    def dropped_turn(self, turn: ObservedTurn, error: BaseException) -> None:
        """Ends its span with the error."""
        span = self._turns.pop(turn.id, None)
        if span is not None:
            _end(span, error)

    def began_turn(self, turn: ObservedTurn) -> None:
        """Begins the span of an attempt, below that of the turn, in this process or another one."""
        span = self._attempts[turn.id] = self._tracer.start_span(
            "attempt", _context(turn.trace), attributes={**_of(turn), "chatkit.attempt": turn.attempt}
        )
        # The task is the turn's own, and so is this context.
        contexts.attach(trace.set_span_in_context(span))

    def sent_first_delta(self, turn: ObservedTurn, seconds: float) -> None:
        """Is an event of the attempt."""
        self._attempts[turn.id].add_event("first_delta", {"chatkit.seconds": seconds})

    def ended_turn(self, turn: ObservedTurn, end: str | None, seconds: float) -> None:
        """Ends both spans."""
        for spans in (self._attempts, self._turns):
            span = spans.pop(turn.id, None)
            if span is not None:
                span.set_attribute("chatkit.end", "left" if end is None else end)
                if end == "failed":
                    span.set_status(StatusCode.ERROR)
                span.end()

    def took_over(self, turn: ObservedTurn, end: str | None) -> None:
        """Is a span of its own below the turn's where it ended so; where it runs again, that is the next attempt."""
        if end is not None:
            attributes = {**_of(turn), "chatkit.end": end}
            self._tracer.start_span("takeover", _context(turn.trace), attributes=attributes).end()

    def resumed(self, source: str, turn: ObservedTurn | None) -> None:
        """Links the request of a reader that came back to the turn, which has a trace of its own."""
        span = trace.get_current_span()
        span.set_attribute("chatkit.resumed_from", source)
        link = None if turn is None else _link(turn.trace)
        if link is not None:
            span.add_link(link.context)

    def failed(self, code: str, place: str) -> None:
        """Is an event of the request, or of what runs in the turn."""
        trace.get_current_span().add_event("error", {_ERROR: code})

    def rated(self, trace: str | None, thread_id: str, item_ids: Sequence[str], kind: str) -> None:
        """Is a span in the trace of the turn, with the score as an evaluation of the semantic conventions."""
        link = _link_to_current()
        score = {
            "gen_ai.evaluation.name": "user_feedback",
            "gen_ai.evaluation.score.value": 1.0 if kind == "positive" else 0.0,
            "gen_ai.evaluation.score.label": kind,
        }
        span = self._tracer.start_span(
            "feedback",
            None if trace is None else _context(trace),
            attributes={_THREAD: thread_id, "chatkit.items": list(item_ids), **score},
            links=[] if trace is None or link is None else [link],
        )
        span.add_event("gen_ai.evaluation.result", score)
        span.end()

    def published_head(self, head: str) -> None:
        """Is a span of its own, which leaves the head with whoever keeps the traces."""
        self._tracer.start_span("audit head", Context(), attributes={"chatkit.audit.head": head}).end()

    # What is stored.

    def database(self, system: str, kind: str) -> AbstractContextManager[object]:
        """Is a span of kind client, for what a request or a turn asks for."""
        if not self._storage or not trace.get_current_span().is_recording():
            return super().database(system, kind)
        attributes = {"db.system.name": system, "db.operation.name": kind}
        return _current(self._tracer, f"{kind} {system}", None, SpanKind.CLIENT, attributes)

    def saving(self, log: str, turns: list[ObservedTurn]) -> AbstractContextManager[object]:
        """Is a span below the first turn's, linked to the others: one call saves what all of them have appended."""
        traced = [turn.trace for turn in turns if turn.trace is not None]
        if not self._storage or not traced:
            return super().saving(log, turns)
        links = [link for link in map(_link, traced[1:]) if link is not None]
        return _current(
            self._tracer,
            f"save {log} log",
            _context(traced[0]),
            SpanKind.CLIENT,
            {"chatkit.log": log, "chatkit.turns": len(turns)},
            links,
        )

    # Agents.

    def run(self, agent: str | None, thread_id: str) -> ObservedRun:
        """Is a span of an agent, with those of its models and tools below it."""
        return _Run(self._tracer, agent, thread_id, self._content)

    def model_tracing(self) -> ModelTracing:
        """Has frameworks that follow the semantic conventions themselves send their spans to the same place."""
        return ModelTracing(self._provider or trace.get_tracer_provider(), self._content)

    def flush(self) -> None:
        """Sends what the SDK has collected."""
        flush = getattr(self._provider or trace.get_tracer_provider(), "force_flush", None)
        if flush is not None:
            flush(2_000)


class _Run(ObservedRun):
    """The spans of one run of an agent."""

    def __init__(self, tracer: Tracer, agent: str | None, thread_id: str, content: bool) -> None:
        self._tracer = tracer
        self._content = content
        self._thread = {_THREAD: thread_id}
        attributes = {"gen_ai.operation.name": "invoke_agent", **self._thread}
        if agent:
            attributes["gen_ai.agent.name"] = agent
        name = f"invoke_agent {agent}" if agent else "invoke_agent"
        self._span = tracer.start_span(name, attributes=attributes)
        self._context = trace.set_span_in_context(self._span)
        self._open: dict[object, Span] = {}

    @contextmanager
    def entered(self) -> Generator[None]:
        with trace.use_span(self._span, record_exception=False, set_status_on_exception=False):
            yield

    def began_model(
        self, key: object, model: str | None, provider: str, agent: str | None, given: Callable[[], object]
    ) -> None:
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": provider,
            "gen_ai.request.stream": True,
            **self._thread,
        }
        if model:
            attributes["gen_ai.request.model"] = model
        if agent:
            attributes["gen_ai.agent.name"] = agent
        self._span.set_attribute("gen_ai.provider.name", provider)
        span = self._begin(key, f"chat {model}" if model else "chat", SpanKind.CLIENT, attributes)
        self._record(span, "gen_ai.input.messages", given)

    def ended_model(
        self,
        key: object,
        *,
        said: Callable[[], object],
        model: str | None = None,
        response_id: str | None = None,
        tokens: tuple[int, int] | None = None,
        finish_reasons: Sequence[str] = (),
    ) -> None:
        span = self._open.pop(key, None)
        if span is None:
            return
        if model:
            span.set_attribute("gen_ai.response.model", model)
        if response_id:
            span.set_attribute("gen_ai.response.id", response_id)
        if finish_reasons:
            span.set_attribute("gen_ai.response.finish_reasons", list(finish_reasons))
        if tokens is not None:
            span.set_attribute("gen_ai.usage.input_tokens", tokens[0])
            span.set_attribute("gen_ai.usage.output_tokens", tokens[1])
        self._record(span, "gen_ai.output.messages", said)
        span.end()

    def began_tool(
        self, key: object, name: str, call_id: str | None, arguments: Callable[[], object]
    ) -> None:
        attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name, **self._thread}
        if call_id:
            attributes["gen_ai.tool.call.id"] = call_id
        span = self._begin(key, f"execute_tool {name}", SpanKind.INTERNAL, attributes)
        self._record(span, "gen_ai.tool.call.arguments", arguments)

    def ended_tool(self, key: object, result: Callable[[], object]) -> None:
        span = self._open.pop(key, None)
        if span is not None:
            self._record(span, "gen_ai.tool.call.result", result)
            span.end()

    def replayed(self, key: object) -> None:
        span = self._open.get(key)
        if span is not None:
            span.set_attribute(_REPLAYED, value=True)

    def failed(self, key: object, error: BaseException) -> None:
        span = self._open.pop(key, None)
        if span is not None:
            _end(span, error)

    def ended(self, error: BaseException | None) -> None:
        # What has no end of its own was cut off, or has failed and said so by failing the run.
        for span in (*self._open.values(), self._span):
            _end(span, error)
        self._open.clear()

    def _begin(self, key: object, name: str, kind: SpanKind, attributes: Mapping[str, Any]) -> Span:
        span = self._open[key] = self._tracer.start_span(name, self._context, kind, attributes)
        return span

    def _record(self, span: Span, name: str, content: Callable[[], object]) -> None:
        if self._content and span.is_recording():
            value = content()
            span.set_attribute(name, value if isinstance(value, str) else json.dumps(value, default=str))


@contextmanager
def _current(
    tracer: Tracer,
    name: str,
    parent: Context | None,
    kind: SpanKind,
    attributes: Mapping[str, Any],
    links: Sequence[Link] = (),
) -> Generator[Span]:
    span = tracer.start_span(name, parent, kind, attributes, links)
    failure: BaseException | None = None
    try:
        with trace.use_span(span, record_exception=False, set_status_on_exception=False):
            yield span
    except BaseException as error:
        failure = error
        raise
    finally:
        _end(span, failure)


def _of(turn: ObservedTurn) -> dict[str, Any]:
    return {"chatkit.turn": turn.id, _THREAD: turn.thread_id}


def _end(span: Span, error: BaseException | None) -> None:
    # Without its text, which may hold what was said. A turn that is stopped has not failed.
    if isinstance(error, Exception):
        span.set_attribute(_ERROR, type(error).__qualname__)
        span.set_status(StatusCode.ERROR)
    span.end()


def _context(parent: str | None) -> Context | None:
    return None if parent is None else _W3C.extract({_PARENT: parent}, Context())


def _link(parent: str | None) -> Link | None:
    found = trace.get_current_span(_context(parent)).get_span_context() if parent else None
    return None if found is None or not found.is_valid else Link(found)


def _link_to_current() -> Link | None:
    found = trace.get_current_span().get_span_context()
    return Link(found) if found.is_valid else None


def _trace_id(span: Span) -> str | None:
    found = span.get_span_context()
    return trace.format_trace_id(found.trace_id) if found.is_valid else None
