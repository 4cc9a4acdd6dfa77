"""Names of a package that are imported from their modules when they are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from chatkit.errors import MissingExtraError

__all__ = ["lazy_names", "needing_starlette"]


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


def needing_starlette(package: str, get: Callable[[str], Any]) -> Callable[[str], Any]:
    """Returns a package's ``__getattr__`` that says which extra to install where Starlette is missing.

    Args:
        package: The package's name.
        get: Its ``__getattr__`` so far.
    """

    def get_or_say(name: str) -> Any:
        try:
            return get(name)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in {"anyio", "starlette"}:
                raise
            raise MissingExtraError(
                f"{package}.{name} needs Starlette: pip install 'chatkit-server[web]'."
            ) from error

    return get_or_say
