"""``chatkit export``, ``import``, ``erase`` and ``retention``: what is kept of a person."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chatkit.audit import Operator
from chatkit.cli.console import printable
from chatkit.cli.database import check_name, describe, is_postgres, open_store
from chatkit.cli.files import folder_of, open_files
from chatkit.cli.operator import add_audit_db, open_audit
from chatkit.cli.options import (
    DEFAULT_DB,
    CommandError,
    add_db,
    listed,
    retention_rule,
    seconds_or_days,
    setting,
)
from chatkit.cli.streams import open_log
from chatkit.errors import ChatKitError
from chatkit.files import LocalFileStore
from chatkit.personal_data import PersonalData, RetentionRule

__all__ = ["ERASE", "EXPORT", "IMPORT", "RETENTION", "add_options"]

EXPORT: Final = """\
Write what is kept of an owner into a new folder: threads, items, attachments with their files and previews, usage, and
rows of turns, keys, sessions and counters. The format is in docs/personal-data.md. Servers may run meanwhile.
"""
IMPORT: Final = """\
Add what 'chatkit export' wrote to a database, under the same owner or another one. The export is checked first. What is
there already stays as it is, so that an import that was cut off can be done again.
"""
ERASE: Final = """\
Erase all that is kept of an owner, and print a receipt: what was erased, and what cannot be reached from here.

Requests of the owner are refused meanwhile, and running answers are stopped, in all workers. Name the same --stream-log
and --files as the servers have. An erasure that was cut off is gone on with by the same command. Without --yes nothing
is erased: it says how much there is.
"""
RETENTION: Final = """\
Delete threads in which nothing happened for long, with their files; those with a running answer stay. 'chatkit serve
--retention' does so by itself.

