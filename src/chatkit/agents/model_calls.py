"""The function calls of a run, and those among them that the page carries out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from chatkit.agents.context import AgentContext, PageCall
from chatkit.agents.model_ids import ModelIds
from chatkit.server.tool_calls import AnsweredCall, answered_calls_item
from chatkit.types import ClientToolCallItem, SDKHiddenContextItem

__all__ = ["ModelCalls"]


@dataclass(slots=True)
class _Call:
    """A function call of the model."""

    item_id: str
    call_id: str
    name: Any
    arguments: Any
    response: int
    output: Any = None
    has_output: bool = False


class ModelCalls:
    """The function calls of one run, in order."""

    KINDS: ClassVar = frozenset({"tool_call_item", "tool_call_output_item"})
    """Types of the run's items that ``note()`` takes."""

    def __init__(self, context: AgentContext[Any], ids: ModelIds) -> None:
        self._context = context
        self._ids = ids
        self._calls: list[_Call] = []
        self._responses = 0

    def __iter__(self) -> Iterator[str]:
        """Yields the ids of the calls' items."""
        return (call.item_id for call in self._calls)

    def begin_response(self) -> None:
        """Notes that the calls that follow are of another response."""
        self._responses += 1

    def note(self, item: Any) -> None:
        """Notes an item of the run: a call, or a call's output."""
        get = _getter(getattr(item, "raw_item", None))
        if get("type") == "function_call":
            call_id = get("call_id")
            if not call_id or any(call.call_id == call_id for call in self._calls):
                call_id = self._context.generate_id("tool_call")
            self._calls.append(
                _Call(self._ids.of_call(get("id")), call_id, get("name"), get("arguments"), self._responses)
            )
        elif item.type == "tool_call_output_item":
            for call in self._calls:
                if call.call_id == get("call_id") and not call.has_output:
                    call.output, call.has_output = get("output"), True
                    return

    def page_items(self, asked: list[PageCall]) -> list[ClientToolCallItem]:
        """Returns the items of the calls that the page is to carry out, in the order of the model's calls."""
        left = [*self._calls]
        found: list[tuple[int, ClientToolCallItem]] = []
        unknown: list[PageCall] = []
        # First calls whose tool is known, then the others from the last one back.
        known = [one for one in asked if one.tool is not None]
        for page_call in [*known, *[one for one in reversed(asked) if one.tool is None]]:
            match = _match(left, page_call)
            if match is None:
                unknown.insert(0, page_call)
            else:
                left.remove(match)
                found.append((self._calls.index(match), self._item(page_call, match)))
        # The names do not match: a tool may ask the page for something of another name. These are the latest calls.
        latest = left[-len(unknown) :] if unknown else []
        for number, page_call in enumerate(unknown):
            match = latest[number] if number < len(latest) else None
            place = len(self._calls) + number if match is None else self._calls.index(match)
            found.append((place, self._item(page_call, match)))
        return [item for _, item in sorted(found, key=lambda entry: entry[0])]

    def answered_item(self, items: list[ClientToolCallItem]) -> SDKHiddenContextItem | None:
        """Returns a hidden item with what the server's own tools answered in the same response, for the model."""
        page = {item.call_id for item in items}
        if not any(call.call_id in page and call.response == self._responses for call in self._calls):
            return None
        answered = [
            AnsweredCall(
                call_id=call.call_id,
                name=call.name,
                arguments=call.arguments or "{}",
                output=call.output if isinstance(call.output, str) else json.dumps(call.output, default=str),
            )
            for call in self._calls
            if call.has_output and call.response == self._responses and call.call_id not in page
        ]
        if not answered:
            return None
        context = self._context
        return answered_calls_item(context.generate_id("sdk_hidden_context"), context.thread.id, answered)

    def _item(self, page_call: PageCall, call: _Call | None) -> ClientToolCallItem:
        context = self._context
        return ClientToolCallItem(
            id=context.generate_id("tool_call") if call is None else call.item_id,
            thread_id=context.thread.id,
            status="pending",
            call_id=context.generate_id("tool_call") if call is None else call.call_id,
            name=page_call.call.name,
            arguments=page_call.call.arguments,
        )


def _match(calls: list[_Call], asked: PageCall) -> _Call | None:
    if asked.tool is not None:
        call_id, name = asked.tool
        of_tool = [call for call in calls if call.name == name]
        return next((call for call in of_tool if call.call_id == call_id), next(iter(of_tool), None))
    of_name = [call for call in reversed(calls) if call.name == asked.call.name]
    exact = (call for call in of_name if _arguments(call) == asked.call.arguments)
    return next(exact, next(iter(of_name), None))


def _arguments(call: _Call) -> Any:
    try:
        return json.loads(call.arguments)
    except (TypeError, ValueError):
        return None


def _getter(raw: Any) -> Callable[[str], Any]:
    if isinstance(raw, dict):
        return cast("dict[str, Any]", raw).get
    return lambda name: getattr(raw, name, None)
