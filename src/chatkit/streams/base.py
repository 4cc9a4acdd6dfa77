"""The stream log port: a turn's append-only list of encoded events.

A turn appends the JSON of each event; every reader, the first one and those that come back, reads the log. Events are
numbered from 1; their id on the wire is ``turn_id:number``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Final, NamedTuple, Protocol, TypeAlias, runtime_checkable

from chatkit.errors import InvalidRequestError
from chatkit.ids import utc_now

__all__ = [
    "JUMP",
    "EndState",
    "EventId",
    "InterruptedTurn",
    "KeyClaim",
    "LogEntry",
    "PortableSource",
    "SnapshotSource",
    "StatePart",
    "StreamLog",
    "TurnInfo",
    "TurnReader",
    "TurnWriter",
]

JUMP: Final = 1 << 20
"""How far the numbers of a claimed turn's last events are from the saved ones: its dead worker may have sent events to
readers of its own that it could not save any more, and no reader may take the one for the other."""


_AGING: Final = timedelta(seconds=0.1)
"""Time from one attempt at a turn to the next, at least: it takes a lease that ran out."""
_OLDEST: Final = timedelta(days=1)


class EndState(StrEnum):
    """How a turn ended."""

    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class TurnInfo:
    """What a log knows of a turn.

    Attributes:
        id: The turn's id.
        thread_id: Its thread.
        owner: Its tenant, None where the store knows no owners.
        resumable: Whether readers may come back, so that a window of events is kept.
        user_item_id: The user message that the turn answers, if any.
        started_at: When it began, UTC.
        context: What ``ChatKitServer.dump_context`` made of the request's context, as JSON text: with it another
            worker can run the turn again.
        attempt: How often the turn was begun, from 1.
        base: Number behind which the events of this attempt begin, where the log keeps it.
    """

    id: str
    thread_id: str
    owner: str | None = None
    resumable: bool = False
    user_item_id: str | None = None
    started_at: datetime = field(default_factory=utc_now)
    context: str | None = None
    attempt: int = 1
    base: int = 0


class LogEntry(NamedTuple):
    """An event in the log.

    Attributes:
        seq: Its number in the turn, from 1; 0 for an event of a snapshot that must not become a cursor.
        data: The event as JSON in UTF-8.
    """

    seq: int
    data: bytes


class EventId(NamedTuple):
    """A cursor: the last event that a reader has."""

    turn_id: str
    seq: int

    @classmethod
    def parse(cls, text: str) -> EventId:
        """Reads ``turn_id:seq``.

        Raises:
            InvalidRequestError: The text is no event id.
        """
        turn_id, separator, number = text.rpartition(":")
        if not separator or not turn_id or not (number.isascii() and number.isdigit() and len(number) < 16):
            raise InvalidRequestError("'after' must be the id of an event of the stream, as turn_id:number.")
        return cls(turn_id, int(number))


SnapshotSource: TypeAlias = Callable[[int], list[bytes]]
"""Returns the events that bring a reader that has seen everything up to a number (0: nothing) to the present state."""


class StatePart(NamedTuple):
    """An event of a state that is kept for readers whose cursors are not known yet.

    Attributes:
        first_seq: A reader whose cursor is smaller gets ``head + rest``, another one ``known_head + rest``.
        last_seq: A reader whose cursor is not smaller needs nothing of it.
        head: Beginning of the event for those to whom its item is new.
        known_head: The same for those that have the item.
        rest: What both have in common.
    """

    first_seq: int
    last_seq: int
    head: bytes
    known_head: bytes
    rest: bytes

    def event_for(self, after: int) -> bytes | None:
        """Returns the event for a reader that has seen everything up to ``after``, None if it needs none."""
        if self.last_seq <= after:
            return None
        return (self.head if self.first_seq > after else self.known_head) + self.rest


@runtime_checkable
class PortableSource(Protocol):
    """A snapshot source that can also tell its state for all cursors at once."""

    def __call__(self, after: int) -> list[bytes]:
        """Returns the events for a reader that has seen everything up to ``after``."""
        ...

    def parts(self) -> list[StatePart]:
        """Returns what makes the events for any cursor."""
        ...


class TurnWriter(ABC):
    """The one writer of a turn. Methods are called from the turn's task only."""

    lost: bool = False
    """Whether another worker has taken the turn over: nothing that is appended reaches its readers any more."""

    @abstractmethod
    def append(self, data: bytes) -> int:
        """Appends an event (JSON in UTF-8) and returns its number. Never waits.

        Raises:
            StaleTurnError: Another worker has taken the turn over; raised once, and not to who has asked for ``lost``.
        """

    @property
    @abstractmethod
    def last_seq(self) -> int:
        """Number of the last event, 0 at first."""

    @property
    @abstractmethod
    def congested(self) -> bool:
        """Whether the turn should wait in ``drain`` before it appends more."""

    @abstractmethod
    async def drain(self) -> None:
        """Waits until the reader has caught up, or is gone."""

    @abstractmethod
    async def flush(self) -> None:
        """Makes what was appended durable, and visible to readers elsewhere, as far as the log can."""

    @abstractmethod
    def detach(self) -> None:
        """Says that no reader will come any more; appended events may be dropped at once."""

    @abstractmethod
    async def close(self, end: EndState) -> None:
        """Writes the end mark. Idempotent; the first end counts."""

    async def hand_over(self) -> bool:
        """Leaves the turn to other workers, which may claim it at once, instead of closing it.

        Readers of this process get no more, and no end: they come back to another worker.

        Returns:
            False, the default, where no other worker can go on with it: close it.
        """
        return False

    async def give_way(self) -> bool:
        """Asks whose the turn is, once the store has said that it is not this worker's any more.

        Returns:
            Whether another worker has it, or may have it, for the log cannot be asked at the moment: then readers of
            this process get no more, and no end: they come back. False, the default, where no other worker can.
        """
        return False


