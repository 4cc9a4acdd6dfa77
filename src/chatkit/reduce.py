"""Accumulating the updates of a pending item: pure, and O(event) for each update.

:func:`accumulator` takes the item as it was added; ``add`` takes its updates, ``item`` builds the item as it is now.
Nothing that is handed in is changed or kept, and what is handed out is the caller's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar, cast

from chatkit.errors import InvalidEventError
from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    GeneratedImageItem,
    GeneratedImageUpdated,
    ThreadItem,
    ThreadItemBase,
    ThreadItemUpdate,
    WidgetComponentUpdated,
    WidgetItem,
    WidgetRootUpdated,
    WidgetStreamingTextValueDelta,
    WorkflowItem,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)

__all__ = ["ItemAccumulator", "accumulator"]

TItem = TypeVar("TItem", bound=ThreadItemBase)


class ItemAccumulator(ABC):
    """A pending item and what happened to it since it was added.

    Attributes:
        id: The item's id.
        type: The item's type.
    """

    id: str
    type: str

    @abstractmethod
    def add(self, update: ThreadItemUpdate) -> None:
        """Takes an update.

        Raises:
            InvalidEventError: The update does not fit the item; nothing changed.
        """

    @abstractmethod
    def item(self) -> ThreadItem:
        """Returns the item as it is now."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing yet that is worth keeping."""
        return False

    def append_text(self, text: str) -> list[ThreadItemUpdate]:
        """Appends text to the last part of an assistant message, which is opened first if there is none.

        Returns:
            The updates that say the same, already taken.

        Raises:
            InvalidEventError: The item is no assistant message.
        """
        raise InvalidEventError(
            f"Text can be appended to an assistant message only; {self.id} is a {self.type}."
        )


def accumulator(item: ThreadItem) -> ItemAccumulator:
    """Returns the accumulator for an item as it was added."""
    if isinstance(item, AssistantMessageItem):
        return _MessageAccumulator(item)
    if isinstance(item, WidgetItem):
        return _WidgetAccumulator(item)
    if isinstance(item, WorkflowItem):
        return _WorkflowAccumulator(item)
    if isinstance(item, GeneratedImageItem):
        return _ImageAccumulator(item)
    return _FixedAccumulator(item)


class _Accumulator(ItemAccumulator, Generic[TItem]):
    def __init__(self, item: TItem) -> None:
        self.id = item.id
        self.type = cast("ThreadItem", item).type
        self._item = item.model_copy(deep=True)

    def _misfit(self, update: ThreadItemUpdate) -> InvalidEventError:
        return InvalidEventError(f"An update of type {update.type} does not fit {self.id}, a {self.type}.")

    def _place(self, index: int, count: int, what: str, *, may_append: bool) -> None:
        """Checks an index against the number of things that there are."""
        if not 0 <= index < count + may_append:
            raise InvalidEventError(f"{self.id} has {count} {what}: there is no place for number {index}.")


class _FixedAccumulator(_Accumulator[Any]):
    """An item of a kind that has no updates."""

    def add(self, update: ThreadItemUpdate) -> None:
        raise self._misfit(update)

    def item(self) -> ThreadItem:
        return self._item.model_copy(deep=True)


class _Part:
    """A part of an assistant message; the text is joined when it is asked for."""

    __slots__ = ("annotations", "chunks", "text")

    def __init__(self, content: AssistantMessageContent) -> None:
        self.text = content.text
        self.chunks: list[str] = []
        self.annotations: list[Annotation] = [entry.model_copy(deep=True) for entry in content.annotations]

    def joined(self) -> str:
        if self.chunks:
            self.text += "".join(self.chunks)
            self.chunks.clear()
        return self.text

    def content(self) -> AssistantMessageContent:
        annotations = [entry.model_copy(deep=True) for entry in self.annotations]
        return AssistantMessageContent(text=self.joined(), annotations=annotations)


class _MessageAccumulator(_Accumulator[AssistantMessageItem]):
    def __init__(self, item: AssistantMessageItem) -> None:
        super().__init__(item)
        self._parts = [_Part(content) for content in item.content]

    def add(self, update: ThreadItemUpdate) -> None:
        parts = self._parts
        if isinstance(update, AssistantMessageContentPartTextDelta):
            index = update.content_index
            if not 0 <= index < len(parts):
                self._place(index, len(parts), "content parts", may_append=True)
                parts.append(_Part(AssistantMessageContent(text="")))
            parts[index].chunks.append(update.delta)
        elif isinstance(update, AssistantMessageContentPartAdded | AssistantMessageContentPartDone):
            self._place(update.content_index, len(parts), "content parts", may_append=True)
            parts[update.content_index : update.content_index + 1] = [_Part(update.content)]
        elif isinstance(update, AssistantMessageContentPartAnnotationAdded):
            self._place(update.content_index, len(parts), "content parts", may_append=False)
            annotations = parts[update.content_index].annotations
            self._place(update.annotation_index, len(annotations), "annotations", may_append=True)
            annotations.insert(update.annotation_index, update.annotation.model_copy(deep=True))
        else:
            raise self._misfit(update)

    def append_text(self, text: str) -> list[ThreadItemUpdate]:
        updates: list[ThreadItemUpdate] = []
        if not self._parts:
            updates.append(
                AssistantMessageContentPartAdded(content_index=0, content=AssistantMessageContent(text=""))
            )
        last = max(len(self._parts) - 1, 0)
        updates.append(AssistantMessageContentPartTextDelta(content_index=last, delta=text))
        for update in updates:
            self.add(update)
        return updates

    def item(self) -> ThreadItem:
        return self._item.model_copy(update={"content": [part.content() for part in self._parts]})

    @property
    def is_empty(self) -> bool:
        return not any(part.annotations or part.joined().strip() for part in self._parts)


