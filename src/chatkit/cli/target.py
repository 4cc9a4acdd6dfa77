"""The server, application or agent that ``module:attribute`` names."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from chatkit._outages import place_of
from chatkit.cli.options import CommandError
from chatkit.cli.suggestions import suggest_attribute, suggest_module
from chatkit.errors import ChatKitError
from chatkit.frameworks import BaseAgentServer
from chatkit.frameworks.failures import find_missing_key
from chatkit.server import ChatKitServer
from chatkit.store import Store

__all__ = ["Target", "load", "missing_keys", "resolve"]

_LOOKED_FOR: Final = ("server", "app", "agent")
"""Names that are looked for in a module that is a target without one, in this order."""
_AGENTS: Final = (
    ("agents", "Agent", "chatkit.agents"),
    ("pydantic_ai.agent", "AbstractAgent", "chatkit.frameworks.pydantic_ai"),
    ("langchain_core.runnables", "Runnable", "chatkit.frameworks.langgraph"),
)
"""Kinds of agents: where its class is, by which name, and where its ``AgentServer`` is."""


class Target(NamedTuple):
    """What to serve: a chat server, a whole ASGI application, or the servers of hosted ChatKit by workflow.

    ``got_store`` is whether one of the servers was made with the offered store.
    """

    server: ChatKitServer[Any] | None = None
    application: Any = None
    got_store: bool = False
    hosted: Mapping[str, ChatKitServer[Any]] | None = None

    @property
    def servers(self) -> list[ChatKitServer[Any]]:
        """The servers, none of an application."""
        return list(self.hosted.values()) if self.hosted else [self.server] if self.server else []


def load(name: str, purpose: str) -> object:
    """Imports ``module:attribute``, both dotted if need be, looking in the working folder first.

    Of a target the attribute may be left out: then it is ``server``, ``app`` or ``agent``, whichever there is first.
    The module may be given as a file, ``shop.py``.

    ``purpose`` is what the name is for, in messages.
    """
    module_name, separator, path = name.partition(":")
    is_found = not separator and purpose != "--context"
    if not module_name or not (path or is_found):
        raise CommandError(f"{purpose} is written module:attribute, such as app:server, not {name!r}.")
    folder = str(Path.cwd())
    if module_name.endswith(".py"):
        file = Path(module_name)
        if not file.is_file():
            raise CommandError(f"There is no file {module_name} in {folder}.")
        folder, module_name = str(file.parent.resolve()), file.stem
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        with _keys_told(name):
            found: object = import_module(module_name)
    except ModuleNotFoundError as error:
        # Not one that the module itself fails to import: that is a fault in it, and its traceback says where.
        if error.name is None or not (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise
        raise CommandError(
            f"There is no module {module_name!r}, neither in {folder} nor installed."
            f"{suggest_module(module_name, Path(folder))}"
        ) from error
    except (TypeError, ValueError) as error:
        if (
            error.__traceback__ is not None
            and error.__traceback__.tb_next is not None
            and module_name[:1] not in ". "
        ):
            raise
        raise CommandError(f"{module_name!r} is no name of a module.") from error
    if is_found:
        path = next((name for name in _LOOKED_FOR if hasattr(found, name)), "")
        if not path:
            raise CommandError(
                f"The module {module_name!r} has none of {', '.join(_LOOKED_FOR)}. Name what is to be served: "
                f"{purpose} is written module:attribute, such as {module_name}:my_agent."
            )
    for part in path.split("."):
        if not hasattr(found, part):
            raise CommandError(
                f"The module {module_name!r} has no attribute {path!r}.{suggest_attribute(found, part)}"
            )
        found = getattr(found, part)
    return found


@contextmanager
def _keys_told(name: str) -> Generator[None]:
    """Turns the errors of clients that find no key of their model's into one line that says what to do."""
    try:
        yield
    except ChatKitError:
        raise
    except Exception as error:
        key = find_missing_key(error)
        if key is None:
            raise
        place = place_of(error)
        where = "" if place is None else f" ({place.filename}:{place.lineno})"
        raise CommandError(f"{name} asks for {key}, which is not set{where}. {_set(key)}") from error


