"""The events of the Agents SDK, one by one, as thread stream events."""

# The private half of a context is this package's; it is no part of what applications see in a subclass of theirs.
# pyright: reportPrivateUsage=false
# ruff: noqa: SLF001

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, cast

from agents import RawResponsesStreamEvent, RunItemStreamEvent

from chatkit.agents.context import AgentContext
from chatkit.agents.model_ids import ModelIds
from chatkit.agents.response_converter import ResponseStreamConverter, convert_annotation
from chatkit.agents.thoughts import StreamingThoughtTracker
from chatkit.agents.workflow import add_task, finish, new_workflow
from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    GeneratedImage,
    GeneratedImageItem,
    GeneratedImageUpdated,
    ThoughtTask,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdate,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    WorkflowItem,
    WorkflowTaskUpdated,
)

__all__ = ["Conversion", "matters"]

Events: TypeAlias = list[ThreadStreamEvent]


class Conversion:
    """Turns the events of one run into those of the chat, in order.

    Args:
        context: The run's context.
        converter: Decides how images and citations are shown.

    Attributes:
        tool_calls: Ids of the items of function calls.
    """

    def __init__(self, context: AgentContext[Any], converter: ResponseStreamConverter) -> None:
        self.tool_calls: list[str] = []
        self._context = context
        self._converter = converter
        self._ids = ModelIds(context)
        self._last_call: tuple[str, str] | None = None
        self._thought: StreamingThoughtTracker | None = None
        self._told_thoughts: set[tuple[str, int]] = set()
        self._citations: dict[tuple[str, int], int] = {}
        self._images: dict[str, GeneratedImageItem] = {}

    def client_tool_call_ids(self) -> tuple[str, str]:
        """Returns item id and call id for the call that the page carries out: those of the last function call."""
        if self._last_call is not None:
            return self._last_call
        return self._context.generate_id("tool_call"), self._context.generate_id("tool_call")

    async def convert(self, event: RawResponsesStreamEvent | RunItemStreamEvent) -> Events:
        """Returns what an event of the SDK becomes."""
        if isinstance(event, RunItemStreamEvent):
            self._called(cast("Any", event.item).raw_item)
            return []
        data: Any = event.data
        made = _HANDLERS[data.type](self, data)
        return await made if isinstance(made, Awaitable) else made

    def _called(self, call: Any) -> None:
        get: Callable[[str], Any] = (
            cast("dict[str, Any]", call).get
            if isinstance(call, dict)
            else lambda name: getattr(call, name, None)
        )
        if get("type") != "function_call":
            return
        item_id = self._ids.fresh_unless_known(get("id"), "tool_call")
        self._last_call = (item_id, get("call_id") or self._context.generate_id("tool_call"))
        self.tool_calls.append(item_id)

    # The workflow that is open where the reader is. A tool may have begun the next one already, which comes later.

    def _workflow(self) -> WorkflowItem | None:
        context = self._context
        item = context.workflow_item
        ahead = item is not None and item.id in context._ahead_of_reader
        return self._context._of_reader if ahead else item

    def _begin_reasoning(self) -> Events:
        context = self._context
        with context._inbox.lock:
            latest = context.workflow_item
            events = context._begin_workflow(new_workflow("reasoning"))
            if latest is not None:
                context._of_reader, context.workflow_item = context.workflow_item, latest
            return events

    def end_own_workflow(self) -> Events:
        """Completes the workflow that was open where the reader is when a tool began another one."""
        item, self._context._of_reader = self._context._of_reader, None
        return [] if item is None else finish(item)

    def _end_workflow(self) -> Events:
        context = self._context
        with context._inbox.lock:
            if self._context._of_reader is not None:
                return self.end_own_workflow()
            return [] if self._workflow() is None else context._in_order(context._finish_workflow())

    def _add_thought(self, item: WorkflowItem, task: ThoughtTask) -> Events:
        with self._context._inbox.lock:
            events = add_task(item, task)
            return events if item is self._context._of_reader else self._context._in_order(events)

    # Responses.

    def _response_began(self, data: Any) -> Events:
        self._ids.begin_response()
        return []

    def _item_began(self, data: Any) -> Events | Awaitable[Events]:
        match data.item.type:
            case "message":
                return self._message_began(data.item)
            case "reasoning":
                self._ids.begin("reasoning", data.item.id)
                return self._begin_reasoning() if self._workflow() is None else []
            case "image_generation_call":
                return self._image_began(data.item)
            case _:
                return []

    def _item_ended(self, data: Any) -> Events | Awaitable[Events]:
        match data.item.type:
            case "message":
                return self._message_ended(data.item)
            case "image_generation_call":
                return self._image_ended(data.item)
            case _:
                return []

    # Messages.

    async def _message_began(self, item: Any) -> Events:
        message = await self._message(item, self._ids.begin("message", item.id))
        return [*self._end_workflow(), ThreadItemAddedEvent(item=message)]

    async def _message_ended(self, item: Any) -> Events:
        return [ThreadItemDoneEvent(item=await self._message(item, self._ids.end("message", item.id)))]

    async def _message(self, item: Any, item_id: str) -> AssistantMessageItem:
        return AssistantMessageItem(
            id=item_id,
            thread_id=self._context.thread.id,
            content=[await self._content(part) for part in item.content],
        )

    async def _content(self, part: Any) -> AssistantMessageContent:
        if part.type == "refusal":
            return AssistantMessageContent(text=part.refusal)
        annotations: list[Annotation] = []
        for raw in getattr(part, "annotations", None) or ():
            annotation = await convert_annotation(raw, self._converter)
            if annotation is not None:
                annotations.append(annotation)
        return AssistantMessageContent(text=part.text, annotations=annotations)

    def _updated(self, data: Any, update: ThreadItemUpdate) -> ThreadStreamEvent:
        return ThreadItemUpdatedEvent(item_id=self._ids.of("message", data.item_id), update=update)

    async def _part_began(self, data: Any) -> Events:
        if data.part.type == "reasoning_text":
            return []
        content = await self._content(data.part)
        update = AssistantMessageContentPartAdded(content_index=data.content_index, content=content)
        return [self._updated(data, update)]

    def _text_grew(self, data: Any) -> Events:
        update = AssistantMessageContentPartTextDelta(content_index=data.content_index, delta=data.delta)
        return [self._updated(data, update)]

    def _text_ended(self, data: Any) -> Events:
        content = AssistantMessageContent(text=data.text)
        return [
            self._updated(
                data, AssistantMessageContentPartDone(content_index=data.content_index, content=content)
            )
        ]

    async def _cited(self, data: Any) -> Events:
        annotation = await convert_annotation(data.annotation, self._converter)
        if annotation is None:
            return []
        # The model counts citations that are not shown, too.
        place = (self._ids.of("message", data.item_id), data.content_index)
        index = self._citations.get(place, 0)
        self._citations[place] = index + 1
        update = AssistantMessageContentPartAnnotationAdded(
            content_index=data.content_index, annotation_index=index, annotation=annotation
        )
        return [self._updated(data, update)]

    # Thoughts: the first one grows before the reader's eyes, the others appear when they are complete.

    def _thought_grew(self, data: Any) -> Events:
        workflow_item = self._workflow()
        if workflow_item is None:
            return []
        item_id, index, thought = self._ids.of("reasoning", data.item_id), data.summary_index, self._thought
        if thought is None:
            if workflow_item.workflow.type != "reasoning" or workflow_item.workflow.tasks:
                return []
            task = ThoughtTask(content=data.delta)
            self._thought = StreamingThoughtTracker(item_id=item_id, index=index, task=task)
            return self._add_thought(workflow_item, task)
        if (thought.item_id, thought.index) != (item_id, index):
            return []
        return self._replace_thought(thought, thought.task.content + data.delta)

    def _thought_ended(self, data: Any) -> Events:
        return self._tell_thought(data.item_id, data.summary_index, data.text)

    def _thought_part_ended(self, data: Any) -> Events:
        # Models behind Chat Completions say nothing else about the end of a thought.
        key = (self._ids.of("reasoning", data.item_id), data.summary_index)
        if key in self._told_thoughts:
            return []
        thought = self._thought
        if (
            thought is not None
            and (thought.item_id, thought.index) == key
            and thought.task.content == data.part.text
        ):
            self._thought = None
            return []
        return self._tell_thought(data.item_id, data.summary_index, data.part.text)

    def _tell_thought(self, raw_id: str, index: int, content: str) -> Events:
        workflow_item, thought = self._workflow(), self._thought
        item_id = self._ids.of("reasoning", raw_id)
        self._told_thoughts.add((item_id, index))
        if workflow_item is None:
            return []
        if thought is not None and (thought.item_id, thought.index) == (item_id, index):
            self._thought = None
            return self._replace_thought(thought, content)
        return self._add_thought(workflow_item, ThoughtTask(content=content))

    def _replace_thought(self, thought: StreamingThoughtTracker, content: str) -> Events:
        context, item = self._context, self._workflow()
        before, thought.task = thought.task, ThoughtTask(content=content)
        if item is None:
            return []
        with context._inbox.lock:
            tasks = list(item.workflow.tasks)
            for index, task in enumerate(tasks):
                if task is before:
                    tasks[index] = thought.task
                    item.workflow.tasks = tasks
                    update = WorkflowTaskUpdated(task_index=index, task=thought.task.model_copy())
                    events: Events = [ThreadItemUpdatedEvent(item_id=item.id, update=update)]
                    return events if item is self._context._of_reader else context._in_order(events)
        return []

    # Images.

    def _image_began(self, item: Any) -> Events:
        context = self._context
        image = GeneratedImageItem(id=context.generate_id("message"), thread_id=context.thread.id)
        self._images[self._ids.begin("image", item.id)] = context.generated_image_item = image
        return [ThreadItemAddedEvent(item=image.model_copy())]

    async def _image_grew(self, data: Any) -> Events:
        image_id = self._ids.of("image", data.item_id)
        image = self._images.get(image_id)
        if image is None:
            return []
        index = data.partial_image_index
        url = await self._converter.base64_image_to_url(image_id, data.partial_image_b64, index)
        image.image = GeneratedImage(id=image_id, url=url)
        update = GeneratedImageUpdated(
            image=image.image.model_copy(),
            progress=self._converter.partial_image_index_to_progress(index),
        )
        return [ThreadItemUpdatedEvent(item_id=image.id, update=update)]

    async def _image_ended(self, item: Any) -> Events:
        image_id = self._ids.end("image", item.id)
        image = self._images.get(image_id)
        if image is None or not item.result:
            return []
        url = await self._converter.base64_image_to_url(image_id, item.result)
        image.image = GeneratedImage(id=image_id, url=url)
        del self._images[image_id]
        if self._context.generated_image_item is image:
            self._context.generated_image_item = None
        return [ThreadItemDoneEvent(item=image.model_copy(deep=True))]


_Handler: TypeAlias = Callable[[Conversion, Any], Events | Awaitable[Events]]

_HANDLERS: Final[dict[str, _Handler]] = {
    "response.created": Conversion._response_began,
    "response.output_item.added": Conversion._item_began,
    "response.output_item.done": Conversion._item_ended,
    "response.content_part.added": Conversion._part_began,
    "response.output_text.delta": Conversion._text_grew,
    "response.output_text.done": Conversion._text_ended,
    "response.output_text.annotation.added": Conversion._cited,
    "response.reasoning_summary_text.delta": Conversion._thought_grew,
    "response.reasoning_summary_text.done": Conversion._thought_ended,
    "response.reasoning_summary_part.done": Conversion._thought_part_ended,
    "response.image_generation_call.partial_image": Conversion._image_grew,
}


def matters(event: Any) -> bool:
    """Tells whether an event of the SDK becomes anything."""
    if event.type == "raw_response_event":
        return event.data.type in _HANDLERS
    return event.type == "run_item_stream_event" and event.item.type == "tool_call_item"
