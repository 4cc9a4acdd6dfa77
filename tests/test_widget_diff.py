"""The difference of two versions of a widget: what a client has after it is the new version."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.reduce import accumulator
from chatkit.server import diff_widget, stream_widget
from chatkit.types import ThreadMetadata, WidgetItem, WidgetRootUpdated, WidgetStreamingTextValueDelta
from chatkit.widgets import Box, Card, DynamicWidgetRoot, Markdown, Text, Title, Transition

THREAD = ThreadMetadata(id="thr_1", created_at=datetime(2026, 1, 1, tzinfo=UTC))
IDS = st.sampled_from(["a", "b", "c", None])
TEXTS = st.builds(
    dict,
    type=st.sampled_from(["Text", "Markdown", "Title"]),
    id=IDS,
    value=st.text("xy", max_size=4),
    streaming=st.sampled_from([None, True, False]),
)
COMPONENTS: Any = st.recursive(
    TEXTS,
    lambda inner: st.one_of(
        st.builds(dict, type=st.just("Box"), id=IDS, children=st.lists(inner, max_size=3)),
        st.builds(dict, type=st.just("Transition"), children=inner),
    ),
    max_leaves=5,
)
WIDGETS = st.builds(
    lambda children, size: DynamicWidgetRoot.model_validate(
        {"type": "Card", "children": children, "size": size}
    ),
    st.lists(COMPONENTS, max_size=3),
    st.sampled_from([None, "sm", 1, True]),
)


def grown(value: Any, more: str) -> Any:
    if isinstance(value, list):
        return [grown(inner, more) for inner in value]
    if isinstance(value, dict):
        made = {key: grown(inner, more) for key, inner in value.items()}
        return made | {"value": made["value"] + more} if isinstance(made.get("value"), str) else made
    return value


def after_updates(before: Any, updates: Any) -> Any:
    pending = accumulator(WidgetItem(id="w", widget=before))
    for update in updates:
        pending.add(update)
    item: Any = pending.item()
    return item.widget.model_dump(mode="json", exclude_none=True)


@given(WIDGETS, WIDGETS)
def test_any_two_versions(before: Any, after: Any) -> None:
    assert after_updates(before, diff_widget(before, after)) == after.model_dump(
        mode="json", exclude_none=True
    )


@given(WIDGETS, st.text("xyz", max_size=2))
def test_a_version_whose_texts_grew(before: Any, more: str) -> None:
    after = DynamicWidgetRoot.model_validate(grown(before.model_dump(), more))
    assert after_updates(before, diff_widget(before, after)) == after.model_dump(
        mode="json", exclude_none=True
    )


def text(value: str, **rest: Any) -> Text:
    return Text(**{"id": "a", "value": value, "streaming": True, **rest})


@pytest.mark.parametrize(
    ("before", "after", "deltas"),
    [
        ([text("x")], [text("x")], []),
        ([text("x")], [text("xy")], [("a", "y", False)]),
        ([text("x", streaming=None)], [text("xy", streaming=None)], [("a", "y", True)]),
        (
            [text(""), Markdown(id="b", value="1")],
            [text("x"), Markdown(id="b", value="12")],
            [("a", "x", False), ("b", "2", True)],
        ),
        ([Box(children=[text("x")])], [Box(children=[text("xy")])], [("a", "y", False)]),
        ([Transition(children=text("x"))], [Transition(children=text("xy"))], [("a", "y", False)]),
        ([text("x")], [text("xy", streaming=False)], None),
        ([text("x")], [text("z")], None),
        ([text("xy")], [text("x")], None),
        ([text("x", id=None)], [text("xy", id=None)], None),
        ([text("x"), text("q")], [text("x"), text("qq")], None),
        ([text("x")], [text("xy", color="red")], None),
        ([text("x")], [text("x"), text("y", id="b")], None),
        ([Title(id="a", value="x")], [Title(id="a", value="xy")], None),
    ],
)
def test_grown_texts_are_deltas_and_all_else_a_new_root(before: Any, after: Any, deltas: Any) -> None:
    old, new = Card(children=before), Card(children=after)
    expected: list[Any] = (
        [WidgetRootUpdated(widget=new)]
        if deltas is None
        else [
            WidgetStreamingTextValueDelta(component_id=component, delta=delta, done=done)
            for component, delta, done in deltas
        ]
    )
    assert diff_widget(old, new) == expected


async def sent(widget: Any) -> list[Any]:
    return [event async for event in stream_widget(THREAD, widget, "copied", lambda kind: f"<{kind}>")]


async def test_a_widget_is_done_at_once() -> None:
    [event] = await sent(Card(children=[text("x")]))
    assert (event.type, event.item.id, event.item.copy_text) == ("thread.item.done", "<message>", "copied")


async def test_versions_may_be_the_same_object() -> None:
    card = Card(children=[text("x")])

    async def versions() -> AsyncIterator[Any]:
        yield card
        card.children[0] = text("xy")
        yield card

    events: Any = await sent(versions())
    assert [event.type.removeprefix("thread.item.") for event in events] == ["added", "updated", "done"]
    assert events[0].item.widget.children[0].value == "x"
    assert events[1].update.delta == "y"


async def test_a_generator_without_versions_shows_nothing() -> None:
    async def versions() -> AsyncIterator[Any]:
        for card in ():
            yield card

    assert await sent(versions()) == []
