"""Components that somebody presses, picks from or types into."""

# Each component narrows the `type` of its base, which pydantic freezes; the checker takes it for assignable.
# pyright: reportIncompatibleVariableOverride=false
# ruff: noqa: N815 - properties have the protocol's spelling.

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from chatkit.actions import ActionConfig
from chatkit.widgets.base import WidgetComponentBase, deprecated
from chatkit.widgets.components.values import (
    ControlSize,
    ControlVariant,
    GutterSize,
    RadioOption,
    SelectOption,
    WidgetIcon,
)

__all__ = ["Button", "Checkbox", "DatePicker", "Input", "RadioGroup", "Select", "Textarea"]


@deprecated
class Button(WidgetComponentBase):
    """A button. It triggers `onClickAction`, or with `submit` the action of the form it stands in."""

    type: Literal["Button"] = Field(default="Button", frozen=True)
    submit: bool | None = None
    label: str | None = None
    onClickAction: ActionConfig | None = None
    iconStart: WidgetIcon | None = None
    iconEnd: WidgetIcon | None = None
    style: Literal["primary", "secondary"] | None = None
    iconSize: Literal["sm", "md", "lg", "xl", "2xl"] | None = None
    color: (
        Literal["primary", "secondary", "info", "discovery", "success", "caution", "warning", "danger"] | None
    ) = None
    variant: ControlVariant | None = None
    size: ControlSize | None = None
    pill: bool | None = None
    uniform: bool | None = None
    block: bool | None = None
    disabled: bool | None = None


@deprecated
class Checkbox(WidgetComponentBase):
    """A box to tick; `name` is its form field."""

    type: Literal["Checkbox"] = Field(default="Checkbox", frozen=True)
    name: str
    label: str | None = None
    defaultChecked: bool | None = None
    onChangeAction: ActionConfig | None = None
    disabled: bool | None = None
    required: bool | None = None


@deprecated
class Select(WidgetComponentBase):
    """A menu to pick one option from; `name` is its form field."""

    type: Literal["Select"] = Field(default="Select", frozen=True)
    name: str
    options: list[SelectOption]
    onChangeAction: ActionConfig | None = None
    placeholder: str | None = None
    defaultValue: str | None = None
    variant: ControlVariant | None = None
    size: ControlSize | None = None
    pill: bool | None = None
    block: bool | None = None
    clearable: bool | None = None
    disabled: bool | None = None
    searchable: bool | None = None


@deprecated
class RadioGroup(WidgetComponentBase):
    """Options of which one is picked; `name` is the form field."""

    type: Literal["RadioGroup"] = Field(default="RadioGroup", frozen=True)
    name: str
    options: list[RadioOption] | None = None
    ariaLabel: str | None = None
    onChangeAction: ActionConfig | None = None
    defaultValue: str | None = None
    direction: Literal["row", "col"] | None = None
    disabled: bool | None = None
    required: bool | None = None


@deprecated
class DatePicker(WidgetComponentBase):
    """A calendar to pick a day from; `name` is its form field."""

    type: Literal["DatePicker"] = Field(default="DatePicker", frozen=True)
    name: str
    onChangeAction: ActionConfig | None = None
    placeholder: str | None = None
    defaultValue: datetime | None = None
    min: datetime | None = None
    max: datetime | None = None
    variant: ControlVariant | None = None
    size: ControlSize | None = None
    side: Literal["top", "bottom", "left", "right"] | None = None
    align: Literal["start", "center", "end"] | None = None
    pill: bool | None = None
    block: bool | None = None
    clearable: bool | None = None
    disabled: bool | None = None


@deprecated
class Input(WidgetComponentBase):
    """A line to type into; `name` is its form field, `pattern` a regular expression its value must match."""

    type: Literal["Input"] = Field(default="Input", frozen=True)
    name: str
    inputType: Literal["number", "email", "text", "password", "tel", "url"] | None = None
    defaultValue: str | None = None
    required: bool | None = None
    pattern: str | None = None
    placeholder: str | None = None
    allowAutofillExtensions: bool | None = None
    autoSelect: bool | None = None
    autoFocus: bool | None = None
    disabled: bool | None = None
    variant: Literal["soft", "outline"] | None = None
    size: ControlSize | None = None
    gutterSize: GutterSize | None = None
    pill: bool | None = None


@deprecated
class Textarea(WidgetComponentBase):
    """Several lines to type into; `name` is the form field."""

    type: Literal["Textarea"] = Field(default="Textarea", frozen=True)
    name: str
    defaultValue: str | None = None
    required: bool | None = None
    pattern: str | None = None
    placeholder: str | None = None
    autoSelect: bool | None = None
    autoFocus: bool | None = None
    disabled: bool | None = None
    variant: Literal["soft", "outline"] | None = None
    size: ControlSize | None = None
    gutterSize: GutterSize | None = None
    rows: int | None = None
    autoResize: bool | None = None
    maxRows: int | None = None
    allowAutofillExtensions: bool | None = None
