"""The fields of models as plain facts, from a JSON schema: comparable whoever made the schema."""

from __future__ import annotations

from typing import Any

WIDGET_UNIONS = {"WidgetRoot", "WidgetComponent"}


def shapes(schema: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Returns each definition's fields as ``type``, ``type = default`` or ``type, required``."""
    return {
        _name(name): {
            field: _field(given, required=field in definition.get("required", ()))
            for field, given in definition["properties"].items()
        }
        for name, definition in schema["$defs"].items()
        if "properties" in definition
    }


def _field(given: dict[str, Any], *, required: bool) -> str:
    # A discriminator is required on the wire, whatever its default.
    if required and "const" not in given:
        return f"{_type(given)}, required"
    if "default" in given and "const" not in given:
        return f"{_type(given)} = {given['default']!r}"
    return _type(given)


def _type(given: dict[str, Any]) -> str:
    if "$ref" in given:
        return _name(given["$ref"].rpartition("/")[2])
    for union in ("anyOf", "oneOf"):
        if union in given:
            parts: set[str] = set()
            for part in given[union]:
                parts.update(_type(part).split(" | "))
            return " | ".join(sorted(parts))
    if "allOf" in given:
        return _type(given["allOf"][0])
    if "const" in given:
        return repr(given["const"])
    if "enum" in given:
        return " | ".join(sorted(map(repr, given["enum"])))
    kind = given.get("type", "any")
    if kind == "array":
        return f"[{_type(given.get('items', {}))}]"
    if kind == "object" and isinstance(given.get("additionalProperties"), dict):
        return f"{{{_type(given['additionalProperties'])}}}"
    return f"{kind}:{given['format']}" if "format" in given else kind


def _name(name: str) -> str:
    for generic in ("Page", "Action"):
        if name.startswith(f"{generic}_"):
            return generic
    return name
