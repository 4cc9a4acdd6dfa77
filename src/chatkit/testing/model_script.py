"""What a scripted model answers, and the events of the APIs that say it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from chatkit.ids import new_id

__all__ = [
    "ModelRefusal",
    "ModelScript",
    "ModelText",
    "ModelThoughts",
    "ModelToolCall",
    "ScriptedAnswer",
]


@dataclass(frozen=True, slots=True)
class ModelText:
    """A message.

    Attributes:
        text: The whole text.
        pieces: In how many pieces it is streamed, at most one a character.
        citations: Annotations in the spelling of the Responses API.
    """

    text: str
    pieces: int = 4
    citations: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class ModelRefusal:
    """A message that says no."""

    text: str


@dataclass(frozen=True, slots=True)
class ModelThoughts:
    """Reasoning, of which the model gives summaries."""

    summaries: Sequence[str]


@dataclass(frozen=True, slots=True)
class ModelToolCall:
    """A call of a function tool, or of a handoff (``transfer_to_...``).

    Attributes:
        name: The tool.
        arguments: What it is called with.
        call_id: A fresh one by default.
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])
    call_id: str | None = None


Output: TypeAlias = str | ModelText | ModelRefusal | ModelThoughts | ModelToolCall
ScriptedAnswer: TypeAlias = Output | Sequence[Output] | BaseException | Callable[[Any], Any]
"""One response: outputs, a text alone, an error to raise, or a function of the request that returns one of these."""


class ModelScript:
    """Answers, one for each time that the model is asked.

    Args:
        answers: In the order in which they are given.
        repeat: Whether the script begins again at its end.

    Attributes:
        requests: What the model was asked, oldest first.
    """

    def __init__(self, answers: Sequence[ScriptedAnswer], *, repeat: bool = False) -> None:
        self.requests: list[Any] = []
        self._answers = [*answers]
        self._repeat = repeat

    def next(self, request: Any) -> list[Output]:
        """Takes a request and returns the outputs of the answer.

        Raises:
            AssertionError: The script has no more answers.
            BaseException: The answer is this error.
        """
        number = len(self.requests)
        self.requests.append(request)
        if self._repeat and self._answers:
            number %= len(self._answers)
        if number >= len(self._answers):
            raise AssertionError(
                f"The model was asked {number + 1} times, and its script has {len(self._answers)} answers."
            )
        answer: Any = self._answers[number]
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, str | ModelText | ModelRefusal | ModelThoughts | ModelToolCall):
            return [answer]
        return [*answer]


