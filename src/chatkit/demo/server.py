"""The guide's server: finds the demonstration that a message asks for, and lets it answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from pydantic import ValidationError

from chatkit.actions import Action
from chatkit.demo.commands import find_command
from chatkit.demo.dialogue import Count, answers, counted, tool_output, unlock
from chatkit.demo.files import files_text
from chatkit.demo.scene import Scene
from chatkit.errors import CustomStreamError, InvalidRequestError
from chatkit.frameworks.attachments import read_attachment
from chatkit.frameworks.titles import first_words
from chatkit.server import ChatKitServer
from chatkit.store import Store
from chatkit.types import (
    ClientToolCallItem,
    FeedbackKind,
    StructuredInputItem,
    SyncCustomActionResponse,
    ThreadItemReplacedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
    WidgetItem,
)

__all__ = ["GuideServer"]

_ANSWERED: Final = "guide.answered_items"
_RECENT: Final = 50


class GuideServer(ChatKitServer[Any]):
    """An assistant without a model, and an example of a server.

    Args:
        store: Keeps the threads.
        delay: Seconds between two pieces of text; 0 answers at once.
        options: Passed on to ``ChatKitServer``.
    """

    def __init__(self, store: Store[Any], *, delay: float = 0.02, **options: Any) -> None:
        super().__init__(store, **options)
        self._threads = store
        self._delay = delay

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Answers a message, or goes on after a tool's output or answered questions (``input`` is None then)."""
        if input is None:
            async for event in self._go_on(thread, context):
                yield event
            return
        text = " ".join(part.text for part in input.content)
        if thread.title is None:
            thread.title = first_words(text or " ".join(entry.name for entry in input.attachments))
        if input.attachments:
            read = [await read_attachment(self.attachment_store, entry) for entry in input.attachments]
            text = files_text(
                input.attachments, [None if content is None else len(content) for content in read]
            )
            async for event in Scene(thread, input.id, "", self._delay).say(text):
                yield event
            return
        play, argument = find_command(text)
        async for event in play(Scene(thread, input.id, argument, self._delay)):
            yield event

    async def action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Answers a button of one of the guide's widgets."""
        scene = Scene(thread, "", "", self._delay)
        if action.type == "guide.unlock":
            async for event in unlock(scene, sender):
                yield event
            return
        try:
            yield ThreadItemReplacedEvent(item=_counted(action, sender))
        except InvalidRequestError as error:
            raise CustomStreamError(str(error)) from error

    async def sync_action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: Any
    ) -> SyncCustomActionResponse:
        """Answers a button that wants the new widget as its reply."""
        widget = _counted(action, sender)
        await self._threads.save_item(thread.id, widget, context)
        return SyncCustomActionResponse(updated_item=widget)

    async def add_feedback(
        self, thread_id: str, item_ids: list[str], feedback: FeedbackKind, context: Any
    ) -> None:
        """Takes feedback and keeps nothing of it: there is no model that could learn from it."""

    async def _go_on(self, thread: ThreadMetadata, context: Any) -> AsyncIterator[ThreadStreamEvent]:
        known: list[str] = thread.metadata.get(_ANSWERED, [])
        recent = await self._threads.load_thread_items(thread.id, None, _RECENT, "desc", context)
        scene = Scene(thread, "", "", self._delay)
        for item in recent.data:
            if item.id in known:
                continue
            if isinstance(item, ClientToolCallItem) and item.status == "completed":
                reply = tool_output(scene, item)
            elif isinstance(item, StructuredInputItem) and item.status != "pending":
                reply = answers(scene, item)
            else:
                continue
            thread.metadata = {**thread.metadata, _ANSWERED: [*known, item.id][-_RECENT:]}
            async for event in reply:
                yield event
            return


def _counted(action: Action[str, Any], sender: WidgetItem | None) -> WidgetItem:
    """Returns the widget after its button was pressed.

    Raises:
        InvalidRequestError: There is no such button. A client can send anything, so what arrives is checked.
    """
    try:
        count = Count.model_validate(action.model_dump())
    except ValidationError as error:
        raise InvalidRequestError("The guide's widget has no such button.") from error
    if sender is None:
        raise InvalidRequestError("This action needs the widget that it belongs to.")
    return counted(count, sender)
