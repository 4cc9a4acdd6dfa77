"""Which updates lead from one version of a widget to the next: as the installed openai-chatkit 1.6.5 decides."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from chatkit.reduce import accumulator
from chatkit.types import ThreadItemUpdate, WidgetItem
from chatkit.widgets import DynamicWidgetRoot, WidgetRoot
from tests.support.reference_package import openai_chatkit_python
from tests.support.scale import examples
from tests.widgets.diff_worker import answer

WORKER = Path(__file__).with_name("diff_worker.py")
UPDATE: TypeAdapter[Any] = TypeAdapter(ThreadItemUpdate)
WIDGET: TypeAdapter[Any] = TypeAdapter(WidgetRoot)
Ask = Callable[[Any, Any, bool], Any]


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Returns a function that asks the other package, which answers in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    with subprocess.Popen(
        [openai_chatkit_python(), WORKER],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        questions, answers = worker.stdin, worker.stdout
        assert questions is not None
        assert answers is not None

        def asked(before: Any, after: Any, dynamic: bool) -> Any:
            questions.write(json.dumps([before, after, dynamic]) + "\n")
            questions.flush()
            return json.loads(answers.readline())

        yield asked
        questions.close()


VALUES = st.text("ab", max_size=3)
IDS = st.none() | st.sampled_from(["1", "2", "3", "4"])


def component(name: str, /, **properties: Any) -> Any:
    optional = {"id": IDS, "key": st.none() | st.sampled_from(["k", "l"])}
    return st.fixed_dictionaries({"type": st.just(name), **properties}, optional=optional)


STREAMING = st.sampled_from([True, False, None])
LEAVES = st.one_of(
    component("Text", value=VALUES, streaming=STREAMING),
    component("Markdown", value=VALUES, streaming=STREAMING),
    component("Title", value=VALUES),
    component("Badge", label=VALUES),
    component(
        "Button", onClickAction=st.builds(lambda a: {"type": "go", "payload": {"a": a}}, st.integers(0, 1))
    ),
    component("Checkbox", name=VALUES, defaultChecked=STREAMING),
    component("Hologram", value=VALUES),
)
COMPONENTS = st.recursive(
    LEAVES,
    lambda inner: (
        component("Col", children=st.lists(inner, max_size=3), gap=st.sampled_from([None, 1, 2]))
        | component("Transition", children=inner)
        | component("Beam", children=st.lists(inner, max_size=2))
    ),
    max_leaves=6,
)
ENTRIES = component("ListViewItem", children=st.lists(COMPONENTS, max_size=2))
ROOTS = st.one_of(
    component("Card", children=st.lists(COMPONENTS, max_size=3), size=st.sampled_from([None, "sm"])),
    component("ListView", children=st.lists(ENTRIES, max_size=3), limit=st.sampled_from([None, "auto", 1])),
    component("Basic", children=st.lists(COMPONENTS, max_size=3)),
)


@st.composite
def changed(draw: Any, version: Any) -> Any:
    """Draws a version that came of the given one by a few changes here and there."""
    if not isinstance(version, dict):
        return version
    made = dict(version)
    if isinstance(made.get("value"), str):
        made["value"] = draw(st.sampled_from([made["value"], made["value"] + "b", "", made["value"][:1]]))
    if "streaming" in made:
        made["streaming"] = draw(st.sampled_from([made["streaming"], False]))
    children = made.get("children")
    if isinstance(children, list):
        kept = [draw(changed(child)) for child in children]
        if version["type"] != "ListView" and draw(st.integers(0, 9)) == 0:
            kept.append(draw(LEAVES))
        made["children"] = kept
    elif isinstance(children, dict):
        made["children"] = draw(changed(children))
    if draw(st.integers(0, 9)) == 0:
        made["id"] = draw(IDS)
    return made


PAIRS = st.tuples(ROOTS, ROOTS) | ROOTS.flatmap(lambda root: st.tuples(st.just(root), changed(root)))


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"type": "Card", "children": [{"type": "Text", "id": "1", "value": value, **more}]}


def shown_after(before: Any, updates: Any) -> str:
    """Returns the widget that a client has after it took the updates."""
    pending = accumulator(WidgetItem(id="w", widget=before))
    for update in updates:
        pending.add(UPDATE.validate_python(update))
    return as_text(pending.item())


def as_text(item: Any) -> str:
    # JSON tells true from 1, and Python does not.
    return json.dumps(item.widget.model_dump(mode="json", exclude_none=True), sort_keys=True)


# The other package sends too little for each: a client never shows the new version.
LOST = [
    ("text without an id", {"type": "Text", "value": "a"}, {"type": "Text", "value": "ab"}),
    (
        "one id twice",
        {
            "type": "Row",
            "children": [
                {"type": "Text", "id": "1", "value": "a"},
                {"type": "Text", "id": "1", "value": "a"},
            ],
        },
        {
            "type": "Row",
            "children": [
                {"type": "Text", "id": "1", "value": "a"},
                {"type": "Text", "id": "1", "value": "ab"},
            ],
        },
    ),
    (
        "a single child",
        {"type": "Transition", "children": {"type": "Text", "id": "1", "value": "a"}},
        {"type": "Transition", "children": {"type": "Text", "id": "1", "value": "ab"}},
    ),
    ("true for 1", {"type": "Beam", "wide": 1}, {"type": "Beam", "wide": True}),
]


@pytest.mark.parametrize(("before", "after"), [pair[1:] for pair in LOST], ids=[pair[0] for pair in LOST])
def test_what_the_other_package_loses_is_sent(ask: Ask, before: Any, after: Any) -> None:
    old, new = {"type": "Card", "children": [before]}, {"type": "Card", "children": [after]}
    version = as_text(WidgetItem(id="w", widget=WIDGET.validate_python(new)))
    assert shown_after(WIDGET.validate_python(old), ask(old, new, False)) != version
    assert shown_after(WIDGET.validate_python(old), answer(old, new, False)) == version


GROWN = text("ab", streaming=True)


@settings(
    max_examples=examples(100),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(PAIRS, st.booleans())
@example((text("a"), GROWN), False)
@example((text("a", streaming=True), GROWN), False)
@example((text("a", streaming=True), text("ab", streaming=False)), True)
@example((text("a"), text("b")), True)
@example((text("a"), {"type": "Basic"}), False)
def test_both_packages_decide_the_same(ask: Ask, pair: tuple[Any, Any], dynamic: bool) -> None:
    """Or, where what the other package sends loses something, this one sends what does not."""
    ours, theirs = answer(*pair, dynamic), ask(*pair, dynamic)
    if ours != theirs:
        before, after = map(DynamicWidgetRoot.model_validate, pair)
        version = as_text(WidgetItem(id="w", widget=after))
        assert shown_after(before, theirs) != version
        assert shown_after(before, ours) == version
