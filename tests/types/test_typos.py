"""A keyword argument that only differs from a field's name by a typo is told, where an application constructs."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from chatkit._typos import _names, _nearest  # pyright: ignore[reportPrivateUsage]
from chatkit.actions import ActionConfig
from chatkit.types import (
    AssistantMessageItem,
    ClientEffectEvent,
    CustomTask,
    ErrorEvent,
    ProgressUpdateEvent,
    SearchTask,
    Task,
    TextDelta,
    ThreadItem,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
)
from chatkit.widgets import BarSeries, DynamicWidgetComponent, DynamicWidgetRoot
from chatkit.widgets.base import _component_classes  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    ("kind", "given", "told"),
    [
        (AssistantMessageItem, {"id": "a", "contents": []}, ("AssistantMessageItem", "contents", "content")),
        (
            AssistantMessageItem,
            {"id": "a", "threadId": "t"},
            ("AssistantMessageItem", "threadId", "thread_id"),
        ),
        (CustomTask, {"titel": "Look"}, ("CustomTask", "titel", "title")),
        # Not only where the number of fields differs: this event sets one that was not given.
        (
            ErrorEvent,
            {"code": "rate_limit", "retryable": True, "mesage": "No"},
            ("ErrorEvent", "mesage", "message"),
        ),
        (DynamicWidgetRoot, {"type": "Card", "childern": []}, ("DynamicWidgetRoot", "childern", "children")),
        # Short names: letters that changed places, one too few.
        (CustomTask, {"cion": "search"}, ("CustomTask", "cion", "icon")),
        (ClientEffectEvent, {"name": "a", "dat": {}}, ("ClientEffectEvent", "dat", "data")),
        # A word of a name.
        (ErrorEvent, {"retry": True}, ("ErrorEvent", "retry", "allow_retry")),
        (SearchTask, {"query": "tea"}, ("SearchTask", "query", "title_query")),
        # Keywords that are no fields.
        (ClientEffectEvent, {"type": "open", "paylod": {}}, ("ClientEffectEvent", "paylod", "payload")),
        # Properties of a component that has a class, without it.
        (
            DynamicWidgetComponent,
            {"type": "Button", "lable": "x"},
            ("DynamicWidgetComponent", "lable", "label"),
        ),
        (
            DynamicWidgetComponent,
            {"type": "Button", "onclickaction": {}},
            ("DynamicWidgetComponent", "onclickaction", "onClickAction"),
        ),
        (ActionConfig, {"type": "a", "streamming": False}, ("ActionConfig", "streamming", "streaming")),
        (
            BarSeries,
            {"label": "a", "dataKey": "b", "colr": "red"},
            ("BarSeries", "colr", "color"),
        ),
    ],
)
def test_a_typo_is_told_once(
    kind: Any, given: dict[str, Any], told: tuple[str, str, str], caplog: pytest.LogCaptureFixture
) -> None:
    # A class of the test's own, for each is told once in a process.
    own = type(kind.__name__, (kind,), {"__module__": __name__, "__qualname__": kind.__name__})
    for _ in range(2):
        own(**{"content": [], **given} if kind is AssistantMessageItem else given)
    (message,) = caplog.messages
    model, name, nearest = told
    assert message == f"{model} has no field {name!r}. Do you mean {nearest!r}?"


def test_a_typo_in_what_is_required_is_told_beside_the_error(caplog: pytest.LogCaptureFixture) -> None:
    own = type("AssistantMessageItem", (AssistantMessageItem,), {"__module__": __name__})
    with pytest.raises(ValidationError):
        own(id="a", contnet=[])
    assert "has no field 'contnet'. Do you mean 'content'?" in caplog.text


OPTIONAL = [
    (kind, name)
    for union in (ThreadStreamEvent, ThreadItem, Task)
    for kind in get_args(get_args(union)[0])
    for name, field in kind.model_fields.items()
    if not field.is_required() and len(name) > 3
] + [
    (kind, name)
    for kind in _component_classes().values()
    for name, field in kind.model_fields.items()
    if not field.is_required() and len(name) > 3
]


@pytest.mark.parametrize(("kind", "name"), OPTIONAL, ids=lambda value: getattr(value, "__name__", value))
def test_each_optional_field_is_found(kind: Any, name: str) -> None:
    known = sorted(_names(kind))
    swapped = name[0] + name[2] + name[1] + name[3:]
    for typo in {name[:-1], name[:1] + name[2:], swapped, name + name[-1], name.upper()} - {*known}:
        assert _nearest(typo, known, by_word=False) is not None, typo


def test_names_that_are_right_or_far_off_are_not_told(caplog: pytest.LogCaptureFixture) -> None:
    ThreadItemUpdatedEvent(id="msg_1", delta=TextDelta(text="a"))
    ProgressUpdateEvent(message="Looking")
    ClientEffectEvent(type="open_dialog", payload={})
    ErrorEvent(code="rate_limit", retryable=True)
    AssistantMessageItem(id="a", content=[], colour="red")  # pyright: ignore[reportCallIssue]
    DynamicWidgetRoot(type="Card", series=[], ids=1)
    assert caplog.messages == []


def test_what_is_read_is_not_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    row = {"type": "assistant_message", "id": "a", "content": [], "contents": [], "threadId": "t"}
    read: Any = TypeAdapter(ThreadItem).validate_python(row)
    assert read.id == "a"
    assert AssistantMessageItem.model_validate(row).id == "a"
    assert caplog.messages == []
    assert not getattr(AssistantMessageItem, "__pydantic_custom_init__")  # noqa: B009
