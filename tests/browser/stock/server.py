"""An application with the guide on SQLite, our files, and a page with a client such as the stock element's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from chatkit.demo import GuideServer
from chatkit.store import SQLiteStore
from chatkit.web import create_app, single_user, ui_routes

__all__ = ["make_app", "page_routes"]

_CLIENT = Path(__file__).with_name("recorded_client.js")
_PAGE = """<!doctype html><title>Client</title><link rel="icon" href="data:,">
<script type="module" src="/client.js"></script>"""


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
    server = GuideServer(store, delay=0.01)
    return create_app(server, context=single_user(), cors_origins="*", routes=[*page_routes(), *ui_routes()])
