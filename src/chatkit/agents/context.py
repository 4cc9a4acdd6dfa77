"""The context of an Agents SDK run, by which tools and agents act on the chat."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
from collections.abc import AsyncGenerator, Awaitable, Generator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, TypeVar, cast, get_args

from agents.tool_context import ToolContext
from pydantic import BaseModel, ConfigDict, PrivateAttr, SkipValidation

from chatkit.agents import workflow as workflows
from chatkit.agents.inbox import Inbox
from chatkit.agents.tool_record import current_tool
from chatkit.dialects.adapters import adapt_store
from chatkit.ids import new_id
from chatkit.server import stream_widget
from chatkit.server.turns.resources import current_resources
from chatkit.store.base import Store, StoreItemType
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

__all__ = ["AgentContext", "ClientToolCall", "PageCall"]

TContext = TypeVar("TContext")

_FRAMES: Final = 64
"""Frames of the stack among which the tool that runs is looked for."""


class ClientToolCall(BaseModel):
    """A call that the page is to carry out; a tool sets it as ``client_tool_call`` and the run ends with it.

    Attributes:
        name: The tool as the page knows it.
        arguments: What it is called with.
    """

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PageCall:
    """A call that the page is to carry out, with call id and name of the tool that asked for it, if they are known."""

    call: ClientToolCall
    tool: tuple[str, str] | None


def _running_tool(context: object) -> tuple[str, str] | None:
    """Returns call id and name of the tool that the calling code belongs to; None if that cannot be found out.

    Tools of one response run at once and share the run's context: they differ only in what they were called with.
    """
    frame = inspect.currentframe()
    for _ in range(_FRAMES):
        if frame is None:
            return None
        for value in list(frame.f_locals.values()):
            if isinstance(value, ToolContext) and cast("Any", value).context is context:
                return value.tool_call_id, value.tool_name
        frame = frame.f_back
    return None


class Completed:
    """Work that is complete, but for what an override of ``stream()`` returned. Awaiting it needs no running loop."""

    __slots__ = ("_rest",)

    def __init__(self, *results: Any) -> None:
        self._rest: list[Awaitable[Any]] = [
            result
            for result in results
            if isinstance(result, Awaitable) and not isinstance(result, Completed)
        ]

    def __await__(self) -> Generator[Any, None, None]:
        for result in self._rest:
            yield from result.__await__()
        self._rest.clear()


class Started(Completed):
    """Work that has started in the reader's loop; it can be awaited in any loop."""

    __slots__ = ("awaited", "future")

    def __init__(self, future: asyncio.Future[None] | concurrent.futures.Future[None]) -> None:
        super().__init__()
        self.future = future
        self.awaited = False

    def __await__(self) -> Generator[Any, None, None]:
        self.awaited = True
        future = self.future
        if isinstance(future, concurrent.futures.Future):
            future = asyncio.wrap_future(future)
        yield from future.__await__()


