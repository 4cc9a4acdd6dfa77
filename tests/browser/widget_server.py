"""A server that shows widgets by name and keeps what their actions bring."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator
from typing import Any

from chatkit.actions import Action
from chatkit.errors import CustomStreamError, InvalidRequestError
from chatkit.ids import new_id
from chatkit.server import ChatKitServer
from chatkit.store import MemoryStore
from chatkit.types import (
    SyncCustomActionResponse,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
    WidgetComponentUpdated,
    WidgetItem,
    WidgetStreamingTextValueDelta,
)
from chatkit.widgets import DynamicWidgetRoot
from tests.support.scale import scaled

__all__ = ["WidgetServer"]

_LONGEST_WAIT = scaled(20.0)


class Gate:
    """Something that a test lets happen; asynchronous code waits for it."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def open(self) -> None:
        """Lets it happen."""
        self._event.set()

    async def passed(self) -> None:
        """Waits until it may happen."""
        if not await asyncio.to_thread(self._event.wait, _LONGEST_WAIT):
            raise RuntimeError("The test has not opened the gate.")


class WidgetServer(ChatKitServer[Any]):
    """Shows ``widgets[text]`` for a message, or streams ``deltas[text]`` into it.

    An action ``hold`` waits for its gate; ``fail`` fails after it; ``swap`` puts ``widgets[payload["to"]]`` in place.

    Attributes:
        widgets: The widgets by name.
        deltas: Updates that follow a widget, each behind a gate of its own.
        domains: Where images may come from.
        received: The actions, in the order of their arrival, and whether they were sent for one reply.
    """

    def __init__(self) -> None:
        self._threads: MemoryStore[Any] = MemoryStore()
        super().__init__(self._threads)
        self.forget()

    def forget(self) -> None:
        """Begins anew, with nothing to show and nothing received."""
        self.widgets: dict[str, dict[str, Any]] = {}
        self.deltas: dict[str, list[WidgetStreamingTextValueDelta | WidgetComponentUpdated]] = {}
        self.domains: list[str] | None = None
        self.received: queue.SimpleQueue[tuple[str, Any, bool]] = queue.SimpleQueue()
        self._steps: queue.SimpleQueue[Gate] = queue.SimpleQueue()
        self._held: queue.SimpleQueue[Gate] = queue.SimpleQueue()

    def next_action(self) -> tuple[str, Any]:
        """Waits for an action and returns its type and payload."""
        kind, payload, _ = self.received.get(timeout=_LONGEST_WAIT)
        return kind, payload

    def release(self) -> None:
        """Lets the action go on that is held."""
        self._held.get(timeout=_LONGEST_WAIT).open()

    def step(self) -> None:
        """Lets the next update be sent."""
        self._steps.get(timeout=_LONGEST_WAIT).open()

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        assert input is not None
        thread.allowed_image_domains = self.domains
        name = input.content[0].text
        item = WidgetItem(id=new_id("message"), widget=self._root(name))
        yield ThreadItemAddedEvent(item=item)
        for update in self.deltas.get(name, ()):
            await self._wait(self._steps)
            yield ThreadItemUpdatedEvent(item_id=item.id, update=update)
        if name in self.deltas:
            await self._wait(self._steps)
        yield ThreadItemDoneEvent(id=item.id)

    async def action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        self.received.put((action.type, action.payload, False))
        if action.type in ("hold", "fail"):
            await self._wait(self._held)
        if action.type == "fail":
            raise CustomStreamError("It did not work.")
        if action.type == "swap":
            assert sender is not None
            yield ThreadItemReplacedEvent(
                item=sender.model_copy(update={"widget": self._root(action.payload["to"])})
            )

    async def sync_action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: Any
    ) -> SyncCustomActionResponse:
        self.received.put((action.type, action.payload, True))
        assert sender is not None
        if action.type == "fail":
            raise InvalidRequestError("It did not work.")
        item = sender.model_copy(update={"widget": self._root(action.payload["to"])})
        await self._threads.save_item(thread.id, item, context)
        return SyncCustomActionResponse(updated_item=item)

    def _root(self, name: str) -> DynamicWidgetRoot:
        return DynamicWidgetRoot.model_validate(self.widgets[name])

    async def _wait(self, gates: queue.SimpleQueue[Gate]) -> None:
        gate = Gate()
        gates.put(gate)
        await gate.passed()
