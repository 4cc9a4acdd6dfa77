"""What an answer holds, in a real browser: hostile blocks, images of elsewhere, links, footnotes, Trusted Types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Route
from starlette.applications import Starlette

from tests.browser.chat_page import ChatPage
from tests.browser.conftest import OpenPage
from tests.browser.host_page import host_routes
from tests.support.live_server import live_server
from tests.support.scale import scaled

MILLISECONDS = 500
"""What a task may take on a machine that does other things at the same time; without them it is below 100."""

# Answers of the test's own, so that nothing but the page takes part.
_ANSWER = """async ([text, size, thread]) => {
  await customElements.whenDefined("openai-chatkit");
  const chat = document.getElementById("chat");
  const at = new Date().toISOString();
  const item = { type: "assistant_message", id: "msg_1", thread_id: "thr_1", created_at: at, content: [] };
  const part = "assistant_message.content_part.";
  const events = [{ type: "thread.created", thread: { id: "thr_1", created_at: at, status: { type: "active" },
    items: { data: [] }, ...thread } }, { type: "thread.item.added", item }];
  for (let from = 0; from < text.length; from += size) events.push({ type: "thread.item.updated", item_id: item.id,
    update: { type: part + "text_delta", content_index: 0, delta: text.slice(from, from + size) } });
  const content = [{ type: "output_text", text, annotations: [] }];
  events.push({ type: "thread.item.done", item: { ...item, content } });
  const encoder = new TextEncoder();
  const answer = async () => new Response(new ReadableStream({ async start(controller) {
    for (const event of events) {
      controller.enqueue(encoder.encode(`data: ${JSON.stringify(event)}\\n\\n`));
      await new Promise(resolve => setTimeout(resolve));
    }
    controller.close();
  } }), { headers: { "Content-Type": "text/event-stream" } });
  chat.setOptions({ api: { url: "/chatkit", domainKey: "", fetch: answer } });
  let longest = 0;
  const note = list => list.getEntries().forEach(({ duration }) => { longest = Math.max(longest, duration); });
  new PerformanceObserver(note).observe({ entryTypes: ["longtask"] });
  const ended = new Promise(resolve => chat.addEventListener("chatkit.response.end", resolve, { once: true }));
  await chat.sendUserMessage({ text: "go" });
  await ended;
  let view = null;
  while (!(view = chat.shadowRoot.querySelector("ck-markdown"))?.text) await new Promise(requestAnimationFrame);
  await view.updateComplete;
  await new Promise(resolve => setTimeout(resolve, 150));
  return { longest, text: view.shadowRoot.querySelector(".root").textContent };
}"""


_FOCUSED = """() => {
  let at = document.activeElement;
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  return at.textContent;
}"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with live_server(Starlette(routes=host_routes())) as live:
        yield live.url


def answer(chat: ChatPage, text: str, *, size: int = 40, **thread: Any) -> dict[str, Any]:
    chat.page.set_default_timeout(scaled(20_000))
    told: dict[str, Any] = chat.page.evaluate(_ANSWER, [text, size, thread])
    return told


