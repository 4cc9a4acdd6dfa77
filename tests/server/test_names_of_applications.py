"""What an application's own server may call its helpers: private names that this class uses too would break it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from chatkit.server import ChatKitServer
from chatkit.store import MemoryStore
from chatkit.types import AssistantMessageContent, AssistantMessageItem, ThreadItemDoneEvent
from tests.server.support import ADA, user_input


def test_private_names_say_whose_they_are() -> None:
    ours = [kind for kind in ChatKitServer.__mro__ if kind.__module__.startswith("chatkit.")]
    names = {name for kind in ours for name in vars(kind) if name.startswith("_") and name[1] != "_"}
    assert {name for name in names if not name.startswith(("_chatkit_", "_abc_"))} == set()


class Application(ChatKitServer[Any]):
    """Written for openai-chatkit, where these names are free."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self._store = store
        self._files = self._runner = self._message = None

    async def _answer(self, question: str) -> str:
        return f"You asked: {question}"

    def _stream(self, text: str) -> AssistantMessageContent:
        return AssistantMessageContent(text=text)

    async def respond(self, thread: Any, input: Any, context: Any) -> AsyncIterator[Any]:
        content = self._stream(await self._answer(input.content[0].text))
        item_id = self._store.generate_item_id("message", thread, context)
        yield ThreadItemDoneEvent(
            item=AssistantMessageItem(id=item_id, thread_id=thread.id, content=[content])
        )


async def test_an_application_with_names_of_its_own() -> None:
    server = Application(MemoryStore())
    body = {"type": "threads.create", "params": {"input": user_input("Why?")}}
    frames = [frame async for frame in await server.process(json.dumps(body), ADA)]
    assert b"You asked: Why?" in frames[-1]
    listed: Any = await server.process(json.dumps({"type": "threads.list", "params": {}}), ADA)
    assert len(json.loads(listed.json)["data"]) == 1
