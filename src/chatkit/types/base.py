"""What the models of the protocol share."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel

from chatkit.ids import to_utc

__all__ = ["Model", "UTCDateTime", "to_wire"]

UTCDateTime = Annotated[datetime, AfterValidator(to_utc)]
"""A moment, always aware and in UTC; naive input is taken as local time; sent as ISO 8601 with ``Z``."""


class Model(BaseModel):
    """Base of the protocol's models. Unknown fields of input are ignored."""


def to_wire(model: BaseModel, kind: type[BaseModel] | None = None) -> bytes:
    """Returns the model as JSON in UTF-8, without the fields that are None.

    Args:
        model: The model.
        kind: A base class of its, to leave out the fields that others add to that one.
    """
    return (kind or type(model)).__pydantic_serializer__.to_json(model, exclude_none=True, by_alias=True)
