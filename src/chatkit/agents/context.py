"""What tools and agents see of the chat: the context of a run of the Agents SDK."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import AsyncGenerator, Awaitable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, TypeVar, cast

from pydantic import BaseModel, ConfigDict, PrivateAttr, SkipValidation

from chatkit.agents import workflow as workflows
from chatkit.agents.acted import Acted, Running
from chatkit.agents.inbox import Inbox
from chatkit.ids import new_id
from chatkit.server import stream_widget
from chatkit.server.lifetime import current_belongings
from chatkit.store.base import Store, StoreItemType
from chatkit.store.simple import lift_store
from chatkit.types import (
    CustomSummary,
    DurationSummary,
    GeneratedImageItem,
    Task,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    WidgetItem,
    Workflow,
    WorkflowItem,
)
from chatkit.types import Store as SimpleStore
from chatkit.widgets import WidgetRoot

__all__ = ["AgentContext", "ClientToolCall"]

TContext = TypeVar("TContext")

_STORED_KINDS: Final = frozenset(
    {"message", "tool_call", "task", "workflow", "attachment", "sdk_hidden_context"}
)


class ClientToolCall(BaseModel):
    """A call that the page is to carry out; a tool sets it as ``client_tool_call`` and the run ends with it.

    Attributes:
        name: The tool as the page knows it.
        arguments: What it is called with.
    """

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class OfWorkflow:
    """On its way to the reader: an event that tells of a workflow.

    Attributes:
        event: The event.
        begins: Instead of an event: the id of a workflow that a tool began.
    """

    event: ThreadStreamEvent | None = None
    begins: str | None = None


class AgentContext(BaseModel, Generic[TContext]):
    """The context of one run, given to ``Runner.run_streamed(..., context=)``; subclass it to add fields.

    Methods act when they are called, in any thread, and may be awaited. What they send reaches the client through
    :func:`chatkit.agents.stream_agent_response`, in the order of the calls.

    Attributes:
        thread: The thread.
        store: The store, the object that was given, of either kind.
        request_context: What was given to ``process()``.
        previous_response_id: The application's to set, for conversations that the API keeps.
        client_tool_call: Set it in a tool to end the run with a call that the page carries out.
        workflow_item: The workflow that is open.
        generated_image_item: The image that is being generated.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    thread: ThreadMetadata
    store: Annotated[Store[TContext], SkipValidation]
    request_context: TContext
    previous_response_id: str | None = None
    client_tool_call: ClientToolCall | None = None
    workflow_item: WorkflowItem | None = None
    generated_image_item: GeneratedImageItem | None = None

    _inbox: Inbox = PrivateAttr(default_factory=Inbox)
    _lift: tuple[object, Store[Any]] | None = PrivateAttr(default=None)
    _unsent_of_workflow: int = PrivateAttr(default=0)
    _ahead_of_reader: set[str] = PrivateAttr(default_factory=set)
    # The workflow that is open where the reader is, if that is not `workflow_item`, which comes later.
    _of_reader: WorkflowItem | None = PrivateAttr(default=None)
    _widgets: set[asyncio.Task[None]] = PrivateAttr(default_factory=set)
    _waiting_widgets: list[partial[None]] = PrivateAttr(default_factory=list)

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            thread: ThreadMetadata,
            store: Store[TContext] | SimpleStore,
            request_context: TContext,
            previous_response_id: str | None = ...,
            client_tool_call: ClientToolCall | None = ...,
            workflow_item: WorkflowItem | None = ...,
            generated_image_item: GeneratedImageItem | None = ...,
        ) -> None: ...

    def model_post_init(self, context: Any, /) -> None:
        """Takes the running loop, if there is one, for that of the run."""
        super().model_post_init(context)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        self._bind()

    def generate_id(self, type: StoreItemType | str, thread: ThreadMetadata | None = None) -> str:
        """Returns a fresh id.

        Args:
            type: A kind of the store's ("message", "workflow" and so on), for which the store makes the id, or any
                other prefix of letters and digits, such as "msg".
            thread: The thread that the item is for, if it is not this one.
        """
        if type == "thread":
            return self._full_store().generate_thread_id(self.request_context)
        if type not in _STORED_KINDS:
            return new_id(type)
        return self._full_store().generate_item_id(
            cast("StoreItemType", type), thread or self.thread, self.request_context
        )

    def stream(self, event: ThreadStreamEvent) -> Awaitable[None]:
        """Sends an event. An item that appears ends the workflow that is open."""
        return self._stream(event)

    def _stream(self, event: ThreadStreamEvent) -> Acted:
        with self._inbox.lock:
            if isinstance(event, ThreadItemAddedEvent | ThreadItemDoneEvent):
                self._item_appears(event)
            self._put(event)
        return Acted()

    def stream_widget(
        self, widget: WidgetRoot | AsyncGenerator[WidgetRoot, None], copy_text: str | None = None
    ) -> Awaitable[None]:
        """Shows a widget.

        Args:
            widget: The widget, or an asynchronous generator of its versions. To await the call means to wait until
                the last version is sent; not awaited, the run does not end before that.
            copy_text: Plain text that stands for the widget when the user copies it.
        """
        if not hasattr(widget, "__anext__"):
            shown = WidgetItem(
                id=self.generate_id("message"),
                thread_id=self.thread.id,
                widget=cast("WidgetRoot", widget),
                copy_text=copy_text,
            )
            # Not through stream(): an override of it may be async, and nobody has to await this call.
            return self._stream(ThreadItemDoneEvent(item=shown))
        versions = cast("AsyncGenerator[WidgetRoot, None]", widget)
        inbox = self._inbox
        if inbox.loop is not None and inbox.is_here:
            return self._run_widget(versions, copy_text)
        done: concurrent.futures.Future[None] = concurrent.futures.Future()
        start = partial(self._run_widget_elsewhere, versions, copy_text, done)
        if inbox.loop is None:
            self._waiting_widgets.append(start)
        else:
            inbox.call(start)
        return Running(done)

    def start_workflow(self, workflow: Workflow) -> Awaitable[None]:
        """Begins a workflow; one of type "custom" without tasks is shown as soon as it has one.

        Thoughts of the model that are open end before it.
        """
        with self._inbox.lock:
            self._overtake_thoughts()
            events = self._begin_workflow(workflow.model_copy(deep=True))
            self._put_begin()
            return self._stream_all(events)

    def add_workflow_task(self, task: Task) -> Awaitable[None]:
        """Adds a task to the open workflow; begins one of type "custom" if none is open."""
        with self._inbox.lock:
            if self.workflow_item is None:
                self._begin_workflow(workflows.new_workflow("custom"))
                self._put_begin()
            return self._stream_all(workflows.add_task(cast("WorkflowItem", self.workflow_item), task))

    def update_workflow_task(self, task: Task, task_index: int) -> Awaitable[None]:
        """Replaces a task of the open workflow.

        Raises:
            ValueError: No workflow is open.
            IndexError: It has no such task.
        """
        with self._inbox.lock:
            return self._stream_all(workflows.update_task(self.workflow_item, task, task_index))

    def end_workflow(
        self, summary: str | CustomSummary | DurationSummary | None = None, expanded: bool = False
    ) -> Awaitable[None]:
        """Completes the open workflow; does nothing if none is open.

        Args:
            summary: Its headline; by default how long it took.
            expanded: Whether its tasks stay unfolded.
        """
        with self._inbox.lock:
            return self._stream_all(self._finish_workflow(summary, expanded=expanded))

    # What the conversion of a run uses. Each returns the events of a change that has been made.

    def _begin_workflow(self, workflow: Workflow) -> list[ThreadStreamEvent]:
        self.workflow_item = WorkflowItem(
            id=self.generate_id("workflow"), thread_id=self.thread.id, workflow=workflow
        )
        return workflows.begin(self.workflow_item)

    def _overtake_thoughts(self) -> None:
        # Some of them may be unread: their workflow ends behind them, before the new one.
        item = self.workflow_item
        if item is not None and item.workflow.type == "reasoning" and item.id not in self._ahead_of_reader:
            self._of_reader = item

    def _put_begin(self) -> None:
        item_id = cast("WorkflowItem", self.workflow_item).id
        self._ahead_of_reader.add(item_id)
        self._inbox.put(OfWorkflow(begins=item_id))

    def _finish_workflow(
        self, summary: str | CustomSummary | DurationSummary | None = None, *, expanded: bool = False
    ) -> list[ThreadStreamEvent]:
        item, self.workflow_item = self.workflow_item, None
        return [] if item is None else workflows.finish(item, summary, expanded=expanded)

    def _item_appears(self, event: ThreadItemAddedEvent | ThreadItemDoneEvent) -> None:
        item = cast("Any", event.item)
        if item is None:
            return
        if workflows.ends_workflow(item, self.workflow_item):
            for closing in self._finish_workflow():
                self._put(closing)
        if isinstance(item, WorkflowItem) and item is not self.workflow_item:
            known = self.workflow_item is not None and self.workflow_item.id == item.id
            if isinstance(event, ThreadItemDoneEvent):
                self.workflow_item = None
            elif not known:
                self.workflow_item = item.model_copy(deep=True)

    def _stream_all(self, events: list[ThreadStreamEvent]) -> Acted:
        return Acted(*[self.stream(event) for event in events])

    def _put(self, event: ThreadStreamEvent) -> None:
        if workflows.tells_of_workflow(event):
            self._unsent_of_workflow += 1
            self._inbox.put(OfWorkflow(event))
        else:
            self._inbox.put(event)

    def _in_order(self, events: list[ThreadStreamEvent]) -> list[ThreadStreamEvent]:
        """Returns events of the workflow that may be sent at once; behind unsent ones they have to queue."""
        if not self._unsent_of_workflow:
            return events
        for event in events:
            self._put(event)
        return []

    def _taken(self, entry: OfWorkflow) -> ThreadStreamEvent | None:
        """Returns the event of an entry that the reader has come to."""
        with self._inbox.lock:
            if entry.begins is not None:
                self._ahead_of_reader.discard(entry.begins)
            else:
                self._unsent_of_workflow -= 1
        return entry.event

    def _full_store(self) -> Store[Any]:
        held = self._lift
        if held is None or held[0] is not self.store:
            held = self._lift = (self.store, lift_store(self.store))
        return held[1]

    # Widgets that are streamed: tasks that belong to the turn.

    def _bind(self) -> None:
        self._inbox.bind()
        waiting, self._waiting_widgets = self._waiting_widgets, []
        for start in waiting:
            start()

    def _run_widget(self, versions: AsyncGenerator[WidgetRoot, None], copy_text: str | None) -> Running:
        task = asyncio.get_running_loop().create_task(self._send_versions(versions, copy_text))
        self._widgets.add(task)
        running = Running(task)
        task.add_done_callback(partial(self._widget_done, running))
        belongings = current_belongings.get()
        if belongings is not None:
            # By what is this context's alone and has a hash: neither models nor sets have one.
            belongings.add(self._inbox, self._stop_widgets)
        return running

    def _run_widget_elsewhere(
        self,
        versions: AsyncGenerator[WidgetRoot, None],
        copy_text: str | None,
        done: concurrent.futures.Future[None],
    ) -> None:
        def finish(task: asyncio.Task[None]) -> None:
            if task.cancelled():
                done.cancel()
            elif (error := task.exception()) is not None:
                done.set_exception(error)
            else:
                done.set_result(None)

        self._run_widget(versions, copy_text).when_done(finish)

    async def _send_versions(self, versions: AsyncGenerator[WidgetRoot, None], copy_text: str | None) -> None:
        async for event in stream_widget(self.thread, versions, copy_text, self.generate_id):
            self._stream(event)

    def _widget_done(self, running: Running, task: asyncio.Task[None]) -> None:
        # An error is told to whoever awaits the call; if nobody does, to the reader of the run.
        if running.awaited or task.cancelled() or task.exception() is None:
            self._widgets.discard(task)
        self._inbox.wake()

    def _widgets_are_running(self) -> bool:
        """Tells whether widgets are still on their way.

        Raises:
            Exception: What the generator of one raised whose call nobody awaits.
        """
        for task in list(self._widgets):
            if task.done():
                self._widgets.discard(task)
                task.result()
        return bool(self._widgets)

    async def _stop_widgets(self) -> None:
        tasks, self._widgets = list(self._widgets), set[asyncio.Task[None]]()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
