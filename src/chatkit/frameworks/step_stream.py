"""The steps of a whole run as a stream of thread stream events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import suppress
from typing import Any

from chatkit.frameworks.step_converter import StepConverter
from chatkit.frameworks.steps import Step
from chatkit.server.lifetime import current_belongings
from chatkit.store.base import Store
from chatkit.types import Store as SimpleStore
from chatkit.types import ThreadMetadata, ThreadStreamEvent

__all__ = ["stream_steps"]


def stream_steps(
    steps: AsyncIterable[Step], *, thread: ThreadMetadata, store: Store[Any] | SimpleStore, context: Any
) -> AsyncGenerator[ThreadStreamEvent, None]:
    """Returns the events of a run, as its steps come.

    When it is left early, because the turn is stopped or for any other reason, ``steps`` is closed before the turn
    is over: an adapter that is an asynchronous generator ends its run in a ``finally`` or ``async with``. What an
    unfinished message holds is kept. An error of ``steps`` goes on to the caller.

    Args:
        steps: The run, as an adapter tells it; see :data:`chatkit.frameworks.Step`.
        thread: The thread, as ``respond()`` got it.
        store: The server's store; makes the ids of the items.
        context: The request's context.

    Raises:
        TypeError: ``steps`` yields something else than steps and events.
    """
    converter = StepConverter(thread, store, context)
    belongings = current_belongings.get()
    if belongings is None:
        return _events(steps, converter)
    key = object()
    events = _events(steps, converter, lambda: belongings.discard(key))

    async def close() -> None:
        with suppress(RuntimeError):  # Somebody else is reading it.
            await events.aclose()
        await _close(steps)

    # The handler may drop the generator half read, and nobody else would close it before the turn is over.
    belongings.add(key, close)
    return events


async def _events(
    steps: AsyncIterable[Step], converter: StepConverter, on_end: Callable[[], None] | None = None
) -> AsyncGenerator[ThreadStreamEvent, None]:
    try:
        async for step in steps:
            for event in converter.convert(step):
                yield event
        for event in converter.finish():
            yield event
    finally:
        await _close(steps)
        if on_end is not None:
            on_end()


async def _close(steps: Any) -> None:
    close = getattr(steps, "aclose", None)
    if close is not None:
        await close()
