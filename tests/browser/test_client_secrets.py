"""Pages that were made for hosted ChatKit, with ``getClientSecret``: the address of one script is another one."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import OpenPage
from tests.browser.stock.build import FOLDER, VERSIONS, build_page
from tests.browser.stock.pages import StockPage, opened
from tests.browser.stock.server import hold, release
from tests.browser.stock.sessions import HostedPlace, hosted_place
from tests.support.scale import scaled

PAGES = ["plain/?hosted", "react18/?hosted&strict", "react19/?hosted&strict"]
NO_ACCESS = "could not get access to the chat"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostedPlace]:
    applications = {"plain": FOLDER / "plain"}
    for version in VERSIONS:
        applications[version] = tmp_path_factory.mktemp(version)
        build_page(version, applications[version])
    with hosted_place(tmp_path_factory.mktemp("files"), applications) as running:
        yield running


@pytest.fixture
def place(both: HostedPlace) -> Iterator[HostedPlace]:
    """Returns both servers as new; lets go what a test that failed has left held."""
    both.sessions.reset()
    yield both
    release(both.chat)


@pytest.fixture
def plain(open_page: OpenPage, place: HostedPlace) -> StockPage:
    return opened(open_page(f"{place.pages}/plain/?hosted"))


def alert_of(page: StockPage) -> Locator:
    return page.chat.element.get_by_role("alert")


def look(page: StockPage, more: str) -> None:
    """Has the page give other options beside its own."""
    page.run(f"look({more})")


def thread_of(page: StockPage) -> str:
    return str(
        page.run("seen.findLast(([name, detail]) => name === 'thread.change' && detail.threadId)[1].threadId")
    )


def another_secret(page: StockPage) -> AbstractContextManager[object]:
    """Waits, at the end of the block, until the page has had a secret since its beginning."""
    return page.chat.page.expect_request_finished(lambda request: request.url.endswith("/session"))


def error_names(page: StockPage) -> list[Any]:
    """The names of the errors that the element told the page of."""
    return list(page.run("seen.filter(([name]) => name === 'error').map(([, detail]) => detail.error.name)"))


def forgive(page: StockPage, *statuses: int) -> None:
    """Takes away what the browser logs of answers with these statuses."""
    wanted = re.compile("|".join(f"status of {status}" for status in statuses))
    page.chat.errors[:] = [error for error in page.chat.errors if not wanted.search(error)]


@pytest.mark.parametrize("name", PAGES)
def test_from_start_over_a_renewed_secret_to_a_reload_in_mid_answer(
    open_page: OpenPage, place: HostedPlace, name: str
) -> None:
    sessions = place.sessions
    page = opened(open_page(f"{place.pages}/{name}"))
    chat = page.chat
    expect(chat.element.get_by_placeholder("Ask the shop")).to_be_visible()
    chat.send("hello")
    page.until("response.end")
    expect(chat.answers).to_have_count(1)
    first = sessions.used[-1]
    assert (sessions.asked, set(sessions.used)) == ([None], {first})

    # A minute before its end the secret is renewed; no request waits for that.
    ahead = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=560)
    chat.page.clock.set_fixed_time(ahead)
    with another_secret(page):
        chat.send("hello again")
    page.until("response.end", times=2)
    assert (sessions.asked, set(sessions.used)) == ([None, first], {first})
    chat.send("hello once more")
    page.until("response.end", times=3)
    second = sessions.used[-1]
    assert (sessions.asked, second == first) == ([None, first], False)

    # One that is refused is renewed, and the message arrives once.
    sessions.end()
    chat.send("tool")
    expect(chat.answers.last).to_contain_text("noon")
    page.until("response.end", times=4)
    assert sessions.asked == [None, first, second]
    expect(chat.bubbles).to_have_text(["hello", "hello again", "hello once more", "tool"])
    assert len(page.run("tools")) == 1

    hold(place.chat)
    chat.send("long 30")
    expect(chat.answers.last).to_contain_text("Line 11 of 30")
    thread_id = thread_of(page)
    assert error_names(page) == []
    chat.page.reload()
    page.until("ready")
    page.run("id => { chat.setThreadId(id); }", thread_id)
    expect(chat.answers.last).to_contain_text("Line 11 of 30")
    expect(chat.stop_button).to_be_visible()
    assert sessions.asked == [None, first, second, None]

    # The connection is lost, and with it goes the secret.
    sessions.end()
    with another_secret(page):
        chat.page.context.set_offline(True)
        chat.page.context.set_offline(False)
    release(place.chat)
    page.until("response.end")
    chat.until_idle()
    expect(chat.answers.last).to_contain_text("Line 30 of 30")
    assert chat.text().count("of 30") == 30
    assert [one is None for one in sessions.asked] == [True, False, False, True, False]
    assert error_names(page) == []
    expect(alert_of(page)).to_have_count(0)
    forgive(page, 401)


@pytest.mark.parametrize("name", PAGES)
def test_an_application_that_gives_no_secret(open_page: OpenPage, place: HostedPlace, name: str) -> None:
    place.sessions.is_out = True
    page = opened(open_page(f"{place.pages}/{name}"))
    chat = page.chat
    chat.send("hello")
    chat.input.fill("and a draft")
    expect(alert_of(page)).to_contain_text(NO_ACCESS)
    assert error_names(page) == ["ClientSecretError"]
    assert "HTTP 503" in page.run("seen.find(([name]) => name === 'error')[1].error.message")
    assert (
        page.run("seen.find(([name]) => name === 'error')[1].error.cause.message")
        == "There is no session: HTTP 503"
    )
    expect(chat.input).to_have_value("and a draft")
    expect(chat.element.locator(".progress, .spinner")).to_have_count(0)
    assert (place.sessions.asked, place.sessions.used) == ([None], [])

    place.sessions.is_out = False
    alert_of(page).get_by_role("button", name="Try again").click()
    expect(chat.answers).to_have_count(1)
    page.until("response.end", times=2)
    expect(alert_of(page)).to_have_count(0)
    expect(chat.bubbles).to_have_text(["hello"])
    expect(chat.input).to_have_value("and a draft")
    forgive(page, 503)


def test_a_secret_that_is_refused_again(plain: StockPage, place: HostedPlace) -> None:
    chat = plain.chat
    place.sessions.refuses = True
    chat.send("precious words")
    expect(alert_of(plain)).to_contain_text(NO_ACCESS)
    expect(alert_of(plain)).not_to_contain_text("client secret")
    # Once with each of two secrets, and no more.
    assert (len(place.sessions.asked), len(place.sessions.used)) == (2, 2)
    assert plain.run("seen.find(([name]) => name === 'error')[1].error.code") == "invalid_client_secret"
    alert_of(plain).get_by_role("button", name="Dismiss").click()
    expect(chat.input).to_have_value("precious words")
    expect(chat.bubbles).to_have_count(0)
    # After a reload the words are there as well.
    chat.page.reload()
    plain.until("ready")
    expect(chat.input).to_have_value("precious words")
    place.sessions.refuses = False
    chat.input.press("Enter")
    plain.until("response.end")
    expect(chat.bubbles).to_have_text(["precious words"])
    forgive(plain, 401)


def test_an_answer_that_is_lost_for_want_of_a_secret_is_found_again(
    plain: StockPage, place: HostedPlace
) -> None:
    chat = plain.chat
    hold(place.chat)
    chat.send("long 30")
    expect(chat.answers.last).to_contain_text("Line 11 of 30")
    place.sessions.end()
    place.sessions.is_out = True
    chat.page.context.set_offline(True)
    chat.page.context.set_offline(False)
    expect(alert_of(plain)).to_contain_text(NO_ACCESS, timeout=scaled(30_000))
    expect(chat.answers.last).to_contain_text("Line 11 of 30")
    place.sessions.is_out = False
    alert_of(plain).get_by_role("button", name="Try again").click()
    expect(alert_of(plain)).to_have_count(0)
    expect(chat.stop_button).to_be_visible()
    release(place.chat)
    chat.until_idle()
    expect(chat.answers.last).to_contain_text("Line 30 of 30")
    assert chat.text().count("of 30") == 30
    expect(chat.bubbles).to_have_text(["long 30"])
    expect(chat.answers).to_have_count(1)
    forgive(plain, 401, 503)


def test_a_thread_and_the_list_of_threads_wait_for_a_secret(plain: StockPage, place: HostedPlace) -> None:
    chat = plain.chat
    chat.send("hello")
    plain.until("response.end")
    thread_id = thread_of(plain)
    chat.page.reload()
    plain.until("ready")
    place.sessions.is_out = True
    plain.run("id => { chat.setThreadId(id); }", thread_id)
    expect(alert_of(plain)).to_contain_text(NO_ACCESS)
    chat.element.get_by_role("button", name="Conversations").click()
    expect(alert_of(plain)).to_contain_text(f"could not be loaded. The page {NO_ACCESS}")
    assert error_names(plain) == ["ClientSecretError", "ClientSecretError"]
    place.sessions.is_out = False
    alert_of(plain).get_by_role("button", name="Try again").click()
    expect(chat.element.locator("[part~=history-item]")).to_have_count(1)
    plain.run("chat.hideHistory()")
    alert_of(plain).get_by_role("button", name="Try again").click()
    expect(chat.bubbles).to_have_text(["hello"])
    forgive(plain, 503)


@pytest.mark.parametrize("strategy", ["two_phase", "direct"])
def test_files_are_let_in_by_the_next_secret(plain: StockPage, place: HostedPlace, strategy: str) -> None:
    chat = plain.chat
    upload = f"{{ type: '{strategy}', uploadUrl: '{place.chat}/chatkit/files' }}"
    api = f"{{ getClientSecret, uploadStrategy: {upload} }}"
    look(plain, f"{{ api: {api}, composer: {{ attachments: {{ enabled: true }} }} }}")
    chat.send("hello")
    plain.until("response.end")
    place.sessions.end()
    chooser = chat.element.locator("input[type=file]")
    chooser.set_input_files({"name": "notes.txt", "mimeType": "text/plain", "buffer": b"some notes"})
    upload_row = chat.element.locator(".upload.ready")
    expect(upload_row).to_have_count(1)
    assert len(place.sessions.asked) == 2
    place.sessions.end()
    place.sessions.is_out = True
    # What is attached stays attached, and what is written stays written.
    chat.input.fill("with a file")
    chat.input.press("Enter")
    expect(alert_of(plain)).to_contain_text(NO_ACCESS)
    chooser.set_input_files({"name": "more.txt", "mimeType": "text/plain", "buffer": b"more notes"})
    expect(chat.element.locator(".upload.failed")).to_contain_text(NO_ACCESS)
    place.sessions.is_out = False
    chat.element.get_by_role("button", name="Try again to upload more.txt").click()
    expect(upload_row).to_have_count(1)
    alert_of(plain).get_by_role("button", name="Try again").click()
    expect(chat.element.locator(".user .file-chip")).to_have_text(["notes.txt"])
    chat.until_idle()
    expect(upload_row).to_contain_text("more.txt")
    forgive(plain, 401, 503)


def test_too_many_messages(plain: StockPage, place: HostedPlace) -> None:
    chat = plain.chat
    place.sessions.wait = 30
    chat.send("hello")
    expect(alert_of(plain)).to_contain_text("Too many requests")
    expect(alert_of(plain)).to_contain_text(re.compile(r"You can go on at \d+:\d\d:\d\d"))
    place.sessions.wait = None
    alert_of(plain).get_by_role("button", name="Try again").click()
    plain.until("response.end", times=2)
    expect(chat.bubbles).to_have_text(["hello"])
    assert place.sessions.asked == [None]
    forgive(plain, 429)


@pytest.mark.parametrize("name", PAGES)
def test_other_options_in_mid_answer(open_page: OpenPage, place: HostedPlace, name: str) -> None:
    page = opened(open_page(f"{place.pages}/{name}"))
    chat = page.chat
    hold(place.chat)
    chat.send("long 30")
    chat.input.fill("a draft")
    expect(chat.answers.last).to_contain_text("Line 11 of 30")
    look(page, "{ theme: 'dark' }")
    page.chat.page.wait_for_function(
        "getComputedStyle(document.querySelector('openai-chatkit')).colorScheme === 'dark'"
    )
    release(place.chat)
    page.until("response.end")
    # Drawn in the frame after the event.
    expect(chat.answers.last).to_contain_text("Line 30 of 30")
    assert chat.text().count("of 30") == 30
    expect(chat.input).to_have_value("a draft")
    chat.input.press("Enter")
    page.until("response.end", times=2)
    expect(chat.bubbles).to_have_text(["long 30", "a draft"])
    # The packages of React give the element another function when any option changes.
    assert place.sessions.asked == ([None] if name.startswith("plain") else [None, None])


def test_another_user_by_other_options(plain: StockPage, place: HostedPlace) -> None:
    chat = plain.chat
    chat.send("hello")
    plain.until("response.end")
    look(
        plain,
        """{ api: { getClientSecret: async () => (await (await fetch("/session?other", { method: "POST",
          body: JSON.stringify({ current: null }) })).json()).client_secret } }""",
    )
    plain.run("chat.clearUserData()")
    plain.run("chat.showHistory()")
    expect(chat.element.locator("[part~=history]")).to_contain_text("No conversations yet.")
    plain.run("chat.hideHistory()")
    chat.send("hello from bob")
    plain.until("response.end", times=2)
    expect(chat.bubbles).to_have_text(["hello from bob"])
    # The page's own function again: asked anew, for the secret was the user's before.
    look(plain, "{}")
    plain.run("chat.clearUserData()")
    plain.run("chat.showHistory()")
    expect(chat.element.locator("[part~=history-item]")).to_have_count(1)
    assert place.sessions.asked == [None, None, None]
