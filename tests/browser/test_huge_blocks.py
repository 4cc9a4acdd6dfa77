"""One block of thousands of lines, still growing: the page stays usable."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette

from tests.browser.conftest import OpenPage
from tests.browser.host_page import host_routes
from tests.support.live_server import live_server

MILLISECONDS = 16.0
"""What a delta of a huge block may cost of the page's one thread, beyond what one of a small block costs."""

# A stream of the test's own, so that nothing but the page is measured. What a delta costs is how long the page answers
# to nothing else: between messages that it sends to itself all the time.
_COST = """async ([head, line, first, lines]) => {
  const encoder = new TextEncoder();
  let controller;
  const send = event => controller.enqueue(encoder.encode(`data: ${JSON.stringify(event)}\\n\\n`));
  const answer = async () => new Response(new ReadableStream({ start: own => { controller = own; } }),
    { headers: { "Content-Type": "text/event-stream" } });
  await apply({ api: { url: "/chatkit", domainKey: "", fetch: answer } });
  const frame = () => new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)));
  await chat.sendUserMessage({ text: "go" });
  await frame();
  const at = new Date().toISOString();
  const thread = { id: "thr_huge", created_at: at, status: { type: "active" }, items: { data: [] } };
  send({ type: "thread.created", thread });
  const item = { type: "assistant_message", id: "msg_huge", thread_id: thread.id, created_at: at, content: [] };
  send({ type: "thread.item.added", item });
  const part = "assistant_message.content_part.";
  let text = "";
  const delta = added => {
    text += added;
    send({ type: "thread.item.updated", item_id: item.id,
      update: { type: part + "text_delta", content_index: 0, delta: added } });
  };
  const write = number => line.replaceAll("%", number);
  const markdown = () => chat.shadowRoot.querySelector("ck-markdown");
  const shown = async () => {
    while (markdown()?.text !== text) await frame();
    await frame();
  };
  delta(head);
  let number = first;
  while (number < lines) {
    let some = "";
    for (let count = 0; count < 50; count += 1, number += 1) some += write(number);
    delta(some);
    await shown();
  }
  await new Promise(resolve => setTimeout(resolve, 1000));
  // Times at which the page had time for something else.
  const channel = new MessageChannel();
  const gaps = [];
  let last = performance.now(), measures = true;
  channel.port1.onmessage = () => {
    const now = performance.now();
    gaps.push(now - last);
    last = now;
    if (measures) channel.port2.postMessage(0);
  };
  channel.port2.postMessage(0);
  const DELTAS = 60;
  for (let count = 0; count < DELTAS; count += 1, number += 0.5) {
    const whole = write(Math.floor(number));
    const middle = Math.floor(whole.length / 2);
    delta(number % 1 === 0 ? whole.slice(0, middle) : whole.slice(middle));
    await frame();
    await frame();
  }
  measures = false;
  await shown();
  const busy = gaps.filter(gap => gap > 1).sort((a, b) => a - b);
  const all = busy.reduce((sum, gap) => sum + gap, 0) / DELTAS;
  const longest = busy.at(-Math.ceil(busy.length / 20)) ?? 0;
  const nodes = markdown().shadowRoot.querySelectorAll("li, tr, code").length;
  const told = markdown().shadowRoot.querySelector(".block").textContent;
  controller.close();
  return { all, longest, nodes, told, top: busy.slice(-6) };
}"""

BLOCKS = {
    "list": ("", "- Item % with some *words* and `code` in it\n", 5000, 4999),
    "numbers": ("", "%. Item % with some **words** in it\n", 5000, 4999),
    "table": ("| One | Two | Three |\n|---|---|---|\n", "| Row % | some *words* | `code` |\n", 3000, 3000),
    "code": ("```python\n", "value_% = compute(%, mode='fast')  # line %\n", 5000, 1),
}


NUMBERS = {"list": r"Item (\d+)", "numbers": r"Item (\d+)", "table": r"Row (\d+)", "code": r"# line (\d+)"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with live_server(Starlette(routes=host_routes())) as live:
        yield f"{live.url}/page"


@pytest.mark.parametrize("kind", BLOCKS)
def test_a_huge_block_grows_without_freezing_the_page(open_page: OpenPage, url: str, kind: str) -> None:
    head, line, lines, nodes = BLOCKS[kind]
    small: dict[str, Any] = open_page(url).page.evaluate(_COST, [head, line, 1, 60])
    cost: dict[str, Any] = open_page(url).page.evaluate(_COST, [head, line, 1, lines])
    told = cost.pop("told")
    assert cost["nodes"] >= nodes
    # Nothing is left out, nothing is there twice.
    numbers = [int(found) for found in re.findall(NUMBERS[kind], told)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(numbers) >= lines - 1
    # What the machine has to do besides is in both.
    assert cost["all"] - small["all"] <= MILLISECONDS, (small["all"], cost)
    assert cost["longest"] - small["longest"] <= 2 * MILLISECONDS, (small["longest"], cost)
