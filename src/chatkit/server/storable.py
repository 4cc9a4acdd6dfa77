"""Whether an item can be read back once it is stored: assigning to a field of a model checks nothing."""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from chatkit.errors import InvalidEventError
from chatkit.types import ThreadItem

__all__ = ["check_storable"]

_ITEMS: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem, config={"defer_build": True})


def check_storable(item: ThreadItem) -> None:
    """Checks that a store could read the item back.

    Raises:
        InvalidEventError: A field holds a value that its type does not allow, or that JSON has no form for.
    """
    try:
        _ITEMS.validate_json(
            type(item).__pydantic_serializer__.to_json(item, exclude_none=True, by_alias=True, warnings=False)
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        raise InvalidEventError(
            f"Item {item.id} cannot be stored: its field {field!r} holds a wrong value ({first['msg']})."
        ) from error
    except (PydanticSerializationError, UnicodeError, TypeError, ValueError) as error:
        raise InvalidEventError(
            f"Item {item.id} cannot be stored: it has no form in JSON ({error})."
        ) from error
