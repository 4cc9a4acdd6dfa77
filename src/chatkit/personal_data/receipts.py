"""What export, import, erasure and retention report, and what an erasure cannot reach."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

__all__ = ["ExportReport", "ImportReport", "Leftover", "Receipt", "RetentionReport", "out_of_reach"]


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that an erasure cannot reach.

    Attributes:
        what: Where it is.
        why: What may be in it.
        do: What to do about it.
    """

    what: str
    why: str
    do: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an erasure has erased, and what it could not reach.

    Attributes:
        id: Of the erasure.
        owner: Whose data it was; empty where it is read again, for that is not kept.
        reason: Why, as given.
        begun_at: When new data of the owner was refused.
        ended_at: When nothing was left.
        erased: How much, by table, or kind of Redis key; ``files`` are those of attachments, with previews.
        places: Where.
        problems: What could not be done in these places, each with what to do.
        out_of_reach: Where there may be more.
    """

    id: str
    owner: str
    reason: str | None
    begun_at: datetime
    ended_at: datetime
    erased: Mapping[str, int]
    places: Sequence[str]
    problems: Sequence[str] = ()
    out_of_reach: Sequence[Leftover] = ()

    def json(self) -> str:
        """Returns it as JSON."""
        return _json({"kind": "receipt", **asdict(self)})

    def text(self) -> str:
        """Returns it for people."""
        whose = repr(self.owner) if self.owner else "an owner whose name is not kept"
        lines = [
            f"Erasure {self.id} of {whose}, from {self.begun_at:%Y-%m-%d %H:%M:%S} to "
            f"{self.ended_at:%Y-%m-%d %H:%M:%S} UTC" + (f": {self.reason}" if self.reason else ""),
            f"In {', '.join(self.places)}.",
            "",
            "Erased:",
            *(f"  {number:>9,}  {name}" for name, number in sorted(self.erased.items())),
        ]
        if self.problems:
            lines += ["", "Not done:", *(f"  {problem}" for problem in self.problems)]
        lines += ["", "Out of reach:"]
        for left in self.out_of_reach:
            lines += [f"  {left.what}: {left.why}.", f"    {left.do}"]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export holds.

    Attributes:
        owner: Whose data it is.
        folder: Where it is.
        counts: How many lines of each kind.
        files: How many files.
        left_out: What is not in it, in sentences.
    """

    owner: str
    folder: Path
    counts: Mapping[str, int]
    files: int
    left_out: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import has added.

    Attributes:
        owner: Whose it is now.
        added: How many of each kind are new.
        present: How many of each kind were there before, and were left as they are.
        left_out: How many lines of each table an import leaves out.
        problems: What could not be taken over, in sentences.
    """

    owner: str
    added: Mapping[str, int]
    present: Mapping[str, int]
    left_out: Mapping[str, int]
    problems: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RetentionReport:
    """What retention has deleted, or would delete.

    Attributes:
        threads: How many threads, by owner.
        usage: How many records of usage.
        ran: False where another worker is at it.
        dry_run: Whether nothing was deleted.
    """

    threads: Mapping[str, int] = field(default_factory=dict[str, int])
    usage: int = 0
    ran: bool = True
    dry_run: bool = False


_ALWAYS: Final = (
    Leftover(
        "backups",
        "copies of the database and of files from before",
        "Let them expire, and say how long that takes; after a restore run 'chatkit erase' again.",
    ),
    Leftover(
        "places that were not named",
        "another database, a Redis server, a folder or bucket that servers use and that is not in the list of places",
        "Erase again, with the --db, --stream-log and --files of the servers.",
    ),
    Leftover(
        "the model's provider",
        "messages and files that were sent to it",
        "Delete them there, or rely on its own retention: see its data processing terms.",
    ),
    Leftover(
        "traces and metrics",
        "spans with ids of threads and turns, and with what was said where that was asked for",
        "Delete them by thread or turn in the tracing system, or let them expire.",
    ),
    Leftover(
        "logs",
        "lines of servers, proxies and object storage: ids, addresses, file names in URLs",
        "Let them expire. JSON logs name the owner by the digest of chatkit.logs.owner_digest().",
    ),
    Leftover(
        "tables of the application",
        "what handlers keep themselves, such as feedback or profiles, and what an agent's framework remembers",
        "Erase it in the application.",
    ),
    Leftover(
        "earlier exports",
        "folders that 'chatkit export' wrote",
        "Delete them.",
    ),
    Leftover(
        "memory of servers that run",
        "the events of turns that ended in the last two minutes",
        "It goes by itself; a restart ends it at once.",
    ),
)
_BY_KIND: Final[Mapping[str, tuple[Leftover, ...]]] = {
    "sqlite": (
        Leftover(
            "blocks of the disk",
            "what the file system freed, and its snapshots",
            "Encrypt the disk; delete snapshots.",
        ),
    ),
    "postgres": (
        Leftover(
            "the WAL archive",
            "each change of the database, also what was deleted",
            "Let the archive expire; a base backup made now begins without this data.",
        ),
        Leftover(
            "replicas",
            "standbys follow by themselves; logical subscribers and delayed standbys may not",
            "See that they have caught up, and erase in logical subscribers.",
        ),
        Leftover(
            "free space in the files of tables",
            "rows that were deleted, until their space is used again",
            "Run it with --vacuum full, or VACUUM FULL, where files have to hold nothing at once.",
        ),
    ),
    "redis": (
        Leftover(
            "files and replicas of Redis",
            "its snapshot and its append-only file have what was deleted until they are written anew",
            "Run BGREWRITEAOF and BGSAVE; replicas follow by themselves.",
        ),
    ),
    "folder": (
        Leftover(
            "blocks of the disk with files",
            "what the file system freed, and its snapshots",
            "Encrypt the disk; delete snapshots.",
        ),
    ),
    "bucket": (
        Leftover(
            "versions of the bucket",
            "where it keeps versions, a deleted object is still there under its version id; so are replicas of it",
            "Add a lifecycle rule for noncurrent versions, or delete them: list-object-versions, delete-object.",
        ),
    ),
    "application": (
        Leftover(
            "the application's store",
            "whatever it keeps beside threads, items and attachments, such as usage, keys and turns",
            "Erase it there; the port of stores has no call for it.",
        ),
    ),
}


def out_of_reach(kinds: Collection[str]) -> list[Leftover]:
    """Returns what an erasure cannot reach, by the kinds of places that it was in."""
    return [*_ALWAYS, *(left for kind, found in _BY_KIND.items() if kind in kinds for left in found)]


def _json(fields: Mapping[str, Any]) -> str:
    def plain(value: object) -> str:
        return value.isoformat() if isinstance(value, datetime) else str(value)

    return json.dumps(fields, ensure_ascii=False, indent=2, default=plain)
