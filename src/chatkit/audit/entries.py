"""Entries of the audit log: what happened, and the chain of hashes that an entry continues.

An entry is stored as JSON in one form only (ASCII, sorted keys, no spaces), with its number and the hash of the entry
before in it. Its own hash is the SHA-256 of that text.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast

from chatkit.errors import InvalidRequestError
from chatkit.ids import new_id, utc_now

__all__ = [
    "FIRST_PREVIOUS",
    "KEY_BYTES",
    "NEWEST",
    "Actor",
    "ActorKind",
    "AuditEntry",
    "AuditEvent",
    "AuditKind",
    "AuditRow",
    "Head",
    "as_line",
    "hash_of",
    "load_entry",
    "make_row",
    "new_entry_id",
    "printable_line",
    "pseudonym_of",
    "says_the_same",
]

FIRST_PREVIOUS: Final = "0" * 64
"""What the first entry has in the place of the hash of the one before."""

NEWEST: Final = 50
"""How many entries of a kind are looked at for the last one about a subject."""

KEY_BYTES: Final = 32
"""Length of an owner's key."""

_KIND: Final = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")
_HEAD: Final = re.compile(r"(?<![0-9a-z])([0-9]{1,18}):([0-9a-f]{64})(?![0-9a-z])")
_LONGEST: Final = {"kind": 64, "subject": 512, "reason": 1000, "actor's name": 256, "actor's note": 256}
_MOST_DETAILS: Final = 16_384
_PSEUDONYM_DIGITS: Final = 32


class AuditKind(StrEnum):
    """What is recorded by this package; applications may have kinds of their own, such as ``"ticket.opened"``."""

    SIGN_IN_REFUSED = "sign_in.refused"
    CONTENT_READ = "content.read"
    DATA_EXPORTED = "data.exported"
    DATA_IMPORTED = "data.imported"
    DATA_ERASED = "data.erased"
    RETENTION_APPLIED = "retention.applied"
    THREAD_DELETED = "thread.deleted"
    ATTACHMENT_DELETED = "attachment.deleted"
    TURN_STOPPED = "turn.stopped"
    APPROVAL_DECIDED = "approval.decided"
    LIMITS_CHANGED = "limits.changed"
    AUDIT_TRIMMED = "audit.trimmed"
    """Entries up to ``details.through``, whose hash was ``details.hash``, were deleted because of their age."""


ActorKind: TypeAlias = Literal["local", "signed_in", "owner", "server"]
"""Who acted: an account of the machine, somebody whom an identity provider named, the owner, or the server itself."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something.

    Attributes:
        kind: What sort of actor it is.
        name: The account, or the name that the identity provider gave; empty for an owner, who stays a pseudonym, and
            for the server.
        note: What the actor said of themself, which nobody has checked.

    Raises:
        InvalidRequestError: The name or the note is too long, or has characters that are not printed.
    """

    kind: ActorKind
    name: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if self.kind in {"local", "signed_in"} and not self.name:
            raise InvalidRequestError("The actor has no name.")
        for what, text in (("actor's name", self.name), ("actor's note", self.note)):
            printable_line(what, text)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """What is to be recorded.

    ``subject``, ``reason`` and ``details`` are kept as they are, also when the owner's data is erased: they must say
    nothing about a person. Name threads and turns by their ids, and persons by a ticket.

    Attributes:
        kind: An :class:`AuditKind`, or a kind of your own: small letters, digits and underscores, with dots between.
        actor: Who did it.
        owner: Whose data it is about; recorded as a pseudonym. None if it is nobody's.
        subject: What it is about, such as the id of a thread.
        reason: Why, in the actor's words.
        details: More, as JSON; numbers are whole ones.

    Raises:
        InvalidRequestError: One of these cannot be recorded.
    """

    kind: str
    actor: Actor
    owner: str | None = None
    subject: str = ""
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        for what, text in (("kind", self.kind), ("subject", self.subject), ("reason", self.reason)):
            printable_line(what, text)
        if not _KIND.fullmatch(self.kind):
            raise InvalidRequestError(f"A kind of entry is written like content.read, not {self.kind!r}.")
        try:
            size = len(_canonical(self.details))
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidRequestError(f"The details of an entry are JSON: {error}.") from None
        if size > _MOST_DETAILS:
            raise InvalidRequestError(
                f"The details of an entry have {size} bytes; {_MOST_DETAILS} are taken."
            )


