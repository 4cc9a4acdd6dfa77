"""What all widget components share, and the component that stands for those without a class of their own."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, field_validator, model_serializer

from chatkit._typos import init_that_warns_of_extras, warn_of_extras

DEPRECATED: Final = (
    "Classes of single components are deprecated, as in openai-chatkit 1.6: build widgets with WidgetTemplate, or of "
    "DynamicWidgetRoot and DynamicWidgetComponent."
)

TModel = TypeVar("TModel", bound=type[BaseModel])


class WidgetMetaclass(type(BaseModel)):
    """Warns an application that calls a deprecated class. Reading a widget, from a store or a request, does not."""

    # Type checkers would take a call for one that returns anything.
    if not TYPE_CHECKING:

        def __call__(cls, *arguments: Any, **properties: Any) -> Any:
            """Makes an instance."""
            if "__deprecated__" in cls.__dict__:
                warnings.warn(DEPRECATED, DeprecationWarning, stacklevel=2)
            return super().__call__(*arguments, **properties)


def deprecated(model: TModel) -> TModel:
    """Marks a class, but none that derives from it, as one whose calls warn."""
    # Where tools that list what is deprecated look for it.
    setattr(model, "__deprecated__", DEPRECATED)  # noqa: B010
    return model


class WidgetComponentBase(BaseModel, metaclass=WidgetMetaclass):
    """Base of every widget component. Properties that a class does not declare are kept as they are.

    Attributes:
        key: Identity among siblings when a list of components changes.
        id: Identity within the widget, by which updates and streamed text find the component.
        type: Which component this is.
    """

    # Dozens of classes of which an application uses a few: each validator is built on first use.
    model_config = ConfigDict(defer_build=True, extra="allow")

    key: str | None = None
    id: str | None = None
    type: str

    if not TYPE_CHECKING:
        __init__ = init_that_warns_of_extras

    @model_serializer(mode="wrap")
    def serialize(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Returns the component's type and those of its properties that are not None, at any depth."""
        properties: dict[str, Any] = {}
        for name, value in handler(self).items():
            if name == "children":
                # They did the same for themselves; a None here is left to the caller's `exclude_none`.
                properties[name] = value
            elif value is not None:
                properties[name] = _without_none(value) if isinstance(value, dict | list) else value
        properties["type"] = self.type
        return properties


class DynamicWidgetComponent(WidgetComponentBase):
    """Any component, known to this version or not, with whatever properties it has.

    Components of other classes among its children become dynamic ones with the same properties.
    """

    children: DynamicWidgetComponent | list[DynamicWidgetComponent] | None = None

    @field_validator("children", mode="before")
    @classmethod
    def _read_children(cls, children: Any) -> Any:
        if isinstance(children, list | tuple):
            return [_properties(child) for child in cast("Sequence[Any]", children)]
        return _properties(children)

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            type: str,
            key: str | None = None,
            id: str | None = None,
            children: WidgetComponentBase | Sequence[WidgetComponentBase] | None = None,
            **properties: Any,
        ) -> None: ...
    else:

        def __init__(self, /, **data: Any) -> None:
            __tracebackhide__ = True
            self.__pydantic_validator__.validate_python(data, self_instance=self)
            if self.__pydantic_extra__:
                warn_of_extras(self, _component_classes().get(self.type))

        # What pydantic's own initialiser has: validating does not go through this one.
        __init__.__pydantic_base_init__ = True


@cache
def _component_classes() -> dict[str, type[WidgetComponentBase]]:
    """Returns the classes of this package by the type of component that they stand for."""
    classes = WidgetComponentBase.__subclasses__()
    return {kind.model_fields["type"].default: kind for kind in classes if ".components." in kind.__module__}


def _properties(child: Any) -> Any:
    if isinstance(child, WidgetComponentBase) and not isinstance(child, DynamicWidgetComponent):
        return child.model_dump()
    return child


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        mapping = cast("dict[Any, Any]", value)
        return {key: _without_none(inner) for key, inner in mapping.items() if inner is not None}
    if isinstance(value, list):
        sequence = cast("list[Any]", value)
        return [_without_none(inner) for inner in sequence if inner is not None]
    return value
