"""Which classes warn when an application calls them: those that openai-chatkit 1.6.5 has deprecated."""

from __future__ import annotations

import contextlib
import json
import subprocess
import warnings
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from chatkit import widgets
from chatkit.types import WidgetItem
from chatkit.widgets import BasicRoot, Card, DynamicWidgetComponent, DynamicWidgetRoot, Text, WidgetRoot
from tests.support.reference_package import openai_chatkit_python
from tests.support.scale import scaled

MODELS = [
    name
    for name in widgets.__all__
    if isinstance(model := getattr(widgets, name), type) and issubclass(model, BaseModel)
]
# Run on both packages: the classes of those listed that warn when they are called, whether the call succeeds or not.
PROGRAM = """
import json, sys, warnings
from chatkit import widgets

def warns(name):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            getattr(widgets, name)(type="Card")
        except Exception:
            pass
    return {(warning.category.__name__, warning.filename) for warning in caught} == {("DeprecationWarning", "<string>")}

print(json.dumps(sorted(name for name in sys.argv[1:] if warns(name))))
"""


def test_the_same_classes_warn() -> None:
    done = subprocess.run(
        [openai_chatkit_python(), "-W", "ignore", "-c", PROGRAM, *MODELS],
        capture_output=True,
        text=True,
        timeout=scaled(100),
        check=True,
    )
    theirs = set(json.loads(done.stdout))
    assert len(theirs) > 25
    assert {name for name in MODELS if warns(name)} == theirs


def warns(name: str) -> bool:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with contextlib.suppress(ValueError):
            getattr(widgets, name)(type="Card")
    return [(warning.category, warning.filename) for warning in caught] == [(DeprecationWarning, __file__)]


def test_the_warning_says_what_to_do_and_the_class_works() -> None:
    with pytest.warns(DeprecationWarning, match="WidgetTemplate") as caught:
        card = Card(children=[Text(value="x")])
    assert len(caught) == 2
    assert card.model_dump(exclude_none=True) == {
        "type": "Card",
        "children": [{"type": "Text", "value": "x"}],
    }


@pytest.fixture
def card() -> Any:
    with pytest.warns(DeprecationWarning, match="WidgetTemplate"):
        return Card(children=[Text(value="x")])


@pytest.mark.filterwarnings("error")
def test_reading_and_copying_do_not_warn(card: Any) -> None:
    sent = card.model_dump_json()
    assert TypeAdapter(WidgetRoot).validate_json(sent) == card
    assert Card.model_validate_json(sent) == card
    assert WidgetItem(id="w", widget=card).model_copy(deep=True).widget == card


@pytest.mark.filterwarnings("error")
def test_classes_of_an_application_do_not_warn() -> None:
    class Mine(Card):
        pass

    assert Mine(children=[]).type == "Card"


@pytest.mark.filterwarnings("error")
def test_dynamic_components_do_not_warn() -> None:
    assert BasicRoot(children=[DynamicWidgetComponent(type="Text", value="x")]).type == "Basic"
    assert DynamicWidgetRoot(type="Card").type == "Card"
