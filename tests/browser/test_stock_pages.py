"""Pages that were made for the stock element, in a real browser: of each, the address of one script is another one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from chatkit.store import MemoryStore
from chatkit.web import create_app, single_user, ui_routes
from tests.browser.conftest import OpenPage
from tests.browser.stock.build import FOLDER, VERSIONS, build_page, check_types
from tests.browser.stock.pages import StockPage, opened, page_routes
from tests.browser.stock.server import HeldServer, hold, release
from tests.support.live_server import live_server


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    routes = [*page_routes("plain", FOLDER / "plain"), *ui_routes()]
    for version in VERSIONS:
        target = tmp_path_factory.mktemp(version)
        build_page(version, target)
        routes += page_routes(version, target)
    server = HeldServer(MemoryStore(), delay=0.001)
    routes += server.routes()
    with live_server(create_app(server, context=single_user(), routes=routes)) as live:
        yield live.url


@pytest.fixture(autouse=True)
def _released(url: str) -> Iterator[None]:
    """Lets go what a test that failed has left held."""
    yield
    release(url)


PAGES = ["plain/", "react18/?strict", "react19/?strict"]
OTHER_ORDERS = ["plain/?order=options", "react18/", "react19/"]


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest, open_page: OpenPage, url: str) -> StockPage:
    return opened(open_page(f"{url}/{request.param}"))


@pytest.mark.parametrize("name", [*PAGES, *OTHER_ORDERS])
def test_an_answer_streams_and_events_come_once(open_page: OpenPage, url: str, name: str) -> None:
    page = opened(open_page(f"{url}/{name}"))
    chat = page.chat
    expect(chat.element.get_by_placeholder("Ask the shop")).to_be_visible()
    expect(chat.element.get_by_role("heading", name="Welcome")).to_be_visible()
    assert page.events == [("ready", None)]

    hold(url)
    chat.send("long 30")
    expect(chat.answers.last).to_contain_text("Line 11 of 30")
    assert page.names == ["ready", "response.start", "thread.change"]
    release(url)
    page.until("response.end")
    # Drawn in the frame after the event.
    expect(chat.answers.last).to_contain_text("Line 30 of 30")
    assert chat.text().count("of 30") == 30
    names = page.names
    assert names == ["ready", "response.start", "thread.change", "response.end"]
    assert dict(page.events)["thread.change"]["threadId"].startswith("thr_")


def test_a_tool_of_the_page_runs_once(page: StockPage) -> None:
    page.chat.send("tool")
    expect(page.chat.answers.last).to_contain_text("noon")
    page.until("response.end")
    page.chat.until_idle()
    assert page.run("tools") == [{"name": "get_local_time", "params": {"format": "iso"}}]
    assert page.names.count("response.start") == page.names.count("response.end")
    assert "error" not in page.names


def test_new_options_leave_thread_draft_and_stream_alone(page: StockPage, url: str) -> None:
    chat = page.chat
    hold(url)
    chat.send("long 30")
    chat.input.fill("a draft")
    expect(chat.answers.last).to_contain_text("Line 11 of 30")
    page.run("look({ theme: 'dark', header: { title: { text: 'Another look' } } })")
    expect(chat.element.get_by_role("heading", name="Another look")).to_be_visible()
    assert chat.element.evaluate("e => getComputedStyle(e).colorScheme") == "dark"
    expect(chat.input).to_have_value("a draft")
    release(url)
    page.until("response.end")
    # Drawn in the frame after the event.
    expect(chat.answers.last).to_contain_text("Line 30 of 30")
    assert chat.text().count("of 30") == 30
    assert page.names == ["ready", "response.start", "thread.change", "response.end"]
    # Options are replaced, not merged: what is left out is gone.
    page.run("look({})")
    expect(chat.element.get_by_role("heading", name="Another look")).to_have_count(0)
    assert chat.element.evaluate("e => getComputedStyle(e).colorScheme") == "light"


def test_methods(page: StockPage) -> None:
    chat = page.chat
    page.run("chat.sendUserMessage({ text: 'hello' })")
    page.until("response.end")
    thread_id = dict(page.events)["thread.change"]["threadId"]

    page.forget()
    page.run("chat.setThreadId(null)")
    expect(chat.bubbles).to_have_count(0)
    page.run("chat.setComposerValue({ text: 'written by the page' })")
    expect(chat.input).to_have_value("written by the page")
    page.run("chat.focusComposer()")
    expect(chat.input).to_be_focused()
    page.run("id => chat.setThreadId(id)", thread_id)
    expect(chat.bubbles).to_have_text(["hello"])
    assert page.events == [
        ("thread.change", {"threadId": None}),
        ("thread.change", {"threadId": thread_id}),
    ]

    # Somebody else writes in the thread.
    message = {"content": [{"type": "input_text", "text": "from elsewhere"}], "attachments": []}
    body = {
        "type": "threads.add_user_message",
        "params": {"thread_id": thread_id, "input": {**message, "inference_options": {}}},
    }
    page.run(
        """async body => (await fetch("/chatkit", { method: "POST", body: JSON.stringify(body),
          headers: { "Content-Type": "application/json" } })).text()""",
        body,
    )
    page.run("chat.fetchUpdates()")
    expect(chat.bubbles).to_have_text(["hello", "from elsewhere"])
    page.run("chat.showHistory()")
    expect(chat.element.get_by_role("heading", name="Conversations")).to_be_visible()
    page.run("chat.hideHistory()")
    expect(chat.bubbles).to_have_count(2)


def test_a_thread_that_is_loaded(page: StockPage) -> None:
    page.run("chat.sendUserMessage({ text: 'hello' })")
    page.until("response.end")
    thread_id = dict(page.events)["thread.change"]["threadId"]
    page.chat.page.reload()
    page.until("ready")
    page.forget()
    page.run("id => chat.setThreadId(id)", thread_id)
    page.until("thread.load.end")
    expect(page.chat.bubbles).to_have_text(["hello"])
    detail = {"threadId": thread_id}
    assert page.events == [
        ("thread.change", detail),
        ("thread.load.start", detail),
        ("thread.load.end", detail),
    ]


def test_effects_errors_and_logs_reach_the_page(page: StockPage) -> None:
    chat = page.chat
    chat.send("effect")
    page.until("response.end")
    assert [name for name in page.names if name == "effect"] == ["effect"]
    assert dict(page.events)["effect"]["name"]

    chat.send("error")
    page.until("error")
    expect(chat.element.get_by_role("alert")).to_be_visible()
    assert page.names.count("error") == 1
    assert page.run("seen.find(([name]) => name === 'error')[1].error instanceof Error")

    # A thread that is left while it is being made.
    page.run("chat.setThreadId(null)")
    expect(chat.bubbles).to_have_count(0)
    page.forget()
    page.run("Promise.all([chat.sendUserMessage({ text: 'hello' }), chat.setThreadId(null)])")
    page.until("log")
    assert [detail["name"] for name, detail in page.events if name == "log"] == ["thread.left_before_created"]


@pytest.mark.parametrize("name", ["plain/?late", "react18/?late&strict", "react19/?late&strict"])
def test_a_script_that_comes_late(open_page: OpenPage, url: str, name: str) -> None:
    chat = open_page(f"{url}/{name}")
    chat.page.wait_for_function("document.querySelector('openai-chatkit')")
    assert chat.page.evaluate("customElements.get('openai-chatkit') === undefined")
    chat.page.add_script_tag(url="/chatkit.js")
    page = opened(chat)
    assert page.names == ["ready"]
    chat.send("hello")
    page.until("response.end")
    assert page.names == ["ready", "response.start", "thread.change", "response.end"]


@pytest.mark.parametrize("name", ["react18/?strict", "react19/?strict"])
def test_an_element_that_react_takes_away_and_makes_again(open_page: OpenPage, url: str, name: str) -> None:
    page = opened(open_page(f"{url}/{name}"))
    chat = page.chat
    chat.send("hello")
    page.until("response.end")
    page.forget()
    page.run("show(false)")
    expect(chat.element).to_have_count(0)
    page.run("show(true)")
    page.until("ready")
    expect(chat.element.get_by_role("heading", name="Welcome")).to_be_visible()
    chat.send("hello again")
    page.until("response.end")
    assert page.names == ["ready", "response.start", "thread.change", "response.end"]


@pytest.mark.parametrize("name", ["react18/", "react19/"])
def test_class_names_reach_the_style_sheets_of_the_page(open_page: OpenPage, url: str, name: str) -> None:
    page = opened(open_page(f"{url}/{name}"))
    assert page.run("[...document.querySelector('openai-chatkit').classList].sort()") == ["shop", "wide"]
    page.run("repaint('narrow shop')")
    page.chat.page.wait_for_function("document.querySelector('openai-chatkit.narrow.shop:not(.wide)')")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_application_fits_the_types(version: str) -> None:
    assert check_types(version) == ""
