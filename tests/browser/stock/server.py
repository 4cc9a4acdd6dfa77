"""An application with the guide on SQLite, our files, and a page with a client such as the stock element's."""

from __future__ import annotations

import asyncio
import os
import urllib.request
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from chatkit.demo import GuideServer
from chatkit.store import SQLiteStore, Store
from chatkit.types import ThreadMetadata, ThreadStreamEvent, UserMessageItem
from chatkit.web import create_app, ui_routes

__all__ = ["HeldServer", "hold", "make_app", "page_routes", "release"]

_HELD_AFTER = 12
_CLIENT = Path(__file__).with_name("recorded_client.js")
_PAGE = """<!doctype html><title>Client</title><link rel="icon" href="data:,">
<script type="module" src="/client.js"></script>"""


class HeldServer(GuideServer):
    """The guide, whose answers can be held in the middle, so that tests need not be faster than it."""

    def __init__(self, store: Store[Any], **options: Any) -> None:
        super().__init__(store, **options)
        self._gate = asyncio.Event()
        self._gate.set()

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        count = 0
        async with aclosing(super().respond(thread, input, context)) as events:
            async for event in events:
                yield event
                count += 1
                if count == _HELD_AFTER:
                    await self._gate.wait()

    def routes(self) -> list[Route]:
        """Where a test asks for it."""

        async def hold(request: Request) -> Response:
            self._gate.clear()
            return Response()

        async def release(request: Request) -> Response:
            self._gate.set()
            return Response()

        return [Route("/hold", hold, methods=["POST"]), Route("/release", release, methods=["POST"])]


def hold(url: str) -> None:
    """Holds the answers of the server at an address after their eleventh piece of text."""
    urllib.request.urlopen(f"{url}/hold", b"", timeout=20).close()


def release(url: str) -> None:
    """Lets the answers go on."""
    urllib.request.urlopen(f"{url}/release", b"", timeout=20).close()


def page_routes(api: str = "", module: str = "") -> list[Route]:
    """The page and its script: ``api`` and ``module`` say at which origins the endpoint and our module are."""

    async def page(request: Request) -> Response:
        return HTMLResponse(_PAGE)

    async def client(request: Request) -> Response:
        text = _CLIENT.read_text(encoding="utf-8")
        text = text.replace('"MODULE"', f'"{module}/resumable-fetch.js"').replace('"API"', f'"{api}/chatkit"')
        return Response(text, media_type="text/javascript")

    return [Route("/client", page), Route("/client.js", client)]


def make_app() -> Starlette:
    """Returns the application; ``TEST_DATABASE`` names its database. For uvicorn's ``--factory``."""
    store: SQLiteStore[Any] = SQLiteStore(os.environ["TEST_DATABASE"], owner=lambda _context: "local")
    server = HeldServer(store, delay=0.01)
    routes = [*page_routes(), *server.routes(), *ui_routes()]
    # Pages of any origin talk to it, which `single_user()` refuses.
    return create_app(server, context=lambda _request: {"user_id": "local"}, cors_origins="*", routes=routes)
