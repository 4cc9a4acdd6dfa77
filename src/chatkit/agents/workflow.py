"""Changes of a workflow, and the events of each.

Events carry copies, which later changes of the workflow do not reach.
"""

from __future__ import annotations

from datetime import UTC
from typing import Final

from chatkit.ids import utc_now
from chatkit.types import (
    HIDDEN_ITEM_TYPES,
    CustomSummary,
    DurationSummary,
    Task,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    WorkflowItem,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)

__all__ = ["add_task", "begin", "ends_workflow", "finish", "is_about_workflow", "settle", "update_task"]

_LEAVE_WORKFLOW_OPEN: Final = HIDDEN_ITEM_TYPES | {"client_tool_call"}
"""Types of items that do not end the open workflow."""


def begin(item: WorkflowItem) -> list[ThreadStreamEvent]:
    """Shows a new workflow. One of the application's own appears with its first task."""
    if item.workflow.type == "reasoning" or item.workflow.tasks:
        return [ThreadItemAddedEvent(item=item.model_copy(deep=True))]
    return []


def add_task(item: WorkflowItem, task: Task) -> list[ThreadStreamEvent]:
    """Adds a task after the others."""
    workflow = item.workflow
    # Assigned, not appended to: the list may be one that the application holds.
    workflow.tasks = [*workflow.tasks, task]
    index = len(workflow.tasks) - 1
    if index == 0 and workflow.type != "reasoning":
        return [ThreadItemAddedEvent(item=item.model_copy(deep=True))]
    return [
        ThreadItemUpdatedEvent(
            item_id=item.id, update=WorkflowTaskAdded(task_index=index, task=task.model_copy(deep=True))
        )
    ]


def update_task(item: WorkflowItem | None, task: Task, index: int) -> list[ThreadStreamEvent]:
    """Replaces a task.

    Raises:
        ValueError: There is no workflow.
        IndexError: It has no such task.
    """
    if item is None:
        raise ValueError("There is no workflow whose task could be updated: call start_workflow() first.")
    tasks = list(item.workflow.tasks)
    if not -len(tasks) <= index < len(tasks):
        raise IndexError(f"The workflow has {len(tasks)} tasks: there is no task {index} to update.")
    tasks[index] = task
    item.workflow.tasks = tasks
    return [
        ThreadItemUpdatedEvent(
            item_id=item.id,
            update=WorkflowTaskUpdated(task_index=index % len(tasks), task=task.model_copy(deep=True)),
        )
    ]


def settle(item: WorkflowItem) -> None:
    """Takes the sign of work from tasks that are not done: nothing changes them any more."""
    item.workflow.tasks = [
        task.model_copy(update={"status_indicator": "none"}) if task.status_indicator == "loading" else task
        for task in item.workflow.tasks
    ]


def finish(
    item: WorkflowItem,
    summary: str | CustomSummary | DurationSummary | None = None,
    *,
    expanded: bool = False,
) -> list[ThreadStreamEvent]:
    """Completes a workflow; without a summary its headline is how long it took."""
    workflow = item.workflow
    if summary is not None:
        workflow.summary = CustomSummary(title=summary) if isinstance(summary, str) else summary
    elif workflow.summary is None:
        began = item.created_at
        # A naive time can get here in an item that was made without validation.
        began = began if began.tzinfo is not None else began.replace(tzinfo=UTC)
        workflow.summary = DurationSummary(duration=max(0, int((utc_now() - began).total_seconds())))
    workflow.expanded = expanded
    return [ThreadItemDoneEvent(item=item.model_copy(deep=True))]


def ends_workflow(item: ThreadItem, open_one: WorkflowItem | None) -> bool:
    """Returns whether a workflow ends when the next item appears."""
    return open_one is not None and item.id != open_one.id and item.type not in _LEAVE_WORKFLOW_OPEN


def is_about_workflow(event: ThreadStreamEvent) -> bool:
    """Returns whether the event shows, changes or completes a workflow."""
    if isinstance(event, ThreadItemAddedEvent | ThreadItemDoneEvent):
        return isinstance(event.item, WorkflowItem)
    return isinstance(event, ThreadItemUpdatedEvent) and isinstance(
        event.update, WorkflowTaskAdded | WorkflowTaskUpdated
    )
