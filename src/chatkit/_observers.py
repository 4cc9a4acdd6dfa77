"""Who is told what the server does, to count or to trace it: nobody by default, which costs next to nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, Final, NamedTuple

__all__ = ["ObservedTurn", "Observer", "add_observer", "observers", "remove_observer", "working"]

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


class Observer:
    """Is told what the server does. Every method does nothing unless it is overridden.

    They are called in the thread, task and context of the work; they do not wait, and what they raise would be an
    error of the work.
    """

    # What happened.

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

    def resumed(self, source: str) -> None:
        """A reader came back to a turn: its events are in ``"memory"``, in the ``"log"``, or ``"none"`` are left."""

    def failed(self, code: str, place: str) -> None:
        """An error was told to a client, in the ``"answer"`` to its request or as an event of a ``"stream"``."""

    def reached_limit(self, limit: str) -> None:
        """A request was refused, since its owner has reached a limit or a quota."""

    def used_pool(self, pool: str, in_use: int, waiting: int) -> None:
        """So many more connections of a pool are in use, and so many more callers wait for one; or fewer."""

    # Work that takes a while.

    def database(self, system: str, kind: str) -> AbstractContextManager[object]:
        """A transaction of ``"postgresql"`` or ``"sqlite"`` that may ``"write"``, or only ``"read"``."""
        return _NOTHING

    def saving(self, log: str, turns: list[ObservedTurn]) -> AbstractContextManager[object]:
        """What turns have appended is saved in a log that workers share."""
        return _NOTHING


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
