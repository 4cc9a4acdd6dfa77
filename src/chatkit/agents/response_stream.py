"""A run of the Agents SDK as thread stream events."""

# The private half of a context is this package's; it is no part of what applications see in a subclass of theirs.
# pyright: reportPrivateUsage=false
# ruff: noqa: SLF001

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from agents import (
    InputGuardrailTripwireTriggered,
    OutputGuardrailTripwireTriggered,
    RunResultStreaming,
)

from chatkit.agents.context import AgentContext
from chatkit.agents.conversion import Conversion, is_converted
from chatkit.agents.inbox import Inbox, WorkflowEntry
from chatkit.agents.response_converter import ResponseStreamConverter
from chatkit.dialects.openai_chatkit.store import newest_items
from chatkit.frameworks.usage import streamed_usage, usage_of
from chatkit.server.tool_calls import answered_calls
from chatkit.server.turns.resources import current_resources
from chatkit.server.turns.usage import TurnUsage
from chatkit.types import (
    ClientToolCallItem,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadStreamEvent,
    WorkflowItem,
)

__all__ = ["stream_agent_response"]

_CATCH_UP = 32
"""Turns of the loop that a run gets to add an item that the model completed to ``new_items``."""
_CONTINUED_AMONG = 20
"""How many of the newest items are searched for a workflow to continue, and for calls of the page."""

_DEFAULT_CONVERTER = ResponseStreamConverter()


def stream_agent_response(
    context: AgentContext[Any],
    result: RunResultStreaming,
    *,
    converter: ResponseStreamConverter = _DEFAULT_CONVERTER,
) -> AsyncGenerator[ThreadStreamEvent, None]:
    """Returns the events of a run, and those that its tools send through the context, as they come.

    When it is left early, because the turn is stopped or for any other reason, the run is stopped too, and is over
    before the turn is.

    Args:
        context: The run's context, the same that was given to ``Runner.run_streamed``.
        result: What ``Runner.run_streamed`` returned. In tests anything with ``stream_events()`` may stand in for it.
        converter: Decides how images and citations are shown.

    Raises:
        InputGuardrailTripwireTriggered: A guardrail refused the input; what the run had shown is removed first.
        OutputGuardrailTripwireTriggered: The same for the output.
        AgentsException: Whatever else the run raised.
    """
    run = _Run(context, result, converter)
    resources = current_resources.get()
    if resources is None:
        return run.events()
    events = run.events(lambda: resources.discard(run))
    # A generator that the handler leaves half read has to be closed before the turn is over.
    resources.add(run, run.close_with(events))
    return events


@dataclass(frozen=True, slots=True)
class _RunEvent:
    """An entry of the inbox: an event of the run, not one that a tool sends."""

    event: Any


