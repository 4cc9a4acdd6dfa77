"""The ports can be implemented with names of the public modules alone."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Iterator

import pytest

import chatkit.types
from chatkit.audit import AuditLog
from chatkit.counters import Counter
from chatkit.files import AttachmentStore
from chatkit.hosted import Sessions
from chatkit.limits import Limits
from chatkit.store import BoundedFiles, JournalKeeper, Store, StoreSurvey, ThreadSearch, UsageKeeper
from chatkit.streams import Backend, StreamLog
from tests.project.test_faces import FACES

# What modules import for type checkers only.
UNRESOLVED = {"Counter": Counter, "Limits": Limits, "StreamLog": StreamLog}
PORTS = [
    Store,
    AttachmentStore,
    Backend,
    StreamLog,
    AuditLog,
    Counter,
    UsageKeeper,
    StoreSurvey,
    BoundedFiles,
    JournalKeeper,
    ThreadSearch,
    Sessions,
    chatkit.types.Store,
    chatkit.types.FileStore,
]


def public_objects() -> list[object]:
    modules = [
        importlib.import_module(face)
        for face in (
            *FACES,
            *(
                f"chatkit.{name}"
                for name in ("limits", "logs", "metrics", "quotas", "review", "search", "tracing", "usage")
            ),
        )
    ]
    return [
        getattr(module, name)
        for module in modules
        for name in {*module.__all__, *vars(module)}
        if name[0] != "_"
    ]


def classes_in(annotation: object) -> Iterator[type]:
    """Yields the classes of this package that an annotation is made of."""
    # A generic model with parameters is a class of its own.
    annotation = getattr(annotation, "__pydantic_generic_metadata__", {}).get("origin") or annotation
    if inspect.isclass(annotation) and annotation.__module__.startswith("chatkit"):
        yield annotation
    for part in typing.get_args(annotation):
        yield from classes_in(part)


def classes_of(port: type) -> set[type]:
    """The classes in the signatures of a port, and in those of the ports that they name."""
    found: set[type] = set()
    waiting = [port]
    while waiting:
        current = waiting.pop()
        if current in found:
            continue
        found.add(current)
        if not inspect.isabstract(current):
            continue
        for name, member in inspect.getmembers(current):
            function = member.fget if isinstance(member, property) else member
            if not name.startswith("_") and inspect.isfunction(function):
                hints = typing.get_type_hints(function, localns=UNRESOLVED)
                waiting += [part for hint in hints.values() for part in classes_in(hint)]
    return found


# Still to be exported from chatkit.streams. Empty, once they are.
@pytest.mark.parametrize("port", PORTS, ids=lambda port: f"{port.__module__}.{port.__qualname__}")
def test_every_type_of_a_port_is_public(port: type) -> None:
    public = public_objects()
    private = {part.__qualname__ for part in classes_of(port) if not any(part is item for item in public)}
    assert private == set()
