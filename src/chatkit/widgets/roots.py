"""The components that a widget can have at its root."""

# Each component narrows the `type` of its base, which pydantic freezes; the checker takes it for assignable.
# pyright: reportIncompatibleVariableOverride=false

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field

from chatkit.widgets.base import DynamicWidgetComponent, WidgetComponentBase
from chatkit.widgets.components.containers import Card, ListView
from chatkit.widgets.reading import ByType


class DynamicWidgetRoot(DynamicWidgetComponent):
    """A root of any content, with whatever properties it has."""

    type: Literal["Card", "ListView", "Basic"]

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            type: Literal["Card", "ListView", "Basic"],
            key: str | None = None,
            id: str | None = None,
            children: WidgetComponentBase | Sequence[WidgetComponentBase] | None = None,
            **properties: Any,
        ) -> None: ...


class BasicRoot(DynamicWidgetComponent):
    """A widget without a frame; its children are dynamic components."""

    type: Literal["Basic"] = Field(default="Basic", frozen=True)

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            type: Literal["Basic"] = "Basic",
            key: str | None = None,
            id: str | None = None,
            children: WidgetComponentBase | Sequence[WidgetComponentBase] | None = None,
            **properties: Any,
        ) -> None: ...


StrictWidgetRoot: TypeAlias = Annotated[Card | ListView | BasicRoot, Field(discriminator="type")]
"""A root that has a class of its own."""

WidgetRoot: TypeAlias = Annotated[
    StrictWidgetRoot | DynamicWidgetRoot,
    ByType(
        StrictWidgetRoot,
        fallback=DynamicWidgetRoot,
        accepted=(Card, ListView, BasicRoot, DynamicWidgetRoot),
    ),
]
"""A whole widget. What its class cannot represent exactly is read as a `DynamicWidgetRoot`."""
