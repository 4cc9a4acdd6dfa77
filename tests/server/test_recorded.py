"""What openai-chatkit 1.6.5 answers, recorded, and what this package answers to the same application."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from tests.server.recorded.scenarios import SCENARIOS, play

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parent / "recorded" / "answers.json").read_text(encoding="utf-8")
)
HIDDEN = ("hidden_context_item", "sdk_hidden_context")


def without_hidden_items(answer: Any) -> Any:
    return [event for event in answer if event.get("item", {}).get("type") not in HIDDEN]


def instead(ours: Any) -> Any:
    return lambda _: ours


def with_partial_text_done(answer: Any) -> Any:
    *before, added, error = answer
    return [*before, added, added | {"type": "thread.item.done"}, error]


def with_partial_text_stored(answer: Any) -> Any:
    item = {
        "content": [{"annotations": [], "text": "partial", "type": "output_text"}],
        "created_at": "<time>",
        "id": "msg_p",
        "thread_id": "<thr 1>",
        "type": "assistant_message",
    }
    items = answer["items"] | {"data": [*answer["items"]["data"], item]}
    return answer | {"items": items}


# Scenario and number of the answer -> what the recorded answer becomes here. The numbers are those of the faults
# listed in test_faults.py.
DIFFERENCES: dict[tuple[str, int], Any] = {
    # Fault 4, its mate: 1.6.5 sends hidden items in thread.item.added.
    ("every_item", 0): without_hidden_items,
    ("items_down", 4): without_hidden_items,
    ("items_up", 4): without_hidden_items,
    # A ValueError as before, with an HTTP status.
    ("client_tool_twice", 2): instead({"raised": "ConflictValueError", "sent": 0}),
    ("questions_twice", 2): instead({"raised": "ConflictValueError", "sent": 0}),
    # Fault 2: partial text is kept, and the client is told.
    ("error_after_partial", 0): with_partial_text_done,
    ("error_after_partial", 1): with_partial_text_stored,
    # Fault 1: what is wrong before the handler starts is an error of process().
    ("action_on_no_widget", 1): instead({"raised": "InvalidRequestError", "sent": 0}),
    ("unknown_attachment", 0): instead({"raised": "NotFoundError", "sent": 0}),
    ("unknown_attachment", 1): instead({"data": [], "has_more": False}),
    # What a sync action changes on the thread is saved, as in an action.
    ("sync_action", 2): lambda answer: answer | {"title": "renamed by a sync action"},
    # Fault 5.
    ("unknown_retry", 1): instead({"raised": "NotFoundError", "sent": 0}),
    # Fault 7.
    ("negative_limit", 1): instead({"raised": "InvalidRequestError", "sent": 0}),
    # Fault 8.
    ("unknown_type", 0): instead({"raised": "MalformedRequestError", "sent": 0}),
}


@pytest.mark.parametrize("name", SCENARIOS)
async def test_answers_equal_the_recorded_ones(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    expected = [
        DIFFERENCES.get((name, number), lambda answer: answer)(answer)
        for number, answer in enumerate(RECORDED[name])
    ]
    assert await play(SCENARIOS[name]) == expected


def test_every_difference_is_one() -> None:
    for (name, number), change in DIFFERENCES.items():
        assert change(RECORDED[name][number]) != RECORDED[name][number], (name, number)


def test_every_scenario_is_recorded() -> None:
    assert RECORDED.keys() - {"package"} == SCENARIOS.keys()
