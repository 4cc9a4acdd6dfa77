"""Components that show text, icons and images."""

# Each component narrows the `type` of its base, which pydantic freezes; the checker takes it for assignable.
# pyright: reportIncompatibleVariableOverride=false
# ruff: noqa: N815 - properties have the protocol's spelling.

from __future__ import annotations

from typing import Literal

from pydantic import Field

from chatkit.widgets.base import WidgetComponentBase, deprecated
from chatkit.widgets.components.values import (
    CaptionSize,
    EditableProps,
    IconSize,
    RadiusValue,
    Spacing,
    TextAlign,
    TextSize,
    TextWeight,
    ThemeColor,
    TitleSize,
    WidgetIcon,
)

__all__ = ["Badge", "Caption", "Divider", "Icon", "Image", "Label", "Markdown", "Spacer", "Text", "Title"]


@deprecated
class Text(WidgetComponentBase):
    """Plain text. With `streaming`, `value` may grow by streamed deltas; `editable` makes it a form field."""

    type: Literal["Text"] = Field(default="Text", frozen=True)
    value: str
    streaming: bool | None = None
    italic: bool | None = None
    lineThrough: bool | None = None
    color: str | ThemeColor | None = None
    weight: TextWeight | None = None
    width: float | str | None = None
    size: TextSize | None = None
    textAlign: TextAlign | None = None
    truncate: bool | None = None
    minLines: int | None = None
    maxLines: int | None = None
    editable: Literal[False] | EditableProps | None = None


@deprecated
class Title(WidgetComponentBase):
    """A heading."""

    type: Literal["Title"] = Field(default="Title", frozen=True)
    value: str
    color: str | ThemeColor | None = None
    weight: TextWeight | None = None
    size: TitleSize | None = None
    textAlign: TextAlign | None = None
    truncate: bool | None = None
    maxLines: int | None = None


@deprecated
class Caption(WidgetComponentBase):
    """Small supporting text."""

    type: Literal["Caption"] = Field(default="Caption", frozen=True)
    value: str
    color: str | ThemeColor | None = None
    weight: TextWeight | None = None
    size: CaptionSize | None = None
    textAlign: TextAlign | None = None
    truncate: bool | None = None
    maxLines: int | None = None


@deprecated
class Label(WidgetComponentBase):
    """The name of a form control; `fieldName` is that control's `name`."""

    type: Literal["Label"] = Field(default="Label", frozen=True)
    value: str
    fieldName: str
    size: TextSize | None = None
    weight: TextWeight | None = None
    textAlign: TextAlign | None = None
    color: str | ThemeColor | None = None


@deprecated
class Markdown(WidgetComponentBase):
    """Text in Markdown. With `streaming`, its `value` may grow by streamed deltas."""

    type: Literal["Markdown"] = Field(default="Markdown", frozen=True)
    value: str
    streaming: bool | None = None


@deprecated
class Badge(WidgetComponentBase):
    """A short label on a coloured ground."""

    type: Literal["Badge"] = Field(default="Badge", frozen=True)
    label: str
    color: Literal["secondary", "success", "danger", "warning", "info", "discovery"] | None = None
    variant: Literal["solid", "soft", "outline"] | None = None
    size: Literal["sm", "md", "lg"] | None = None
    pill: bool | None = None


@deprecated
class Icon(WidgetComponentBase):
    """An icon by name."""

    type: Literal["Icon"] = Field(default="Icon", frozen=True)
    name: WidgetIcon
    color: str | ThemeColor | None = None
    size: IconSize | None = None


@deprecated
class Image(WidgetComponentBase):
    """A picture; `src` is its URL. Numbers for sizes are pixels, strings are CSS lengths."""

    type: Literal["Image"] = Field(default="Image", frozen=True)
    src: str
    alt: str | None = None
    fit: Literal["cover", "contain", "fill", "scale-down", "none"] | None = None
    position: (
        Literal[
            "top left",
            "top",
            "top right",
            "left",
            "center",
            "right",
            "bottom left",
            "bottom",
            "bottom right",
        ]
        | None
    ) = None
    radius: RadiusValue | None = None
    frame: bool | None = None
    flush: bool | None = None
    height: int | str | None = None
    width: int | str | None = None
    size: int | str | None = None
    minHeight: int | str | None = None
    minWidth: int | str | None = None
    minSize: int | str | None = None
    maxHeight: int | str | None = None
    maxWidth: int | str | None = None
    maxSize: int | str | None = None
    margin: int | str | Spacing | None = None
    background: str | ThemeColor | None = None
    aspectRatio: float | str | None = None
    flex: int | str | None = None


@deprecated
class Divider(WidgetComponentBase):
    """A line between components; `flush` extends it to the container's edges."""

    type: Literal["Divider"] = Field(default="Divider", frozen=True)
    color: str | ThemeColor | None = None
    size: int | str | None = None
    spacing: int | str | None = None
    flush: bool | None = None


@deprecated
class Spacer(WidgetComponentBase):
    """Empty space that grows to push its siblings apart."""

    type: Literal["Spacer"] = Field(default="Spacer", frozen=True)
    minSize: int | str | None = None
