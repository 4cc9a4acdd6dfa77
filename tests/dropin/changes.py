"""What differs between two versions of an interface: of Python names, of the protocol's schema, of TypeScript types.

Each is a dictionary of members, such as ``chatkit.store.Store.load_item()``, with what is said of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Changes", "compare", "schema_members", "surface_members", "type_members"]

Members = dict[str, str]
_PROSE = {"title", "description", "examples"}


@dataclass(frozen=True)
class Changes:
    """The members that a newer version added, removed, and says otherwise: these with both wordings."""

    added: Members
    removed: Members
    changed: dict[str, tuple[str, str]]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    def lines(self) -> Iterator[str]:
        """Yields a line for each member."""
        yield from (f"+ {name}: {said}" for name, said in self.added.items())
        yield from (f"- {name}: {said}" for name, said in self.removed.items())
        for name, (before, after) in self.changed.items():
            yield f"~ {name}: {before}  ->  {after}"


def compare(before: Members, after: Members) -> Changes:
    """Returns what changed from one version to another one."""
    return Changes(
        added={name: said for name, said in after.items() if name not in before},
        removed={name: said for name, said in before.items() if name not in after},
        changed={
            name: (before[name], said)
            for name, said in after.items()
            if name in before and before[name] != said
        },
    )


def surface_members(surface: dict[str, dict[str, Any]]) -> Members:
    """Returns the members of a surface, as ``surface.py`` prints it."""
    return {
        f"{module}.{name}{inner}": said
        for module, names in surface.items()
        for name, described in names.items()
        for inner, said in _described(described)
    }


def _described(described: dict[str, Any]) -> Iterator[tuple[str, str]]:
    kind = described["kind"]
    if kind == "alias":
        yield "", f"alias of {', '.join(described['members'])}"
    elif kind == "constant":
        yield "", f"constant {described['value']!r}"
    else:
        yield "", " ".join([kind, *described.get("ancestors", [])])
    if isinstance(described.get("members"), dict):
        yield from ((f".{name}", repr(value)) for name, value in described["members"].items())
    if "parameters" in described:
        yield "()", _signature(described["parameters"])
    for name, parameters in described.get("methods", {}).items():
        yield f".{name}()", _signature(parameters)
    fields = described.get("fields", {})
    for name, field in fields.items() if isinstance(fields, dict) else ():
        # A default may be the present time.
        said = {key: value for key, value in field.items() if key != "default"}
        yield f".{name}", json.dumps(said, sort_keys=True)
    for name in described.get("attributes", []):
        if name not in fields and name not in (described.get("members") or {}):
            yield f".{name}", "attribute"


def _signature(parameters: list[dict[str, Any]]) -> str:
    marks = {"var_positional": "*", "var_keyword": "**", "keyword_only": "", "positional_only": "/"}
    return ", ".join(
        f"{marks.get(entry['kind'], '')}{entry['name']}{'=' * (entry['kind'] == 'keyword_only')}"
        f"{'?' if entry['optional'] else ''}"
        for entry in parameters
    )


def schema_members(schemas: dict[str, Any]) -> Members:
    """Returns the fields of the protocol's models, from their JSON schemas."""
    found: Members = {}
    for model, schema in schemas.items():
        required = schema.get("required", [])
        found[model] = json.dumps(_bare({**schema, "properties": 0, "required": 0}), sort_keys=True)
        for name, field in schema.get("properties", {}).items():
            need = "required" if name in required else "optional"
            found[f"{model}.{name}"] = f"{need} {json.dumps(_bare(field), sort_keys=True)}"
    return found


def _bare(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _bare(value) for key, value in schema.items() if key not in _PROSE}
    return [_bare(entry) for entry in schema] if isinstance(schema, list) else schema


def type_members(text: str) -> Members:
    """Returns the members of the types that a ``.d.ts`` file exports."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r"(?m)//[^\n'\"]*$", "", text)
    found: Members = {}
    for match in re.finditer(r"^export (?:declare )?(?:type|interface) (\w+)", text, re.MULTILINE):
        end = _end(text, match.end())
        _collect(match[1], text[match.end() : end], found)
    return found


def _end(text: str, start: int) -> int:
    """Returns where a declaration ends: at a semicolon outside of braces, or before the next export."""
    depth = 0
    for place in range(start, len(text)):
        char = text[place]
        depth += (char in "{(") - (char in "})")
        if depth == 0 and (char == ";" or text.startswith("\nexport ", place)):
            return place
    return len(text)


def _collect(path: str, declaration: str, found: Members) -> None:
    """Adds a member, and those of the object types in it."""
    said, inner = "", []
    depth, begin = 0, 0
    for place, char in enumerate(declaration):
        if char == "{":
            if depth == 0:
                begin = place + 1
                said += "{}"
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                inner.append(declaration[begin:place])
        elif depth == 0:
            said += char
    # Two members may have one name, such as overloads.
    said = " ".join(said.split()).strip("= ;")
    found[path] = f"{found[path]} & {said}" if path in found else said
    for body in inner:
        for member in _split(body):
            name = re.match(r"\s*(?:readonly\s+)?['\"]?([\w.$-]+)['\"]?", member)
            if name is not None:
                _collect(f"{path}.{name[1]}", member[name.end() :], found)


def _split(body: str) -> Iterator[str]:
    depth, begin = 0, 0
    for place, char in enumerate(body):
        depth += (char in "{(<[") - (char in "})]") - (char == ">" and body[place - 1] != "=")
        if depth == 0 and char == ";":
            yield body[begin:place]
            begin = place + 1
    yield body[begin:]
