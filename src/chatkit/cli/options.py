"""Values of options: from the command line, else from the environment, else the usual ones."""

from __future__ import annotations

import argparse
import os
import re
from typing import Final

from chatkit.errors import ChatKitError

__all__ = ["DEFAULT_DB", "CommandError", "header", "listed", "port", "setting", "workers"]


class CommandError(ChatKitError):
    """The command cannot do what was asked; the message is all that the user sees."""

    code = "command_error"


DEFAULT_DB: Final = "chatkit.db"
"""In the working folder."""

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


def workers(text: str) -> int:
    """Reads a number of processes."""
    if text.isascii() and text.isdigit() and 0 < int(text[:6]) <= 1024:
        return int(text)
    raise argparse.ArgumentTypeError(f"the number of workers is 1 to 1024, not {text!r}")


def header(text: str) -> tuple[str, str]:
    """Reads ``Name: value``."""
    match = _HEADER.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"a header is written 'Name: value', not {text!r}")
    return match[1], match[2].strip()
