"""The recorded scenarios of the server and of the Agents SDK, and what of the protocol occurs in each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from agents import InputGuardrailTripwireTriggered, OutputGuardrailTripwireTriggered
from pydantic import BaseModel, TypeAdapter, ValidationError

from chatkit.types import (
    Attachment,
    ChatKitReq,
    Page,
    SyncCustomActionResponse,
    Thread,
    ThreadItem,
    ThreadMetadata,
    ThreadStreamEvent,
    TranscriptionResult,
)
from tests.agents.recorded import scenarios as of_agents
from tests.server.recorded import plain_store
from tests.server.recorded import scenarios as of_server
from tests.server.recorded.play import Setting

__all__ = ["TOPICS", "Case", "cases"]

TESTS = Path(__file__).resolve().parents[1]
MOMENT = "2026-01-02T12:00:00Z"

_REQUEST: Any = TypeAdapter(ChatKitReq)
_EVENT: Any = TypeAdapter(ThreadStreamEvent)
_ITEM: Any = TypeAdapter(ThreadItem)
_ATTACHMENT: Any = TypeAdapter(Attachment)
_ANSWERS: dict[str, Any] = {
    "attachments.create": _ATTACHMENT,
    "input.transcribe": TypeAdapter(TranscriptionResult),
    "items.list": TypeAdapter(Page[ThreadItem]),
    "threads.get_by_id": TypeAdapter(Thread),
    "threads.list": TypeAdapter(Page[Thread]),
    "threads.sync_custom_action": TypeAdapter(SyncCustomActionResponse),
    "threads.update": TypeAdapter(Thread),
}


@dataclass(frozen=True)
class Case:
    """A scenario, with what 1.6.5 made of it.

    Attributes:
        name: Its name, after the part that it is of.
        given: Requests, or entries of a run of the Agents SDK.
        models: All that went over the wire, in both directions, and what was stored.
        setting: What surrounds a server's scenario; None for a run.
    """

    name: str
    given: list[Any]
    models: list[BaseModel]
    setting: Setting | None = None

    @cached_property
    def occurring(self) -> set[str]:
        """Members of unions, values of fields and optional fields that are set, as ``members`` names them."""
        return set(_names(self.models))


@cache
def cases() -> list[Case]:
    """Returns every scenario."""
    return [*_of_server(), *_of_agents()]


def _load(path: str) -> dict[str, Any]:
    return json.loads((TESTS / path).read_text(encoding="utf-8"))


def _of_server() -> Iterator[Case]:
    recorded = _load("server/recorded/answers.json")
    for name, requests in of_server.SCENARIOS.items():
        models: list[Any] = []
        for request, answer in zip(requests, recorded[name], strict=False):
            models += _valid(_REQUEST, {key: value for key, value in request.items() if key != "reader"})
            if isinstance(answer, list):
                models += [model for event in answer for model in _valid(_EVENT, event)]
            elif "raised" not in answer:
                models += _valid(_ANSWERS.get(request.get("type", "attachments.create")), answer)
        stored = recorded[name][-1]["stored"]
        models += [
            model for thread in stored["threads"] for model in _valid(TypeAdapter(ThreadMetadata), thread)
        ]
        models += [
            model for each in stored["items"].values() for entry in each for model in _valid(_ITEM, entry)
        ]
        models += [model for entry in stored["attachments"] for model in _valid(_ATTACHMENT, entry)]
        yield Case(f"server:{name}", requests, models, of_server.SETTINGS.get(name, Setting()))


def _of_agents() -> Iterator[Case]:
    recorded = _load("agents/recorded/events.json")
    for name, scenario in of_agents.SCENARIOS.items():
        models: list[Any] = []
        for event in recorded[name]:
            if "type" in event:
                models += _valid(_EVENT, event)
            if "stored" in event:
                models += _valid(_ITEM, event["stored"])
        before = scenario.get("before")
        yield Case(f"agents:{name}", [*([before] if before else []), *scenario["entries"]], models)


def _valid(adapter: Any, value: Any) -> list[Any]:
    """Returns the value as a model; nothing for what is wrong on purpose, or has none."""
    if adapter is None:
        return []
    try:
        return [adapter.validate_python(_with_moments(value))]
    except ValidationError:
        return []


def _with_moments(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_moments(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _with_moments(entry) for key, entry in value.items()}
    return {"<time>": MOMENT, "<seconds>": 0}.get(value, value) if isinstance(value, str) else value


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, BaseModel):
        name = type(value).__name__
        yield name
        for field in type(value).model_fields:
            inner = getattr(value, field)
            if inner is not None:
                yield f"{name}.{field}"
            if isinstance(inner, (str, bool, Enum)):
                yield f"{name}.{field}={json.dumps(inner.value if isinstance(inner, Enum) else inner)}"
            yield from _names(inner)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _names(inner)


# What is no member of a union.


def _reader(key: str) -> Callable[[Case], bool]:
    return lambda case: any(isinstance(step, dict) and key in step.get("reader", {}) for step in case.given)


def _sends(kind: str) -> Callable[[Case], bool]:
    return lambda case: any(isinstance(step, dict) and step.get("type") == kind for step in case.given)


def _store(kind: type) -> Callable[[Case], bool]:
    return lambda case: case.setting is not None and case.setting.store is kind


def _raises(kind: type) -> Callable[[Case], bool]:
    return lambda case: any(isinstance(entry, kind) for entry in case.given)


def _calls(*tools: Any) -> Callable[[Case], bool]:
    return lambda case: any(entry in tools for entry in case.given if callable(entry))


def _says(*handlers: str) -> Callable[[Case], bool]:
    def check(case: Case) -> bool:
        asked = [
            part["text"]
            for step in case.given
            if isinstance(step, dict) and "input" in step.get("params", {})
            for part in step["params"]["input"].get("content", [])
        ]
        return any(handler in asked for handler in handlers)

    return check


TOPICS: dict[str, Callable[[Case], bool]] = {
    "error: custom": _says("custom_error"),
    "error: stream": _says("stream_error", "stream_error_without_retry"),
    "error: anything else": _says("plain_error", "error_after_partial"),
    "error: input guardrail": _raises(InputGuardrailTripwireTriggered),
    "error: output guardrail": _raises(OutputGuardrailTripwireTriggered),
    "error: of the model": _raises(RuntimeError),
    "error: store": _store(plain_store.FailingStore),
    "cancelled: the reader's task": _reader("cancelled_after"),
    "cancelled: the reader leaves": _reader("leaves_after"),
    "cancelled: by the handler": _says("cancels_itself"),
    "attachments: two phases": _sends("attachments.create"),
    "attachments: direct": lambda case: any(
        "upload" in step for step in case.given if isinstance(step, dict)
    ),
    "ids: by default": _store(plain_store.DefaultIdStore),
    "ids: the store's own": _store(plain_store.OwnIdStore),
    "structured input": _sends("threads.add_structured_input"),
    "client tool: called by a handler": _says("client_tool"),
    "client tool: called by an agent": _calls(of_agents.call_client_tool, of_agents.call_other_client_tool),
    "client tool: output": _sends("threads.add_client_tool_output"),
    "widget: streamed by a handler": _says("widget_in_versions", "widget_breaks_off"),
    "widget: streamed by a tool": _calls(of_agents.stream_widget),
}
