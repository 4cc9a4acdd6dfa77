"""Observers: what counts or traces the work of the server is called here. By default there are none."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

__all__ = [
    "ModelTracing",
    "ObservedRequest",
    "ObservedRun",
    "ObservedTurn",
    "Observer",
    "add_observer",
    "model_tracing",
    "observed_run",
    "observers",
    "remove_observer",
    "working",
]

_NOTHING: Final[AbstractContextManager[object]] = nullcontext()


class ObservedTurn(NamedTuple):
    """What observers are told of a turn.

    Attributes:
        id: Its id.
        thread_id: Its thread.
        attempt: How often it was begun, from 1.
        trace: The trace that it belongs to, as ``traceparent`` of W3C writes it; None without one.
    """

    id: str
    thread_id: str
    attempt: int = 1
    trace: str | None = None


@dataclass(slots=True)
class ObservedRequest:
    """What observers are told of an HTTP request.

    Attributes:
        scope: Its ASGI scope.
        status: Of the answer, once that has begun.
        trace_id: Of its trace; an observer that traces sets it.
    """

    scope: Mapping[str, Any]
    status: int | None = None
    trace_id: str | None = None


class ObservedRun:
    """Is told of one run of an agent: calls of models and of tools, each under a key that is its own in the run.

    What is said in the run, by whomever, is passed as a function that returns it as messages of the semantic
    conventions of OpenTelemetry for generative AI, for observers that record it.
    """

    def entered(self) -> AbstractContextManager[object]:
        """Returns what the run is begun in, for the context of what it begins."""
        return _NOTHING

    def began_model(
        self, key: object, model: str | None, provider: str, agent: str | None, given: Callable[[], object]
    ) -> None:
        """A model is asked."""

    def ended_model(
        self,
        key: object,
        *,
        said: Callable[[], object],
        model: str | None = None,
        response_id: str | None = None,
        tokens: tuple[int, int] | None = None,
        finish_reasons: Sequence[str] = (),
    ) -> None:
        """It has answered; ``tokens`` are those of its input and of its output."""

    def began_tool(
        self, key: object, name: str, call_id: str | None, arguments: Callable[[], object]
    ) -> None:
        """A tool is called."""

    def ended_tool(self, key: object, result: Callable[[], object]) -> None:
        """It has returned."""

    def replayed(self, key: object) -> None:
        """What was begun under the key is not done again: its result is that of an earlier attempt at the turn."""

    def failed(self, key: object, error: BaseException) -> None:
        """A model or a tool has failed."""

    def ended(self, error: BaseException | None) -> None:
        """The run is over, and so is what it had begun."""


class ModelTracing(NamedTuple):
    """How frameworks that trace their models and tools by themselves are to do so.

    Attributes:
        provider: OpenTelemetry's tracer provider.
        content: Whether what is said is recorded.
    """

    provider: Any
    content: bool


class Observer:
    """Is told what the server does. Every method does nothing unless it is overridden.

    They are called in the thread, task and context of the work; they do not wait, and what they raise would be an
    error of the work.
    """

    # What happened.

    def opened_turn(self, turn: ObservedTurn) -> str | None:
        """A turn is about to be accepted; returns the trace that it belongs to from now on, in every process."""

    def dropped_turn(self, turn: ObservedTurn, error: BaseException) -> None:
        """It could not begin."""

    def began_turn(self, turn: ObservedTurn) -> None:
        """A turn begins to run in this process, for the first time or again."""

    def sent_first_delta(self, turn: ObservedTurn, seconds: float) -> None:
        """A turn has its first piece of text, or another update of an item, so long after its request was read."""

    def ended_turn(self, turn: ObservedTurn, end: str | None, seconds: float) -> None:
        """A turn is over in this process.

        Args:
            turn: The turn.
            end: How it ended; None where it goes on in another process.
            seconds: For how long it ran here.
        """

    def took_over(self, turn: ObservedTurn, end: str | None) -> None:
        """A turn of a worker that died was taken over: it ends so, or None where it is run again."""

    def resumed(self, source: str, turn: ObservedTurn | None) -> None:
        """A reader came back to a turn: its events are in ``"memory"``, in the ``"log"``, or ``"none"`` are left."""

    def rated(self, trace: str | None, thread_id: str, item_ids: Sequence[str], kind: str) -> None:
        """A user gave feedback, ``"positive"`` or ``"negative"``, on items of a turn that belongs to a trace."""

    def failed(self, code: str, place: str) -> None:
        """An error was told to a client, in the ``"answer"`` to its request or as an event of a ``"stream"``."""

    def reached_limit(self, limit: str) -> None:
        """A request was refused, since its owner has reached a limit or a quota."""

    def published_head(self, head: str) -> None:
        """The end of the audit log, as number and hash, is published, so that it can be found if the log is cut."""

    def used_pool(self, pool: str, in_use: int, waiting: int) -> None:
        """So many more connections of a pool are in use, and so many more callers wait for one; or fewer."""

    # Work that takes a while.

    def request(self, request: ObservedRequest) -> AbstractContextManager[object]:
        """A request is answered, to the end of the answer."""
        return _NOTHING

    def database(self, system: str, kind: str) -> AbstractContextManager[object]:
        """A transaction of ``"postgresql"`` or ``"sqlite"`` that may ``"write"``, or only ``"read"``."""
        return _NOTHING

    def saving(self, log: str, turns: list[ObservedTurn]) -> AbstractContextManager[object]:
        """What turns have appended is saved in a log that workers share."""
        return _NOTHING

    def run(self, agent: str | None, thread_id: str) -> ObservedRun | None:
        """An agent is about to run for a turn; returns who is told of that, if anybody."""

    def model_tracing(self) -> ModelTracing | None:
        """Returns how frameworks are to trace by themselves; None where they are to do as they do."""

    def flush(self) -> None:
        """The process is about to end: sends what is waiting. May take seconds, and is called in a thread."""


_active: tuple[Observer, ...] = ()


def observers() -> tuple[Observer, ...]:
    """Returns who is told."""
    return _active


def add_observer(observer: Observer) -> None:
    """Has an observer told what this process does from now on, before what it hears of for the first time begins."""
    global _active  # noqa: PLW0603 -- one for the process
    _active = (*_active, observer)


def remove_observer(observer: Observer) -> None:
    """Has an observer told nothing more."""
    global _active  # noqa: PLW0603 -- one for the process
    _active = tuple(one for one in _active if one is not observer)


def working(enter: Callable[[Observer], AbstractContextManager[Any]]) -> AbstractContextManager[object]:
    """Returns what is entered for work that takes a while: of each observer, what ``enter`` returns."""
    if not _active:
        return _NOTHING
    stack = ExitStack()
    for observer in _active:
        stack.enter_context(enter(observer))
    return stack


def model_tracing() -> ModelTracing | None:
    """Returns how frameworks that trace their models and tools by themselves are to do so; None if nobody says."""
    found = [observer.model_tracing() for observer in _active]
    return next((tracing for tracing in found if tracing is not None), None)


@contextmanager
def observed_run(agent: str | None, thread_id: str) -> Generator[tuple[ObservedRun, ...]]:
    """Yields who is told of a run of an agent that lasts as long as the block."""
    found = [observer.run(agent, thread_id) for observer in _active]
    runs = tuple(run for run in found if run is not None)
    failure: BaseException | None = None
    try:
        yield runs
    except BaseException as error:
        failure = error
        raise
    finally:
        for run in runs:
            run.ended(failure)
