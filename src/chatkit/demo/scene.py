"""What every demonstration works with: the thread, the message, and a way to write text as it would stream."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from chatkit.ids import new_id
from chatkit.types import (
    AssistantMessageItem,
    TextDelta,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
)

__all__ = ["Scene"]

_WORDS = re.compile(r"\s*\S+|\s+")


@dataclass(frozen=True, slots=True)
class Scene:
    """One turn of the guide.

    Attributes:
        thread: The thread; what a demonstration assigns to it is saved.
        message_id: The user's message.
        argument: What followed the command's name.
        delay: Seconds between two pieces of text.
    """

    thread: ThreadMetadata
    message_id: str
    argument: str
    delay: float

    async def say(self, text: str) -> AsyncIterator[ThreadStreamEvent]:
        """Yields an assistant message that appears word by word."""
        message = AssistantMessageItem(id=new_id("message"), content=[])
        yield ThreadItemAddedEvent(item=message)
        for word in _WORDS.findall(text):
            yield ThreadItemUpdatedEvent(id=message.id, delta=TextDelta(text=word))
            await self.pause()
        yield ThreadItemDoneEvent(id=message.id)

    async def pause(self, pieces: int = 1) -> None:
        """Waits as long as that many pieces of text take. A stopped turn ends here."""
        await asyncio.sleep(self.delay * pieces)
