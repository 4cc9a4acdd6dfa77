"""Which of this package's extras are installed, in versions that fit, and where it was installed from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from typing import Final, NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

__all__ = ["DISTRIBUTION", "Extra", "extras", "find_misfits", "installed_from", "with_source"]

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


def installed_from() -> str | None:
    """Returns the checkout or the wheel that this package was installed from; None for a package index."""
    try:
        recorded = distribution(DISTRIBUTION).read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    parts = urlsplit(json.loads(recorded)["url"] if recorded else "")
    return url2pathname(parts.path) if parts.scheme == "file" else None


def with_source(text: str) -> str:
    """Returns a text whose ``pip install`` lines name what this package was installed from, as no index may have it."""
    if f"'{DISTRIBUTION}[" not in text:
        return text
    source = installed_from()
    return text if source is None else text.replace(f"'{DISTRIBUTION}[", f"'{source}[")


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