class AgentContext(BaseModel, Generic[TContext]):
    """The context of one run, given to ``Runner.run_streamed(..., context=)``; subclass it to add fields.

    Methods act when they are called, in any thread, and may be awaited. What they send reaches the client through
    :func:`chatkit.agents.stream_agent_response`, in the order of the calls.

    Attributes:
        thread: The thread.
        store: The store, the object that was given, of either kind.
        request_context: What was given to ``process()``.
        previous_response_id: The application's to set, for conversations that the API keeps.
        client_tool_call: Set it in a tool to end the run with a call that the page carries out. Where several tools
            of a response set it, the page is asked for one call after the other.
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
    _adapted: tuple[object, Store[Any]] | None = PrivateAttr(default=None)
    _widgets: set[asyncio.Task[None]] = PrivateAttr(default_factory=set)
    _waiting_widgets: list[partial[None]] = PrivateAttr(default_factory=list)
    _page_calls: list[PageCall] = PrivateAttr(default_factory=list)
    _page_call_sent: ClientToolCall | None = PrivateAttr(default=None)
    _settles_tasks: bool = PrivateAttr(default=False)

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
        """Takes the running loop, if there is one, as that of the run."""
        super().model_post_init(context)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        self._bind()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "client_tool_call":
            self._note_page_call(self.client_tool_call)

    def _note_page_call(self, call: ClientToolCall | None) -> None:
        tool, record = _running_tool(self), current_tool.get()
        if record is not None:
            record.page_call = None if call is None else call.model_dump(mode="json")
        with self._inbox.lock:
            # The latest call of a tool is the one that counts; None withdraws all of them.
            kept = self._page_calls if call is not None else []
            self._page_calls = [other for other in kept if tool is None or other.tool != tool]
            if call is not None:
                self._page_calls.append(PageCall(call, tool))

    def _take_page_calls(self) -> list[PageCall]:
        """Returns the calls that the page is to carry out, each once."""
        with self._inbox.lock:
            calls, self._page_calls = self._page_calls, []
            given = self.client_tool_call
            if not calls and given is not None and given is not self._page_call_sent:
                calls = [PageCall(given, None)]
            self._page_call_sent = given
            return calls

    def generate_id(self, type: StoreItemType | str, thread: ThreadMetadata | None = None) -> str:
        """Returns a fresh id.

        Args:
            type: A kind of the store's ("message", "workflow" and so on), for which the store makes the id, or any
                other prefix of letters and digits, such as "msg".
            thread: The thread that the item is for, if it is not this one.
        """
        if type == "thread":
            return self._full_store().generate_thread_id(self.request_context)
        if type not in get_args(StoreItemType):
            return new_id(type)
        return self._full_store().generate_item_id(
            cast("StoreItemType", type), thread or self.thread, self.request_context
        )

    def stream(self, event: ThreadStreamEvent) -> Awaitable[None]:
        """Sends an event. An item that appears ends the workflow that is open."""
        return self._stream(event)

    def _stream(self, event: ThreadStreamEvent) -> Completed:
        tool = current_tool.get()
        if tool is not None:
            tool.note(event)
        with self._inbox.lock:
            if isinstance(event, ThreadItemAddedEvent | ThreadItemDoneEvent):
                self._item_appears(event)
            self._put(event)
        return Completed()

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
            # Not through stream(): an override of it may be async, and this call need not be awaited.
            return self._stream(ThreadItemDoneEvent(item=shown))
        versions = cast("AsyncGenerator[WidgetRoot, None]", widget)
        tool = current_tool.get()
        if tool is not None:
            tool.is_whole = False
        inbox = self._inbox
        if inbox.loop is not None and inbox.is_in_loop:
            return self._run_widget(versions, copy_text)
        done: concurrent.futures.Future[None] = concurrent.futures.Future()
        start = partial(self._run_widget_elsewhere, versions, copy_text, done)
        if inbox.loop is None:
            self._waiting_widgets.append(start)
        else:
            inbox.call(start)
        return Started(done)

    def start_workflow(self, workflow: Workflow) -> Awaitable[None]:
        """Begins a workflow; one of type "custom" without tasks is shown as soon as it has one.

        Thoughts of the model that are open end before it.
        """
        with self._inbox.lock:
            self._inbox.workflows.overtake(self.workflow_item)
            events = self._begin_workflow(workflow.model_copy(deep=True))
            self._put_begin()
            return self._stream_all(events)

    def add_workflow_task(self, task: Task) -> Awaitable[None]:
        """Adds a task to the open workflow; begins one of type "custom" if none is open."""
        with self._inbox.lock:
            if self.workflow_item is None:
                self._begin_workflow(Workflow(type="custom", tasks=[]))
                self._put_begin()
            return self._stream_all(workflows.add_task(cast("WorkflowItem", self.workflow_item), task))

    def update_workflow_task(self, task: Task, task_index: int) -> Awaitable[None]:
        """Replaces a task of the open workflow.

        Args:
            task: The task in its new state.
            task_index: Its place among the tasks, from 0.

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

    # Changes of the workflow, which the conversion of a run uses too. They return the events of the change.

    def _begin_workflow(self, workflow: Workflow) -> list[ThreadStreamEvent]:
        self.workflow_item = WorkflowItem(
            id=self.generate_id("workflow"), thread_id=self.thread.id, workflow=workflow
        )
        return workflows.begin(self.workflow_item)

    def _put_begin(self) -> None:
        self._inbox.workflows.put_begin(self._inbox, cast("WorkflowItem", self.workflow_item).id)

    def _finish_workflow(
        self, summary: str | CustomSummary | DurationSummary | None = None, *, expanded: bool = False
    ) -> list[ThreadStreamEvent]:
        item, self.workflow_item = self.workflow_item, None
        if item is None:
            return []
        if self._settles_tasks:
            workflows.settle(item)
        return workflows.finish(item, summary, expanded=expanded)

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

    def _stream_all(self, events: list[ThreadStreamEvent]) -> Completed:
        return Completed(*[self.stream(event) for event in events])

    def _put(self, event: ThreadStreamEvent) -> None:
        if workflows.is_about_workflow(event):
            self._inbox.workflows.put(self._inbox, event)
        else:
            self._inbox.put(event)

    def _full_store(self) -> Store[Any]:
        held = self._adapted
        if held is None or held[0] is not self.store:
            held = self._adapted = (self.store, adapt_store(self.store))
        return held[1]

    # Widgets that are streamed: tasks that belong to the turn.

    def _bind(self) -> None:
        self._inbox.bind()
        waiting, self._waiting_widgets = self._waiting_widgets, []
        for start in waiting:
            start()

    def _run_widget(self, versions: AsyncGenerator[WidgetRoot, None], copy_text: str | None) -> Started:
        task = asyncio.get_running_loop().create_task(self._send_versions(versions, copy_text))
        self._widgets.add(task)
        running = Started(task)
        task.add_done_callback(partial(self._widget_done, running))
        resources = current_resources.get()
        if resources is not None:
            # The key is the inbox, which has a hash: models have none.
            resources.add(self._inbox, self._stop_widgets)
        return running

    def _run_widget_elsewhere(
        self,
        versions: AsyncGenerator[WidgetRoot, None],
        copy_text: str | None,
        done: concurrent.futures.Future[None],
    ) -> None:
        def finish(task: Any) -> None:
            if task.cancelled():
                done.cancel()
            elif (error := task.exception()) is not None:
                done.set_exception(error)
            else:
                done.set_result(None)

        self._run_widget(versions, copy_text).future.add_done_callback(finish)

    async def _send_versions(self, versions: AsyncGenerator[WidgetRoot, None], copy_text: str | None) -> None:
        async for event in stream_widget(self.thread, versions, copy_text, self.generate_id):
            self._stream(event)

    def _widget_done(self, running: Started, task: asyncio.Task[None]) -> None:
        # An error is raised where the call is awaited, otherwise to the reader of the run.
        if running.awaited or task.cancelled() or task.exception() is None:
            self._widgets.discard(task)
        self._inbox.wake()

    def _widgets_are_running(self) -> bool:
        """Returns whether widgets are still being streamed.

        Raises:
            Exception: A widget whose call is not awaited failed with it.
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
