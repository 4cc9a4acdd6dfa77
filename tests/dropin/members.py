"""What the protocol consists of, found by looking at the types; runs with whichever package provides ``chatkit``.

``python members.py`` prints it as JSON; ``members.json`` is what it printed with ``openai-chatkit``.
"""

from __future__ import annotations

import json
import sys
import types
import typing
from collections.abc import Iterator
from enum import Enum
from typing import Any

from pydantic import BaseModel

__all__ = ["GROUPS", "Group", "members", "models_of"]

_MANY = 12
"""More values than this are an alphabet, such as the names of icons, and no cases."""


class Group(typing.NamedTuple):
    """A union of the protocol, by the module and the name of its alias."""

    title: str
    module: str
    alias: str


GROUPS = (
    Group("requests", "chatkit.types", "ChatKitReq"),
    Group("events", "chatkit.types", "ThreadStreamEvent"),
    Group("item updates", "chatkit.types", "ThreadItemUpdate"),
    Group("items", "chatkit.types", "ThreadItem"),
    Group("tasks", "chatkit.types", "Task"),
    Group("user content", "chatkit.types", "UserMessageContent"),
    Group("attachments", "chatkit.types", "Attachment"),
    Group("questions", "chatkit.types", "StructuredInput"),
    Group("sources of annotations", "chatkit.types", "Annotation"),
    Group("workflow summaries", "chatkit.types", "WorkflowSummary"),
    Group("thread states", "chatkit.types", "ThreadStatus"),
    Group("widget roots", "chatkit.widgets", "WidgetRoot"),
)


def parts(annotation: Any) -> Iterator[Any]:
    """Yields what a type expression is made of, aliases and unions taken apart."""
    if isinstance(annotation, typing.TypeAliasType if hasattr(typing, "TypeAliasType") else ()):
        annotation = annotation.__value__
    if typing.get_origin(annotation) is typing.Literal:
        yield annotation
        return
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Annotated:
        arguments = arguments[:1]
    if not arguments:
        yield annotation
        return
    if (
        isinstance(typing.get_origin(annotation), type)
        and typing.get_origin(annotation) is not types.UnionType
    ):
        yield typing.get_origin(annotation)
    for argument in arguments:
        yield from parts(argument)


def is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)


def models_of(annotation: Any) -> list[type[BaseModel]]:
    """Returns the models of a union, in its order."""
    return list(dict.fromkeys(part for part in parts(annotation) if is_model(part)))


def union(group: Group) -> Any:
    import importlib

    return getattr(importlib.import_module(group.module), group.alias)


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    hints = typing.get_type_hints(model, include_extras=True)
    yield from ((name, hints.get(name, field.annotation)) for name, field in model.model_fields.items())


def _reached(roots: list[type[BaseModel]]) -> list[type[BaseModel]]:
    """Returns the models and those in their fields; widgets are a protocol of their own."""
    found = dict.fromkeys(roots)
    waiting = list(roots)
    while waiting:
        for _, annotation in _fields(waiting.pop(0)):
            for model in models_of(annotation):
                # A generic model is its parameters' name, too.
                if model not in found and not model.__module__.startswith("chatkit.widgets"):
                    found[model] = None
                    waiting.append(model)
    return list(found)


def _values(annotation: Any) -> list[str]:
    """Returns the values that a field chooses from, if it chooses."""
    values: list[Any] = []
    for part in parts(annotation):
        if typing.get_origin(part) is typing.Literal:
            values += [value.value if isinstance(value, Enum) else value for value in typing.get_args(part)]
        elif isinstance(part, type) and issubclass(part, Enum):
            values += [member.value for member in part]
        elif part is bool:
            values += [False, True]
    return [json.dumps(value) for value in dict.fromkeys(values)] if 2 <= len(values) <= _MANY else []


def members() -> dict[str, list[str]]:
    """Returns the members of each group by class name, the models inside them, and the values of their fields.

    A value is ``Model.field=value``. A field that can be left out is one, too: ``Model.field``.
    """
    found: dict[str, list[str]] = {}
    roots: list[type[BaseModel]] = []
    for group in GROUPS:
        models = models_of(union(group))
        if group.alias == "Annotation":
            models = models_of(dict(_fields(models[0]))["source"])
        found[group.title] = [model.__name__ for model in models]
        roots += [model for model in models if not model.__module__.startswith("chatkit.widgets")]
    listed = {name for names in found.values() for name in names}
    reached = _reached(roots)
    found["models inside them"] = [
        model.__name__ for model in reached if model.__name__ not in listed and "[" not in model.__name__
    ]
    found["values of fields"] = [
        f"{model.__name__}.{name}={value}"
        for model in reached
        if "[" not in model.__name__
        for name, annotation in _fields(model)
        for value in _values(annotation)
    ]
    found["optional fields"] = [
        f"{model.__name__}.{name}"
        for model in reached
        if "[" not in model.__name__
        for name, annotation in _fields(model)
        if type(None) in list(parts(annotation))
    ]
    from chatkit.store import StoreItemType

    found["kinds of ids"] = list(typing.get_args(StoreItemType))
    return found


if __name__ == "__main__":
    lines = (f"{json.dumps(title)}: {json.dumps(names)}" for title, names in members().items())
    sys.stdout.write("{\n" + ",\n".join(lines) + "}\n")
