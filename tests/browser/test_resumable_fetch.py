"""`resumable-fetch.js` in a browser, with a client that behaves as the stock element was seen to.

The stock element's own code is closed and loads from elsewhere, so that it cannot be part of a test: the client here
sends its requests, reads bare `data:` frames, and stops an answer by aborting the request.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from chatkit.demo import GuideServer
from chatkit.store import MemoryStore
from chatkit.web import create_app, single_user, ui_routes
from tests.browser.conftest import OpenPage
from tests.support.live_server import live_server

PAGE = """<!doctype html><html lang="en"><title>Stock</title><link rel="icon" href="data:,">
<script type="module">
import { resumableFetch } from "/ui/resumable-fetch.js";
window.requests = [];
// Cuts the body of an answer after so many bytes, as a proxy that gives up would; the first `cuts` answers only.
const flaky = (bytes, cuts) => async (input, init) => {
  requests.push({ type: JSON.parse(init.body).type, token: new Headers(init.headers).get("authorization") });
  const response = await fetch(input, init);
  if (cuts-- <= 0 || !response.headers.get("content-type").startsWith("text/event-stream")) return response;
  const reader = response.body.getReader();
  let left = bytes;
  const body = new ReadableStream({ async pull(controller) {
    const { done, value } = await reader.read();
    if (done) return controller.close();
    controller.enqueue(value.subarray(0, left));
    left -= value.length;
    if (left <= 0) { reader.cancel(); controller.error(new TypeError("network error")); }
  } });
  return new Response(body, { status: response.status, headers: response.headers });
};
const text = message => ({ type: "threads.create", params: { input: {
  content: [{ type: "input_text", text: message }], attachments: [], inference_options: {} } } });
window.post = (body, { bytes = 0, cuts = 0, signal } = {}) => resumableFetch(flaky(bytes, cuts))("/chatkit", {
  method: "POST",
  headers: { "Content-Type": "application/json", "Accept": "text/event-stream", "Authorization": "Bearer t" },
  body: JSON.stringify(body), signal });
window.read = async (message, { stopAfter, ...options } = {}) => {
  const abort = new AbortController();
  const response = await post(text(message), { ...options, signal: abort.signal });
  const result = { raw: "", threadId: null, aborted: false };
  try {
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      result.raw += chunk;
      if (stopAfter && result.raw.includes(stopAfter)) abort.abort();
    }
  } catch (error) { result.aborted = error.name === "AbortError"; }
  result.threadId = result.raw.match(/thr_\\w+/)?.[0];
  return result;
};
window.thread = async id => (await post({ type: "threads.get_by_id", params: { thread_id: id } })).json();
window.ready = true;
</script>"""
LINE = re.compile(r"Line (\d+) of 40")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    async def page(request: Request) -> Response:
        return HTMLResponse(PAGE)

    routes = [Route("/page", page), *ui_routes(path="/ui/")]
    with live_server(create_app(GuideServer(MemoryStore()), context=single_user(), routes=routes)) as live:
        yield f"{live.url}/page"


def streamed(raw: str) -> list[int]:
    """The lines of the deltas, without those of the whole message at its end."""
    return [
        int(number) for frame in raw.split("\n\n") if "text_delta" in frame for number in LINE.findall(frame)
    ]


def test_an_unbroken_answer_passes_through(open_page: OpenPage, url: str) -> None:
    page = open_page(url).page
    page.wait_for_function("window.ready")
    raw = page.evaluate("read('long 40')")["raw"]
    assert streamed(raw) == list(range(1, 41))
    # Nothing that the stock element has not seen before.
    assert {line.partition(":")[0] for line in raw.splitlines() if line} == {"data"}
    assert "turn_id" not in raw


def test_a_broken_connection_is_not_noticed(open_page: OpenPage, url: str) -> None:
    page = open_page(url).page
    page.wait_for_function("window.ready")
    found = page.evaluate("read('long 40', { bytes: 2500, cuts: 3 })")
    assert streamed(found["raw"]) == list(range(1, 41))
    sent = page.evaluate("requests")
    assert [request["type"] for request in sent] == ["threads.create", *["turns.resume"] * 3]
    assert {request["token"] for request in sent} == {"Bearer t"}


def test_an_abort_stops_the_turn(open_page: OpenPage, url: str) -> None:
    page = open_page(url).page
    page.wait_for_function("window.ready")
    found = page.evaluate("read('long 2000', { stopAfter: 'Line 5 of 2000' })")
    assert found["aborted"]
    page.wait_for_function("async id => !(await thread(id)).active_turn", arg=found["threadId"])
    assert page.evaluate("requests.map(request => request.type)")[:2] == ["threads.create", "turns.stop"]
    answer = page.evaluate("id => thread(id)", found["threadId"])["items"]["data"][-1]["content"][0]["text"]
    assert "Line 5 of 2000" in answer
    assert "Line 2000 of 2000" not in answer


def test_a_refusal_is_the_servers_own(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    chat.page.wait_for_function("window.ready")
    status, code = chat.page.evaluate(
        """async () => {
          const body = { type: "threads.retry_after_item", params: { thread_id: "thr_none", item_id: "msg" } };
          const response = await post(body);
          return [response.status, (await response.json()).error.code];
        }"""
    )
    assert status == 404
    assert "not_found" in code
    chat.errors.clear()
