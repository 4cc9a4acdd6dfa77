"""The conversion of an agent's steps to thread stream events.

- ``stream_steps``: of a whole run
- ``StepConverter``: of one step after the other
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, cast

from chatkit.dialects.adapters import adapt_store
from chatkit.frameworks.steps import (
    CitationStep,
    Step,
    TextEndStep,
    TextStep,
    ThoughtEndStep,
    ThoughtStep,
    ToolEndStep,
    ToolStep,
)
from chatkit.ids import utc_now
from chatkit.server.message_writer import MessageWriter
from chatkit.server.turns.resources import current_resources
from chatkit.store.base import Store
from chatkit.think_tags import Piece, ThinkTags
from chatkit.types import (
    HIDDEN_ITEM_TYPES,
    CustomTask,
    DurationSummary,
    Task,
    ThoughtTask,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    Workflow,
    WorkflowItem,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)
from chatkit.types import Store as SimpleStore

__all__ = ["StepConverter", "stream_steps"]


class StepConverter:
    """Opens, fills and closes the items of one run.

    Text becomes assistant messages. Thoughts and tools become tasks of a workflow, which ends when a message, or
    another item, appears. Each item gets an id of the store's.

    Args:
        thread: The thread.
        store: The store, of either kind; makes the ids.
        context: The request's context.
        think_tags: Whether text between ``<think>`` and ``</think>`` is shown as thoughts.
    """

    def __init__(
        self,
        thread: ThreadMetadata,
        store: Store[Any] | SimpleStore,
        context: Any,
        *,
        think_tags: bool = True,
    ) -> None:
        self._thread = thread
        self._store = adapt_store(store)
        self._context = context
        self._tags = ThinkTags() if think_tags else None
        self._message = MessageWriter(thread, self._store, context)
        self._workflow: WorkflowItem | None = None
        self._began: datetime = utc_now()
        self._thought: int | None = None
        # Workflow and place of each tool that runs, and the workflows that ended before one of their tools did.
        self._tools: dict[str, tuple[str, int]] = {}
        self._ended: dict[str, WorkflowItem] = {}

    def convert(self, step: Step) -> list[ThreadStreamEvent]:
        """Returns the events that a step becomes.

        Raises:
            TypeError: It is neither a step nor a thread stream event.
        """
        match step:
            case TextStep(text=text):
                return self._say(text)
            case CitationStep(annotation=annotation):
                return self._message.cite(annotation)
            case _:
                return [*self._end_text(), *self._convert_other(step)]

    def _convert_other(self, step: Step) -> list[ThreadStreamEvent]:
        match step:
            case TextEndStep():
                return self._message.end()
            case ThoughtStep(text=text):
                return self._think(text)
            case ThoughtEndStep():
                self._thought = None
                return []
            case ToolStep():
                return self._begin_tool(step)
            case ToolEndStep():
                return self._end_tool(step)
            case _:
                return self._pass_on(step)

    def finish(self) -> list[ThreadStreamEvent]:
        """Returns the events that complete what is open, when the run has ended well."""
        return [*self._end_text(), *self._message.end(), *self._end_workflow()]

    def _pass_on(self, event: Any) -> list[ThreadStreamEvent]:
        if not isinstance(getattr(event, "type", None), str):
            raise TypeError(
                "An adapter must yield steps of chatkit.frameworks or thread stream events, "
                f"not {type(event).__name__}."
            )
        passed = cast("ThreadStreamEvent", event)
        # An item that the user sees is shown after what is open.
        appears = isinstance(event, ThreadItemAddedEvent | ThreadItemDoneEvent)
        if appears and getattr(cast("Any", event).item, "type", None) not in HIDDEN_ITEM_TYPES:
            return [*self.finish(), passed]
        return [passed]

    def _id(self, kind: Any) -> str:
        return self._store.generate_item_id(kind, self._thread, self._context)

    # Messages: one at a time, of one part.

    def _say(self, text: str) -> list[ThreadStreamEvent]:
        return self._write(text) if self._tags is None else self._tell(self._tags.feed(text))

    def _end_text(self) -> list[ThreadStreamEvent]:
        """Returns the events of text that was held back: it might have been the beginning of a tag."""
        if self._tags is None:
            return []
        events = self._tell(self._tags.finish())
        self._tags = ThinkTags()
        return events

    def _tell(self, pieces: list[Piece]) -> list[ThreadStreamEvent]:
        events: list[ThreadStreamEvent] = []
        for thought, piece in pieces:
            if thought:
                events += self._think(piece if self._thought is not None else piece.lstrip())
            elif self._message.item_id is None and self._tags is not None and self._tags.found:
                events += self._write(piece.lstrip())
            else:
                events += self._write(piece)
        return events

    def _write(self, text: str) -> list[ThreadStreamEvent]:
        if not text:
            return []
        before = self._end_workflow() if self._message.item_id is None else []
        return [*before, *self._message.write(text)]

    # The workflow: thoughts and tools.

    def _think(self, text: str) -> list[ThreadStreamEvent]:
        if not text:
            return []
        if self._workflow is None or self._thought is None:
            events, self._thought = self._add(ThoughtTask(content=text), "reasoning")
            return events
        task = self._workflow.workflow.tasks[self._thought]
        grown = cast("ThoughtTask", task).content + text
        return self._replace(self._thought, ThoughtTask(content=grown))

    def _begin_tool(self, step: ToolStep) -> list[ThreadStreamEvent]:
        self._thought = None
        task = CustomTask(title=step.title, content=step.content, status_indicator="loading")
        events, index = self._add(task, "custom")
        self._tools[step.call_id] = cast("WorkflowItem", self._workflow).id, index
        return events

    def _end_tool(self, step: ToolEndStep) -> list[ThreadStreamEvent]:
        if step.call_id not in self._tools:
            return []
        item_id, index = self._tools.pop(step.call_id)
        status: Any = "none" if step.failed else "complete"
        if self._workflow is not None and self._workflow.id == item_id:
            task = self._workflow.workflow.tasks[index]
            return self._replace(index, task.model_copy(update={"status_indicator": status}))
        if step.failed:
            return []
        # The tool has shown something meanwhile, which ended the workflow.
        item = self._ended[item_id] = self._ended[item_id].model_copy(deep=True)
        item.workflow.tasks[index].status_indicator = status
        return [ThreadItemReplacedEvent(item=item)]

    def _add(self, task: Task, kind: Any) -> tuple[list[ThreadStreamEvent], int]:
        if self._workflow is not None:
            index = len(self._workflow.workflow.tasks)
            self._workflow.workflow.tasks.append(task)
            update = WorkflowTaskAdded(task_index=index, task=task)
            return [ThreadItemUpdatedEvent(item_id=self._workflow.id, update=update)], index
        events = self._message.end()
        self._began = utc_now()
        self._workflow = WorkflowItem(
            id=self._id("workflow"),
            thread_id=self._thread.id,
            created_at=self._began,
            workflow=Workflow(type=kind, tasks=[task]),
        )
        # A copy: readers may come to the event when more tasks have been added.
        return [*events, ThreadItemAddedEvent(item=self._workflow.model_copy(deep=True))], 0

    def _replace(self, index: int, task: Task) -> list[ThreadStreamEvent]:
        item = cast("WorkflowItem", self._workflow)
        item.workflow.tasks[index] = task
        update = WorkflowTaskUpdated(task_index=index, task=task)
        return [ThreadItemUpdatedEvent(item_id=item.id, update=update)]

    def _end_workflow(self) -> list[ThreadStreamEvent]:
        item, self._workflow, self._thought = self._workflow, None, None
        if item is None:
            return []
        self._ended[item.id] = item
        workflow = item.workflow
        workflow.summary = DurationSummary(duration=int((utc_now() - self._began).total_seconds()))
        workflow.tasks = [
            task.model_copy(update={"status_indicator": "none"})
            if task.status_indicator == "loading"
            else task
            for task in workflow.tasks
        ]
        return [ThreadItemDoneEvent(item=item)]


def stream_steps(
    steps: AsyncIterable[Step],
    *,
    thread: ThreadMetadata,
    store: Store[Any] | SimpleStore,
    context: Any,
    think_tags: bool = True,
) -> AsyncGenerator[ThreadStreamEvent, None]:
    """Returns the events of a run, as its steps come.

    When it is left early, because the turn is stopped or for any other reason, ``steps`` is closed before the turn
    is over: an adapter that is an asynchronous generator ends its run in a ``finally`` or ``async with``. What an
    unfinished message holds is kept. An error of ``steps`` goes on to the caller.

    Args:
        steps: The run, as an adapter describes it; see :data:`chatkit.frameworks.Step`.
        thread: The thread, as ``respond()`` got it.
        store: The server's store; makes the ids of the items.
        context: The request's context.
        think_tags: Whether text between ``<think>`` and ``</think>`` is shown as thoughts.

    Raises:
        TypeError: ``steps`` yields something else than steps and events.
    """
    converter = StepConverter(thread, store, context, think_tags=think_tags)
    resources = current_resources.get()
    if resources is None:
        return _events(steps, converter)
    key = object()
    events = _events(steps, converter, lambda: resources.discard(key))

    async def close() -> None:
        with suppress(RuntimeError):  # Another task is reading it.
            await events.aclose()
        await _close(steps)

    # A generator that the handler leaves half read has to be closed before the turn is over.
    resources.add(key, close)
    return events


async def _events(
    steps: AsyncIterable[Step], converter: StepConverter, on_end: Callable[[], None] | None = None
) -> AsyncGenerator[ThreadStreamEvent, None]:
    try:
        async for step in steps:
            for event in converter.convert(step):
                yield event
        for event in converter.finish():
            yield event
    finally:
        await _close(steps)
        if on_end is not None:
            on_end()


async def _close(steps: Any) -> None:
    close = getattr(steps, "aclose", None)
    if close is not None:
        await close()
