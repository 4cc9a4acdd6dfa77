"""Which of this package's extras are installed, and in versions that fit."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Final, NamedTuple

__all__ = ["DISTRIBUTION", "Extra", "extras", "find_misfits"]

DISTRIBUTION: Final = "chatkit-server"
_EVERYTHING: Final = "all"


class Extra(NamedTuple):
    """An extra, and its packages that are not installed."""

    name: str
    missing: tuple[str, ...]


def extras() -> list[Extra]:
    """Returns the extras by name.

    Raises:
        ImportError: The package ``packaging`` is missing.
    """
    found: dict[str, list[str]] = {}
    for extra, name, _ in _requirements():
        if extra and extra != _EVERYTHING:
            missing = found.setdefault(extra, [])
            if _version(name) is None:
                missing.append(name)
    return [Extra(name, tuple(missing)) for name, missing in sorted(found.items())]


def find_misfits() -> list[str]:
    """Returns the packages whose version is none that this package takes, as ``uvicorn 0.30.0, not >=0.35``.

    Raises:
        ImportError: The package ``packaging`` is missing.
    """
    from packaging.specifiers import SpecifierSet

    found: dict[str, None] = {}
    for _, name, specifier in _requirements():
        installed = _version(name)
        if installed is not None and not SpecifierSet(specifier).contains(installed, prereleases=True):
            found[f"{name} {installed}, not {specifier}"] = None
    return list(found)


def _requirements() -> Iterator[tuple[str, str, str]]:
    """Yields extra, package and versions of each requirement; without an extra, the first is empty."""
    from packaging.requirements import Requirement

    try:
        listed = requires(DISTRIBUTION) or ()
    except PackageNotFoundError:
        # It runs from its sources.
        return
    for requirement in map(Requirement, listed):
        if requirement.name == DISTRIBUTION:
            continue
        extra = str(requirement.marker).partition("extra == ")[2].strip("\"'")
        yield extra, requirement.name, str(requirement.specifier)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
