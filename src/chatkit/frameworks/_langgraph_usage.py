"""The usage of a run of LangGraph or LangChain: reserved before each call of a model, recorded after it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from threading import get_ident
from typing import Any, TypeVar, cast
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage

from chatkit.frameworks.usage import input_bound, output_bound, usage_of
from chatkit.server.turns.usage import ModelCall, TurnUsage
from chatkit.usage import Usage

__all__ = ["UsageCallbacks", "added", "usage_in"]

T = TypeVar("T")


class UsageCallbacks(BaseCallbackHandler):
    """Sees to the usage of each call of a model, from the threads that frameworks call it in.

    Args:
        turn: That of the turn.
        step: The step of the turn that its one call is; None for calls that are numbered.
    """

    raise_error = True

    def __init__(self, turn: TurnUsage, step: str | None = None) -> None:
        self._turn = turn
        self._step = step
        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()
        self._calls: dict[UUID, ModelCall] = {}

    def on_chat_model_start(
        self,
        serialized: Any,
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Reserves what the call uses at most."""
        self._begin(
            [message.model_dump() for batch in messages for message in batch], run_id, metadata, options
        )

    def on_llm_start(
        self,
        serialized: Any,
        prompts: list[str],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Reserves what the call of a model of texts uses at most."""
        self._begin(prompts, run_id, metadata, options)

    def on_llm_end(self, response: Any, *, run_id: UUID, **options: Any) -> None:
        """Records what the call has used."""
        call = self._calls.pop(run_id, None)
        if call is None:
            return
        found: list[Usage] = [
            usage
            for batch in response.generations
            for generation in batch
            if (usage := usage_in(call.model, getattr(generation, "message", None))) is not None
        ]
        if found:
            call.usage = added(found)
        self._wait(self._turn.end(call))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **options: Any) -> None:
        """Gives back what was reserved, unless the call was cut off in the middle."""
        call = self._calls.pop(run_id, None)
        if call is not None:
            self._wait(self._turn.end(call, failed=not isinstance(error, asyncio.CancelledError)))

    def _begin(self, given: Any, run_id: UUID, metadata: Any, options: dict[str, Any]) -> None:
        parameters = cast("dict[str, Any]", options.get("invocation_params") or {})
        known = cast("dict[str, Any]", metadata or {})
        model = known.get("ls_model_name") or parameters.get("model") or parameters.get("model_name")
        tools: Any = parameters.get("tools") or ()
        most = None
        if self._turn.bounded and all(isinstance(tool, dict) and "function" in tool for tool in tools):
            most = input_bound(given, list(tools), parameters.get("response_format"))
        call = self._calls[run_id] = self._wait(
            self._turn.begin(
                str(model or parameters.get("_type") or "unknown"),
                input_tokens=most,
                output_tokens=output_bound(parameters) or known.get("ls_max_tokens"),
                step=self._step,
            )
        )
        call.ends_itself = self._step is not None

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        if get_ident() != self._thread:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        # A node that is no coroutine, but is run in the loop, keeps that busy.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, work).result()


def usage_in(model: str, message: Any) -> Usage | None:
    """Returns the usage that a message tells; None where it tells none.

    Args:
        model: The model.
        message: The message, or a piece of one.
    """
    found = getattr(message, "usage_metadata", None)
    return usage_of(model, found, cached="cache_read", reasoning="reasoning")


def added(usages: list[Usage]) -> Usage:
    """Returns the usage of one call that is told in pieces."""
    return Usage(
        usages[-1].model,
        input_tokens=sum(usage.input_tokens for usage in usages),
        cached_tokens=sum(usage.cached_tokens for usage in usages),
        output_tokens=sum(usage.output_tokens for usage in usages),
        reasoning_tokens=sum(usage.reasoning_tokens for usage in usages),
    )
