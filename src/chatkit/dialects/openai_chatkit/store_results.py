"""What an application's store returns, read as models and pages."""

from __future__ import annotations

from typing import Any, cast

from pydantic import Field, TypeAdapter, ValidationError

from chatkit.errors import NotFoundError
from chatkit.types import Page

__all__ = ["PageAsGiven", "read_model", "read_page"]


class PageAsGiven(Page[Any]):
    """A page of a store that keeps dictionaries: ``data`` has the models of those that are items.

    Attributes:
        given: The entries as the store returned them.
    """

    given: list[Any] = Field(default_factory=list[Any])


def read_model(kind: TypeAdapter[Any], loaded: Any, wanted: str) -> Any:
    """Returns what a store gave as a model, if it is a dictionary.

    Raises:
        NotFoundError: The store gave None.
    """
    if loaded is None:
        raise NotFoundError(f"There is no {wanted!r}.")
    return kind.validate_python(loaded) if isinstance(loaded, dict) else loaded


def read_page(returned: Any, kind: TypeAdapter[Any]) -> Page[Any]:
    """Returns what a store gave as a page, with its dictionaries as models beside them."""
    if isinstance(returned, Page):
        page = cast("Page[Any]", returned)
        if not any(isinstance(entry, dict) for entry in page.data):
            return page
        data, has_more, after = page.data, page.has_more, page.after
    elif isinstance(returned, dict):
        fields = cast("dict[str, Any]", returned)
        data, has_more, after = fields.get("data", []), fields.get("has_more", False), fields.get("after")
    elif isinstance(returned, list | tuple):
        data, has_more, after = list(cast("list[Any]", returned)), False, None
    elif returned is None:
        data, has_more, after = [], False, None
    else:
        data, has_more = list(returned.data), bool(getattr(returned, "has_more", False))
        after = getattr(returned, "after", None)
    models = [model for entry in data if (model := _entry(entry, kind)) is not None]
    return PageAsGiven.model_construct(data=models, has_more=has_more, after=after, given=data)


def _entry(entry: Any, kind: TypeAdapter[Any]) -> Any:
    if not isinstance(entry, dict):
        return entry
    try:
        return kind.validate_python(entry)
    except ValidationError:
        return None
