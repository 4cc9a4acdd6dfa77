"""The text of a run as versions of a widget component."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TypeVar

from agents import StreamEvent

from chatkit.widgets import Markdown, Text

__all__ = ["accumulate_text"]

TWidget = TypeVar("TWidget", bound=Markdown | Text)


async def accumulate_text(events: AsyncIterator[StreamEvent], base_widget: TWidget) -> AsyncIterator[TWidget]:
    """Yields versions of a Text or Markdown component that grow with the text of a run.

    Args:
        events: What ``result.stream_events()`` gives.
        base_widget: The first version. The others are copies whose ``value`` is the text so far; the last one has
            ``streaming`` off.
    """
    yield base_widget
    text = ""
    async for event in events:
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            text += event.data.delta
            yield base_widget.model_copy(update={"value": text})
    yield base_widget.model_copy(update={"value": text, "streaming": False})
