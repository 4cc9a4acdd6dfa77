"""The base class of accumulators, and those of messages, images and workflows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NoReturn

from chatkit._unicode import well_formed_text
from chatkit.errors import InvalidEventError
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    GeneratedImageItem,
    GeneratedImageUpdated,
    ThreadItem,
    ThreadItemUpdate,
    WorkflowItem,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)

__all__ = ["ImageAccumulator", "ItemAccumulator", "MessageAccumulator", "WorkflowAccumulator"]


class ItemAccumulator:
    """An item that takes updates. This class is that of the kinds without any; :func:`accumulator` knows which.

    Args:
        item: The item as it was added.
    """

    __slots__ = ("_item",)

    _takes: ClassVar[Mapping[str, Callable[[Any, Any], None]]] = MappingProxyType({})

    def __init__(self, item: ThreadItem) -> None:
        self._item: Any = item.model_copy(deep=True)

    @property
    def id(self) -> str:
        """The item's id."""
        return self._item.id

    @property
    def type(self) -> str:
        """The item's type, such as ``assistant_message``."""
        return self._item.type

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to see yet, so that nothing is lost with the item.

        So is a message without citations whose text is blank, an image that has no picture, and a workflow
        without tasks. Items of other kinds are never empty.
        """
        return False

    def add(self, update: ThreadItemUpdate) -> None:
        """Adds an update.

        Raises:
            InvalidEventError: The update does not fit the item, which stays as it was.
        """
        take = self._takes.get(update.type)
        if take is None:
            self.refuse(f"is of type {self.type} and takes no update {update.type}")
        take(self, update)

    def append_text(self, text: str) -> list[ThreadItemUpdate]:
        """Appends text to the last part of a message, opening one first if there is none.

        Returns:
            The updates that say the same; they have been added.

        Raises:
            InvalidEventError: The item is no assistant message.
        """
        self.refuse(f"is of type {self.type} and takes no text_delta")

    def item(self) -> ThreadItem:
        """Returns the item as it is now, an object of its own."""
        return self._item.model_copy(deep=True)

    def refuse(self, reason: str) -> NoReturn:
        """Raises the error of an update that does not fit."""
        raise InvalidEventError(f"Item {self.id} {reason}.")

    def check_index(self, name: str, index: int, end: int) -> None:
        """Raises InvalidEventError unless the index is from 0 to ``end``."""
        if not 0 <= index <= end:
            self.refuse(f"takes no {name} {index}: it must be from 0 to {end}")


class MessageAccumulator(ItemAccumulator):
    """Takes parts, text and citations of an assistant message; text is in pieces until it is asked for."""

    __slots__ = ("_chunks", "_parts")

    def __init__(self, item: AssistantMessageItem) -> None:
        super().__init__(item.model_copy(update={"content": []}))
        self._parts: list[AssistantMessageContent] = []
        self._chunks: list[list[str]] = []
        for index, content in enumerate(item.content):
            self._set_part(index, content)

    def _set_part(self, index: int, content: AssistantMessageContent) -> None:
        # Emptied before it is copied: the text and the citations are not copied for it.
        frame = content.model_copy(update={"text": "", "annotations": []}).model_copy(deep=True)
        annotations = [given.model_copy(deep=True) for given in content.annotations]
        self._parts[index : index + 1] = [frame.model_copy(update={"annotations": annotations})]
        self._chunks[index : index + 1] = [[content.text]]

    @property
    def is_empty(self) -> bool:
        return not any(part.annotations for part in self._parts) and not any(
            chunk and not chunk.isspace() for chunks in self._chunks for chunk in chunks
        )

    def item(self) -> ThreadItem:
        content: list[AssistantMessageContent] = []
        for part, chunks in zip(self._parts, self._chunks, strict=True):
            if len(chunks) > 1:
                chunks[:] = [well_formed_text("".join(chunks))]
            annotations = [kept.model_copy(deep=True) for kept in part.annotations]
            content.append(part.model_copy(update={"text": chunks[0], "annotations": annotations}))
        return self._item.model_copy(update={"content": content}, deep=True)

    def append_text(self, text: str) -> list[ThreadItemUpdate]:
        updates: list[ThreadItemUpdate] = []
        if not self._parts:
            opened = AssistantMessageContentPartAdded(
                content_index=0, content=AssistantMessageContent(text="")
            )
            self._put_part(opened)
            updates.append(opened)
        index = len(self._parts) - 1
        self._chunks[index].append(text)
        updates.append(AssistantMessageContentPartTextDelta(content_index=index, delta=text))
        return updates

    def _open_part(self, index: int) -> None:
        # An agent's stream may leave out that a part begins.
        self.check_index("content_index", index, len(self._parts))
        self._set_part(index, AssistantMessageContent(text=""))

    def _put_part(self, update: AssistantMessageContentPartAdded | AssistantMessageContentPartDone) -> None:
        index = update.content_index
        self.check_index("content_index", index, len(self._parts))
        self._set_part(index, update.content)

    def _append_text(self, update: AssistantMessageContentPartTextDelta) -> None:
        index = update.content_index
        if not 0 <= index < len(self._chunks):
            self._open_part(index)
        self._chunks[index].append(update.delta)

    def _insert_annotation(self, update: AssistantMessageContentPartAnnotationAdded) -> None:
        index, parts = update.content_index, self._parts
        is_there = 0 <= index < len(parts)
        there = len(parts[index].annotations) if is_there else 0
        self.check_index("annotation_index", update.annotation_index, there)
        if not is_there:
            self._open_part(index)
        parts[index].annotations.insert(update.annotation_index, update.annotation.model_copy(deep=True))

    _takes = MappingProxyType(
        {
            "assistant_message.content_part.added": _put_part,
            "assistant_message.content_part.text_delta": _append_text,
            "assistant_message.content_part.annotation_added": _insert_annotation,
            "assistant_message.content_part.done": _put_part,
        }
    )


class ImageAccumulator(ItemAccumulator):
    """Takes newer versions of a generated image."""

    __slots__ = ()

    _item: GeneratedImageItem

    @property
    def is_empty(self) -> bool:
        return self._item.image is None

    def _set_image(self, update: GeneratedImageUpdated) -> None:
        self._item.image = update.image.model_copy(deep=True)

    _takes = MappingProxyType({"generated_image.updated": _set_image})


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
