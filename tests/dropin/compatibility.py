"""Whether calls that are valid for one surface, as ``surface.py`` prints it, are valid for another one too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Surface = dict[str, dict[str, Any]]

_POSITIONAL = ("positional_only", "positional_or_keyword")
_BY_NAME = ("keyword_only", "positional_or_keyword")
# What a wider annotation accepts beside itself.
_WIDER = {"Any": ("",), "float": ("int",), "str": ('"',), "int": ()}


def differences(theirs: Surface, ours: Surface) -> Iterator[tuple[str, str]]:
    """Yields the places where the second surface lacks something or asks for more, and what it is."""
    for module, names in theirs.items():
        if module not in ours:
            yield module, "missing"
            continue
        for name, expected in names.items():
            place = f"{module}.{name}"
            found = ours[module].get(name)
            if found is None:
                yield place, "missing"
            elif found["kind"] != expected["kind"]:
                yield place, f"is a {found['kind']}, not a {expected['kind']}"
            else:
                for inner, problem in _COMPARED[expected["kind"]](expected, found):
                    yield f"{place}{inner}", problem


def _compare_class(theirs: Any, ours: Any) -> Iterator[tuple[str, str]]:
    for ancestor in sorted(set(theirs["ancestors"]) - set(ours["ancestors"])):
        yield "", f"is no {ancestor}"
    for method in sorted(set(ours["abstract"]) - set(theirs["abstract"])):
        yield f".{method}", "is abstract"
    if theirs["generic"] and ours["generic"] != theirs["generic"]:
        yield "", f"takes {ours['generic']} type arguments, not {theirs['generic']}"
    for name, value in theirs.get("members", {}).items():
        if ours.get("members", {}).get(name) != value:
            yield f".{name}", f"is not {value!r}"
    for name, expected in theirs["methods"].items():
        if name not in ours["methods"]:
            yield f".{name}", "missing"
        else:
            for problem in compare_parameters(expected, ours["methods"][name]):
                yield f".{name}()", problem
    there = {*ours["attributes"], *ours.get("fields", {}), *ours["methods"]}
    for name in theirs["attributes"]:
        if name not in there:
            yield f".{name}", "missing"
    if "parameters" in theirs:
        for problem in compare_parameters(theirs["parameters"], ours.get("parameters", [])):
            yield "()", problem
    if "fields" in theirs:
        if theirs["extra"] == "allow" and ours.get("extra") != "allow":
            yield "", "takes no further fields"
        yield from _compare_fields(theirs["fields"], ours.get("fields", {}))


def _compare_fields(theirs: Any, ours: Any) -> Iterator[tuple[str, str]]:
    for name, expected in theirs.items():
        if name not in ours:
            yield f".{name}", "missing field"
            continue
        field = ours[name]
        for spelling in sorted(set(expected["spellings"]) - set(field["spellings"])):
            yield f".{name}", f"does not take the spelling {spelling}"
        if field["sent_as"] != expected["sent_as"]:
            yield f".{name}", f"is sent as {field['sent_as']}, not {expected['sent_as']}"
        if field["required"] and not expected["required"]:
            yield f".{name}", "is required"
        elif "default" in expected and field["default"] != expected["default"]:
            yield f".{name}", f"is {field['default']!r} by default, not {expected['default']!r}"
        yield from _compare_accepted(f".{name}", expected["accepts"], field["accepts"])
    for name, field in ours.items():
        if name not in theirs and field["required"]:
            yield f".{name}", "is required, and there is no such field there"


def _compare_accepted(place: str, theirs: list[str], ours: list[str]) -> Iterator[tuple[str, str]]:
    for member in theirs:
        if not any(_covers(wide, member) for wide in ours):
            yield place, f"does not accept {member}"


def _covers(wide: str, member: str) -> bool:
    if wide == member:
        return True
    outer, colon, inner = wide.rpartition(":")
    member_outer, _, member_inner = member.rpartition(":") if colon else ("", "", member)
    if outer != member_outer:
        return False
    return any(member_inner.startswith(narrow) for narrow in _WIDER.get(inner, ()))


def compare_parameters(theirs: list[Any], ours: list[Any]) -> Iterator[str]:
    """Yields why a call that fits the first list of parameters might not fit the second one."""
    by_name = {
        parameter["name"].lstrip("_"): parameter for parameter in ours if parameter["kind"] in _BY_NAME
    }
    positional = [parameter for parameter in ours if parameter["kind"] in _POSITIONAL]
    kinds = {parameter["kind"] for parameter in ours}
    place = 0
    for parameter in theirs:
        name, kind = parameter["name"].lstrip("_"), parameter["kind"]
        if kind in {"var_positional", "var_keyword"}:
            if kind not in kinds:
                yield f"does not take {kind.removeprefix('var_')} arguments of any number"
            continue
        if kind in _POSITIONAL:
            if place < len(positional):
                found = positional[place]["name"].lstrip("_")
                if found != name and kind == "positional_or_keyword":
                    yield f"takes {found} as argument {place + 1}, not {name}"
            elif "var_positional" not in kinds:
                yield f"takes no argument {place + 1} ({name})"
            place += 1
        if kind in _BY_NAME and name not in by_name and "var_keyword" not in kinds:
            yield f"does not take {name}="
        if parameter["optional"] and not by_name.get(name, parameter)["optional"]:
            yield f"requires {name}"
    theirs_names = {parameter["name"].lstrip("_") for parameter in theirs}
    for name, parameter in by_name.items():
        if name not in theirs_names and not parameter["optional"]:
            yield f"requires {name}, which is no parameter there"


def _compare_function(theirs: Any, ours: Any) -> Iterator[tuple[str, str]]:
    for problem in compare_parameters(theirs["parameters"], ours["parameters"]):
        yield "()", problem


def _compare_typed_dictionary(theirs: Any, ours: Any) -> Iterator[tuple[str, str]]:
    for name, expected in theirs["keys"].items():
        key = ours["keys"].get(name)
        if key is None:
            yield f"[{name}]", "missing key"
            continue
        if key["required"] and not expected["required"]:
            yield f"[{name}]", "is required"
        yield from _compare_accepted(f"[{name}]", expected["accepts"], key["accepts"])
    for name, key in ours["keys"].items():
        if name not in theirs["keys"] and key["required"]:
            yield f"[{name}]", "is required, and there is no such key there"


def _compare_alias(theirs: Any, ours: Any) -> Iterator[tuple[str, str]]:
    yield from _compare_accepted("", theirs["members"], ours["members"])


def _compare_constant(theirs: Any, ours: Any) -> Iterator[tuple[str, str]]:
    if isinstance(theirs["value"], dict):
        if not theirs["value"].items() <= ours["value"].items():
            yield "", f"is {ours['value']!r}, not {theirs['value']!r}"
    elif type(theirs["value"]) is not type(ours["value"]) or (
        theirs["value"] != ours["value"] and not isinstance(theirs["value"], str)
    ):
        yield "", f"is {ours['value']!r}, not {theirs['value']!r}"


def _compare_logger(theirs: Any, ours: Any) -> Iterator[tuple[str, str]]:
    if theirs["name"] != ours["name"]:
        yield "", f"is the logger {ours['name']}, not {theirs['name']}"


def _same_kind(theirs: Any, ours: Any) -> Iterator[tuple[str, str]]:
    yield from ()


_COMPARED = {
    "alias": _compare_alias,
    "class": _compare_class,
    "constant": _compare_constant,
    "function": _compare_function,
    "logger": _compare_logger,
    "type variable": _same_kind,
    "typed dictionary": _compare_typed_dictionary,
}
