"""A worker of the run: tells what a request asks for, over the store and the log that the environment names."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast

from starlette.requests import Request

from benchmarks.chaos.plants import planted
from benchmarks.chaos.script import Telling
from chatkit.ids import new_id
from chatkit.server import ChatKitServer
from chatkit.store import PostgresStore, SQLiteStore
from chatkit.streams import SQLiteStreamLog
from chatkit.streams.base import StreamLog
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ClientToolCallItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)
from chatkit.web import create_app

if TYPE_CHECKING:
    from chatkit.server.turns.registry import ConcurrencyPolicy

__all__ = ["Teller", "app"]


class Teller(ChatKitServer[dict[str, str]]):
    """Sends the words of a :class:`Telling`, one by one."""

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: dict[str, str], /
    ) -> AsyncIterator[ThreadStreamEvent]:
        if input_user_message is None:
            telling = await self._asked_by_output(thread, context)
        else:
            telling = Telling.parse("".join(part.text for part in input_user_message.content))
        async for event in _tell(telling, thread):
            yield event

    async def action(
        self, thread: ThreadMetadata, action: Any, sender: Any, context: dict[str, str], /
    ) -> AsyncIterator[ThreadStreamEvent]:
        async for event in _tell(Telling.parse(action.payload["telling"]), thread):
            yield event

    async def _asked_by_output(self, thread: ThreadMetadata, context: dict[str, str]) -> Telling:
        page = await self.store.load_thread_items(thread.id, None, 10, "desc", context)
        for item in page.data:
            if isinstance(item, ClientToolCallItem) and item.status == "completed":
                output: Any = item.output
                return Telling.parse(output["telling"])
        raise RuntimeError(f"Thread {thread.id} has no output of a tool.")

    def dump_context(self, context: dict[str, str]) -> Any:
        return context

    def load_context(self, data: Any) -> dict[str, str]:
        return data


async def _tell(telling: Telling, thread: ThreadMetadata) -> AsyncIterator[ThreadStreamEvent]:
    item_id = new_id("message")

    def item(text: str) -> AssistantMessageItem:
        content = [AssistantMessageContent(text=text)]
        return AssistantMessageItem(id=item_id, thread_id=thread.id, content=content)

    yield ThreadItemAddedEvent(item=item(""))
    loop = asyncio.get_running_loop()
    due = loop.time()
    for word in telling.words():
        # Paced as a model paces: a worker that stood still finds all that has come meanwhile.
        due += telling.pause
        if (wait := due - loop.time()) > 0:
            await asyncio.sleep(wait)
        yield ThreadItemUpdatedEvent(
            item_id=item_id, update=AssistantMessageContentPartTextDelta(content_index=0, delta=word)
        )
    yield ThreadItemDoneEvent(item=item(telling.text()))
    if telling.tool:
        call = {"seed": telling.seed}
        yield ThreadItemDoneEvent(
            item=ClientToolCallItem(
                id=new_id("tool_call"),
                thread_id=thread.id,
                call_id=new_id("call"),
                name="look",
                arguments=call,
            )
        )


def _store() -> SQLiteStore[dict[str, str]] | PostgresStore[dict[str, str]]:
    if "CHAOS_SQLITE" in os.environ:
        return SQLiteStore(os.environ["CHAOS_SQLITE"])
    return PostgresStore(
        os.environ["CHAOS_POSTGRES"],
        max_connections=8,
        reconnect_timeout=float(os.environ.get("CHAOS_RECONNECT", "5")),
        acquire_timeout=max(10.0, float(os.environ.get("CHAOS_RECONNECT", "5"))),
    )


def _log(store: SQLiteStore[dict[str, str]] | PostgresStore[dict[str, str]]) -> StreamLog:
    lease = float(os.environ.get("CHAOS_LEASE", "10"))
    if isinstance(store, SQLiteStore):
        return SQLiteStreamLog(store.database, lease=lease)
    if "CHAOS_REDIS" in os.environ:
        from chatkit.streams import RedisStreamLog

        return RedisStreamLog(os.environ["CHAOS_REDIS"], lease=lease)
    from chatkit.streams import PostgresStreamLog

    return PostgresStreamLog(os.environ["CHAOS_POSTGRES"], lease=lease)


def _context(request: Request) -> dict[str, str]:
    return {"user_id": request.headers["x-user"]}


def app() -> Any:
    """Returns the ASGI application; uvicorn calls it in each worker."""
    store = _store()
    teller = planted(Teller, os.environ.get("CHAOS_PLANT", ""))
    server = teller(
        store,
        stream_log=_log(store),
        concurrency=cast("ConcurrencyPolicy", os.environ.get("CHAOS_CONCURRENCY", "allow")),
        rerun_on_crash=int(os.environ.get("CHAOS_RERUN", "0")),
    )
    drain = float(os.environ.get("CHAOS_DRAIN", "0"))
    # The workers are processes of their own, which uvicorn's command line does not tell.
    return create_app(server, context=_context, workers=3, drain_seconds=drain)