class _Run:
    """One run that is being read."""

    def __init__(
        self, context: AgentContext[Any], result: RunResultStreaming, converter: ResponseStreamConverter
    ) -> None:
        self._context = context
        self._result = result
        self._conversion = Conversion(context, converter)
        self._inbox = context._inbox
        self._task: asyncio.Task[Any] | None = None
        self._pump: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        self._is_closing = False
        # A stand-in, in an application's tests, is not read ahead.
        self._usage = streamed_usage()
        self._is_of_sdk = isinstance(cast("object", result), RunResultStreaming)
        self._produced: dict[str, None] = {}

    def close_with(self, events: AsyncGenerator[ThreadStreamEvent, None]) -> Callable[[], Awaitable[None]]:
        """Returns what ends the run together with the generator."""

        async def close() -> None:
            with suppress(RuntimeError):  # Another task is reading it.
                await events.aclose()
            await self._close()

        return close

    async def events(
        self, on_end: Callable[[], None] | None = None
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        """Yields the events."""
        try:
            await self._begin()
            async for event in self._merged():
                yield event
            if self._error is not None:
                if isinstance(
                    self._error, InputGuardrailTripwireTriggered | OutputGuardrailTripwireTriggered
                ):
                    for item_id in (*self._produced, *self._conversion.calls):
                        yield ThreadItemRemovedEvent(item_id=item_id)
                raise self._error
            if self._leads:
                await self._keep_open_workflow()
            for item in self._page_items():
                yield ThreadItemDoneEvent(item=item)
        finally:
            await self._close()
            if on_end is not None:
                on_end()

    @property
    def _leads(self) -> bool:
        readers = self._context._inbox.readers
        return bool(readers) and readers[0] is self

    async def _begin(self) -> None:
        """Takes the context's inbox, unless another run with the same context is being read: it gets what tools send.

        A tool may run another agent with its context and send the events of that run. Read from the same inbox, they
        would be sent again and again.
        """
        context, readers = self._context, self._context._inbox.readers
        self._task = asyncio.current_task()
        for other in list(readers):
            if other._task is None or other._task.get_loop() is not asyncio.get_running_loop():
                readers.remove(other)
        if not readers or readers[0]._task is self._task:
            # The run that this task has read before waits, or was left early.
            if readers:
                readers[0]._step_aside()
            readers.insert(0, self)
            context._bind()
            await self._take_up_workflow()
        else:
            readers.append(self)
            self._inbox = _new_inbox()

    def _step_aside(self) -> None:
        inbox = self._context._inbox
        self._inbox = _new_inbox()
        for entry in [inbox.take() for _ in range(len(inbox))]:
            (self._inbox if isinstance(entry, _RunEvent) else inbox).put(entry)
        inbox.make_room()

    async def _merged(self) -> AsyncIterator[ThreadStreamEvent]:
        context = self._context
        convert = self._conversion.convert
        pump = self._pump = asyncio.get_running_loop().create_task(self._read_ahead())
        pump.add_done_callback(lambda _: self._inbox.wake())
        while True:
            while self._inbox:
                entry = self._inbox.take()
                if isinstance(entry, WorkflowEntry):
                    for event in self._conversion.end_own_workflow():
                        yield event
                    with context._inbox.lock:
                        entry = context._inbox.workflows.take(entry)
                    if entry is None:
                        continue
                if not isinstance(entry, _RunEvent):
                    yield self._noted(entry)
                    continue
                for event in await convert(entry.event):
                    if isinstance(event, ThreadItemDoneEvent):
                        await self._let_run_catch_up()
                    yield self._noted(event)
            if self._leads and self._inbox is not context._inbox:
                # The other run is over: this one gets what tools send from now on.
                self._inbox.make_room()
                self._inbox = context._inbox
                continue
            if pump.done() and not self._inbox and (self._error is not None or not self._waits_for_widgets()):
                return
            await self._inbox.wait()

    async def _let_run_catch_up(self) -> None:
        """Waits until the run has added the model's item to ``new_items``, which an application may look at."""
        if not self._is_of_sdk:
            return
        known = len(self._result.new_items)
        for _ in range(_CATCH_UP):
            await asyncio.sleep(0)
            if self._result.is_complete or len(self._result.new_items) > known:
                return

    def _noted(self, event: Any) -> ThreadStreamEvent:
        if isinstance(event, ThreadItemAddedEvent | ThreadItemDoneEvent):
            item: Any = event.item
            self._produced[cast("Any", event).id if item is None else item.id] = None
        return event

    async def _read_ahead(self) -> None:
        try:
            async for event in await _stream_of(self._result):
                if self._usage is not None and event.type == "raw_response_event":
                    await _record(self._usage, event.data)
                if is_converted(event):
                    self._inbox.put(_RunEvent(event))
                    await self._inbox.wait_for_room(read_ahead=self._is_of_sdk)
            loop: asyncio.Task[Any] | None = getattr(self._result, "run_loop_task", None)
            if not self._is_closing and loop is not None and loop.cancelled():
                # Older versions do not raise it.
                raise asyncio.CancelledError
        except asyncio.CancelledError as error:
            if self._is_closing:
                raise
            # A tool has waited for a task that was cancelled.
            self._error = error
        except BaseException as error:  # noqa: BLE001 -- raised where the events are read, after them
            self._error = error

    async def _close(self) -> None:
        """Stops the run if it is not over, and waits until its tasks have ended."""
        self._is_closing = True
        await self._leave()
        pump = self._pump
        if pump is not None and pump.done():
            return
        cancel = getattr(self._result, "cancel", None)
        if callable(cancel):
            made = cancel()
            if inspect.isawaitable(made):
                await made
        await _settle(_tasks_of(self._result))
        if pump is not None:
            # It may wait for events that never come.
            pump.cancel()
            await _settle([pump])
        await _settle(_tasks_of(self._result))

    def _waits_for_widgets(self) -> bool:
        return self._leads and self._context._widgets_are_running()

    async def _leave(self) -> None:
        led, readers = self._leads, self._context._inbox.readers
        if self in readers:
            readers.remove(self)
        if readers:
            readers[0]._inbox.wake()
        elif led:
            await self._context._stop_widgets()

    async def _take_up_workflow(self) -> None:
        """Continues the workflow that was open when the page was asked to carry out a tool."""
        context = self._context
        store, thread_id = context._full_store(), context.thread.id
        newest = _before_page_calls(
            await newest_items(store, thread_id, _CONTINUED_AMONG, context.request_context)
        )
        if isinstance(newest, WorkflowItem):
            context.workflow_item = newest.model_copy(deep=True)
            resources = current_resources.get()
            if resources is not None:
                resources.continued.add(newest.id)

    async def _keep_open_workflow(self) -> None:
        context = self._context
        if context.workflow_item is not None:
            await context._full_store().put_thread_item(
                context.thread.id, context.workflow_item.model_copy(deep=True), context.request_context
            )

    def _page_items(self) -> list[ThreadItem]:
        asked = self._context._take_page_calls()
        calls = self._conversion.calls
        items = calls.page_items(asked)
        answered = calls.answered_item(items)
        return [*items] if answered is None else [answered, *items]


def _before_page_calls(newest: list[ThreadItem]) -> ThreadItem | None:
    """Returns the newest item before the calls that the page carried out.

    None for several calls that are not known to be of one response.
    """
    calls, several = 0, False
    for item in newest:
        if isinstance(item, ClientToolCallItem):
            calls += 1
        elif answered_calls(item) is not None:
            several = True
        else:
            return item if calls < 2 or several else None
    return None


def _new_inbox() -> Inbox:
    inbox = Inbox()
    inbox.bind()
    return inbox


def _tasks_of(result: RunResultStreaming) -> list[asyncio.Task[Any]]:
    # Which attributes hold tasks differs by version.
    held: dict[str, Any] = getattr(result, "__dict__", {})
    return [value for value in list(held.values()) if isinstance(value, asyncio.Task)]


async def _stream_of(result: Any) -> AsyncIterator[Any]:
    """Returns the events of a run, or of what stands in for one: an object with ``stream_events()``, or an iterator."""
    stream = getattr(result, "stream_events", None)
    events: Any = result if stream is None else stream()
    return cast("AsyncIterator[Any]", await events if inspect.isawaitable(events) else events)


async def _record(turn: TurnUsage, event: Any) -> None:
    """Records the usage of a response that is complete."""
    if getattr(event, "type", None) in {"response.completed", "response.incomplete"}:
        usage = usage_of(str(event.response.model), event.response.usage)
        if usage is not None:
            await turn.record(usage)


async def _settle(tasks: list[asyncio.Task[Any]]) -> None:
    if tasks:
        await asyncio.gather(*tasks, return_exceptions=True)
