"""A warning for keyword arguments of models that no field has, and that differ from a field's name by little."""

from __future__ import annotations

import logging
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final

from pydantic import AliasChoices, BaseModel, ValidationError

__all__ = ["init_that_warns", "init_that_warns_of_extras", "warn_of_extras"]

logger = logging.getLogger("chatkit.types")

_CLOSE: Final = 0.8
_SHORTEST: Final = 3
_LONG_ENOUGH: Final = 4
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
            for name in data:
                _warn_of_typo(kind, name)
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
    warn_of_extras(self)


def warn_of_extras(model: BaseModel, described: type[BaseModel] | None = None) -> None:
    """Warns of names that a model keeps and that are close to a field's.

    Args:
        model: The model.
        described: A class that knows more of its fields than its own does.
    """
    for name in model.__pydantic_extra__ or ():
        _warn_of_typo(type(model), name, described)


# What pydantic's own initialisers have: validating a model does not go through them.
init_that_warns.__pydantic_base_init__ = True  # pyright: ignore[reportFunctionMemberAccess]
init_that_warns_of_extras.__pydantic_base_init__ = True  # pyright: ignore[reportFunctionMemberAccess]


@lru_cache(maxsize=4096)
def _warn_of_typo(kind: type[BaseModel], name: str, described: type[BaseModel] | None = None) -> None:
    """Warns of a name, once for each class, if it is none of the class and close to one."""
    known = _names(kind) if described is None else _names(kind) | _names(described)
    if name in known:
        return
    nearest = _nearest(name, sorted(known), by_word=kind.model_config.get("extra") != "allow")
    if nearest is not None:
        logger.warning("%s has no field %r. Do you mean %r?", kind.__qualname__, name, nearest)


def _nearest(name: str, known: list[str], *, by_word: bool) -> str | None:
    """Returns the name that is meant, or None if none is close.

    Args:
        name: What was written.
        known: The names that there are.
        by_word: Whether a whole word of a single name will do, such as ``retry`` for ``allow_retry``.
    """
    if len(name) < _SHORTEST:
        return None
    if len(name) >= _LONG_ENOUGH and (close := get_close_matches(name, known, 1, _CLOSE)):
        return close[0]
    plain = _plain(name)
    for each in known:
        # Written with other capitals; with letters that changed places; with one too few.
        left_out = (each[:index] + each[index + 1 :] for index in range(1, len(each)))
        if (
            plain == _plain(each)
            or sorted(name) == sorted(each)
            or (len(each) > _SHORTEST and name in left_out)
        ):
            return each
    having = [each for each in known if name in each.split("_")] if by_word else []
    return having[0] if len(name) >= _LONG_ENOUGH and len(having) == 1 else None


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


@lru_cache(maxsize=1024)
def _names(kind: type[BaseModel]) -> frozenset[str]:
    names: set[str] = set(getattr(kind, "_spellings", ()))
    for name, field in kind.model_fields.items():
        names.add(name)
        for alias in (field.alias, field.validation_alias):
            if isinstance(alias, str):
                names.add(alias)
            elif isinstance(alias, AliasChoices):
                names |= {choice for choice in alias.choices if isinstance(choice, str)}
    return frozenset(names)
