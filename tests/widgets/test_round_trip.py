"""A stored widget comes out as it went in, whatever this version knows of it."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

import chatkit.widgets as w
from chatkit.actions import ActionConfig

ROOT: TypeAdapter[w.WidgetRoot] = TypeAdapter(w.WidgetRoot)
COMPONENT: TypeAdapter[w.WidgetComponent] = TypeAdapter(w.WidgetComponent)


def canonical(value: Any) -> Any:
    """Returns JSON data without nulls, with one spelling for each number; `True` differs from 1."""
    if isinstance(value, dict):
        return {key: canonical(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [canonical(inner) for inner in value if inner is not None]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return ("bool", value) if isinstance(value, bool) else value


def sent(widget: BaseModel) -> Any:
    return json.loads(type(widget).__pydantic_serializer__.to_json(widget, exclude_none=True))


# Values that some class accepts as they are, that some class would convert, and that none accepts.
SCALARS: list[Any] = [
    *("a", "", "sm", "auto", "bold", "start", "row", "bolt", "solid", "primary", "full", "m"),
    *(None, True, False, 0, 1, 2, 3.0, 2.5, 2**53 + 1),
    *(
        "3",
        "1.5",
        "true",
        "yes",
        "2024-01-02",
        "2024-01-02T03:04:05",
        "2024-01-02T03:04:05.000Z",
        "1700000000",
    ),
]
SHAPES: list[Any] = [
    *({"dark": "a", "light": "b"}, {"dark": "a", "light": "b", "sepia": "c"}, {"dark": "a"}),
    *({"x": 1, "y": "2px"}, {"x": 1, "inline": {"a": [None, 1]}}, {"x": "1", "top": True}),
    *({"size": 1}, {"size": "1"}, {"size": 1, "top": {"size": 2, "glow": 3}}, {"size": 1, "color": None}),
    *({"text": "t", "icon": "bolt", "favicon": "f"}, {"text": "t", "icon": "nope"}, {"text": 3}),
    {"name": "n", "placeholder": None, "unknown": 1},
    {"dataKey": "m", "labels": {"a": "b"}, "tick": {"angle": 3}},
    [{"value": "a", "label": "A", "disabled": True, "hint": "h"}],
    [{"value": "a", "label": "A", "disabled": 1}],
    [{"value": "a", "label": "A", "description": None}],
    [{"m": "Jan", "v": 1, "w": 2.5}, {"m": "Feb", "v": True}],
    [
        {"type": "bar", "label": None, "dataKey": "v", "opacity": 1},
        {"type": "line", "label": "l", "dataKey": "w"},
    ],
    [{"type": "pie", "dataKey": "v"}],
]
ANYTHING = st.recursive(
    st.sampled_from(SCALARS)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
ACTIONS = st.fixed_dictionaries(
    {
        "type": st.text(max_size=5),
        "handler": st.sampled_from(["client", "server", "worker"]),
        "loadingBehavior": st.sampled_from(["auto", "none", "self", "container", "bar"]),
        "streaming": st.sampled_from([True, False, "true", 1]),
    },
    optional={"payload": ANYTHING, "confirm": ANYTHING},
)
VALUES = st.sampled_from(SCALARS) | st.sampled_from(SHAPES) | ACTIONS | ANYTHING

ACTION_EXAMPLES: list[Any] = [
    {"type": "x"} | {"handler": "client", "loadingBehavior": "self", "streaming": False},
    {"type": "x", "payload": [None, {"a": None}], "confirm": {"text": "?"}}
    | {"handler": "server", "loadingBehavior": "auto", "streaming": True},
]

KNOWN = sorted(
    model.model_fields["type"].default
    for model in vars(w).values()
    if isinstance(model, type)
    and issubclass(model, w.WidgetComponentBase)
    and isinstance(model.model_fields["type"].default, str)
)
COMPONENTS = [name for name in KNOWN if name not in {"Card", "ListView", "Basic"}]
ADAPTERS: dict[str, TypeAdapter[Any]] = {}
# Names that a model uses for itself are properties like any other.
UNKNOWN_PROPERTIES = ["foo", "data-x", "", "copy", "json", "model_config", "__class__", "serialize", "self"]
REQUIRED = {
    **dict.fromkeys(["value", "label", "name", "src", "fieldName", "xAxis"], "bolt"),
    "options": [{"value": "a", "label": "A", "hint": "h"}],
    "data": [{"m": "Jan", "v": 1}],
    "series": [{"type": "bar", "label": None, "dataKey": "v", "opacity": 1}],
}


def model_of(name: str) -> type[BaseModel]:
    return w.BasicRoot if name == "Basic" else getattr(w, name, w.DynamicWidgetComponent)


@cache
def accepted(name: str, field: str) -> list[Any]:
    """Returns the values that the class takes for the field, some of them only by converting them."""
    annotation = model_of(name).model_fields[field].annotation
    try:
        adapter = ADAPTERS[repr(annotation)]
    except KeyError:
        adapter = ADAPTERS[repr(annotation)] = TypeAdapter(annotation)
    return [value for value in [*SCALARS, *SHAPES, *ACTION_EXAMPLES] if not refuses(adapter, value)]


def refuses(adapter: TypeAdapter[Any], value: Any) -> bool:
    try:
        adapter.validate_python(value)
    except ValidationError:
        return True
    return False


def seldom(draw: st.DrawFn) -> bool:
    return draw(st.integers(0, 15)) == 15


@st.composite
def components(draw: st.DrawFn, types: list[str], depth: int = 3) -> dict[str, Any]:
    name = draw(st.sampled_from(types))
    declared = model_of(name).model_fields
    component: dict[str, Any] = {"type": name}
    component |= {field: value for field, value in REQUIRED.items() if field in declared and not seldom(draw)}
    names = [field for field in declared if field not in {"type", "key", "id", "children"}]
    for field in draw(st.lists(st.sampled_from(names + UNKNOWN_PROPERTIES), max_size=3)):
        fitting = field in names and not seldom(draw)
        component[field] = draw(st.sampled_from(accepted(name, field)) if fitting else VALUES)
    for field in ("key", "id"):
        if seldom(draw):
            component[field] = draw(st.none() | st.text(max_size=3))
    if "children" in declared or name not in KNOWN or seldom(draw):
        component.update(draw(children(name, depth)))
    return component


@st.composite
def children(draw: st.DrawFn, name: str, depth: int) -> dict[str, Any]:
    if seldom(draw):
        return draw(st.sampled_from([{}, {"children": None}]))
    if depth == 0:
        return {"children": None if name == "Transition" else []}
    types = (
        ["ListViewItem"] if name == "ListView" and not seldom(draw) else [*COMPONENTS, "Table", "Table.Row"]
    )
    child = components(types, depth - 1)
    alone = (name == "Transition") != seldom(draw)
    return {"children": draw(child if alone else st.lists(child, max_size=3))}


@given(components(["Card", "ListView", "Basic"]))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_widget_is_sent_as_it_was_stored(stored: dict[str, Any]) -> None:
    before = copy.deepcopy(stored)
    widget = ROOT.validate_python(stored)
    assert canonical(sent(widget)) == canonical(stored)
    assert stored == before
    again = ROOT.validate_json(ROOT.dump_json(widget, exclude_none=True))
    assert canonical(sent(again)) == canonical(stored)


@given(components([*COMPONENTS, "Table"], depth=1))
def test_a_component_is_sent_as_it_was_stored(stored: dict[str, Any]) -> None:
    assert canonical(sent(COMPONENT.validate_python(stored))) == canonical(stored)


def test_what_is_known_is_read_as_its_class() -> None:
    widget = ROOT.validate_python(
        {
            "type": "Card",
            "border": {"size": 1, "glow": True},
            "children": [
                {"type": "Row", "children": [{"type": "Text", "value": "a", "foo": [1]}]},
                {
                    "type": "Table",
                    "children": [{"type": "Table.Row", "children": [{"type": "Text", "value": "b"}]}],
                },
                {"type": "DatePicker", "name": "d", "min": "2024-01-02T03:04:05Z"},
                {"type": "Button", "onClickAction": {"type": "x", "confirm": {"text": "?"}}},
                {
                    "type": "Chart",
                    "data": [],
                    "series": [{"type": "line", "label": "l", "dataKey": "v", "opacity": 1}],
                    "xAxis": {"dataKey": "m", "tick": 3},
                },
            ],
        }
    )
    assert isinstance(widget, w.Card)
    assert widget.border == {"size": 1, "glow": True}
    row, table, picker, button, chart = widget.children
    assert isinstance(row, w.Row)
    assert isinstance(picker, w.DatePicker)
    assert isinstance(button, w.Button)
    assert isinstance(button.onClickAction, ActionConfig)
    assert isinstance(chart, w.Chart)
    assert isinstance(chart.series[0], w.LineSeries)
    assert row.children == [w.Text.model_validate({"value": "a", "foo": [1]})]
    assert type(table) is w.DynamicWidgetComponent
    assert type(table.children[0].children[0]) is w.DynamicWidgetComponent


@pytest.mark.parametrize(
    "stored",
    [
        {"type": "Text"},
        {"type": "Text", "value": 3},
        {"type": "Text", "value": "a", "weight": "heavy"},
        {"type": "Text", "value": "a", "maxLines": "3"},
        {"type": "Text", "value": "a", "truncate": 1},
        {"type": "Image", "src": "a", "aspectRatio": True},
        {"type": "Box", "padding": {"x": True}},
        {"type": "Box", "width": 2**53 + 1},
        {"type": "Box", "children": {"type": "Text", "value": "a"}},
        {"type": "Button", "onClickAction": {"type": "x", "streaming": "no"}},
        {"type": "DatePicker", "name": "d", "max": "2024-01-02"},
        {"type": "Chart", "data": [{"a": True}], "series": [], "xAxis": "a"},
        {"type": "Card", "children": []},
    ],
)
def test_what_its_class_cannot_hold_exactly_is_dynamic(stored: dict[str, Any]) -> None:
    component = COMPONENT.validate_python(stored)
    assert type(component) is w.DynamicWidgetComponent
    assert canonical(sent(component)) == canonical(stored)
    card = ROOT.validate_python({"type": "Card", "children": [stored]})
    assert type(card) is w.Card
    assert card.children == [component]


@pytest.mark.parametrize(
    "stored",
    [
        {"type": "Card"},
        {"type": "Card", "size": "giant", "children": []},
        {"type": "ListView", "children": [{"type": "Text", "value": "a"}]},
        {"type": "ListView", "children": [{"type": "ListViewItem", "children": [], "gap": True}]},
    ],
)
def test_a_root_that_its_class_cannot_hold_is_dynamic(stored: dict[str, Any]) -> None:
    widget = ROOT.validate_python(stored)
    assert type(widget) is w.DynamicWidgetRoot
    assert canonical(sent(widget)) == canonical(stored)


def test_defaults_are_all_that_is_added() -> None:
    stored = {"type": "ListView", "children": [{"children": [], "onClickAction": {"type": "x"}, "foo": 1}]}
    assert sent(ROOT.validate_python(stored)) == {
        "type": "ListView",
        "children": [
            {
                "type": "ListViewItem",
                "children": [],
                "onClickAction": {
                    "type": "x",
                    "handler": "server",
                    "loadingBehavior": "auto",
                    "streaming": True,
                },
                "foo": 1,
            }
        ],
    }


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"children": []},
        {"type": "Text", "value": "a"},
        {"type": 3},
        {"type": ["Card"]},
        {"type": "Card", "children": "a"},
        {"type": "Card", "children": [{"value": "no type"}]},
        {"type": "Card", "id": 3, "children": []},
        "Card",
        None,
    ],
)
def test_what_is_no_widget_is_refused(stored: object) -> None:
    with pytest.raises(ValidationError):
        ROOT.validate_python(stored)


def test_a_deep_widget_is_read_and_its_faults_are_found_in_time() -> None:
    def nested(leaf: dict[str, Any]) -> dict[str, Any]:
        for _ in range(60):
            leaf = {"type": "Box", "children": [leaf]}
        return {"type": "Card", "children": [leaf]}

    stored = nested({"type": "Text", "value": "a"})
    assert sent(ROOT.validate_python(stored)) == stored
    # Were a fault looked for in both ways at each level, this would not end.
    with pytest.raises(ValidationError):
        ROOT.validate_python(nested({"value": "no type"}))


def test_a_widget_in_another_model_is_sent_by_its_own_class() -> None:
    class Holder(BaseModel):
        widget: w.WidgetRoot
        component: w.WidgetComponent | None = None

    stored = {
        "widget": {"type": "Card", "children": [], "foo": {"a": 1}},
        "component": {"type": "Table", "bar": 2},
    }
    assert sent(Holder.model_validate_json(json.dumps(stored))) == stored
