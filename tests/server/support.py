"""Requests, servers that follow a script, and streams read to their end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any

from chatkit.server import ChatKitServer, NonStreamingResult, StreamingResult
from chatkit.sse import SSEDecoder
from chatkit.store import MemoryStore
from chatkit.types import (
    AssistantMessageItem,
    ProgressUpdateEvent,
    TextContent,
    TextDelta,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
)
from tests.support.scale import scaled

ADA = {"user_id": "ada"}
BOB = {"user_id": "bob"}
LIMIT = scaled(10.0)
"""Seconds after which a wait of a test has failed."""

Script = Callable[..., Any]


async def silent(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    for event in ():
        yield event


async def hello(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    yield done("Hello!")


class ScriptedServer(ChatKitServer[Any]):
    """Answers messages by a function ``(thread, message, context)``, which may be exchanged at any time."""

    def __init__(self, script: Script = hello, store: Any = None, *rest: Any, **options: Any) -> None:
        super().__init__(MemoryStore() if store is None else store, *rest, **options)
        self.script = script

    def respond(self, thread: Any, input_user_message: Any, context: Any) -> Any:
        return self.script(thread, input_user_message, context)

    async def send(self, kind: str, context: Any = None, /, metadata: Any = None, **params: Any) -> Any:
        """Sends a request; returns what ``process()`` returns."""
        body = {"type": kind, "params": params} | ({} if metadata is None else {"metadata": metadata})
        return await self.process(json.dumps(body), ADA if context is None else context)

    async def ask(self, kind: str, context: Any = None, /, metadata: Any = None, **params: Any) -> Any:
        """Sends a request; returns its events, or its JSON."""
        async with asyncio.timeout(LIMIT):
            return await answer(await self.send(kind, context, metadata, **params))

    async def create(self, text: str = "Hi", context: Any = None, /, metadata: Any = None) -> StreamingResult:
        return await self.send("threads.create", context, metadata, input=user_input(text))

    async def say(
        self, thread_id: str, text: str = "Hi", metadata: Any = None, context: Any = None
    ) -> StreamingResult:
        return await self.send(
            "threads.add_user_message", context, metadata, thread_id=thread_id, input=user_input(text)
        )

    async def new_thread(self) -> str:
        """Returns the id of a new thread with a message that nobody answered."""
        script, self.script = self.script, silent
        result = await self.create()
        await drain(result)
        self.script = script
        return result.thread_id

    async def items(self, thread_id: str, context: Any = None) -> list[Any]:
        """Returns what is stored, hidden items too."""
        page = await self._chatkit_store().load_thread_items(thread_id, None, 1000, "asc", context or ADA)
        return page.data


def writes_apart(store: Any) -> Any:
    """Makes a store one that writes a message, its key and its turn one by one, as an application's own does."""
    kind: Any = type(store)

    async def add_thread_item(self: Any, thread_id: str, item: Any, context: Any) -> None:
        await kind.add_thread_item(self, thread_id, item, context)

    # It overrides one of the methods that write.
    members = {"add_thread_item": add_thread_item, "__module__": __name__}
    store.__class__ = type(f"{kind.__name__}WritingApart", (kind,), members)
    return store


def user_input(text: str = "Hi", **rest: Any) -> dict[str, Any]:
    return {"content": [{"type": "input_text", "text": text}], **rest}


def message(text: str | None = None, id: str = "msg_1") -> Any:
    return AssistantMessageItem(id=id, content=[] if text is None else [TextContent(type="text", text=text)])


def added(text: str | None = None, id: str = "msg_1") -> Any:
    return ThreadItemAddedEvent(item=message(text, id))


def delta(text: str, id: str = "msg_1") -> Any:
    return ThreadItemUpdatedEvent(id=id, delta=TextDelta(text=text))


def done(text: str, id: str = "msg_1") -> Any:
    return ThreadItemDoneEvent(item=message(text, id))


def progress(text: str = "...") -> Any:
    return ProgressUpdateEvent(text=text)


def parse(frame: bytes) -> Any:
    """Returns the event of a bare frame."""
    assert frame.startswith(b"data: ")
    assert frame.endswith(b"\n\n")
    assert frame.count(b"\n") == 2
    return json.loads(frame[6:-2])


async def drain(stream: AsyncIterable[bytes]) -> list[bytes]:
    """Returns all frames of a stream."""
    async with asyncio.timeout(LIMIT):
        return [frame async for frame in stream]


async def answer(result: Any) -> Any:
    if isinstance(result, NonStreamingResult):
        return json.loads(result.json)
    return [parse(frame) for frame in await drain(result)]


async def events(result: StreamingResult) -> list[Any]:
    return [parse(frame) for frame in await drain(result)]


def decode(frames: list[bytes]) -> list[Any]:
    """Returns the events of frames with ids, without the end mark."""
    return [json.loads(event.data) for event in SSEDecoder().feed(b"".join(frames)) if not event.event]


async def read(stream: AsyncIterator[bytes], count: int) -> list[bytes]:
    """Returns the next frames of a stream that goes on."""
    async with asyncio.timeout(LIMIT):
        return [await anext(stream) for _ in range(count)]


def kinds(found: list[Any]) -> list[str]:
    return [event["type"] for event in found]


def texts(items: list[Any]) -> list[str]:
    """Returns the texts of the assistant messages among stored items."""
    return ["".join(part.text for part in item.content) for item in items if item.type == "assistant_message"]


def all_texts(items: list[Any]) -> list[str]:
    """Returns the texts of all messages, the user's too, among stored items."""
    kinds = {"assistant_message", "user_message"}
    return ["".join(part.text for part in item.content) for item in items if item.type in kinds]