class TurnReader(AsyncIterator[list[LogEntry]]):
    """Reads a turn: iterating yields the entries that are ready, at least one at a time, until the turn's end."""

    end: EndState | None = None
    """How the turn ended, once iteration is over; None if it goes on elsewhere."""

    @abstractmethod
    async def __anext__(self) -> list[LogEntry]: ...

    @abstractmethod
    def ready(self) -> list[LogEntry]:
        """Returns the further entries that can be had without waiting."""

    @abstractmethod
    async def aclose(self) -> None:
        """Stops reading. Idempotent."""


@dataclass(frozen=True, slots=True)
class InterruptedTurn:
    """A turn whose worker died, claimed for finalisation.

    Attributes:
        info: The turn.
        entries: The events that reached the log, oldest first. Where the log keeps a window only, a snapshot (events
            numbered 0, the last one with the number that the snapshot covers) stands for those before it.
        stop: Whether somebody had asked the turn to stop.
    """

    info: TurnInfo
    entries: list[LogEntry]
    stop: bool = False

    @property
    def next_base(self) -> int:
        """Number behind which the events of whoever goes on with the turn begin, by the ``attempt`` of its ``info``.

        It grows with the turn's age as well: a log's server that went back to older data, after a crash or a failover,
        may not know of an attempt whose events readers have.
        """
        last_seq = max((entry.seq for entry in self.entries), default=0)
        age = min(utc_now() - self.info.started_at, _OLDEST) // _AGING
        return max(last_seq, self.info.base) + JUMP * (max(1, age) + max(0, self.info.attempt - 2))


@dataclass(frozen=True, slots=True)
class KeyClaim:
    """The answer to an idempotency key.

    Attributes:
        turn_id: The turn that the key belongs to.
        thread_id: Its thread.
        fingerprint: Of the request that claimed the key first.
        fresh: Whether this very call claimed the key.
        user_item_id: The user message that the turn answers.
    """

    turn_id: str
    thread_id: str
    fingerprint: str
    fresh: bool
    user_item_id: str | None = None


