"""What a log that workers share asks of its server: the port under :class:`chatkit.streams.StreamLog`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from chatkit.errors import UnsupportedOperationError
from chatkit.streams.records import EndState, KeyClaim, LogEntry, StatePart, ThreadKey, TurnInfo

__all__ = [
    "SEPARATOR",
    "Backend",
    "Chunk",
    "HeldTurn",
    "Loaded",
    "Save",
    "SaveResult",
    "SaveStatus",
    "Standing",
    "TurnRecord",
    "WorkerRecord",
    "decode_parts",
    "encode_parts",
]

FORGET_BATCH: Final = 200
"""Records of a kind that one transaction deletes when their time is over."""
FORGET_ROUNDS: Final = 10
"""Such transactions of one sweep, at most."""
SEPARATOR: Final = b"\x1e"
"""Stands between events: the one byte that RFC 7464 sets apart because no JSON text holds it."""
_FIELDS: Final = 5


class Chunk(NamedTuple):
    """Events that were saved together.

    Attributes:
        first_seq: Number of the first.
        last_seq: Number of the last; of the end mark, the turn's last.
        events: The events, joined by ``SEPARATOR``.
        jumps: Whether the numbers before it are left out on purpose.
        end: How the turn ended, for the end mark, which has no events.
    """

    first_seq: int
    last_seq: int
    events: bytes = b""
    jumps: bool = False
    end: EndState | None = None

    def entries(self, after: int) -> list[LogEntry]:
        """Returns the events after a number."""
        numbered = enumerate(self.events.split(SEPARATOR), self.first_seq)
        return [LogEntry(seq, data) for seq, data in numbered if seq > after]


class TurnRecord(NamedTuple):
    """What the server knows of a turn."""

    info: TurnInfo
    end: EndState | None

    @property
    def is_kept(self) -> bool:
        """Whether readers may come to the turn: it runs, or they may come back."""
        return self.end is None or self.info.resumable


class Loaded(NamedTuple):
    """A turn and the chunks after a cursor, some of them if there are many.

    Attributes:
        record: The turn.
        last_seq: Number of the last saved event.
        chunks: Oldest first, the end mark last.
    """

    record: TurnRecord
    last_seq: int
    chunks: list[Chunk]


class Save(NamedTuple):
    """What is to be saved of a turn; one without events only asks how the turn stands.

    Attributes:
        turn_id: The turn.
        first_seq: Number of the first event.
        last_seq: Number of the last event.
        events: The events, joined by ``SEPARATOR``.
        snapshot_seq: Number that the snapshot covers, 0 without one. With one, events may be left out before the first.
        snapshot: Encoded parts of the turn's state.
        keep_from: Chunks that end before this number are deleted.
        end: How the turn ended, after these events.
        plain: Whether the turn is not resumable: its events go ten seconds after its end, while readers may be there.
    """

    turn_id: str
    first_seq: int
    last_seq: int
    events: bytes
    snapshot_seq: int = 0
    snapshot: bytes = b""
    keep_from: int = 0
    end: EndState | None = None
    plain: bool = False


class SaveStatus(IntEnum):
    """What became of a save."""

    SAVED = 0
    LOST = 1
    """Another worker has taken the turn over, or it has ended."""
    MISSING = 2
    """The server does not know the turn."""
    GAP = 3
    """The server does not have the event before the first one: it lost some when it went down."""


class SaveResult(NamedTuple):
    """How a turn stands after a save.

    Attributes:
        status: What became of the save.
        last_seq: Number of the last event that the server has.
        stop: Whether a stop of the turn was requested.
        epoch: Of a missing turn: the server's data; another one than at the beginning means that it lost everything.
    """

    status: SaveStatus
    last_seq: int
    stop: bool
    epoch: str = ""


class Standing(IntEnum):
    """How a followed turn stands."""

    MISSING = 0
    RUNNING = 1
    ENDED = 2
    DEAD = 3
    """Its worker's lease has run out, and no other one has claimed it yet."""
    CLAIMED = 4
    """Its worker is dead, and another one has claimed it, which has neither taken it over nor settled it so far."""


class HeldTurn(NamedTuple):
    """A turn that runs, as an operator is told of it.

    Attributes:
        info: The turn.
        holder: Names its worker; of a claimed one the claim, whose name begins with that of the worker that claimed it.
        claimed: Whether a worker has claimed it after the one that ran it died, and has not gone on with it so far.
        stop: Whether it is asked to stop.
        lapsed: Whether the worker, or the claim, counts as dead: any other worker may claim the turn.
        lease_seconds: Until the lease, or the claim, runs out; less than 0 since then, None where that is not known.
    """

    info: TurnInfo
    holder: str
    claimed: bool = False
    stop: bool = False
    lapsed: bool = False
    lease_seconds: float | None = None


