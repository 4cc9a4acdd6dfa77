"""The nearest known word to one that was typed wrong."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Final, cast

__all__ = ["SuggestingParser", "suggest", "suggest_attribute", "suggest_module"]

_CLOSE: Final = 0.6
_LONGEST_CHARACTERS: Final = 100


def suggest(word: str, known: Iterable[str], closeness: float = _CLOSE) -> str:
    """Returns the question whether the nearest known word was meant, after a space; nothing where none is near.

    Args:
        word: What was typed.
        known: What could have been.
        closeness: How near a word has to be, from 0 to 1.
    """
    by_lower_case = {each.lower(): each for each in known}
    near = get_close_matches(word[:_LONGEST_CHARACTERS].lower(), by_lower_case, 1, closeness)
    return f" Did you mean {by_lower_case[near[0]]!r}?" if near else ""


def suggest_module(name: str, folder: Path) -> str:
    """Returns the suggestion for a module that is not there: one of its package, or of a folder.

    Args:
        name: The module, dotted if need be.
        folder: Where modules are looked for first.
    """
    parent, dot, last = name.rpartition(".")
    while parent:
        try:
            package = import_module(parent)
        except ModuleNotFoundError:
            parent, dot, last = parent.rpartition(".")
        else:
            paths: Sequence[str] = getattr(package, "__path__", ())
            known = [module.name for module in iter_modules(paths) if not module.name.startswith("_")]
            return suggest(f"{parent}{dot}{last}", [f"{parent}.{each}" for each in known])
    first = name.partition(".")[0]
    return suggest(first, [module.name for module in iter_modules([str(folder)])])


def suggest_attribute(found: object, name: str) -> str:
    """Returns the suggestion for an attribute that an object lacks."""
    return suggest(name, [each for each in dir(found) if not each.startswith("_")])


class SuggestingParser(argparse.ArgumentParser):
    """A parser that names what is nearest to an option or a choice that it does not know."""

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride] -- one signature for its overloads
        self, args: Any = None, namespace: Any = None
    ) -> Any:
        """Parses as the base class does, but ends the process with code 2 for what no option is.

        Each parser of a subcommand does so for its own options; the base class leaves that to the first parser.
        """
        parsed, rest = super().parse_known_args(args, namespace)
        if rest:
            wrong = next((word for word in rest if word.startswith("-")), None)
            suggestion = (
                "" if wrong is None else suggest(wrong.partition("=")[0], self._option_string_actions)
            )
            self.error(f"unrecognized arguments: {' '.join(rest)}{'.' if suggestion else ''}{suggestion}")
        return parsed, rest

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            known = [str(each) for each in cast("Iterable[object]", action.choices or ())]
            if suggestion := suggest(str(value), known):
                error.message = f"{error.message}.{suggestion}"
            raise
