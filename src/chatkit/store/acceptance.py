"""Stores that accept a turn in one transaction: with its message, its idempotency key and its place in the thread."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, Final, Literal, TypeAlias, TypeVar

from chatkit.errors import StaleTurnError, ThreadBusyError
from chatkit.store.base import Fence, Store
from chatkit.types import ThreadItem, ThreadMetadata, UserMessageItem

__all__ = [
    "DELETED",
    "Acceptance",
    "AcceptedTurn",
    "AcceptingStore",
    "ItemChange",
    "LapsedTurn",
    "Policy",
    "ThreadTakenError",
    "TurnStatus",
    "TurnWrites",
    "accepts_whole_turns",
    "was_taken_over",
]

logger = logging.getLogger("chatkit.store")

TContext = TypeVar("TContext")

Policy: TypeAlias = Literal["allow", "reject", "enqueue"]
"""What becomes of a turn in whose thread others wait or run: it begins, is refused, or waits."""


DELETED: Final = "deleted"
"""How a turn ended whose thread was deleted: its key is kept, so that its request, sent again, is not carried out."""


class TurnStatus(StrEnum):
    """How far a turn is in the store."""

    WAITING = "waiting"
    """Other turns of its thread come first; its message is no item yet."""
    BEGUN = "begun"
    """What it writes before its handler runs is stored."""
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class ItemChange:
    """A change of a stored item that is made only if nobody else has changed it.

    Attributes:
        before: The item as it was loaded.
        after: The item as it is to be, under the same id.
    """

    before: ThreadItem
    after: ThreadItem


@dataclass(frozen=True, slots=True)
class TurnWrites:
    """What a turn writes before its handler runs.

    Attributes:
        created_thread: The thread, if it is new.
        message: The user's message, if it is new: added after all other items, its attachments recorded with it.
        delete_after: The item after which all others are deleted.
        change: The item that the request answers.
    """

    created_thread: ThreadMetadata | None = None
    message: UserMessageItem | None = None
    delete_after: str | None = None
    change: ItemChange | None = None


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A turn that is to be accepted.

    Attributes:
        turn_id: The turn.
        thread_id: Its thread; empty for a request that is no turn, and is accepted for the sake of its key.
        lease: Seconds, by the store's clock, after which a worker that has not opened the turn in the log counts as
            dead.
        writes: What is written with it.
        user_item_id: The user message that it answers, new or not.
        key: The idempotency key of its request.
        fingerprint: What two requests with the same key have in common if they ask for the same.
        policy: What becomes of it if others wait or run in the thread.
        info: What is needed to begin it in another worker, as text; kept until it ends.
        replaces: The turn that was accepted with the key before, if it ended and no worker had opened it: this one is
            accepted in its place. Not where turns of the thread have an order (the policy is not ``"allow"``) and
            another message came after the one that it answers: then that turn is returned.
    """

    turn_id: str
    thread_id: str
    lease: float
    writes: TurnWrites = TurnWrites()
    user_item_id: str | None = None
    key: str | None = None
    fingerprint: str = ""
    policy: Policy = "allow"
    info: str = ""
    replaces: str | None = None

    @property
    def keeps_order(self) -> bool:
        """Whether it goes on only where no other message came after the one that it answers."""
        return self.replaces is not None and self.policy != "allow" and self.user_item_id is not None


@dataclass(frozen=True, slots=True)
class AcceptedTurn:
    """A turn as the store has it.

    Attributes:
        turn_id: The turn.
        thread_id: Its thread.
        status: How far it is.
        token: Its fencing token, see :class:`chatkit.store.Fence`.
        opened: Whether its worker has opened it in the log.
        claimed: Whether another worker than the one that accepted it has taken it over.
        lapsed: Whether its lease has run out. Where workers share a log, it is the log that says whether the worker of
            an opened turn lives.
        end: How it ended, empty where that is not known; :data:`DELETED` if its thread was deleted since.
        user_item_id: As accepted.
        fingerprint: As accepted.
        info: As accepted.
        fresh: Whether this very call accepted it.
        others: Of a turn that waits, the turns that come first.
    """

    turn_id: str
    thread_id: str
    status: TurnStatus
    token: int
    opened: bool = False
    claimed: bool = False
    lapsed: bool = False
    end: str = ""
    user_item_id: str | None = None
    fingerprint: str = ""
    info: str = ""
    fresh: bool = False
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LapsedTurn:
    """A turn whose lease has run out before it ended, and its owner."""

    owner: str
    turn: AcceptedTurn


