"""The options of ``chatkit admin``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Final

from chatkit.cli.operator import add_operator
from chatkit.cli.options import count, setting

__all__ = ["DESCRIPTION", "add_options"]

DESCRIPTION: Final = """\
Look after a chat that serves: over the database of --db, and the log of --stream-log if the server has one.

  owners          whose threads there are, with counts and the last activity
  threads OWNER   ids, times and counts of an owner's threads
  show THREAD     what is said in a thread; needs --reason, and is recorded in the audit log before it is shown
  running         turns that run, over all workers
  stop TURN       stop one; needs --reason, and is recorded
  stuck           turns that nobody goes on with
  workers         the workers, and their leases
  usage           what models have used
  feedback        thumbs up and down that are kept with threads

Only 'show' prints what users and models say; titles are that, too. Names that others have chosen are printed in one
line, with escapes for what could steer a terminal. Whoever can read the database can read all of it without this
command: who may do so is decided by its password and the permissions of its file.
"""

_Command = Callable[[argparse.Namespace], int]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds all commands, with their options and what runs with them."""
    commands = parser.add_subparsers(dest="admin_command", metavar="COMMAND", required=True)

    def add(name: str, help: str, *, acts: bool = False, pages: bool = False) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help)
        command.set_defaults(run=_run)
        add_operator(command, acts=acts)
        command.add_argument("--json", action="store_true", help="print JSON lines, with all fields")
        if pages:
            command.add_argument(
                "--limit", type=count, default=100, metavar="N", help="how many at most; default 100"
            )
            command.add_argument("--all", action="store_true", help="all of them, a page at a time")
        return command

    def add_log(command: argparse.ArgumentParser) -> None:
        command.add_argument(
            "--stream-log",
            metavar="URL",
            default=setting("CHATKIT_STREAM_LOG"),
            help="as for 'chatkit serve' (CHATKIT_STREAM_LOG)",
        )

    owners = add("owners", "owners, with counts", pages=True)
    owners.add_argument("--after", metavar="OWNER", help="those after this one, by name")

    threads = add("threads", "threads of an owner, without their titles", pages=True)
    threads.add_argument("owner", metavar="OWNER", help="the owner")
    threads.add_argument("--after", metavar="THREAD", help="those that are older than this one")

    showing = add("show", "what is said in a thread", acts=True)
    showing.add_argument("thread", metavar="THREAD", help="the thread")
    showing.add_argument(
        "--owner", metavar="OWNER", help="whose it is, where several owners have one of that id"
    )

    running = add("running", "turns that run, over all workers", pages=True)
    running.add_argument("--after", metavar="TURN", default="", help="those after this one, by id")
    add_log(running)

    stopping = add("stop", "stop a turn", acts=True)
    stopping.add_argument("turn", metavar="TURN", help="the turn")
    add_log(stopping)

    add_log(add("stuck", "turns that nobody goes on with"))
    add_log(add("workers", "workers and their leases"))

    using = add("usage", "what models have used")
    using.add_argument("--days", type=count, default=30, metavar="N", help="days back from now; default 30")
    using.add_argument("--owner", metavar="OWNER", help="one owner's alone")
    using.add_argument(
        "--plot", action="store_true", help="bars of the tokens of each day, and what they cost"
    )

    rating = add("feedback", "thumbs up and down", pages=True)
    rating.add_argument("--owner", metavar="OWNER", help="one owner's alone")


def _run(arguments: argparse.Namespace) -> int:
    from chatkit.cli.admin import run

    return run(arguments)
