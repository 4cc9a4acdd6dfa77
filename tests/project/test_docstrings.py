"""Public functions and methods with two or more parameters say what each is."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

from tests.project.test_faces import FACES

# Modules whose docstrings are still to be completed. Empty, once they are.
FEW = 2


def public_functions() -> Iterator[tuple[type | None, str, Callable[..., Any]]]:
    """Yields the functions of the public faces, and the methods of their classes, with the class."""
    for face in FACES:
        module = importlib.import_module(face)
        for exported in [getattr(module, name) for name in module.__all__]:
            if inspect.isfunction(exported):
                yield None, exported.__name__, exported
            elif inspect.isclass(exported):
                for name, member in list(vars(exported).items()):
                    function = (
                        inspect.unwrap(getattr(member, "__func__", member)) if callable(member) else member
                    )
                    function = getattr(function, "__func__", function)
                    if not name.startswith("_") and inspect.isfunction(function):
                        yield exported, name, function


def named_parameters(function: Callable[..., Any]) -> list[str]:
    names = [name for name in inspect.signature(function).parameters if not name.startswith("_")]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def documents(function: object, parameters: list[str]) -> bool:
    args = (inspect.getdoc(function) or "").partition("Args:\n")[2]
    return all(re.search(rf"^ +{name}: \S", args, re.MULTILINE) for name in parameters)


def is_documented(owner: type | None, name: str, function: Callable[..., Any]) -> bool:
    """An override need not repeat what a base says, nor what another package's base is there to say."""
    parameters = named_parameters(function)
    if len(parameters) < FEW or documents(function, parameters):
        return True
    bases = [base for base in owner.__mro__[1:] if name in vars(base)] if owner else []
    return any(
        not base.__module__.startswith("chatkit")
        or documents(getattr(base, name), named_parameters(getattr(base, name)))
        for base in bases
    )


def test_parameters_are_documented() -> None:
    found = list(public_functions())
    assert len(found) > 150
    lacking = {
        (function.__module__, f"{owner.__qualname__}.{name}" if owner else name)
        for owner, name, function in found
        if function.__module__.startswith("chatkit") and not is_documented(owner, name, function)
    }
    assert sorted(lacking) == []


def test_the_check_sees_what_is_missing() -> None:
    def whole(first: int, second: int) -> None:
        """Does it.

        Args:
            first: One.
            second: Two.
        """

    def partial(first: int, second: int) -> None:
        """Does it.

        Args:
            first: One.
        """

    assert is_documented(None, "whole", whole)
    assert not is_documented(None, "partial", partial)
