"""Tells observers of the models and the tools of a run of LangGraph, or of another runnable of LangChain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from chatkit._observers import ObservedRun

__all__ = ["TraceHandler"]


class TraceHandler(BaseCallbackHandler):
    """Tells observers what is asked and called.

    Args:
        runs: Who is told.
    """

    # Called where the model or the tool is, and not in a thread of its own.
    run_inline: ClassVar[bool] = True  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, runs: Sequence[ObservedRun]) -> None:
        self._runs = runs

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[Any]], *, run_id: UUID, **more: Any
    ) -> None:
        """Tells that a model is asked."""
        about: dict[str, Any] = more.get("metadata") or {}
        name, provider = about.get("ls_model_name"), str(about.get("ls_provider") or "unknown")
        for run in self._runs:
            run.began_model(
                run_id,
                name,
                provider,
                None,
                lambda: [_message(message) for batch in messages for message in batch],
            )

    def on_llm_end(self, response: Any, *, run_id: UUID, **more: Any) -> None:
        """Tells what it has answered."""
        said: Any = next((each.message for batch in response.generations for each in batch), None)
        usage: dict[str, Any] = getattr(said, "usage_metadata", None) or {}
        about: dict[str, Any] = getattr(said, "response_metadata", None) or {}
        reason = about.get("finish_reason") or about.get("stop_reason")
        for run in self._runs:
            run.ended_model(
                run_id,
                said=lambda: [] if said is None else [_message(said)],
                model=about.get("model_name") or about.get("model"),
                response_id=getattr(said, "id", None),
                tokens=(usage["input_tokens"], usage["output_tokens"]) if usage else None,
                finish_reasons=[reason] if isinstance(reason, str) else [],
            )

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        """Tells that it has failed."""
        for run in self._runs:
            run.failed(run_id, error)

    def on_tool_start(self, serialized: dict[str, Any], input_str: str, *, run_id: UUID, **more: Any) -> None:
        """Tells that a tool is called."""
        name = str((serialized or {}).get("name") or more.get("name") or "tool")
        for run in self._runs:
            run.began_tool(run_id, name, more.get("tool_call_id"), lambda: input_str)

    def on_tool_end(self, output: Any, *, run_id: UUID, **more: Any) -> None:
        """Tells that it has returned."""
        for run in self._runs:
            run.ended_tool(run_id, lambda: str(getattr(output, "content", output)))

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        """Tells that it has failed."""
        for run in self._runs:
            run.failed(run_id, error)


_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}


def _message(message: Any) -> dict[str, Any]:
    """Returns a message of LangChain as one of the semantic conventions."""
    parts: list[dict[str, Any]] = [{"type": "text", "content": message.text}] if message.text else []
    if message.type == "tool":
        parts = [{"type": "tool_call_response", "id": message.tool_call_id, "response": message.text}]
    for call in getattr(message, "tool_calls", None) or ():
        part = {"type": "tool_call", "id": call["id"], "name": call["name"], "arguments": call["args"]}
        parts.append(part)
    return {"role": _ROLES.get(message.type, message.type), "parts": parts}
