"""A real browser, and pages in it that fail the test when they log an error."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")
from playwright.sync_api import Browser, ConsoleMessage, Error, expect, sync_playwright

from chatkit.web import ui_is_built
from tests.browser.chat_page import ChatPage
from tests.browser.scripted import Scripted, scripted_server
from tests.support.scale import scaled

OpenPage = Callable[..., ChatPage]

expect.set_options(timeout=scaled(5_000))


def find_chromium() -> str | None:
    """Returns the path of Chromium, None if there is none; ``CHATKIT_TEST_CHROMIUM`` names another one."""
    given = os.environ.get("CHATKIT_TEST_CHROMIUM")
    names = (
        "chromium-headless-shell",
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
    )
    return given or next((found for name in names if (found := shutil.which(name))), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lets a test of this folder fail twice before it counts: a browser on a busy machine may be late for anything."""
    for item in items:
        if "/tests/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.flaky(reruns=2))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Returns Chromium; ``CHATKIT_TEST_CHROMIUM`` names another one than that of the system.

    Playwright has an event loop running in this thread while it is open, so that asynchronous tests of other folders
    could not run: no test outside of a module's own may find it open.
    """
    path = find_chromium()
    if path is None:
        pytest.skip("there is no Chromium; install it, or name it in CHATKIT_TEST_CHROMIUM")
    if not ui_is_built():
        pytest.skip("the user interface is not built; run scripts/ui")
    options = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        # A microphone that beeps, and that nobody has to allow.
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
    ]
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=options)
        try:
            yield found
        finally:
            found.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    """Returns a server whose answers a test orders by words, and that fails when told to."""
    with scripted_server(tmp_path_factory.mktemp("files")) as running:
        yield running


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Returns a function that opens an address in a context of its own.

    What a page logs as an error fails the test, refusals of its content security policy among it; a test that means to
    make something fail empties ``errors`` of the page.
    """
    pages: list[ChatPage] = []

    def open_(url: str, **options: Any) -> ChatPage:
        context = browser.new_context(
            **{"viewport": {"width": 1100, "height": 760}, "locale": "en-US", **options}
        )
        context.set_default_timeout(scaled(20_000))
        page = context.new_page()
        chat = ChatPage(page)

        def note(message: ConsoleMessage) -> None:
            if message.type == "error":
                chat.errors.append(message.text)

        def note_error(error: Error) -> None:
            chat.errors.append(str(error))

        page.on("console", note)
        page.on("pageerror", note_error)
        pages.append(chat)
        page.goto(url)
        return chat

    yield open_
    for chat in pages:
        chat.page.context.close()
    assert [error for chat in pages for error in chat.errors] == []
