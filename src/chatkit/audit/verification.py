"""Verifies an audit log: finds entries that were changed, are missing, or stand in another order."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from chatkit.audit.base import AuditLog
from chatkit.audit.entries import FIRST_PREVIOUS, AuditEntry, AuditRow, Head, hash_of, load_entry

__all__ = ["Fault", "FaultKind", "Verification", "verify_log"]

_PAGE: Final = 1000
_MOST_FAULTS: Final = 100

FaultKind: TypeAlias = Literal["changed", "missing", "reordered", "cut", "rewritten"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong.

    Attributes:
        kind: ``"changed"``, ``"missing"`` or ``"reordered"`` entries; ``"cut"``: entries at the end are missing that
            a published head knows; ``"rewritten"``: an entry is another one than a published head knows.
        first: The number of the first entry that it is about.
        last: The number of the last one.
        message: What was found.
    """

    kind: FaultKind
    first: int
    last: int
    message: str


@dataclass(slots=True)
class Verification:
    """What was found.

    Attributes:
        count: How many entries there are.
        first: The number of the first one, 0 without any.
        head: The end of the chain.
        faults: What is wrong, the first hundred.
        trimmed: The number up to which entries were deleted because of their age, as the log says.
        covered: The number up to which published heads vouch for the entries; 0 without any that fits.
    """

    count: int = 0
    first: int = 0
    head: Head | None = None
    faults: list[Fault] = field(default_factory=list[Fault])
    trimmed: int = 0
    covered: int = 0

    def add(self, kind: FaultKind, first: int, last: int, message: str) -> None:
        """Adds something that is wrong.

        Args:
            kind: What it is.
            first: The first entry that it is about.
            last: The last one.
            message: What was found.
        """
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(Fault(kind, first, last, message))


async def verify_log(log: AuditLog, published: Iterable[Head] = ()) -> Verification:
    """Returns what is wrong with a log.

    Without a head that was published elsewhere, such as in a file or in the log of the server, three things cannot be
    found: that entries are missing at the end, that the last one was changed together with its hash, and that the
    chain was written anew from some entry on.

    Args:
        log: The log.
        published: Heads that were published.
    """
    known = list(published)
    while True:
        found = await _verified(log, known)
        oldest = await log.rows(limit=1) if found.faults else ()
        if not oldest or oldest[0].number <= found.first:
            return found
        # Old entries were deleted while it was read, which looks as if they were missing.


async def _verified(log: AuditLog, published: Iterable[Head]) -> Verification:
    heads: dict[int, set[str]] = {}
    for head in published:
        heads.setdefault(head.number, set()).add(head.hash)
    found = Verification()
    before: AuditRow | None = None
    sound = False
    trim: AuditRow | None = None
    trimmed = 0
    start = FIRST_PREVIOUS
    async for row in _rows(log):
        entry = _check(row, found)
        if before is None:
            found.first = row.number
            start = FIRST_PREVIOUS if entry is None else entry.previous
        elif row.number > before.number + 1:
            _miss(found, before.number + 1, row.number - 1)
        elif sound and entry is not None and entry.previous != before.hash:
            found.add(
                "changed",
                before.number,
                row.number,
                f"Entry {row.number} does not continue entry {before.number}: one of them was changed together with "
                "its hash.",
            )
        if entry is not None and (row.through or 0) > trimmed:
            trim, trimmed = row, row.through or 0
        _compare(found, row.number, row.hash, heads.pop(row.number, ()))
        found.count += 1
        before, sound = row, entry is not None
    found.head = None if before is None else Head(before.number, before.hash)
    found.trimmed = trimmed
    await _check_start(log, found, start, trim)
    last = 0 if before is None else before.number
    for number in sorted(heads):
        if number > last:
            found.add(
                "cut",
                last + 1,
                number,
                f"The log ends with entry {last}, and a head was published for entry {number}: the end was cut off.",
            )
        elif trim is not None and number == trimmed:
            _compare(found, number, _hash_before(trim), heads[number])
    return found


async def _rows(log: AuditLog) -> AsyncIterator[AuditRow]:
    after: int | None = None
    while page := await log.rows(limit=_PAGE, after=after):
        for row in page:
            yield row
        after = page[-1].number


def _check(row: AuditRow, found: Verification) -> AuditEntry | None:
    """Returns the entry of a row; None, and says so, if it is not what was recorded in its place."""
    if hash_of(row.data) != row.hash:
        found.add("changed", row.number, row.number, f"Entry {row.number} was changed: it has another hash.")
        return None
    try:
        number = json.loads(row.data)["number"]
        if number != row.number:
            found.add(
                "reordered",
                row.number,
                row.number,
                f"Entry {number} stands in the place of entry {row.number}.",
            )
            return None
        return load_entry(row)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        found.add("changed", row.number, row.number, f"Entry {row.number} was changed: {error}.")
        return None


def _miss(found: Verification, first: int, last: int) -> None:
    what = f"Entry {first} is" if first == last else f"Entries {first} to {last} are"
    found.add("missing", first, last, f"{what} missing.")


def _compare(found: Verification, number: int, stored: object, hashes: Iterable[str]) -> None:
    """Compares the hash of an entry with what was published of it."""
    for hash_ in hashes:
        if hash_ == stored:
            found.covered = max(found.covered, number)
        else:
            found.add(
                "rewritten",
                number,
                number,
                f"Entry {number} is not the one of which a head was published: the log was written anew up to it, "
                "or the head is of another log.",
            )


def _hash_before(trim: AuditRow) -> object:
    """Returns the hash of the last entry that was deleted because of its age."""
    return json.loads(trim.data)["details"].get("hash")


async def _check_start(log: AuditLog, found: Verification, start: str, trim: AuditRow | None) -> None:
    """Finds entries that are missing at the beginning, but for those that were deleted because of their age."""
    if trim is not None:
        through, hash_ = found.trimmed, _hash_before(trim)
        if through == found.first - 1:
            ends_so = start == hash_
        else:
            rows = await log.rows(limit=1, after=through - 1)
            ends_so = through >= found.first and bool(rows) and rows[0].hash == hash_
        if not ends_so:
            found.add(
                "missing",
                through + 1,
                max(through + 1, found.first - 1),
                f"Entry {trim.number} says that entries up to {through} were deleted because of their age, and what "
                "is left does not continue there.",
            )
    elif found.first > 1:
        _miss(found, 1, found.first - 1)
    elif found.count and start != FIRST_PREVIOUS:
        found.add("changed", 1, 1, "Entry 1 is not the first one of a log.")
