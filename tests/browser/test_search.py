"""Conversations are searched in the page's sidebar and in the element's list, and opened at what was found."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Request, Route, expect

from chatkit.demo import GuideServer
from chatkit.store import MemoryStore
from chatkit.types import AssistantMessageItem, TextContent, ThreadMetadata, UserMessageInput, UserMessageItem
from chatkit.web import Page, create_app, single_user
from tests.browser.chat_page import ChatPage
from tests.browser.conftest import OpenPage
from tests.browser.test_accessibility import Audit
from tests.support.live_server import live_server

CONTEXT = {"user_id": "local"}
LONG = 200


class CannotSearch(MemoryStore):
    @property
    def can_search(self) -> bool:
        return False


def item(thread_id: str, number: int, text: str) -> UserMessageItem | AssistantMessageItem:
    if number % 2:
        return AssistantMessageItem(id=f"msg_{number}", thread_id=thread_id, content=[TextContent(text=text)])
    given = UserMessageInput.model_validate(
        {"content": [{"type": "input_text", "text": text}], "inference_options": {}}
    )
    return UserMessageItem(
        id=f"msg_{number}",
        thread_id=thread_id,
        content=given.content,
        inference_options=given.inference_options,
    )


async def fill(store: MemoryStore) -> None:
    texts = {
        "Berlin in spring": ["Which museums?", "The **Pergamon** museum, and the zoo with its 🐼 pandas."],
        "Recipes": ["How long does rice take?", "Some 12 minutes, a risotto more."],
        "A long talk": [f"Message {number}." for number in range(LONG)],
    }
    texts["A long talk"][11] = "Here the axolotl was mentioned, which is an animal."
    for number, (title, lines) in enumerate(texts.items()):
        thread = ThreadMetadata(id=f"thr_{number}", title=title)
        await store.save_thread(thread, CONTEXT)
        for place, line in enumerate(lines):
            await store.add_thread_item(thread.id, item(thread.id, place, line), CONTEXT)


def filled(store: MemoryStore) -> MemoryStore:
    # Playwright has an event loop running in this thread.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(fill(store))).result()
    return store


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    store = filled(MemoryStore(owner=lambda context: "local"))
    with live_server(
        create_app(GuideServer(store), context=single_user(), ui=Page(title="Tea shop"))
    ) as live:
        yield live.url


def field(around: Locator) -> Locator:
    return around.get_by_role("searchbox", name="Search conversations")


def test_the_sidebar_finds_titles_and_texts(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    found = chat.sidebar.locator("ck-found")
    field(chat.sidebar).fill("panda")
    expect(found.locator("mark")).to_have_text(["pandas"])
    expect(found.locator(".thread-title")).to_have_text(["Berlin in spring"])
    expect(found.locator(".found-item")).to_contain_text(
        "The Pergamon museum, and the zoo with its 🐼 pandas."
    )
    expect(found.get_by_role("status")).to_have_text("Conversations found: 1")
    field(chat.sidebar).fill("berl")
    expect(found.locator(".thread-title mark")).to_have_text(["Berlin"])
    field(chat.sidebar).fill("nothing like this")
    expect(found.get_by_role("status")).to_have_text("Nothing found for “nothing like this”.")
    audit = Audit(chat.page)
    audit.check("nothing found")
    field(chat.sidebar).fill("museum")
    expect(found.locator("mark").first).to_be_visible()
    audit.check("found")
    assert audit.found == []
    chat.sidebar.get_by_role("button", name="Clear the search").click()
    expect(field(chat.sidebar)).to_be_focused()
    expect(chat.sidebar.locator("li.thread")).to_have_count(3)


def test_a_message_far_up_is_opened_with_the_keyboard_alone(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    field(chat.sidebar).press_sequentially("axol")
    expect(chat.sidebar.locator("mark")).to_have_text(["axolotl"])
    for key in ("ArrowDown", "ArrowDown"):
        chat.page.keyboard.press(key)
    expect(chat.sidebar.locator(".found-item")).to_be_focused()
    chat.page.keyboard.press("ArrowUp")
    chat.page.keyboard.press("ArrowUp")
    expect(field(chat.sidebar)).to_be_focused()
    chat.page.keyboard.press("ArrowDown")
    chat.page.keyboard.press("ArrowDown")
    chat.page.keyboard.press("Enter")
    revealed = chat.element.locator(".answer.revealed")
    expect(revealed).to_contain_text("axolotl")
    expect(revealed).to_be_focused()
    expect(revealed).to_be_in_viewport()
    assert "thread=thr_2" in chat.page.url
    # The search is as it was, and ends with Escape.
    field(chat.sidebar).focus()
    chat.page.keyboard.press("Escape")
    expect(field(chat.sidebar)).to_have_value("")
    expect(chat.sidebar.locator("li.thread").first).to_be_visible()


def test_only_the_latest_answer_counts(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    asked: list[str] = []

    def delay(route: Route, request: Request) -> None:
        body: dict[str, Any] = json.loads(request.post_data or "{}")
        if body["type"] == "threads.search":
            asked.append(body["params"]["query"])
            if body["params"]["query"] == "rice":
                # It never comes.
                return
        route.continue_()

    chat.page.route("**/chatkit", delay)
    with chat.page.expect_request(lambda request: '"rice"' in (request.post_data or "")):
        field(chat.sidebar).fill("rice")
    expect(chat.sidebar.locator(".found")).to_have_attribute("aria-busy", "true")
    # Typed quickly: one question.
    field(chat.sidebar).press_sequentially("x")
    field(chat.sidebar).fill("risot")
    field(chat.sidebar).fill("risotto")
    expect(chat.sidebar.locator("mark")).to_have_text(["risotto"])
    expect(chat.sidebar.locator(".found")).to_have_attribute("aria-busy", "false")
    assert asked == ["rice", "risotto"]


def test_a_failure_can_be_tried_again(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    fails = [True]

    def fail(route: Route, request: Request) -> None:
        if fails and "threads.search" in (request.post_data or ""):
            fails.clear()
            route.fulfill(status=503, json={"error": {"code": "unavailable", "message": "no"}})
        else:
            route.continue_()

    chat.page.route("**/chatkit", fail)
    field(chat.sidebar).fill("rice")
    alert = chat.sidebar.get_by_role("alert")
    expect(alert).to_contain_text("The conversations could not be searched.")
    alert.get_by_role("button").click()
    expect(chat.sidebar.locator("mark")).to_have_text(["rice"])
    chat.errors.clear()


def test_the_list_of_the_element_searches_too(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    expect(chat.input).to_be_visible()
    chat.page.evaluate(
        "document.querySelector('openai-chatkit').setOptions({ api: { url: '/chatkit', domainKey: 'local' } })"
    )
    chat.element.get_by_role("button", name="Conversations").click()
    field(chat.element).fill("pergamon")
    chat.element.locator(".found-item").click()
    expect(chat.element.locator(".answer.revealed")).to_contain_text("Pergamon")
    chat.element.get_by_role("button", name="Conversations").click()
    expect(field(chat.element)).to_have_value("pergamon")
    field(chat.element).press("Escape")
    expect(chat.element.locator("li.thread")).to_have_count(3)
    field(chat.element).press("Escape")
    expect(chat.input).to_be_visible()


def test_a_server_that_cannot_search_shows_no_field(open_page: OpenPage, tmp_path: Path) -> None:
    store = filled(CannotSearch(owner=lambda context: "local"))
    with live_server(
        create_app(GuideServer(store), context=single_user(), ui=Page(title="Tea shop"))
    ) as live:
        chat = open_page(live.url)
        expect(chat.sidebar.locator("li.thread")).to_have_count(3)
        expect(chat.sidebar.get_by_role("searchbox")).to_have_count(0)


def test_an_item_that_is_not_there_leaves_the_thread_as_it_is(open_page: OpenPage, url: str) -> None:
    chat = open_page(f"{url}/?thread=thr_1")
    expect(chat.answers).to_have_count(1)
    assert chat.page.evaluate("document.querySelector('openai-chatkit').showItem('msg_none')") is False
    assert ChatPage(chat.page).errors == []
