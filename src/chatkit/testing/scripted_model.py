"""A model of the Agents SDK that answers by a script, without any network."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from agents import Model, ModelResponse, Usage
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from chatkit.testing.model_script import ModelScript, ScriptedAnswer, response_events

__all__ = ["ModelRequest", "ScriptedModel"]


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What the SDK asked the model.

    Attributes:
        instructions: The agent's instructions.
        input: The conversation so far.
        settings: The model's settings.
        tools: The tools that may be called.
        previous_response_id: The response that this continues.
    """

    instructions: str | None
    input: Any
    settings: Any
    tools: list[Any]
    previous_response_id: str | None


class ScriptedModel(Model):
    """Answers by a script.

    ::

        model = ScriptedModel([ModelToolCall("weather", {"city": "Rome"}), "It is sunny."])
        agent = Agent(name="Guide", model=model, tools=[weather])

    Args:
        answers: One for each time that the model is asked.
        repeat: Whether the script begins again at its end.
        before_each_event: Called, and awaited, before each event of a streamed answer: to wait in a test, or to fail.
    """

    def __init__(
        self,
        answers: Sequence[ScriptedAnswer],
        *,
        repeat: bool = False,
        before_each_event: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._script = ModelScript(answers, repeat=repeat)
        self._before_each_event = before_each_event

    @property
    def requests(self) -> list[ModelRequest]:
        """What the model was asked, oldest first."""
        return self._script.requests

    async def get_response(
        self,
        system_instructions: str | None,
        input: Any,
        model_settings: Any,
        tools: Any,
        output_schema: Any,
        handoffs: Any,
        tracing: Any,
        **rest: Any,
    ) -> ModelResponse:
        """Returns the next answer at once."""
        request = _request(system_instructions, input, model_settings, tools, rest)
        response: Response | None = None
        for event in response_events(self._script.next(request)):
            if event["type"] == "response.completed":
                response = Response.model_validate(event["response"])
        assert response is not None
        # As much as the answer says that streams.
        usage = Usage(requests=1, input_tokens=1, output_tokens=1, total_tokens=2)
        return ModelResponse(output=response.output, usage=usage, response_id=response.id)

    async def stream_response(
        self,
        system_instructions: str | None,
        input: Any,
        model_settings: Any,
        tools: Any,
        output_schema: Any,
        handoffs: Any,
        tracing: Any,
        **rest: Any,
    ) -> AsyncGenerator[ResponseStreamEvent, None]:
        """Yields the events of the next answer."""
        request = _request(system_instructions, input, model_settings, tools, rest)
        for event in response_events(self._script.next(request)):
            if self._before_each_event is not None:
                await self._before_each_event()
            yield _events().validate_python(event)


def _request(
    instructions: str | None, input: Any, settings: Any, tools: Any, rest: dict[str, Any]
) -> ModelRequest:
    return ModelRequest(
        instructions=instructions,
        input=input if isinstance(input, str) else [*input],
        settings=settings,
        tools=[*tools],
        previous_response_id=rest.get("previous_response_id"),
    )


@cache
def _events() -> TypeAdapter[ResponseStreamEvent]:
    return TypeAdapter(ResponseStreamEvent)
