"""How a widget is read: as the class of its `type` where that keeps every property, else as a dynamic one.

pydantic's own unions would build one validator out of all component classes for each field that holds a
component, and would turn a property like ``"maxLines": "3"`` into what the class declares. Here each class
builds its own validator when the first such component is met, and a component that its class cannot represent
exactly stays as it was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, cast, get_args

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema, to_jsonable_python

from chatkit.widgets.base import DynamicWidgetComponent, WidgetComponentBase


@dataclass(frozen=True)
class ByType:
    """Annotation for a union of component classes: reads a mapping as the class that its `type` names.

    Attributes:
        union: The union of the classes; its members are told apart by the default of their `type`.
        fallback: The class of what no member can represent.
        accepted: Instances of these are taken as they are.
    """

    union: Any
    fallback: type[DynamicWidgetComponent]
    accepted: tuple[type[WidgetComponentBase], ...]

    @cached_property
    def _classes(self) -> dict[str, type[WidgetComponentBase]]:
        members: tuple[type[WidgetComponentBase], ...] = get_args(get_args(self.union)[0])
        return {member.model_fields["type"].default: member for member in members}

    def read(self, value: object) -> WidgetComponentBase:
        """Returns the component that the value describes, or the value if it is one.

        Raises:
            ValidationError: The value is a mapping that even `fallback` cannot represent.
            PydanticCustomError: The value is neither a mapping nor a component.
        """
        if isinstance(value, self.accepted):
            return value
        if not isinstance(value, Mapping):
            raise PydanticCustomError(
                "widget_component", "Input should be a widget component, or a dictionary of its properties"
            )
        written = cast("Mapping[str, Any]", value)
        name = written.get("type")
        known = self._classes.get(name) if isinstance(name, str) else None
        if known is not None:
            try:
                component = known.model_validate(written)
            except ValidationError:
                pass
            else:
                if _keeps(component, written):
                    return component
        return self.fallback.model_validate(written)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validates by `read`; serialises each component by its own class."""
        return core_schema.no_info_plain_validator_function(
            self.read, serialization=core_schema.simple_ser_schema("any")
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Describes any component: an object with a `type`."""
        return {"type": "object", "properties": {"type": {"type": "string"}}, "required": ["type"]}


def _keeps(component: WidgetComponentBase, written: Mapping[str, Any]) -> bool:
    """Returns whether the component holds every property exactly as it was written."""
    fields = component.__dict__
    extra = component.__pydantic_extra__ or {}
    for name, given in written.items():
        kept = fields.get(name) if name in fields else extra.get(name)
        if kept is given or given is None:
            continue
        # `ByType` compared the children that it read. Only the items of a list are read by their class alone.
        if name == "children" and component.type != "ListView":
            continue
        if not _same(given, kept):
            return False
    return True


def _same(given: Any, kept: Any) -> bool:
    if given is kept:
        return True
    if isinstance(kept, BaseModel):
        fields = {**kept.__dict__, **(kept.__pydantic_extra__ or {})}
        return isinstance(given, Mapping) and _same_mapping(cast("Mapping[str, Any]", given), fields)
    if isinstance(kept, dict):
        return isinstance(given, Mapping) and _same_mapping(
            cast("Mapping[str, Any]", given), cast("dict[str, Any]", kept)
        )
    if isinstance(kept, list):
        given_list, kept_list = cast("list[Any]", given), cast("list[Any]", kept)
        return (
            isinstance(given, list)
            and len(given_list) == len(kept_list)
            and all(map(_same, given_list, kept_list))
        )
    if isinstance(kept, datetime) and isinstance(given, str):
        return to_jsonable_python(kept) == given
    # JSON has one kind of number, but true is not 1.
    return given == kept and isinstance(given, bool) == isinstance(kept, bool)


def _same_mapping(given: Mapping[str, Any], kept: dict[str, Any]) -> bool:
    return all(value is None or (name in kept and _same(value, kept[name])) for name, value in given.items())
