"""The components that a widget can have at its root."""

# Each component narrows the `type` of its base, which pydantic freezes; the checker takes it for assignable.
# pyright: reportIncompatibleVariableOverride=false
# ruff: noqa: N815 - properties have the protocol's spelling.

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field

from chatkit.widgets.base import DynamicWidgetComponent, WidgetComponentBase, deprecated
from chatkit.widgets.containers import ListViewItem, WidgetComponent
from chatkit.widgets.reading import ByType
from chatkit.widgets.values import Border, Borders, CardAction, Spacing, ThemeColor, WidgetStatus


@deprecated
class Card(WidgetComponentBase):
    """A framed widget. With `asForm`, `confirm` submits the values of its controls."""

    type: Literal["Card"] = Field(default="Card", frozen=True)
    asForm: bool | None = None
    children: list[WidgetComponent]
    background: str | ThemeColor | None = None
    size: Literal["sm", "md", "lg", "full"] | None = None
    padding: float | str | Spacing | None = None
    border: int | Border | Borders | None = None
    status: WidgetStatus | None = None
    collapsed: bool | None = None
    confirm: CardAction | None = None
    cancel: CardAction | None = None
    theme: Literal["light", "dark"] | None = None


@deprecated
class ListView(WidgetComponentBase):
    """A list of entries; more than `limit` of them are folded away."""

    type: Literal["ListView"] = Field(default="ListView", frozen=True)
    children: list[ListViewItem]
    limit: int | Literal["auto"] | None = None
    status: WidgetStatus | None = None
    theme: Literal["light", "dark"] | None = None


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
