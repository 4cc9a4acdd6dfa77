"""The usage of a run of Pydantic AI: reserved before each call of a model, recorded after it."""

from __future__ import annotations

from typing import Any, cast

import pydantic_core
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, UserPromptPart

from chatkit.frameworks.usage import input_bound, output_bound
from chatkit.server.turns.usage import TurnUsage, model_call
from chatkit.usage import Usage

__all__ = ["UsageCapability", "most_input", "usage_in"]


class UsageCapability(AbstractCapability[Any]):
    """Sees to the usage of each call of a model.

    Args:
        turn: That of the turn.
    """

    def __init__(self, turn: TurnUsage) -> None:
        self._turn = turn

    async def wrap_model_request(self, ctx: Any, *, request_context: Any, handler: Any) -> ModelResponse:
        """Carries out a call of a model."""
        name: str = request_context.model.model_name
        most = None
        if self._turn.bounded:
            most = most_input(request_context.messages, request_context.model_request_parameters)
        settings: dict[str, Any] = {
            **(request_context.model.settings or {}),
            **(request_context.model_settings or {}),
        }
        async with model_call(name, input_tokens=most, output_tokens=output_bound(settings)) as call:
            response: ModelResponse = await handler(request_context)
            call.usage = usage_in(name, response.usage)
            return response


def usage_in(model: str, found: Any) -> Usage | None:
    """Returns the usage of a response, or of a run; None where it is not known.

    Args:
        model: The model, by the name that it was called by.
        found: What Pydantic AI says.
    """
    details = cast("dict[str, int]", getattr(found, "details", None) or {})
    if not found.input_tokens + found.output_tokens:
        return None
    return Usage(
        model,
        input_tokens=found.input_tokens,
        cached_tokens=found.cache_read_tokens,
        output_tokens=found.output_tokens,
        reasoning_tokens=getattr(found, "reasoning_tokens", None) or details.get("reasoning_tokens", 0),
    )


def most_input(messages: list[ModelMessage], parameters: Any = None) -> int | None:
    """Returns the most tokens that a model is given; None where that is not known.

    Args:
        messages: The messages.
        parameters: Those of the request, with its tools.
    """
    if getattr(parameters, "native_tools", None) or getattr(parameters, "builtin_tools", None):
        return None
    asked = [part for message in messages if isinstance(message, ModelRequest) for part in message.parts]
    if any(isinstance(part, UserPromptPart) and not _is_text(part.content) for part in asked):
        return None
    shown = [message.parts for message in messages]
    instructions = [getattr(message, "instructions", None) for message in messages]
    # The text of JSON, which is measured as JSON once more: never fewer bytes.
    return input_bound(pydantic_core.to_json([shown, instructions, parameters], fallback=str).decode())


def _is_text(content: Any) -> bool:
    return isinstance(content, str) or all(isinstance(piece, str) for piece in content)
