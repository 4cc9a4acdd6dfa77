"""Prints the public surface of the installed ``chatkit`` as JSON; runs with the interpreter of any environment.

What is public: every name without a leading underscore that a public module defines, or takes from another module of
``chatkit``. Names of other packages that a module merely uses are left out.
"""

from __future__ import annotations

import dis
import enum
import importlib.util
import inspect
import json
import logging
import sys
import types
import typing
import warnings
from collections.abc import Callable
from typing import Any

import pydantic
import typing_extensions

MODULES = ("actions", "agents", "errors", "icons", "logger", "server", "store", "types", "version", "widgets")
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_CONSTANTS = (str, int, float, dict, tuple, list, type(None))


def surface() -> dict[str, dict[str, Any]]:
    """Returns for each public module its public names and what there is to know about each."""
    modules = {
        name: importlib.import_module(f"chatkit.{name}")
        for name in MODULES
        if importlib.util.find_spec(f"chatkit.{name}") is not None
    }
    foreign = {
        id(value)
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] not in {"chatkit", "__main__"} and module is not None
        for value in list(vars(module).values())
        if not isinstance(value, _CONSTANTS)
    }
    found: dict[str, dict[str, Any]] = {}
    for name, module in modules.items():
        names = {public for public in dir(module) if not public.startswith("_")}
        values = {public: getattr(module, public) for public in sorted(names)}
        found[f"chatkit.{name}"] = {
            public: describe(value)
            for public, value in values.items()
            if not isinstance(value, types.ModuleType)
            and (id(value) not in foreign or _is_of_chatkit(value))
            and getattr(value, "__module__", "") != "__future__"
        }
    return found


def _is_of_chatkit(value: Any) -> bool:
    return str(getattr(value, "__module__", "")).partition(".")[0] == "chatkit"


def describe(value: Any) -> dict[str, Any]:
    """Returns what calls and annotations with the value depend on."""
    if typing_extensions.is_typeddict(value):
        return _typed_dictionary(value)
    if isinstance(value, type):
        return _class(value)
    if isinstance(value, types.FunctionType):
        return {"kind": "function", "parameters": parameters(value)}
    if isinstance(value, typing.TypeVar | typing_extensions.TypeVar):  # pyright: ignore
        return {"kind": "type variable"}
    if isinstance(value, logging.Logger):
        return {"kind": "logger", "name": value.name}
    if isinstance(value, _CONSTANTS):
        return {"kind": "constant", "value": _plain(value)}
    return {"kind": "alias", "members": sorted(members(value))}


def _class(value: Any) -> dict[str, Any]:
    described: dict[str, Any] = {
        "kind": "class",
        "ancestors": sorted(
            {base.__name__ for base in value.__mro__ if _is_of_chatkit(base) or _is_error(base)}
        ),
        "abstract": sorted(getattr(value, "__abstractmethods__", ())),
        "generic": len(getattr(value, "__parameters__", ()))
        or len(getattr(value, "__pydantic_generic_metadata__", {}).get("parameters", ())),
        "methods": _methods(value),
        "attributes": sorted(_attributes(value)),
    }
    if issubclass(value, enum.Enum):
        described["members"] = {member.name: member.value for member in value}
    elif issubclass(value, pydantic.BaseModel):
        described["extra"] = value.model_config.get("extra", "ignore")
        hints = typing_extensions.get_type_hints(value)
        described["fields"] = {name: _field(value, name, hints[name]) for name in value.model_fields}
    else:
        described["parameters"] = parameters(value)
    return described


def _is_error(base: type) -> bool:
    return issubclass(base, Exception)


def _methods(value: Any) -> dict[str, Any]:
    methods: dict[str, Any] = {}
    hooks = _hooks(value)
    for base in reversed(value.__mro__):
        if not _is_of_chatkit(base):
            continue
        for name, member in vars(base).items():
            if name.startswith("_"):
                continue
            if name in hooks:
                continue
            if isinstance(member, types.FunctionType | classmethod | staticmethod):
                methods[name] = parameters(getattr(value, name), bound=isinstance(member, types.FunctionType))
    return dict(sorted(methods.items()))


