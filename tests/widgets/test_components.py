"""The component classes: their properties, what they refuse, what they take as children."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

import chatkit.widgets as w
from chatkit.actions import ActionConfig

# Those of openai-chatkit 1.6.5, by class, without key, id, type and those inherited from BoxBase.
PROPERTIES: dict[str, dict[str, list[str]]] = json.loads(
    Path(__file__).with_name("properties.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_class_has_the_properties_of_the_protocol(name: str) -> None:
    model = getattr(w, name)
    inherited = {"key", "id", "type"}
    if model is not w.BoxBase and issubclass(model, w.BoxBase):
        inherited |= set(w.BoxBase.model_fields)
    fields = {field: info for field, info in model.model_fields.items() if field not in inherited}
    added = ["border"] if name == "Card" else []
    assert sorted(f for f, info in fields.items() if info.is_required()) == PROPERTIES[name]["required"]
    optional = {f: info.default for f, info in fields.items() if not info.is_required()}
    assert optional == dict.fromkeys(PROPERTIES[name]["optional"] + added)


def test_children_and_type_stay_in_partial_dumps() -> None:
    card = w.Card(children=[w.Text(value="a")])
    assert card.model_dump(exclude_unset=True) == {
        "type": "Card",
        "children": [{"type": "Text", "value": "a"}],
    }
    assert w.Box().model_dump() == {"type": "Box", "children": None}
    assert w.Transition(children=None).model_dump(exclude_none=True) == {"type": "Transition"}


@pytest.mark.parametrize(
    "build",
    [
        lambda: w.Text(value="a", weight="heavy"),
        lambda: w.Text(value="a", type="Title"),
        lambda: w.Text(value=3),
        w.Text,
        lambda: w.Button(iconStart="no-such-icon"),
        lambda: w.BarSeries(dataKey="a"),
        w.Transition,
        lambda: w.Select(name="s", options=[{"value": "a"}]),
        lambda: w.ListView(children=[w.Text(value="a")]),
        lambda: w.DynamicWidgetRoot(type="Text"),
        w.DynamicWidgetComponent,
        lambda: w.Card(children=["a"]),
        lambda: w.Card(children=[{"value": "no type"}]),
        lambda: w.Card(children=[None]),
    ],
)
def test_a_constructor_refuses_what_its_class_does_not_declare(build: Callable[[], BaseModel]) -> None:
    with pytest.raises(ValidationError):
        build()


def test_an_error_names_the_child() -> None:
    with pytest.raises(ValidationError) as error:
        w.Card(children=[w.Text(value="a"), {"type": "Table", "children": [3]}])
    assert error.value.errors()[0]["loc"][:3] == ("children", 1, "children")


def test_the_type_is_frozen() -> None:
    text = w.Text(value="a")
    with pytest.raises(ValidationError, match="frozen"):
        text.type = "Title"
    text.value = "b"
    assert text.model_dump() == {"type": "Text", "value": "b"}


def test_typed_components_stand_in_a_dynamic_one() -> None:
    row = w.DynamicWidgetComponent(type="Table.Row", children=w.Title(value="t"))
    root = w.BasicRoot(children=[w.Text(value="a", foo={"x": 1}), row])
    assert isinstance(root.children, list)
    assert all(isinstance(child, w.DynamicWidgetComponent) for child in root.children)
    assert root.children[1] is row
    assert root.model_dump(exclude_none=True) == {
        "type": "Basic",
        "children": [
            {"type": "Text", "value": "a", "foo": {"x": 1}},
            {"type": "Table.Row", "children": {"type": "Title", "value": "t"}},
        ],
    }


def test_an_applications_own_component_is_sent_with_its_fields() -> None:
    class Map(w.WidgetComponentBase):
        type: Literal["Map"] = "Map"
        latitude: float

    class Quote(w.Text):
        source: str

    card = w.Card(children=[Map(latitude=3), w.Box(children=[Quote(value="a", source="b")])])
    assert card.model_dump(exclude_none=True)["children"] == [
        {"type": "Map", "latitude": 3.0},
        {"type": "Box", "children": [{"type": "Text", "value": "a", "source": "b"}]},
    ]


def test_a_component_is_taken_as_it_is() -> None:
    text = w.Text(value="a")
    card = w.Card(children=[text])
    assert card.children[0] is text
    assert TypeAdapter(w.WidgetRoot).validate_python(card) is card
    assert TypeAdapter(w.WidgetComponent).validate_python(text) is text


def test_an_action_built_in_place_or_as_a_dictionary_is_the_same() -> None:
    given = w.Button(onClickAction={"type": "x", "payload": 1})
    assert given == w.Button(onClickAction=ActionConfig(type="x", payload=1))


def test_a_schema_can_be_drawn() -> None:
    schema = TypeAdapter(w.Card).json_schema()
    assert schema["properties"]["children"]["items"]["required"] == ["type"]


def test_every_public_name_exists_in_order() -> None:
    assert w.__all__ == sorted(w.__all__)
    assert all(hasattr(w, name) for name in w.__all__)
    assert set(PROPERTIES) <= set(w.__all__)


def test_import_needs_pydantic_alone() -> None:
    code = "import sys, chatkit.widgets; print([n for n in ('jinja2', 'chatkit.types') if n in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
