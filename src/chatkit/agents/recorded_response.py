"""The response of a model, recorded and streamed again."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

__all__ = ["dump_response", "load_response", "response_events"]

_KEPT: Final = frozenset({"id", "created_at", "model", "status", "output", "usage"})
"""The rest repeats what was asked."""
_REST: Final[dict[str, Any]] = {
    "object": "response",
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}


def dump_response(response: Response, output: list[Any]) -> dict[str, Any]:
    """Returns a response as JSON.

    Args:
        response: The response.
        output: Its output items as they were streamed; some models do not repeat them.
    """
    found = response if response.output else response.model_copy(update={"output": output})
    # What is not set stays so: the model is given its output again, as it was.
    return found.model_dump(mode="json", include=set(_KEPT), exclude_unset=True, warnings=False)


def load_response(value: Any) -> Response:
    """Returns a response that was recorded.

    Raises:
        ValueError: This version of the SDK does not know it.
    """
    return Response.model_validate({**_REST, **value})


def response_events(response: Response) -> Iterator[ResponseStreamEvent]:
    """Yields the events of a response as if it were streamed, each text in one piece."""
    for number, event in enumerate(_events(response)):
        yield _adapter().validate_python({**event, "sequence_number": number})


def _events(response: Response) -> Iterator[dict[str, Any]]:
    began = response.model_copy(update={"output": [], "status": "in_progress"})
    yield {"type": "response.created", "response": began}
    for index, output in enumerate(response.output):
        item = output.model_dump(mode="json", exclude_none=True, warnings=False)
        place = {"item_id": item.get("id") or "", "output_index": index}
        at = {"output_index": index}
        if item["type"] == "message":
            yield {"type": "response.output_item.added", "item": {**item, "content": []}, **at}
            for number, part in enumerate(item["content"]):
                yield from _part(part, {**place, "content_index": number})
        else:
            yield {"type": "response.output_item.added", "item": item, **at}
            for number, part in enumerate(item.get("summary") or () if item["type"] == "reasoning" else ()):
                told = {**place, "summary_index": number, "text": part["text"]}
                yield {"type": "response.reasoning_summary_text.done", **told}
        yield {"type": "response.output_item.done", "item": output, **at}
    yield {"type": "response.completed", "response": response}


def _part(part: dict[str, Any], place: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if part["type"] == "output_text":
        empty: dict[str, Any] = {**part, "text": "", "annotations": []}
        yield {"type": "response.content_part.added", "part": empty, **place}
        told: dict[str, Any] = {**place, "logprobs": []}
        yield {"type": "response.output_text.delta", "delta": part["text"], **told}
        yield {"type": "response.output_text.done", "text": part["text"], **told}
    yield {"type": "response.content_part.done", "part": part, **place}


@cache
def _adapter() -> TypeAdapter[ResponseStreamEvent]:
    return TypeAdapter(ResponseStreamEvent)
