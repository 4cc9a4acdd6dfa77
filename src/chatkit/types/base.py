"""What the models of the protocol share."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel
from pydantic_core import PydanticSerializationError

from chatkit._typos import init_that_warns
from chatkit._unicode import well_formed
from chatkit.ids import to_utc

__all__ = ["Model", "UTCDateTime", "to_wire"]

UTCDateTime = Annotated[datetime, AfterValidator(to_utc)]
"""A moment, always aware and in UTC; naive input is taken as local time; sent as ISO 8601 with ``Z``."""


class Model(BaseModel):
    """Base of the protocol's models. Unknown fields of input are ignored; names that look mistyped are logged."""

    if not TYPE_CHECKING:
        __init__ = init_that_warns


def to_wire(model: BaseModel, kind: type[BaseModel] | None = None) -> bytes:
    """Returns the model as JSON in UTF-8, without the fields that are None and with U+FFFD for lone surrogates.

    Args:
        model: The model.
        kind: A base class of the model's, to send only the fields of that one.
    """
    serializer = (kind or type(model)).__pydantic_serializer__
    try:
        return serializer.to_json(model, exclude_none=True, by_alias=True)
    except (PydanticSerializationError, UnicodeError):
        repaired = well_formed(model)
        if repaired is model:
            raise
        return serializer.to_json(repaired, exclude_none=True, by_alias=True)
