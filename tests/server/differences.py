"""What this package answers otherwise than ``openai-chatkit`` 1.6.5, scenario by scenario, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.dropin.reasons import Decision, Difference, Fault

Change = Callable[[Any], Any]

HIDDEN = ("hidden_context_item", "sdk_hidden_context")
STOPPED = "The user stopped the answer here. Do not continue it unless asked to."

ELSEWHERE = "where-answers-differ-from-openai-chatkit"
BEFORE_THE_STREAM = Decision(
    "errors-before-the-stream", "what is wrong with a request is an error before the stream"
)
CLOSED = Decision("a-turn-closes-what-it-opened", "what a turn opened is closed and stored when it ends")
OWN_WORDS = Decision(ELSEWHERE, "texts that a model reads are in words of our own")
ERROR_IS_LAST = Decision(ELSEWHERE, "what changed is told before the error")
SYNC_ACTION_SAVES = Decision(ELSEWHERE, "what a sync action changes on the thread is saved")


def raised(name: str) -> Change:
    return lambda _: {"raised": [name]}


def without_hidden_items(answer: Any) -> Any:
    return [event for event in answer if event.get("item", {}).get("type") not in HIDDEN]


def item(kind: str, item_id: str, **rest: Any) -> dict[str, Any]:
    return {"type": kind, "id": item_id, "thread_id": "<thr 1>", "created_at": "<time>", **rest}


def message(item_id: str, text: str) -> dict[str, Any]:
    part = {"annotations": [], "text": text, "type": "output_text"}
    return item("assistant_message", item_id, content=[part])


WIDGET = item("widget", "wid_w", widget={"type": "Card", "children": []})
IMAGE = item("generated_image", "img_w", image={"id": "g", "url": "https://i.example/1"})
TASK = {"type": "custom", "title": "a", "status_indicator": "none"}
WORKFLOW = item("workflow", "wf_w", workflow={"type": "custom", "expanded": False, "tasks": [TASK]})
HALF_WIDGET = item(
    "widget",
    "<message 3>",
    widget={"type": "Card", "children": [{"id": "t", "type": "Text", "value": "Hel", "streaming": True}]},
)
NOTE = item("sdk_hidden_context", "<sdk_hidden_context 3>", content=STOPPED)


def with_items(*items: Any) -> Change:
    """The thread, or the store, has these items too, before the note that the answer was stopped."""

    def change(answer: Any) -> Any:
        if "stored" in answer:
            (thread, found), *_ = answer["stored"]["items"].items()
            return {"stored": answer["stored"] | {"items": {thread: placed(found)}}}
        return answer | {"items": answer["items"] | {"data": placed(answer["items"]["data"])}}

    def placed(found: list[Any]) -> list[Any]:
        notes = [entry for entry in found if entry["type"] == "sdk_hidden_context"]
        return [entry for entry in found if entry not in notes] + [*items, *notes]

    return change


def in_own_words(answer: Any) -> Any:
    """The note for the model that the answer was stopped."""
    if isinstance(answer, list):
        return [in_own_words(entry) for entry in answer]
    if not isinstance(answer, dict):
        return answer
    if answer.get("type") == "sdk_hidden_context":
        return answer | {"content": STOPPED}
    return {key: in_own_words(value) for key, value in answer.items()}


def done_before_last(*items: Any) -> Change:
    """The items are completed before the last event, which tells how it ended."""
    return lambda answer: [
        *answer[:-1],
        *({"type": "thread.item.done", "item": entry} for entry in items),
        answer[-1],
    ]


def done_at_the_end(*items: Any) -> Change:
    return lambda answer: [*answer, *({"type": "thread.item.done", "item": entry} for entry in items)]


def without_last_items(count: int) -> Change:
    def change(answer: Any) -> Any:
        if "stored" in answer:
            (thread, found), *_ = answer["stored"]["items"].items()
            return {"stored": answer["stored"] | {"items": {thread: found[:-count]}}}
        return answer | {"items": answer["items"] | {"data": answer["items"]["data"][:-count]}}

    return change


def _titled(answer: Any) -> Any:
    if "stored" in answer:
        (thread,) = answer["stored"]["threads"]
        return {"stored": answer["stored"] | {"threads": [_titled(thread)]}}
    return answer | {"title": "renamed by a sync action"}


def _untitled(answer: Any) -> Any:
    if "stored" in answer:
        (thread,) = answer["stored"]["threads"]
        return {"stored": answer["stored"] | {"threads": [_untitled(thread)]}}
    return {key: value for key, value in answer.items() if key != "title"}


def _then(*changes: Change) -> Change:
    def change(answer: Any) -> Any:
        for each in changes:
            answer = each(answer)
        return answer

    return change


def _no_empty_page(answer: Any) -> Any:
    user = item(
        "user_message",
        "<message 2>",
        attachments=[],
        content=[{"text": "many_hidden", "type": "input_text"}],
        inference_options={},
    )
    assert answer == {"after": "hid_1", "data": [], "has_more": True}
    return {"data": [user], "has_more": False}


def _with_all_fields(answer: Any) -> Any:
    """What a typed widget says beyond its class."""
    if isinstance(answer, list):
        return [_with_all_fields(entry) for entry in answer]
    if not isinstance(answer, dict):
        return answer
    if answer.get("id") == "wid_1":
        return answer | {"widget": answer["widget"] | {"border": {"size": 1, "color": "red"}, "sparkle": 3}}
    return {key: _with_all_fields(value) for key, value in answer.items()}


EVERY_KIND = (message("msg_w", "Partial"), WIDGET, IMAGE, WORKFLOW)

DIFFERENCES: dict[tuple[str, int], Difference] = {
    # Scenario and number of the answer; the last answer of a scenario is what is in the store.
    ("every_item", 0): Difference(Fault(4), without_hidden_items),
    ("every_item_reread", 0): Difference(Fault(4), without_hidden_items),
    ("items_down", 4): Difference(Fault(4), without_hidden_items),
    ("items_up", 4): Difference(Fault(4), without_hidden_items),
    ("hides_by_replacing", 0): Difference(
        Fault(4), lambda answer: [*answer[:-1], {"type": "thread.item.removed", "item_id": "msg_h"}]
    ),
    ("hidden_pages", 2): Difference(Fault(4), _no_empty_page),
    ("error_after_partial", 0): Difference(Fault(2), done_before_last(message("msg_p", "partial"))),
    ("error_after_partial", 1): Difference(Fault(2), with_items(message("msg_p", "partial"))),
    ("error_after_partial", 2): Difference(Fault(2), with_items(message("msg_p", "partial"))),
    ("widget_breaks_off", 0): Difference(Fault(2), done_before_last(HALF_WIDGET)),
    ("widget_breaks_off", 1): Difference(Fault(2), with_items(HALF_WIDGET)),
    ("widget_breaks_off", 2): Difference(Fault(2), with_items(HALF_WIDGET)),
    ("reader_leaves", 1): Difference(Fault(2), with_items(message("msg_w", "Hello"))),
    ("reader_leaves", 2): Difference(Fault(2), with_items(message("msg_w", "Hello"), NOTE)),
    ("reader_leaves_at_once", 2): Difference(Fault(2), with_items(NOTE)),
    ("reader_leaves_every_kind", 1): Difference(Fault(2), with_items(*EVERY_KIND)),
    ("reader_leaves_every_kind", 2): Difference(Fault(2), with_items(*EVERY_KIND, NOTE)),
    ("cancelled", 4): Difference(OWN_WORDS, in_own_words),
    ("cancelled_without_text", 2): Difference(OWN_WORDS, in_own_words),
    ("cancelled_every_kind", 1): Difference(Fault(2), with_items(*EVERY_KIND[1:])),
    ("cancelled_every_kind", 2): Difference(Fault(2), _then(in_own_words, with_items(*EVERY_KIND[1:]))),
    ("cancelled_by_handler", 0): Difference(CLOSED, done_before_last(message("msg_w", "Hello"))),
    ("cancelled_by_handler", 2): Difference(OWN_WORDS, in_own_words),
    ("returns_early", 0): Difference(CLOSED, done_at_the_end(message("msg_w", "Hello"))),
    ("returns_early", 1): Difference(CLOSED, with_items(message("msg_w", "Hello"))),
    ("returns_early", 2): Difference(CLOSED, with_items(message("msg_w", "Hello"))),
    ("sync_action", 2): Difference(SYNC_ACTION_SAVES, _titled),
    ("sync_action", 3): Difference(SYNC_ACTION_SAVES, _titled),
    ("title_then_error", 0): Difference(ERROR_IS_LAST, lambda answer: [*answer[:-2], answer[-1], answer[-2]]),
    ("unknown_attachment", 0): Difference(Fault(1), raised("NotFoundError")),
    ("unknown_attachment", 1): Difference(Fault(1), lambda _: {"data": [], "has_more": False}),
    ("unknown_attachment", 2): Difference(
        Fault(1), lambda answer: {"stored": answer["stored"] | {"threads": []}}
    ),
    ("action_on_no_widget", 1): Difference(BEFORE_THE_STREAM, raised("InvalidRequestError")),
    ("action_not_handled", 1): Difference(BEFORE_THE_STREAM, raised("UnsupportedOperationError")),
    ("message_to_locked", 1): Difference(BEFORE_THE_STREAM, raised("ThreadLockedError")),
    ("message_to_locked", 2): Difference(BEFORE_THE_STREAM, without_last_items(2)),
    ("message_to_locked", 3): Difference(BEFORE_THE_STREAM, without_last_items(2)),
    ("message_to_closed", 1): Difference(BEFORE_THE_STREAM, raised("ThreadClosedError")),
    ("message_to_closed", 2): Difference(BEFORE_THE_STREAM, without_last_items(2)),
    ("deleted_unknown", 0): Difference(BEFORE_THE_STREAM, raised("NotFoundError")),
    ("unknown_retry", 1): Difference(Fault(5), raised("NotFoundError")),
    ("negative_limit", 1): Difference(Fault(7), raised("InvalidRequestError")),
    **{
        (name, number): Difference(Fault(12), _with_all_fields)
        for name in ("widget_of_any_kind", "widget_of_any_kind_reread")
        for number in range(3)
    },
    ("limit_too_large", 1): Difference(Fault(7), raised("InvalidRequestError")),
    ("title_too_long", 1): Difference(BEFORE_THE_STREAM, raised("InvalidRequestError")),
    ("title_too_long", 2): Difference(BEFORE_THE_STREAM, _untitled),
    ("title_too_long", 3): Difference(BEFORE_THE_STREAM, _untitled),
    ("unknown_type", 0): Difference(Fault(8), raised("MalformedRequestError")),
}
