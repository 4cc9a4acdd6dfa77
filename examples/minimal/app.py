"""A chat that repeats what it is told, kept in SQLite, for one user on this machine."""

from collections.abc import AsyncIterator

from chatkit import ChatKitServer, SQLiteStore, ThreadMetadata, UserMessageItem, create_app
from chatkit.web import single_user

Context = dict[str, str]


class EchoServer(ChatKitServer[Context]):
    """Answers a message with its own words, one after another."""

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: Context
    ) -> AsyncIterator[str]:
        text = "".join(part.text for part in input.content) if input else ""
        for word in f"You said: {text}".split(" "):
            yield word + " "


app = create_app(EchoServer(SQLiteStore("chatkit.db")), context=single_user(), ui=True)
