"""Tells observers of the models and the tools of a run of the Agents SDK."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from agents import Agent, Model, RunConfig
from agents.models import get_default_model

from chatkit._observers import ObservedRun
from chatkit.agents.tool_steps import ToolStepHooks, call_id_of

__all__ = ["ObservedHooks"]

_MODEL: Final = "model"
"""The key of the model's call: a run asks one at a time."""


class ObservedHooks(ToolStepHooks):
    """Hooks of a run that tell observers what is asked and called, beside what :class:`ToolStepHooks` does.

    Args:
        runs: Who is told.
        config: The run's configuration.
        options: Those of :class:`ToolStepHooks`.
    """

    def __init__(self, runs: Sequence[ObservedRun], config: RunConfig, *options: Any) -> None:
        super().__init__(*options)
        self._runs = runs
        self._config = config

    async def model_asked(
        self, context: Any, agent: Agent[Any], system_prompt: str | None, input_items: list[Any]
    ) -> None:
        """Tells that a model is asked, unless what that may use is refused."""
        await super().model_asked(context, agent, system_prompt, input_items)
        self._tell_asked(agent, system_prompt, input_items)

    async def model_replayed(self, response: Any) -> None:
        """Tells that a model was asked by an earlier attempt."""
        asked = self._asked
        await super().model_replayed(response)
        if asked is not None:
            self._tell_asked(*asked[1:])
            for run in self._runs:
                run.replayed(_MODEL)

    def tool_replayed(self, context: Any, name: str) -> None:
        """Tells that a tool was called by an earlier attempt."""
        for run in self._runs:
            run.replayed(call_id_of(context, name))

    def _tell_asked(self, agent: Agent[Any], system_prompt: str | None, input_items: list[Any]) -> None:
        name, provider = _named(self._config.model or agent.model)

        def given() -> object:
            system = {"role": "system", "content": system_prompt}
            return [_message(item) for item in ([system] if system_prompt else []) + input_items]

        for run in self._runs:
            run.began_model(_MODEL, name, provider, agent.name, given)

    async def on_llm_end(self, context: Any, agent: Agent[Any], response: Any) -> None:
        """Tells what it has answered."""
        await super().on_llm_end(context, agent, response)
        usage = response.usage
        for run in self._runs:
            run.ended_model(
                _MODEL,
                said=lambda: [_message(item) for item in response.output],
                response_id=response.response_id,
                tokens=(usage.input_tokens, usage.output_tokens),
            )

    async def on_tool_start(self, context: Any, agent: Any, tool: Any) -> None:
        """Tells that a tool is called, and shows it."""
        call_id = getattr(context, "tool_call_id", None)
        for run in self._runs:
            run.began_tool(
                call_id_of(context, tool.name),
                tool.name,
                call_id,
                lambda: getattr(context, "tool_arguments", None) or "",
            )
        await super().on_tool_start(context, agent, tool)

    async def on_tool_end(self, context: Any, agent: Any, tool: Any, result: object) -> None:
        """Tells that it has returned, and shows that."""
        for run in self._runs:
            run.ended_tool(call_id_of(context, tool.name), lambda: result)
        await super().on_tool_end(context, agent, tool, result)


def _named(model: str | Model | None) -> tuple[str | None, str]:
    """Returns the name of a model, and its provider."""
    if model is None:
        return get_default_model(), "openai"
    model = getattr(model, "unwrapped", model)
    name = model if isinstance(model, str) else cast("str | None", getattr(model, "model", None))
    if not isinstance(model, str) and type(model).__module__.startswith("agents.models."):
        return name, "openai"
    # As the SDK and LiteLLM write it: litellm/anthropic/claude.
    parts = (name or "").removeprefix("litellm/").split("/")
    if len(parts) > 1:
        return name, parts[0]
    return name, "openai" if isinstance(model, str) else type(model).__name__


def _message(item: Any) -> dict[str, Any]:
    """Returns an item of the Responses API as a message of the semantic conventions."""
    entry = cast("dict[str, Any]", item if isinstance(item, dict) else item.model_dump(exclude_none=True))
    match entry.get("type"):
        case "function_call":
            part = {"type": "tool_call", "id": entry.get("call_id"), "name": entry.get("name")}
            return {"role": "assistant", "parts": [{**part, "arguments": entry.get("arguments")}]}
        case "function_call_output":
            part = {"type": "tool_call_response", "id": entry.get("call_id"), "response": entry.get("output")}
            return {"role": "tool", "parts": [part]}
        case "message" | None:
            content: Any = entry.get("content")
            parts = [content] if isinstance(content, str) else content or []
            return {"role": entry.get("role", "assistant"), "parts": [_part(part) for part in parts]}
        case _:
            return {"role": "assistant", "parts": [entry]}


def _part(part: Any) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "content": part}
    return (
        {"type": "text", "content": part["text"]} if "text" in part else {"type": part.get("type", "unknown")}
    )