def _hooks(value: Any) -> set[str]:
    """Returns the validators and serialisers of a model, which are for pydantic to call."""
    decorators = getattr(value, "__pydantic_decorators__", None)
    kinds = vars(type(decorators)).get("__slots__", ()) if decorators is not None else ()
    return {name for kind in kinds for name in getattr(decorators, kind)}


def _attributes(value: Any) -> set[str]:
    """Returns names that instances or the class have: annotated, assigned on creation, properties, constants."""
    names: set[str] = set()
    for base in value.__mro__:
        if not _is_of_chatkit(base):
            continue
        names.update(_annotations(base))
        names.update(
            name
            for name, member in vars(base).items()
            if not isinstance(member, types.FunctionType | classmethod | staticmethod | type)
        )
        create = vars(base).get("__init__")
        if isinstance(create, types.FunctionType):
            names.update(
                instruction.argval
                for instruction in dis.get_instructions(create)
                if instruction.opname == "STORE_ATTR"
            )
    return {name for name in names if not name.startswith("_") and not name.startswith("model_")}


def _annotations(base: Any) -> dict[str, Any]:
    return getattr(base, "__annotations__", {}) if "__annotations__" in vars(base) else {}


def parameters(function: Callable[..., Any], *, bound: bool = False) -> list[dict[str, Any]]:
    """Returns the parameters of a callable in their order, without the instance of a method."""
    try:
        listed = list(inspect.signature(function).parameters.values())[bound:]
    except ValueError:  # A class that leaves its creation to one of the builtins, which have no signature.
        listed = [inspect.Parameter("arguments", inspect.Parameter.VAR_POSITIONAL)]
    return [
        {
            "name": parameter.name,
            "kind": parameter.kind.name.lower(),
            "optional": parameter.kind in _VARIADIC or parameter.default is not parameter.empty,
        }
        for parameter in listed
    ]


def _field(model: Any, name: str, hint: Any) -> dict[str, Any]:
    field = model.model_fields[name]
    alias = field.validation_alias or field.alias
    spellings = {name} if alias is None or model.model_config.get("populate_by_name") else set()
    for choice in alias.choices if isinstance(alias, pydantic.AliasChoices) else [alias]:
        if isinstance(choice, str):
            spellings.add(choice)
    described: dict[str, Any] = {
        "spellings": sorted(spellings),
        "sent_as": field.serialization_alias or field.alias or name,
        "required": field.is_required(),
        "accepts": sorted(members(hint)),
    }
    if not field.is_required():
        default = field.default_factory() if field.default_factory is not None else field.default
        described["default"] = _plain(default)
    return described


def _typed_dictionary(value: Any) -> dict[str, Any]:
    hints = typing_extensions.get_type_hints(value)
    return {
        "kind": "typed dictionary",
        "keys": {
            name: {"required": name in value.__required_keys__, "accepts": sorted(members(hint))}
            for name, hint in hints.items()
        },
    }


def members(annotation: Any) -> set[str]:
    """Returns what an annotation accepts: the members of unions and literals, those of items behind a colon."""
    origin = typing_extensions.get_origin(annotation)
    arguments = typing_extensions.get_args(annotation)
    if origin in (typing.Annotated, typing_extensions.Required, typing_extensions.NotRequired):
        return members(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return set().union(*map(members, arguments))
    if origin is typing.Literal:
        return {json.dumps(argument) for argument in arguments}
    if origin is not None and origin.__module__ in {"builtins", "collections.abc", "typing"}:
        inner = [members(argument) for argument in arguments if argument is not Ellipsis] or [{""}]
        return {f"{origin.__name__}:{item}" for item in inner[-1]}
    generic = getattr(annotation, "__pydantic_generic_metadata__", None) or {}
    if generic.get("origin") is not None:
        inner = set().union(*map(members, generic["args"]))
        return {f"{generic['origin'].__name__}:{item}" for item in inner}
    if annotation in (None, type(None)):
        return {"null"}
    if isinstance(annotation, typing.ForwardRef):
        return {annotation.__forward_arg__}
    if isinstance(annotation, typing.TypeVar | typing_extensions.TypeVar):  # pyright: ignore
        return {"Any"}
    return {getattr(annotation, "__name__", str(annotation))}


def _plain(value: Any) -> Any:
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, str | int | float | None) else repr(value)


def main() -> None:
    warnings.simplefilter("ignore")
    json.dump(surface(), sys.stdout)


if __name__ == "__main__":
    main()
