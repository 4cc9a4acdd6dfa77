"""``chatkit completion``: what a shell needs to complete the command with the tab key."""

from __future__ import annotations

import argparse
from typing import Any, Final, cast

from chatkit.errors import MissingExtraError

try:
    import shtab
except ImportError as error:  # pragma: no cover - needs an environment without the extra
    raise MissingExtraError(
        "Completion needs another package: pip install 'chatkit-server[serve]'"
    ) from error

__all__ = ["make_script"]

_PATHS: Final[dict[str, Any]] = {
    "DATABASE": shtab.FILE,
    "FILE": shtab.FILE,
    "FOLDER": shtab.DIRECTORY,
}
"""How the shell completes an argument, by the argument's name in the help."""


def make_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Returns the script.

    Args:
        parser: The parser of the command.
        shell: ``bash``, ``zsh`` or ``fish``.
    """
    _mark_paths(parser)
    return shtab.complete(parser, shell)


def _mark_paths(parser: argparse.ArgumentParser) -> None:
    actions: list[Any] = parser._actions  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] -- shtab reads them too
    for action in actions:
        if action.metavar in _PATHS:
            action.complete = _PATHS[action.metavar]
        if action.nargs == argparse.PARSER:
            for command in cast("dict[str, argparse.ArgumentParser]", action.choices).values():
                _mark_paths(command)
