"""A widget as thread stream events: at once, or version by version."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import cast

from chatkit.store.base import StoreItemType, default_generate_id
from chatkit.types import (
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    WidgetItem,
)
from chatkit.widget_diff import diff_widget
from chatkit.widgets import WidgetRoot

__all__ = ["stream_widget"]


async def stream_widget(
    thread: ThreadMetadata,
    widget: WidgetRoot | AsyncGenerator[WidgetRoot, None],
    copy_text: str | None = None,
    generate_id: Callable[[StoreItemType], str] = default_generate_id,
    *,
    component_updates: bool = False,
) -> AsyncIterator[ThreadStreamEvent]:
    """Yields the events that show a widget.

    Args:
        thread: The thread that the widget belongs to.
        widget: The widget, or an asynchronous generator of its versions, of which only what changed is sent. A
            version may be the same object as the one before, changed.
        copy_text: Plain text that stands for the widget when the user copies it.
        generate_id: Returns the item's id; called with ``"message"``.
        component_updates: Whether a component that has an ``id`` may be sent alone when it changes; otherwise any
            change but text that grew sends the whole widget.
    """
    item_id = generate_id("message")

    def item(shown: WidgetRoot) -> WidgetItem:
        return WidgetItem(id=item_id, thread_id=thread.id, widget=shown, copy_text=copy_text)

    if not hasattr(widget, "__anext__"):
        yield ThreadItemDoneEvent(item=item(cast("WidgetRoot", widget)))
        return
    shown: WidgetRoot | None = None
    async with aclosing(cast("AsyncGenerator[WidgetRoot, None]", widget)) as versions:
        async for version in versions:
            latest = version.model_copy(deep=True)
            if shown is None:
                yield ThreadItemAddedEvent(item=item(latest))
            else:
                for update in diff_widget(shown, latest, component_updates=component_updates):
                    yield ThreadItemUpdatedEvent(item_id=item_id, update=update)
            shown = latest
    if shown is not None:
        yield ThreadItemDoneEvent(item=item(shown))
