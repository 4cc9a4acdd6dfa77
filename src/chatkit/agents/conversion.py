"""The conversion of Agents SDK events to thread stream events."""

# The private half of a context is this package's; it is no part of what applications see in a subclass of theirs.
# pyright: reportPrivateUsage=false
# ruff: noqa: SLF001

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from chatkit.agents.context import AgentContext
from chatkit.agents.model_calls import ModelCalls
from chatkit.agents.model_ids import Kind, ModelIds
from chatkit.agents.model_text import MessageText, without_thoughts
from chatkit.agents.reasoning import Reasoning, ThoughtKey
from chatkit.agents.response_converter import ResponseStreamConverter, convert_annotation
from chatkit.think_tags import Piece
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
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
)

__all__ = ["Conversion", "is_converted"]

Events: TypeAlias = list[ThreadStreamEvent]

_IN_TEXT: Final = -1
"""Stands for the index of a part where the thought is in the text of a message."""


class Conversion:
    """Turns the events of one run into those of the chat, in order."""

    def __init__(self, context: AgentContext[Any], converter: ResponseStreamConverter) -> None:
        self._context = context
        self._converter = converter
        self._ids = ModelIds(context)
        self.calls = ModelCalls(context, self._ids)
        self._reasoning = Reasoning(context)
        self._images: dict[str, GeneratedImageItem] = {}
        self._texts: dict[str, MessageText] = {}
        self._think_tags: bool = getattr(converter, "think_tags", True)
        self._citations: dict[tuple[str, int], int] = {}

    async def convert(self, event: Any) -> Events:
        """Returns what an event of the SDK becomes."""
        if event.type == "run_item_stream_event":
            self.calls.note(event.item)
            return []
        data: Any = event.data
        made = _HANDLERS[data.type](self, data)
        return await made if isinstance(made, Awaitable) else made

    def end_own_workflow(self) -> Events:
        """Completes the workflow that was open at the reader's place when a tool began another one."""
        return self._reasoning.end_own_workflow()

    def _id(self, kind: Kind, data: Any) -> str:
        return self._ids.of(kind, getattr(data, "item_id", None), getattr(data, "output_index", None))

    # Responses.

    def _response_began(self, data: Any) -> Events:
        self._ids.begin_response()
        self.calls.begin_response()
        self._reasoning.begin_response()
        return []

    def _item_began(self, data: Any) -> Events | Awaitable[Events]:
        item, index = data.item, getattr(data, "output_index", None)
        match item.type:
            case "message":
                return self._message_began(item, self._ids.begin("message", _raw_id(item), index))
            case "reasoning":
                self._ids.begin("reasoning", _raw_id(item), index)
                return self._reasoning.begin_workflow() if self._reasoning.workflow() is None else []
            case "image_generation_call":
                return self._image_began(self._ids.begin("image", _raw_id(item), index))
            case _:
                return self._step(item, index, is_done=False)

    def _item_ended(self, data: Any) -> Events | Awaitable[Events]:
        item, index = data.item, getattr(data, "output_index", None)
        match item.type:
            case "message":
                return self._message_ended(item, self._ids.end("message", _raw_id(item), index))
            case "reasoning":
                return self._reasoning_item_ended(item, self._ids.end("reasoning", _raw_id(item), index))
            case "image_generation_call":
                return self._image_ended(item, self._ids.end("image", _raw_id(item), index))
            case _:
                return self._step(item, index, is_done=True)

    def _step(self, item: Any, index: Any, *, is_done: bool) -> Events:
        # A converter of an application's own may be of another class.
        convert = getattr(self._converter, "hosted_tool_to_task", None)
        task = None if convert is None else convert(item, is_done=is_done)
        return (
            [] if task is None else self._reasoning.show_step(_raw_id(item) if index is None else index, task)
        )

    # Messages.

    async def _message_began(self, item: Any, item_id: str) -> Events:
        message = await self._message(item, item_id)
        self._texts[item_id] = MessageText(item_id)
        return [*self._reasoning.end_workflow(), ThreadItemAddedEvent(item=message)]

    async def _message_ended(self, item: Any, item_id: str) -> Events:
        message = await self._message(item, item_id)
        text = self._texts.pop(item_id, None) or MessageText(item_id)
        if not self._think_tags:
            return [ThreadItemDoneEvent(item=message)]
        events = [event for index, piece in text.finish_all() for event in self._tell(text, index, [piece])]
        events += self._end_thinking(text)
        for index, whole in enumerate(message.content):
            content, thoughts = without_thoughts(whole)
            message.content[index] = content
            if not text.was_streamed(index):
                for thought in thoughts:
                    events += [*self._think(text, thought), *self._end_thinking(text)]
        if text.shown:
            return [*events, ThreadItemDoneEvent(item=message)]
        if any(content.text.strip() for content in message.content):
            return [*events, *self._reasoning.end_workflow(), ThreadItemDoneEvent(item=message)]
        return events

    async def _message(self, item: Any, item_id: str) -> AssistantMessageItem:
        return AssistantMessageItem(
            id=item_id,
            thread_id=self._context.thread.id,
            content=[await self._content(part) for part in getattr(item, "content", None) or ()],
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

    def _text(self, data: Any) -> MessageText:
        item_id = self._id("message", data)
        text = self._texts.get(item_id)
        if text is None:
            text = self._texts[item_id] = MessageText(item_id)
        return text

    async def _part_began(self, data: Any) -> Events:
        if data.part.type == "reasoning_text":
            return []
        text = self._text(data)
        content = await self._content(data.part)
        return [_part_added(text.id, _content_index(data), content)] if text.shown else []

    def _text_grew(self, data: Any) -> Events:
        text, index = self._text(data), _content_index(data)
        pieces = text.feed(index, data.delta) if self._think_tags else [(False, data.delta)]
        return self._tell(text, index, pieces)

    def _text_ended(self, data: Any) -> Events:
        text, index = self._text(data), _content_index(data)
        content = AssistantMessageContent(text=data.text)
        events: Events = []
        if self._think_tags:
            events += [*self._tell(text, index, text.finish(index)), *self._end_thinking(text)]
            content, _ = without_thoughts(content)
        if not text.shown:
            return events
        text.has_text = text.has_text or bool(content.text.strip())
        update = AssistantMessageContentPartDone(content_index=index, content=content)
        return [*events, ThreadItemUpdatedEvent(item_id=text.id, update=update)]

    async def _cited(self, data: Any) -> Events:
        annotation = await convert_annotation(data.annotation, self._converter)
        if annotation is None:
            return []
        # Not the model's index, which counts citations that are not shown, too.
        text, content_index = self._text(data), _content_index(data)
        place = (text.id, content_index)
        index = self._citations.get(place, 0)
        self._citations[place] = index + 1
        if annotation.index is not None and text.has_thoughts:
            # Where it belongs in what is left of the text is known when the text is complete.
            annotation = annotation.model_copy(update={"index": None})
        update = AssistantMessageContentPartAnnotationAdded(
            content_index=content_index, annotation_index=index, annotation=annotation
        )
        return [ThreadItemUpdatedEvent(item_id=text.id, update=update)] if text.shown else []

    # Thoughts in the text of a message.

    def _tell(self, text: MessageText, index: int, pieces: list[Piece]) -> Events:
        return [
            event
            for thought, piece in pieces
            for event in (self._think(text, piece) if thought else self._say(text, index, piece))
        ]

    def _say(self, text: MessageText, index: int, piece: str) -> Events:
        events = self._end_thinking(text)
        if not text.has_text and text.has_thoughts:
            piece = piece.lstrip()
            if not piece:
                return events
        if not text.shown:
            text.shown = True
            message = AssistantMessageItem(id=text.id, thread_id=self._context.thread.id, content=[])
            events += [*self._reasoning.end_workflow(), ThreadItemAddedEvent(item=message)]
            events += [
                _part_added(text.id, part, AssistantMessageContent(text="")) for part in range(index + 1)
            ]
        text.has_text = text.has_text or not piece.isspace()
        update = AssistantMessageContentPartTextDelta(content_index=index, delta=piece)
        return [*events, ThreadItemUpdatedEvent(item_id=text.id, update=update)]

    def _think(self, text: MessageText, piece: str) -> Events:
        if text.thinks:
            return self._reasoning.grow((text.id, _IN_TEXT), piece)
        piece = piece.lstrip()
        if not piece:
            return []
        text.thinks = True
        events: Events = []
        if text.shown and not text.has_text:
            # The thoughts come before it: it appears again with its first word.
            text.shown = False
            events.append(ThreadItemRemovedEvent(item_id=text.id))
        return [*events, *self._reasoning.grow((text.id, _IN_TEXT), piece)]

    def _end_thinking(self, text: MessageText) -> Events:
        if not text.thinks:
            return []
        text.thinks = False
        events = self._reasoning.finish((text.id, _IN_TEXT))
        return [*events, *self._reasoning.end_workflow()] if text.shown else events

    def _reasoning_grew(self, data: Any) -> Events:
        return self._reasoning.grow((self._id("reasoning", data), _content_index(data)), data.delta)

    def _reasoning_ended(self, data: Any) -> Events:
        return self._reasoning.end((self._id("reasoning", data), _content_index(data)), data.text)

    def _reasoning_item_ended(self, item: Any, item_id: str) -> Events:
        events: Events = []
        for index, part in enumerate(getattr(item, "content", None) or ()):
            if getattr(part, "type", None) == "reasoning_text":
                events += self._reasoning.end((item_id, index), part.text)
        return events

    def _thought_grew(self, data: Any) -> Events:
        return self._reasoning.grow_summary(self._summary(data), data.delta)

    def _thought_ended(self, data: Any) -> Events:
        return self._reasoning.end_summary(self._summary(data), data.text)

    def _thought_part_ended(self, data: Any) -> Events:
        return self._reasoning.end_summary_part(self._summary(data), data.part.text)

    def _summary(self, data: Any) -> ThoughtKey:
        return self._id("reasoning", data), data.summary_index

    # Images.

    def _image_began(self, item_id: str) -> Events:
        context = self._context
        image = GeneratedImageItem(id=context.generate_id("message"), thread_id=context.thread.id)
        self._images[item_id] = context.generated_image_item = image
        return [ThreadItemAddedEvent(item=image.model_copy())]

    async def _image_grew(self, data: Any) -> Events:
        item_id = self._id("image", data)
        image = self._images.get(item_id)
        if image is None:
            return []
        index, image_id = data.partial_image_index, self._ids.of_image(data.item_id, item_id)
        url = await self._converter.base64_image_to_url(image_id, data.partial_image_b64, index)
        image.image = GeneratedImage(id=image_id, url=url)
        update = GeneratedImageUpdated(
            image=image.image.model_copy(), progress=self._converter.partial_image_index_to_progress(index)
        )
        return [ThreadItemUpdatedEvent(item_id=image.id, update=update)]

    async def _image_ended(self, item: Any, item_id: str) -> Events:
        image = self._images.get(item_id)
        if image is None or not item.result:
            return []
        image_id = self._ids.of_image(item.id, item_id)
        url = await self._converter.base64_image_to_url(image_id, item.result)
        image.image = GeneratedImage(id=image_id, url=url)
        del self._images[item_id]
        if self._context.generated_image_item is image:
            self._context.generated_image_item = None
        return [ThreadItemDoneEvent(item=image.model_copy(deep=True))]


def _raw_id(item: Any) -> Any:
    return getattr(item, "id", None)


def _content_index(data: Any) -> int:
    return getattr(data, "content_index", None) or 0


def _part_added(item_id: str, index: int, content: AssistantMessageContent) -> ThreadItemUpdatedEvent:
    update = AssistantMessageContentPartAdded(content_index=index, content=content)
    return ThreadItemUpdatedEvent(item_id=item_id, update=update)


_Handler: TypeAlias = Callable[[Conversion, Any], Events | Awaitable[Events]]

_HANDLERS: Final[dict[str, _Handler]] = {
    "response.created": Conversion._response_began,
    "response.output_item.added": Conversion._item_began,
    "response.output_item.done": Conversion._item_ended,
    "response.content_part.added": Conversion._part_began,
    "response.output_text.delta": Conversion._text_grew,
    "response.output_text.done": Conversion._text_ended,
    "response.output_text.annotation.added": Conversion._cited,
    "response.reasoning_text.delta": Conversion._reasoning_grew,
    "response.reasoning_text.done": Conversion._reasoning_ended,
    "response.reasoning_summary_text.delta": Conversion._thought_grew,
    "response.reasoning_summary_text.done": Conversion._thought_ended,
    "response.reasoning_summary_part.done": Conversion._thought_part_ended,
    "response.image_generation_call.partial_image": Conversion._image_grew,
}


def is_converted(event: Any) -> bool:
    """Returns whether an event of the SDK is one that ``convert()`` takes."""
    kind = getattr(event, "type", None)
    if kind == "raw_response_event":
        return getattr(getattr(event, "data", None), "type", None) in _HANDLERS
    item = getattr(event, "item", None)
    return kind == "run_item_stream_event" and getattr(item, "type", None) in ModelCalls.KINDS