HOSTILE = {
    "bold": "<b>" * 8_000,
    "quotes": ">" * 8_000,
    "lists": "- " * 8_000,
    "brackets": "[" * 30_000,
    "stars": "*a_ " * 12_000,
    "cells": "|a" * 60 + "|\n" + "|-" * 60 + "|\n" + "|\n" * 20_000,
    "json": "```json\n" + '{"id": 1, "name": "words", "list": [1, 2, 3]}\n' * 2_100 + "```",
    "json in a line": "```json\n" + '{"id": 1, "name": "words", "list": [1, 2, 3]}' * 2_100 + "\n```",
    "formulas": "$a^2$ " * 2_000,
    "frameset": "<frameset>\n",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_block_holds_the_page(open_page: OpenPage, url: str, kind: str) -> None:
    told = answer(open_page(f"{url}/page"), f"# Before\n\n{HOSTILE[kind]}\n\nwords after", size=4_000)
    assert told["text"].startswith("Before")
    assert "words after" in told["text"]
    assert told["longest"] <= MILLISECONDS


def test_images_of_elsewhere_are_asked_for(open_page: OpenPage, url: str) -> None:
    asked: list[str] = []
    chat = open_page(f"{url}/open")

    def watch(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(
            status=200, content_type="image/svg+xml", body="<svg xmlns='http://www.w3.org/2000/svg'/>"
        )

    chat.page.route("https://**/*", watch)
    text = "\n\n".join(
        (
            "![a](https://elsewhere.example/a.png?q=secret)",
            "![b](https://pictures.example/b.png)",
            '<img src="https://elsewhere.example/c.png" srcset="https://elsewhere.example/d.png 2x">',
            '<video poster="https://elsewhere.example/e.png"></video><p style="background: url(https://elsewhere.example/f)">g</p>',
            '<svg><image href="https://elsewhere.example/g.png"/></svg><link rel="prefetch" href="https://elsewhere.example/h">',
        )
    )
    answer(chat, text, allowed_image_domains=["pictures.example"])
    assert asked == ["https://pictures.example/b.png"]
    button = chat.page.get_by_role("button", name="Show image from elsewhere.example")
    button.click()
    button.wait_for(state="detached")
    chat.page.wait_for_function(
        "document.querySelector('#chat').shadowRoot.querySelector('ck-markdown').shadowRoot.querySelectorAll('img')[0].complete"
    )
    assert asked == ["https://pictures.example/b.png", "https://elsewhere.example/a.png?q=secret"]


def test_a_deep_link_is_a_link_unless_the_page_listens(open_page: OpenPage, url: str) -> None:
    chat = open_page(f"{url}/page")
    answer(chat, "[docs](/own.js?a=1) and [call](tel:+491)")
    # The page of this test listens from the beginning, before the element's code is there.
    chat.page.evaluate(
        "window.stopped = []; addEventListener('click', event => stopped.push(event.defaultPrevented))"
    )
    chat.page.get_by_role("link", name="docs").click()
    assert chat.page.evaluate("seen.filter(([name]) => name === 'deeplink')") == [
        ["deeplink", {"name": "own.js", "data": {"a": "1", "url": "/own.js?a=1"}}]
    ]
    assert chat.page.evaluate("stopped") == [True]
    chat.page.evaluate(
        """() => { const fresh = document.createElement("openai-chatkit"); fresh.id = "chat";
        fresh.style.height = "100vh";
        document.getElementById("chat").replaceWith(fresh); }"""
    )
    answer(chat, "[docs](/own.js?a=1)")
    with chat.page.context.expect_page() as opened:
        chat.page.get_by_role("link", name="docs").click()
    assert opened.value.url == f"{url}/own.js?a=1"


def test_footnotes_lead_there_and_back(open_page: OpenPage, url: str) -> None:
    chat = open_page(f"{url}/page")
    answer(chat, "See [^1] here.\n\nText.\n\n> [!NOTE]\n> Mind it.\n\n[^1]: The note.", size=3)
    chat.page.get_by_role("note", name="Note").wait_for()
    chat.page.locator("button.note-reference").click()
    assert "The note." in chat.page.evaluate(_FOCUSED)
    chat.page.locator("button.note-back").click()
    assert chat.page.evaluate(_FOCUSED) == "1"


def test_trusted_types_need_one_policy(open_page: OpenPage, url: str) -> None:
    """What a policy of the page refuses is logged as an error, which fails the test."""
    chat = open_page(f"{url}/trusted")
    answer(
        chat, 'Text &amp; \\(a^2\\)\n\n<details><summary>s</summary>x</details>\n\n```json\n{"a": 1}\n```\n'
    )
    chat.page.locator("math").first.wait_for()
    chat.page.locator(".hljs-attr").first.wait_for()
    assert chat.page.locator("details").count() == 1
