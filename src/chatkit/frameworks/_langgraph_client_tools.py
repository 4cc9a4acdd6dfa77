"""Tools of a graph that the page carries out: the run stops at an interrupt, and goes on with what the page answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, cast

import pydantic_core
from langchain_core.messages import AIMessage, AnyMessage, ToolCall, ToolMessage
from langchain_core.tools import BaseTool, InjectedToolCallId, StructuredTool, tool
from langgraph.types import (  # pyright: ignore[reportMissingTypeStubs]
    Command,
    StateSnapshot,
    interrupt,
)

from chatkit.types import ClientToolCallItem, ThreadItem

__all__ = ["answers_to_open_calls", "client_call", "client_tool", "known_calls", "output_text", "resumption"]

_NOT_DONE = "This was not done: the answer was stopped, or failed, before it was complete."


def client_tool(function: Callable[..., Any]) -> BaseTool:
    """Makes a tool that the page carries out, by its ``onClientTool``, of a function that is never called.

    The run stops where the model calls it, and goes on when the page has answered; with a checkpointer where it was,
    without one with the thread's history, in which call and output are::

        @client_tool
        def show_map(city: str) -> dict[str, bool]:
            \"\"\"Shows a city on the user's map.\"\"\"


        agent = create_agent(model, [show_map])

    Args:
        function: Its name, parameters and docstring are what the model is told of the tool.

    Raises:
        ValueError: It has no docstring.
    """

    def ask(tool_call_id: Annotated[str, InjectedToolCallId], **arguments: Any) -> str:
        args = pydantic_core.to_jsonable_python(arguments)
        call = {"id": tool_call_id, "name": described.name, "args": args}
        return output_text(interrupt({"type": "tool", "tool_call": call}))

    async def ask_here(tool_call_id: Annotated[str, InjectedToolCallId], **arguments: Any) -> str:
        # Not in a thread: several in one node are answered in the order in which they ask.
        return ask(tool_call_id, **arguments)

    described = cast("Any", tool(function))
    # LangChain looks for the parameter that it fills in.
    ask.__annotations__ = {"tool_call_id": Annotated[str, InjectedToolCallId]}
    return StructuredTool.from_function(
        ask,
        ask_here,
        name=described.name,
        description=described.description,
        args_schema=described.args_schema,
    )


def client_call(value: Any) -> ToolCall | None:
    """Returns the call that an interrupt asks the page for; None for an interrupt that asks for something else.

    Args:
        value: That of the interrupt: ``{"type": "tool", "tool_call": {"id": ..., "name": ..., "args": {...}}}`` is
            how LangChain asks a page, in JavaScript with ``toolCall``.
    """
    match value:
        case {"type": "tool", "tool_call": asked} | {"type": "tool", "toolCall": asked}:
            call: Any = asked
        case _:
            return None
    match call:
        case {"id": str(id), "name": str(name), "args": dict()}:
            return ToolCall(id=id, name=name, args=call["args"])
        case _:
            return None


def output_text(output: Any) -> str:
    """Returns what the model is told that the page answered: a text as it is, all else as JSON."""
    return output if isinstance(output, str) else pydantic_core.to_json(output, fallback=str).decode()


def resumption(state: StateSnapshot, items: list[ThreadItem]) -> Command[Any] | None:
    """Returns what an interrupted run goes on with; None if it does not wait for what the page has answered.

    Args:
        state: The graph's.
        items: The thread's newest, with the page's outputs.
    """
    outputs = _outputs(items)
    answered = {
        waiting.id: outputs[str(call["id"])]
        for waiting in state.interrupts
        if (call := client_call(waiting.value)) is not None and call["id"] in outputs
    }
    return Command(resume=answered) if answered else None


def known_calls(state: StateSnapshot) -> set[str]:
    """Returns the ids of the tool calls in the graph's messages."""
    return {
        str(call["id"])
        for message in _messages(state.values)
        if isinstance(message, AIMessage)
        for call in message.tool_calls
    }


def answers_to_open_calls(state: StateSnapshot, items: list[ThreadItem]) -> list[ToolMessage]:
    """Returns answers to the calls that a run which did not end has left without one: models insist on them.

    Args:
        state: The graph's.
        items: The thread's newest, with what the page has answered meanwhile.
    """
    messages = _messages(state.values)
    newest = next((message for message in reversed(messages) if not isinstance(message, ToolMessage)), None)
    calls = newest.tool_calls if isinstance(newest, AIMessage) else []
    # Of tools that were done before the run stopped beside them: the next run knows nothing of it.
    done = {message.tool_call_id: message for message in _results(state)}
    answered = {
        message.tool_call_id for message in messages if isinstance(message, ToolMessage)
    } - done.keys()
    outputs = _outputs(items)
    return [
        done.get(call_id) or _answer(call_id, call["name"], outputs)
        for call in calls
        if (call_id := str(call["id"])) not in answered
    ]


def _answer(call_id: str, name: str, outputs: Mapping[str, Any]) -> ToolMessage:
    if call_id in outputs:
        return ToolMessage(output_text(outputs[call_id]), tool_call_id=call_id, name=name)
    return ToolMessage(_NOT_DONE, tool_call_id=call_id, name=name, status="error")


def _outputs(items: list[ThreadItem]) -> dict[str, Any]:
    """Returns what the page has answered, by the model's id of the call."""
    return {
        item.call_id: item.output
        for item in items
        if isinstance(item, ClientToolCallItem) and item.status == "completed"
    }


def _messages(values: Any) -> list[AnyMessage]:
    messages = cast("dict[str, Any]", values).get("messages") if isinstance(values, dict) else None
    return cast("list[AnyMessage]", messages) if isinstance(messages, list) else []


def _results(state: StateSnapshot) -> Iterator[ToolMessage]:
    for task in state.tasks:
        for message in _messages(task.result):
            if isinstance(message, ToolMessage):
                yield message