class _ImageAccumulator(_Accumulator[GeneratedImageItem]):
    def add(self, update: ThreadItemUpdate) -> None:
        if not isinstance(update, GeneratedImageUpdated):
            raise self._misfit(update)
        self._item.image = update.image.model_copy()

    def item(self) -> ThreadItem:
        return self._item.model_copy(deep=True)

    @property
    def is_empty(self) -> bool:
        return self._item.image is None


class _WorkflowAccumulator(_Accumulator[WorkflowItem]):
    def add(self, update: ThreadItemUpdate) -> None:
        tasks = self._item.workflow.tasks
        if isinstance(update, WorkflowTaskAdded):
            self._place(update.task_index, len(tasks), "tasks", may_append=True)
            tasks.insert(update.task_index, update.task.model_copy(deep=True))
        elif isinstance(update, WorkflowTaskUpdated):
            self._place(update.task_index, len(tasks), "tasks", may_append=False)
            tasks[update.task_index] = update.task.model_copy(deep=True)
        else:
            raise self._misfit(update)

    def item(self) -> ThreadItem:
        return self._item.model_copy(deep=True)

    @property
    def is_empty(self) -> bool:
        return not self._item.workflow.tasks


_STREAMED_COMPONENTS = frozenset({"Text", "Markdown"})


def _children(component: Any) -> Sequence[Any]:
    children = getattr(component, "children", None)
    if children is None:
        return ()
    return cast("list[Any]", children) if isinstance(children, list) else (children,)


def _with_parents(component: Any, parent: Any) -> Iterator[tuple[Any, Any]]:
    """Yields a component and all below it, each with its parent."""
    waiting = [(component, parent)]
    while waiting:
        current, above = waiting.pop()
        yield current, above
        waiting.extend((child, current) for child in _children(current))


class _WidgetAccumulator(_Accumulator[WidgetItem]):
    def __init__(self, item: WidgetItem) -> None:
        super().__init__(item)
        self._chunks: dict[str, list[str]] = {}
        self._by_id: dict[str, tuple[Any, Any]] | None = None

    def add(self, update: ThreadItemUpdate) -> None:
        if isinstance(update, WidgetStreamingTextValueDelta):
            component, _ = self._find(update.component_id)
            if component.type not in _STREAMED_COMPONENTS:
                raise InvalidEventError(
                    f"Only Text and Markdown take streamed text; {update.component_id} is a {component.type}."
                )
            self._chunks.setdefault(update.component_id, []).append(update.delta)
        elif isinstance(update, WidgetComponentUpdated):
            self._replace(update.component_id, update.component.model_copy(deep=True))
        elif isinstance(update, WidgetRootUpdated):
            self._item.widget = update.widget.model_copy(deep=True)
            self._chunks.clear()
            self._by_id = None
        else:
            raise self._misfit(update)

    def item(self) -> ThreadItem:
        for component_id, chunks in self._chunks.items():
            component, _ = self._find(component_id)
            component.value = (getattr(component, "value", None) or "") + "".join(chunks)
        self._chunks.clear()
        return self._item.model_copy(deep=True)

    def _find(self, component_id: str) -> tuple[Any, Any]:
        if self._by_id is None:
            self._by_id = {}
            self._index(self._item.widget, None)
        found = self._by_id.get(component_id)
        if found is None:
            raise InvalidEventError(f"The widget of {self.id} has no component with the id {component_id}.")
        return found

    def _index(self, component: Any, parent: Any) -> None:
        by_id = cast("dict[str, tuple[Any, Any]]", self._by_id)
        for current, above in _with_parents(component, parent):
            if current.id is not None:
                by_id.setdefault(current.id, (current, above))

    def _replace(self, component_id: str, component: Any) -> None:
        old, parent = self._find(component_id)
        for gone, _ in _with_parents(old, None):
            if gone.id is not None:
                self._chunks.pop(gone.id, None)
                cast("dict[str, Any]", self._by_id).pop(gone.id, None)
        if parent is None:
            self._item.widget = component
        elif isinstance(parent.children, list):
            siblings = cast("list[Any]", parent.children)
            siblings[next(place for place, sibling in enumerate(siblings) if sibling is old)] = component
        else:
            parent.children = component
        self._index(component, parent)