def pieces_of(text: str, pieces: int) -> Iterator[str]:
    """Yields a text in so many pieces, none of them empty."""
    size = max(1, -(-len(text) // max(1, pieces)))
    for start in range(0, len(text), size):
        yield text[start : start + size]


def response_events(outputs: Sequence[Output], *, model: str = "scripted") -> Iterator[dict[str, Any]]:
    """Yields the events of a streamed response, in the spelling of the Responses API."""
    response: dict[str, Any] = {
        "id": new_id("resp"),
        "object": "response",
        "created_at": 0,
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "status": "in_progress",
    }
    finished: list[dict[str, Any]] = []
    for number, event in enumerate(_inner_events(response, outputs, finished)):
        yield {**event, "sequence_number": number}


def _inner_events(
    response: dict[str, Any], outputs: Sequence[Output], finished: list[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    yield {"type": "response.created", "response": response}
    for index, output in enumerate(outputs):
        for event in _output_events(output, finished):
            yield {**event, "output_index": index}
    usage = {
        "input_tokens": 1,
        "output_tokens": 1,
        "total_tokens": 2,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    whole = {**response, "status": "completed", "output": finished, "usage": usage}
    yield {"type": "response.completed", "response": whole}


def _output_events(output: Output, finished: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    match output:
        case ModelToolCall():
            return _tool_call_events(output, finished)
        case ModelThoughts():
            return _thought_events(output, finished)
        case ModelRefusal():
            return _refusal_events(output, finished)
        case ModelText():
            return _text_events(output, finished)
        case str():
            return _text_events(ModelText(output), finished)


def _ends(item: dict[str, Any], finished: list[dict[str, Any]]) -> dict[str, Any]:
    finished.append(item)
    return {"type": "response.output_item.done", "item": item}


def _text_events(output: ModelText, finished: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    item: dict[str, Any] = {
        "type": "message",
        "id": new_id("msg"),
        "role": "assistant",
        "status": "in_progress",
        "content": [],
    }
    place = {"item_id": item["id"], "content_index": 0}
    part: dict[str, Any] = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    yield {"type": "response.output_item.added", "item": item}
    yield {"type": "response.content_part.added", **place, "part": part}
    for piece in pieces_of(output.text, output.pieces):
        yield {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
    for number, citation in enumerate(output.citations):
        yield {
            "type": "response.output_text.annotation.added",
            **place,
            "annotation_index": number,
            "annotation": citation,
        }
    yield {"type": "response.output_text.done", **place, "text": output.text, "logprobs": []}
    whole = {**part, "text": output.text, "annotations": [*output.citations]}
    yield {"type": "response.content_part.done", **place, "part": whole}
    yield _ends({**item, "status": "completed", "content": [whole]}, finished)


def _refusal_events(output: ModelRefusal, finished: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    item: dict[str, Any] = {
        "type": "message",
        "id": new_id("msg"),
        "role": "assistant",
        "status": "in_progress",
        "content": [],
    }
    place = {"item_id": item["id"], "content_index": 0}
    whole = {"type": "refusal", "refusal": output.text}
    yield {"type": "response.output_item.added", "item": item}
    yield {"type": "response.content_part.added", **place, "part": {"type": "refusal", "refusal": ""}}
    for piece in pieces_of(output.text, 3):
        yield {"type": "response.refusal.delta", **place, "delta": piece}
    yield {"type": "response.refusal.done", **place, "refusal": output.text}
    yield {"type": "response.content_part.done", **place, "part": whole}
    yield _ends({**item, "status": "completed", "content": [whole]}, finished)


def _thought_events(output: ModelThoughts, finished: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    item: dict[str, Any] = {"type": "reasoning", "id": new_id("rs"), "summary": []}
    yield {"type": "response.output_item.added", "item": item}
    for index, summary in enumerate(output.summaries):
        place = {"item_id": item["id"], "summary_index": index}
        kind = "response.reasoning_summary"
        yield {"type": f"{kind}_part.added", **place, "part": {"type": "summary_text", "text": ""}}
        for piece in pieces_of(summary, 3):
            yield {"type": f"{kind}_text.delta", **place, "delta": piece}
        yield {"type": f"{kind}_text.done", **place, "text": summary}
        yield {"type": f"{kind}_part.done", **place, "part": {"type": "summary_text", "text": summary}}
    summaries = [{"type": "summary_text", "text": summary} for summary in output.summaries]
    yield _ends({**item, "summary": summaries}, finished)


def _tool_call_events(output: ModelToolCall, finished: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    item: dict[str, Any] = {
        "type": "function_call",
        "id": new_id("fc"),
        "call_id": output.call_id or new_id("call"),
        "name": output.name,
        "arguments": "",
        "status": "in_progress",
    }
    arguments = json.dumps(output.arguments)
    kind = "response.function_call_arguments"
    yield {"type": "response.output_item.added", "item": item}
    yield {"type": f"{kind}.delta", "item_id": item["id"], "delta": arguments}
    yield {"type": f"{kind}.done", "item_id": item["id"], "arguments": arguments, "name": output.name}
    yield _ends({**item, "arguments": arguments, "status": "completed"}, finished)


def completion_chunks(outputs: Sequence[Output], *, model: str = "scripted") -> Iterator[dict[str, Any]]:
    """Yields the chunks of a streamed completion, in the spelling of Chat Completions."""
    head: dict[str, Any] = {
        "id": new_id("chatcmpl"),
        "object": "chat.completion.chunk",
        "created": 0,
        "model": model,
    }

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}

    calls = 0
    yield chunk({"role": "assistant", "content": ""})
    for output in outputs:
        match output:
            case ModelToolCall():
                function = {"name": output.name, "arguments": json.dumps(output.arguments)}
                call_id = output.call_id or new_id("call")
                call = {"index": calls, "id": call_id, "type": "function", "function": function}
                yield chunk({"tool_calls": [call]})
                calls += 1
            case ModelThoughts():
                for summary in output.summaries:
                    yield from (chunk({"reasoning_content": piece}) for piece in pieces_of(summary, 3))
            case ModelRefusal():
                yield from (chunk({"refusal": piece}) for piece in pieces_of(output.text, 3))
            case ModelText():
                yield from (chunk({"content": piece}) for piece in pieces_of(output.text, output.pieces))
            case str():
                yield from (chunk({"content": piece}) for piece in pieces_of(output, 4))
    yield chunk({}, "tool_calls" if calls else "stop")
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    yield {**head, "choices": [], "usage": usage}