class ThreadTakenError(ThreadBusyError):
    """Turns run or wait in a thread in which one was to be alone; nothing was written.

    Attributes:
        turn_ids: Those turns, in the order in which they were accepted.
    """

    def __init__(self, turn_ids: Sequence[str]) -> None:
        super().__init__()
        self.turn_ids = tuple(turn_ids)


class AcceptingStore(Store[TContext]):
    """A store that accepts a turn in one transaction, and keeps it until a day after its end.

    With its thread a turn is deleted too, but one that has a key only ends, see :data:`DELETED`.

    So a message, its idempotency key and its place in the queue of its thread are there together or not at all, and
    the turn's right to write is asked for by each of its writes (:data:`chatkit.store.current_fence`).
    """

    @abstractmethod
    async def accept_turn(self, acceptance: Acceptance, context: TContext) -> AcceptedTurn:
        """Accepts a turn, or returns the one that was accepted with the same key.

        All in one transaction: the key is looked up, then the policy is applied, then everything is written. A turn
        that waits writes its attachments' records only.

        Args:
            acceptance: The turn.
            context: The request's context.

        Returns:
            The turn, ``fresh`` if it was accepted by this call.

        Raises:
            NotFoundError: The thread, or an item that is named, is not there.
            ConflictError: The item that is to be changed was changed meanwhile.
            ThreadTakenError: Others wait or run in the thread, and the policy is ``"reject"``.
            StaleTurnError: A turn of this id was accepted before.
        """

    @abstractmethod
    async def resolve_turn(self, turn_id: str, thread_id: str, context: TContext) -> AcceptedTurn | None:
        """Returns whether a turn was accepted by a call of ``accept_turn`` whose answer was lost.

        Args:
            turn_id: The turn.
            thread_id: Its thread.
            context: The request's context.

        Returns:
            The turn; None if it was not accepted, and will not be by that call, or is another worker's by now.
        """

    @abstractmethod
    async def find_turn(self, turn_id: str, context: TContext) -> AcceptedTurn | None:
        """Returns an owner's turn.

        Args:
            turn_id: The turn.
            context: The request's context.
        """

    @abstractmethod
    async def turns_beside(
        self, thread_id: str, turn_id: str, since: datetime | None, context: TContext
    ) -> list[str]:
        """Returns the ids of other turns of a thread that run, or have ended since a moment of the last day.

        Args:
            thread_id: The thread.
            turn_id: The turn that is left out.
            since: The moment; None for those that were accepted later than the turn, running or ended.
            context: The request's context.
        """

    @abstractmethod
    async def find_keyed_turn(self, key: str, context: TContext) -> AcceptedTurn | None:
        """Returns the turn that was accepted with an idempotency key of the owner.

        Args:
            key: The key.
            context: The request's context.
        """

    @abstractmethod
    async def begin_waiting_turn(
        self, turn_id: str, token: int, context: TContext, *, at_once: bool = False
    ) -> tuple[str, ...]:
        """Moves the message of a turn that waits into the thread, if it is the turn's turn.

        Doing so again, after it was done, does nothing.

        Args:
            turn_id: The turn.
            token: Its token.
            context: The request's context.
            at_once: Whether it comes before the others.

        Returns:
            The turns that come first; none if it has begun, before this call perhaps.

        Raises:
            StaleTurnError: Another worker has taken the turn over, or it has ended.
            NotFoundError: The thread was deleted.
        """

    @abstractmethod
    async def open_turn(self, turn_id: str, token: int, context: TContext) -> None:
        """Notes that a worker has opened a turn in the log, so that the log knows from now on whether it lives.

        Args:
            turn_id: The turn.
            token: Its token.
            context: The request's context.

        Raises:
            StaleTurnError: Another worker has taken the turn over, or it has ended.
        """

    @abstractmethod
    async def renew_turns(self, held: Sequence[tuple[str, Fence]], lease: float) -> None:
        """Renews the leases of turns that run: a worker does so for its own, and sweeps look at those of the others.

        Args:
            held: Their owners and fences; one that is stale, or has ended, is left as it is.
            lease: Seconds, by the store's clock.
        """

    @abstractmethod
    async def claim_turn(self, turn: AcceptedTurn, lease: float, context: TContext) -> AcceptedTurn | None:
        """Takes a turn over whose lease has run out; of several workers that do so at once, one succeeds.

        Args:
            turn: The turn as it was found.
            lease: Seconds until the next one may do so, unless it is opened in the log.
            context: The request's context.

        Returns:
            The turn with its new token; None if it is not as it was found any more: it was opened, has ended, or is
            another worker's.
        """

    @abstractmethod
    async def withdraw_turn(self, acceptance: Acceptance, token: int, context: TContext) -> bool:
        """Takes back a turn that could not be opened in the log, with all that was written with it.

        What ``delete_after`` deleted does not come back. A turn that is not this worker's any more stays. One that
        ``replaces`` another ends as interrupted, as if nobody had opened it, and keeps the key: what the other one had
        written stays, and is what its request, sent again, goes on with.

        Args:
            acceptance: The turn as it was accepted.
            token: Its token.
            context: The request's context.

        Returns:
            Whether it was taken back.
        """

    @abstractmethod
    async def finish_turn(
        self, turn_id: str, token: int, end: str, context: TContext, *, info: str = ""
    ) -> bool:
        """Notes how a turn ended, and that it writes nothing any more; nothing is done for a stale token.

        Args:
            turn_id: The turn.
            token: Its token.
            end: How it ended: ``"completed"``, ``"stopped"``, ``"failed"`` or ``"interrupted"``.
            context: The request's context.
            info: What is kept of it for as long as its key, such as its answer.

        Returns:
            Whether it was noted; False for a stale token, also for one whose turn has been ended with it.
        """

    @abstractmethod
    async def lapsed_turns(self, seconds: float) -> list[LapsedTurn]:
        """Returns turns of all owners that have not ended and whose lease has run out.

        If there are many, some of them: the next calls return the others. Forgets turns that ended more than a day ago,
        too.

        Args:
            seconds: Time for which a turn that is returned is not returned again, here or to another worker.
        """

    async def end_turn(self, turn_id: str, token: int, context: TContext) -> None:
        await self.finish_turn(turn_id, token, "interrupted", context)

    async def complete_turn(self, turn_id: str, token: int, context: TContext) -> None:
        await self.finish_turn(turn_id, token, "completed", context)


