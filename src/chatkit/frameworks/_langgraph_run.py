"""A run of LangGraph as steps."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

from langchain_core.messages import AIMessage, ToolCall, ToolMessage

from chatkit.frameworks._langgraph_client_tools import client_call
from chatkit.frameworks._langgraph_usage import added, usage_in
from chatkit.frameworks.steps import (
    CitationStep,
    Step,
    TextEndStep,
    TextStep,
    ThoughtEndStep,
    ThoughtStep,
    ToolEndStep,
    ToolStep,
)
from chatkit.frameworks.titles import pause_text, tool_title
from chatkit.frameworks.usage import streamed_usage
from chatkit.ids import new_id
from chatkit.server.tool_calls import AnsweredCall, answered_calls_item
from chatkit.types import (
    Annotation,
    ClientToolCallItem,
    GeneratedImage,
    GeneratedImageItem,
    NoticeEvent,
    ThreadItemDoneEvent,
    URLSource,
)
from chatkit.usage import Usage

__all__ = ["STREAM_MODES", "RunConverter", "custom_steps", "is_answer", "run_steps"]

STREAM_MODES: Final = ("messages", "updates", "custom")
"""What ``astream()`` of a graph has to stream for ``run_steps``, together with ``subgraphs=True``."""

_TOOLS: Final = "tools"
"""The node in which agents of LangChain run their tools."""

IsAnswer: TypeAlias = Callable[[Sequence[str], Mapping[str, Any]], bool]


def is_answer(namespace: Sequence[str], metadata: Mapping[str, Any]) -> bool:
    """Returns whether what a model says is shown: not where a tool has asked it.

    Args:
        namespace: The subgraphs that the model was asked in, each as ``node:id``.
        metadata: LangGraph's about the message, such as ``langgraph_node``.
    """
    return metadata.get("langgraph_node") != _TOOLS and not any(
        part.partition(":")[0] == _TOOLS for part in namespace
    )


def custom_steps(event: Any) -> list[Step]:
    """Returns what an event that a node wrote with LangGraph's stream writer is shown as.

    Steps of ``chatkit.frameworks`` and thread stream events go out as they are, a text is a step of the workflow that
    is done, and nothing is shown of other things.
    """
    if isinstance(event, str):
        call_id = new_id("custom")
        return [ToolStep(call_id, event), ToolEndStep(call_id)]
    kinds = (TextStep, TextEndStep, CitationStep, ThoughtStep, ThoughtEndStep, ToolStep, ToolEndStep)
    is_event = type(event).__module__.startswith("chatkit.types") and hasattr(event, "type")
    return [cast("Step", event)] if is_event or isinstance(event, kinds) else []


class RunConverter:
    """Turns what a run streams into steps.

    Args:
        tool_title: Returns what the user is shown of a tool of that name; None to show nothing.
        is_answer: As :func:`is_answer`.
        custom_steps: As :func:`custom_steps`.
        pause_text: Returns what the user is told where a run stops to ask something; gets what it asks.
    """

    def __init__(
        self,
        tool_title: Callable[[str], str | None] = tool_title,
        is_answer: IsAnswer = is_answer,
        custom_steps: Callable[[Any], Sequence[Step]] = custom_steps,
        pause_text: Callable[[list[str]], str] = pause_text,
    ) -> None:
        self._tool_title = tool_title
        self._is_answer = is_answer
        self._custom_steps = custom_steps
        self._pause_text = pause_text
        self._message: str | None = None
        self._asked: set[str] = set()
        self._page_calls: dict[str, ToolCall] = {}
        self._model_calls: list[list[ToolCall]] = []
        self._answers: dict[str, ToolMessage] = {}

    def convert(self, namespace: Sequence[str], mode: str, payload: Any) -> Iterator[Step]:
        """Yields the steps of one part of a stream of several modes and of subgraphs.

        Args:
            namespace: The subgraphs that it comes from, each as ``node:id``.
            mode: One of ``STREAM_MODES``.
            payload: What a graph streams in that mode.
        """
        if mode == "messages":
            message, metadata = payload
            if isinstance(message, ToolMessage):
                yield ToolEndStep(message.tool_call_id, failed=message.status == "error")
            elif isinstance(message, AIMessage) and self._is_answer(namespace, metadata):
                yield from self.say(message)
        elif mode == "custom":
            yield from self._custom_steps(payload)
        elif mode == "updates" and "__interrupt__" in payload:
            if not namespace:
                yield from self._pause(payload["__interrupt__"])
        elif mode == "updates":
            self._note_calls(payload)

    def finish(self) -> Iterator[Step]:
        """Yields the calls that the page is to carry out, when a run has ended, or stopped to ask it."""
        for call_id in self._page_calls:
            yield ToolEndStep(call_id)
        if answered := self._answered_beside():
            yield ThreadItemDoneEvent(item=answered_calls_item(new_id("shc"), "", answered))
        # In the model's order.
        order = [call["id"] for calls in self._model_calls for call in calls]
        for call in sorted(self._page_calls.values(), key=lambda call: _place(order, call["id"])):
            asked = ClientToolCallItem(
                id=new_id("ctc"), call_id=str(call["id"]), name=call["name"], arguments=call["args"]
            )
            yield ThreadItemDoneEvent(item=asked)

    def _pause(self, interrupts: Sequence[Any]) -> Iterator[Step]:
        others: list[str | None] = []
        for interrupt in interrupts:
            call = client_call(interrupt.value)
            if call is None:
                others.append(_question(interrupt.value))
            else:
                self._page_calls[str(call["id"])] = call
        if others:
            yield NoticeEvent(level="warning", message=self._pause_text([text for text in others if text]))

    def _note_calls(self, updates: Mapping[str, Any]) -> None:
        """Notes what models have called, and what tools have answered."""
        for update in updates.values():
            for values in cast("Mapping[str, Any]", update).values() if isinstance(update, Mapping) else ():
                for message in cast("list[Any]", values) if isinstance(values, list) else ():
                    if isinstance(message, AIMessage) and message.tool_calls:
                        self._model_calls.append(message.tool_calls)
                    elif isinstance(message, ToolMessage):
                        self._answers[message.tool_call_id] = message

    def _answered_beside(self) -> list[AnsweredCall]:
        """Returns the calls beside those of the page that tools have answered, for a graph that remembers nothing."""
        beside = [
            calls for calls in self._model_calls if any(call["id"] in self._page_calls for call in calls)
        ]
        return [
            AnsweredCall(
                call_id=call_id,
                name=call["name"],
                arguments=json.dumps(call["args"]),
                output=str(self._answers[call_id].text),
            )
            for calls in beside
            for call in calls
            if (call_id := str(call["id"])) in self._answers
        ]

    def say(self, message: AIMessage) -> Iterator[Step]:
        """Yields the steps of a message of the model's, or of a piece of one."""
        for block in cast("list[Any]", message.content_blocks):
            match block:
                case {"type": "text", "text": text}:
                    if message.id != self._message and text:
                        if self._message is not None:
                            yield TextEndStep()
                        self._message = message.id
                    yield TextStep(text)
                    yield from _citations(block)
                case {"type": "reasoning", "reasoning": text}:
                    yield ThoughtStep(text)
                case {"type": "image"}:
                    url = block.get("url") or f"data:{block.get('mime_type')};base64,{block.get('base64')}"
                    image = GeneratedImage(id=block.get("id") or new_id("img"), url=url)
                    yield ThreadItemDoneEvent(item=GeneratedImageItem(id=new_id("msg"), image=image))
                case {
                    "type": "tool_call" | "tool_call_chunk" | "server_tool_call",
                    "id": str(id),
                    "name": str(name),
                }:
                    title = self._tool_title(name)
                    if title is not None and id not in self._asked:
                        self._asked.add(id)
                        yield ToolStep(id, title)
                case {"type": "server_tool_result", "tool_call_id": str(id)}:
                    yield ToolEndStep(id, failed=block.get("status") == "error")
                case _:
                    pass


