"""The options of ``chatkit audit``."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Final

from chatkit.cli.operator import add_operator
from chatkit.cli.options import count

__all__ = ["DESCRIPTION", "add_options"]

DESCRIPTION: Final = """\
Read and verify the audit log, which 'chatkit serve --audit' and commands of operators append to.

  verify   find entries that were changed, are missing, or stand in another order
  list     show entries
  head     print the number and the hash of the last entry, to be kept elsewhere
  trim     delete old entries, and record that

'verify' with --head or --heads also finds entries that were cut off at the end, and a log that was written anew: give
it what was published elsewhere, by 'chatkit audit head', 'chatkit serve --audit-head', or in the server's log.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds all commands, with their options and what runs with them."""
    commands = parser.add_subparsers(dest="audit_command", metavar="COMMAND", required=True)

    verifying = commands.add_parser("verify", help="find what was changed")
    verifying.set_defaults(run=_verify)
    add_operator(verifying)
    verifying.add_argument(
        "--head",
        action="append",
        default=[],
        metavar="NUMBER:HASH",
        help="a head that was published elsewhere; repeatable",
    )
    verifying.add_argument(
        "--heads",
        action="append",
        default=[],
        metavar="FILE",
        help="a file with such heads anywhere in its lines, such as that of --audit-head, or a log; repeatable",
    )
    verifying.add_argument("--json", action="store_true", help="print the result as JSON")

    listing = commands.add_parser("list", help="show entries")
    listing.set_defaults(run=_list)
    add_operator(listing)
    listing.add_argument("--kind", metavar="KIND", help="of this kind, such as content.read")
    listing.add_argument(
        "--owner", metavar="OWNER", help="about this owner's data, if the key is still there"
    )
    listing.add_argument("--actor", metavar="NAME", help="by an actor of this name")
    listing.add_argument("--since", type=_moment, metavar="TIME", help="from this day or moment on, by UTC")
    listing.add_argument("--until", type=_moment, metavar="TIME", help="before this day or moment, by UTC")
    listing.add_argument("--limit", type=count, default=100, metavar="N", help="the newest N; default 100")
    listing.add_argument("--all", action="store_true", help="all of them, the oldest first")
    listing.add_argument("--json", action="store_true", help="print JSON lines, with all fields")

    heading = commands.add_parser("head", help="print number and hash of the last entry")
    heading.set_defaults(run=_head)
    add_operator(heading)

    trimming = commands.add_parser("trim", help="delete old entries, and record that")
    trimming.set_defaults(run=_trim)
    add_operator(trimming, acts=True)
    trimming.add_argument("--days", type=count, required=True, metavar="N", help="entries older than N days")


def _moment(text: str) -> datetime:
    """Reads a day or a moment in ISO 8601."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"a time is written 2026-12-31, or 2026-12-31T23:59, not {text!r}"
        ) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _verify(arguments: argparse.Namespace) -> int:
    from chatkit.cli.audit import verify

    return verify(arguments.db, arguments.audit_db, arguments.head, arguments.heads, as_json=arguments.json)


def _list(arguments: argparse.Namespace) -> int:
    from chatkit.cli.audit import list_entries

    return list_entries(arguments)


def _head(arguments: argparse.Namespace) -> int:
    from chatkit.cli.audit import print_head

    return print_head(arguments.db, arguments.audit_db)


def _trim(arguments: argparse.Namespace) -> int:
    from chatkit.cli.audit import trim

    return trim(arguments.db, arguments.audit_db, arguments.days, arguments.reason, arguments.note)
