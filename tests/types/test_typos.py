"""A keyword argument that only differs from a field's name by a typo is told, where an application constructs."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from chatkit.types import (
    AssistantMessageItem,
    ClientEffectEvent,
    CustomTask,
    ErrorEvent,
    ProgressUpdateEvent,
    TextDelta,
    ThreadItem,
    ThreadItemUpdatedEvent,
)
from chatkit.widgets import DynamicWidgetRoot


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
