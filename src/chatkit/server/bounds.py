"""Checks what a request holds against its bounds, before it is read as a model.

The models of the requests mark each text, list, map and free-form value with its bound; a checker is compiled from the
marks, once for each type of request. It goes through the JSON of a request, and stops at the first thing that is too
long: making a model of a million entries, or a million errors, would take seconds in which nothing else happens.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeAlias, Union, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import to_json

from chatkit.errors import InvalidRequestError, NotFoundError
from chatkit.limits import Bound, Id, Limits
from chatkit.types import AttachmentCreateParams, ChatKitReq

__all__ = ["check_bounds", "check_upload", "compile_check"]

Check: TypeAlias = Callable[[Any, Limits, str], None]
"""Checks a value at a place such as ``params.thread_id``; a value of a wrong type is left to the model."""

_WITHOUT_TEXT: Final = (bool, float, int, NoneType)
_SHOWN_CHARS: Final = 60


def check_bounds(request: object, limits: Limits) -> None:
    """Checks a request as it was parsed from JSON; does nothing for what is no request of a known type.

    Raises:
        InvalidRequestError: Something is longer than its bound, which the message names.
        NotFoundError: An id holds what no id holds.
    """
    if not isinstance(request, dict):
        return
    fields = cast("dict[str, Any]", request)
    kind = fields.get("type")
    check = _checks().get(kind) if isinstance(kind, str) else None
    if check is not None:
        check(fields, limits, "")


def check_upload(params: AttachmentCreateParams, limits: Limits) -> None:
    """Checks what a page says of a file; raises as ``check_bounds``."""
    _model(AttachmentCreateParams)(params.model_dump(), limits, "")


@cache
def _checks() -> dict[str, Check]:
    requests = get_args(get_args(ChatKitReq)[0])
    return {model.model_fields["type"].default: _model(model) for model in requests}


def compile_check(annotation: Any, bound: Bound | None = None) -> Check:
    """Returns the check of a type's values.

    Args:
        annotation: The type.
        bound: Its bound, where a field or an alias gives it one.

    Raises:
        TypeError: Texts, lists, maps or free-form values of it have no bound.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        marks = [mark for mark in arguments[1:] if isinstance(mark, Bound)]
        return compile_check(arguments[0], marks[0] if marks else bound)
    if origin in {Union, UnionType}:
        return _union([option for option in arguments if option is not NoneType], bound)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _model(annotation)
    if origin is Literal or annotation in _WITHOUT_TEXT:
        return _nothing
    if bound is None:
        raise TypeError(f"{annotation} has no bound: mark the field with Annotated[..., Bound(...)].")
    if annotation is str:
        return _text(bound)
    if origin is list:
        return _list(compile_check(arguments[0]), bound)
    if origin is dict and arguments[1] is not Any:
        return _map(compile_check(arguments[0]), compile_check(arguments[1]), bound)
    if annotation is Any or origin is dict:
        return _free_form(bound)
    raise TypeError(f"There is no check for {annotation}.")


def _nothing(value: Any, limits: Limits, place: str) -> None:
    """Numbers and constants are bounded by their types."""


def _text(bound: Bound) -> Check:
    is_id = isinstance(bound, Id)

    def check(value: Any, limits: Limits, place: str) -> None:
        if isinstance(value, str):
            if len(value) > (most := getattr(limits, bound.limit)):
                raise _too_long(place, most, "characters")
            if is_id and "\0" in value:
                raise NotFoundError(f"'{place}' names nothing: no id holds a NUL character.")

    return check


def _list(entry: Check, bound: Bound) -> Check:
    def check(value: Any, limits: Limits, place: str) -> None:
        if isinstance(value, list):
            entries = cast("list[Any]", value)
            if len(entries) > (most := getattr(limits, bound.limit)):
                raise _too_long(place, most, "entries")
            for index, item in enumerate(entries):
                entry(item, limits, f"{place}.{index}")

    return check


def _map(key: Check, entry: Check, bound: Bound) -> Check:
    def check(value: Any, limits: Limits, place: str) -> None:
        if isinstance(value, dict):
            entries = cast("dict[str, Any]", value)
            if len(entries) > (most := getattr(limits, bound.limit)):
                raise _too_long(place, most, "entries")
            for name, item in entries.items():
                key(name, limits, f"{place}.{name[:_SHOWN_CHARS]}")
                entry(item, limits, f"{place}.{name[:_SHOWN_CHARS]}")

    return check


def _free_form(bound: Bound) -> Check:
    def check(value: Any, limits: Limits, place: str) -> None:
        if value is None or isinstance(value, bool):
            return
        containers = cast("list[Any]", value) if isinstance(value, dict | list) else []
        if _is_deeper(containers, limits.payload_depth):
            raise InvalidRequestError(
                f"{place}: arrays and objects may be nested {limits.payload_depth} deep at most."
            )
        encoded = to_json(value)
        if len(encoded) > (most := getattr(limits, bound.limit)):
            raise _too_long(place, most, "bytes of JSON")
        if b"NaN" in encoded or b"Infinity" in encoded:
            # In a text, or not?
            try:
                json.dumps(value, allow_nan=False)
            except ValueError:
                raise InvalidRequestError(
                    f"{place}: JSON has no numbers that are infinite or none."
                ) from None

    return check


def _is_deeper(value: list[Any] | dict[str, Any], most: int) -> bool:
    level: list[list[Any] | dict[str, Any]] = [value]
    for _ in range(most):
        level = [
            child
            for container in level
            for child in (container.values() if isinstance(container, dict) else container)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _union(options: list[Any], bound: Bound | None) -> Check:
    if len(options) == 1:
        return compile_check(options[0], bound)
    by_type = {option.model_fields["type"].default: compile_check(option) for option in options}

    def check(value: Any, limits: Limits, place: str) -> None:
        if isinstance(value, dict):
            kind = cast("dict[str, Any]", value).get("type")
            chosen = by_type.get(kind) if isinstance(kind, str) else None
            if chosen is not None:
                chosen(value, limits, place)

    return check


@cache
def _model(model: type[BaseModel]) -> Check:
    fields: list[tuple[str, Check]] = []
    for name, field in model.model_fields.items():
        marks = [mark for mark in field.metadata if isinstance(mark, Bound)]
        try:
            check = compile_check(field.annotation, marks[0] if marks else None)
        except TypeError as error:
            raise TypeError(f"{model.__name__}.{name}: {error}") from None
        if check is not _nothing:
            fields.append((name, check))

    def check_fields(value: Any, limits: Limits, place: str) -> None:
        if isinstance(value, dict):
            given = cast("dict[str, Any]", value)
            for name, check in fields:
                if name in given:
                    check(given[name], limits, f"{place}.{name}" if place else name)

    return check_fields


def _too_long(place: str, most: int, unit: str) -> InvalidRequestError:
    return InvalidRequestError(f"{place}: at most {most} {unit} are taken.")
