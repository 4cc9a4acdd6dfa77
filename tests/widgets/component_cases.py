"""Every component that front ends know, with its properties, as the installed ``chatkit`` reads and sends it.

Run as a program it prints the answers as JSON, by component.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

from pydantic import TypeAdapter

from chatkit.types import WidgetItem
from chatkit.widgets import DynamicWidgetRoot, WidgetRoot

ACTION = {
    "type": "go",
    "payload": {"a": [1, None]},
    "handler": "client",
    "loadingBehavior": "self",
    "streaming": False,
}
BOX: dict[str, Any] = {
    "children": [{"type": "Text", "value": "x"}],
    "align": "center",
    "justify": "between",
    "wrap": "wrap",
    "flex": "auto",
    "gap": 2,
    "height": 10.5,
    "width": "100%",
    "minHeight": 1,
    "maxWidth": "20ch",
    "padding": {"x": 1, "top": "2px"},
    "margin": 3.5,
    "border": {"top": {"size": 1, "color": {"dark": "red", "light": "blue"}, "style": "dashed"}, "y": 2},
    "radius": "full",
    "background": {"dark": "gray-900", "light": "white"},
    "aspectRatio": "16/9",
}
TEXT = {
    "value": "x",
    "color": "secondary",
    "weight": "bold",
    "size": "sm",
    "textAlign": "end",
    "truncate": True,
    "maxLines": 2,
}
CHART = {
    "data": [{"m": "a", "v": 1, "w": 2.5}],
    "series": [
        {"type": "bar", "label": "v", "dataKey": "v", "stack": "s", "color": "blue"},
        {"type": "area", "label": None, "dataKey": "w", "curveType": "natural"},
        {"type": "line", "label": "w", "dataKey": "w"},
    ],
    "xAxis": {"dataKey": "m", "hide": True, "labels": {"a": "A"}},
    "showYAxis": True,
    "showLegend": False,
    "barGap": 1,
    "height": 200,
}
OPTIONS = [{"value": "a", "label": "A", "disabled": True}, {"value": "b", "label": "B"}]
FIELD = {"name": "n", "disabled": True, "variant": "soft", "size": "lg"}
CONTROL = {**FIELD, "pill": True, "block": False}
ROOTS: dict[str, dict[str, Any]] = {
    "Card": {
        "children": [],
        "asForm": True,
        "background": "white",
        "size": "lg",
        "padding": {"y": 2},
        "status": {"text": "s", "icon": "star"},
        "collapsed": True,
        "confirm": {"label": "Yes", "action": ACTION},
        "cancel": {"label": "No", "action": ACTION},
        "theme": "dark",
    },
    "ListView": {
        "children": [
            {"type": "ListViewItem", "children": [], "gap": 1, "align": "end", "onClickAction": ACTION}
        ],
        "limit": "auto",
        "status": {"text": "s", "favicon": "https://a.example/i.png", "frame": True},
        "theme": "light",
    },
    "Basic": {**BOX, "direction": "row", "theme": "dark"},
}
COMPONENTS: dict[str, dict[str, Any]] = {
    "Box": {**BOX, "direction": "row"},
    "Row": BOX,
    "Col": BOX,
    "Form": {**BOX, "direction": "col", "onSubmitAction": ACTION},
    "ListViewItem": {
        "children": [{"type": "Divider"}],
        "gap": "2px",
        "align": "start",
        "onClickAction": ACTION,
    },
    "Spacer": {"minSize": 2},
    "Divider": {"color": "red", "size": 1, "spacing": "2px", "flush": True},
    "Transition": {"children": {"type": "Text", "key": "k", "value": "x"}},
    "Table": {
        "columnSizing": "auto",
        "children": [
            {"type": "Table.Row", "header": True, "children": [{"type": "Table.Cell", "children": []}]},
        ],
    },
    "Table.Row": {
        "header": False,
        "children": [{"type": "Table.Cell", "children": [{"type": "Text", "value": "x"}]}],
    },
    "Table.Cell": {"colSpan": 2, "rowSpan": 1, "align": "end", "width": 10, "padding": 1, "children": []},
    "Text": {
        **TEXT,
        "streaming": True,
        "italic": True,
        "lineThrough": False,
        "minLines": 1,
        "width": "3em",
        "editable": {"name": "e", "required": True, "autoFocus": False, "pattern": "a*", "placeholder": "p"},
    },
    "Title": {**TEXT, "size": "3xl"},
    "Caption": TEXT,
    "Markdown": {"value": "**x**", "streaming": False},
    "Badge": {"label": "b", "color": "success", "variant": "soft", "size": "sm", "pill": True},
    "Icon": {"name": "lucide:rocket", "color": "red", "size": "2xl"},
    "Image": {
        "src": "https://a.example/i.png",
        "alt": "a",
        "fit": "cover",
        "position": "top",
        "radius": "md",
        "frame": True,
        "flush": False,
        "height": 10,
        "width": "50%",
        "aspectRatio": 1.5,
    },
    "Chart": CHART,
    "Button": {
        "submit": True,
        "label": "b",
        "onClickAction": ACTION,
        "iconStart": "plus",
        "iconEnd": "vendor:x",
        "style": "primary",
        "iconSize": "md",
        "color": "danger",
        "variant": "ghost",
        "size": "xs",
        "pill": False,
        "uniform": True,
        "block": True,
        "disabled": False,
    },
    "Input": {
        **FIELD,
        "pill": True,
        "inputType": "email",
        "defaultValue": "d",
        "required": True,
        "pattern": "a",
        "placeholder": "p",
        "allowAutofillExtensions": True,
        "autoSelect": False,
        "autoFocus": True,
        "variant": "outline",
        "gutterSize": "sm",
    },
    "Textarea": {
        **FIELD,
        "defaultValue": "d",
        "rows": 2,
        "autoResize": True,
        "maxRows": 5,
        "variant": "soft",
    },
    "Select": {
        **CONTROL,
        "options": OPTIONS,
        "onChangeAction": ACTION,
        "placeholder": "p",
        "defaultValue": "a",
        "clearable": True,
    },
    "DatePicker": {
        **CONTROL,
        "onChangeAction": ACTION,
        "min": "2026-01-01T00:00:00",
        "max": "2026-12-31T00:00:00",
        "side": "bottom",
        "align": "center",
        "clearable": True,
        "placeholder": "p",
    },
    "Checkbox": {
        "name": "c",
        "label": "l",
        "defaultChecked": True,
        "onChangeAction": ACTION,
        "required": True,
    },
    "RadioGroup": {
        "name": "r",
        "options": OPTIONS,
        "ariaLabel": "a",
        "onChangeAction": ACTION,
        "defaultValue": "b",
        "direction": "row",
        "disabled": False,
        "required": True,
    },
    "Label": {
        "value": "l",
        "fieldName": "f",
        "size": "sm",
        "weight": "medium",
        "textAlign": "start",
        "color": "red",
    },
}
"""The 30 components: 3 roots, and 27 that stand below one."""


def widgets() -> dict[str, Any]:
    """Returns a widget for each component, with its properties at the root or in a card."""
    made: dict[str, Any] = {name: {"type": name, **properties} for name, properties in ROOTS.items()}
    for name, properties in COMPONENTS.items():
        made[name] = {"type": "Card", "children": [{"type": name, "key": "k", "id": "i", **properties}]}
    return made


def answers() -> dict[str, Any]:
    """Returns what is sent of each widget: read as a client's or a store's, and built as by a template."""
    found: dict[str, Any] = {}
    read: TypeAdapter[Any] = TypeAdapter(WidgetRoot)
    for name, widget in widgets().items():
        ways = {"read": read.validate_python(widget), "built": DynamicWidgetRoot.model_validate(widget)}
        for way, root in ways.items():
            item = WidgetItem.model_validate(
                {"id": "w", "thread_id": "t", "created_at": "2026-01-01T00:00:00Z", "widget": root}
            )
            found[f"{name} {way}"] = json.loads(item.model_dump_json(exclude_none=True))["widget"]
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    json.dump(answers(), sys.stdout)
