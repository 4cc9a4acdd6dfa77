"""`resumable-fetch.js` in a real browser: a client such as the stock element's, and a proxy that breaks connections.

The stock element itself is closed and was not available; the client is written from its recorded requests.
"""

from __future__ import annotations

import json
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page
from starlette.applications import Starlette

from tests.browser.chat_page import ChatPage
from tests.browser.conftest import OpenPage
from tests.browser.stock.server import hold, page_routes, release
from tests.support.cutting_proxy import CuttingProxy, cutting_proxy
from tests.support.live_server import ServerProcess, live_server, server_process
from tests.support.scale import scaled

ROOT = Path(__file__).parents[2]


def serve(folder: Path, port: int = 0) -> Any:
    return server_process(
        "tests.browser.stock.server:make_app",
        "--factory",
        *(("--port", str(port)) if port else ()),
        folder=ROOT,
        environment={"TEST_DATABASE": str(folder / "chat.db")},
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serve(tmp_path_factory.mktemp("stock")) as running:
        yield running


@pytest.fixture
def proxy(server: ServerProcess) -> Iterator[CuttingProxy]:
    with cutting_proxy(server.url) as running:
        yield running


@pytest.fixture
def chat(open_page: OpenPage, proxy: CuttingProxy, server: ServerProcess) -> Iterator[ChatPage]:
    opened = open_page(f"{proxy.url}/client")
    load(opened.page, longestPause=200)
    yield opened
    release(server.url)
    # That connections break is what these tests are about.
    opened.errors[:] = [error for error in opened.errors if "Failed to load resource" not in error]


def load(page: Page, **options: Any) -> None:
    page.wait_for_function("window.isLoaded")
    page.evaluate("options => start(options)", options)


def send(page: Page, text: str) -> None:
    page.evaluate("text => { client.sent = client.send(text); }", text)


def until_streamed(page: Page, text: str) -> None:
    page.evaluate("text => until(() => client.streamed.includes(text))", text)


def result(page: Page) -> dict[str, Any]:
    """What the client has in the end."""
    return page.evaluate(
        """async () => {
          await client.sent;
          const { state, failure, streamed, stored, complaints, threadId, events } = client;
          const errors = events.filter(event => event.type === "error");
          return { state, failure, streamed, stored, complaints, threadId, errors };
        }"""
    )


def ask(server: ServerProcess, type: str, **params: Any) -> dict[str, Any]:
    body = json.dumps({"type": type, "params": params}).encode()
    request = urllib.request.Request(
        f"{server.url}/chatkit", body, {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=scaled(20)) as answer:
        return json.load(answer)


def stored_answer(server: ServerProcess, thread_id: str) -> str:
    items = ask(server, "items.list", thread_id=thread_id, order="desc", limit=20)["data"]
    answers = [item for item in items if item["type"] == "assistant_message"]
    return "".join(part["text"] for part in answers[0]["content"]) if answers else ""


def is_running(server: ServerProcess, thread_id: str) -> bool:
    return "active_turn" in ask(server, "threads.get_by_id", thread_id=thread_id)


@pytest.mark.parametrize(
    "cuts",
    [(), (0,), (700,), (3500,), (40, 900, 0, 2500, 1), (1200,) * 6],
    ids=lambda cuts: "-".join(map(str, cuts)),
)
def test_every_word_arrives_once(
    chat: ChatPage, proxy: CuttingProxy, server: ServerProcess, cuts: tuple[int, ...]
) -> None:
    proxy.cut_streams(*cuts)
    send(chat.page, "long 40")
    got = result(chat.page)
    assert proxy.cut == len(cuts)
    assert (got["state"], got["complaints"], got["errors"]) == ("idle", [], [])
    assert got["streamed"] == got["stored"] == stored_answer(server, got["threadId"])
    assert got["streamed"].count("\n") == 40
    items = ask(server, "items.list", thread_id=got["threadId"], order="asc", limit=20)["data"]
    assert [item["type"] for item in items if item["type"] in {"user_message", "assistant_message"}] == [
        "user_message",
        "assistant_message",
    ]


def test_a_tool_of_the_page_goes_on_over_broken_connections(
    chat: ChatPage, proxy: CuttingProxy, server: ServerProcess
) -> None:
    proxy.cut_streams(1500, 300, 500)
    send(chat.page, "tool")
    got = result(chat.page)
    assert (got["state"], got["complaints"], got["errors"], proxy.cut) == ("idle", [], [], 3)
    assert "get_local_time" in got["stored"]
    assert "noon" in got["stored"]
    assert got["stored"] == stored_answer(server, got["threadId"])


def test_a_server_that_is_away_for_a_while(
    chat: ChatPage, proxy: CuttingProxy, server: ServerProcess
) -> None:
    hold(server.url)
    send(chat.page, "long 30")
    until_streamed(chat.page, "Line 11 of 30")
    proxy.take_down()
    # Two attempts at least find nobody there.
    chat.page.evaluate("until(() => performance.getEntriesByType('resource').length > 4)")
    proxy.bring_up()
    release(server.url)
    got = result(chat.page)
    assert (got["state"], got["complaints"], got["errors"]) == ("idle", [], [])
    assert got["streamed"] == got["stored"] == stored_answer(server, got["threadId"])


def test_offline_and_back(chat: ChatPage, proxy: CuttingProxy, server: ServerProcess) -> None:
    hold(server.url)
    send(chat.page, "long 30")
    until_streamed(chat.page, "Line 11 of 30")
    chat.page.context.set_offline(True)
    proxy.take_down()
    chat.page.wait_for_function("!navigator.onLine")
    proxy.bring_up()
    before = proxy.streams
    chat.page.context.set_offline(False)
    release(server.url)
    got = result(chat.page)
    assert proxy.streams == before + 1
    assert (got["state"], got["complaints"], got["errors"]) == ("idle", [], [])
    assert got["streamed"] == got["stored"] == stored_answer(server, got["threadId"])


def test_a_connection_that_is_dead_without_a_word(
    chat: ChatPage, proxy: CuttingProxy, server: ServerProcess
) -> None:
    """The browser says that it is online again; nothing says whether the old connection lives."""
    hold(server.url)
    send(chat.page, "long 30")
    until_streamed(chat.page, "Line 11 of 30")
    chat.page.evaluate("dispatchEvent(new Event('online'))")
    release(server.url)
    got = result(chat.page)
    assert proxy.streams == 2
    assert (got["state"], got["complaints"], got["errors"]) == ("idle", [], [])
    assert got["streamed"] == got["stored"] == stored_answer(server, got["threadId"])


def test_an_abort_stops_the_answer(chat: ChatPage, server: ServerProcess) -> None:
    send(chat.page, "long 2000")
    until_streamed(chat.page, "Line 5 of 2000")
    chat.page.evaluate("client.abort.abort()")
    got = result(chat.page)
    assert got["state"] == "aborted"
    chat.page.evaluate(
        "until(async () => !(await client.ask('threads.get_by_id', { thread_id: client.threadId })).active_turn)"
    )
    kept = stored_answer(server, got["threadId"])
    assert kept.startswith(got["streamed"])
    assert kept.count("\n") < 1000


def test_an_abort_before_the_first_word_stops_the_answer(chat: ChatPage, server: ServerProcess) -> None:
    send(chat.page, "hello")
    thread_id = result(chat.page)["threadId"]
    send(chat.page, "long 2000")
    chat.page.evaluate("client.abort.abort()")
    assert result(chat.page)["state"] == "aborted"
    # The message reaches the server all the same, and with it the stop.
    chat.page.evaluate(
        """until(async () => {
          const page = await client.ask("items.list", { thread_id: client.threadId, order: "desc", limit: 10 });
          const thread = await client.ask("threads.get_by_id", { thread_id: client.threadId });
          return page.data.filter(item => item.type === "user_message").length === 2 && !thread.active_turn;
        })"""
    )
    assert stored_answer(server, thread_id).count("of 2000") < 500


def test_a_reload_does_not_stop_the_answer_and_the_page_hears_of_its_end(
    chat: ChatPage, server: ServerProcess
) -> None:
    # As a page would that tidies up: it must not count as a stop.
    chat.page.evaluate("addEventListener('pagehide', () => client.abort.abort())")
    hold(server.url)
    send(chat.page, "long 50")
    until_streamed(chat.page, "Line 11 of 50")
    thread_id = chat.page.evaluate("client.threadId")
    chat.page.reload()
    load(chat.page)
    thread = chat.page.evaluate("id => client.ask('threads.get_by_id', { thread_id: id })", thread_id)
    assert thread["active_turn"]["id"]
    release(server.url)
    chat.page.evaluate("until(() => updates.some(update => !update.running))")
    updates = chat.page.evaluate("updates")
    assert {update["threadId"] for update in updates} == {thread_id}
    # The message and the answer are done, then the turn.
    assert [update["running"] for update in updates] == [True, True, False]
    assert stored_answer(server, thread_id).count("\n") == 50
    assert not is_running(server, thread_id)


def test_a_server_that_dies_for_good_gives_an_error(open_page: OpenPage, tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        chat = open_page(f"{server.url}/client")
        load(chat.page, attempts=3, longestPause=300)
        send(chat.page, "long 400")
        until_streamed(chat.page, "Line 5 of 400")
        server.terminate(signal.SIGKILL)
        got = result(chat.page)
    assert (got["state"], got["complaints"]) == ("idle", [])
    assert got["errors"] == [{"type": "error", "code": "stream.error", "allow_retry": True}]
    send(chat.page, "hello?")
    assert result(chat.page)["state"] == "broken"
    chat.errors.clear()


def test_a_server_that_dies_and_comes_back_keeps_what_was_there(open_page: OpenPage, tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        port = int(server.url.rsplit(":", 1)[1])
        chat = open_page(f"{server.url}/client")
        load(chat.page, longestPause=500, attempts=100)
        send(chat.page, "long 400")
        until_streamed(chat.page, "Line 20 of 400")
        server.terminate(signal.SIGKILL)
        server.process.wait(scaled(10))
    with serve(tmp_path, port) as again:
        got = result(chat.page)
        kept = stored_answer(again, got["threadId"])
        assert (got["state"], got["complaints"]) == ("idle", [])
        assert [error["allow_retry"] for error in got["errors"]] == [True]
        assert got["stored"] == kept
        assert 0 < kept.count("\n") < 400
        # What can be retried goes on in the same thread.
        user = ask(again, "threads.get_by_id", thread_id=got["threadId"])["items"]["data"][0]
        chat.page.evaluate(
            """id => {
              const params = { thread_id: client.threadId, item_id: id };
              client.sent = client.stream("threads.retry_after_item", params);
            }""",
            user["id"],
        )
        until_streamed(chat.page, "Line 3 of 400")
        chat.page.evaluate("client.abort.abort()")
        assert result(chat.page)["state"] == "aborted"
        # The last connection ends with the server, after the stop that the page sends.
        chat.page.goto("about:blank")
    chat.errors.clear()


def test_a_page_of_another_origin(open_page: OpenPage, server: ServerProcess, proxy: CuttingProxy) -> None:
    elsewhere = Starlette(routes=page_routes(api=proxy.url, module=proxy.url))
    with live_server(elsewhere) as live:
        chat = open_page(f"{live.url}/client")
        load(chat.page)
        proxy.cut_streams(900)
        send(chat.page, "long 20")
        got = result(chat.page)
        assert (got["state"], got["complaints"], got["errors"], proxy.cut) == ("idle", [], [], 1)
        assert got["streamed"] == stored_answer(server, got["threadId"])
        chat.errors.clear()
