"""The sign-in of the compose demonstration: two browsers, two names, and each sees their own threads."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.support.live_server import running_process
from tests.support.postgres import postgres_server

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def test_who_picks_a_name_is_that_user(open_page: OpenPage) -> None:
    with postgres_server() as postgres:
        variables = {
            "CHATKIT_TRIAL": "1",
            "CHATKIT_SECRET": "a secret of the tests " * 2,
            "DATABASE_URL": postgres.url,
        }
        command = [
            "uvicorn",
            "--factory",
            "application:app",
            "--port",
            "0",
            "--timeout-graceful-shutdown",
            "2",
        ]
        with running_process(
            *command, folder=DEPLOY, environment=variables, says="Uvicorn running on"
        ) as server:
            for name, before in (("Ada", 0), ("Grace", 0), ("Ada", 1)):
                chat = open_page("about:blank")
                chat.page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
                chat.page.goto(server.url)
                chat.page.get_by_role("textbox", name="Name").fill(name)
                chat.page.get_by_role("button", name="Sign in").click()
                chat.page.wait_for_url("**/chat/")
                expect(chat.sidebar.locator("li.thread")).to_have_count(before)
                chat.send("help")
                chat.until_idle()
                expect(chat.sidebar.locator("li.thread")).to_have_count(before + 1)
                chat.page.goto(server.url)
                expect(chat.page.get_by_text(f"You are {name}")).to_be_visible()

            # The page leads there, and back to where it was.
            chat = open_page("about:blank")
            chat.page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
            chat.page.goto(f"{server.url}/chat/?theme=dark")
            chat.sidebar.get_by_role("link", name="Sign in").click()
            chat.page.get_by_role("textbox", name="Name").fill("Ada")
            chat.page.get_by_role("button", name="Sign in").click()
            chat.page.wait_for_url("**/chat/?theme=dark")
            expect(chat.sidebar.locator("li.thread")).to_have_count(2)
            chat.errors.clear()
            for elsewhere in ("https://evil.example/", "//evil.example/", "/\\evil.example"):
                chat.page.goto(f"{server.url}/?next={quote(elsewhere, safe='')}")
                chat.page.get_by_role("textbox", name="Name").fill("Ada")
                chat.page.get_by_role("button", name="Sign in").click()
                chat.page.wait_for_url(f"{server.url}/chat/")
                expect(chat.sidebar.locator("li.thread")).to_have_count(2)
