"""What the element makes of servers that fail: a clear error, a way on, and never an endless wait."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Route, expect

from tests.browser.chat_page import ChatPage
from tests.browser.conftest import OpenPage
from tests.browser.scripted import Scripted, opened, thread_of
from tests.support.scale import scaled

HTML = "<!doctype html><title>Sign in</title><h1>Sign in</h1>"


@pytest.mark.parametrize(
    ("status", "body", "media_type", "words"),
    [
        (500, HTML, "text/html", "The server has a problem"),
        (502, "", "text/plain", "The server has a problem"),
        (
            401,
            {"error": {"code": "unauthenticated", "message": ""}},
            "application/json",
            "You are signed out",
        ),
        (
            403,
            {"error": {"code": "forbidden", "message": "Your plan is over."}},
            "application/json",
            "Your plan is over.",
        ),
        (200, HTML, "text/html", "The server has a problem"),
        (200, {"data": []}, "application/json", "The server has a problem"),
        (
            409,
            {"error": {"code": "thread_busy", "message": "Wait for the answer."}},
            "application/json",
            "Wait for",
        ),
    ],
)
def test_a_message_that_the_server_refuses(
    open_page: OpenPage, server: Scripted, status: int, body: object, media_type: str, words: str
) -> None:
    chat = opened(open_page, server)
    server.faults.answer("threads.create", status, body, media_type)
    chat.send("say fine")
    alert = chat.element.get_by_role("alert")
    expect(alert).to_contain_text(words)
    expect(alert).not_to_contain_text("HTTP")
    expect(chat.send_button).to_be_visible()
    expect(chat.element.locator(".progress, .spinner")).to_have_count(0)
    alert.get_by_role("button", name="Try again").click()
    expect(chat.answers).to_contain_text("fine")
    expect(alert).to_have_count(0)
    expect(chat.bubbles).to_have_text(["say fine"])
    chat.errors.clear()


@pytest.mark.parametrize(("status", "words"), [(413, "more than the server takes"), (404, "does not exist")])
def test_a_message_that_can_never_arrive_goes_back_to_the_composer(
    open_page: OpenPage, server: Scripted, status: int, words: str
) -> None:
    chat = opened(open_page, server)
    chat.page.evaluate("chat.setComposerValue({ text: 'say a lot', reply: 'what was said' })")
    server.faults.answer("threads.create", status, {"error": {"code": "x", "message": "internal words"}})
    chat.input.press("Enter")
    alert = chat.element.get_by_role("alert")
    expect(alert).to_contain_text(words)
    expect(alert.get_by_role("button", name="Try again")).to_have_count(0)
    alert.get_by_role("button", name="Dismiss").click()
    expect(chat.input).to_have_value("say a lot")
    expect(chat.element.locator("form.composer .quote")).to_contain_text("what was said")
    expect(chat.bubbles).to_have_count(0)
    chat.errors.clear()


@pytest.mark.parametrize(
    ("status", "body", "words", "recovers"),
    [
        (500, "", "could not be loaded|server has a problem", True),
        (401, {}, "signed out", True),
        (200, HTML, "could not be loaded|server has a problem", True),
        (404, {}, "does not exist", False),
    ],
)
def test_a_thread_that_does_not_load(
    open_page: OpenPage, server: Scripted, status: int, body: object, words: str, recovers: bool
) -> None:
    chat = opened(open_page, server)
    chat.send("say there")
    chat.until_idle()
    thread_id = thread_of(chat)
    chat.page.reload()
    server.faults.answer(
        "threads.get_by_id", status, body, "text/html" if body == HTML else "application/json"
    )
    chat.page.evaluate("id => apply({ initialThread: id })", thread_id)
    alert = chat.element.get_by_role("alert")
    expect(alert).to_contain_text(re.compile(words))
    expect(chat.element.locator(".spinner")).to_have_count(0)
    alert.get_by_role("button", name="Try again").click()
    expect(chat.bubbles).to_have_text(["say there"])
    expect(alert).to_have_count(0)
    names = [name for name, _ in chat.page.evaluate("seen")]
    assert names.count("thread.load.start") == names.count("thread.load.end") == 2
    assert recovers or status == 404
    chat.errors.clear()


def test_the_sidebar_says_that_nobody_is_signed_in(open_page: OpenPage, server: Scripted) -> None:
    chat = open_page("about:blank")
    is_signed_in = False

    def answer(route: Route) -> None:
        if is_signed_in:
            route.continue_()
        else:
            error = {"code": "unauthenticated", "message": "Sign in first."}
            route.fulfill(status=401, json={"error": error})

    chat.page.route("**/chatkit", answer)
    chat.page.goto(server.page)
    said = chat.sidebar.locator("p.empty")
    expect(said).to_contain_text("could not be loaded. You are signed out")
    is_signed_in = True
    said.get_by_role("button", name="Try again").click()
    expect(said.filter(has_text="could not be loaded")).to_have_count(0)
    chat.errors.clear()


def test_the_list_of_threads_does_not_load(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server)
    server.faults.answer("threads.list", 200, HTML, "text/html")
    chat.element.get_by_role("button", name="Conversations").click()
    alert = chat.element.get_by_role("alert")
    expect(alert).to_contain_text("could not be loaded")
    expect(chat.element.locator(".spinner")).to_have_count(0)
    alert.get_by_role("button", name="Try again").click()
    expect(alert).to_have_count(0)
    chat.errors.clear()


def test_a_stream_that_ends_in_the_middle_goes_on(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server)
    resumed = server.faults.count("turns.resume")
    server.faults.cut("threads.create", 3000)
    chat.send("long 40")
    chat.until_idle()
    numbers = [int(number) for number in re.findall(r"Line (\d+) of 40", chat.text())]
    assert numbers == list(range(1, 41))
    assert server.faults.count("turns.resume") == resumed + 1
    expect(chat.element.get_by_role("alert")).to_have_count(0)
    names = [name for name, _ in chat.page.evaluate("seen")]
    assert names.count("response.start") == names.count("response.end") == 1


def test_a_stream_of_another_server_that_ends_in_the_middle(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server)
    item = (
        '{"type":"assistant_message","id":"msg_1","thread_id":"thr_1","created_at":"2026-01-01T00:00:00Z",'
        '"content":[{"type":"output_text","text":"Half","annotations":[]}]}'
    )
    frames = (
        'data: {"type":"thread.created","thread":{"id":"thr_1","created_at":"2026-01-01T00:00:00Z"}}\n\n'
        f'data: {{"type":"thread.item.added","item":{item}}}\n\n'
    )
    server.faults.answer("threads.create", 200, frames, "text/event-stream")
    chat.send("say on")
    alert = chat.element.get_by_role("alert")
    expect(alert).to_contain_text("broke off before its end")
    expect(alert.get_by_role("button", name="Try again")).to_be_visible()
    expect(chat.answers).to_contain_text("Half")
    expect(chat.element.locator(".progress")).to_have_count(0)
    chat.errors.clear()


def test_a_slow_first_byte_can_be_waited_for_or_stopped(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server)
    gate = server.faults.hold("threads.create")
    chat.send("say at last")
    expect(chat.element.locator(".thinking")).to_be_visible()
    expect(chat.stop_button).to_be_enabled()
    gate.set()
    expect(chat.answers).to_contain_text("at last")
    chat.until_idle()

    gate = server.faults.hold("threads.add_user_message")
    chat.send("say never")
    chat.stop_button.click()
    # A stop that the server does not answer either is carried out here.
    expect(chat.send_button).to_be_visible(timeout=scaled(8000))
    gate.set()
    expect(chat.element.locator(".progress")).to_have_count(0)


def test_a_thread_that_was_deleted_elsewhere(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server)
    chat.send("say here")
    chat.until_idle()
    delete = {"type": "threads.delete", "params": {"thread_id": thread_of(chat)}}
    assert chat.page.request.post(server.url.replace("/page", "/chatkit"), data=delete).ok
    chat.send("say anyone")
    alert = chat.element.get_by_role("alert")
    expect(alert).to_contain_text("This conversation does not exist")
    alert.get_by_role("button", name="Dismiss").click()
    expect(chat.input).to_have_value("say anyone")
    # What was read can still be read.
    expect(chat.answers).to_contain_text("here")
    chat.element.get_by_role("button", name="New conversation").click()
    expect(chat.bubbles).to_have_count(0)
    chat.send("say new")
    chat.until_idle()
    expect(chat.answers).to_have_text(["new"])
    chat.errors.clear()


def test_two_tabs_on_one_thread(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server)
    chat.send("say first")
    chat.until_idle()
    other = ChatPage(chat.page.context.new_page())
    other.page.goto(server.url)
    other.page.evaluate("id => apply({ initialThread: id })", thread_of(chat))
    expect(other.bubbles).to_have_text(["say first"])

    # The other tab follows the answer while it comes, and can stop it.
    chat.send("long 2000")
    expect(other.answers.last).to_contain_text("Line 3 of 2000")
    expect(other.bubbles).to_have_text(["say first", "long 2000"])
    other.stop_button.click()
    other.until_idle()
    chat.until_idle()
    expect(chat.element.get_by_role("alert")).to_have_count(0)
    assert chat.text().count("Line") == other.text().count("Line") > 0
    other.send("say back")
    other.until_idle()
    expect(chat.answers).to_have_count(3)
    expect(chat.answers.last).to_contain_text("back")
    expect(chat.send_button).to_be_visible()
    chat.page.evaluate("chat.fetchUpdates()")
    expect(chat.bubbles).to_have_text(["say first", "long 2000", "say back"])


def test_offline_while_a_thread_loads_and_back(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server)
    chat.send("say home")
    chat.until_idle()
    thread_id = thread_of(chat)
    chat.page.reload()
    chat.page.evaluate("apply({})")
    chat.page.context.set_offline(True)
    chat.page.evaluate("id => { chat.setThreadId(id); }", thread_id)
    expect(chat.element.get_by_role("alert")).to_contain_text("The server cannot be reached")
    chat.page.context.set_offline(False)
    # Nobody has to press anything.
    expect(chat.bubbles).to_have_text(["say home"])
    expect(chat.element.get_by_role("alert")).to_have_count(0)
    chat.errors.clear()


def test_answers_to_questions_that_did_not_arrive_are_sent_again(
    open_page: OpenPage, server: Scripted
) -> None:
    chat = opened(open_page, server)
    chat.send("questions")
    chat.until_idle()
    form = chat.element.locator("form.questions")
    server.faults.answer("threads.add_structured_input", 503, "", "text/plain")
    form.get_by_role("button", name="Skip").click()
    alert = chat.element.get_by_role("alert")
    expect(alert).to_contain_text("The server has a problem")
    alert.get_by_role("button", name="Try again").click()
    expect(alert).to_have_count(0)
    chat.until_idle()
    expect(form).to_have_count(0)
    assert server.faults.count("threads.retry_after_item") == 0
    asked = [one for one in server.faults.requests if one["type"] == "threads.add_structured_input"]
    keys = {one["metadata"]["idempotency_key"] for one in asked}
    assert len(asked) == 2
    assert len(keys) == 1
    chat.errors.clear()
