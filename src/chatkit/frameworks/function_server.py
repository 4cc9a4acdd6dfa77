"""Serves an asynchronous generator function: text in, text out."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from typing_extensions import TypeVar

from chatkit.errors import ConfigurationError
from chatkit.files.base import AttachmentStore
from chatkit.frameworks.agent_server import AgentTurn, BaseAgentServer
from chatkit.frameworks.step_converter import stream_steps
from chatkit.frameworks.steps import Step, TextStep
from chatkit.store.base import Store
from chatkit.types import FileStore, ThreadStreamEvent
from chatkit.types import Store as SimpleStore

__all__ = ["FunctionServer"]

TContext = TypeVar("TContext", default=Any)


class FunctionServer(BaseAgentServer[TContext]):
    """Answers with what an asynchronous generator function yields.

    ::

        async def agent(text):
            yield f"You said: {text}"


        server = FunctionServer(agent)

    Args:
        function: Is called with the user's text, its quotes and text files included, and, if it takes two parameters,
            with the :class:`AgentTurn`. Yields pieces of text, :data:`Step` objects, or thread stream events. It is
            closed when the user stops the answer.
        store: As for :class:`BaseAgentServer`, and so are the others.
        attachment_store: Keeps attached files.
        options: Options of :class:`BaseAgentServer`.

    Raises:
        ConfigurationError: The function is no asynchronous generator function.
    """

    def __init__(
        self,
        function: Callable[..., AsyncIterator[str | Step]],
        store: Store[TContext] | SimpleStore | None = None,
        attachment_store: AttachmentStore[TContext] | FileStore | None = None,
        **options: Any,
    ) -> None:
        if not inspect.isasyncgenfunction(function):
            raise ConfigurationError(
                f"FunctionServer serves a function such as 'async def agent(text): yield \"...\"', not {function!r}."
            )
        super().__init__(store, attachment_store, **options)
        self.function = function
        self._takes_turn = len(inspect.signature(function).parameters) > 1

    def answer(self, turn: AgentTurn[TContext]) -> AsyncGenerator[ThreadStreamEvent, None]:
        """Yields what the function yields, as an answer."""
        pieces: Any = self.function(turn.text, turn) if self._takes_turn else self.function(turn.text)
        store = self._chatkit_store()
        return stream_steps(_steps(pieces), thread=turn.thread, store=store, context=turn.context)


async def _steps(pieces: AsyncGenerator[str | Step, None]) -> AsyncGenerator[Step, None]:
    async with aclosing(pieces):
        async for piece in pieces:
            yield TextStep(piece) if isinstance(piece, str) else piece
