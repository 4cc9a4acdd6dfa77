"""The reasoning of a model, as thoughts in a workflow."""

# The private half of a context is this package's; it is no part of what applications see in a subclass of theirs.
# pyright: reportPrivateUsage=false
# ruff: noqa: SLF001

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias, cast

from pydantic import BaseModel

from chatkit.agents.context import AgentContext
from chatkit.agents.workflow import add_task, finish
from chatkit.types import (
    Task,
    ThoughtTask,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    Workflow,
    WorkflowItem,
    WorkflowTaskUpdated,
)

__all__ = ["Reasoning", "StreamingThoughtTracker", "ThoughtKey"]

Events: TypeAlias = list[ThreadStreamEvent]
ThoughtKey: TypeAlias = tuple[str, int]
"""The id of an item of the model, and the index of a part of it."""

_REASONING: Final = -1
"""Numbers of parts of reasoning are counted down from here, those of summaries up from 0."""
_GROWTH: Final = 16
"""A thought is sent again when it has grown by one part in so many."""


class StreamingThoughtTracker(BaseModel):
    """A summary of reasoning that grows as a task of a workflow.

    Attributes:
        item_id: The model's reasoning item.
        index: Which of the item's summaries it is.
        task: The task so far.
    """

    item_id: str
    index: int
    task: ThoughtTask


