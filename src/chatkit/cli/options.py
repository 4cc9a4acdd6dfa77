"""The values of options, from the command line, the environment, or defaults."""

from __future__ import annotations

import argparse
import math
import os
import re
from typing import Final

from chatkit.errors import ChatKitError, ConfigurationError
from chatkit.personal_data.retention import RetentionRule
from chatkit.quotas import Quota

__all__ = [
    "DEFAULT_DB",
    "DEFAULT_LIMIT_CONCURRENCY",
    "CommandError",
    "add_db",
    "count",
    "header",
    "lease",
    "listed",
    "listening_address",
    "port",
    "quota",
    "retention_rule",
    "root_path",
    "seconds",
    "seconds_or_days",
    "setting",
    "timeout",
    "traces",
    "workers",
    "workflow",
]


class CommandError(ChatKitError):
    """The command cannot do what was asked; the message is all that the user sees.

    Any function of this package may raise it.
    """

    code = "command_error"


DEFAULT_DB: Final = "chatkit.db"
"""In the working folder."""

DEFAULT_LIMIT_CONCURRENCY: Final = 4000
"""Connections at once, of a process."""

_DAY_SECONDS: Final = 86400
_PATH: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*:\s*(.*)")


def setting(name: str, default: str | None = None) -> str | None:
    """Returns an environment variable's value; one that is empty counts as not set."""
    return os.environ.get(name) or default


def listed(name: str) -> list[str]:
    """Returns the comma-separated values of an environment variable."""
    return [entry.strip() for entry in (setting(name) or "").split(",") if entry.strip()]


def port(text: str) -> int:
    """Reads a TCP port; 0 lets the system choose one."""
    if text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")


def listening_address(text: str) -> str:
    """Reads ``PORT``, which is one of 127.0.0.1, or ``HOST:PORT``."""
    host, _, number = text.rpartition(":")
    return f"{host or '127.0.0.1'}:{port(number)}"


def traces(text: str) -> tuple[str, ...]:
    """Reads ``on``, or what is traced besides, with commas between; ``off`` is nothing."""
    asked = tuple(word.strip() for word in text.split(","))
    if asked == ("off",):
        return ()
    if {*asked} <= {"on", "storage", "content"}:
        return asked
    raise argparse.ArgumentTypeError(
        f"traces are off, on, storage or content, with commas between, not {text!r}"
    )


def workers(text: str) -> int:
    """Reads a number of processes."""
    if text.isascii() and text.isdigit() and 0 < int(text[:6]) <= 1024:
        return int(text)
    raise argparse.ArgumentTypeError(f"the number of workers is 1 to 1024, not {text!r}")


def seconds(text: str) -> float:
    """Reads a time of 0 seconds to a day."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if 0 <= number <= _DAY_SECONDS:
        return number
    raise argparse.ArgumentTypeError(f"a time is a number of seconds, 0 to {_DAY_SECONDS:g}, not {text!r}")


def timeout(text: str) -> float:
    """Reads a time of more than 0 seconds."""
    number = seconds(text)
    if number > 0:
        return number
    raise argparse.ArgumentTypeError(f"a timeout is a number of seconds above 0, not {text!r}")


def count(text: str) -> int:
    """Reads a whole number from 1."""
    if text.isascii() and text.isdigit() and len(text) <= 18 and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"this is a whole number from 1, not {text!r}")


def lease(text: str) -> float:
    """Reads a lease; a shorter one would end in a mere hiccup of its worker."""
    number = seconds(text)
    if 1 <= number <= 3600:
        return number
    raise argparse.ArgumentTypeError(f"a lease is a number of seconds, 1 to 3600, not {text!r}")


def root_path(text: str) -> str:
    """Reads the path that a proxy takes off, without a slash at its end."""
    path = text.rstrip("/")
    if not path or _PATH.fullmatch(path):
        return path
    raise argparse.ArgumentTypeError(f"a root path begins with a slash, such as /chat, not {text!r}")


def workflow(text: str) -> tuple[str, str]:
    """Reads ``wf_...=module:attribute``."""
    name, separator, target = text.partition("=")
    if name and separator and target:
        return name.strip(), target.strip()
    raise argparse.ArgumentTypeError(
        f"a workflow is written ID=TARGET, such as wf_support=app:server, not {text!r}"
    )


def quota(text: str) -> str:
    """Reads a quota, which stays a text."""
    try:
        Quota.parse(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def retention_rule(text: str) -> RetentionRule:
    """Reads a rule of retention."""
    try:
        return RetentionRule.parse(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def seconds_or_days(text: str) -> float:
    """Reads a time with its unit, such as ``730d``."""
    found = retention_rule(text)
    if found.seconds is None or "=" in text:
        raise argparse.ArgumentTypeError(f"a time is a number with its unit, such as 730d, not {text!r}")
    return found.seconds


def header(text: str) -> tuple[str, str]:
    """Reads ``Name: value``."""
    match = _HEADER.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"a header is written 'Name: value', not {text!r}")
    return match[1], match[2].strip()


def add_db(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Adds ``--db``."""
    parser.add_argument(
        "--db",
        metavar="DATABASE",
        default=default,
        help="an SQLite file, or PostgreSQL as postgresql://user:password@host/name; default chatkit.db in the working "
        "folder (CHATKIT_DB)",
    )
