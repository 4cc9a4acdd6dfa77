"""Components that hold other components, two of them at the root of a widget, and the union of all components."""

# Each component narrows the `type` of its base, which pydantic freezes; the checker takes it for assignable.
# pyright: reportIncompatibleVariableOverride=false
# ruff: noqa: N815 - properties have the protocol's spelling.

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from chatkit.actions import ActionConfig
from chatkit.widgets.base import DynamicWidgetComponent, WidgetComponentBase, WidgetMetaclass, deprecated
from chatkit.widgets.components.chart import Chart
from chatkit.widgets.components.controls import (
    Button,
    Checkbox,
    DatePicker,
    Input,
    RadioGroup,
    Select,
    Textarea,
)
from chatkit.widgets.components.text import (
    Badge,
    Caption,
    Divider,
    Icon,
    Image,
    Label,
    Markdown,
    Spacer,
    Text,
    Title,
)
from chatkit.widgets.components.values import (
    Alignment,
    Border,
    Borders,
    CardAction,
    Justification,
    RadiusValue,
    Spacing,
    ThemeColor,
    WidgetStatus,
)
from chatkit.widgets.reading import ByType

__all__ = [
    "Box",
    "BoxBase",
    "Card",
    "Col",
    "Form",
    "ListView",
    "ListViewItem",
    "Row",
    "StrictWidgetComponent",
    "Transition",
    "WidgetComponent",
]


@deprecated
class BoxBase(BaseModel, metaclass=WidgetMetaclass):
    """What boxes, rows, columns and forms share: a flexible layout with a surface.

    Numbers are pixels for sizes and steps of the theme's scale for `gap`, `padding` and `margin`; strings are
    CSS lengths.
    """

    model_config = ConfigDict(defer_build=True, extra="allow")

    children: list[WidgetComponent] | None = None
    align: Alignment | None = None
    justify: Justification | None = None
    wrap: Literal["nowrap", "wrap", "wrap-reverse"] | None = None
    flex: int | str | None = None
    gap: int | str | None = None
    height: float | str | None = None
    width: float | str | None = None
    size: float | str | None = None
    minHeight: int | str | None = None
    minWidth: int | str | None = None
    minSize: int | str | None = None
    maxHeight: int | str | None = None
    maxWidth: int | str | None = None
    maxSize: int | str | None = None
    padding: float | str | Spacing | None = None
    margin: float | str | Spacing | None = None
    border: int | Border | Borders | None = None
    radius: RadiusValue | None = None
    background: str | ThemeColor | None = None
    aspectRatio: float | str | None = None


@deprecated
class Box(WidgetComponentBase, BoxBase):
    """A container whose `direction` is chosen."""

    type: Literal["Box"] = Field(default="Box", frozen=True)
    direction: Literal["row", "col"] | None = None


@deprecated
class Row(WidgetComponentBase, BoxBase):
    """A container that sets its children side by side."""

    type: Literal["Row"] = Field(default="Row", frozen=True)


@deprecated
class Col(WidgetComponentBase, BoxBase):
    """A container that sets its children one below the other."""

    type: Literal["Col"] = Field(default="Col", frozen=True)


@deprecated
class Form(WidgetComponentBase, BoxBase):
    """A container whose controls' values travel together with `onSubmitAction`."""

    type: Literal["Form"] = Field(default="Form", frozen=True)
    onSubmitAction: ActionConfig | None = None
    direction: Literal["row", "col"] | None = None


@deprecated
class ListViewItem(WidgetComponentBase):
    """One entry of a `ListView`."""

    type: Literal["ListViewItem"] = Field(default="ListViewItem", frozen=True)
    children: list[WidgetComponent]
    onClickAction: ActionConfig | None = None
    gap: int | str | None = None
    align: Alignment | None = None


@deprecated
class Transition(WidgetComponentBase):
    """Animates the change from one child, or none, to another."""

    type: Literal["Transition"] = Field(default="Transition", frozen=True)
    children: WidgetComponent | None


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


StrictWidgetComponent: TypeAlias = Annotated[
    Text
    | Title
    | Caption
    | Chart
    | Badge
    | Markdown
    | Box
    | Row
    | Col
    | Divider
    | Icon
    | Image
    | ListViewItem
    | Button
    | Checkbox
    | Spacer
    | Select
    | DatePicker
    | Form
    | Input
    | Label
    | RadioGroup
    | Textarea
    | Transition,
    Field(discriminator="type"),
]
"""A component that has a class of its own."""

WidgetComponent: TypeAlias = Annotated[
    StrictWidgetComponent | DynamicWidgetComponent,
    ByType(StrictWidgetComponent, fallback=DynamicWidgetComponent, accepted=(WidgetComponentBase,)),
]
"""Any component. What its class cannot represent exactly is read as a `DynamicWidgetComponent`."""
