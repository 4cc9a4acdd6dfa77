"""One turn of the guide, for its demonstrations."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Final

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

_WORDS: Final = re.compile(r"\s*\S+|\s+")


@dataclass(frozen=True, slots=True)
class Scene:
    """One turn of the guide, and ways to answer in it.

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

    def say(self, text: str) -> AsyncIterator[ThreadStreamEvent]:
        """Yields an assistant message that appears word by word."""
        return self.write(_WORDS.findall(text))

    async def write(self, pieces: Iterable[str], *, pause: int = 1) -> AsyncIterator[ThreadStreamEvent]:
        """Yields an assistant message that appears piece by piece; ``pause()`` gets ``pause`` after each."""
        message = AssistantMessageItem(id=new_id("message"), content=[])
        yield ThreadItemAddedEvent(item=message)
        for piece in pieces:
            yield ThreadItemUpdatedEvent(id=message.id, delta=TextDelta(text=piece))
            await self.pause(pause)
        yield ThreadItemDoneEvent(id=message.id)

    async def pause(self, pieces: int = 1) -> None:
        """Waits as long as that many pieces of text take. A stopped turn ends here."""
        await asyncio.sleep(self.delay * pieces)
