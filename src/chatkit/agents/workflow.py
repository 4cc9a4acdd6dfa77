"""How a workflow changes: each function changes the state and returns the events that tell of it.

Events carry copies: what happens to the workflow later does not change what is still on its way to the client.
"""

from __future__ import annotations

from datetime import UTC
from typing import Final, Literal

from chatkit.ids import utc_now
from chatkit.types import (
    CustomSummary,
    DurationSummary,
    Task,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    Workflow,
    WorkflowItem,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)

__all__ = ["add_task", "begin", "ends_workflow", "finish", "tells_of_workflow", "update_task"]

_BESIDE_A_WORKFLOW: Final = frozenset({"client_tool_call", "hidden_context_item", "sdk_hidden_context"})
"""Types of items that a workflow goes on beside."""


def begin(item: WorkflowItem) -> list[ThreadStreamEvent]:
    """Shows a new workflow. One of the application's own appears with its first task."""
    if item.workflow.type == "reasoning" or item.workflow.tasks:
        return [ThreadItemAddedEvent(item=item.model_copy(deep=True))]
    return []


def add_task(item: WorkflowItem, task: Task) -> list[ThreadStreamEvent]:
    """Adds a task behind the others."""
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
    """Tells whether a workflow is over when another item appears."""
    return open_one is not None and item.id != open_one.id and item.type not in _BESIDE_A_WORKFLOW


def tells_of_workflow(event: ThreadStreamEvent) -> bool:
    """Tells whether the event shows, changes or completes a workflow."""
    if isinstance(event, ThreadItemAddedEvent | ThreadItemDoneEvent):
        return isinstance(event.item, WorkflowItem)
    return isinstance(event, ThreadItemUpdatedEvent) and isinstance(
        event.update, WorkflowTaskAdded | WorkflowTaskUpdated
    )


def new_workflow(kind: Literal["custom", "reasoning"]) -> Workflow:
    """Returns a workflow without tasks."""
    return Workflow(type=kind, tasks=[])
