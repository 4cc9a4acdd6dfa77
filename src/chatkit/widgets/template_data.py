"""Checks of a widget template's data against its JSON schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

import jsonschema
import referencing
from pydantic_core import PydanticSerializationError, to_jsonable_python
from referencing.exceptions import Unresolvable

from chatkit.errors import WidgetDataError, WidgetTemplateError

__all__ = ["DataChecker"]

_SHOWN: Final = 5
# Their stubs leave most types open.
_jsonschema: Any = jsonschema
_referencing: Any = referencing


class DataChecker:
    """Checks data against a schema.

    Args:
        schema: A JSON schema, of the draft that its ``$schema`` names, by default 2020-12.
        name: The template's name, for messages.

    Raises:
        WidgetTemplateError: It is no valid schema.
    """

    def __init__(self, schema: Any, name: str) -> None:
        self._name = name
        default = _jsonschema.Draft202012Validator
        draft = _jsonschema.validators.validator_for(schema, default=default)
        try:
            draft.check_schema(schema)
        except jsonschema.SchemaError as error:
            raise WidgetTemplateError(
                f"The jsonSchema of the widget template {name!r} is no valid schema: {error.message} "
                f"at {error.json_path}"
            ) from error
        # A registry of its own: the default one fetches schemas from where they say they are.
        self._validator: Any = _lenient(draft)(schema, registry=_referencing.Registry())

    def check(self, data: dict[str, Any]) -> None:
        """Refuses what does not fit the schema. A None where the schema wants no value at all counts as none.

        Raises:
            WidgetDataError: The data does not fit; the message names what does not, and why.
        """
        try:
            values = to_jsonable_python(data, fallback=repr)
            problems = sorted(self._validator.iter_errors(values), key=lambda problem: problem.json_path)
        except (PydanticSerializationError, Unresolvable) as error:
            raise WidgetTemplateError(
                f"The data of the widget template {self._name!r} cannot be checked: {error}"
            ) from error
        if problems:
            shown = "; ".join(map(_told, problems[:_SHOWN]))
            more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
            raise WidgetDataError(f"The data does not fit the widget template {self._name!r}: {shown}{more}")


def _told(problem: jsonschema.ValidationError) -> str:
    # Of "none of the alternatives fits" it is the nearest alternative that helps.
    nearest = _jsonschema.exceptions.best_match([problem])
    return f"{nearest.json_path}: {nearest.message}"


def _lenient(draft: Any) -> Any:
    """Returns the draft's validator, but for None: models have it where a JSON object would have no key."""
    strict = draft.VALIDATORS["properties"]

    def properties(
        validator: Any, schemas: Any, instance: Any, schema: Any
    ) -> Iterator[jsonschema.ValidationError]:
        if isinstance(instance, dict):
            required = schema.get("required", ())
            given = cast("dict[str, Any]", instance)
            instance = {name: value for name, value in given.items() if value is not None or name in required}
        yield from strict(validator, schemas, instance, schema)

    return _jsonschema.validators.extend(draft, {"properties": properties})
