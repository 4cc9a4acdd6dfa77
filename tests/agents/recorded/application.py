"""What streams of the Agents SDK become, as plain JSON; runs with whichever package provides ``chatkit``."""

# The package that it is checked with is only one of the two.
# pyright: basic, reportArgumentType=false

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

from agents import Agent, RawResponsesStreamEvent, RunContextWrapper, RunItemStreamEvent
from agents.items import ToolCallItem
from openai._models import construct_type
from openai.types.responses import ResponseOutputItem, ResponseStreamEvent

from chatkit.agents import AgentContext, ResponseStreamConverter, stream_agent_response
from chatkit.store import Store
from chatkit.types import Page, ThreadMetadata

AGENT: Agent[Any] = Agent(name="Guide")


def _missing(name: str) -> Callable[..., Any]:
    async def method(self: Any, *given: Any) -> Any:
        raise AssertionError(f"{name} is not expected here")

    return method


class CountingStore(
    type("Refusing", (Store,), {name: _missing(name) for name in Store.__abstractmethods__})  # type: ignore[misc]
):
    """Gives ids by the kind and a number, and can do nothing else."""

    def __init__(self, items: list[Any]) -> None:
        self.counts: Counter[str] = Counter()
        self.items = items
        self.stored: list[Any] = []

    async def add_thread_item(self, thread_id: str, item: Any, context: Any) -> None:
        self.stored.append(item)

    async def put_thread_item(self, thread_id: str, item: Any, context: Any) -> None:
        self.stored.append(item)

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: Any
    ) -> Any:
        newest_first = self.items[::-1]
        return Page(data=newest_first[:limit], has_more=len(newest_first) > limit)

    def generate_item_id(self, item_type: str, thread: Any, context: Any) -> str:
        self.counts[item_type] += 1
        return f"<{item_type} {self.counts[item_type]}>"


def new_context(items: list[Any]) -> AgentContext[Any]:
    return AgentContext(
        thread=ThreadMetadata(id="thr_1", created_at=datetime(2026, 1, 1)),  # noqa: DTZ001 -- as openai-chatkit has it
        store=CountingStore(items),
        request_context=None,
    )


class Played:
    """A result of the Agents SDK whose events come from a list.

    An entry is a raw event as a dictionary, an exception, an event of the SDK, or what a tool does meanwhile: a
    function of the context.
    """

    def __init__(self, entries: list[Any], context: AgentContext[Any]) -> None:
        self._entries = entries
        self._context = context
        self.context_wrapper = RunContextWrapper(context)
        self.last_response_id = "resp_1"
        self.new_items: list[Any] = []
        self.is_complete = False

    def cancel(self, mode: str = "immediate") -> None:
        self.is_complete = True

    async def stream_events(self) -> AsyncIterator[Any]:
        for entry in self._entries:
            if isinstance(entry, BaseException):
                raise entry
            if isinstance(entry, dict):
                yield RawResponsesStreamEvent(data=as_received(entry, ResponseStreamEvent))
                await asyncio.sleep(0)
            elif callable(entry):
                await _taken()
                made = entry(self._context)
                if asyncio.iscoroutine(made):
                    await made
                await _taken()
            else:
                yield entry


async def _taken() -> None:
    """Lets the reader take what was sent so far."""
    for _ in range(20):
        await asyncio.sleep(0)


def as_received(value: dict[str, Any], kind: Any) -> Any:
    """Makes a model the way the client does, which trusts the API."""
    made: Any = construct_type(value={"sequence_number": 0, **value}, type_=kind)
    if "annotation" in value:
        # Older clients give a dictionary, newer ones a class that openai-chatkit does not know.
        made.annotation = value["annotation"]
    return made


def tool_called(raw: dict[str, Any]) -> RunItemStreamEvent:
    return RunItemStreamEvent(
        name="tool_called", item=ToolCallItem(agent=AGENT, raw_item=as_received(raw, ResponseOutputItem))
    )


def plain(value: Any) -> Any:
    """Returns a model as JSON without times."""
    if value is None or isinstance(value, (str, int, bool, list)):
        return value
    return json.loads(json.dumps(_timeless(value.model_dump(mode="json", exclude_none=True))))


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: "<seconds>" if key == "duration" else _timeless(inner)
            for key, inner in value.items()
            if key != "created_at"
        }
    return [_timeless(inner) for inner in value] if isinstance(value, list) else value


async def play(
    entries: list[Any],
    *,
    converter: Callable[[], Any] | None = None,
    before: Callable[[AgentContext[Any]], Any] | None = None,
    items: list[Any] | None = None,
) -> list[Any]:
    """Returns the events that a stream becomes, then the error if there was one, then the state of the context."""
    context = new_context(items or [])
    if before is not None:
        made = before(context)
        if asyncio.iscoroutine(made):
            await made
    events: list[Any] = []
    options = {} if converter is None else {"converter": converter()}
    try:
        async with asyncio.timeout(10):
            async for event in stream_agent_response(context, Played(entries, context), **options):
                events.append(plain(event))  # noqa: PERF401 -- what came before an error counts
    except Exception as error:  # noqa: BLE001 -- recorded
        events.append({"raised": type(error).__name__})
    left = {
        name: plain(getattr(context, name))
        for name in ("previous_response_id", "client_tool_call", "workflow_item", "generated_image_item")
    }
    events.extend({"stored": plain(item)} for item in cast("Any", context.store).stored)
    events.append({"context": {name: value for name, value in left.items() if value is not None}})
    return events


__all__ = [
    "AgentContext",
    "ResponseStreamConverter",
    "SimpleNamespace",
    "new_context",
    "plain",
    "play",
    "tool_called",
]
