"""The difference of two versions of a widget: what a client has after it is the new version."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from chatkit.reduce import accumulator
from chatkit.server import diff_widget, stream_widget
from chatkit.types import (
    ThreadItemUpdate,
    ThreadMetadata,
    WidgetItem,
    WidgetRootUpdated,
    WidgetStreamingTextValueDelta,
)
from chatkit.widgets import Box, Card, DynamicWidgetRoot, Markdown, Text, Title, Transition, WidgetRoot

THREAD = ThreadMetadata(id="thr_1", created_at=datetime(2026, 1, 1, tzinfo=UTC))
UPDATE: TypeAdapter[Any] = TypeAdapter(ThreadItemUpdate)
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


@given(WIDGETS, WIDGETS)
def test_any_two_versions_by_component(before: Any, after: Any) -> None:
    assert after_updates(before, diff_widget(before, after, component_updates=True)) == after.model_dump(
        mode="json", exclude_none=True
    )


def named(value: Any, names: Any) -> Any:
    """Gives every component an id of its own, so that each can be sent alone."""
    if isinstance(value, list):
        return [named(inner, names) for inner in value]
    if isinstance(value, dict):
        return {
            "id": f"n{next(names)}",
            **{key: named(inner, names) for key, inner in value.items() if key != "id"},
        }
    return value


@st.composite
def changed(draw: Any, value: Any) -> Any:
    """Draws what is left of a version after changes: other texts and types here and there, fewer or more children."""
    if not isinstance(value, dict):
        return value
    made = {key: draw(changed(inner)) if key == "children" else inner for key, inner in value.items()}
    if isinstance(made.get("children"), list):
        made["children"] = [draw(changed(child)) for child in made["children"]]
        if draw(st.integers(0, 5)) == 0:
            made["children"] = made["children"][1:]
        if draw(st.integers(0, 5)) == 0:
            made["children"] = made["children"][::-1]
    if isinstance(made.get("value"), str):
        made["value"] = draw(st.sampled_from([made["value"], made["value"] + "x", "z"]))
    if draw(st.integers(0, 9)) == 0:
        made["id"] = draw(st.sampled_from(["n1", "n2", "n3"]))
    return made


NAMED = WIDGETS.map(lambda widget: named(widget.model_dump(exclude_none=True), itertools.count()))
READ: TypeAdapter[Any] = TypeAdapter(WidgetRoot)


@pytest.mark.parametrize(
    "read", [READ.validate_python, DynamicWidgetRoot.model_validate], ids=["typed", "dynamic"]
)
@given(pair=NAMED.flatmap(lambda version: st.tuples(st.just(version), changed(version))))
def test_versions_of_named_components(read: Any, pair: Any) -> None:
    before, after = map(read, pair)
    updates = diff_widget(before, after, component_updates=True)
    assert after_updates(before, updates) == after.model_dump(mode="json", exclude_none=True)
    # As JSON they are what a client gets.
    sent = [UPDATE.validate_json(update.model_dump_json(exclude_none=True)) for update in updates]
    assert after_updates(before, sent) == after.model_dump(mode="json", exclude_none=True)


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


def told(updates: Any) -> list[Any]:
    return [
        getattr(update, "component_id", "root")
        + (f"+{update.delta}" if isinstance(update, WidgetStreamingTextValueDelta) else "")
        for update in updates
    ]


A, B = text("x"), text("y", id="b")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([A, B], [A, B], []),
        ([A, B], [text("z"), B], ["a"]),
        ([A, B], [text("xz"), text("z", id="b")], ["a+z", "b"]),
        ([A, B], [text("xz", color="red"), B], ["a"]),
        ([A, B], [Title(id="a", value="x"), B], ["a"]),
        ([A, B], [B, A], ["root"]),
        ([A, B], [A], ["root"]),
        ([A, Title(value="t")], [text("z"), Title(value="u")], ["root"]),
        ([A, Box(children=[A])], [text("z"), Box(children=[A])], ["root"]),
        ([Box(id="c", children=[A, B])], [Box(id="c", children=[text("z"), B])], ["a"]),
        ([Box(id="c", children=[A, B])], [Box(id="c", children=[A])], ["c"]),
        ([Box(id="c", children=[A, B])], [Box(id="c", children=[A, B], gap=1)], ["c"]),
        ([Box(id="c", children=[Title(value="t")])], [Box(id="c", children=[Title(value="u")])], ["c"]),
        ([Transition(id="c", children=A)], [Transition(id="c", children=None)], ["c"]),
        ([Transition(id="c", children=A)], [Transition(id="c", children=text("z"))], ["a"]),
        ([Transition(id="c", children=A)], [Transition(id="d", children=text("z", id="e"))], ["root"]),
    ],
)
def test_the_innermost_component_with_an_id_of_its_own_is_sent(
    before: Any, after: Any, expected: Any
) -> None:
    old, new = Card(children=before), Card(children=after)
    assert told(diff_widget(old, new, component_updates=True)) == expected
    assert set(told(diff_widget(old, new))) <= {"root"}


async def sent(widget: Any, **options: Any) -> list[Any]:
    return [
        event async for event in stream_widget(THREAD, widget, "copied", lambda kind: f"<{kind}>", **options)
    ]


@pytest.mark.parametrize(("options", "expected"), [({}, ["root"]), ({"component_updates": True}, ["a"])])
async def test_components_are_sent_alone_where_a_server_says_so(options: Any, expected: Any) -> None:
    async def versions() -> AsyncIterator[Any]:
        yield Card(children=[A, B])
        yield Card(children=[text("z"), B])

    _, updated, done = await sent(versions(), **options)
    assert told([updated.update]) == expected
    assert done.item.widget.children[0].value == "z"


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
