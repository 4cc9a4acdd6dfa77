"""What openai-chatkit 1.6.5 made of streams of the Agents SDK, recorded, and what this package makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.agents.recorded.scenarios import SCENARIOS, play

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parent / "recorded" / "events.json").read_text(encoding="utf-8")
)


def without_error(recorded: Any) -> Any:
    """A citation of no kind is left out, instead of an error."""
    content: Any = [{"annotations": [], "text": "x", "type": "output_text"}]
    item: Any = {"content": content, "id": "msg_1", "thread_id": "thr_1", "type": "assistant_message"}
    return [recorded[0], {"item": item, "type": "thread.item.done"}, recorded[-1]]


def first_task_shown(recorded: Any) -> Any:
    """The workflow is introduced by its first task, also where a thought is the first."""
    item = {
        "id": "<workflow 1>",
        "thread_id": "thr_1",
        "type": "workflow",
        "workflow": {"expanded": False, "tasks": [recorded[0]["update"]["task"]], "type": "custom"},
    }
    return [{"item": item, "type": "thread.item.added"}, *recorded[1:]]


def image(number: int, data: str) -> dict[str, Any]:
    return {"id": f"ig_{number}", "url": f"data:image/png;base64,{data}"}


def image_done(number: int, data: str) -> dict[str, Any]:
    item = {
        "id": f"<message {number}>",
        "image": image(number, data),
        "thread_id": "thr_1",
        "type": "generated_image",
    }
    return {"item": item, "type": "thread.item.done"}


def each_image_its_own(recorded: Any) -> Any:
    first = recorded[2] | {"item_id": "<message 1>"}
    return [
        *recorded[:2],
        first,
        recorded[3],
        image_done(1, "CCCC"),
        image_done(2, "DDDD"),
        recorded[-1],
    ]


def call_with_own_id(recorded: Any) -> Any:
    """A call without an item id gets one, instead of an error."""
    item = {
        "arguments": {"a": 1},
        "call_id": "call_1",
        "id": "<tool_call 1>",
        "name": "lookup",
        "status": "pending",
        "thread_id": "thr_1",
        "type": "client_tool_call",
    }
    call = {"arguments": {"a": 1}, "name": "lookup"}
    return [{"item": item, "type": "thread.item.done"}, {"context": {"client_tool_call": call}}]


def call_of_its_tool(recorded: Any) -> Any:
    """The call that the page gets has the ids of the function call of its name, not of the last one."""
    item = recorded[0]["item"] | {"id": "fc_1", "call_id": "call_1"}
    return [recorded[0] | {"item": item}, *recorded[1:]]


def reasoning_shown(recorded: Any) -> Any:
    """What open models think is shown too."""
    task = {"type": "thought", "status_indicator": "none", "content": "raw"}
    update = {"type": "workflow.task.added", "task_index": 0, "task": task}
    told = {"type": "thread.item.updated", "item_id": "<workflow 1>", "update": update}
    item = recorded[1]["item"]
    item = item | {"workflow": item["workflow"] | {"tasks": [task]}}
    return [recorded[0], told, recorded[1] | {"item": item}, *recorded[2:]]


def second_index(recorded: Any) -> Any:
    """A task that equals an earlier one has an index of its own."""
    return [recorded[0], recorded[1] | {"update": recorded[1]["update"] | {"task_index": 1}}, *recorded[2:]]


def as_it_is(recorded: Any) -> Any:
    return recorded


DIFFERENCES: dict[str, Any] = {
    "citation_none": without_error,
    "client_tool_among_two": call_of_its_tool,
    "client_tool_without_item_id": call_with_own_id,
    "reasoning_text": reasoning_shown,
    "thoughts_in_custom_workflow": first_task_shown,
    "two_images": each_image_its_own,
    "workflow_of_equal_tasks": second_index,
}


def comparable(events: Any) -> Any:
    """Returns the events with removals, whose order is that of a set, at their end."""
    removals = [event for event in events if event.get("type") == "thread.item.removed"]
    return [event for event in events if event not in removals], sorted(
        event["item_id"] for event in removals
    )


@pytest.mark.parametrize("name", SCENARIOS)
async def test_events_equal_the_recorded_ones(name: str) -> None:
    expected = DIFFERENCES.get(name, as_it_is)(RECORDED[name])
    assert comparable(await play(**SCENARIOS[name])) == comparable(expected)


def test_every_difference_is_one() -> None:
    for name, change in DIFFERENCES.items():
        assert change(RECORDED[name]) != RECORDED[name], name


def test_every_scenario_is_recorded() -> None:
    assert RECORDED.keys() - {"package"} == SCENARIOS.keys()
