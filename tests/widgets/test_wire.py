"""What components look like on the wire: constructor calls with the JSON that openai-chatkit 1.6.5 sends."""

# ruff: noqa: DTZ001 - a naive date is sent as it is.

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from pydantic import BaseModel

import chatkit.widgets as w
from chatkit.actions import ActionConfig

WIRE: list[tuple[Callable[[], BaseModel], dict[str, object]]] = [
    (lambda: w.Text(value="a"), {"type": "Text", "value": "a"}),
    (
        lambda: w.Text(value="a", key=None, id="t", color={"light": "#fff", "dark": "#000"}),
        {"id": "t", "type": "Text", "value": "a", "color": {"dark": "#000", "light": "#fff"}},
    ),
    (
        lambda: w.Text(value="a", editable=False, streaming=True, italic=False),
        {"type": "Text", "value": "a", "streaming": True, "italic": False, "editable": False},
    ),
    (
        lambda: w.Text(value="a", editable={"name": "n", "placeholder": "p", "required": True}),
        {"type": "Text", "value": "a", "editable": {"name": "n", "placeholder": "p", "required": True}},
    ),
    (
        lambda: w.Text(
            value="a",
            width=3,
            minLines=1,
            maxLines=2,
            truncate=True,
            textAlign="end",
            weight="bold",
            size="xl",
        ),
        {
            "type": "Text",
            "value": "a",
            "weight": "bold",
            "width": 3.0,
            "size": "xl",
            "textAlign": "end",
            "truncate": True,
            "minLines": 1,
            "maxLines": 2,
        },
    ),
    (
        lambda: w.Text(value="a", width="50%", lineThrough=True),
        {"type": "Text", "value": "a", "lineThrough": True, "width": "50%"},
    ),
    (
        lambda: w.Title(value="a", size="5xl", color="secondary"),
        {"type": "Title", "value": "a", "color": "secondary", "size": "5xl"},
    ),
    (
        lambda: w.Caption(value="a", size="sm", maxLines=1),
        {"type": "Caption", "value": "a", "size": "sm", "maxLines": 1},
    ),
    (
        lambda: w.Label(value="a", fieldName="f", size="sm", weight="medium"),
        {"type": "Label", "value": "a", "fieldName": "f", "size": "sm", "weight": "medium"},
    ),
    (
        lambda: w.Markdown(value="**a**", streaming=True),
        {"type": "Markdown", "value": "**a**", "streaming": True},
    ),
    (
        lambda: w.Badge(label="a", color="discovery", variant="outline", size="lg", pill=True),
        {
            "type": "Badge",
            "label": "a",
            "color": "discovery",
            "variant": "outline",
            "size": "lg",
            "pill": True,
        },
    ),
    (
        lambda: w.Icon(name="bolt", size="3xl", color="info"),
        {"type": "Icon", "name": "bolt", "color": "info", "size": "3xl"},
    ),
    (lambda: w.Icon(name="vendor:x"), {"type": "Icon", "name": "vendor:x"}),
    (
        lambda: w.Image(
            src="https://x/y.png",
            alt="a",
            fit="scale-down",
            position="bottom right",
            radius="100%",
            margin={"x": 1},
            aspectRatio=1.5,
            flush=True,
        ),
        {
            "type": "Image",
            "src": "https://x/y.png",
            "alt": "a",
            "fit": "scale-down",
            "position": "bottom right",
            "radius": "100%",
            "flush": True,
            "margin": {"x": 1.0},
            "aspectRatio": 1.5,
        },
    ),
    (
        lambda: w.Divider(color="subtle", size=1, spacing="2", flush=True),
        {"type": "Divider", "color": "subtle", "size": 1, "spacing": "2", "flush": True},
    ),
    (lambda: w.Spacer(minSize=1), {"type": "Spacer", "minSize": 1}),
    (w.Box, {"type": "Box"}),
    (
        lambda: w.Box(
            children=[],
            flex=1,
            gap="2",
            padding={"x": 1, "y": "2px"},
            border={"size": 1},
            direction="row",
            wrap="wrap-reverse",
        ),
        {
            "children": [],
            "wrap": "wrap-reverse",
            "flex": 1,
            "gap": "2",
            "padding": {"x": 1.0, "y": "2px"},
            "border": {"size": 1},
            "type": "Box",
            "direction": "row",
        },
    ),
    (
        lambda: w.Box(
            border=1,
            height=3,
            minHeight=3,
            maxWidth="4em",
            radius="full",
            background={"dark": "a", "light": "b"},
        ),
        {
            "height": 3.0,
            "minHeight": 3,
            "maxWidth": "4em",
            "border": 1,
            "radius": "full",
            "background": {"dark": "a", "light": "b"},
            "type": "Box",
        },
    ),
    (
        lambda: w.Box(
            border={"top": 1, "x": {"size": 2, "color": "red", "style": "dashed"}},
            align="baseline",
            justify="evenly",
        ),
        {
            "align": "baseline",
            "justify": "evenly",
            "border": {"top": 1, "x": {"size": 2, "color": "red", "style": "dashed"}},
            "type": "Box",
        },
    ),
    (
        lambda: w.Col(children=[w.Row(children=[w.Badge(label="x")]), w.Spacer()]),
        {
            "children": [{"children": [{"type": "Badge", "label": "x"}], "type": "Row"}, {"type": "Spacer"}],
            "type": "Col",
        },
    ),
    (
        lambda: w.Form(
            onSubmitAction=ActionConfig(type="send"), direction="col", children=[w.Input(name="q")]
        ),
        {
            "children": [{"type": "Input", "name": "q"}],
            "type": "Form",
            "onSubmitAction": {
                "type": "send",
                "handler": "server",
                "loadingBehavior": "auto",
                "streaming": True,
            },
            "direction": "col",
        },
    ),
    (lambda: w.Transition(children=None), {"type": "Transition"}),
    (
        lambda: w.Transition(children=w.Text(value="a", key="k")),
        {"type": "Transition", "children": {"key": "k", "type": "Text", "value": "a"}},
    ),
    (
        lambda: w.Button(
            label="a",
            onClickAction=ActionConfig(type="x", payload={"a": None, "b": [None, {"c": None, "d": 0}]}),
        ),
        {
            "type": "Button",
            "label": "a",
            "onClickAction": {
                "type": "x",
                "payload": {"b": [{"d": 0}]},
                "handler": "server",
                "loadingBehavior": "auto",
                "streaming": True,
            },
        },
    ),
    (
        lambda: w.Button(
            submit=True,
            iconStart="lucide:rocket",
            iconEnd="plus",
            style="primary",
            iconSize="2xl",
            color="caution",
            variant="ghost",
            size="3xs",
            pill=True,
            uniform=False,
            block=True,
            disabled=False,
        ),
        {
            "type": "Button",
            "submit": True,
            "iconStart": "lucide:rocket",
            "iconEnd": "plus",
            "style": "primary",
            "iconSize": "2xl",
            "color": "caution",
            "variant": "ghost",
            "size": "3xs",
            "pill": True,
            "uniform": False,
            "block": True,
            "disabled": False,
        },
    ),
    (
        lambda: w.Button(
            label="a",
            onClickAction=ActionConfig(
                type="x", handler="client", loadingBehavior="container", streaming=False
            ),
        ),
        {
            "type": "Button",
            "label": "a",
            "onClickAction": {
                "type": "x",
                "handler": "client",
                "loadingBehavior": "container",
                "streaming": False,
            },
        },
    ),
    (
        lambda: w.Checkbox(
            name="c", label="l", defaultChecked=True, onChangeAction=ActionConfig(type="t"), required=True
        ),
        {
            "type": "Checkbox",
            "name": "c",
            "label": "l",
            "defaultChecked": True,
            "onChangeAction": {
                "type": "t",
                "handler": "server",
                "loadingBehavior": "auto",
                "streaming": True,
            },
            "required": True,
        },
    ),
    (
        lambda: w.Select(
            name="s",
            options=[{"value": "a", "label": "A", "disabled": True, "description": "d"}],
            searchable=True,
            clearable=True,
            placeholder="p",
        ),
        {
            "type": "Select",
            "name": "s",
            "options": [{"value": "a", "label": "A", "disabled": True, "description": "d"}],
            "placeholder": "p",
            "clearable": True,
            "searchable": True,
        },
    ),
    (
        lambda: w.RadioGroup(
            name="r", options=[{"value": "a", "label": "A"}], ariaLabel="l", direction="row", defaultValue="a"
        ),
        {
            "type": "RadioGroup",
            "name": "r",
            "options": [{"label": "A", "value": "a"}],
            "ariaLabel": "l",
            "defaultValue": "a",
            "direction": "row",
        },
    ),
    (lambda: w.RadioGroup(name="r"), {"type": "RadioGroup", "name": "r"}),
    (
        lambda: w.DatePicker(
            name="d",
            defaultValue=datetime(2024, 1, 2, 3, 4, 5),
            min=datetime(2024, 1, 2, tzinfo=UTC),
            side="top",
            align="center",
        ),
        {
            "type": "DatePicker",
            "name": "d",
            "defaultValue": "2024-01-02T03:04:05",
            "min": "2024-01-02T00:00:00Z",
            "side": "top",
            "align": "center",
        },
    ),
    (
        lambda: w.Input(
            name="i", inputType="email", pattern=".+@.+", gutterSize="2xs", autoFocus=True, variant="soft"
        ),
        {
            "type": "Input",
            "name": "i",
            "inputType": "email",
            "pattern": ".+@.+",
            "autoFocus": True,
            "variant": "soft",
            "gutterSize": "2xs",
        },
    ),
    (
        lambda: w.Textarea(name="t", rows=3, maxRows=9, autoResize=True, defaultValue="x"),
        {"type": "Textarea", "name": "t", "defaultValue": "x", "rows": 3, "autoResize": True, "maxRows": 9},
    ),
    (
        lambda: w.Chart(
            data=[{"m": "Jan", "v": 2, "r": 2.5}],
            series=[
                w.BarSeries(label=None, dataKey="v"),
                w.LineSeries(label="l", dataKey="r", curveType="bump"),
                w.AreaSeries(label="s", dataKey="v", stack="q", color="red"),
            ],
            xAxis="m",
        ),
        {
            "type": "Chart",
            "data": [{"m": "Jan", "v": 2, "r": 2.5}],
            "series": [
                {"type": "bar", "dataKey": "v"},
                {"type": "line", "label": "l", "dataKey": "r", "curveType": "bump"},
                {"type": "area", "label": "s", "dataKey": "v", "stack": "q", "color": "red"},
            ],
            "xAxis": "m",
        },
    ),
    (
        lambda: w.Chart(
            data=[],
            series=[],
            xAxis={"dataKey": "m", "hide": True, "labels": {"Jan": "January"}},
            showYAxis=False,
            showLegend=True,
            barGap=1,
            height="9em",
        ),
        {
            "type": "Chart",
            "data": [],
            "series": [],
            "xAxis": {"dataKey": "m", "hide": True, "labels": {"Jan": "January"}},
            "showYAxis": False,
            "showLegend": True,
            "barGap": 1,
            "height": "9em",
        },
    ),
    (lambda: w.Card(children=[]), {"type": "Card", "children": []}),
    (
        lambda: w.Card(
            children=[w.Text(value="x")],
            size="full",
            padding=2,
            status={"text": "a", "icon": "bolt"},
            collapsed=False,
            theme="dark",
            asForm=True,
        ),
        {
            "type": "Card",
            "asForm": True,
            "children": [{"type": "Text", "value": "x"}],
            "size": "full",
            "padding": 2.0,
            "status": {"text": "a", "icon": "bolt"},
            "collapsed": False,
            "theme": "dark",
        },
    ),
    (
        lambda: w.Card(
            children=[],
            status={"text": "a", "favicon": "https://x/i.png", "frame": True},
            background="surface",
        ),
        {
            "type": "Card",
            "children": [],
            "background": "surface",
            "status": {"text": "a", "favicon": "https://x/i.png", "frame": True},
        },
    ),
    (
        lambda: w.Card(
            children=[],
            confirm={"label": "ok", "action": ActionConfig(type="x")},
            cancel={"label": "no", "action": ActionConfig(type="y", payload={"a": None})},
        ),
        {
            "type": "Card",
            "children": [],
            "confirm": {
                "label": "ok",
                "action": {"type": "x", "handler": "server", "loadingBehavior": "auto", "streaming": True},
            },
            "cancel": {
                "label": "no",
                "action": {
                    "type": "y",
                    "payload": {},
                    "handler": "server",
                    "loadingBehavior": "auto",
                    "streaming": True,
                },
            },
        },
    ),
    (
        lambda: w.Card(
            children=[
                w.DynamicWidgetComponent(
                    type="Table",
                    children=[
                        w.DynamicWidgetComponent(type="Table.Row", foo=None, bar={"a": None, "b": [None, 1]})
                    ],
                    z=1,
                )
            ]
        ),
        {
            "type": "Card",
            "children": [{"type": "Table", "children": [{"type": "Table.Row", "bar": {"b": [1]}}], "z": 1}],
        },
    ),
    (
        lambda: w.ListView(
            children=[
                w.ListViewItem(
                    children=[w.Text(value="x")], onClickAction=ActionConfig(type="o"), gap=2, align="stretch"
                )
            ],
            limit="auto",
        ),
        {
            "type": "ListView",
            "children": [
                {
                    "type": "ListViewItem",
                    "children": [{"type": "Text", "value": "x"}],
                    "onClickAction": {
                        "type": "o",
                        "handler": "server",
                        "loadingBehavior": "auto",
                        "streaming": True,
                    },
                    "gap": 2,
                    "align": "stretch",
                }
            ],
            "limit": "auto",
        },
    ),
    (
        lambda: w.ListView(children=[], limit=3, status={"text": "x"}, theme="light"),
        {"type": "ListView", "children": [], "limit": 3, "status": {"text": "x"}, "theme": "light"},
    ),
    (w.BasicRoot, {"type": "Basic"}),
    (
        lambda: w.BasicRoot(
            children=[w.DynamicWidgetComponent(type="Text", value="x")], foo=None, bar={"a": None, "b": 1}
        ),
        {"type": "Basic", "children": [{"type": "Text", "value": "x"}], "bar": {"b": 1}},
    ),
    (
        lambda: w.BasicRoot(children=w.DynamicWidgetComponent(type="Q", id="q")),
        {"type": "Basic", "children": {"id": "q", "type": "Q"}},
    ),
    (
        lambda: w.DynamicWidgetRoot(type="Card", children=[w.DynamicWidgetComponent(type="Q")], border=1),
        {"type": "Card", "children": [{"type": "Q"}], "border": 1},
    ),
    (
        lambda: w.DynamicWidgetComponent(type="Q", n=None, at=datetime(2024, 1, 2), inner=w.Text(value="x")),
        {"type": "Q", "at": "2024-01-02T00:00:00", "inner": {"type": "Text", "value": "x"}},
    ),
    (lambda: w.WidgetComponentBase(type="Q", id="q"), {"id": "q", "type": "Q"}),
]


@pytest.mark.parametrize(("build", "expected"), WIRE)
def test_a_component_is_sent_without_what_is_none(
    build: Callable[[], BaseModel], expected: dict[str, object]
) -> None:
    component = build()
    assert json.loads(component.model_dump_json(exclude_none=True)) == expected
    assert json.loads(component.__pydantic_serializer__.to_json(component, exclude_none=True)) == expected
    # Without exclude_none only an absent child or list of children stays in.
    assert _without_null_children(component.model_dump(mode="json")) == expected


def _without_null_children(value: object) -> object:
    if isinstance(value, dict):
        return {k: _without_null_children(v) for k, v in value.items() if (k, v) != ("children", None)}
    return [_without_null_children(v) for v in value] if isinstance(value, list) else value
