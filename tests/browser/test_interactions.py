"""What users do with threads and answers: addresses, history, feedback, retries, questions, tools."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Route, expect

from chatkit.types import ThreadMetadata
from tests.browser.conftest import OpenPage
from tests.browser.scripted import Scripted, events, opened


def test_the_address_carries_the_thread(open_page: OpenPage, server: Scripted) -> None:
    chat = open_page(server.page)
    for text in ("say one", "say two"):
        chat.send(text)
        chat.until_idle()
        expect(chat.page).to_have_url(re.compile("thread=thr_"))
        chat.input.fill(f"draft of {text}")
        chat.sidebar.get_by_role("button", name="New conversation", exact=True).first.click()
        expect(chat.bubbles).to_have_count(0)
        expect(chat.input).to_have_value("")
    assert "thread=" not in chat.page.url
    chat.page.go_back()
    expect(chat.bubbles).to_have_text(["say two"])
    chat.page.go_back()
    chat.page.go_back()
    expect(chat.bubbles).to_have_text(["say one"])
    expect(chat.input).to_have_value("draft of say one")
    chat.page.go_forward()
    expect(chat.bubbles).to_have_count(0)
    chat.page.go_forward()
    expect(chat.bubbles).to_have_text(["say two"])
    chat.page.reload()
    expect(chat.bubbles).to_have_text(["say two"])
    expect(chat.input).to_have_value("draft of say two")


def test_locked_and_closed_threads(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server)
    chat.send("lock")
    lock = chat.element.locator(".lock")
    expect(lock).to_contain_text("Locked by your own command")
    expect(lock).to_be_focused()
    expect(chat.input).to_have_count(0)
    chat.element.get_by_role("button", name="Unlock").click()
    expect(chat.input).to_be_visible()
    chat.until_idle()
    chat.send("close")
    expect(lock).to_contain_text("Closed by your own command")
    chat.page.reload()
    chat.page.evaluate("apply({ initialThread: null })")
    thread_id = server.faults.requests[-1]["params"].get("thread_id")
    chat.page.evaluate("id => chat.setThreadId(id)", thread_id)
    expect(lock).to_contain_text("Closed by your own command")
    chat.page.evaluate("chat.sendUserMessage({ text: 'still?' })")
    expect(chat.element.get_by_role("alert")).to_be_visible()
    chat.errors.clear()


def test_two_hundred_threads_page_by_page(open_page: OpenPage, server: Scripted) -> None:
    async def fill() -> None:
        now = datetime.now(UTC) - timedelta(days=30)
        for number in range(200):
            thread = ThreadMetadata(
                id=f"thr_old{number:03}", title=f"Old {number:03}", created_at=now + timedelta(minutes=number)
            )
            await server.store.save_thread(thread, {"user_id": "local"})

    # In a thread, for Playwright has an event loop running in this one.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, fill()).result()
    chat = opened(open_page, server)
    chat.element.get_by_role("button", name="Conversations").click()
    rows = chat.element.locator("[data-thread]")
    expect(rows.first).to_be_visible()
    assert rows.count() < 100
    last = chat.element.get_by_role("button", name="Old 000", exact=True)
    for _ in range(20):
        if last.count():
            break
        before = rows.count()
        rows.last.scroll_into_view_if_needed()
        expect(rows.nth(before)).to_be_attached()
    expect(last).to_be_attached()
    ids = rows.evaluate_all("rows => rows.map(row => row.dataset.thread)")
    assert len(ids) == len(set(ids)) >= 200
    last.click()
    expect(chat.element.get_by_role("heading", name="Old 000")).to_be_visible()

    # The sidebar keeps what was read when an answer has come.
    side = open_page(server.page)
    more = side.sidebar.get_by_role("button", name="Show more")
    more.click()
    rows = side.sidebar.locator("[data-thread]")
    expect(rows.nth(40)).to_be_attached()
    side.send("help me")
    side.until_idle()
    expect(side.sidebar.get_by_role("button", name="help me", exact=True)).to_be_visible()
    assert rows.count() > 40


def test_feedback_is_sent_once(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server, "{ threadItemActions: { feedback: true } }")
    chat.send("say yes")
    chat.until_idle()
    server.feedback.clear()
    good = chat.element.get_by_role("button", name="Good answer")
    good.click()
    expect(good).to_have_attribute("aria-pressed", "true")
    expect(chat.element.get_by_text("Thank you for the feedback")).to_be_attached()
    good.click()
    bad = chat.element.get_by_role("button", name="Bad answer")
    server.faults.answer("items.feedback", 500, {})
    with chat.page.expect_response(lambda response: response.status == 500):
        bad.click()
    # What was not taken is not shown.
    expect(good).to_have_attribute("aria-pressed", "true")
    expect(bad).to_have_attribute("aria-pressed", "false")
    with chat.page.expect_response(lambda response: response.ok):
        bad.click()
    expect(bad).to_have_attribute("aria-pressed", "true")
    expect(good).to_have_attribute("aria-pressed", "false")
    assert [kind for _, kind in server.feedback] == ["positive", "negative"]
    assert all(len(ids) == 1 and ids[0].startswith("msg_") for ids, _ in server.feedback)
    chat.errors.clear()


def test_another_answer_to_an_older_message_takes_away_what_followed(
    open_page: OpenPage, server: Scripted
) -> None:
    chat = opened(open_page, server, "{ threadItemActions: { retry: true } }")
    for text in ("say one", "say two", "say three"):
        chat.send(text)
        chat.until_idle()
    chat.element.locator(".turn").first.hover()
    server.faults.answer(
        "threads.retry_after_item", 500, {"error": {"code": "internal_error", "message": ""}}
    )
    again = chat.element.get_by_role("button", name="Answer again")
    again.first.click()
    expect(chat.element.get_by_role("alert")).to_contain_text("The server has a problem")
    # Nothing was taken away there, so nothing is here.
    expect(chat.bubbles).to_have_count(3)
    again.first.click()
    expect(chat.bubbles).to_have_text(["say one"])
    chat.until_idle()
    expect(chat.answers).to_have_count(1)
    chat.page.evaluate("chat.fetchUpdates()")
    expect(chat.bubbles).to_have_text(["say one"])
    chat.errors.clear()


@pytest.mark.parametrize("way", ["answered", "skipped"])
def test_questions_after_a_reload(open_page: OpenPage, server: Scripted, way: str) -> None:
    chat = open_page(server.page)
    chat.send("questions")
    chat.until_idle()
    expect(chat.element.get_by_role("button", name="Skip")).to_be_enabled()
    chat.page.reload()
    if way == "answered":
        chat.element.get_by_text("Tea", exact=True).click()
        chat.element.get_by_role("button", name="Submit").click()
    else:
        chat.element.get_by_role("button", name="Skip").click()
    answered = chat.answers.locator(".answered")
    expect(answered).to_contain_text("Tea" if way == "answered" else "Skipped")
    chat.until_idle()
    chat.page.reload()
    expect(answered).to_contain_text("Tea" if way == "answered" else "Skipped")
    expect(chat.element.get_by_role("button", name="Submit")).to_have_count(0)


TOOL = """{ onClientTool: call => { calls.push(call); return window.held
  ? new Promise(resolve => { window.answerTool = resolve; }) : { sum: call.params.a + call.params.b }; } }"""


def test_a_tool_call_that_waits_is_carried_out_after_a_reload(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server)
    chat.page.evaluate(f"window.held = true; apply({TOOL})")
    chat.send("page-tool")
    chat.page.evaluate("when(() => window.answerTool)")
    expect(chat.element.get_by_text("Running add")).to_be_visible()
    thread_id = chat.page.evaluate("seen.find(([name]) => name === 'thread.change')[1].threadId")
    outputs = server.faults.count("threads.add_client_tool_output")

    # Another tab sees that it is being done, and does not do it too.
    other = chat.page.context.new_page()
    other.goto(server.url)
    options = TOOL.replace("{ onClientTool", f"{{ initialThread: '{thread_id}', onClientTool", 1)
    other.evaluate(f"apply({options})")
    expect(other.get_by_text("Running add")).to_be_visible()
    assert other.evaluate("calls") == []

    # Its tab goes before it is done: now the other one does it.
    chat.page.close()
    expect(other.locator("openai-chatkit").get_by_role("button", name="Send message")).to_be_visible()
    assert other.evaluate("calls") == [{"name": "add", "params": {"a": 2, "b": 3}}]
    assert server.faults.count("threads.add_client_tool_output") == outputs + 1
    assert server.faults.requests[-1]["type"] != "threads.add_client_tool_output" or (
        server.faults.requests[-1]["params"]["result"] == {"sum": 5}
    )
    other.reload()
    other.evaluate(f"apply({options})")
    expect(other.locator(".user .bubble")).to_have_text(["page-tool"])
    expect(other.locator("openai-chatkit").get_by_role("button", name="Send message")).to_be_visible()
    assert other.evaluate("calls") == []


def test_a_tool_can_be_stopped(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server)
    chat.page.evaluate(f"window.held = true; apply({TOOL})")
    chat.send("page-tool")
    chat.page.evaluate("when(() => window.answerTool)")
    chat.stop_button.click()
    chat.until_idle()
    thread_id = chat.page.evaluate("seen.find(([name]) => name === 'thread.change')[1].threadId")
    chat.page.reload()
    chat.page.evaluate(
        f"apply({TOOL.replace('{ onClientTool', f'{{ initialThread: {thread_id!r}, onClientTool', 1)})"
    )
    expect(chat.bubbles).to_have_text(["page-tool"])
    chat.send("say on")
    chat.until_idle()
    assert chat.page.evaluate("calls") == []
    expect(chat.answers.last).to_contain_text("on")


def test_effects_links_and_entities(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(
        open_page,
        server,
        """{ entities: { onClick: e => calls.push(["click", e.id]),
              onRequestPreview: async e => { calls.push(["preview", e.id]);
                const text = { type: "Text", value: "Order 7 costs " + e.data.total };
                return { preview: { type: "Basic", children: [text] } }; } } }""",
    )
    chat.send("shine")
    chat.until_idle()
    assert events(chat, "effect") == [["effect", {"name": "shine", "data": {"colour": "gold"}}]]
    chat.send("say Look at [your order](/orders/7?tab=items) or [us](https://example.com/).")
    chat.until_idle()
    chat.element.get_by_role("link", name="your order").click()
    assert events(chat, "deeplink") == [
        ["deeplink", {"name": "orders/7", "data": {"tab": "items", "url": "/orders/7?tab=items"}}]
    ]
    chat.send("entity")
    chat.until_idle()
    chip = chat.answers.last.locator("[data-citation]")
    chip.hover()
    expect(chat.element.get_by_text("Order 7 costs 12")).to_be_visible()
    chip.click()
    assert chat.page.evaluate("calls") == [["preview", "ord_7"], ["click", "ord_7"]]


def test_each_event_comes_once(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(
        open_page,
        server,
        "{ composer: { tools: [{ id: 'web', label: 'Web', icon: 'globe', pinned: true }] } }",
    )
    chat.page.evaluate("until(([name]) => name === 'ready')")
    chat.element.get_by_role("button", name="Web").click()
    chat.send("say hi")
    chat.until_idle()
    thread_id = chat.page.evaluate("seen.find(([name]) => name === 'thread.change')[1].threadId")
    assert events(chat) == [
        ["ready", None],
        ["tool.change", {"toolId": "web"}],
        ["tool.change", {"toolId": None}],
        ["response.start", None],
        ["thread.change", {"threadId": thread_id}],
        ["response.end", None],
    ]
    chat.page.reload()
    chat.page.evaluate("id => apply({ initialThread: id })", thread_id)
    expect(chat.bubbles).to_have_text(["say hi"])
    chat.page.evaluate("chat.showHistory()")
    chat.page.evaluate("chat.showHistory()")
    expect(chat.element.get_by_role("heading", name="Conversations")).to_be_visible()
    chat.page.evaluate("chat.hideHistory()")
    chat.page.evaluate("until(([name]) => name === 'ready')")
    found = events(chat)
    assert found.pop(next(i for i, entry in enumerate(found) if entry[0] == "ready")) == ["ready", None]
    assert found == [
        ["thread.change", {"threadId": thread_id}],
        ["thread.load.start", {"threadId": thread_id}],
        ["thread.load.end", {"threadId": thread_id}],
        ["history.open", None],
        ["history.close", None],
    ]
    server.faults.answer("threads.add_user_message", 500, {})
    chat.send("say more")
    expect(chat.element.get_by_role("alert")).to_be_visible()
    assert [name for name, _ in events(chat)].count("error") == 1
    chat.errors.clear()


def test_fetch_updates_brings_what_the_server_changed(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server)
    chat.send("say old")
    chat.until_idle()
    thread_id = chat.page.evaluate("seen.find(([name]) => name === 'thread.change')[1].threadId")
    rename = {"type": "threads.update", "params": {"thread_id": thread_id, "title": "Renamed there"}}
    assert chat.page.request.post(server.url.replace("/page", "/chatkit"), data=rename).ok
    chat.page.evaluate("chat.fetchUpdates()")
    expect(chat.element.get_by_role("heading", name="Renamed there")).to_be_visible()


def test_what_a_page_answers_itself(open_page: OpenPage, server: Scripted) -> None:
    """A server of another make: no numbers, no end mark, no content type."""

    def answer(route: Route) -> None:
        body = (
            'data: {"type":"thread.created","thread":{"id":"thr_x","created_at":"2026-01-01T00:00:00Z"}}\n\n'
            'data: {"type":"thread.item.done","item":{"type":"assistant_message","id":"m","thread_id":"thr_x",'
            '"created_at":"2026-01-01T00:00:00Z","content":[{"type":"output_text","text":"Hello","annotations":[]}]}}\n\n'
        )
        route.fulfill(status=200, headers={"content-type": "text/event-stream"}, body=body)

    chat = open_page(server.url)
    chat.page.route("**/elsewhere", answer)
    chat.page.evaluate("apply({ api: { url: '/elsewhere', domainKey: '' } })")
    chat.send("hi")
    expect(chat.answers).to_contain_text("Hello")
    chat.errors.clear()


def test_a_page_styles_parts_and_variables(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server)
    chat.send("markdown")
    chat.until_idle()
    chat.send("sources")
    chat.until_idle()
    parts = [
        "user-message",
        "markdown",
        "code",
        "code-bar",
        "code-copy",
        "table",
        "link",
        "citation",
        "sources-toggle",
    ]
    chat.page.evaluate(
        """parts => {
          const sheet = new CSSStyleSheet();
          sheet.replaceSync(parts.map(p => `openai-chatkit::part(${p}) { scroll-margin-left: 7px; }`).join("")
            + "openai-chatkit { --ck-color-user: rgb(1, 2, 3); }");
          document.adoptedStyleSheets = [sheet];
        }""",
        parts,
    )
    reached = chat.page.evaluate(
        """() => {
          return [...new Set(everything(chat.shadowRoot).filter(e => getComputedStyle(e).scrollMarginLeft === "7px")
            .flatMap(e => [...e.part]))];
        }"""
    )
    assert set(parts) <= set(reached)
    assert chat.bubbles.first.evaluate("b => getComputedStyle(b).backgroundColor") == "rgb(1, 2, 3)"