class Head(NamedTuple):
    """The end of the chain: the number of the last entry, and its hash. As text ``NUMBER:HASH``."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"

    @classmethod
    def find(cls, text: str) -> list[Head]:
        """Returns the heads in a text, such as the line of a log."""
        return [cls(int(number), hash_) for number, hash_ in _HEAD.findall(text)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """What was recorded.

    Attributes:
        number: Its place in the log, from 1 without a gap.
        id: Its id.
        at: When it was recorded, by the clock of who did so.
        kind: As in :class:`AuditEvent`, and so are the next five, but for ``owner``.
        actor: Who did it.
        owner: The pseudonym of whose data it is about.
        subject: What it is about.
        reason: Why.
        details: More.
        previous: The hash of the entry before.
        hash: Its own hash.
    """

    number: int
    id: str
    at: datetime
    kind: str
    actor: Actor
    owner: str | None
    subject: str
    reason: str
    details: Mapping[str, Any]
    previous: str
    hash: str

    @property
    def head(self) -> Head:
        """The end of the chain while this was the last entry."""
        return Head(self.number, self.hash)


class AuditRow(NamedTuple):
    """An entry as it is stored: the text that is hashed, and what lists are filtered by."""

    number: int
    id: str
    at: datetime
    kind: str
    owner: str | None
    actor: str
    through: int | None
    data: str
    hash: str


def make_row(event: AuditEvent, head: Head | None, entry_id: str, pseudonym: str | None) -> AuditRow:
    """Returns the row that continues a chain.

    Args:
        event: What is recorded.
        head: The end of the chain, None if it has no entry.
        entry_id: Of the entry.
        pseudonym: Of the owner, if there is one.
    """
    number, previous = (1, FIRST_PREVIOUS) if head is None else (head.number + 1, head.hash)
    at = utc_now()
    data = _canonical(
        {
            "actor": {"kind": event.actor.kind, "name": event.actor.name, "note": event.actor.note},
            "at": at.isoformat(timespec="microseconds"),
            "details": event.details,
            "id": entry_id,
            "kind": str(event.kind),
            "number": number,
            "owner": pseudonym,
            "previous": previous,
            "reason": event.reason,
            "subject": event.subject,
        }
    )
    through = event.details.get("through") if event.kind == AuditKind.AUDIT_TRIMMED else None
    return AuditRow(
        number, entry_id, at, str(event.kind), pseudonym, event.actor.name, through, data, hash_of(data)
    )


def load_entry(row: AuditRow) -> AuditEntry:
    """Returns the entry of a row.

    Raises:
        ValueError: The row holds no entry, or says something else than its columns: it was changed.
    """
    fields: dict[str, Any] = json.loads(row.data)
    try:
        read = {"actor": Actor(**fields["actor"]), "at": datetime.fromisoformat(fields["at"])}
        entry = AuditEntry(**cast("Any", {**fields, **read}), hash=row.hash)
        through = entry.details.get("through") if entry.kind == AuditKind.AUDIT_TRIMMED else None
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"it is no entry ({error})") from error
    if not isinstance(through, int | None):
        raise ValueError("it does not say up to which number entries were deleted")  # noqa: TRY004 -- see above
    said = (entry.number, entry.id, entry.at, entry.kind, entry.owner, entry.actor.name, through)
    if said != row[:7]:
        raise ValueError("its columns say something else than its text")
    return entry


def says_the_same(newest: Iterable[str], event: AuditEvent) -> bool:
    """Returns whether the last entry about a subject has the same details as an event.

    Args:
        newest: The texts of the last entries of its kind, the newest first.
        event: The event.
    """
    for text in newest:
        try:
            fields = json.loads(text)
            subject, details = fields["subject"], fields["details"]
        except (ValueError, KeyError, TypeError):
            # Somebody has changed it, which a verification finds; it must not keep anybody from recording more.
            return False
        if subject == event.subject:
            return details == json.loads(_canonical(event.details))
    return False


def hash_of(data: str) -> str:
    """Returns the hash of an entry's text."""
    return hashlib.sha256(data.encode("utf-8", "surrogatepass")).hexdigest()


def pseudonym_of(owner: str, key: bytes) -> str:
    """Returns what stands for an owner: an HMAC-SHA256 by the owner's own key, its first 32 hex digits.

    Args:
        owner: The owner.
        key: A random key that no other owner has; once it is destroyed, nobody can tell whose pseudonym it is.
    """
    digest = hmac.digest(key, owner.encode("utf-8", "surrogatepass"), "sha256").hex()
    return f"owner_{digest[:_PSEUDONYM_DIGITS]}"


def new_entry_id() -> str:
    """Returns an id for a new entry."""
    return new_id("aud")


def printable_line(what: str, text: str) -> str:
    """Returns a text that can be recorded.

    Args:
        what: What it is, for messages.
        text: The text.

    Raises:
        InvalidRequestError: It is too long, or has line breaks or other characters that are not printed.
    """
    longest = _LONGEST[what]
    if len(text) > longest:
        raise InvalidRequestError(f"The {what} of an audit entry has {longest} characters at most.")
    if not text.isprintable():
        raise InvalidRequestError(f"The {what} of an audit entry is one line of characters that are printed.")
    return text


def as_line(text: str, longest: int = _LONGEST["subject"]) -> str:
    """Returns a text of others as one that can be recorded: what is not printed is escaped, what is too long cut.

    Args:
        text: The text.
        longest: Characters of the result at most.
    """
    line = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text[:longest]
    )
    return line[:longest]


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
