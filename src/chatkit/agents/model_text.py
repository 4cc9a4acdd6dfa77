"""The text of a model, divided into the answer and thoughts between tags."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TypeVar

from agents import StreamEvent

from chatkit.think_tags import Piece, ThinkTags, split_thoughts
from chatkit.types import AssistantMessageContent
from chatkit.widgets import Markdown, Text

__all__ = ["MessageText", "accumulate_text", "without_thoughts"]

TWidget = TypeVar("TWidget", bound=Markdown | Text)


@dataclass(slots=True)
class MessageText:
    """A message whose text arrives.

    Attributes:
        id: The message's id.
        shown: Whether the client has the message.
        has_text: Whether anything of it but white space was shown.
        thinks: Whether the text that comes is a thought.
    """

    id: str
    shown: bool = True
    has_text: bool = False
    thinks: bool = False
    _parts: dict[int, ThinkTags] = field(default_factory=dict[int, ThinkTags])

    @property
    def has_thoughts(self) -> bool:
        """Whether there was a thought so far."""
        return any(part.found for part in self._parts.values())

    def feed(self, index: int, text: str) -> list[Piece]:
        """Returns what a piece of text of a part of the message is made of."""
        part = self._parts.get(index)
        if part is None:
            part = self._parts[index] = ThinkTags()
        return part.feed(text)

    def finish(self, index: int) -> list[Piece]:
        """Returns what was held back of a part."""
        part = self._parts.get(index)
        return [] if part is None else part.finish()

    def finish_all(self) -> list[tuple[int, Piece]]:
        """Returns what was held back of all parts, each with the part's index."""
        return [(index, piece) for index, part in self._parts.items() for piece in part.finish()]

    def was_streamed(self, index: int) -> bool:
        """Returns whether any text of a part has arrived."""
        return index in self._parts


def without_thoughts(content: AssistantMessageContent) -> tuple[AssistantMessageContent, list[str]]:
    """Returns a complete part without the thoughts in its text, and these; citations move along with the text."""
    text, thoughts = split_thoughts(content.text)
    if text == content.text:
        return content, []
    annotations = [
        annotation
        if annotation.index is None
        else annotation.model_copy(update={"index": len(split_thoughts(content.text[: annotation.index])[0])})
        for annotation in content.annotations
    ]
    return AssistantMessageContent(text=text, annotations=annotations), thoughts


async def accumulate_text(events: AsyncIterator[StreamEvent], base_widget: TWidget) -> AsyncIterator[TWidget]:
    """Yields versions of a Text or Markdown component that grow with the text of a run.

    Args:
        events: What ``result.stream_events()`` gives.
        base_widget: The first version. The others are copies whose ``value`` is the text so far; the last one has
            ``streaming`` off. Thoughts that the model writes between ``<think>`` and ``</think>`` are left out.
    """
    yield base_widget
    text, tags = "", ThinkTags()
    async for event in events:
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            said = _said(tags.feed(event.data.delta))
            if said or not tags.found:
                text += said
                yield base_widget.model_copy(update={"value": text})
    text += _said(tags.finish())
    yield base_widget.model_copy(update={"value": text, "streaming": False})


def _said(pieces: list[Piece]) -> str:
    return "".join(piece for thought, piece in pieces if not thought)
