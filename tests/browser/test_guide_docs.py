"""The pages of docs/sign-in.md, docs/embed.md and docs/element.md, as they stand there, over servers of the guides."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Route as Interception
from playwright.sync_api import expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from chatkit.demo import GuideServer
from chatkit.store import MemoryStore
from chatkit.web import bearer, create_app, single_user, ui_routes
from tests.browser.chat_page import ChatPage
from tests.browser.conftest import OpenPage
from tests.browser.stock.build import FOLDER, VERSIONS, check_types
from tests.support.live_server import live_server, server_process

DOCS = Path(__file__).parents[2] / "docs"
ICON = '<link rel="icon" href="data:,">'


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@contextmanager
def programs(page: str, target: str, folder: Path) -> Iterator[str]:
    """Serves an application of a guide's blocks; yields its address."""
    for block in blocks(page, "python"):
        if name := re.match(r"# (\w+\.py)\n", block):
            (folder / name[1]).write_text(block)
    with server_process(target, folder=folder, environment=dict(os.environ)) as server:
        yield server.url


def show(chat: ChatPage, url: str, html: str) -> None:
    """Opens a page of the origin of a server which does not have it."""
    page = html.replace("<title>", f"{ICON}<title>")

    def answer(route: Interception) -> None:
        route.fulfill(body=page, content_type="text/html")

    chat.page.route(f"{url}/page", answer)
    chat.page.goto(f"{url}/page")


@pytest.mark.parametrize("number", [0, 1], ids=["getClientSecret", "fetch"])
def test_a_page_signs_in_by_token_and_gets_another_one(
    number: int, open_page: OpenPage, tmp_path: Path
) -> None:
    pages = blocks("sign-in.md", "html")
    assert len(pages) == 2
    with programs("sign-in.md", "tokens_app:app", tmp_path) as url:
        chat = open_page("about:blank")
        tokens: list[str] = []

        def note(route: Interception) -> None:
            tokens.append(route.request.headers.get("authorization", ""))
            route.continue_()

        chat.page.route("**/chatkit", note)
        asked: list[str] = []
        chat.page.on(
            "request", lambda request: asked.append(request.url) if "/token" in request.url else None
        )
        chat.page.context.add_cookies([{"name": "user", "value": "ada", "url": url}])
        show(chat, url, pages[number])
        chat.send("Hello")
        chat.until_idle()
        assert "Good morning, ada." in chat.text()
        assert len(asked) == 1
        assert {token.partition(" ")[0] for token in tokens} == {"Bearer"}

        # The server has forgotten what it signed with, as after the token's time: the page gets another one, once.
        refused: list[bool] = []

        def refuse(route: Interception) -> None:
            if refused:
                route.fallback()
                return
            refused.append(True)
            route.fulfill(status=401, json={"error": {"code": "unauthenticated", "message": "Expired."}})

        chat.page.route("**/chatkit", refuse)
        chat.send("Again")
        chat.until_idle()
        expect(chat.answers).to_have_count(2)
        assert refused
        assert len(asked) == 2
        # The browser itself tells of the answer that was refused.
        chat.errors[:] = [error for error in chat.errors if "401" not in error]


def test_a_panel_keeps_its_thread(open_page: OpenPage) -> None:
    (html,) = blocks("embed.md", "html")
    app = create_app(GuideServer(MemoryStore(), delay=0.0), context=single_user(), routes=ui_routes())
    with live_server(app) as server:
        chat = open_page("about:blank")
        show(chat, server.url, html)
        expect(chat.element).to_be_hidden()
        chat.page.get_by_role("button", name="Ask us").click()
        expect(chat.input).to_be_focused()
        box = chat.element.bounding_box()
        assert box is not None
        assert (box["width"], box["height"]) == (384, 576)
        chat.send("long 20")
        chat.until_idle()
        chat.page.get_by_role("button", name="Ask us").click()
        expect(chat.element).to_be_hidden()
        chat.page.reload()
        chat.page.get_by_role("button", name="Ask us").click()
        expect(chat.answers).to_have_count(1)
        assert chat.text().count("of 20") == 20


