"""What the fuzz talks to: a chat over the database of ``FUZZ_DB``, which measures how long its loop is held.

``POST /fuzz/seed?owner=`` stores what the requests name, ``GET /fuzz/figures`` tells what was measured.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from chatkit.files import LocalFileStore
from chatkit.store import PostgresStore, SQLiteStore, Store
from chatkit.types import (
    AudioInput,
    ClientToolCallItem,
    SyncCustomActionResponse,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    TranscriptionResult,
    WidgetItem,
)
from chatkit.web import create_app
from tests.web.bad_requests import seed
from tests.web.sample import SampleServer

TICK = 0.002
"""Seconds between two looks at the clocks."""


class Monitor:
    """Looks at the clocks of the loop's thread at each tick.

    What the thread computed between two ticks is what the loop was held for, however busy the machine is.
    """

    def __init__(self) -> None:
        self.request = ""
        self.worst: list[tuple[float, float, str]] = []

    async def run(self) -> None:
        wall, cpu = time.perf_counter(), time.thread_time()
        while True:
            await asyncio.sleep(TICK)
            now, spent = time.perf_counter(), time.thread_time()
            held = spent - cpu
            if len(self.worst) < 10 or held > self.worst[-1][0]:
                self.worst.append((held, now - wall - TICK, self.request))
                self.worst.sort(reverse=True)
                del self.worst[10:]
            wall, cpu = now, spent


class FuzzServer(SampleServer):
    """Handles every type of request."""

    async def action(
        self, thread: ThreadMetadata, action: Any, sender: WidgetItem | None, context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        async for event in self.respond(thread, None, context):
            yield event

    async def sync_action(self, thread: Any, action: Any, sender: WidgetItem | None, context: Any) -> Any:
        return SyncCustomActionResponse(updated_item=sender)

    async def transcribe(self, audio_input: AudioInput, context: Any) -> TranscriptionResult:
        return TranscriptionResult(text=f"{len(audio_input.data)} bytes")

    async def add_feedback(self, thread_id: str, item_ids: list[str], feedback: Any, context: Any) -> None:
        assert len(set(item_ids)) == len(item_ids)


def make_store() -> Store[Any]:
    place = os.environ["FUZZ_DB"]
    return PostgresStore(place) if place.startswith("postgresql:") else SQLiteStore(place)


def make_application() -> ASGIApp:
    store, monitor = make_store(), Monitor()
    files = LocalFileStore(Path(os.environ["FUZZ_FILES"]), secret=b"of the fuzz, 32 bytes or longer!!")

    async def seeding(request: Request) -> Response:
        owner = request.query_params["owner"]
        await seed(store, owners=(owner, f"other {owner}"))
        context = {"user_id": owner}
        await store.save_thread(ThreadMetadata(id="thr_call"), context)
        call = ClientToolCallItem(
            id="itm_pending", thread_id="thr_call", call_id="c", name="locate", arguments={}
        )
        await store.add_thread_item("thr_call", ThreadItemDoneEvent(item=call).item, context)
        return JSONResponse({})

    async def figures(request: Request) -> Response:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        worst = [{"held": held, "late": late, "request": number} for held, late, number in monitor.worst]
        return JSONResponse({"worst": worst, "memory": pages * os.sysconf("SC_PAGE_SIZE")})

    async def reset(request: Request) -> Response:
        monitor.worst.clear()
        return JSONResponse({})

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        watching = asyncio.create_task(monitor.run())
        try:
            yield
        finally:
            watching.cancel()

    app = create_app(
        FuzzServer(store, files),
        context=lambda request: {"user_id": request.headers["x-owner"]},
        workers=1,
        routes=[
            Route("/fuzz/seed", seeding, methods=["POST"]),
            Route("/fuzz/figures", figures),
            Route("/fuzz/reset", reset, methods=["POST"]),
        ],
        lifespan=lifespan,
    )

    async def numbered(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            monitor.request = dict(scope["headers"]).get(b"x-number", b"").decode()
        await app(scope, receive, send)

    return numbered