async def run_steps(stream: AsyncIterable[Any], converter: RunConverter) -> AsyncGenerator[Step, None]:
    """Yields a run as steps.

    Args:
        stream: What ``graph.astream(..., stream_mode=[*STREAM_MODES], subgraphs=True)`` returned, or what
            ``astream()`` of another runnable did, which yields messages or texts.
        converter: Decides what is shown.
    """
    told = _Told()
    try:
        async for part in stream:
            told.note(part)
            if isinstance(part, tuple):
                for step in converter.convert(*cast("tuple[Any, Any, Any]", part)):
                    yield step
            elif isinstance(part, str):
                yield TextStep(part)
            elif isinstance(part, AIMessage):
                for step in converter.say(part):
                    yield step
        for step in converter.finish():
            yield step
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
        await told.record()


class _Told:
    """What the messages of a run tell that their models have used, where its server does not see to that."""

    def __init__(self) -> None:
        self._turn = streamed_usage()
        self._usages: dict[str, list[Usage]] = {}

    def note(self, part: Any) -> None:
        if self._turn is None:
            return
        message: Any = part
        if isinstance(part, tuple):
            _, mode, payload = cast("tuple[Any, Any, Any]", part)
            message = payload[0] if mode == "messages" else None
        if isinstance(message, AIMessage):
            model = str(cast("dict[str, Any]", message.response_metadata).get("model_name") or "unknown")
            usage = usage_in(model, message)
            if usage is not None:
                self._usages.setdefault(message.id or "", []).append(usage)

    async def record(self) -> None:
        for pieces in self._usages.values():
            if self._turn is not None:
                await self._turn.record(added(pieces))


def _place(order: list[str | None], call_id: str | None) -> int:
    return order.index(call_id) if call_id in order else len(order)


def _citations(block: Mapping[str, Any]) -> Iterator[Step]:
    for citation in block.get("annotations") or ():
        url = citation.get("url")
        if citation.get("type") == "citation" and url:
            source = URLSource(title=citation.get("title") or url, url=url)
            yield CitationStep(Annotation(source=source, index=None))


def _question(value: Any) -> str | None:
    """Returns what an interrupt asks, if it says so in words."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        asked = cast("Mapping[str, Any]", value)
        requests = asked.get("action_requests")
        if isinstance(requests, list):
            return ", ".join(str(request.get("name")) for request in cast("list[Any]", requests))
        text = asked.get("question") or asked.get("message")
        return text if isinstance(text, str) else None
    return None
