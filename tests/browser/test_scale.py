"""Threads and answers that are long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import expect

from chatkit.demo import GuideServer
from chatkit.store import MemoryStore
from chatkit.types import (
    AssistantMessageItem,
    InferenceOptions,
    TextContent,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
    UserMessageTextContent,
)
from chatkit.web import create_app, single_user
from tests.browser.conftest import OpenPage
from tests.support.live_server import live_server
from tests.support.scale import is_within

ITEMS = 5000
THREAD = "thr_long"


async def fill(store: MemoryStore[Any], context: Any) -> None:
    now = datetime.now(UTC)
    await store.save_thread(ThreadMetadata(id=THREAD, title="Long", created_at=now), context)
    for number in range(ITEMS):
        item: ThreadItem
        if number % 2 == 0:
            content = [UserMessageTextContent(text=f"Question {number}")]
            item = UserMessageItem(
                id=f"msg_{number}",
                thread_id=THREAD,
                created_at=now,
                content=content,
                inference_options=InferenceOptions(),
            )
        else:
            text = f"Answer {number}\n\n- one\n- **two**\n\nA paragraph with `code` and some more words."
            item = AssistantMessageItem(
                id=f"msg_{number}", thread_id=THREAD, created_at=now, content=[TextContent(text=text)]
            )
        await store.add_thread_item(THREAD, item, context)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    store: MemoryStore[Any] = MemoryStore()
    # In a thread, for Playwright has an event loop running in this one.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, fill(store, {"user_id": "local"})).result()
    app = create_app(GuideServer(store, delay=0), context=single_user(), ui=True)
    with live_server(app) as live:
        yield live.url


def test_a_long_thread_opens_at_its_end_and_scrolls_to_its_beginning(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    expect(chat.input).to_be_visible()
    start = time.monotonic()
    chat.page.evaluate("id => document.querySelector('openai-chatkit').setThreadId(id)", THREAD)
    expect(chat.bubbles.last).to_be_in_viewport()
    assert is_within(time.monotonic() - start, 1)
    assert "Answer 4999" in chat.text()

    top = "s => s.scrollTop"
    scroller = chat.element.locator(".scroller")
    # What is in sight stays where it is when older messages come in above it.
    before = chat.bubbles.count()
    scroller.evaluate("s => s.scrollTo(0, 300)")
    mark = chat.element.locator(".turn").first
    seen = mark.evaluate("e => [e, e.getBoundingClientRect().top][1]")
    assert seen is not None
    expect(chat.bubbles).not_to_have_count(before)
    assert scroller.evaluate(top) > 300

    chat.page.evaluate(_SCROLL_BACK, ITEMS // 2)
    expect(chat.element.get_by_text("Question 0", exact=True)).to_be_in_viewport()
    assert (
        chat.element.locator(".turn").evaluate_all("turns => new Set(turns.map(t => t.group.key)).size")
        == ITEMS // 2
    )


_SCROLL_BACK = """async turns => {
  const root = document.querySelector("openai-chatkit").shadowRoot;
  const scroller = root.querySelector(".scroller");
  while (root.querySelectorAll(".turn").length < turns || scroller.scrollTop > 0) {
    scroller.scrollTo(0, 0);
    await new Promise(resolve => requestAnimationFrame(resolve));
  }
}"""


OWN_WORK = {"ScriptDuration", "RecalcStyleDuration", "LayoutDuration"}


def test_an_answer_costs_no_more_at_its_end(open_page: OpenPage, url: str) -> None:
    """Script, style and layout for each delta, at 20 KB and at 200 KB of the answer."""
    chat = open_page(url)
    expect(chat.input).to_be_visible()
    chat.page.evaluate(_OPEN_STREAM)
    session = chat.page.context.new_cdp_session(chat.page)
    # Of a processor: what others have of it meanwhile is not the page's.
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    deltas = 60

    def seconds_for_a_delta(size: int) -> float:
        chat.page.evaluate("size => grow(size)", size)
        before = busy()
        chat.page.evaluate("deltas => append(deltas)", deltas)
        return (busy() - before) / deltas

    def busy() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return float(sum(metric["value"] for metric in metrics if metric["name"] in OWN_WORK))

    seconds_for_a_delta(20_000)
    early = seconds_for_a_delta(20_000)
    late = seconds_for_a_delta(200_000)
    assert late <= early * 1.5 + 0.0002, (early, late)


# A stream of the test's own, so that nothing but the page is measured: paragraphs until a size is reached, and deltas
# one a frame.
_OPEN_STREAM = """async () => {
  const chat = document.querySelector("openai-chatkit");
  const encoder = new TextEncoder();
  const id = "msg_cost", at = new Date().toISOString();
  let controller;
  const send = event =>
    controller.enqueue(encoder.encode(`data: ${JSON.stringify(event)}\\n\\n`));
  const delta = text => send({ type: "thread.item.updated", item_id: id,
    update: { type: "assistant_message.content_part.text_delta", content_index: 0, delta: text } });
  const headers = { "Content-Type": "text/event-stream" };
  const answer = async () => new Response(new ReadableStream({ start: own => { controller = own; } }), { headers });
  chat.setOptions({ api: { url: "/chatkit", domainKey: "", fetch: answer } });
  const frame = () => new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)));
  await chat.setThreadId(null);
  await chat.sendUserMessage({ text: "go" });
  await frame();
  const thread = { id: "thr_cost", created_at: at, status: { type: "active" }, items: { data: [] } };
  send({ type: "thread.created", thread });
  const item = { type: "assistant_message", id, thread_id: thread.id, created_at: at, content: [] };
  send({ type: "thread.item.added", item });
  let size = 0;
  window.grow = async to => {
    while (size < to) {
      const text = "A paragraph with *some* markdown and `code`, as long as usual ones are.\\n\\n".repeat(10);
      delta(text);
      size += text.length;
      await frame();
    }
  };
  window.append = async deltas => {
    for (let step = 0; step < deltas; step += 1) {
      delta("word ");
      await frame();
    }
  };
}"""
