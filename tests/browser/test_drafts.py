"""What is written survives what happens to the page, and goes when its user does."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.conftest import OpenPage
from tests.browser.scripted import Scripted, opened, thread_of

SIGNED_OUT = {"error": {"code": "unauthenticated", "message": ""}}


def again(chat: ChatPage, options: str = "{}") -> None:
    """Loads the page anew, in the same tab."""
    chat.page.reload()
    chat.page.evaluate(f"apply({options})")
    expect(chat.input).to_be_visible()


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_message_that_was_refused_is_in_the_composer_after_a_reload(
    open_page: OpenPage, server: Scripted, status: int
) -> None:
    chat = opened(open_page, server)
    server.faults.answer("threads.create", status, SIGNED_OUT)
    chat.send("say kept")
    expect(chat.element.get_by_role("alert")).to_be_visible()
    again(chat)
    expect(chat.input).to_have_value("say kept")
    expect(chat.bubbles).to_have_count(0)
    chat.send_button.click()
    expect(chat.answers).to_contain_text("kept")
    again(chat)
    expect(chat.input).to_have_value("")
    chat.errors.clear()


def test_a_message_of_a_thread_with_a_file_and_what_was_written_since(
    open_page: OpenPage, server: Scripted
) -> None:
    options = "{ composer: { attachments: { enabled: true } } }"
    chat = opened(open_page, server, options)
    chat.send("say first")
    chat.until_idle()
    thread_id = thread_of(chat)
    with chat.page.expect_file_chooser() as chooser:
        chat.element.get_by_role("button", name="Attach files").click()
    chooser.value.set_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"text"})
    expect(chat.send_button).to_be_enabled()
    chat.input.fill("echo this")
    server.faults.answer("threads.add_user_message", 401, SIGNED_OUT)
    chat.input.press("Enter")
    expect(chat.element.get_by_role("alert")).to_be_visible()
    chat.input.fill("and more")
    again(chat, f"{{ initialThread: '{thread_id}', composer: {{ attachments: {{ enabled: true }} }} }}")
    expect(chat.input).to_have_value("echo this\n\nand more")
    expect(chat.element.get_by_text("a.txt")).to_be_visible()
    chat.errors.clear()


def test_a_message_that_arrived_though_its_answer_did_not_is_not_sent_twice(
    open_page: OpenPage, server: Scripted
) -> None:
    chat = opened(open_page, server)
    chat.send("say first")
    chat.until_idle()
    thread_id = thread_of(chat)
    server.faults.cut("threads.add_user_message", 0)
    gate = server.faults.hold("turns.resume")
    chat.input.fill("say second")
    chat.input.press("Enter")
    expect(chat.bubbles).to_have_count(2)
    expect(chat.element.locator(".progress")).to_be_visible()
    again(chat, f"{{ initialThread: '{thread_id}' }}")
    gate.set()
    expect(chat.answers.last).to_contain_text("second")
    expect(chat.bubbles).to_have_text(["say first", "say second"])
    expect(chat.input).to_have_value("")
    chat.errors.clear()


def test_nothing_is_left_of_a_user_who_signs_out(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server)
    chat.send("say secret answer")
    chat.until_idle()
    chat.input.fill("secret draft")
    chat.page.evaluate("sessionStorage.setItem('of the application', 'kept')")
    chat.page.evaluate("chat.clearUserData()")
    expect(chat.input).to_have_value("")
    expect(chat.bubbles).to_have_count(0)
    assert thread_of(chat) == "None"
    assert chat.page.evaluate("Object.keys(sessionStorage)") == ["of the application"]
    again(chat)
    expect(chat.input).to_have_value("")
    # It can be used on.
    chat.send("say hello")
    expect(chat.answers).to_contain_text("hello")


@pytest.mark.parametrize(("touched", "lines"), [(True, "one\ntwo"), (False, "")])
def test_enter_on_a_phone_is_a_new_line(
    open_page: OpenPage, server: Scripted, touched: bool, lines: str
) -> None:
    chat = opened(open_page, server, has_touch=touched, is_mobile=touched)
    expect(chat.input).to_have_attribute("enterkeyhint", "enter" if touched else "send")
    chat.input.fill("one")
    chat.input.press("End")
    chat.input.press("Enter")
    if touched:
        chat.input.press_sequentially("two")
        expect(chat.input).to_have_value(lines)
        expect(chat.bubbles).to_have_count(0)
        chat.input.press("Control+Enter")
    expect(chat.bubbles).to_have_count(1)
    chat.until_idle()