class WorkerRecord(NamedTuple):
    """A worker, as an operator is told of it.

    Attributes:
        id: Its name, as the ``holder`` of its turns.
        turns: How many of its turns run.
        lease_seconds: Until its lease runs out; less than 0 since then, None where turns have leases of their own.
        dead: Whether it counts as dead.
        process: Host and number of the process, where that is known.
    """

    id: str
    turns: int
    lease_seconds: float | None = None
    dead: bool = False
    process: str = ""


class Backend(ABC):
    """A server, seen from one event loop.

    What names a turn by its id does not ask whose it is: :class:`chatkit.streams.StreamLog` does so before.

    Every method raises :class:`chatkit.errors.StoreUnavailableError` when the server cannot be reached, and another
    :class:`chatkit.errors.ChatKitError` when it refuses. A holder names the worker, or the claim, that may write.

    Attributes:
        comes_back: Whether closing a log waits for a server that cannot be reached, as for one that restarts.
    """

    comes_back: bool = True

    @property
    def watched(self) -> bool:
        """Whether other workers may be there, True by default.

        If not, nothing is asked for them, and what is appended is saved a moment later.
        """
        return True

    @property
    def bounds_turns(self) -> bool:
        """Whether it is given only about the first 4 MiB of a turn that is not resumable, True by default."""
        return True

    @abstractmethod
    async def open_turn(self, info: TurnInfo, holder: str, *, again: bool = False) -> str | None:
        """Registers a turn, renews its worker's lease and returns the epoch of the server's data.

        A turn that is there and is another worker's is left alone; saves of this worker are ``LOST`` then. Returns None
        where the first save does all that, for no other worker reads the turn.

        Args:
            info: The turn.
            holder: Its worker.
            again: Leaves a turn alone that is there.
        """

    @abstractmethod
    async def save(self, holder: str, saves: Sequence[Save], *, renew: bool) -> dict[str, SaveResult]:
        """Saves what turns have appended, each only as long as ``holder`` has it; doing so twice is the same as once.

        Returns the results that differ from the usual one: saved, with no request to stop.

        Args:
            holder: The worker.
            saves: Of turns that differ.
            renew: Renews the worker's lease too.
        """

    @abstractmethod
    async def load(self, turn_id: str, after: int) -> Loaded | None:
        """Returns a turn and the chunks with events after ``after``.

        Args:
            turn_id: The turn.
            after: Number of the last event that the reader has.
        """

    @abstractmethod
    async def load_snapshot(self, turn_id: str) -> tuple[int, bytes] | None:
        """Returns the snapshot and the number that it covers."""

    @abstractmethod
    async def standings(self, turn_ids: Sequence[str]) -> dict[str, Standing]:
        """Returns how turns stand."""

    @abstractmethod
    async def changes(
        self, cursors: Mapping[str, int], limit: float, on_stop: Callable[[str], None]
    ) -> dict[str, list[Chunk]]:
        """Waits for chunks after the cursors of turns, for ``wake``, for a request to stop or for the time limit.

        An end mark counts as a chunk after every cursor; a turn whose end was returned is asked for no more.

        Args:
            cursors: Of each followed turn, the number of the last event that its readers have.
            limit: Seconds to wait at most.
            on_stop: Called with the id of a turn of this worker that is asked to stop.
        """

    @abstractmethod
    async def wake(self) -> None:
        """Ends the wait in ``changes``, now or when it begins."""

    @abstractmethod
    async def request_stop(self, turn_id: str) -> bool:
        """Asks a turn's worker to stop it; returns whether the turn runs."""

    @abstractmethod
    async def turns(self, thread: ThreadKey) -> list[TurnRecord]:
        """Returns the turns of an owner's thread in the order in which they began."""

    @abstractmethod
    async def claim(self, worker: str, claim: str) -> list[tuple[TurnInfo, bool]]:
        """Claims the turns whose worker's lease, or whose claim, has run out; returns each with whether it was to stop.

        A worker whose own lease has not lasted for a whole lease so far takes nothing: the server may have been away,
        and every lease has run out meanwhile. Where ``comes_back`` is False, no server can have been away.

        Args:
            worker: The worker, whose lease is renewed.
            claim: The new holder of the turns.
        """

    @abstractmethod
    async def held(self, worker: str) -> list[str]:
        """Returns the turns that the server takes for running in a worker."""

    @abstractmethod
    async def adopt(self, info: TurnInfo, claim: str, worker: str) -> str | None:
        """Makes a claimed turn a worker's own; returns the epoch as ``open_turn`` does, None if the claim is over.

        Args:
            info: The turn as it is to be from now on; the number of its last event is at least ``info.base``.
            claim: What holds it.
            worker: The worker, whose lease is renewed.
        """

    @abstractmethod
    async def release(self, turn_id: str, worker: str) -> bool:
        """Lets any worker claim a turn at once; returns whether it was this worker's.

        Args:
            turn_id: The turn.
            worker: The worker.
        """

    @abstractmethod
    async def settle(self, turn_id: str, claim: str, events: Sequence[bytes]) -> None:
        """Ends a claimed turn as interrupted, if ``claim`` still has it.

        The dead worker may have shown its readers events that it did not save. So the first of the last events has the
        number ``last_seq + JUMP + 1``, in a chunk with ``jumps=True``.

        Args:
            turn_id: The turn.
            claim: What holds it.
            events: Its last events, as JSON in UTF-8.
        """

    async def forget_old(self) -> None:
        """Deletes what was kept for long enough: turns that ended, their ends, keys, workers that are gone.

        Every worker asks for it with each sweep, so that nothing stays where nobody writes any more. A call deletes a
        bounded number of records, and waits for no other worker that does the same.

        The default does nothing: for a server that forgets on its own, as Redis does.
        """
        return

    async def forget_thread(self, thread: ThreadKey) -> None:
        """Deletes the turns of an owner's thread, which was deleted: events, snapshots, and what was known of them.

        A turn that still runs is over, for its worker is dead or out of reach: ``ended`` returns ``INTERRUPTED``, and
        nothing that its holder saves is kept: the result is LOST, or MISSING in the same epoch. Other ends stay, and
        so do keys: a message that is sent again finds that it was sent before.

        The default does nothing: what is kept then goes when its time is over.

        Args:
            thread: The thread.
        """
        return

    @abstractmethod
    async def claim_key(self, owner: str, key: str, claim: KeyClaim) -> KeyClaim | None:
        """Binds a key; returns what it is bound to if it is bound already.

        Args:
            owner: The tenant, empty where no owners are known.
            key: The key.
            claim: What to bind it to.
        """

    async def find_key(self, owner: str, key: str) -> KeyClaim | None:
        """Returns what a key is bound to; None by default, where workers of an earlier version bound none.

        Args:
            owner: The tenant, empty where no owners are known.
            key: The key.
        """
        return None

    @abstractmethod
    async def release_key(self, owner: str, key: str, claim: KeyClaim | None) -> None:
        """Frees a key, if it is bound to ``claim``; None frees it in any case.

        Args:
            owner: The tenant, empty where no owners are known.
            key: The key.
            claim: What it has to be bound to; None frees it in any case.
        """

    @abstractmethod
    async def ended(self, turn_id: str) -> EndState | None:
        """Returns how a resumable turn ended, for as long as keys are kept."""

    async def survey_turns(self, limit: int, after: str = "") -> list[HeldTurn]:
        """Returns the turns of all owners that run, in all workers, by their ids.

        It is for an operator's work. The default knows none.

        Args:
            limit: How many at most.
            after: The id after which they begin.

        Raises:
            UnsupportedOperationError: The server cannot be asked for them.
        """
        raise UnsupportedOperationError(f"{type(self).__name__} cannot list the turns of all workers.")

    async def survey_workers(self, limit: int) -> list[WorkerRecord]:
        """Returns the workers that are known, those first whose leases last longest; see ``survey_turns``."""
        raise UnsupportedOperationError(f"{type(self).__name__} cannot list the workers.")

    @abstractmethod
    async def close(self) -> None:
        """Closes the connections; the next use opens new ones."""


def encode_parts(parts: Sequence[StatePart]) -> bytes:
    """Returns the parts of a state as bytes."""
    return SEPARATOR.join(
        field
        for part in parts
        for field in (b"%d" % part.first_seq, b"%d" % part.last_seq, part.head, part.known_head, part.rest)
    )


def decode_parts(data: bytes) -> list[StatePart]:
    """Returns the parts of a state that ``encode_parts`` wrote.

    An empty number ends them: what a later version has to add stands after it.
    """
    fields = data.split(SEPARATOR)
    parts: list[StatePart] = []
    for at in range(0, len(fields), _FIELDS):
        if not fields[at]:
            break
        parts.append(StatePart(int(fields[at]), int(fields[at + 1]), *fields[at + 2 : at + _FIELDS]))
    return parts
