"""Values that the properties of widget components take."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from chatkit.actions import ActionConfig
from chatkit.icons import IconName

__all__ = [
    "Alignment",
    "Border",
    "Borders",
    "CaptionSize",
    "CardAction",
    "ControlSize",
    "ControlVariant",
    "CurveType",
    "EditableProps",
    "IconSize",
    "Justification",
    "MinMax",
    "RadioOption",
    "RadiusValue",
    "SelectOption",
    "Spacing",
    "TextAlign",
    "TextSize",
    "ThemeColor",
    "TitleSize",
    "WidgetIcon",
    "WidgetStatus",
    "WidgetStatusWithFavicon",
    "WidgetStatusWithIcon",
    "XAxisConfig",
]

# pydantic reads a TypedDict's config from the class; what a newer version wrote into one must survive.
_keep_unknown = with_config(ConfigDict(extra="allow"))

Alignment: TypeAlias = Literal["start", "center", "end", "baseline", "stretch"]
"""Position of children across the direction of their container."""

Justification: TypeAlias = Literal["start", "center", "end", "between", "around", "evenly", "stretch"]
"""Distribution of children along the direction of their container."""

TextAlign: TypeAlias = Literal["start", "center", "end"]
TextSize: TypeAlias = Literal["xs", "sm", "md", "lg", "xl"]
TitleSize: TypeAlias = Literal["sm", "md", "lg", "xl", "2xl", "3xl", "4xl", "5xl"]
CaptionSize: TypeAlias = Literal["sm", "md", "lg"]
IconSize: TypeAlias = Literal["xs", "sm", "md", "lg", "xl", "2xl", "3xl"]
TextWeight: TypeAlias = Literal["normal", "medium", "semibold", "bold"]

ControlSize: TypeAlias = Literal["3xs", "2xs", "xs", "sm", "md", "lg", "xl", "2xl", "3xl"]
ControlVariant: TypeAlias = Literal["solid", "soft", "outline", "ghost"]
GutterSize: TypeAlias = Literal["2xs", "xs", "sm", "md", "lg", "xl"]

RadiusValue: TypeAlias = Literal[
    "2xs", "xs", "sm", "md", "lg", "xl", "2xl", "3xl", "4xl", "full", "100%", "none"
]
"""Rounding of corners, from the theme's scale."""

CurveType: TypeAlias = Literal[
    "basis",
    "basisClosed",
    "basisOpen",
    "bumpX",
    "bumpY",
    "bump",
    "linear",
    "linearClosed",
    "natural",
    "monotoneX",
    "monotoneY",
    "monotone",
    "step",
    "stepBefore",
    "stepAfter",
]
"""Interpolation between the points of a chart's line."""

WidgetIcon: TypeAlias = IconName


@_keep_unknown
class ThemeColor(TypedDict):
    """A colour for each of the two themes, each a CSS colour or a token of the theme."""

    dark: str
    light: str


@_keep_unknown
class Spacing(TypedDict):
    """Space at each side, in steps of the theme's scale (number) or in CSS units (string)."""

    top: NotRequired[float | str]
    right: NotRequired[float | str]
    bottom: NotRequired[float | str]
    left: NotRequired[float | str]
    x: NotRequired[float | str]
    y: NotRequired[float | str]


@_keep_unknown
class Border(TypedDict):
    """One border line; `size` in pixels."""

    size: int
    color: NotRequired[str | ThemeColor]
    style: NotRequired[Literal["solid", "dashed", "dotted", "double", "groove", "ridge", "inset", "outset"]]


@_keep_unknown
class Borders(TypedDict):
    """Border lines by side; a number is a size in pixels."""

    top: NotRequired[int | Border]
    right: NotRequired[int | Border]
    bottom: NotRequired[int | Border]
    left: NotRequired[int | Border]
    x: NotRequired[int | Border]
    y: NotRequired[int | Border]


@_keep_unknown
class MinMax(TypedDict):
    """A range whose ends are optional."""

    min: NotRequired[int]
    max: NotRequired[int]


@_keep_unknown
class EditableProps(TypedDict):
    """Makes a text an input of the form it stands in; `name` is its field."""

    name: str
    autoFocus: NotRequired[bool]
    autoSelect: NotRequired[bool]
    autoComplete: NotRequired[str]
    allowAutofillExtensions: NotRequired[bool]
    pattern: NotRequired[str]
    placeholder: NotRequired[str]
    required: NotRequired[bool]


@_keep_unknown
class WidgetStatusWithFavicon(TypedDict):
    """A line above the widget with the icon of a web site; `favicon` is a URL."""

    text: str
    favicon: NotRequired[str]
    frame: NotRequired[bool]


@_keep_unknown
class WidgetStatusWithIcon(TypedDict):
    """A line above the widget with an icon."""

    text: str
    icon: NotRequired[WidgetIcon]


WidgetStatus: TypeAlias = WidgetStatusWithFavicon | WidgetStatusWithIcon


@_keep_unknown
class CardAction(TypedDict):
    """A button at the foot of a card."""

    label: str
    action: ActionConfig


@_keep_unknown
class SelectOption(TypedDict):
    """One choice of a `Select`."""

    value: str
    label: str
    disabled: NotRequired[bool]
    description: NotRequired[str]


@_keep_unknown
class RadioOption(TypedDict):
    """One choice of a `RadioGroup`."""

    label: str
    value: str
    disabled: NotRequired[bool]


@_keep_unknown
class XAxisConfig(TypedDict):
    """The horizontal axis of a `Chart`; `labels` maps values of `dataKey` to what is shown."""

    dataKey: str
    hide: NotRequired[bool]
    labels: NotRequired[dict[str, str]]
