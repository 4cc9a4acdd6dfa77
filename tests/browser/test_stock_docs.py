"""The pages and components of docs/ui-stock.md, as they stand there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from chatkit.demo import GuideServer
from chatkit.store import MemoryStore
from chatkit.web import create_app, single_user, ui_routes
from tests.browser.conftest import OpenPage
from tests.browser.stock.build import FOLDER, VERSIONS, check_types
from tests.support.live_server import live_server

TEXT = (Path(__file__).parents[2] / "docs" / "ui-stock.md").read_text(encoding="utf-8")
STOCK = "https://cdn.platform.openai.com/deployments/chatkit/chatkit.js"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_there_are_blocks() -> None:
    assert (len(blocks("html")), len(blocks("tsx"))) == (2, 2)


@pytest.mark.parametrize("number", [0, 1])
def test_pages(open_page: OpenPage, number: int) -> None:
    # The stock element was not available, so ours takes its place in the page that keeps it.
    html = blocks("html")[number].replace(STOCK, "/chatkit.js")
    html = html.replace("<title>", '<link rel="icon" href="data:,"><title>')

    async def page(request: Request) -> Response:
        return HTMLResponse(html)

    app = create_app(
        GuideServer(MemoryStore(), delay=0.0),
        context=single_user(),
        routes=[Route("/page", page), *ui_routes()],
    )
    with live_server(app) as live:
        chat = open_page(f"{live.url}/page")
        chat.send("long 20")
        chat.until_idle()
        assert chat.text().count("of 20") == 20


@pytest.mark.parametrize("version", VERSIONS)
def test_components_fit_the_types(version: str, tmp_path: Path) -> None:
    files = []
    for number, block in enumerate(blocks("tsx")):
        files.append(str(tmp_path / f"block_{number}.tsx"))
        Path(files[-1]).write_text(block, encoding="utf-8")
    project = {"extends": str(FOLDER / version / "tsconfig.json"), "files": files}
    (tmp_path / "tsconfig.json").write_text(json.dumps(project))
    assert check_types(version, tmp_path) == ""
