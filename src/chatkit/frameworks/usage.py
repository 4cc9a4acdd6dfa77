"""What a call of a model is given at most, and what the answers of frameworks say that it has used."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from chatkit.server.turns.usage import ModelCall, TurnUsage, model_call, turn_usage
from chatkit.usage import Usage

__all__ = [
    "OUTPUT_BOUNDS",
    "input_bound",
    "kept_call",
    "kept_usage",
    "output_bound",
    "served_usage",
    "streamed_usage",
    "usage_of",
]

_OVERHEAD_TOKENS: Final = 256
"""For what models are told without being asked, such as today's date, and for the marks around messages."""
_NO_TEXT: Final = frozenset(
    {
        "audio",
        "computer_screenshot",
        "document",
        "file",
        "image",
        "image_generation_call",
        "image_url",
        "input_audio",
        "input_file",
        "input_image",
        "item_reference",
        "media",
        "video",
    }
)
"""Kinds of content whose tokens have nothing to do with their bytes."""
OUTPUT_BOUNDS: Final = (
    "max_output_tokens",
    "max_completion_tokens",
    "max_tokens",
    "max_tokens_to_sample",
    "num_predict",
)
"""What APIs and frameworks call the most tokens that a model may make."""


def input_bound(*given: Any) -> int | None:
    """Returns the most tokens that an input is; None where its bytes do not tell, for it is not only text.

    A token stands for a byte at least, so that the bytes of the input as JSON are never fewer than its tokens.

    Args:
        given: What the model is given: messages, instructions, schemas of tools.
    """
    if any(map(_has_more_than_text, given)):
        return None
    return _OVERHEAD_TOKENS + sum(
        len(json.dumps(part, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass"))
        for part in given
    )


def output_bound(options: Mapping[str, Any]) -> int | None:
    """Returns the most tokens that a model may make, by whichever name an API has for it; None if that is not set."""
    found = (options.get(name) for name in OUTPUT_BOUNDS)
    most = next((value for value in found if isinstance(value, int) and value > 0), None)
    answers = options.get("n")
    return most * answers if most is not None and isinstance(answers, int) else most


def usage_of(
    model: str, found: Any, *, cached: str = "cached_tokens", reasoning: str = "reasoning_tokens"
) -> Usage | None:
    """Returns usage that an answer tells, as an object or mapping; None where it tells none.

    Args:
        model: The model, by the name that it was called by.
        found: The answer's usage.
        cached: The name of what came from a cache, among the details of the input.
        reasoning: The name of what was reasoning, among the details of the output.
    """
    if found is None:
        return None

    def number(of: Any, *names: str) -> int:
        for name in names:
            value = _get(of, name)
            if isinstance(value, int) and value > 0:
                return value
        return 0

    given, made = (
        number(found, "input_tokens", "prompt_tokens"),
        number(found, "output_tokens", "completion_tokens"),
    )
    if not given + made:
        return None
    details = [
        _get(found, "input_tokens_details", "prompt_tokens_details", "input_token_details"),
        _get(found, "output_tokens_details", "completion_tokens_details", "output_token_details"),
    ]
    return Usage(
        model,
        input_tokens=given,
        cached_tokens=number(details[0], cached),
        output_tokens=made,
        reasoning_tokens=number(details[1], reasoning),
    )


def kept_usage() -> TurnUsage | None:
    """Returns the usage of the running turn, where it matters to anybody."""
    turn = turn_usage()
    return turn if turn is not None and turn.kept else None


def served_usage() -> TurnUsage | None:
    """Returns the same for the server of an agent, which sees to each call of its models."""
    turn = kept_usage()
    if turn is not None:
        turn.served = True
    return turn


def streamed_usage() -> TurnUsage | None:
    """Returns the same for helpers that read what a run streams; None where a server sees to it."""
    turn = kept_usage()
    return None if turn is None or turn.served else turn


@asynccontextmanager
async def kept_call(
    model: str, given: list[Any] | None, output_tokens: int | None, *, step: str | None = None
) -> AsyncGenerator[ModelCall | None]:
    """Is entered around a call of a model; what it yields, if that matters to anybody, gets its usage.

    Args:
        model: The model.
        given: What it is given; None where it is given more.
        output_tokens: The most tokens that it may make.
        step: The step of the turn that it is, by default its number.
    """
    turn = kept_usage()
    if turn is None:
        yield None
        return
    bound = None if given is None or not turn.bounded else input_bound(*given)
    async with model_call(model, input_tokens=bound, output_tokens=output_tokens, step=step) as call:
        yield call


def _has_more_than_text(value: Any) -> bool:
    if isinstance(value, Mapping):
        found = cast("Mapping[str, Any]", value)
        return found.get("type") in _NO_TEXT or any(map(_has_more_than_text, found.values()))
    return isinstance(value, (list, tuple)) and any(map(_has_more_than_text, cast("list[Any]", value)))


def _get(of: Any, *names: str) -> Any:
    for name in names:
        value = (
            cast("Mapping[str, Any]", of).get(name) if isinstance(of, Mapping) else getattr(of, name, None)
        )
        if value is not None:
            return value
    return None
