"""Counts the classes of the package whose code one message passes, from `process()` to the bytes of its answer.

Usage: `python scripts/_way.py [memory | sqlite | redis://... | postgresql://...]`, by where the stream log is. What it
prints for `memory` stands in docs/architecture.md.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from chatkit.server import ChatKitServer
from chatkit.store import MemoryStore, SQLiteStore
from chatkit.streams import MemoryStreamLog, PostgresStreamLog, RedisStreamLog, StreamLog
from chatkit.types import (
    AssistantMessageItem,
    TextDelta,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
)

MESSAGE = (
    b'{"type":"threads.create","metadata":{"resumable":true},"params":{"input":{"content":'
    b'[{"type":"input_text","text":"hi"}]}}}'
)
# Models of the protocol, and the records of a log, are what travels, not what it passes; how a store keeps things is
# its own affair.
LEFT_OUT = (
    *("chatkit.types.", "chatkit.actions.", "chatkit.errors.", "chatkit.streams.records.", "builtins."),
    *("chatkit.store.memory._", "chatkit.store._memory_"),
)


class EchoServer(ChatKitServer[Any]):
    """Answers with one item, in three events."""

    async def respond(self, thread: Any, input_user_message: Any, context: Any) -> Any:
        """Says one word."""
        yield ThreadItemAddedEvent(item=AssistantMessageItem(id="msg_1", content=[]))
        yield ThreadItemUpdatedEvent(id="msg_1", delta=TextDelta(text="hi"))
        yield ThreadItemDoneEvent(id="msg_1")


def open_log(place: str, folder: str) -> StreamLog | None:
    """Returns the log that an argument names."""
    if place == "memory":
        return MemoryStreamLog()
    if place == "sqlite":
        return SQLiteStore(f"{folder}/way.db").stream_log()
    return (RedisStreamLog if place.startswith("redis") else PostgresStreamLog)(place)


class Trace:
    """Notes the class of each object of the package whose methods run."""

    def __init__(self) -> None:
        self.classes: dict[str, None] = {}

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Takes what the interpreter says of a call."""
        # What Python itself writes for a record, such as its constructor, comes from no file.
        generated = frame.f_code.co_filename == "<string>"
        if event != "call" or generated or not frame.f_globals.get("__name__", "").startswith("chatkit."):
            return
        name = next(iter(frame.f_code.co_varnames), "")
        owner = frame.f_locals.get(name) if name in {"self", "cls"} else None
        if owner is None:
            return
        cls = owner if inspect.isclass(owner) else type(owner)
        cls = ChatKitServer if issubclass(cls, ChatKitServer) else cls
        found = f"{cls.__module__}.{cls.__qualname__}"
        if not found.startswith(LEFT_OUT):
            self.classes[found] = None


async def send(place: str = "memory") -> list[str]:
    """Returns the classes that a message passes, in the order in which it meets them."""
    with TemporaryDirectory() as folder:
        server = EchoServer(MemoryStore(), stream_log=open_log(place, folder))
        trace = Trace()
        # What is made once, at the first message, is no part of a message's way.
        for tracer in (None, trace):
            threading.setprofile(tracer)
            sys.setprofile(tracer)
            async for _ in await server.process(MESSAGE, {"user_id": "ada"}):  # type: ignore[union-attr] -- a message is answered by a stream
                pass
            threading.setprofile(None)
            sys.setprofile(None)
        await server.close()
    return list(trace.classes)


if __name__ == "__main__":
    classes = asyncio.run(send(*sys.argv[1:2]))
    sys.stdout.write("".join(f"- `{name}`\n" for name in classes))
    sys.stderr.write(f"{len(classes)} classes\n")
