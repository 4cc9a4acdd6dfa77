"""A run of the Agents SDK as thread stream events."""

# The private half of a context is this package's; it is no part of what applications see in a subclass of theirs.
# pyright: reportPrivateUsage=false
# ruff: noqa: SLF001

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

from agents import (
    InputGuardrailTripwireTriggered,
    OutputGuardrailTripwireTriggered,
    RunResultStreaming,
)
from pydantic import BaseModel

from chatkit.agents.context import AgentContext, ClientToolCall, OfWorkflow
from chatkit.agents.conversion import Conversion, matters
from chatkit.agents.inbox import Inbox
from chatkit.agents.response_converter import ResponseStreamConverter
from chatkit.server.lifetime import current_belongings
from chatkit.types import (
    ClientToolCallItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadStreamEvent,
    WorkflowItem,
)

__all__ = ["stream_agent_response"]

_CONTINUED_AMONG = 2
"""Items at a thread's end among which a workflow is looked for that goes on: it, and the client tool call."""

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
        result: What ``Runner.run_streamed`` returned.
        converter: Decides how images and citations are shown.

    Raises:
        InputGuardrailTripwireTriggered: A guardrail refused the input; what the run had shown is removed first.
        OutputGuardrailTripwireTriggered: The same for the output.
        AgentsException: Whatever else the run raised.
    """
    run = _Run(context, result, converter)
    belongings = current_belongings.get()
    if belongings is None:
        return run.events()
    events = run.events(lambda: belongings.discard(run))
    # The handler may drop the generator half read, and nobody else would close it before the turn is over.
    belongings.add(run, run.close_with(events))
    return events


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
        self._produced: dict[str, None] = {}

    def close_with(self, events: AsyncGenerator[ThreadStreamEvent, None]) -> Callable[[], Awaitable[None]]:
        """Returns what ends the run together with the generator."""

        async def close() -> None:
            with suppress(RuntimeError):  # Somebody else is reading it.
                await events.aclose()
            await self._close()

        return close

    async def events(
        self, on_end: Callable[[], None] | None = None
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        """Yields the events."""
        context = self._context
        try:
            await self._begin()
            async for event in self._merged():
                yield event
            if self._error is not None:
                if isinstance(
                    self._error, InputGuardrailTripwireTriggered | OutputGuardrailTripwireTriggered
                ):
                    for item_id in (*self._produced, *self._conversion.tool_calls):
                        yield ThreadItemRemovedEvent(item_id=item_id)
                raise self._error
            if self._leads:
                await self._keep_open_workflow()
            if context.client_tool_call is not None:
                yield ThreadItemDoneEvent(item=self._for_the_page(context.client_tool_call))
        finally:
            await self._close()
            if on_end is not None:
                on_end()

    @property
    def _leads(self) -> bool:
        readers = self._context._inbox.readers
        return bool(readers) and readers[0] is self

    async def _begin(self) -> None:
        """Takes the context's inbox, unless another run is read with the same context: what tools send is the other's.

        A tool may run another agent with its context and send what that one says. Read from the same inbox, it would
        be sent again and again.
        """
        context, readers = self._context, self._context._inbox.readers
        self._task = asyncio.current_task()
        for other in list(readers):
            if other._task is None or other._task.get_loop() is not asyncio.get_running_loop():
                readers.remove(other)
        if not readers or readers[0]._task is self._task:
            # What this task has read before waits, or was left early: nobody is in the middle of reading it.
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
            (inbox if isinstance(entry, OfWorkflow | BaseModel) else self._inbox).put(entry)
        inbox.make_room()

    async def _merged(self) -> AsyncIterator[ThreadStreamEvent]:
        context = self._context
        convert = self._conversion.convert
        pump = self._pump = asyncio.get_running_loop().create_task(self._read_ahead())
        pump.add_done_callback(lambda _: self._inbox.wake())
        while True:
            while self._inbox:
                entry = self._inbox.take()
                if isinstance(entry, OfWorkflow):
                    for event in self._conversion.end_own_workflow():
                        yield event
                    entry = context._taken(entry)
                    if entry is None:
                        continue
                if isinstance(entry, BaseModel):
                    yield self._noted(entry)
                    continue
                for event in await convert(entry):
                    yield self._noted(event)
            if self._leads and self._inbox is not context._inbox:
                # The other run is over, this one's tools may send more.
                self._inbox.make_room()
                self._inbox = context._inbox
                continue
            if pump.done() and not self._inbox and (self._error is not None or not self._waits_for_widgets()):
                return
            await self._inbox.wait()

    def _noted(self, event: Any) -> ThreadStreamEvent:
        if isinstance(event, ThreadItemAddedEvent | ThreadItemDoneEvent):
            item: Any = event.item
            self._produced[cast("Any", event).id if item is None else item.id] = None
        return event

    async def _read_ahead(self) -> None:
        try:
            async for event in self._result.stream_events():
                if matters(event):
                    self._inbox.put(event)
                    await self._inbox.wait_for_room()
            loop: asyncio.Task[Any] | None = getattr(self._result, "run_loop_task", None)
            if not self._is_closing and loop is not None and loop.cancelled():
                # What older versions say nothing of.
                raise asyncio.CancelledError
        except asyncio.CancelledError as error:
            if self._is_closing:
                raise
            # Out of a tool: a task that it waited for was cancelled.
            self._error = error
        except BaseException as error:  # noqa: BLE001 -- raised where the events are read, behind them
            self._error = error

    async def _close(self) -> None:
        """Stops the run if it is not over, and waits until nothing of it is left."""
        self._is_closing = True
        await self._leave()
        pump = self._pump
        if pump is not None and pump.done():
            return
        self._result.cancel()
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
        page = await store.load_thread_items(
            thread_id, None, _CONTINUED_AMONG, "desc", context.request_context
        )
        newest = page.data[1:] if page.data and isinstance(page.data[0], ClientToolCallItem) else page.data
        if newest and isinstance(newest[0], WorkflowItem):
            context.workflow_item = newest[0].model_copy(deep=True)
            belongings = current_belongings.get()
            if belongings is not None:
                belongings.continued.add(newest[0].id)

    async def _keep_open_workflow(self) -> None:
        context = self._context
        if context.workflow_item is not None:
            await context._full_store().put_thread_item(
                context.thread.id, context.workflow_item.model_copy(deep=True), context.request_context
            )

    def _for_the_page(self, call: ClientToolCall) -> ClientToolCallItem:
        item_id, call_id = self._conversion.client_tool_call_ids()
        return ClientToolCallItem(
            id=item_id,
            thread_id=self._context.thread.id,
            status="pending",
            call_id=call_id,
            name=call.name,
            arguments=call.arguments,
        )


def _new_inbox() -> Inbox:
    inbox = Inbox()
    inbox.bind()
    return inbox


def _tasks_of(result: RunResultStreaming) -> list[asyncio.Task[Any]]:
    # Which attributes hold tasks differs by version.
    return [value for value in list(vars(result).values()) if isinstance(value, asyncio.Task)]


async def _settle(tasks: list[asyncio.Task[Any]]) -> None:
    if tasks:
        await asyncio.gather(*tasks, return_exceptions=True)
