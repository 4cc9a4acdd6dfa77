"""Whether another distribution has put its files among those of this package.

``openai-chatkit`` is imported as ``chatkit``, too. Whichever of the two is installed last overwrites what both have,
and whichever is uninstalled takes it along. This module is no part of the other one, imports nothing of ``chatkit``,
and so works whatever became of the rest.
"""

from __future__ import annotations

import sys
import warnings
from base64 import urlsafe_b64encode
from hashlib import sha256
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

__all__ = ["InstallationProblem", "check_installation", "find_problem"]

OURS: Final = "chatkit-server"
THEIRS: Final = "openai-chatkit"
_PACKAGE: Final = Path(__file__).resolve().parents[2]


class InstallationProblem:
    """What is wrong with the installation.

    Attributes:
        message: What is wrong, and the commands that repair it.
        is_fatal: Whether files of this package are overwritten or gone, so that it cannot work.
    """

    def __init__(self, message: str, *, is_fatal: bool) -> None:
        self.message = message
        self.is_fatal = is_fatal


def find_problem() -> InstallationProblem | None:
    """Returns what is wrong with the installation, None if nothing is.

    Of a package that is installed editable, or not at all, no list of files tells what they should be: then only an
    installed ``openai-chatkit`` is found.
    """
    ours, theirs = _installed(OURS), _installed(THEIRS)
    overwritten, missing = _damage(ours, theirs)
    if theirs is not None:
        message = f"{THEIRS} {theirs.version} is installed as well. Both are imported as 'chatkit'"
        elsewhere = Path(str(theirs.locate_file("chatkit"))).resolve()
        if elsewhere != _PACKAGE:
            message += f", and the order of the path decides which one is: that one is in {elsewhere}"
        else:
            message += " and overwrite each other's files"
        if overwritten:
            message += f"; these are {THEIRS}'s now: {_named(overwritten)}"
        elif not missing and elsewhere == _PACKAGE:
            message += "; uninstalling either of them takes files of the other one along"
        return InstallationProblem(
            f"{message}.\n{_repair(THEIRS, OURS)}", is_fatal=bool(overwritten or missing)
        )
    if missing:
        return InstallationProblem(
            f"Files of {OURS} are gone, as after uninstalling {THEIRS}: {_named(missing)}.\n{_repair(OURS)}",
            is_fatal=True,
        )
    return None


def check_installation() -> None:
    """Warns of an ``openai-chatkit`` beside this package.

    Raises:
        ImportError: Files of this package are overwritten or gone.
    """
    problem = find_problem()
    if problem is None:
        return
    if problem.is_fatal:
        raise ImportError(problem.message)
    warnings.warn(problem.message, stacklevel=2)


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _damage(ours: Distribution | None, theirs: Distribution | None) -> tuple[list[str], list[str]]:
    """Returns which of our files are no longer ours, and which are gone."""
    shared = {str(path) for path in (theirs.files if theirs is not None else None) or ()}
    overwritten: list[str] = []
    missing: list[str] = []
    for path in (ours.files if ours is not None else None) or ():
        name = str(path)
        if not name.startswith("chatkit/") or path.hash is None:
            continue
        place = Path(str(path.locate()))
        if not place.exists():
            missing.append(name)
        elif name in shared and _digest(place) != path.hash.value:
            overwritten.append(name)
    return overwritten, missing


def _digest(place: Path) -> str:
    """Returns the hash of a file as lists of installed files write it."""
    return urlsafe_b64encode(sha256(place.read_bytes()).digest()).decode().rstrip("=")


def _named(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown


def _repair(*names: str) -> str:
    pip = f"{sys.executable} -m pip"
    return (
        f"Remove {'both' if len(names) > 1 else 'the rest'}, then install the one that you want, with its extras:\n"
        f"  {pip} uninstall --yes {' '.join(names)}\n"
        f"  {pip} install '{OURS}[serve]'"
    )
