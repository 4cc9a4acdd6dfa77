"""What a stream log knows of turns: the types, and turns and claims as JSON.

A turn appends the JSON of each event; every reader, the first one and those that come back, reads the log. Events are
numbered from 1; their id on the wire is ``turn_id:number``.

Workers of several versions may share a backend. So what reads a record leaves out fields that it does not know, and
takes the defaults for those that an earlier version did not write.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, runtime_checkable

from chatkit.errors import InvalidRequestError
from chatkit.ids import utc_now

__all__ = [
    "JUMP",
    "EndState",
    "EventId",
    "InterruptedTurn",
    "KeptSource",
    "KeyClaim",
    "LogEntry",
    "PortableSource",
    "SnapshotSource",
    "StatePart",
    "ThreadKey",
    "TurnInfo",
    "TurnReader",
    "TurnWriter",
    "claim_head",
    "dump_claim",
    "dump_info",
    "fields_of",
    "load_claim",
    "load_end",
    "load_info",
    "state_entries",
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


class ThreadKey(NamedTuple):
    """Whose thread it is, and its id: two owners may have threads with the same id.

    Attributes:
        owner: The tenant, None where no owners are known.
        thread_id: The thread.
    """

    owner: str | None
    thread_id: str


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
        base: Number after which the events of this attempt begin, where the log keeps it.
        trace: The trace that the turn belongs to, where there is one, as ``traceparent`` of W3C Trace Context.
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
    trace: str | None = None

    @property
    def trace_id(self) -> str | None:
        """The id of its trace."""
        return None if self.trace is None else self.trace.split("-")[1]

    @property
    def thread(self) -> ThreadKey:
        """Its thread, with the owner."""
        return ThreadKey(self.owner, self.thread_id)


class LogEntry(NamedTuple):
    """An event in the log.

    Attributes:
        seq: Its number in the turn, from 1; 0 for an event of a snapshot that must not become a cursor.
        data: The event as JSON in UTF-8.
    """

    seq: int
    data: bytes


def state_entries(events: Sequence[bytes], seq: int) -> list[LogEntry]:
    """Returns the events of a state as entries of which only the last becomes a cursor.

    A reader that is cut off within the state has to ask for all of it again.

    Args:
        events: The events.
        seq: Number that the state covers.
    """
    last = len(events) - 1
    return [LogEntry(seq if at == last else 0, data) for at, data in enumerate(events)]


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
class KeptSource(Protocol):
    """A snapshot source that holds bytes of its own, which count among those that are kept of the turn."""

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        ...

    def seal(self) -> None:
        """Turns into bytes what can be made from objects of the turn so far: the turn has ended."""
        ...


@runtime_checkable
class PortableSource(Protocol):
    """A snapshot source that also returns its state for all cursors at once."""

    def __call__(self, after: int) -> list[bytes]:
        """Returns the events for a reader that has seen everything up to ``after``."""
        ...

    def parts(self) -> list[StatePart]:
        """Returns what makes the events for any cursor."""
        ...


class TurnWriter(ABC):
    """The one writer of a turn. Methods are called from the turn's task only."""

    lost: bool = False
    """True once another worker owns the turn. Events appended from then on are discarded."""
    ends_elsewhere: bool = False
    """True once another worker has the turn, and says how it ends."""

    @abstractmethod
    def append(self, data: bytes) -> int:
        """Appends an event (JSON in UTF-8) and returns its number. Never waits.

        Raises:
            StaleTurnError: Another worker has taken the turn over; raised once, unless ``lost`` was asked for.
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
        """Says that no reader is waited for any more. What a turn that is not resumable appends may be dropped."""

    @abstractmethod
    async def close(self, end: EndState) -> None:
        """Writes the end mark. Idempotent; the first end counts."""

    async def close_once_saved(self, end: EndState) -> None:
        """Like ``close``, for an end of which it is not known whether another worker says another one.

        Readers of this process hear of it once the log's server has it. Where that has not been reached, they get no
        more, and no end: they come back.
        """
        await self.close(end)

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
    gave_up: bool = False
    """Whether that is all that is known, for nobody was there to say it: no event says why."""

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
        stop: Whether a stop of the turn was requested.
    """

    info: TurnInfo
    entries: list[LogEntry]
    stop: bool = False

    @property
    def next_base(self) -> int:
        """Number after which the events of the worker that adopts the turn begin, by the ``attempt`` of its ``info``.

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


_KNOWN: Final = frozenset(TurnInfo.__dataclass_fields__)


def fields_of(info: TurnInfo) -> dict[str, Any]:
    """Returns the fields of a turn, its start as text."""
    return asdict(info) | {"started_at": info.started_at.isoformat()}


def dump_info(info: TurnInfo) -> str:
    """Returns a turn as JSON."""
    return json.dumps(fields_of(info), separators=(",", ":"))


def load_info(data: bytes | str) -> TurnInfo:
    """Returns the turn that ``dump_info`` wrote."""
    fields: dict[str, Any] = {name: value for name, value in json.loads(data).items() if name in _KNOWN}
    if "started_at" in fields:
        fields["started_at"] = datetime.fromisoformat(fields["started_at"])
    return TurnInfo(**fields)


def load_end(text: str | None) -> EndState | None:
    """Returns how a turn ended; one that only a later version knows counts as interrupted."""
    if not text:
        return None
    try:
        return EndState(text)
    except ValueError:
        return EndState.INTERRUPTED


def dump_claim(claim: KeyClaim) -> str:
    """Returns what a key is bound to as JSON."""
    fields = [claim.turn_id, claim.thread_id, claim.fingerprint, claim.user_item_id]
    return json.dumps(fields, separators=(",", ":"))


def claim_head(claim: KeyClaim) -> str:
    """Returns what every record of a claim of the same turn begins with, whatever version wrote it."""
    return json.dumps([claim.turn_id])[:-1] + ","


def load_claim(data: bytes | str) -> KeyClaim:
    """Returns what a key is bound to already."""
    turn_id, thread_id, fingerprint, *rest = json.loads(data)
    return KeyClaim(turn_id, thread_id, fingerprint, fresh=False, user_item_id=rest[0] if rest else None)
