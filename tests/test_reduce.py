"""The accumulator of pending items."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from chatkit.errors import InvalidEventError
from chatkit.reduce import ItemAccumulator, accumulator
from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    CustomTask,
    FileSource,
    GeneratedImage,
    GeneratedImageItem,
    GeneratedImageUpdated,
    HiddenContextItem,
    ThreadItem,
    ThreadItemUpdate,
    WidgetComponentUpdated,
    WidgetItem,
    WidgetRootUpdated,
    WidgetStreamingTextValueDelta,
    Workflow,
    WorkflowItem,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)
from chatkit.widgets import Box, Card, DynamicWidgetComponent, ListView, ListViewItem, Markdown, Text, Title

ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)
UPDATE: TypeAdapter[ThreadItemUpdate] = TypeAdapter(ThreadItemUpdate)
CREATED = "2026-11-23T10:00:00Z"

Json = dict[str, Any]


# A final item is drawn as JSON and taken apart: what is left of it to begin with, and the updates that bring the rest.


def reduced(initial: Json, updates: Sequence[Json], random: Random | None = None) -> Json:
    """What accumulating gives; now and then somebody looks at the item on the way."""
    pending = accumulator(ITEM.validate_python(initial))
    for update in updates:
        pending.add(UPDATE.validate_python(update))
        if random is not None and random.random() < 0.2:
            pending.item()
    return wire(pending.item())


def wire(item: ThreadItem) -> Json:
    return item.model_dump(mode="json", exclude_none=True)


def as_read(item: Json) -> Json:
    return wire(ITEM.validate_python(item))


def item_of(kind: str, **fields: Any) -> Json:
    return {"type": kind, "id": "i", "thread_id": "t", "created_at": CREATED, **fields}


def pieces(random: Random, text: str) -> list[str]:
    cuts = sorted(random.randint(0, len(text)) for _ in range(random.randint(0, 3)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def merged(random: Random, strands: list[list[Json]], *, begin_in_order: bool = False) -> list[Json]:
    """The strands woven together, each in its order; on request none begins before the one ahead of it has."""
    waiting = [list(strand) for strand in strands]
    begun = 1 if begin_in_order else len(strands)
    woven: list[Json] = []
    while any(waiting[:begun]):
        chosen = random.choice([strand for strand in waiting[:begun] if strand])
        woven.append(chosen.pop(0))
        if chosen is waiting[begun - 1]:
            begun = min(begun + 1, len(waiting))
    return woven


def insertions(random: Random, entries: list[Any]) -> list[tuple[int, Any]]:
    """The entries in any order, each with the index at which inserting it restores theirs."""
    order = random.sample(range(len(entries)), len(entries))
    return [
        (sum(earlier < place for earlier in order[:step]), entries[place]) for step, place in enumerate(order)
    ]


text = st.text(max_size=12)
annotation = st.builds(
    lambda title, index: {
        "type": "annotation",
        "source": {"type": "file", "filename": title, "title": title},
        "index": index,
    },
    text,
    st.none() | st.integers(0, 9),
)
part = st.builds(
    lambda text, annotations: {"type": "output_text", "text": text, "annotations": annotations},
    text,
    st.lists(annotation, max_size=3),
)
randoms = st.randoms(use_true_random=False)


def updates_of_part(random: Random, index: int, final: Json) -> list[Json]:
    """The updates that make one part out of nothing."""
    prefix = "assistant_message.content_part."
    citation = {"type": "annotation", "source": {"type": "file", "filename": "junk", "title": "junk"}}
    junk = {"type": "output_text", "text": "junk", "annotations": [citation, citation]}
    whole = [{"type": f"{prefix}done", "content_index": index, "content": final}]
    if random.random() < 0.2:
        return whole
    head, *rest = pieces(random, final["text"])
    kept = random.randint(0, len(final["annotations"]))
    opened = {"type": "output_text", "text": head, "annotations": final["annotations"][:kept]}
    opening = [{"type": f"{prefix}added", "content_index": index, "content": opened}]
    if random.random() < 0.3:
        opening.insert(0, {"type": f"{prefix}{random.choice(['added', 'done'])}", "content_index": index})
        opening[0]["content"] = junk
    elif random.random() < 0.3:
        kept = 0
        opening = [{"type": f"{prefix}text_delta", "content_index": index, "delta": head}]
    deltas = [{"type": f"{prefix}text_delta", "content_index": index, "delta": piece} for piece in rest]
    added = [
        {
            "type": f"{prefix}annotation_added",
            "content_index": index,
            "annotation_index": kept + at,
            "annotation": entry,
        }
        for at, entry in insertions(random, final["annotations"][kept:])
    ]
    closing = whole if random.random() < 0.3 else []
    return [*opening, *merged(random, [deltas, added]), *closing]


@given(st.lists(part, max_size=4), randoms)
def test_message_is_the_sum_of_its_updates(parts: list[Json], random: Random) -> None:
    there = random.randint(0, len(parts))
    strands = [updates_of_part(random, index, parts[index]) for index in range(there, len(parts))]
    initial = item_of("assistant_message", content=parts[:there])
    updates = merged(random, strands, begin_in_order=True)
    assert reduced(initial, updates, random) == as_read(item_of("assistant_message", content=parts))


@given(st.lists(text, min_size=1), st.lists(part, max_size=2))
def test_appended_text_equals_its_updates(texts: list[str], parts: list[Json]) -> None:
    initial = item_of("assistant_message", content=parts)
    pending = accumulator(ITEM.validate_python(initial))
    updates = [update for text in texts for update in pending.append_text(text)]
    assert len(updates) == len(texts) + (not parts)
    expected = [*parts] or [{"type": "output_text", "text": "", "annotations": []}]
    expected[-1] = {**expected[-1], "text": expected[-1]["text"] + "".join(texts)}
    assert wire(pending.item()) == as_read(item_of("assistant_message", content=expected))
    assert reduced(initial, [update.model_dump() for update in updates]) == wire(pending.item())


task = st.builds(lambda title: {"type": "custom", "title": title}, text)


@given(st.lists(task, max_size=6), randoms)
def test_workflow_is_the_sum_of_its_updates(tasks: list[Json], random: Random) -> None:
    there = sorted(random.sample(range(len(tasks)), random.randint(0, len(tasks))))
    absent = [index for index in range(len(tasks)) if index not in there]
    random.shuffle(absent)
    blurred = {index: random.random() < 0.3 for index in range(len(tasks))}
    blank = {"type": "thought", "content": "?", "status_indicator": "loading"}
    updates: list[Json] = []
    shown = list(there)
    for index in absent:
        at = sum(earlier < index for earlier in shown)
        shown.append(index)
        given_task = blank if blurred[index] else tasks[index]
        updates.append({"type": "workflow.task.added", "task_index": at, "task": given_task})
    updates += [
        {"type": "workflow.task.updated", "task_index": index, "task": tasks[index]}
        for index, blurry in blurred.items()
        if blurry
    ]
    summary = {"title": "Done", "icon": None}
    workflow = {"type": "custom", "summary": summary, "expanded": True}
    begun = [blank if blurred[index] else tasks[index] for index in there]
    initial = item_of("workflow", workflow={**workflow, "tasks": begun})
    final = item_of("workflow", workflow={**workflow, "tasks": tasks})
    assert reduced(initial, updates, random) == as_read(final)


@given(st.lists(text, min_size=1, max_size=4), st.booleans())
def test_image_is_its_last_version(urls: list[str], begins_empty: bool) -> None:
    versions = [{"id": f"v{n}", "url": url} for n, url in enumerate(urls)]
    updates = [{"type": "generated_image.updated", "image": image, "progress": 0.5} for image in versions]
    initial = item_of("generated_image", image=None if begins_empty else {"id": "first", "url": "u"})
    assert reduced(initial, updates) == as_read(item_of("generated_image", image=versions[-1]))


leaf = st.one_of(
    st.builds(
        lambda kind, value: {"type": kind, "value": value}, st.sampled_from(["Text", "Markdown"]), text
    ),
    st.builds(lambda value: {"type": "Title", "value": value}, text),
    st.builds(lambda size, value: {"type": "Gizmo", "size": size, "value": value}, st.integers(), text),
    # Not what its class takes: read as a component of any properties.
    st.builds(lambda value: {"type": "Text", "value": value, "maxLines": "many"}, text),
)
component = st.recursive(
    leaf,
    lambda below: st.one_of(
        st.builds(
            lambda kind, children: {"type": kind, "children": children},
            st.sampled_from(["Box", "Row", "Form", "ListViewItem", "Gizmo"]),
            st.lists(below, max_size=3),
        ),
        st.builds(
            lambda kind, child: {"type": kind, "children": child},
            st.sampled_from(["Transition", "Gizmo"]),
            below,
        ),
    ),
    max_leaves=8,
)
root = st.one_of(
    st.builds(
        lambda kind, children: {"type": kind, "children": children},
        st.sampled_from(["Card", "Basic", "ListView"]),
        st.lists(component, max_size=4),
    ),
    st.builds(
        lambda entries: {
            "type": "ListView",
            "children": [{"type": "ListViewItem", "children": e} for e in entries],
        },
        st.lists(st.lists(component, max_size=2), max_size=3),
    ),
)


def with_ids(node: Json, random: Random, taken: list[str]) -> Json:
    named = dict(node)
    if random.random() < 0.7:
        named["id"] = f"c{len(taken)}"
        taken.append(named["id"])
    children = node.get("children")
    if isinstance(children, list):
        named["children"] = [with_ids(child, random, taken) for child in children]
    elif children is not None:
        named["children"] = with_ids(children, random, taken)
    return named


def cut(node: Json, random: Random, *, is_root: bool = False) -> tuple[Json, list[Json]]:
    """What is there of a component to begin with, and the updates that complete it."""
    begun, strands = dict(node), list[list[Json]]()
    children = node.get("children")
    if isinstance(children, list):
        cuts = [cut(child, random) for child in children]
        begun["children"] = [child for child, _ in cuts]
        strands = [updates for _, updates in cuts]
    elif children is not None:
        begun["children"], updates = cut(children, random)
        strands = [updates]
    if node["type"] in {"Text", "Markdown"} and "id" in node and random.random() < 0.7:
        begun["value"], *rest = pieces(random, node["value"])
        stream = {"type": "widget.streaming_text.value_delta", "component_id": node["id"]}
        strands.append(
            [{**stream, "delta": piece, "done": n == len(rest) - 1} for n, piece in enumerate(rest)]
        )
    updates = merged(random, strands)
    if "id" in node and random.random() < 0.4:
        update = {"type": "widget.component.updated", "component_id": node["id"], "component": begun}
        updates = [update, *updates]
        if is_root:
            begun = {"type": random.choice(["Card", "Basic", "ListView"]), "id": node["id"], "children": []}
        else:
            begun = random.choice(
                [
                    {"type": "Text", "id": node["id"], "value": "stub"},
                    {
                        "type": "Box",
                        "id": node["id"],
                        "children": [{"type": "Text", "id": "gone", "value": ""}],
                    },
                    {"type": "Unknown", "id": node["id"], "children": {"type": "Text", "value": "stub"}},
                ]
            )
    return begun, updates


@given(root, randoms)
def test_widget_is_the_sum_of_its_updates(drawn: Json, random: Random) -> None:
    final = with_ids(drawn, random, [])
    begun, updates = cut(final, random, is_root=True)
    if random.random() < 0.2:
        updates.insert(0, {"type": "widget.root.updated", "widget": begun})
        begun = {"type": "Card", "children": [{"type": "Text", "id": "c0", "value": "other"}]}
    initial = item_of("widget", widget=begun, copy_text="copy")
    assert reduced(initial, updates, random) == as_read(item_of("widget", widget=final, copy_text="copy"))


# Single cases.


def message(*texts: str) -> ItemAccumulator:
    content = [AssistantMessageContent(text=text) for text in texts]
    return accumulator(AssistantMessageItem(id="msg_1", content=content))


def widget(*children: Any) -> ItemAccumulator:
    return accumulator(WidgetItem(id="wdg_1", widget=Card(id="root", children=list(children))))


def workflow(*titles: str) -> ItemAccumulator:
    tasks = [CustomTask(title=title) for title in titles]
    return accumulator(WorkflowItem(id="wf_1", workflow=Workflow(type="custom", tasks=list(tasks))))


def image() -> ItemAccumulator:
    return accumulator(GeneratedImageItem(id="img_1"))


def cite(title: str = "source") -> Annotation:
    return Annotation(source=FileSource(filename=title, title=title))


def delta(index: int, text: str = "x") -> AssistantMessageContentPartTextDelta:
    return AssistantMessageContentPartTextDelta(content_index=index, delta=text)


def added(index: int, text: str = "x") -> AssistantMessageContentPartAdded:
    return AssistantMessageContentPartAdded(content_index=index, content=AssistantMessageContent(text=text))


def annotated(index: int, place: int) -> AssistantMessageContentPartAnnotationAdded:
    return AssistantMessageContentPartAnnotationAdded(
        content_index=index, annotation_index=place, annotation=cite()
    )


def streamed(component_id: str, text: str = "x") -> WidgetStreamingTextValueDelta:
    return WidgetStreamingTextValueDelta(component_id=component_id, delta=text, done=False)


def updated(component_id: str, component: Any) -> WidgetComponentUpdated:
    return WidgetComponentUpdated(component_id=component_id, component=component)


@pytest.mark.parametrize(
    ("pending", "update", "named"),
    [
        (message("a"), added(2), "content_index 2: it must be from 0 to 1"),
        (message("a"), added(-1), "content_index -1"),
        (message("a"), delta(2), "content_index 2"),
        (message("a"), delta(-1), "content_index -1"),
        (message("a"), annotated(0, 1), "annotation_index 1: it must be from 0 to 0"),
        (message("a"), annotated(0, -1), "annotation_index -1"),
        (message("a"), annotated(2, 0), "content_index 2"),
        (message("a"), annotated(1, 1), "annotation_index 1"),
        (
            message("a"),
            AssistantMessageContentPartDone(content_index=2, content=AssistantMessageContent(text="")),
            "content_index 2",
        ),
        (
            workflow("a"),
            WorkflowTaskAdded(task_index=2, task=CustomTask()),
            "task_index 2: it must be from 0 to 1",
        ),
        (workflow("a"), WorkflowTaskAdded(task_index=-1, task=CustomTask()), "task_index -1"),
        (
            workflow("a"),
            WorkflowTaskUpdated(task_index=1, task=CustomTask()),
            "task_index 1: it must be from 0 to 0",
        ),
        (workflow("a"), WorkflowTaskUpdated(task_index=-1, task=CustomTask()), "task_index -1"),
        (workflow(), WorkflowTaskUpdated(task_index=0, task=CustomTask()), "no task to update"),
        (widget(), updated("nobody", Text(value="")), "without a component 'nobody'"),
        (widget(), streamed("nobody"), "without a component 'nobody'"),
        (widget(Title(id="t", value="a")), streamed("t"), "a Title as component 't', which takes no text"),
        (
            widget(DynamicWidgetComponent(type="Text", id="t", value=3)),
            streamed("t"),
            "a Text as component 't', which takes no text",
        ),
        (widget(), updated("root", Text(value="a")), "root cannot be replaced by a Text"),
    ],
)
def test_update_that_does_not_fit_changes_nothing(
    pending: ItemAccumulator, update: ThreadItemUpdate, named: str
) -> None:
    before = pending.item()
    with pytest.raises(InvalidEventError) as caught:
        pending.add(update)
    assert named in str(caught.value)
    assert pending.id in str(caught.value)
    assert pending.item() == before


OF_EACH_KIND: list[tuple[str, ThreadItemUpdate]] = [
    ("assistant_message", added(0)),
    ("assistant_message", delta(0)),
    ("assistant_message", annotated(0, 0)),
    (
        "assistant_message",
        AssistantMessageContentPartDone(content_index=0, content=AssistantMessageContent(text="")),
    ),
    ("widget", WidgetRootUpdated(widget=Card(children=[]))),
    ("widget", updated("t", Text(value="b"))),
    ("widget", streamed("t")),
    ("workflow", WorkflowTaskAdded(task_index=0, task=CustomTask())),
    ("workflow", WorkflowTaskUpdated(task_index=0, task=CustomTask())),
    ("generated_image", GeneratedImageUpdated(image=GeneratedImage(id="v", url="u"))),
]


@pytest.mark.parametrize(
    "make",
    [
        message,
        lambda: widget(Text(id="t", value="a")),
        lambda: workflow("a"),
        image,
        lambda: accumulator(HiddenContextItem(id="hid_1", content="secret")),
        lambda: accumulator(ITEM.validate_python(item_of("end_of_turn"))),
    ],
)
def test_each_kind_takes_its_own_updates_only(make: Callable[[], ItemAccumulator]) -> None:
    for kind, update in OF_EACH_KIND:
        pending = make()
        if pending.type == kind:
            pending.add(update)
            continue
        with pytest.raises(InvalidEventError) as caught:
            pending.add(update)
        assert update.type in str(caught.value)
        assert pending.type in str(caught.value)


@pytest.mark.parametrize("make", [widget, workflow, image])
def test_only_messages_take_text(make: Callable[[], ItemAccumulator]) -> None:
    with pytest.raises(InvalidEventError, match=f"of type {make().type} and takes no text_delta"):
        make().append_text("a")


def test_appended_text_goes_to_the_last_part() -> None:
    pending = message("a", "b")
    assert pending.append_text("c") == [delta(1, "c")]
    pending = message()
    assert pending.append_text("c") == [added(0, ""), delta(0, "c")]
    assert pending.append_text("d") == [delta(0, "d")]


def test_added_task_displaces_none() -> None:
    """openai-chatkit sends the index of the first task that equals the new one."""
    pending = workflow("a", "b")
    pending.add(WorkflowTaskAdded(task_index=0, task=CustomTask(title="a")))
    pending.add(WorkflowTaskUpdated(task_index=2, task=CustomTask(title="c")))
    item = pending.item()
    assert isinstance(item, WorkflowItem)
    assert [task.title for task in item.workflow.tasks] == ["a", "a", "c"]


@pytest.mark.parametrize(
    ("pending", "empty"),
    [
        (message(), True),
        (message("", " \n\t"), True),
        (message(" ", "a"), False),
        (workflow(), True),
        (workflow("a"), False),
        (image(), True),
        (widget(), False),
        (accumulator(HiddenContextItem(id="hid_1", content="")), False),
    ],
)
def test_is_empty(pending: ItemAccumulator, empty: bool) -> None:
    assert pending.is_empty is empty


def test_item_ceases_to_be_empty() -> None:
    pending = message()
    pending.append_text(" ")
    assert pending.is_empty
    pending.append_text("a")
    assert not pending.is_empty
    pending = message(" ")
    pending.add(annotated(0, 0))
    assert not pending.is_empty
    pending = image()
    pending.add(GeneratedImageUpdated(image=GeneratedImage(id="v", url="u")))
    assert not pending.is_empty


def widget_json(pending: ItemAccumulator) -> Json:
    return wire(pending.item())["widget"]


def test_component_updates_reach_what_came_with_earlier_ones() -> None:
    pending = widget(Box(id="box", children=[Text(id="old", value="a")]))
    pending.add(streamed("old"))
    pending.add(updated("box", Box(id="box", children=[Text(id="new", value="")])))
    pending.add(streamed("new", "b"))
    with pytest.raises(InvalidEventError, match="'old'"):
        pending.add(streamed("old"))
    pending.add(updated("box", Markdown(id="other", value="c")))
    pending.add(streamed("other", "d"))
    for gone in ("box", "new"):
        with pytest.raises(InvalidEventError, match=f"'{gone}'"):
            pending.add(streamed(gone))
    assert widget_json(pending)["children"] == [{"type": "Markdown", "id": "other", "value": "cd"}]


def test_first_of_several_components_with_one_id_is_meant() -> None:
    pending = widget(Box(id="box", children=[Text(id="t", value="1")]), Text(id="t", value="2"))
    pending.add(streamed("t", "a"))
    pending.add(updated("t", Text(id="u", value="")))
    pending.add(streamed("t", "b"))
    pending.add(updated("u", Text(id="t", value="3")))
    pending.add(streamed("t", "c"))
    box, last = widget_json(pending)["children"]
    assert box["children"] == [{"type": "Text", "id": "t", "value": "3c"}]
    assert last == {"type": "Text", "id": "t", "value": "2b"}


def test_replacement_does_not_inherit_streamed_text() -> None:
    for repeated in ([], [Text(id="t", value="second")]):
        pending = widget(Text(id="t", value=""), *repeated)
        pending.add(streamed("t", "lost"))
        pending.add(updated("t", Text(id="t", value="kept")))
        assert widget_json(pending)["children"][0]["value"] == "kept"


def test_streamed_text_survives_that_a_list_takes_other_components() -> None:
    entries = [ListViewItem(id=f"e{n}", children=[Text(id=f"t{n}", value="a")]) for n in range(2)]
    pending = accumulator(WidgetItem(id="wdg_1", widget=ListView(children=entries)))
    pending.add(streamed("t1", "b"))
    pending.add(updated("e0", Text(id="t0", value="c")))
    pending.add(streamed("t1", "d"))
    first, second = widget_json(pending)["children"]
    assert first == {"type": "Text", "id": "t0", "value": "c"}
    assert second["children"] == [{"type": "Text", "id": "t1", "value": "abd"}]


def test_list_within_a_widget_takes_other_components() -> None:
    entries = [ListViewItem(id="e", children=[Text(value="a")]), ListViewItem(id="f", children=[])]
    pending = widget(Box(children=[ListView(id="list", limit=2, children=entries)]))
    pending.add(updated("e", Text(id="t", value="b")))
    pending.add(streamed("t", "c"))
    pending.add(updated("f", ListViewItem(id="f", children=[Text(value="d")])))
    assert widget_json(pending)["children"][0]["children"] == [
        {
            "type": "ListView",
            "id": "list",
            "limit": 2,
            "children": [
                {"type": "Text", "id": "t", "value": "bc"},
                {"type": "ListViewItem", "id": "f", "children": [{"type": "Text", "value": "d"}]},
            ],
        }
    ]


def test_component_without_a_value_takes_text() -> None:
    pending = widget(DynamicWidgetComponent(type="Markdown", id="t"))
    pending.add(streamed("t", "a"))
    pending.add(streamed("t", "b"))
    assert widget_json(pending)["children"] == [{"type": "Markdown", "id": "t", "value": "ab"}]


# Whose objects are whose.


def scribble(value: Any) -> None:
    """Changes whatever can be changed in place, at any depth."""
    if isinstance(value, dict):
        for inner in value.values():
            scribble(inner)
        value["scribble"] = True
    elif isinstance(value, list):
        for inner in value:
            scribble(inner)
        value.append(value[0] if value else "scribble")
    elif hasattr(value, "__dict__"):
        for name, inner in list(vars(value).items()):
            if isinstance(inner, str):
                vars(value)[name] = f"{inner}!"
            else:
                scribble(inner)
        if getattr(value, "__pydantic_extra__", None):
            scribble(value.__pydantic_extra__)


ALIASABLE: list[tuple[Callable[[], ThreadItem], Callable[[], list[ThreadItemUpdate]]]] = [
    (
        lambda: AssistantMessageItem(
            id="i",
            created_at=CREATED,  # pyright: ignore[reportArgumentType] -- validated
            content=[AssistantMessageContent(text="a", annotations=[cite("a")])],
        ),
        lambda: [
            delta(0),
            annotated(0, 1),
            AssistantMessageContentPartAdded(
                content_index=1, content=AssistantMessageContent(text="b", annotations=[cite("b")])
            ),
            AssistantMessageContentPartDone(
                content_index=2, content=AssistantMessageContent(text="c", annotations=[cite("c")])
            ),
        ],
    ),
    (
        lambda: WorkflowItem(
            id="i",
            created_at=CREATED,  # pyright: ignore[reportArgumentType] -- validated
            workflow=Workflow(type="custom", tasks=[CustomTask(title="a")]),
        ),
        lambda: [
            WorkflowTaskAdded(task_index=1, task=CustomTask(title="b")),
            WorkflowTaskUpdated(task_index=0, task=CustomTask(title="c")),
        ],
    ),
    (
        lambda: WidgetItem(
            id="i",
            created_at=CREATED,  # pyright: ignore[reportArgumentType] -- validated
            widget=Card(
                children=[
                    Text(id="t", value="a"),
                    Box(id="b", children=[]),
                    Gizmo(id="g", data={"list": [1]}),
                ]
            ),
        ),
        lambda: [streamed("t"), updated("b", Box(id="b", children=[Gizmo(id="h", data={"list": [1]})]))],
    ),
    (
        lambda: WidgetItem(
            id="i",
            created_at=CREATED,  # pyright: ignore[reportArgumentType] -- validated
            widget=Card(id="root", children=[]),
        ),
        lambda: [
            WidgetRootUpdated(widget=Card(id="root", children=[Text(value="a")])),
            updated("root", Card(children=[Text(value="b")])),
        ],
    ),
    (
        lambda: GeneratedImageItem(
            id="i",
            created_at=CREATED,  # pyright: ignore[reportArgumentType] -- validated
            image=GeneratedImage(id="a", url="a"),
        ),
        lambda: [GeneratedImageUpdated(image=GeneratedImage(id="b", url="b"))],
    ),
    (
        lambda: HiddenContextItem(
            id="i",
            created_at=CREATED,  # pyright: ignore[reportArgumentType] -- validated
            content={"list": [1]},
        ),
        list,
    ),
]


def Gizmo(**properties: Any) -> DynamicWidgetComponent:
    return DynamicWidgetComponent(type="Gizmo", **properties)


@pytest.mark.parametrize(("make_item", "make_updates"), ALIASABLE)
def test_nothing_is_shared(
    make_item: Callable[[], ThreadItem], make_updates: Callable[[], list[ThreadItemUpdate]]
) -> None:
    item = make_item()
    pending = accumulator(item)
    states = [pending.item()]
    for update in make_updates():
        pending.add(update)
        states.append(pending.item())

    given_item, given_updates = make_item(), make_updates()
    scribbled = accumulator(given_item)
    scribble(given_item)
    assert scribbled.item() == states[0], "the item handed in is still used"
    scribble(scribbled.item())
    assert scribbled.item() == states[0], "the item handed out is still used"
    for update, state in zip(given_updates, states[1:], strict=True):
        before = update.model_copy(deep=True)
        scribbled.add(update)
        assert update == before, "the update handed in was changed"
        scribble(update)
        assert scribbled.item() == state, "the update handed in is still used"
        scribble(scribbled.item())
        assert scribbled.item() == state, "the item handed out is still used"
    assert item == make_item(), "the item handed in was changed"


# Cost.


def seconds(work: Callable[[], object]) -> float:
    """Processor time of the fastest of three runs, so that other work on the machine does not count."""
    spent: list[float] = []
    for _ in range(3):
        start = time.thread_time()
        work()
        spent.append(time.thread_time() - start)
    return min(spent)


def test_a_delta_costs_the_same_however_long_the_text_is() -> None:
    piece = delta(0, "x" * 200)
    large_piece = streamed("t", "x" * 200)

    def stream(count: int) -> None:
        pending = message("")
        for _ in range(count):
            pending.add(piece)
        pending = widget(Text(id="t", value=""))
        for _ in range(count):
            pending.add(large_piece)

    # Copying the text so far would make it a hundred times.
    assert seconds(lambda: stream(20_000)) < 30 * seconds(lambda: stream(2_000))


def test_a_component_update_costs_the_same_however_large_the_widget_is() -> None:
    def update(size: int) -> Callable[[], None]:
        pending = widget(*(Text(id=f"t{n}", value="") for n in range(size)))
        change = updated("t5", Text(id="t5", value="new"))
        pending.add(change)

        def work() -> None:
            for _ in range(200):
                pending.add(change)
                pending.add(streamed("t7"))

        return work

    # Looking through the whole widget would make it a hundred times.
    assert seconds(update(2_000)) < 20 * seconds(update(20))


def test_text_is_joined_once_for_many_looks() -> None:
    pending = message("")
    for _ in range(20_000):
        pending.append_text("some text ")
    first = pending.item()
    assert isinstance(first, AssistantMessageItem)
    second = pending.item()
    assert isinstance(second, AssistantMessageItem)
    assert len(first.content[0].text) == 200_000
    assert first.content[0].text is second.content[0].text


def test_surrogates_that_deltas_cut_apart_are_joined_and_lone_ones_replaced() -> None:
    message = accumulator(AssistantMessageItem(id="msg_1", content=[]))
    for piece in ("a \ud83d", "\ude00 b", " \ud800 c"):
        message.append_text(piece)
    item = message.item()
    assert isinstance(item, AssistantMessageItem)
    assert item.content[0].text == "a \N{GRINNING FACE} b \N{REPLACEMENT CHARACTER} c"