A rule is a time (365d; units s, m, h, d, w, y), or a time for owners that fit a pattern ('acme/*=30d', ada=forever).
The first rule that is for an owner counts.
"""


@dataclass(frozen=True, slots=True)
class _Places:
    """Where the data is."""

    db: str
    files: str | None
    stream_log: str | None


def add_options(add: Callable[[str, str, str], argparse.ArgumentParser]) -> None:
    """Adds the four commands.

    Args:
        add: Makes the parser of a command, from its name, a line about it, and its description.
    """
    exporting = add("export", "write what is kept of a person into a folder", EXPORT)
    exporting.set_defaults(run=_export)
    exporting.add_argument("--owner", required=True, metavar="OWNER", help="whose data")
    exporting.add_argument("--to", required=True, metavar="FOLDER", help="a folder that does not exist")
    importing = add("import", "add what such a folder holds", IMPORT)
    importing.set_defaults(run=_import)
    importing.add_argument("folder", metavar="FOLDER", help="what 'chatkit export' wrote")
    importing.add_argument("--owner", metavar="OWNER", help="whose it is to be; default whose it was")
    erasing = add("erase", "erase what is kept of a person", ERASE)
    erasing.set_defaults(run=_erase)
    erasing.add_argument("--owner", metavar="OWNER", help="whose data")
    erasing.add_argument(
        "--show", metavar="ID", help="print the receipt of an erasure again, without whose it was"
    )
    erasing.add_argument("--yes", action="store_true", help="erase; without it, say how much there is")
    erasing.add_argument(
        "--vacuum",
        choices=("usual", "full", "none"),
        default="usual",
        help="how the database overwrites what was deleted: 'full' writes PostgreSQL's tables anew, for which servers "
        "wait; 'none' leaves it to you",
    )
    erasing.add_argument(
        "--patience",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long running answers may take to stop; default 60",
    )
    erasing.add_argument("--receipt", metavar="FILE", help="where the receipt goes as JSON, too")
    erasing.add_argument("--json", action="store_true", help="print the receipt as JSON")
    retaining = add("retention", "delete threads that are old", RETENTION)
    retaining.set_defaults(run=_retain)
    retaining.add_argument(
        "--keep",
        type=retention_rule,
        action="append",
        metavar="RULE",
        help="how long threads are kept; repeatable (CHATKIT_RETENTION, separated by commas)",
    )
    retaining.add_argument(
        "--usage",
        type=seconds_or_days,
        metavar="TIME",
        help="how long usage is kept, such as 730d; default for ever",
    )
    retaining.add_argument("--dry-run", action="store_true", help="delete nothing; say what would be")
    for parser in (exporting, importing, erasing, retaining):
        add_db(parser, default=setting("CHATKIT_DB", DEFAULT_DB))
        parser.add_argument(
            "--files",
            metavar="FOLDER",
            default=setting("CHATKIT_FILES"),
            help="attached files: a folder, 's3://bucket/prefix?...', or 'off'; default chatkit-files beside "
            "chatkit.db (CHATKIT_FILES)",
        )
        parser.add_argument(
            "--stream-log",
            metavar="URL",
            default=setting("CHATKIT_STREAM_LOG"),
            help="where workers share running turns, if not in the database (CHATKIT_STREAM_LOG)",
        )
        add_audit_db(parser)
        needed = parser in {exporting, erasing}
        parser.add_argument(
            "--reason",
            metavar="TEXT",
            help="why, in a line without personal data, such as the number of a ticket: the audit log has it"
            + ("" if needed else "; not needed"),
        )


@asynccontextmanager
async def _opened(arguments: argparse.Namespace, *, made: bool = False) -> AsyncGenerator[PersonalData]:
    """Opens the places; a database that does not exist is an error, unless it may be ``made``."""
    places = _Places(arguments.db, arguments.files, arguments.stream_log)
    check_name(places.db)
    if not made and not is_postgres(places.db) and not os.path.isfile(places.db):  # noqa: PTH113, ASYNC240
        raise CommandError(f"There is no database {places.db}.")
    async with AsyncExitStack() as stack:
        audit = None if arguments.audit_db is None else open_audit(places.db, arguments.audit_db, stack)
        store = open_store(places.db)
        stack.push_async_callback(store.close)
        log = open_log(places.stream_log, store, None)
        data = PersonalData(store, _files(places), stream_log=log, operator=Operator.local(), audit=audit)
        if data.log is not None:
            stack.push_async_callback(data.log.close)
        stack.push_async_callback(data.close)
        yield data


def _files(places: _Places) -> Any:
    folder = folder_of(places.files, places.db)
    if folder is None:
        return open_files(places.files, places.db)
    # No link is made or checked here, and no secret.
    return LocalFileStore(folder, base_url="https://unused.invalid", secret="unused")  # noqa: S106


async def _check_files(data: PersonalData, arguments: argparse.Namespace, counts: Mapping[str, int]) -> None:
    """Raises CommandError where files are looked for in a folder that is not there: they are somewhere else."""
    folder = folder_of(arguments.files, arguments.db)
    if counts.get("attachments") and folder is not None and not folder.is_dir():
        raise CommandError(
            f"There are {counts['attachments']} attachments, and no folder {folder}. Say where their files are with "
            "--files, or --files off if there are none."
        )


def _ran(work: Coroutine[Any, Any, int]) -> int:
    return asyncio.run(work)


def _export(arguments: argparse.Namespace) -> int:
    async def run() -> int:
        async with _opened(arguments) as data:
            await _check_files(data, arguments, await data.count(arguments.owner))
            report = await data.export(arguments.owner, Path(arguments.to), reason=arguments.reason)
        print(f"{report.folder}: {_counted(report.counts)}, {report.files} files.")
        for line in report.left_out:
            print(f"Not in it: {printable(line)}")
        return 0

    return _ran(run())


def _import(arguments: argparse.Namespace) -> int:
    async def run() -> int:
        async with _opened(arguments, made=True) as data:
            report = await data.import_(
                Path(arguments.folder), owner=arguments.owner, reason=arguments.reason
            )
        print(f"{printable(report.owner)} in {describe(arguments.db)}: {_counted(report.added)} added.")
        if report.present:
            print(f"There already, and left as it is: {_counted(report.present)}.")
        if report.left_out:
            print(f"Not imported, for it is of the place that it came from: {_counted(report.left_out)}.")
        for problem in report.problems:
            print(f"Not imported: {printable(problem)}.")
        return 0

    return _ran(run())


def _erase(arguments: argparse.Namespace) -> int:
    async def run() -> int:
        async with _opened(arguments) as data:
            if arguments.show is not None:
                receipt = await data.find_receipt(arguments.show)
            elif arguments.owner is None:
                raise CommandError("Say whose data with --owner, or name an erasure with --show.")
            else:
                counts = await data.count(arguments.owner)
                await _check_files(data, arguments, counts)
                if not arguments.yes:
                    print(f"Kept of {printable(arguments.owner)}: {_counted(counts) or 'nothing'}.")
                    print("Nothing was erased. Give --yes to erase it.")
                    return 1
                receipt = await data.erase(
                    arguments.owner,
                    reason=arguments.reason,
                    vacuum=arguments.vacuum,
                    patience=arguments.patience,
                )
        print(receipt.json() if arguments.json else printable(receipt.text()))
        if arguments.receipt is not None:
            _keep(arguments.receipt, receipt.json())
        return 1 if receipt.problems else 0

    return _ran(run())


def _keep(path: str, receipt: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(receipt + "\n")
    except OSError as error:
        raise CommandError(
            f"All is erased, but the receipt cannot be written to {path}: {error.strerror or error}. It is printed "
            "above."
        ) from error


def _retain(arguments: argparse.Namespace) -> int:
    rules: Sequence[RetentionRule] = arguments.keep or _configured()
    if not rules and arguments.usage is None:
        raise CommandError(
            "Say how long threads are kept, such as --keep 365d, or usage, such as --usage 730d."
        )

    async def run() -> int:
        async with _opened(arguments) as data:
            report = await data.retain(
                rules, usage_seconds=arguments.usage, dry_run=arguments.dry_run, reason=arguments.reason
            )
        if not report.ran:
            print("Another worker is at it: nothing was done.")
            return 0
        done = "would be deleted" if report.dry_run else "deleted"
        for owner, number in sorted(report.threads.items()):
            print(f"{printable(owner)}: {number:,} threads {done}.")
        print(f"{sum(report.threads.values()):,} threads {done}, {report.usage:,} records of usage.")
        return 0

    return _ran(run())


def _configured() -> list[RetentionRule]:
    try:
        return [RetentionRule.parse(entry) for entry in listed("CHATKIT_RETENTION")]
    except ChatKitError as error:
        raise CommandError(f"CHATKIT_RETENTION: {error}") from None


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in sorted(counts.items()))
