"""A warning for keyword arguments of models that no field has, and that differ from a field's name by little."""

from __future__ import annotations

import logging
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final

from pydantic import AliasChoices, BaseModel, ValidationError

__all__ = ["init_that_warns", "init_that_warns_of_extras"]

logger = logging.getLogger("chatkit.types")

_CLOSE: Final = 0.8
_SHORTEST: Final = 4
_MOST_CHECKED: Final = 256

# The names that each class was given so far, as they came: looking them up is cheap, and most come again.
_checked: dict[type[BaseModel], set[tuple[str, ...]]] = {}


def init_that_warns(self: BaseModel, /, **data: Any) -> None:
    """Makes a model as pydantic does; what an application constructs comes here, what is read or validated does not."""
    __tracebackhide__ = True
    kind = type(self)
    filled = None
    try:
        self.__pydantic_validator__.validate_python(data, self_instance=self)
    except ValidationError:
        filled = _with_empty_id(kind, data)
        if filled is None:
            raise
    if filled is not None:
        self.__pydantic_validator__.validate_python(filled, self_instance=self)
    names = tuple(data)
    if names not in _checked.get(kind, ()):
        checked = _checked.setdefault(kind, set())
        if len(checked) < _MOST_CHECKED:
            checked.add(names)
        for name in names:
            _warn_of_typo(kind, name)


def _with_empty_id(kind: type[BaseModel], data: dict[str, Any]) -> dict[str, Any] | None:
    """Returns what a constructor was given with the id that was left out; None where none was, or none may be."""
    field: str | None = getattr(kind, "_optional_id", None)
    if field is None or not {field, "id", "item"}.isdisjoint(data):
        return None
    return {**data, field: ""}


def init_that_warns_of_extras(self: BaseModel, /, **data: Any) -> None:
    """Like ``init_that_warns``, for models that keep what is no field."""
    __tracebackhide__ = True
    self.__pydantic_validator__.validate_python(data, self_instance=self)
    for name in self.__pydantic_extra__ or ():
        _warn_of_typo(type(self), name)


# What pydantic's own initialisers have: validating a model does not go through them.
init_that_warns.__pydantic_base_init__ = True  # pyright: ignore[reportFunctionMemberAccess]
init_that_warns_of_extras.__pydantic_base_init__ = True  # pyright: ignore[reportFunctionMemberAccess]


@lru_cache(maxsize=4096)
def _warn_of_typo(kind: type[BaseModel], name: str) -> None:
    """Warns of a name, once for each class, if it is none of the class and close to one."""
    known = _names(kind)
    if name in known or len(name) < _SHORTEST:
        return
    nearest = get_close_matches(name, known, 1, _CLOSE) or [
        each for each in known if each.replace("_", "").lower() == name.replace("_", "").lower()
    ]
    if nearest:
        logger.warning("%s has no field %r. Do you mean %r?", kind.__qualname__, name, nearest[0])


@lru_cache(maxsize=1024)
def _names(kind: type[BaseModel]) -> frozenset[str]:
    names: set[str] = set()
    for name, field in kind.model_fields.items():
        names.add(name)
        for alias in (field.alias, field.validation_alias):
            if isinstance(alias, str):
                names.add(alias)
            elif isinstance(alias, AliasChoices):
                names |= {choice for choice in alias.choices if isinstance(choice, str)}
    return frozenset(names)
