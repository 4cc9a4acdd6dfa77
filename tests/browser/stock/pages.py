"""Pages that were made for the stock element, served with our script in its place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from tests.browser.chat_page import ChatPage

__all__ = ["StockPage", "opened", "page_routes"]

_STOCK = "https://cdn.platform.openai.com/deployments/chatkit/chatkit.js"
_SCRIPT = re.compile(rf'<script src="{re.escape(_STOCK)}" async></script>')


def page_routes(name: str, folder: Path, script: str = "/chatkit.js") -> list[BaseRoute]:
    """Serves a page with our script in the place of the stock one; with ``?late`` it has none yet."""
    html = (folder / "index.html").read_text(encoding="utf-8")
    assert len(_SCRIPT.findall(html)) == html.count(_STOCK) == 1

    async def page(request: Request) -> Response:
        if "late" in request.query_params:
            return HTMLResponse(_SCRIPT.sub("", html))
        return HTMLResponse(html.replace(_STOCK, script))

    routes: list[BaseRoute] = [Route(f"/{name}/", page)]
    if (folder / "assets").is_dir():
        routes.append(Mount(f"/{name}/assets", StaticFiles(directory=folder / "assets")))
    return routes


@dataclass
class StockPage:
    """A page with the element and the hooks that its application offers to tests."""

    chat: ChatPage

    def run(self, script: str, argument: Any = None) -> Any:
        return self.chat.page.evaluate(script, argument)

    @property
    def events(self) -> list[tuple[str, Any]]:
        return [(name, detail) for name, detail in self.run("seen")]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    def until(self, name: str, times: int = 1) -> None:
        self.chat.page.wait_for_function(
            "([name, times]) => seen.filter(event => event[0] === name).length >= times", arg=[name, times]
        )

    def forget(self) -> None:
        self.run("seen.length = 0")


def opened(chat: ChatPage) -> StockPage:
    found = StockPage(chat)
    found.chat.page.wait_for_function("window.chat")
    found.until("ready")
    return found
