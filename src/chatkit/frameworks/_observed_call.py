"""Tells observers of one call of a model by the client of OpenAI."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final, Self

from chatkit._observers import ObservedRun, observed_run

__all__ = ["ObservedCall"]

_MODEL: Final = "model"


class ObservedCall:
    """A call of a model, from its request to the end of its answer.

    Args:
        thread_id: The thread that it is for.
        model: The model's name.
        given: The messages, as the API spells them.
    """

    def __init__(self, thread_id: str, model: str, given: list[dict[str, Any]]) -> None:
        self._thread_id = thread_id
        self._model = model
        self._given = given
        self._stack = ExitStack()
        self._runs: tuple[ObservedRun, ...] = ()
        self._said: list[str] = []
        self._found: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._runs = self._stack.enter_context(observed_run(None, self._thread_id))
        for run in self._runs:
            run.began_model(
                _MODEL, self._model, "openai", None, lambda: [_message(entry) for entry in self._given]
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            for run in self._runs:
                run.ended_model(_MODEL, said=lambda: [_text("assistant", "".join(self._said))], **self._found)
        self._stack.__exit__(kind, error, trace)

    def answered(self, response: Any) -> None:
        """Notes what the last event of the Responses API says."""
        if not self._runs:
            return
        self._note(response)
        usage = response.usage
        if usage is not None:
            self._found["tokens"] = usage.input_tokens, usage.output_tokens
        self._said = [response.output_text]

    def chunk(self, chunk: Any) -> None:
        """Notes what a chunk of Chat Completions says."""
        if not self._runs:
            return
        self._note(chunk)
        for choice in chunk.choices:
            self._said.append(choice.delta.content or "")
            if choice.finish_reason:
                self._found["finish_reasons"] = [choice.finish_reason]
        usage = getattr(chunk, "usage", None)
        if usage is not None:
            self._found["tokens"] = usage.prompt_tokens, usage.completion_tokens

    def _note(self, answer: Any) -> None:
        self._found |= {"model": answer.model, "response_id": answer.id}


def _message(entry: dict[str, Any]) -> dict[str, Any]:
    content = entry["content"]
    if isinstance(content, str):
        return _text(entry["role"], content)
    return _text(entry["role"], "".join(part.get("text", "") for part in content))


def _text(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}
