"""The port of stores that keep the journal of a turn: the steps that it took, for a worker that goes on with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast

from chatkit.store.acceptance import AcceptingStore, accepts_whole_turns
from chatkit.store.base import Fence

__all__ = ["Effect", "JournalKeeper", "RecordedStep", "StepStatus", "journal_keeper"]

TContext = TypeVar("TContext")

Effect: TypeAlias = Literal["repeatable", "keyed", "once"]
"""What it means that a step runs again: nothing, nothing where its idempotency key is known, or a second effect."""


class StepStatus(StrEnum):
    """How far a step of a turn is."""

    STARTED = "started"
    """It was about to run. Whether it has had its effect is not known."""
    ENDED = "ended"
    """It has a result."""
    FAILED = "failed"
    """It has raised an error, which is its result."""
    UNKEPT = "unkept"
    """It has ended, and its result is not kept."""
    LEFT = "left"
    """A later attempt at the turn took another way."""


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """A step of a turn.

    Attributes:
        position: Its place among the steps of the turn, from 1, in the order in which they were begun.
        kind: What it is: ``"model"``, ``"tool"``, or what the application says.
        name: What was called.
        fingerprint: Of kind, name and arguments: equal for equal calls.
        effect: What it means that it runs again.
        status: How far it is.
        result: What it returned or raised, as JSON; empty for other states.
    """

    position: int
    kind: str
    name: str
    fingerprint: str
    effect: Effect
    status: StepStatus
    result: str = ""


class JournalKeeper(ABC, Generic[TContext]):
    """Keeps the steps of turns while they run; a store may implement it, beside :class:`chatkit.store.Store`.

    The steps go with the turn: as it ends, and with its thread.
    """

    @abstractmethod
    async def save_steps(self, fence: Fence, steps: Sequence[RecordedStep], context: TContext) -> None:
        """Saves steps of a turn under their positions, in one transaction with the check of its right to write.

        Args:
            fence: The turn, and the token that it writes with.
            steps: The steps, in their new state.
            context: The request's context, which names the owner.

        Raises:
            StaleTurnError: The turn has ended, or another worker has taken it over; nothing was written.
        """

    @abstractmethod
    async def load_steps(self, turn_id: str, context: TContext) -> list[RecordedStep]:
        """Returns the steps of a turn, by their positions; none once it has ended.

        Args:
            turn_id: The turn.
            context: The request's context, which names the owner.
        """


def journal_keeper(store: object) -> JournalKeeper[Any] | None:
    """Returns a store as one that keeps journals; None if it does not.

    Nor does a class derived from one of ours that writes in a way of its own, to encrypt perhaps: what steps return
    would be written past it. One that overrides ``save_steps`` has thought of it.
    """
    if not isinstance(store, JournalKeeper):
        return None
    keeper = cast("JournalKeeper[Any]", store)
    own = not type(keeper).save_steps.__module__.startswith("chatkit.")
    return keeper if own or not isinstance(store, AcceptingStore) or accepts_whole_turns(store) else None
