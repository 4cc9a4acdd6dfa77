"""Names of a package that are imported from their modules when they are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazy_names"]


def lazy_names(
    package: str, listed: list[str], modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Returns the ``__getattr__`` and the ``__dir__`` of a package.

    Args:
        package: The package's name.
        listed: Its ``__all__``.
        modules: The module, below the package, of each name that is imported when it is used.
    """

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(import_module(f"{package}.{modules[name]}"), name)
        # A module of the same name has taken the place of the attribute as it was imported.
        setattr(import_module(package), name, found)
        return found

    def directory() -> list[str]:
        return sorted({*vars(import_module(package)), *listed})

    return get, directory
