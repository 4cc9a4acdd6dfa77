"""The 30 components that front ends know: read and sent as openai-chatkit 1.6.5 does, and without its losses."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from typing import Any

import pytest

from chatkit.types import WidgetItem
from tests.support.reference_package import openai_chatkit_python
from tests.support.scale import scaled
from tests.widgets import component_cases


@cache
def theirs() -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [openai_chatkit_python(), component_cases.__file__],
        env=environment,
        capture_output=True,
        text=True,
        timeout=scaled(100),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@cache
def ours() -> dict[str, Any]:
    return component_cases.answers()


WIDGETS = component_cases.widgets()


def test_there_are_thirty() -> None:
    assert len(WIDGETS) == 30


@pytest.mark.parametrize("way", ["read", "built"])
@pytest.mark.parametrize("name", WIDGETS)
def test_a_component_is_sent_the_same(name: str, way: str) -> None:
    assert ours()[f"{name} {way}"] == theirs()[f"{name} {way}"]


@pytest.mark.parametrize("name", WIDGETS)
def test_no_property_is_lost(name: str) -> None:
    assert ours()[f"{name} read"] == without_none(WIDGETS[name])


def without_none(value: Any) -> Any:
    """Returns the value as it is sent: what is None is left out, of payloads too."""
    if isinstance(value, dict):
        return {key: without_none(inner) for key, inner in value.items() if inner is not None}
    return [without_none(inner) for inner in value if inner is not None] if isinstance(value, list) else value


@pytest.mark.parametrize("border", [2, {"size": 1, "style": "dotted"}, {"top": 1, "x": {"size": 2}}])
def test_the_border_of_a_card_survives_a_round_trip(border: Any) -> None:
    """openai-chatkit 1.6.5 drops it when a stored widget is read again."""
    widget = {"type": "Card", "children": [], "border": border}
    item: Any = WidgetItem.model_validate({"id": "w", "widget": widget})
    again: Any = WidgetItem.model_validate_json(item.model_dump_json(exclude_none=True))
    assert type(again.widget).__name__ == "Card"
    assert again.widget.model_dump(mode="json", exclude_none=True) == widget
