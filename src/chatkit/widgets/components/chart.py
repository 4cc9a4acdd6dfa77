"""The chart component and its series."""

# Each component narrows the `type` of its base, which pydantic freezes; the checker takes it for assignable.
# pyright: reportIncompatibleVariableOverride=false
# ruff: noqa: N815 - properties have the protocol's spelling.

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from chatkit._typos import init_that_warns_of_extras
from chatkit.widgets.base import WidgetComponentBase, WidgetMetaclass, deprecated
from chatkit.widgets.components.values import CurveType, ThemeColor, XAxisConfig

__all__ = ["AreaSeries", "BarSeries", "Chart", "LineSeries", "Series"]


class SeriesBase(BaseModel, metaclass=WidgetMetaclass):
    """What the series of a chart share."""

    model_config = ConfigDict(defer_build=True, extra="allow")

    if not TYPE_CHECKING:
        __init__ = init_that_warns_of_extras


@deprecated
class BarSeries(SeriesBase):
    """One bar for each row of the chart's data, as high as `dataKey` says; bars of one `stack` pile up."""

    type: Literal["bar"] = Field(default="bar", frozen=True)
    label: str | None
    dataKey: str
    stack: str | None = None
    color: str | ThemeColor | None = None


@deprecated
class AreaSeries(SeriesBase):
    """A filled area under the values of `dataKey`. Areas of one `stack` pile up."""

    type: Literal["area"] = Field(default="area", frozen=True)
    label: str | None
    dataKey: str
    stack: str | None = None
    color: str | ThemeColor | None = None
    curveType: CurveType | None = None


@deprecated
class LineSeries(SeriesBase):
    """A line through the values of `dataKey`."""

    type: Literal["line"] = Field(default="line", frozen=True)
    label: str | None
    dataKey: str
    color: str | ThemeColor | None = None
    curveType: CurveType | None = None


Series: TypeAlias = Annotated[BarSeries | AreaSeries | LineSeries, Field(discriminator="type")]
"""One set of values of a chart."""


@deprecated
class Chart(WidgetComponentBase):
    """A chart of rows of values; `xAxis` names the key of a row that is drawn along the horizontal axis."""

    type: Literal["Chart"] = Field(default="Chart", frozen=True)
    data: list[dict[str, str | int | float]]
    series: list[Series]
    xAxis: str | XAxisConfig
    showYAxis: bool | None = None
    showLegend: bool | None = None
    showTooltip: bool | None = None
    barGap: int | None = None
    barCategoryGap: int | None = None
    flex: int | str | None = None
    height: int | str | None = None
    width: int | str | None = None
    size: int | str | None = None
    minHeight: int | str | None = None
    minWidth: int | str | None = None
    minSize: int | str | None = None
    maxHeight: int | str | None = None
    maxWidth: int | str | None = None
    maxSize: int | str | None = None
    aspectRatio: float | str | None = None