_WRITING: Final = (
    "add_thread_item",
    "delete_items_after",
    "put_thread_item",
    "save_attachment",
    "save_item",
    "save_item_if_unchanged",
    "save_thread",
)
"""What ``accept_turn`` does in its own way: a subclass that overrides one of them would not be asked."""


def accepts_whole_turns(store: Store[Any]) -> bool:
    """Returns whether a store writes all that a turn begins with in one transaction.

    Not so a subclass that overrides one of the methods that write, to encrypt what is stored perhaps: it is given the
    message by that method, after the turn was accepted without it.
    """
    if not isinstance(store, AcceptingStore):
        return False
    kind = type(store)
    replaced = set(vars(store) if hasattr(store, "__dict__") else ()) & set(_WRITING)
    return not replaced and not _overridden(kind)


@cache
def _overridden(kind: type[AcceptingStore[Any]]) -> tuple[str, ...]:
    """Returns the methods that a class overrides of the one that accepts turns."""
    # One of ours: what a subclass overrides is not asked by it, whoever calls it.
    accepting = next(
        base
        for base in kind.__mro__
        if "accept_turn" in vars(base)
        and (base.__module__.startswith("chatkit.") or base.__base__ is AcceptingStore)
    )
    names = tuple(name for name in _WRITING if getattr(kind, name) is not getattr(accepting, name))
    if names:
        logger.warning(
            "%s overrides %s: messages are stored by these methods after their turn was accepted, not together with "
            "it. A message that is sent again while its worker is killed may be stored twice.",
            kind.__name__,
            ", ".join(names),
        )
    return names


def was_taken_over(turn_id: str) -> StaleTurnError:
    """Returns the error of a worker whose turn is another one's."""
    return StaleTurnError(
        f"Turn {turn_id} is not this worker's any more: it has ended, its thread was deleted, or another worker took "
        "it over. Nothing was written."
    )
