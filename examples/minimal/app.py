"""A chat that repeats what it is told, kept in SQLite, for one user on this machine."""

from collections.abc import AsyncIterator

from chatkit.server import ChatKitServer
from chatkit.store import SQLiteStore
from chatkit.types import (
    AssistantMessageItem,
    TextDelta,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)
from chatkit.web import create_app, single_user

Context = dict[str, str]


class EchoServer(ChatKitServer[Context]):
    """Answers a message with its own words, one after another."""

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: Context
    ) -> AsyncIterator[ThreadStreamEvent]:
        text = "".join(part.text for part in input.content) if input else ""
        item_id = self.store.generate_item_id("message", thread, context)
        yield ThreadItemAddedEvent(item=AssistantMessageItem(id=item_id, content=[]))
        for word in f"You said: {text}".split(" "):
            yield ThreadItemUpdatedEvent(id=item_id, delta=TextDelta(text=word + " "))
        yield ThreadItemDoneEvent(id=item_id)


app = create_app(EchoServer(SQLiteStore("chatkit.db")), context=single_user(), ui=True)
