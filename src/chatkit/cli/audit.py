"""``chatkit audit``: reads and verifies the audit log."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from chatkit.audit import AuditEntry, AuditFilter, AuditLog, Head, Operator, Verification, verify_log
from chatkit.cli.operator import open_audit
from chatkit.cli.options import CommandError
from chatkit.cli.tables import cell, moment, print_json, print_table, say
from chatkit.ids import utc_now

__all__ = ["list_entries", "print_head", "trim", "verify"]

_PAGE: Final = 1000
_HEAD: Final = ("number", "time", "kind", "actor", "owner", "subject", "reason", "details")


def verify(
    db: str, audit_db: str | None, heads: Sequence[str], files: Sequence[str], *, as_json: bool
) -> int:
    """Prints what is wrong with the log, and what cannot be known; returns 1 if something is wrong.

    Args:
        db: The database of the threads.
        audit_db: The one of the log; None for the same.
        heads: Heads that were published, as text.
        files: Files with heads in them.
        as_json: Whether to print JSON.

    Raises:
        CommandError: A text is no head, or a file cannot be read or has none.
    """
    published = _published(heads, files)

    async def run() -> Verification:
        async with AsyncExitStack() as stack:
            return await verify_log(open_audit(db, audit_db, stack), published)

    found = asyncio.run(run())
    if as_json:
        shown = asdict(found) | {"head": None if found.head is None else str(found.head)}
        print_json([{"ok": not found.faults, **shown}])
    else:
        _tell(found, bool(published))
    return 1 if found.faults else 0


def _tell(found: Verification, compared: bool) -> None:
    if found.head is None:
        say("The audit log has no entries.")
    else:
        say(f"{found.count:,} entries, {found.first} to {found.head.number}; head {found.head}")
    if found.trimmed:
        say(f"Entries up to {found.trimmed} were deleted because of their age, as the log says.")
    for fault in found.faults:
        say(f"{fault.kind}: {fault.message}")
    if not found.faults and found.count:
        say("Each entry continues the one before: none was changed, is missing or stands in another order.")
    if not compared:
        say(
            "Not compared with a head that was published elsewhere. Without one this cannot find entries that were cut "
            "off at the end, a last entry that was changed with its hash, or a log that was written anew: give --head "
            "or --heads."
        )
    elif found.head is not None and found.covered < found.head.number:
        say(
            f"Published heads vouch for entries up to {found.covered}. Of later ones it cannot be found whether they "
            "were written anew, or cut off at the end."
        )
    elif not found.faults:
        say(f"Published heads vouch for all entries up to {found.covered}.")


def _published(heads: Sequence[str], files: Sequence[str]) -> list[Head]:
    published: list[Head] = []
    for text in heads:
        found = Head.find(text)
        if len(found) != 1 or str(found[0]) != text.strip():
            raise CommandError(
                f"A head is NUMBER:HASH, as 'chatkit audit head' prints it, not {text[:100]!r}."
            )
        published += found
    for path in files:
        count = len(published)
        try:
            with Path(path).open(encoding="utf-8", errors="replace") as file:
                for line in file:
                    published += Head.find(line)
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror or error}.") from error
        if len(published) == count:
            raise CommandError(f"{path} has no head of an audit log in it.")
    return published


def list_entries(arguments: argparse.Namespace) -> int:
    """Prints entries, and returns the exit code."""
    matching = AuditFilter(
        kind=arguments.kind, actor=arguments.actor, since=arguments.since, until=arguments.until
    )

    async def run() -> None:
        async with AsyncExitStack() as stack:
            log = open_audit(arguments.db, arguments.audit_db, stack)
            wanted = matching
            if arguments.owner is not None:
                pseudonym = await log.pseudonym(arguments.owner)
                if pseudonym is None:
                    raise CommandError(
                        "No entry can be told to be about that owner: none is, or the key of the pseudonym was "
                        "destroyed when the data was erased."
                    )
                wanted = replace(matching, owner=pseudonym)
            printed = False
            async for page in _pages(log, wanted, None if arguments.all else arguments.limit):
                printed = True
                _print(page, as_json=arguments.json)
            if not printed and not arguments.json:
                say("No entries.")

    asyncio.run(run())
    return 0


async def _pages(log: AuditLog, matching: AuditFilter, limit: int | None) -> AsyncIterator[list[AuditEntry]]:
    """Yields entries by their numbers: all of them, or the newest."""
    if limit is not None:
        newest = await log.entries(matching, limit=limit, newest_first=True)
        if newest:
            yield newest[::-1]
        return
    after: int | None = None
    while page := await log.entries(matching, limit=_PAGE, after=after):
        yield page
        after = page[-1].number


def _print(page: list[AuditEntry], *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(entry) for entry in page)
        return
    rows = [
        (
            str(entry.number),
            moment(entry.at),
            entry.kind,
            cell(_actor(entry)),
            entry.owner or "-",
            cell(entry.subject or "-"),
            cell(entry.reason or "-", 100),
            cell(" ".join(f"{name}={value}" for name, value in entry.details.items()) or "-", 100),
        )
        for entry in page
    ]
    print_table(_HEAD, rows, ("number",))


def _actor(entry: AuditEntry) -> str:
    actor = entry.actor
    name = actor.name or actor.kind
    return f"{name} ({actor.note})" if actor.note else name


def print_head(db: str, audit_db: str | None) -> int:
    """Prints the head of the log, and returns the exit code.

    Args:
        db: The database of the threads.
        audit_db: The one of the log; None for the same.
    """

    async def run() -> Head | None:
        async with AsyncExitStack() as stack:
            return await open_audit(db, audit_db, stack).head()

    head = asyncio.run(run())
    if head is None:
        raise CommandError("The audit log has no entries.")
    say(str(head))
    return 0


def trim(db: str, audit_db: str | None, days: int, reason: str | None, note: str) -> int:
    """Deletes old entries, and returns the exit code.

    Args:
        db: The database of the threads.
        audit_db: The one of the log; None for the same.
        days: How old they are at least.
        reason: Why.
        note: What the operator says of themself.
    """
    operator = Operator.local(note)
    reason = operator.require(None, reason)

    async def run() -> int:
        async with AsyncExitStack() as stack:
            log = open_audit(db, audit_db, stack)
            trimmed = await log.trim(utc_now() - timedelta(days=days), operator.actor, reason)
            return trimmed.count

    say(f"{asyncio.run(run()):,} entries were deleted, which were older than {days} days.")
    return 0
