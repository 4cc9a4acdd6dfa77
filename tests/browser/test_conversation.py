"""The page of ``chatkit serve`` in a real browser, with the built-in guide on SQLite behind it."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.cli.processes import Serving, serving
from tests.support.scale import scaled

LINE = re.compile(r"Line (\d+) of (\d+)")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving("--port", "0", "--db", "chat.db", folder=tmp_path_factory.mktemp("page")) as running:
        yield running


@pytest.fixture
def url(server: Serving) -> str:
    return server.url.removesuffix("/chatkit") + "/"


def lines(text: str) -> list[int]:
    return [int(number) for number, _ in LINE.findall(text)]


def test_the_first_answer(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    expect(chat.element.get_by_role("heading", name="What can I help with today?")).to_be_visible()

    chat.send("help")
    expect(chat.bubbles).to_have_text(["help"])
    expect(chat.input).to_have_value("")
    chat.until_idle()

    expect(chat.answers).to_have_count(1)
    assert "No model answers here" in chat.text()
    expect(chat.element.get_by_role("button", name="Good answer")).to_be_visible()
    expect(chat.page).to_have_url(re.compile(r"\?thread=thr_"))


def test_a_prompt_of_the_start_screen_is_sent(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    chat.element.get_by_role("button", name="Show me some markdown").click()
    expect(chat.bubbles).to_have_text(["markdown"])
    chat.until_idle()
    expect(chat.answers.locator("table")).to_be_visible()


def test_a_reload_in_the_middle_goes_on(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    chat.send("long 60")
    expect(chat.answers.last).to_contain_text("Line 5 of 60")

    chat.page.reload()
    expect(chat.answers.last).to_contain_text("Line 5 of 60")
    expect(chat.stop_button).to_be_visible()
    chat.until_idle()

    assert lines(chat.text()) == list(range(1, 61))
    expect(chat.bubbles).to_have_text(["long 60"])


def test_stop_keeps_what_is_there(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    chat.send("long 2000")
    expect(chat.answers.last).to_contain_text("Line 3 of 2000")
    chat.stop_button.click()
    chat.until_idle()

    kept = lines(chat.text())
    assert 3 <= len(kept) < 2000
    expect(chat.element.get_by_role("alert")).to_have_count(0)
    chat.page.reload()
    expect(chat.answers).to_have_count(1)
    assert lines(chat.text()) == kept


def test_a_stop_before_the_thread_is_there(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    chat.send("long 2000")
    chat.stop_button.click(no_wait_after=True)
    chat.until_idle()
    expect(chat.element.get_by_role("alert")).to_have_count(0)
    chat.send("help")
    chat.until_idle()
    assert "No model answers here" in chat.text()


def test_another_thread_does_not_end_an_answer(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    chat.send("long 80")
    expect(chat.answers.last).to_contain_text("Line 2 of 80")
    chat.sidebar.get_by_role("button", name="New conversation", exact=True).first.click()
    expect(chat.element.get_by_role("heading", name="What can I help with today?")).to_be_visible()
    chat.sidebar.get_by_role("button", name="long 80", exact=True).first.click()
    chat.until_idle()
    assert lines(chat.text()) == list(range(1, 81))


def test_drafts_belong_to_their_thread(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    chat.send("hello")
    chat.until_idle()
    chat.input.fill("half a thought")
    chat.sidebar.get_by_role("button", name="New conversation", exact=True).first.click()
    expect(chat.input).to_have_value("")
    chat.page.go_back()
    expect(chat.input).to_have_value("half a thought")
    chat.page.reload()
    expect(chat.input).to_have_value("half a thought")


def test_threads_in_the_sidebar(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    chat.send("hello again")
    chat.until_idle()
    entry = chat.sidebar.get_by_role("listitem").filter(has=chat.page.locator("[aria-current=page]"))

    entry.get_by_role("button", name="Actions for").click()
    chat.sidebar.get_by_role("menuitem", name="Rename").click()
    chat.sidebar.get_by_role("textbox", name="Title").fill("A better name")
    chat.page.keyboard.press("Enter")
    expect(chat.element.get_by_role("heading", name="A better name")).to_be_visible()

    entry.get_by_role("button", name="Actions for").click()
    chat.sidebar.get_by_role("menuitem", name="Delete").click()
    chat.sidebar.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
    expect(chat.sidebar.get_by_role("button", name="A better name", exact=True)).to_have_count(0)
    expect(chat.element.get_by_role("heading", name="What can I help with today?")).to_be_visible()
    assert "thread=" not in chat.page.url


def test_a_failure_can_be_retried(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    chat.send("error")
    alert = chat.element.get_by_role("alert")
    expect(alert).to_be_visible()
    alert.get_by_role("button", name="Try again").click()
    expect(alert).to_have_count(0)
    chat.until_idle()
    expect(chat.answers).to_have_count(1)
    expect(chat.bubbles).to_have_text(["error"])


def test_questions_are_answered(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    chat.send("questions")
    chat.until_idle()
    chat.element.get_by_text("Tea", exact=True).click()
    chat.element.get_by_role("textbox", name="Why?").fill("It is warm")
    chat.element.get_by_role("button", name="Submit").click()
    expect(chat.answers.locator(".answered")).to_contain_text("It is warm")
    chat.until_idle()
    expect(chat.answers.last).to_contain_text("Tea")


def test_a_tool_of_the_page_runs(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    chat.send("tool")
    expect(chat.answers.last).to_contain_text("get_local_time answered", timeout=scaled(20_000))
    chat.until_idle()
    expect(chat.answers.last).to_contain_text("time_zone")


def test_a_locked_thread_says_why(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    chat.send("close")
    expect(chat.element.locator(".lock")).to_be_visible(timeout=scaled(20_000))
    expect(chat.input).to_have_count(0)


def test_the_view_follows_until_the_reader_scrolls_up(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    chat.send("long 200")
    expect(chat.answers.last).to_contain_text("Line 40 of 200")
    distance = "s => s.scrollHeight - s.scrollTop - s.clientHeight"
    scroller = chat.element.locator(".scroller")
    assert scroller.evaluate(distance) < 60
    jump = chat.element.get_by_role("button", name="Jump to the latest message")
    expect(jump).to_have_count(0)

    scroller.hover()
    chat.page.mouse.wheel(0, -400)
    expect(jump).to_be_visible()
    top = scroller.evaluate("s => s.scrollTop")
    expect(chat.answers.last).to_contain_text("Line 80 of 200")
    assert abs(scroller.evaluate("s => s.scrollTop") - top) < 2
    jump.click()
    expect(jump).to_have_count(0)
    chat.stop_button.click()
    chat.until_idle()
    assert scroller.evaluate(distance) < 60


def test_offline_and_back(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    chat.page.context.set_offline(True)
    chat.send("help")
    alert = chat.element.get_by_role("alert")
    expect(alert).to_contain_text("The server cannot be reached")
    expect(chat.bubbles).to_have_text(["help"])
    chat.errors.clear()
    chat.page.context.set_offline(False)
    alert.get_by_role("button", name="Try again").click()
    expect(alert).to_have_count(0)
    chat.until_idle()
    assert "No model answers here" in chat.text()
    expect(chat.bubbles).to_have_text(["help"])
    chat.errors.clear()


def test_a_server_that_is_killed_in_the_middle(open_page: OpenPage, tmp_path: Path) -> None:
    options = ("--db", "chat.db")
    with serving("--port", "0", *options, folder=tmp_path) as running:
        port = running.url.split(":")[2].split("/")[0]
        chat = open_page(running.url.removesuffix("/chatkit") + "/")
        chat.send("long 400")
        expect(chat.answers.last).to_contain_text("Line 20 of 400")
        os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait(scaled(10))
        expect(chat.element.get_by_role("status").filter(has_text="Reconnecting")).to_be_visible()
    with serving("--port", port, *options, folder=tmp_path):
        chat.until_idle()
        kept = lines(chat.text())
        assert kept == list(range(1, len(kept) + 1))
        assert len(kept) < 400
        chat.errors.clear()
        expect(chat.element.get_by_role("alert")).to_be_visible()
        chat.element.get_by_role("alert").get_by_role("button", name="Try again").click()
        expect(chat.answers.last).to_contain_text("Line 3 of 400")
        expect(chat.bubbles).to_have_count(1)
        chat.stop_button.click()
        chat.until_idle()
        # It asks for a title no more before the server ends.
        chat.page.goto("about:blank")
        chat.errors.clear()
