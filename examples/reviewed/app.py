"""A chat that stores nothing unchecked: personal numbers are taken out, foul words refused, files scanned first."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from review import is_foul, redact, scan, soften

from chatkit import ChatKitServer, ThreadMetadata, UserMessageItem
from chatkit.errors import ContentRefusedError
from chatkit.files import LocalFileStore
from chatkit.review import UserInput, map_texts, texts_of
from chatkit.store import SQLiteStore
from chatkit.types import ThreadItem
from chatkit.web import create_app, single_user

HERE = Path(__file__).parent


class ReviewedServer(ChatKitServer[dict[str, str]]):
    """Echoes, so that one sees what is stored."""

    async def review_input(self, params: UserInput, context: dict[str, str]) -> UserInput:
        """Reviews what a user sends, before anything of it is stored."""
        if any(is_foul(text) for text in texts_of(params)):
            raise ContentRefusedError("Please say that in other words.")
        return map_texts(params, redact)

    async def review_output(
        self, item: ThreadItem, thread: ThreadMetadata, context: dict[str, str]
    ) -> ThreadItem:
        """Reviews what is answered, before it is stored and shown."""
        return map_texts(item, lambda text: redact(soften(text)))

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: dict[str, str]
    ) -> AsyncIterator[str]:
        """Answers a message: in the place of a model, which says what it should not."""
        said = "".join(part.text for part in input.content) if input else ""
        yield f"You said: {said}. "
        yield "What a shitty form that is! Call +1 650 253 0000."


server = ReviewedServer(
    SQLiteStore(HERE / "chat.db"), file_store=LocalFileStore(HERE / "files", scanner=scan, scan_seconds=30)
)
app = create_app(server, context=single_user(), ui=True)