class Reasoning:
    """The thoughts of one run, and the workflow that they are tasks of.

    Thoughts come as summaries, of which the first one grows and the others appear when they are complete; as text
    between tags in a message; and as reasoning that the model server sends whole.
    """

    def __init__(self, context: AgentContext[Any]) -> None:
        self._context = context
        self._growing: dict[ThoughtKey, _GrowingThought] = {}
        self._summary: StreamingThoughtTracker | None = None
        self._complete: set[ThoughtKey] = set()
        self._steps: dict[object, Task] = {}

    # The workflow at the reader's place in the events. A tool may have begun the next one already.

    def workflow(self) -> WorkflowItem | None:
        """Returns the workflow that is open."""
        return self._context._inbox.workflows.current(self._context.workflow_item)

    def begin_workflow(self, kind: Literal["custom", "reasoning"] = "reasoning") -> Events:
        """Opens a workflow for reasoning, or for other steps of the model's."""
        context = self._context
        with context._inbox.lock:
            latest = context.workflow_item
            events = context._begin_workflow(Workflow(type=kind, tasks=[]))
            if latest is not None:
                context._inbox.workflows.overtaken, context.workflow_item = context.workflow_item, latest
            return events

    def end_own_workflow(self) -> Events:
        """Completes the workflow that was open when a tool began another one."""
        cursor = self._context._inbox.workflows
        item, cursor.overtaken = cursor.overtaken, None
        return [] if item is None else finish(item)

    def end_workflow(self) -> Events:
        """Completes the open workflow and the thoughts in it."""
        context = self._context
        with context._inbox.lock:
            grown = [event for key in list(self._growing) for event in self.finish(key)]
            if context._inbox.workflows.overtaken is not None:
                return [*grown, *self.end_own_workflow()]
            if self.workflow() is None:
                return grown
            return [*grown, *context._inbox.workflows.in_order(context._inbox, context._finish_workflow())]

    # Thoughts in the text of a message, and reasoning that is sent whole.

    def grow(self, key: ThoughtKey, piece: str) -> Events:
        """Adds a piece to a thought, which begins with the first one that is not blank."""
        growing = self._growing.get(key)
        if growing is not None:
            content = growing.add(piece)
            return [] if content is None else self._replace(growing.thought, content)
        if not piece.strip():
            return []
        events = [] if self.workflow() is not None else self.begin_workflow()
        task = ThoughtTask(content=piece.lstrip())
        thought = StreamingThoughtTracker(item_id=key[0], index=key[1], task=task)
        self._growing[key] = _GrowingThought(thought)
        return [*events, *self._add(cast("WorkflowItem", self.workflow()), task)]

    def finish(self, key: ThoughtKey, content: str | None = None) -> Events:
        """Completes a thought that grows, if there is one.

        Args:
            key: The thought.
            content: All of it; None for the pieces that came.
        """
        growing = self._growing.pop(key, None)
        if growing is None:
            return []
        content = (growing.whole() if content is None else content).strip()
        return [] if content == growing.thought.task.content else self._replace(growing.thought, content)

    def end(self, key: ThoughtKey, content: str) -> Events:
        """Completes reasoning that is sent whole; the model server may send it several times."""
        place = (key[0], _REASONING - key[1])
        if place in self._complete:
            return []
        self._complete.add(place)
        events = [] if key in self._growing else self.grow(key, content)
        return [*events, *self.finish(key, content or None)]

    # Other steps of the model's own, such as a search.

    def begin_response(self) -> None:
        """Forgets the steps of the response before: places in a response count from its beginning."""
        self._steps.clear()

    def show_step(self, key: object, task: Task) -> Events:
        """Shows a step; shown again, it takes the place of what was shown."""
        before = self._steps.get(key)
        self._steps[key] = task
        if before is not None:
            return self._put_in_place(before, task)
        events = [] if self.workflow() is not None else self.begin_workflow("custom")
        return [*events, *self._add(cast("WorkflowItem", self.workflow()), task)]

    # Summaries.

    def grow_summary(self, key: ThoughtKey, piece: str) -> Events:
        """Adds a piece to the first summary; what is sent of others is left out until they are complete."""
        item, thought = self.workflow(), self._summary
        if item is None:
            return []
        if thought is None:
            if item.workflow.type != "reasoning" or item.workflow.tasks:
                return []
            task = ThoughtTask(content=piece)
            self._summary = StreamingThoughtTracker(item_id=key[0], index=key[1], task=task)
            return self._add(item, task)
        return self._replace(thought, thought.task.content + piece) if self._grows(key) else []

    def end_summary(self, key: ThoughtKey, content: str) -> Events:
        """Completes a summary with all of it."""
        item, thought = self.workflow(), self._summary
        self._complete.add(key)
        if item is None:
            return []
        if thought is not None and self._grows(key):
            self._summary = None
            return self._replace(thought, content)
        return self._add(item, ThoughtTask(content=content))

    def end_summary_part(self, key: ThoughtKey, content: str) -> Events:
        """Completes a summary that is not complete yet: with the Chat Completions API nothing else marks its end."""
        if key in self._complete:
            return []
        if self._summary is not None and self._grows(key) and self._summary.task.content == content:
            self._summary = None
            return []
        return self.end_summary(key, content)

    def _grows(self, key: ThoughtKey) -> bool:
        thought = self._summary
        return thought is not None and (thought.item_id, thought.index) == key

    # Tasks.

    def _add(self, item: WorkflowItem, task: Task) -> Events:
        with self._context._inbox.lock:
            return self._in_order(item, add_task(item, task))

    def _replace(self, thought: StreamingThoughtTracker, content: str) -> Events:
        before, thought.task = thought.task, ThoughtTask(content=content)
        return self._put_in_place(before, thought.task)

    def _put_in_place(self, before: Task, after: Task) -> Events:
        item = self.workflow()
        if item is None:
            return []
        with self._context._inbox.lock:
            tasks = list(item.workflow.tasks)
            for index, task in enumerate(tasks):
                if task is before:
                    tasks[index] = after
                    item.workflow.tasks = tasks
                    update = WorkflowTaskUpdated(task_index=index, task=after.model_copy())
                    return self._in_order(item, [ThreadItemUpdatedEvent(item_id=item.id, update=update)])
        return []

    def _in_order(self, item: WorkflowItem, events: Events) -> Events:
        inbox = self._context._inbox
        return events if item is inbox.workflows.overtaken else inbox.workflows.in_order(inbox, events)


class _GrowingThought:
    """A thought that grows. Each event about it holds all of it, so that it is not sent for every piece."""

    __slots__ = ("_unsent", "_unsent_length", "thought")

    def __init__(self, thought: StreamingThoughtTracker) -> None:
        self.thought = thought
        self._unsent: list[str] = []
        self._unsent_length = 0

    def add(self, piece: str) -> str | None:
        """Returns all of the thought when it is to be sent, so that its events together are linear in its length."""
        self._unsent.append(piece)
        self._unsent_length += len(piece)
        if self._unsent_length * _GROWTH < len(self.thought.task.content):
            return None
        return self.whole()

    def whole(self) -> str:
        """Returns all of the thought."""
        whole = "".join((self.thought.task.content, *self._unsent))
        self._unsent.clear()
        self._unsent_length = 0
        return whole
