"""Checks of arguments: each refuses a wrong value where it is given, and says what to give instead."""

from __future__ import annotations

import difflib
import inspect
import math
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, Final, Literal, ParamSpec, TypeVar, Union, cast

from chatkit.errors import ConfigurationError

__all__ = [
    "check_address_is_none",
    "check_annotated",
    "check_callable",
    "check_choice",
    "check_fields",
    "check_instance",
    "check_number",
    "check_text",
    "check_texts",
    "check_whole",
    "checked",
    "shown",
]

P = ParamSpec("P")
R = TypeVar("R")

_LONGEST_SHOWN: Final = 80
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


def shown(value: object) -> str:
    """Returns a value as a message may show it: short, and without what may be a password in a URL."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, str) and (found := _URL.match(value)):
        # A password that is not percent-encoded may contain anything, an "@" too: nothing of the rest is shown.
        return f"'{found[1]}://...'" if "@" in value or "?" in value else repr(_short(value))
    if value is None or isinstance(value, (str, bytes, int, float)):
        return _short(repr(value))
    # A repr of anything else may hold anything.
    return f"a {type(value).__name__}"


def check_choice(place: str, value: object, choices: Iterable[str]) -> None:
    """Raises ConfigurationError if a value is none of some words, and names the nearest of them.

    Args:
        place: What the value was given for, such as ``ChatKitServer(concurrency=...)``.
        value: The value.
        choices: What is allowed.
    """
    allowed = list(choices)
    if isinstance(value, str) and value in allowed:
        return
    near = (
        difflib.get_close_matches(value.lower(), allowed, n=1, cutoff=0.5) if isinstance(value, str) else []
    )
    if not near and isinstance(value, str) and value:
        near = [word for word in allowed if word.startswith(value[:3].lower()) or value.lower() in word][:1]
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ConfigurationError(f"{place} is one of {', '.join(map(repr, allowed))}, not {shown(value)}.{hint}")


def check_instance(place: str, value: object, kinds: type | tuple[type, ...], remedy: str) -> None:
    """Raises ConfigurationError if a value is not of a kind.

    The remedy says what to give instead, such as ``"a FileLimits, such as FileLimits(max_bytes=...)"``.
    """
    if not isinstance(value, kinds):
        raise ConfigurationError(f"{place} is {remedy}, not {shown(value)}.")


def check_whole(place: str, value: object, least: int = 0) -> None:
    """Raises ConfigurationError if a value is no whole number, or is below ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{place} is a whole number from {least}, not {shown(value)}.")


def check_number(
    place: str, value: object, *, least: float = 0.0, above: bool = False, infinite: bool = False
) -> None:
    """Raises ConfigurationError if a value is no number, is not from ``least`` on (``above`` it), or not finite."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        in_range = value > least or (value == least and not above)
        if in_range and (infinite or math.isfinite(value)):
            return
    rest = f"above {least:g}" if above else f"from {least:g}"
    raise ConfigurationError(f"{place} is a number {rest}, not {shown(value)}.")


def check_text(place: str, value: object, remedy: str = "a text that is not empty") -> None:
    """Raises ConfigurationError if a value is no text, or an empty one."""
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{place} is {remedy}, not {shown(value)}.")


def check_texts(place: str, value: object, remedy: str) -> None:
    """Raises ConfigurationError if a value is no collection of texts that are not empty.

    One text is a mistake: it would count as the list of its letters.
    """
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, type)):
        entries = list(cast("Iterable[object]", value))
        if all(isinstance(entry, str) and entry for entry in entries):
            return
    raise ConfigurationError(f"{place} is {remedy}, not {shown(cast('object', value))}.")


def check_callable(place: str, value: object, remedy: str) -> None:
    """Raises ConfigurationError if a value cannot be called."""
    if not callable(value) or (inspect.isclass(value) and value in {str, int, dict, list, tuple, bool}):
        raise ConfigurationError(f"{place} is {remedy}, not {shown(value)}.")


def check_address_is_none(place: str, value: object, remedy: str) -> None:
    """Raises ConfigurationError for a URL where the path of a file is meant.

    As a path it would be folders with a password in their names.
    """
    if isinstance(value, str) and (found := _URL.match(value)):
        # Not the whole text, which may hold a password.
        raise ConfigurationError(f"{place} is the path of a file, not '{found[1]}://...'. {remedy}")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


# By annotation: what is not of the kind that a parameter says is refused.


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Makes a function, or a constructor, refuse arguments that are not what its annotations say.

    Annotations that cannot be looked up when it is called, and those that are no kind, such as type variables, are not
    looked at. Numbers out of range are the function's own matter.
    """
    signature = inspect.signature(function)
    name = function.__qualname__.removesuffix(".__init__").rpartition(".")[2]
    namespace: dict[str, Any] = getattr(function, "__globals__", {})
    annotations: dict[str, object] = {}

    @wraps(function)
    def check(*args: P.args, **kwargs: P.kwargs) -> R:
        if not annotations:
            for parameter in signature.parameters.values():
                is_plain = parameter.annotation is not parameter.empty and parameter.kind not in _VARIADIC
                annotations[parameter.name] = _resolve(parameter.annotation, namespace) if is_plain else Any
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:
            return function(*args, **kwargs)  # Which says what is missing.
        for parameter, value in given.items():
            check_annotated(f"{name}({parameter}=...)", value, annotations[parameter])
        return function(*args, **kwargs)

    return check


