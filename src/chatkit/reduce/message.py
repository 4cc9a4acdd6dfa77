"""The accumulator of assistant messages."""

from __future__ import annotations

from types import MappingProxyType

from chatkit.reduce.base import ItemAccumulator
from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ThreadItem,
    ThreadItemUpdate,
)

__all__ = ["MessageAccumulator"]


def _repaired(text: str) -> str:
    """Returns text that UTF-8 can carry: surrogates that deltas cut apart are joined, lone ones become U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


class _Part:
    """A part of a message; its text is in pieces until somebody asks for it."""

    __slots__ = ("annotations", "chunks", "frame")

    def __init__(self, content: AssistantMessageContent) -> None:
        # Emptied before it is copied: the text and the citations are not copied for it.
        self.frame = content.model_copy(update={"text": "", "annotations": []}).model_copy(deep=True)
        self.chunks = [content.text]
        self.annotations: list[Annotation] = [given.model_copy(deep=True) for given in content.annotations]

    def build(self) -> AssistantMessageContent:
        if len(self.chunks) > 1:
            self.chunks = [_repaired("".join(self.chunks))]
        annotations = [kept.model_copy(deep=True) for kept in self.annotations]
        return self.frame.model_copy(update={"text": self.chunks[0], "annotations": annotations}, deep=True)


class MessageAccumulator(ItemAccumulator):
    """Takes parts, text and citations of an assistant message."""

    __slots__ = ("_parts",)

    def __init__(self, item: AssistantMessageItem) -> None:
        super().__init__(item.model_copy(update={"content": []}))
        self._parts = [_Part(content) for content in item.content]

    @property
    def is_empty(self) -> bool:
        return not any(
            part.annotations or any(chunk and not chunk.isspace() for chunk in part.chunks)
            for part in self._parts
        )

    def item(self) -> ThreadItem:
        content = [part.build() for part in self._parts]
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
        self._parts[index].chunks.append(text)
        updates.append(AssistantMessageContentPartTextDelta(content_index=index, delta=text))
        return updates

    def _part(self, index: int) -> _Part:
        parts = self._parts
        if not 0 <= index < len(parts):
            # An agent's stream may leave out that a part begins.
            self.check_index("content_index", index, len(parts))
            parts.append(_Part(AssistantMessageContent(text="")))
        return parts[index]

    def _put_part(self, update: AssistantMessageContentPartAdded | AssistantMessageContentPartDone) -> None:
        index = update.content_index
        self.check_index("content_index", index, len(self._parts))
        self._parts[index : index + 1] = [_Part(update.content)]

    def _append_text(self, update: AssistantMessageContentPartTextDelta) -> None:
        self._part(update.content_index).chunks.append(update.delta)

    def _insert_annotation(self, update: AssistantMessageContentPartAnnotationAdded) -> None:
        index, parts = update.content_index, self._parts
        there = len(parts[index].annotations) if 0 <= index < len(parts) else 0
        self.check_index("annotation_index", update.annotation_index, there)
        self._part(index).annotations.insert(update.annotation_index, update.annotation.model_copy(deep=True))

    _takes = MappingProxyType(
        {
            "assistant_message.content_part.added": _put_part,
            "assistant_message.content_part.text_delta": _append_text,
            "assistant_message.content_part.annotation_added": _insert_annotation,
            "assistant_message.content_part.done": _put_part,
        }
    )
