"""One of several workers that serve one database: run as a program, with the database as its argument.

Reads requests, one JSON text a line, and answers each with a line: ``done``, or the name of the error. A turn that is
planned says so first and waits for a line. ``edit FIELD N`` changes one field of thread ``thr`` N times, and answers
``lost`` as soon as a change of its own is not there any more, else ``kept``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

from chatkit.actions import Action
from chatkit.errors import RequestError
from chatkit.server import ChatKitServer, StreamingResult
from chatkit.store import PostgresStore, SQLiteStore
from chatkit.types import (
    LockedStatus,
    StreamOptions,
    SyncCustomActionResponse,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
    WidgetItem,
)

CONTEXT = {"user_id": "alice"}


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def value_of(field: str, number: int) -> Any:
    return {
        "title": f"Title {number}",
        "metadata": {"number": number},
        "allowed_image_domains": [f"{number}.example.com"],
        "status": LockedStatus(reason=f"Reason {number}"),
    }[field]


class Worker(ChatKitServer[Any]):
    def get_stream_options(self, thread: ThreadMetadata, context: Any) -> StreamOptions:
        # Asked for while the turn is planned: what the plan rests on is loaded, nothing is written yet.
        tell("planned")
        sys.stdin.readline()
        return StreamOptions(allow_cancel=True)

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        return
        yield

    async def sync_action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: Any
    ) -> SyncCustomActionResponse:
        setattr(thread, action.type, value_of(action.type, action.payload))
        return SyncCustomActionResponse()


async def request(server: Worker, body: str) -> str:
    try:
        result = await server.process(body, CONTEXT)
    except RequestError as error:
        return type(error).__name__
    if isinstance(result, StreamingResult):
        async for _ in result:
            pass
    return "done"


async def edit(server: Worker, field: str, count: int) -> str:
    for number in range(count):
        action = {"type": field, "payload": number}
        params = {"thread_id": "thr", "item_id": None, "action": action}
        await server.process(json.dumps({"type": "threads.sync_custom_action", "params": params}), CONTEXT)
        if getattr(await server.store.load_thread("thr", CONTEXT), field) != value_of(field, number):
            return "lost"
    return "kept"


async def main(place: str) -> None:
    store = PostgresStore[Any](place) if "://" in place else SQLiteStore[Any](place)
    server = Worker(store)
    await store.check()
    tell("ready")
    loop = asyncio.get_running_loop()
    while line := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        verb, _, rest = line.partition(" ")
        if verb == "edit":
            field, count = rest.split()
            tell(await edit(server, field, int(count)))
        else:
            tell(await request(server, line))
    await server.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