def test_a_page_under_a_policy_with_a_nonce(open_page: OpenPage, tmp_path: Path) -> None:
    with programs("embed.md", "framed:app", tmp_path) as url:
        chat = open_page("about:blank")
        chat.page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        chat.page.goto(f"{url}/shop")
        chat.send("long 20")
        chat.until_idle()
        # What the policy refuses is an error of the page, which fails the test.
        assert chat.text().count("of 20") == 20
        box = chat.element.bounding_box()
        assert box is not None
        assert box["height"] == pytest.approx(0.9 * 760)


TWO_ORIGINS = """<!doctype html>
<html lang="en">
  <title>Shop</title>
  <script src="CHAT/chatkit.js" async></script>
  <openai-chatkit id="chat"></openai-chatkit>
  <script type="module" nonce="of-a-test">
    await customElements.whenDefined("openai-chatkit");
    document.getElementById("chat").setOptions({ api: { url: "CHAT/chatkit", getClientSecret: async () => "ada" } });
  </script>
</html>"""


def test_a_page_of_another_origin_needs_what_the_table_says(open_page: OpenPage) -> None:
    chat_url = ""

    async def page(request: Request) -> Response:
        policy = (
            f"default-src 'none'; script-src {chat_url} 'nonce-of-a-test'; connect-src {chat_url}; "
            "img-src 'self' https: data: blob:; require-trusted-types-for 'script'; trusted-types lit-html"
        )
        html = TWO_ORIGINS.replace("CHAT", chat_url).replace("<title>", f"{ICON}<title>")
        return HTMLResponse(html, headers={"Content-Security-Policy": policy})

    with live_server(Starlette(routes=[Route("/shop", page)])) as shop:
        app = create_app(
            GuideServer(MemoryStore(), delay=0.0),
            context=bearer(lambda token: {"user_id": token}),
            cors_origins=[shop.url],
            routes=ui_routes(),
        )
        with live_server(app) as server:
            chat_url = server.url
            chat = open_page(f"{shop.url}/shop")
            # What is loaded later comes with the second and the third; a refusal would be an error of the page.
            for number, text in enumerate(("long 20", "markdown", "widget"), start=1):
                chat.send(text)
                chat.until_idle()
                expect(chat.answers).to_have_count(number)


def test_the_options_of_the_reference(open_page: OpenPage) -> None:
    (html,) = blocks("element.md", "html")
    app = create_app(GuideServer(MemoryStore(), delay=0.0), context=single_user(), routes=ui_routes())
    with live_server(app) as server:
        chat = open_page("about:blank")
        warnings: list[str] = []
        chat.page.on("console", lambda message: warnings.append(message.text))
        show(chat, server.url, html)
        expect(chat.element.get_by_text("Which tea?")).to_be_visible()
        expect(chat.element.get_by_text("Answers may be wrong.")).to_be_visible()
        expect(chat.element.get_by_role("button", name="What is new?")).to_be_visible()
        expect(chat.element.get_by_role("button", name="Search the shop")).to_be_visible()
        chat.input.press_sequentially("@gr")
        expect(chat.element.get_by_text("Green tea")).to_be_visible()
        chat.input.press("Escape")
        chat.input.fill("")
        chat.send("help")
        chat.until_idle()
        expect(chat.page.locator("body.answered")).to_have_count(1)
        expect(chat.element.get_by_role("button", name="Good answer")).to_have_count(1)
        assert [warning for warning in warnings if "is not known" in warning] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_components_fit_the_types(version: str, tmp_path: Path) -> None:
    files = []
    for number, block in enumerate(blocks("embed.md", "tsx")):
        files.append(str(tmp_path / f"block_{number}.tsx"))
        Path(files[-1]).write_text(block, encoding="utf-8")
    assert files
    project = {"extends": str(FOLDER / version / "tsconfig.json"), "files": files}
    (tmp_path / "tsconfig.json").write_text(json.dumps(project))
    assert check_types(version, tmp_path) == ""
