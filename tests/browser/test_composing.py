"""What users do while they write a message: dictation, menus, input methods, files, quotes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.conftest import OpenPage
from tests.browser.scripted import Scripted, events, opened

PASTE = """(target, [name, type, size]) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(size).fill(65)], name, { type }));
  const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
  target.dispatchEvent(event);
  return event.defaultPrevented;
}"""


def drag(chat: ChatPage, file: Path, *kinds: str) -> None:
    """Drags a file of the disk over the middle of the element."""
    session = chat.page.context.new_cdp_session(chat.page)
    data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
    for kind in kinds:
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 500, "y": 200, "data": data})


def told(text: str) -> dict[str, Any]:
    return json.loads(text.strip())


def test_dictation_writes_what_the_server_heard(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server, "{ composer: { dictation: { enabled: true } } }")
    chat.input.fill("Note:")
    chat.element.get_by_role("button", name="Dictate").click()
    stop = chat.element.get_by_role("button", name="Stop dictating")
    expect(stop).to_have_attribute("aria-pressed", "true")
    # The recording needs something in it.
    chat.page.evaluate("new Promise(resolve => setTimeout(resolve, 400))")
    stop.click()
    expect(chat.input).to_have_value("Note: heard")
    expect(chat.input).to_be_focused()
    expect(chat.element.get_by_role("button", name="Dictate")).to_be_visible()


def test_dictation_says_what_is_wrong(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server, "{ composer: { dictation: { enabled: true } } }", "?mute")
    chat.element.get_by_role("button", name="Dictate").click()
    expect(chat.element.get_by_role("alert")).to_contain_text("The microphone cannot be used")
    assert len(events(chat, "error")) == 1
    chat.errors.clear()


@pytest.mark.parametrize(
    ("capabilities", "strategy", "buttons"),
    [
        ({"transcription": False, "uploads": False, "stop": True}, "two_phase", []),
        ({"transcription": False, "uploads": True}, "two_phase", ["Attach files"]),
        ({"transcription": True, "uploads": False}, "two_phase", ["Dictate"]),
        # Direct uploads do not go to this server.
        ({"transcription": True, "uploads": False}, "direct", ["Attach files", "Dictate"]),
        ({}, "two_phase", ["Attach files", "Dictate"]),
        # As openai-chatkit 1.6.5 answers.
        (None, "two_phase", ["Attach files", "Dictate"]),
        # A failure says nothing of what the server can do.
        ("broken", "two_phase", ["Attach files", "Dictate"]),
    ],
)
def test_no_button_is_shown_for_what_the_server_cannot_do(
    open_page: OpenPage,
    server: Scripted,
    capabilities: dict[str, bool] | str | None,
    strategy: str,
    buttons: list[str],
) -> None:
    chat = open_page(server.url)
    answer = {"data": [], "has_more": False}
    if capabilities is not None:
        answer["capabilities"] = capabilities
    server.faults.answer("threads.list", 500 if capabilities == "broken" else 200, answer)
    asked = chat.page.expect_response(
        lambda response: '"capabilities":true' in (response.request.post_data or "")
    )
    with asked:
        chat.page.evaluate(
            """strategy => apply({ composer: { attachments: { enabled: true }, dictation: { enabled: true } },
              api: { url: "/chatkit", domainKey: "", uploadStrategy: { type: strategy, uploadUrl: "/files" } } })""",
            strategy,
        )
    for name in ("Attach files", "Dictate"):
        expect(chat.element.get_by_role("button", name=name)).to_have_count(int(name in buttons))
    takes_files = "Attach files" in buttons
    assert chat.input.evaluate(PASTE, ["a.txt", "text/plain", 10]) == takes_files
    expect(chat.element.locator(".upload")).to_have_count(int(takes_files))
    chat.errors.clear()


def test_a_server_is_asked_once_and_only_where_options_need_it(open_page: OpenPage, server: Scripted) -> None:
    before = server.faults.count("threads.list")
    chat = opened(open_page, server)
    chat.send("say one")
    chat.until_idle()
    assert server.faults.count("threads.list") == before
    with chat.page.expect_response(lambda response: "threads.list" in (response.request.post_data or "")):
        chat.page.evaluate("apply({ composer: { dictation: { enabled: true } } })")
    chat.page.evaluate(
        "apply({ composer: { dictation: { enabled: true }, attachments: { enabled: true } } })"
    )
    chat.send("say two")
    chat.until_idle()
    assert server.faults.count("threads.list") == before + 1


def test_commands_by_slash(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(
        open_page,
        server,
        """{ composer: { tools: [{ id: "web", label: "Search the web", icon: "globe" }] },
             commands: { enabled: true,
               onSearch: async q => [{ id: "ask", label: "Ask a colleague", description: "Who knows it" },
                 { id: "clear", label: "Clear" }].filter(c => c.label.toLowerCase().includes(q)),
               onSelect: async c => {
                 calls.push(c.id);
                 if (c.id === "ask") return { type: "menu", commands: [{ id: "ada", label: "Ada" }] };
                 if (c.id === "ada") return { type: "entity", entity: { id: "ada", title: "Ada" } };
               } } }""",
    )
    options = chat.element.get_by_role("option")
    chat.input.press_sequentially("/")
    # What the composer does itself is among them.
    expect(options).to_have_text([re.compile("Search the web"), re.compile("Ask a colleague"), "Clear"])
    chat.input.press("Escape")
    expect(options).to_have_count(0)
    expect(chat.input).to_have_value("/")

    chat.input.press_sequentially("as")
    expect(options).to_have_text([re.compile("Ask a colleague")])
    chat.input.press("Enter")
    expect(options).to_have_text(["Ada"])
    chat.input.press("Tab")
    expect(chat.input).to_have_value("@Ada ")

    chat.input.fill("")
    chat.input.press_sequentially("/web")
    expect(options).to_have_count(1)
    chat.input.press("Enter")
    expect(chat.element.get_by_role("button", name="Remove Search the web")).to_be_visible()
    chat.input.press_sequentially("/cl")
    expect(options).to_have_text(["Clear"])
    options.click()
    expect(chat.input).to_have_value("")
    assert chat.page.evaluate("calls") == ["ask", "ada", "clear"]


def test_mentions_by_keyboard(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(
        open_page,
        server,
        """{ entities: { showComposerMenu: true, onTagSearch: async q => ["Ada", "Alan", "Grace"].map(title =>
              ({ id: title, title, interactive: true })).filter(e => e.title.toLowerCase().includes(q)),
              onClick: e => calls.push(e) } }""",
    )
    chat.element.get_by_role("button", name="Mention").click()
    options = chat.element.get_by_role("option")
    expect(options).to_have_count(3)
    expect(chat.input).to_be_focused()
    active = "e => e.getRootNode().getElementById(e.getAttribute('aria-activedescendant')).innerText"
    assert chat.input.evaluate(active) == "Ada"
    chat.input.press("ArrowUp")
    assert chat.input.evaluate(active) == "Grace"
    chat.input.press("ArrowDown")
    chat.input.press("ArrowDown")
    assert chat.input.evaluate(active) == "Alan"
    chat.input.press("Enter")
    expect(chat.input).to_have_value("@Alan ")
    chat.input.press_sequentially("and @zz")
    expect(options).to_have_count(0)
    chat.input.press("Enter")
    chat.until_idle()
    chat.bubbles.get_by_role("button", name="Alan").click()
    assert chat.page.evaluate("calls[0].id") == "Alan"


def test_an_input_method_composes(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server)
    chat.input.focus()
    session = chat.page.context.new_cdp_session(chat.page)
    session.send("Input.imeSetComposition", {"text": "にほ", "selectionStart": 2, "selectionEnd": 2})
    expect(chat.input).to_have_value("にほ")
    # As a browser tells the Enter that accepts a suggestion.
    session.send(
        "Input.dispatchKeyEvent",
        {"type": "rawKeyDown", "key": "Process", "code": "Enter", "windowsVirtualKeyCode": 229},
    )
    expect(chat.bubbles).to_have_count(0)
    # Drawing anew must not end the composition.
    chat.page.evaluate("apply({ theme: 'dark' })")
    session.send("Input.imeSetComposition", {"text": "日本", "selectionStart": 2, "selectionEnd": 2})
    session.send("Input.insertText", {"text": "日本"})
    expect(chat.input).to_have_value("日本")
    chat.input.press("Shift+Enter")
    chat.input.press_sequentially("two")
    expect(chat.input).to_have_value("日本\ntwo")
    chat.input.press("Enter")
    expect(chat.bubbles).to_have_text(["日本\ntwo"])


def test_files_come_by_drop_and_paste(open_page: OpenPage, server: Scripted, tmp_path: Path) -> None:
    chat = opened(
        open_page,
        server,
        "{ composer: { attachments: { enabled: true, accept: { 'text/plain': ['.txt'] } } } }",
    )
    hint = chat.element.get_by_text("Drop files to attach them")
    (tmp_path / "a.txt").write_text("dropped")
    (tmp_path / "b.exe").write_text("dropped")
    drag(chat, tmp_path / "a.txt", "dragEnter", "dragOver")
    expect(hint).to_be_visible()
    chat.element.locator("form.composer").dispatch_event("dragleave", {"bubbles": True, "composed": True})
    expect(hint).to_have_count(0)
    drag(chat, tmp_path / "a.txt", "dragEnter", "dragOver", "drop")
    expect(chat.element.locator(".upload.ready")).to_contain_text("a.txt")
    expect(hint).to_have_count(0)
    drag(chat, tmp_path / "b.exe", "dragEnter", "dragOver", "drop")
    expect(chat.element.get_by_role("alert")).to_contain_text("Files like b.exe are not taken here")
    chat.element.get_by_role("alert").get_by_role("button", name="Dismiss").click()
    expect(chat.element.get_by_role("alert")).to_have_count(0)

    assert chat.input.evaluate(PASTE, ["c.txt", "text/plain", 10])
    expect(chat.element.locator(".upload.ready")).to_have_count(2)
    chat.input.fill("echo")
    chat.input.press("Enter")
    chat.until_idle()
    assert told(chat.text())["attachments"] == ["a.txt", "c.txt"]


def test_an_upload_is_watched_cancelled_and_tried_again(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server, "{ composer: { attachments: { enabled: true } } }")
    session = chat.page.context.new_cdp_session(chat.page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 60_000}
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", slow)
    chat.input.evaluate(PASTE, ["slow.txt", "text/plain", 150_000])
    expect(chat.element.locator(".upload-status")).to_have_text(re.compile(r"[1-9]\d? ?%"))
    expect(chat.send_button).to_be_disabled()
    chat.element.get_by_role("button", name="Cancel the upload of slow.txt").click()
    expect(chat.element.locator(".upload")).to_have_count(0)
    session.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})

    deleted = server.faults.count("attachments.delete")
    # The server's own limit, which the page has not been told.
    chat.input.evaluate(PASTE, ["huge.txt", "text/plain", 250_000])
    failed = chat.element.locator(".upload.failed")
    expect(failed.locator(".upload-status")).to_contain_text(re.compile("200,?000|195|200"))
    expect(chat.send_button).to_be_disabled()
    chat.element.get_by_role("button", name="Remove huge.txt").click()

    server.faults.answer("attachments.create", 500, "<h1>no</h1>", "text/html")
    chat.input.evaluate(PASTE, ["again.txt", "text/plain", 10])
    expect(failed.locator(".upload-status")).to_have_text("again.txt could not be uploaded")
    chat.element.get_by_role("button", name="Try again to upload again.txt").click()
    expect(chat.element.locator(".upload.ready")).to_have_count(1)
    expect(chat.send_button).to_be_enabled()
    assert deleted >= 1
    chat.errors.clear()


def test_selected_text_is_quoted(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server)
    chat.send("say Tea is best when it is hot.")
    chat.until_idle()
    words = chat.answers.last.locator("p")
    box = words.bounding_box()
    assert box is not None
    chat.page.mouse.move(box["x"] + 2, box["y"] + 10)
    chat.page.mouse.down()
    chat.page.mouse.move(box["x"] + 60, box["y"] + 10, steps=4)
    chat.page.mouse.up()
    chat.element.locator(".quote-button").click()
    quote = chat.element.locator("form.composer .quote")
    expect(quote).to_contain_text("Tea")
    expect(chat.input).to_be_focused()
    chat.element.get_by_role("button", name="Remove the quote").click()
    expect(quote).to_have_count(0)

    words.dblclick(position={"x": 10, "y": 10})
    chat.element.locator(".quote-button").click()
    chat.input.fill("echo")
    chat.input.press("Enter")
    chat.until_idle()
    assert told(chat.text())["quoted"] == "Tea"
