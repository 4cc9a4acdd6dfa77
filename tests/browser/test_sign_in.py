"""Who is signed out finds the sign-in on the page, and comes back to it; a title that is made late is seen."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import expect
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from chatkit.errors import AuthenticationError, PermissionDeniedError
from chatkit.server import ChatKitServer
from chatkit.store import MemoryStore
from chatkit.types import ThreadMetadata, UserMessageItem
from chatkit.web import ChatPage, create_app
from tests.browser.conftest import OpenPage
from tests.support.live_server import live_server
from tests.support.scale import scaled

Context = dict[str, str]
SIGN_IN = "Sign in"
LOCKED_OUT = re.compile("Pick a name first")


class LateTitles(ChatKitServer[Context]):
    """Answers at once; the title is there a moment after the answer."""

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: Context
    ) -> AsyncIterator[str]:
        if thread.title is None:
            self.set_title_beside(thread, self.make_title(), context)
        yield "Good morning."

    async def make_title(self) -> str:
        await asyncio.sleep(0.5)  # A model, which takes longer than the answer.
        return "A late title"


def user_of(request: Request) -> Context:
    user = request.cookies.get("user")
    if user is None:
        raise AuthenticationError("Pick a name first.")
    if user == "eve":
        raise PermissionDeniedError("You may not use this chat.")
    return {"user_id": user}


async def sign_in(request: Request) -> Response:
    if request.method == "GET":
        # With a form, as sign-ins have it: nobody is signed in by a link alone.
        return HTMLResponse('<form method="post"><button>I am Ada</button></form>')
    answer = RedirectResponse(request.query_params["next"], 303)
    answer.set_cookie("user", "ada", httponly=True, samesite="lax")
    return answer


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    app = create_app(
        LateTitles(MemoryStore()),
        context=user_of,
        ui=ChatPage(sign_in_url="/sign-in"),
        routes=[
            Route("/sign-in", sign_in, methods=["GET", "POST"]),
            Route("/favicon.ico", lambda request: Response(status_code=204)),
        ],
    )
    with live_server(app) as server:
        yield server.url


def test_a_sign_in_leads_there_and_back(open_page: OpenPage, url: str) -> None:
    chat = open_page(f"{url}/?locale=en")
    address = f"/sign-in?next={quote('/?locale=en', safe='')}"
    expect(chat.sidebar.get_by_role("link", name=SIGN_IN)).to_have_attribute("href", address)
    chat.send("Good morning")
    expect(chat.element.get_by_role("alert")).to_contain_text(LOCKED_OUT)
    link = chat.element.get_by_role("link", name=SIGN_IN)
    expect(link).to_have_attribute("href", address)
    colors = link.evaluate(
        "element => [getComputedStyle(element).color, getComputedStyle(element).backgroundColor]"
    )
    assert colors[0] != colors[1], "The words are seen."
    link.click()
    chat.page.get_by_role("button", name="I am Ada").click()
    chat.page.wait_for_url(f"{url}/?locale=en")
    expect(chat.sidebar.get_by_text("No conversations yet.")).to_be_visible()
    expect(chat.sidebar.get_by_role("link", name=SIGN_IN)).to_have_count(0)
    # What was written before is not lost.
    expect(chat.input).to_have_value("Good morning")
    assert any("401" in error for error in chat.errors)
    chat.errors.clear()


def test_nobody_is_led_to_a_sign_in_that_would_not_help(open_page: OpenPage, url: str) -> None:
    chat = open_page("about:blank")
    chat.page.context.add_cookies([{"name": "user", "value": "eve", "url": url}])
    chat.page.goto(url)
    chat.send("Good morning")
    expect(chat.element.get_by_text("You may not use this chat.")).to_be_visible()
    expect(chat.page.get_by_role("link", name=SIGN_IN)).to_have_count(0)
    assert all("403" in error for error in chat.errors)
    chat.errors.clear()


def test_a_title_that_is_made_after_the_answer_is_seen(open_page: OpenPage, url: str) -> None:
    chat = open_page("about:blank")
    chat.page.context.add_cookies([{"name": "user", "value": "grace", "url": url}])
    asked: list[Any] = []
    chat.page.goto(url)
    chat.page.on("request", lambda request: asked.append(request.post_data or ""))
    chat.send("Good morning")
    chat.until_idle()
    expect(chat.sidebar.locator("li.thread")).to_have_text("A late title", timeout=scaled(10_000))
    # It came by the answer's stream.
    assert not [body for body in asked if "threads.get_by_id" in body]
