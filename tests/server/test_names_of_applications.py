"""An application's own server and items: what it may call its helpers, and what it adds to a class of ours."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatkit.server import ChatKitServer
from chatkit.store import MemoryStore
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    SyncCustomActionResponse,
    TextDelta,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    WidgetItem,
)
from chatkit.widgets import Card
from tests.server.support import ADA, ScriptedServer, user_input


def test_private_names_say_whose_they_are() -> None:
    ours = [kind for kind in ChatKitServer.__mro__ if kind.__module__.startswith("chatkit.")]
    names = {name for kind in ours for name in vars(kind) if name.startswith("_") and name[1] != "_"}
    assert {name for name in names if not name.startswith(("_chatkit_", "_abc_"))} == set()


def test_what_is_never_called_is_told(caplog: pytest.LogCaptureFixture) -> None:
    class Overriding(ScriptedServer):
        def _process_events(self) -> None:
            """Called by openai-chatkit."""

        def _helper(self) -> None:
            """The application's own."""

    assert issubclass(Overriding, ChatKitServer)
    (record,) = caplog.records
    assert "Overriding" in record.getMessage()
    assert "_process_events" in record.getMessage()
    assert "_helper" not in record.getMessage()


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


class CostedMessage(AssistantMessageItem):
    cost: str = "kept to ourselves"


class CostedDelta(AssistantMessageContentPartTextDelta):
    cost: str = "kept to ourselves"


class CostedWidget(WidgetItem):
    cost: str = "kept to ourselves"


async def test_fields_of_a_subclass_of_an_item_do_not_reach_the_client() -> None:
    """They are the application's, for its own store; openai-chatkit does not send them either."""

    async def script(thread: Any, input: Any, context: Any) -> AsyncIterator[Any]:
        yield ThreadItemAddedEvent(item=CostedMessage(id="msg_1", content=[]))
        yield ThreadItemUpdatedEvent(id="msg_1", delta=TextDelta(text="Hi"))
        yield ThreadItemUpdatedEvent(item_id="msg_1", update=CostedDelta(content_index=0, delta="!"))
        yield ThreadItemDoneEvent(id="msg_1")
        yield ThreadItemReplacedEvent(item=CostedMessage(id="msg_1", content=[]))
        yield ThreadItemDoneEvent(item=CostedWidget(id="wid_1", widget=Card(children=[])))
        yield ThreadItemAddedEvent(
            item=CostedMessage(id="msg_2", content=[AssistantMessageContent(text="Half")])
        )

    class Server(ScriptedServer):
        async def sync_action(self, thread: Any, action: Any, sender: Any, context: Any) -> Any:
            return SyncCustomActionResponse(updated_item=CostedWidget(id="wid_1", widget=Card(children=[])))

    server = Server(script)
    heard = await server.ask("threads.create", input=user_input("Hi"))
    assert [event["item"]["id"] for event in heard[3:] if "item" in event] == [
        *("msg_1", "msg_1", "msg_1", "wid_1"),
        *("msg_2", "msg_2"),
    ]
    thread_id = heard[0]["thread"]["id"]
    action = {"type": "go", "payload": None}
    heard += [await server.ask("threads.get_by_id", thread_id=thread_id)]
    heard += [
        await server.ask("threads.sync_custom_action", thread_id=thread_id, item_id="wid_1", action=action)
    ]
    assert heard[-1]["updated_item"]["id"] == "wid_1"
    assert "cost" not in json.dumps(heard)
