"""The chat's server, for the page and for the view alike."""

from collections.abc import AsyncIterator

from chatkit.files import LocalFileStore
from chatkit.server import ChatKitServer
from chatkit.store import SQLiteStore
from chatkit.types import ThreadMetadata, UserMessageItem

Context = dict[str, str]


class GreetingServer(ChatKitServer[Context]):
    """Greets the user by name, repeats the message, and says how many files came with it."""

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: Context
    ) -> AsyncIterator[str]:
        text = "".join(part.text for part in input.content) if input else ""
        for word in f"{context['name']}, you said: {text}".split(" "):
            yield word + " "
        if input and input.attachments:
            yield f"({len(input.attachments)} files)"


server = GreetingServer(SQLiteStore("chatkit.db"), file_store=LocalFileStore("chatkit-files"))
