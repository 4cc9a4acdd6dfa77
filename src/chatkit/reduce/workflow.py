"""The accumulator of workflows."""

from __future__ import annotations

from types import MappingProxyType

from chatkit.reduce.base import ItemAccumulator
from chatkit.types import WorkflowItem, WorkflowTaskAdded, WorkflowTaskUpdated

__all__ = ["WorkflowAccumulator"]


class WorkflowAccumulator(ItemAccumulator):
    """Takes tasks of a workflow."""

    __slots__ = ()

    _item: WorkflowItem

    @property
    def is_empty(self) -> bool:
        return not self._item.workflow.tasks

    def _insert_task(self, update: WorkflowTaskAdded) -> None:
        # Never in place of another: openai-chatkit gives a task that equals an earlier one the earlier index.
        tasks = self._item.workflow.tasks
        self.check_index("task_index", update.task_index, len(tasks))
        tasks.insert(update.task_index, update.task.model_copy(deep=True))

    def _replace_task(self, update: WorkflowTaskUpdated) -> None:
        tasks = self._item.workflow.tasks
        if not tasks:
            self.refuse("has no task to update")
        self.check_index("task_index", update.task_index, len(tasks) - 1)
        tasks[update.task_index] = update.task.model_copy(deep=True)

    _takes = MappingProxyType({"workflow.task.added": _insert_task, "workflow.task.updated": _replace_task})
