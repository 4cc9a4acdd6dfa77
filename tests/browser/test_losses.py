"""Nothing that a user wrote gets lost, and nothing that was done is done twice, on whatever way to the server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.chat_page import ChatPage
from tests.browser.conftest import OpenPage
from tests.browser.scripted import Scripted, opened, scripted_server, thread_of
from tests.support.cutting_proxy import cutting_proxy
from tests.support.scale import scaled


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    with scripted_server(tmp_path_factory.mktemp("files")) as running:
        yield running


def with_board(open_page: OpenPage, server: Scripted, options: str = "{}") -> ChatPage:
    chat = opened(open_page, server, options)
    chat.send("board")
    expect(board(chat, "order")).to_be_visible()
    chat.until_idle()
    return chat


def board(chat: ChatPage, button: str) -> Locator:
    return chat.element.locator("ck-widget").get_by_role("button", name=button)


def test_what_is_typed_while_a_thread_is_made(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server)
    gate = server.faults.hold("threads.create")
    chat.send("say one")
    chat.input.fill("the next words")
    gate.set()
    expect(chat.answers).to_contain_text("one")
    chat.until_idle()
    expect(chat.input).to_have_value("the next words")
    chat.element.get_by_role("button", name="New conversation").click()
    expect(chat.input).to_have_value("")


def test_a_message_that_is_stopped_before_it_is_known_to_have_arrived(
    open_page: OpenPage, server: Scripted
) -> None:
    chat = opened(open_page, server)
    chat.send("say zero")
    chat.until_idle()
    gate = server.faults.hold("threads.add_user_message")
    chat.send("long 60")
    chat.input.fill("and this")
    chat.stop_button.click()
    expect(chat.send_button).to_be_visible(timeout=scaled(10_000))
    gate.set()
    expect(chat.input).to_have_value("long 60\n\nand this")
    expect(chat.bubbles).to_have_text(["say zero"])
    assert server.faults.count("turns.stop") == 1


def test_a_message_that_failed_and_another_one(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server)
    server.faults.answer("threads.create", 503, "", "text/plain")
    chat.send("say one")
    expect(chat.element.get_by_role("alert")).to_be_visible()
    chat.input.fill("say two")
    chat.input.press("Enter")
    chat.until_idle()
    expect(chat.bubbles).to_have_text(["say two"])
    expect(chat.input).to_have_value("say one")
    chat.errors.clear()


def test_a_message_that_failed_and_another_thread(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server)
    chat.send("say zero")
    chat.until_idle()
    thread_id = thread_of(chat)
    chat.element.get_by_role("button", name="New conversation").click()
    expect(chat.bubbles).to_have_count(0)
    server.faults.answer("threads.create", 503, "", "text/plain")
    chat.send("precious words")
    expect(chat.element.get_by_role("alert")).to_be_visible()
    chat.page.evaluate("id => chat.setThreadId(id)", thread_id)
    expect(chat.bubbles).to_have_text(["say zero"])
    expect(chat.input).to_have_value("")
    chat.page.evaluate("chat.setThreadId(null)")
    expect(chat.input).to_have_value("precious words")
    chat.errors.clear()


def test_a_message_to_a_thread_that_is_not_there(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server, "{ initialThread: 'thr_gone' }")
    expect(chat.element.get_by_role("alert")).to_contain_text("does not exist")
    chat.send("say hello")
    expect(chat.element.get_by_role("alert")).to_contain_text("does not exist")
    chat.element.get_by_role("button", name="New conversation").click()
    expect(chat.input).to_have_value("say hello")
    chat.input.press("Enter")
    expect(chat.answers).to_contain_text("hello")
    chat.errors.clear()


def test_nothing_is_sent_into_a_thread_that_still_loads(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server)
    chat.send("say zero")
    chat.until_idle()
    thread_id = thread_of(chat)
    chat.page.reload()
    chat.page.evaluate("apply({})")
    gate = server.faults.hold("items.list")
    chat.page.evaluate("id => { chat.setThreadId(id); }", thread_id)
    expect(chat.element.locator(".loading")).to_be_visible()
    chat.input.fill("say one")
    chat.input.press("Enter")
    expect(chat.send_button).to_be_disabled()
    expect(chat.input).to_have_value("say one")
    # A page's own message waits for it.
    chat.page.evaluate("chat.sendUserMessage({ text: 'long 40' }).then(() => { window.sent = true; })")
    gate.set()
    chat.page.evaluate("when(() => window.sent)")
    expect(chat.bubbles).to_have_text(["say zero", "long 40"])
    chat.until_idle()
    assert [int(number) for number in re.findall(r"Line (\d+) of", chat.text())] == list(range(1, 41))
    expect(chat.send_button).to_be_enabled()


def test_older_messages_that_fail_are_not_asked_for_without_end(
    open_page: OpenPage, server: Scripted
) -> None:
    chat = opened(open_page, server)
    chat.send("say first")
    chat.until_idle()
    thread_id = thread_of(chat)
    for number in range(50):
        content = [{"type": "input_text", "text": f"say {number}"}]
        params = {
            "thread_id": thread_id,
            "input": {"content": content, "attachments": [], "inference_options": {}},
        }
        body = {"type": "threads.add_user_message", "params": params}
        assert chat.page.request.post(server.url.replace("/page", "/chatkit"), data=body).ok
    chat.page.reload()
    chat.page.evaluate("apply({})")
    chat.page.evaluate("id => chat.setThreadId(id)", thread_id)
    expect(chat.bubbles.last).to_have_text("say 49")
    server.faults.answer("items.list", 503, "", "text/plain")
    chat.element.locator(".scroller").evaluate("element => { element.scrollTop = 0; }")
    alert = chat.element.get_by_role("alert")
    expect(alert).to_contain_text("Earlier messages could not be loaded")
    asked = server.faults.count("items.list")
    for _ in range(20):
        chat.page.evaluate("chat.setComposerValue({ text: String(Math.random()) })")
        chat.element.locator(".scroller").evaluate(
            "element => { element.scrollTop = 5; element.scrollTop = 0; }"
        )
    assert server.faults.count("items.list") == asked
    alert.get_by_role("button", name="Try again").click()
    expect(alert).to_have_count(0)
    expect(chat.bubbles.first).to_have_text("say first")
    chat.errors.clear()


def test_an_action_whose_answer_is_lost_is_carried_out_once(open_page: OpenPage, server: Scripted) -> None:
    chat = with_board(open_page, server)
    server.faults.cut("threads.custom_action", 0)
    board(chat, "order").click()
    expect(chat.answers).to_contain_text("Order 1")
    chat.until_idle()
    assert server.faults.count("threads.custom_action") == 2
    assert server.actions == ["order"]
    expect(chat.element.get_by_role("alert")).to_have_count(0)
    chat.errors.clear()


def test_an_action_that_failed_is_tried_again_with_its_widget(open_page: OpenPage, server: Scripted) -> None:
    chat = with_board(open_page, server)
    board(chat, "fail").click()
    alert = chat.element.get_by_role("alert")
    expect(chat.element.get_by_text("That did not work.")).to_be_visible()
    alert.get_by_role("button", name="Try again").click()
    expect(chat.answers).to_contain_text("It worked.")
    expect(alert).to_have_count(0)
    expect(board(chat, "fail")).to_be_visible()
    expect(chat.element.get_by_text("That did not work.")).to_have_count(0)
    assert server.actions == ["fail", "fail"]
    assert server.faults.count("threads.retry_after_item") == 0


def test_another_answer_is_not_an_action_that_was_given_up(open_page: OpenPage, server: Scripted) -> None:
    chat = with_board(open_page, server, "{ threadItemActions: { retry: true } }")
    for dismissed in (True, False):
        server.faults.answer("threads.custom_action", 503, "", "text/plain")
        board(chat, "order").click()
        alert = chat.element.get_by_role("alert")
        expect(alert).to_be_visible()
        if dismissed:
            alert.get_by_role("button", name="Dismiss").click()
        chat.element.get_by_role("button", name="Answer again").click()
        expect(alert).to_have_count(0)
        chat.until_idle()
    assert server.actions == []
    assert server.faults.count("threads.retry_after_item") == 2
    chat.errors.clear()


def test_updates_that_are_fetched_while_an_action_runs(open_page: OpenPage, server: Scripted) -> None:
    chat = with_board(open_page, server)
    chat.page.evaluate(
        "chat.addEventListener('chatkit.effect', () => { window.fetched = chat.fetchUpdates(); })"
    )
    board(chat, "tell").click()
    chat.page.evaluate("when(() => window.fetched).then(() => window.fetched)")
    server.steps.get(timeout=scaled(20)).set()
    expect(chat.answers.locator("ck-markdown")).to_have_text("once and for all")
    # They are fetched at its end, for the page has asked for them.
    with chat.page.expect_request(lambda request: "items.list" in (request.post_data or "")):
        server.steps.get(timeout=scaled(20)).set()
    chat.until_idle()
    expect(chat.answers.locator("ck-markdown")).to_have_text("once and for all")
    assert server.faults.count("turns.resume") == 0


def test_a_widget_that_an_action_changed_stays_over_a_broken_connection(
    open_page: OpenPage, server: Scripted
) -> None:
    chat = with_board(open_page, server)
    server.faults.cut("threads.custom_action", 1500)
    board(chat, "change").click()
    expect(chat.element.locator("ck-widget").get_by_text("Changed")).to_be_visible()
    expect(chat.element.locator(".progress")).to_have_count(0)
    assert server.faults.count("turns.resume") == 1
    expect(board(chat, "change")).to_be_visible()


def test_a_workflow_that_waits_for_the_page_stays_over_a_broken_connection(
    open_page: OpenPage, server: Scripted
) -> None:
    chat = opened(
        open_page,
        server,
        "{ onClientTool: () => new Promise(resolve => { window.answer = () => resolve({}); }) }",
    )
    server.faults.cut("threads.create", 2500)
    chat.send("plan")
    chat.page.evaluate("when(() => window.answer)")
    assert server.faults.count("turns.resume") == 1
    expect(chat.element.locator("ck-workflow")).to_be_visible()
    chat.page.evaluate("answer()")
    chat.until_idle()
    expect(chat.element.locator("ck-workflow")).to_be_visible()


def test_an_answer_is_waited_for_while_the_browser_is_offline(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server)
    chat.page.clock.install()
    server.faults.cut("threads.create", 12_000)
    chat.send("long 300")
    expect(chat.answers.last).to_contain_text("Line 3 of")
    chat.page.context.set_offline(True)
    progress = chat.element.locator(".progress")
    expect(progress).to_contain_text("Reconnecting")
    for _ in range(25):
        chat.page.clock.run_for(9000)
    expect(progress).to_contain_text("Reconnecting")
    expect(chat.element.get_by_role("alert")).to_have_count(0)
    chat.page.context.set_offline(False)
    chat.until_idle()
    numbers = [int(number) for number in re.findall(r"Line (\d+) of", chat.text())]
    assert numbers == list(range(1, 301))
    chat.errors.clear()


def test_a_connection_that_died_without_a_word_is_replaced_once_the_browser_is_online(
    open_page: OpenPage, server: Scripted
) -> None:
    with cutting_proxy(server.url) as proxy:
        chat = opened(open_page, replace(server, url=f"{proxy.url}/page"))
        chat.send("long 300")
        expect(chat.answers.last).to_contain_text("Line 3 of")
        proxy.freeze()
        chat.page.context.set_offline(True)
        chat.page.wait_for_function("!navigator.onLine")
        with chat.page.expect_request(
            lambda request: "turns.resume" in (request.post_data or ""), timeout=2000
        ):
            chat.page.context.set_offline(False)
        chat.until_idle()
        numbers = [int(number) for number in re.findall(r"Line (\d+) of", chat.text())]
        assert numbers == list(range(1, 301))
        chat.errors.clear()


def test_a_stop_while_the_connection_is_lost_shows_what_is_stored(
    open_page: OpenPage, server: Scripted
) -> None:
    chat = opened(open_page, server)
    server.faults.cut("threads.create", 3000)
    gate = server.faults.hold("turns.resume")
    chat.send("long 2000")
    expect(chat.element.locator(".progress")).to_contain_text("Reconnecting")
    chat.stop_button.click()
    with chat.page.expect_response(
        lambda response: "items.list" in (response.request.post_data or "")
    ) as got:
        expect(chat.send_button).to_be_visible(timeout=scaled(10_000))
    gate.set()
    stored = next(item for item in got.value.json()["data"] if item["type"] == "assistant_message")
    lines = stored["content"][0]["text"].count("Line")
    expect(chat.answers).to_contain_text(f"Line {lines} of 2000")
    assert chat.text().count("Line") == lines
    chat.errors.clear()


def test_what_a_tool_answered_is_sent_again_without_running_it_again(
    open_page: OpenPage, server: Scripted
) -> None:
    chat = opened(
        open_page, server, "{ onClientTool: ({ params }) => { calls.push(params); return { sum: 5 }; } }"
    )
    alert = chat.element.get_by_role("alert")
    for ways, arrives in enumerate((False, True), 1):
        if arrives:
            server.faults.cut("threads.add_client_tool_output", 0)
        else:
            server.faults.answer("threads.add_client_tool_output", 503, "", "text/plain")
        chat.send("page-tool")
        alert.get_by_role("button", name="Try again").click()
        expect(chat.answers.last).to_contain_text("add answered")
        chat.until_idle()
        expect(alert).to_have_count(0)
        expect(chat.answers).to_have_count(ways)
        assert chat.page.evaluate("calls.length") == ways
    chat.errors.clear()


def test_two_stops_have_a_time_each(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server)
    chat.page.clock.install()
    chat.send("long 2000")
    expect(chat.answers.last).to_contain_text("Line 2 of")
    chat.stop_button.click()
    chat.until_idle()
    chat.page.clock.run_for(3000)
    chat.send("long 2001")
    expect(chat.answers.last).to_contain_text("Line 2 of 2001")
    gate = server.faults.hold("turns.stop")
    chat.stop_button.click()
    # The first one's time is over, this one's is not.
    chat.page.clock.run_for(3000)
    expect(chat.element.get_by_role("button", name="Stopping")).to_be_visible()
    gate.set()
    chat.until_idle()
