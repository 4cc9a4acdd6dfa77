"""``chatkit stock-check``, with our element in the place of the stock one, and a test as the person at the page."""

from __future__ import annotations

import hashlib
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from starlette.applications import Starlette

from chatkit.web import ui_routes
from chatkit.web.ui import STATIC
from tests.browser.chat_page import ChatPage
from tests.browser.conftest import OpenPage
from tests.cli.processes import Serving, completed, environment, started
from tests.support.live_server import live_server
from tests.support.scale import scaled

pytestmark = pytest.mark.timeout(400)
STEPS = 15


@dataclass
class Check:
    """A running command.

    Attributes:
        url: Of its page.
        printed: What it printed, once it has ended.
    """

    url: str
    printed: str = field(default="", init=False)


@contextmanager
def checking(folder: Path, script: str) -> Iterator[Check]:
    command = ("stock-check", "--script", script, "--port", "0")
    with started(*command, folder=folder, env=environment()) as process:
        running = Serving(process)
        try:
            running.wait()
            check = Check(running.url)
            yield check
        finally:
            os.killpg(process.pid, signal.SIGINT)
            done = completed(process, timeout=scaled(20))
    check.printed = done.stdout
    assert done.stderr == ""


def asked(page: Page, words: str) -> None:
    expect(page.locator("#now")).to_contain_text(words, timeout=scaled(60_000))


def results(page: Page) -> dict[str, str]:
    asked(page, "Done")
    rows = page.locator("#steps tr")
    return {
        rows.nth(number).locator("td").first.inner_text().removesuffix(" by hand"): str(
            rows.nth(number).get_attribute("class")
        )
        for number in range(rows.count())
    }


def begin(chat: ChatPage) -> None:
    chat.page.get_by_role("button", name="Start", exact=True).click()
    asked(chat.page, "first lines of an answer")


def go(chat: ChatPage) -> None:
    """Does what the page asks of a person."""
    begin(chat)
    expect(chat.answers.last).to_contain_text("of 30")
    chat.page.get_by_role("button", name="Yes").click()
    asked(chat.page, "stop button")
    chat.stop_button.click()
    asked(chat.page, "One more")
    chat.element.get_by_role("button", name="One more").last.click()
    asked(chat.page, "send button")
    chat.send_button.click()
    asked(chat.page, "retry button")
    chat.element.get_by_role("button", name="Answer again").last.click()
    asked(chat.page, "thumbs up")
    chat.element.get_by_role("button", name="Good answer").last.click()
    asked(chat.page, "Done")


def test_every_step_passes_with_our_element(open_page: OpenPage, tmp_path: Path) -> None:
    with checking(tmp_path, "/chatkit.js") as check:
        chat = open_page(check.url)
        go(chat)
        assert list(results(chat.page).values()) == ["passed"] * STEPS
        report = chat.page.get_by_label("Report").input_value()
    assert report in check.printed
    assert f": {STEPS} passed, 0 failed\n" in report
    assert re.search(
        r"^- Version: chatkit-server \S+, SHA-256 [0-9a-f]{64}, \d+ bytes$", report, re.MULTILINE
    )
    assert "| Stop | passed | turns.stop arrived, the first part of the answer is stored |" in report


def test_what_a_person_does_not_see_or_cannot_press_fails(open_page: OpenPage, tmp_path: Path) -> None:
    # From another origin, as the stock script comes.
    elsewhere = live_server(Starlette(routes=ui_routes()))
    with elsewhere as cdn, checking(tmp_path, f"{cdn.url}/chatkit.js") as check:
        chat = open_page(check.url)
        begin(chat)
        chat.page.get_by_role("button", name="No", exact=True).click()
        for words in ("stop button", "One more", "send button", "retry button", "thumbs up"):
            asked(chat.page, words)
            chat.page.get_by_role("button", name="I cannot do this").click()
        found = results(chat.page)
    by_hand = ("Streaming", "Stop", "A widget's button", "An attachment", "Retry", "Feedback")
    assert {name for name, result in found.items() if result == "failed"} == set(by_hand)
    assert f": {STEPS - len(by_hand)} passed, {len(by_hand)} failed" in check.printed
    assert "given up: the server gets items.feedback" in check.printed
    digest = hashlib.sha256((STATIC / "chatkit.js").read_bytes()).hexdigest()
    assert re.search(rf"^- Version: .*SHA-256 {digest}, \d+ bytes$", check.printed, re.MULTILINE)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "the script cannot be loaded"), ("", "not within 30 s: the script defines openai-chatkit")],
)
def test_without_an_element_there_is_nothing_to_go_on_with(
    open_page: OpenPage, tmp_path: Path, content: str | None, reason: str
) -> None:
    with checking(tmp_path, "/nothing.js") as check:
        chat = open_page(check.url)
        if content is not None:
            chat.page.route("**/nothing.js", lambda route: route.fulfill(body=content))
        chat.page.clock.install()
        chat.page.get_by_role("button", name="Start", exact=True).click()
        chat.page.clock.run_for(31_000)
        asked(chat.page, "Done: 0 passed, 1 failed")
        chat.errors.clear()
    assert f"| Start | failed | {reason}" in check.printed
    assert "- Version: unknown, the server could not read the script" in check.printed