def missing_keys(target: Target) -> list[str]:
    """Returns what to do about keys of models that are not set, a line for each, as far as agents can tell now."""
    keys = [server.missing_key() for server in target.servers if isinstance(server, BaseAgentServer)]
    return [
        f"{key} is not set, and the agent's model asks for it: no message will be answered. {_set(key)}"
        for key in dict.fromkeys(keys)
        if key is not None
    ]


def _set(key: str) -> str:
    return f"Set it before the start: export {key}=..."


def resolve(found: object, name: str, make_store: Callable[[], Store[Any]]) -> Target:
    """Makes a target of a server, a class of servers, a function that makes one, an agent, or an ASGI application.

    ``make_store`` is called where a store is needed.
    """
    if isinstance(found, ChatKitServer):
        return Target(server=cast("ChatKitServer[Any]", found))
    serve_agent = _agent_server(found, name)
    if serve_agent is not None:
        return Target(server=serve_agent(found, make_store()), got_store=True)
    if inspect.isclass(found):
        if not issubclass(found, ChatKitServer):
            raise CommandError(f"{name} is a class, but not one of ChatKitServer.")
        kind = cast("type[ChatKitServer[Any]]", found)
        return Target(server=_construct(kind, name, make_store()), got_store=True)
    if not callable(found):
        raise CommandError(f"{name} is a {type(found).__name__}; {_KINDS}")
    required, takes = _positional(found)
    if required == 3 or (required < 3 <= takes and not inspect.isfunction(found)):
        return Target(application=found)
    if required > 1:
        raise CommandError(f"{name} takes {required} arguments; {_KINDS}")
    with _keys_told(name):
        made = cast("Callable[..., object]", found)(*([make_store()] if takes else []))
    if inspect.isawaitable(made):
        if inspect.iscoroutine(made):
            made.close()
        raise CommandError(f"{name} is an async function; make it a plain one that returns a ChatKitServer.")
    serve_agent = _agent_server(made, name)
    if serve_agent is not None:
        return Target(server=serve_agent(made, make_store()), got_store=True)
    if not isinstance(made, ChatKitServer):
        raise CommandError(f"{name} returned a {type(made).__name__} instead of a ChatKitServer.")
    return Target(server=cast("ChatKitServer[Any]", made), got_store=bool(takes))


_KINDS = (
    "a target is a ChatKitServer, a subclass of it, a function that takes a store and returns one, an ASGI "
    "application, or an agent: an Agent of the OpenAI Agents SDK or of Pydantic AI, a compiled graph of LangGraph, or "
    "an async generator function that takes a text."
)


def _agent_server(found: object, name: str) -> Callable[..., ChatKitServer[Any]] | None:
    """Returns what serves an agent, None for what is no agent; imports no framework that is not loaded already."""
    if inspect.isasyncgenfunction(found):
        return cast("Any", import_module("chatkit.frameworks")).FunctionServer
    for module, kind, adapter in _AGENTS:
        known: object = getattr(sys.modules.get(module), kind, None)
        if inspect.isclass(known) and isinstance(found, known):
            return cast("Any", import_module(adapter)).AgentServer
    if type(found).__module__.startswith("langgraph.") and hasattr(found, "compile"):
        raise CommandError(f"{name} is a graph that is not compiled: name what its compile() returns.")
    return None


def _construct(kind: type[ChatKitServer[Any]], name: str, store: Store[Any]) -> ChatKitServer[Any]:
    if inspect.isabstract(kind):
        missing = ", ".join(sorted(kind.__abstractmethods__))
        raise CommandError(f"{name} does not implement {missing}.")
    try:
        inspect.signature(kind).bind(store)
    except TypeError as error:
        raise CommandError(
            f"{name} cannot be constructed with a store alone ({error}); give a function that makes it instead."
        ) from error
    return kind(store)


def _positional(function: Callable[..., object]) -> tuple[int, int]:
    """Returns how many positional arguments a callable needs, and how many it takes."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 3, 3
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    plain = [parameter for parameter in parameters if parameter.kind in kinds]
    more = any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters)
    required = sum(parameter.default is inspect.Parameter.empty for parameter in plain)
    return required, len(plain) + (1 if more else 0)