class StreamLog(ABC):
    """Keeps the events of turns while they run and for a while after.

    Attributes:
        shared: Whether workers in other processes can read and stop each other's turns through it.
        sweep_seconds: Time between two looks for turns whose worker died.
    """

    shared: ClassVar[bool] = False
    sweep_seconds: float = 10.0

    @abstractmethod
    async def open(
        self, info: TurnInfo, *, snapshot: SnapshotSource, on_stop: Callable[[], None]
    ) -> TurnWriter:
        """Begins the log of a turn.

        Args:
            info: The turn.
            snapshot: Asked for the state when a reader's cursor is older than the kept window.
            on_stop: Called when a stop of the turn is requested, here or elsewhere, and when another worker has taken
                the turn over; the writer's ``lost`` tells which.
        """

    @abstractmethod
    async def read(self, turn_id: str, after: int | None) -> TurnReader | None:
        """Returns a reader that begins behind the event numbered ``after``.

        None begins with the state (a snapshot) where the first event is no longer kept; a number older than the
        window does so too. Returns None if the log knows nothing of the turn (any more).
        """

    @abstractmethod
    async def find(self, turn_id: str) -> TurnInfo | None:
        """Returns what the log knows of a turn that runs or is still kept."""

    @abstractmethod
    async def active(self, thread_id: str) -> list[TurnInfo]:
        """Returns the running turns of a thread, oldest first."""

    @abstractmethod
    async def latest(self, thread_id: str) -> TurnInfo | None:
        """Returns the resumable turn of a thread that began last, running or still kept."""

    @abstractmethod
    async def stop(self, turn_id: str) -> bool:
        """Requests a stop and waits for the turn's end; tells whether it was running. Idempotent."""

    @abstractmethod
    async def wait_closed(self, turn_id: str) -> None:
        """Waits for the turn's end; returns at once if it has ended or is unknown."""

    @abstractmethod
    async def claim_key(self, owner: str | None, key: str, claim: KeyClaim) -> KeyClaim:
        """Binds an idempotency key of an owner to a turn, or returns what it is bound to already."""

    async def ended(self, turn_id: str) -> EndState | None:
        """Returns how a turn with an idempotency key ended, as far as the log knows."""
        return None

    @abstractmethod
    async def release_key(self, owner: str | None, key: str, claim: KeyClaim | None = None) -> None:
        """Frees a key whose turn never began; with ``claim``, only while the key is bound to that."""

    async def claim_interrupted(self) -> list[InterruptedTurn]:
        """Returns the turns whose worker died, each to one caller only."""
        return []

    def holds_claim(self, turn_id: str) -> bool:
        """Whether a claim of this process still stands, as far as it can know without asking; True by default."""
        return True

    async def settle(self, turn_id: str, events: Sequence[bytes] = ()) -> None:
        """Ends a claimed turn as interrupted, after it was finalised; ``take_over`` does so as well.

        Args:
            turn_id: The turn.
            events: What readers that still follow it are to hear of its end, as JSON in UTF-8.
        """
        return

    async def take_over(
        self, turn: InterruptedTurn, *, snapshot: SnapshotSource, on_stop: Callable[[], None]
    ) -> TurnWriter | None:
        """Returns a writer that goes on with a claimed turn, whose numbers go on far behind its ``entries``.

        They are ``JUMP`` apart at least for each attempt before this one, for each may have shown its own readers
        events that nobody could save; see ``InterruptedTurn.next_base``. Readers of the turn get what is appended, and
        its end; closing the writer settles the turn.

        Args:
            turn: The turn as it was claimed, its ``info`` as it is to be from now on, with an ``attempt`` of its own.
            snapshot: Asked for the state when a reader's cursor is older than the kept window.
            on_stop: Called when a stop of the turn is requested.

        Returns:
            None, the default, where a turn cannot go on in another process: settle it.
        """
        return None

    async def close(self) -> None:
        """Releases connections and threads; the log opens them again when it is used."""
        return