def check_fields(instance: object) -> None:
    """Raises ConfigurationError if a field of a dataclass is not what its annotation says."""
    kind = type(instance)
    namespace: dict[str, Any] = vars(sys.modules[kind.__module__])
    for name, annotation in kind.__annotations__.items():
        check_annotated(
            f"{kind.__name__}({name}=...)", getattr(instance, name), _resolve(annotation, namespace)
        )


def check_annotated(place: str, value: object, annotation: object) -> None:
    """Raises ConfigurationError if a value is not of the kind of an annotation."""
    if _fits(value, annotation):
        return
    words = [word for word in _branches(annotation) if typing.get_origin(word) is Literal]
    if words and not isinstance(value, type):
        check_choice(place, value, [str(choice) for word in words for choice in typing.get_args(word)])
    kinds = " or ".join(dict.fromkeys(map(_name, _branches(annotation))))
    remedy = f" Give an instance: {value.__name__}(...)." if isinstance(value, type) else ""
    raise ConfigurationError(f"{place} is {kinds}, not {shown(value)}.{remedy}")


def _resolve(annotation: object, namespace: dict[str, Any]) -> object:
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, namespace)  # noqa: S307 -- an annotation of this package's own
    except NameError:
        return Any  # Of a module that only type checkers load.


def _branches(annotation: object) -> list[object]:
    if typing.get_origin(annotation) in {Union, types.UnionType}:
        return [branch for entry in typing.get_args(annotation) for branch in _branches(entry)]
    return [annotation]


def _fits(value: object, annotation: object) -> bool:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in {Union, types.UnionType}:
        return any(_fits(value, branch) for branch in arguments)
    if origin is Literal:
        return isinstance(value, str) and value in arguments
    if annotation is Any:
        return True
    if annotation is None or annotation is type(None):
        return value is None
    if annotation is float or annotation is int:
        kinds = (int, float) if annotation is float else (int,)
        return isinstance(value, kinds) and not isinstance(value, bool)
    if origin is Callable or annotation is Callable:
        return callable(value) and value not in _NO_FUNCTIONS
    kind = annotation if origin is None else origin
    if not isinstance(kind, type) or kind is object or _is_protocol(kind):
        return True
    if kind is type:
        return isinstance(value, type)
    if not isinstance(value, kind) or isinstance(value, type):
        # A set or a generator of texts is as good as a list; a text is not, though it is a sequence.
        return False
    if isinstance(value, (str, bytes)) and kind not in {str, bytes}:
        return False
    if arguments and issubclass(kind, Iterable) and not issubclass(kind, Mapping) and arguments[0] is str:
        return all(isinstance(entry, str) for entry in cast("Iterable[object]", value))
    return True


_VARIADIC: Final = frozenset({inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD})
_NO_FUNCTIONS: Final[tuple[object, ...]] = (str, bytes, int, float, bool, dict, list, tuple, set)


def _is_protocol(kind: type) -> bool:
    return bool(getattr(kind, "_is_protocol", False)) and not getattr(kind, "_is_runtime_protocol", False)


_NAMES: Final[dict[object, str]] = {
    str: "a text",
    bytes: "bytes",
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    None: "None",
    type(None): "None",
}


def _name(annotation: object) -> str:
    if annotation in _NAMES:
        return _NAMES[annotation]
    kind: object = typing.get_origin(annotation) or annotation
    if kind is Callable:
        return "a function"
    name = str(getattr(kind, "__name__", kind))
    known = {"Sequence": "a list", "Iterable": "a list", "Mapping": "a dict", "PathLike": "a path"}
    if name in {"Sequence", "Iterable"} and typing.get_args(annotation)[:1] == (str,):
        return "a list of texts"
    return known.get(name) or f"{'an' if name[:1] in 'AEIOU' else 'a'} {name}"
