"""How many processes serve this application, as far as a process can know."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Final

__all__ = ["detect_workers"]

# Programs whose command line is known to have --workers; other programs may mean something else by it.
_SERVERS: Final = frozenset({"chatkit", "fastapi", "granian", "gunicorn", "hypercorn", "uvicorn"})
_SHORT: Final = frozenset({"gunicorn", "hypercorn"})


def detect_workers(argv: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Returns the number of worker processes that the server was started with, 1 if nothing tells.

    Workers inherit the command line of the program that started them. It comes first, as it does for the
    servers themselves; then ``GUNICORN_CMD_ARGS`` under gunicorn, and ``WEB_CONCURRENCY``.

    Args:
        argv: The program and its arguments; by default those of this process.
        environment: Environment variables; by default those of this process.
    """
    words = list(sys.argv if argv is None else argv)
    variables = os.environ if environment is None else environment
    program = _program(words[0]) if words else ""
    candidates: list[str] = []
    if program in _SERVERS:
        candidates += _values(words[1:], short=program in _SHORT)
    if program == "gunicorn":
        candidates += _values(_split(variables.get("GUNICORN_CMD_ARGS", "")), short=True)
    candidates.append(variables.get("WEB_CONCURRENCY", ""))
    for candidate in candidates:
        if candidate.isascii() and candidate.isdigit() and len(candidate) < 7:
            return max(1, int(candidate))
    return 1


def _program(path: str) -> str:
    name = PurePath(path)
    # python -m uvicorn has the path of the module that was run.
    return name.parent.name if name.stem == "__main__" else name.stem


def _values(words: Sequence[str], *, short: bool) -> list[str]:
    # The last one given counts.
    return list(_found(words, short=short))[-1:]


def _found(words: Sequence[str], *, short: bool) -> Iterator[str]:
    for index, word in enumerate(words):
        following = words[index + 1] if index + 1 < len(words) else ""
        if word == "--workers" or (short and word == "-w"):
            yield following
        elif word.startswith("--workers="):
            yield word.removeprefix("--workers=")
        elif short and word.startswith("-w"):
            yield word.removeprefix("-w").removeprefix("=")


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return []
