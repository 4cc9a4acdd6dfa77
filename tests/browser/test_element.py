"""The element on a page of an application's own: one script tag, loaded as stock pages load it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from chatkit.demo import GuideServer
from chatkit.files import LocalFileStore
from chatkit.ids import new_id
from chatkit.store import MemoryStore
from chatkit.types import (
    AssistantMessageItem,
    TextContent,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)
from chatkit.web import create_app, single_user, ui_routes
from tests.browser.conftest import OpenPage
from tests.support.live_server import live_server
from tests.support.scale import scaled

PAGE = """<!doctype html><html lang="en"><title>Test</title>
<link rel="icon" href="data:,">
<body><openai-chatkit id="chat"></openai-chatkit>
<script src="/own.js"></script><script src="/ui/chatkit.js" async></script></body></html>"""
# The policy of the issue: no inline styles, no eval.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:"
)
OWN = """
document.body.style.setProperty("margin", "0");
const chat = document.getElementById("chat");
chat.style.setProperty("height", "100vh");
window.seen = [];
for (const name of ["ready", "error", "effect", "response.start", "response.end", "thread.change", "thread.load.start",
  "thread.load.end", "tool.change", "history.open", "history.close", "log"])
  chat.addEventListener("chatkit." + name, event => seen.push([name, event.detail ?? null]));
window.until = async found => {
  while (!seen.some(found)) await new Promise(resolve => requestAnimationFrame(resolve));
};
window.apply = more => customElements.whenDefined("openai-chatkit").then(() =>
  chat.setOptions({ api: { url: "/chatkit", domainKey: "none" }, ...more }));
"""


class EchoServer(GuideServer):
    """Answers `echo ...` with what arrived, the rest as the guide does."""

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        if input is None or not input.content or not input.content[0].text.startswith("echo"):
            async for event in super().respond(thread, input, context):
                yield event
            return
        told = {
            "content": [part.model_dump(exclude_none=True) for part in input.content],
            "quoted": input.quoted_text,
            "attachments": [attachment.name for attachment in input.attachments],
            "options": input.inference_options.model_dump(exclude_none=True),
        }
        text = f"`{json.dumps(told)}`"
        yield ThreadItemDoneEvent(
            item=AssistantMessageItem(id=new_id("message"), content=[TextContent(text=text)])
        )


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    async def page(request: Request) -> Response:
        return HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY})

    async def own(request: Request) -> Response:
        return Response(OWN, media_type="text/javascript")

    files = LocalFileStore(tmp_path_factory.mktemp("files"), secret="not a secret in a test, but long enough")
    server = EchoServer(MemoryStore(), file_store=files)
    routes = [Route("/page", page), Route("/own.js", own), *ui_routes(path="/ui/")]
    with live_server(create_app(server, context=single_user(), routes=routes)) as live:
        yield f"{live.url}/page"


def told(text: str) -> dict[str, Any]:
    return json.loads(text.strip())


def test_the_life_of_an_element(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    chat.page.evaluate("apply({ composer: { placeholder: 'Say something' } })")
    expect(chat.element.get_by_placeholder("Say something")).to_be_visible()
    chat.page.evaluate("until(([name]) => name === 'ready')")

    chat.page.evaluate("chat.sendUserMessage({ text: 'hello' })")
    chat.page.evaluate("until(([name]) => name === 'response.end')")
    names = [name for name, _ in chat.page.evaluate("seen")]
    assert names == ["ready", "response.start", "thread.change", "response.end"]
    thread_id = chat.page.evaluate("seen[2][1].threadId")
    assert thread_id.startswith("thr_")

    chat.page.evaluate("seen.length = 0; chat.setThreadId(null)")
    expect(chat.bubbles).to_have_count(0)
    chat.page.evaluate("id => chat.setThreadId(id)", thread_id)
    expect(chat.bubbles).to_have_text(["hello"])
    assert chat.page.evaluate("seen.slice(0, 2)") == [
        ["thread.change", {"threadId": None}],
        ["thread.change", {"threadId": thread_id}],
    ]


def test_options_are_replaced_while_an_answer_comes(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    warnings: list[str] = []
    chat.page.on(
        "console", lambda message: warnings.append(message.text) if message.type == "warning" else None
    )
    chat.page.evaluate("apply({})")
    chat.send("long 40")
    chat.input.fill("a draft")
    expect(chat.answers.last).to_contain_text("Line 3 of 40")
    chat.page.evaluate(
        "apply({ theme: 'dark', locale: 'de', flavour: 'salt', header: { title: { text: 'Hallo' } } })"
    )
    expect(chat.element.get_by_role("heading", name="Hallo")).to_be_visible()
    expect(chat.element.get_by_role("textbox", name="Nachricht", exact=True)).to_have_value("a draft")
    expect(chat.element.get_by_role("button", name="Nachricht senden")).to_be_visible(timeout=scaled(20_000))
    assert "Line 40 of 40" in chat.text()
    assert chat.element.evaluate("e => getComputedStyle(e).colorScheme") == "dark"
    assert [text for text in warnings if "flavour" in text] != []
    # What is left out is no longer there.
    chat.page.evaluate("apply({})")
    expect(chat.element.get_by_role("heading", name="Hallo")).to_have_count(0)
    assert chat.element.evaluate("e => getComputedStyle(e).colorScheme") == "light"


def test_mention_tool_model_and_quote_reach_the_server(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    chat.page.evaluate(
        """apply({
          entities: { onTagSearch: async q => [
            { id: "ada", title: "Ada Lovelace", group: "People", data: { born: "1815" } }, { id: "bob", title: "Bob" },
          ].filter(e => e.title.toLowerCase().includes(q.toLowerCase())) },
          composer: { tools: [{ id: "search", label: "Search the web", icon: "globe" }],
            models: [{ id: "small", label: "Small", default: true },
              { id: "large", label: "Large", description: "Slower" }] } })"""
    )
    chat.input.press_sequentially("echo to @lo")
    expect(chat.element.get_by_role("option", name="Ada Lovelace")).to_be_visible()
    chat.input.press("Enter")
    expect(chat.input).to_have_value("echo to @Ada Lovelace ")
    chat.input.press_sequentially("now")
    chat.element.get_by_role("button", name="Search the web").or_(
        chat.element.get_by_role("button", name="Add files and tools")
    ).first.click()
    expect(chat.element.get_by_role("button", name="Remove Search the web")).to_be_visible()
    chat.element.get_by_role("button", name="Model").click()
    chat.element.get_by_role("menuitemradio", name="Large").click()
    chat.page.evaluate("chat.setComposerValue({ reply: 'what was said' })")
    expect(chat.element.get_by_text("what was said")).to_be_visible()
    chat.input.press("Enter")
    chat.until_idle()
    assert told(chat.text()) == {
        "content": [
            {"type": "input_text", "text": "echo to "},
            {
                "type": "input_tag",
                "id": "ada",
                "text": "Ada Lovelace",
                "data": {"born": "1815"},
                "group": "People",
                "interactive": False,
            },
            {"type": "input_text", "text": " now"},
        ],
        "quoted": "what was said",
        "attachments": [],
        "options": {"tool_choice": {"id": "search"}, "model": "large"},
    }
    assert [detail for name, detail in chat.page.evaluate("seen") if name == "tool.change"] == [
        {"toolId": "search"},
        {"toolId": None},
    ]


@pytest.mark.parametrize("strategy", ["two_phase", "direct"])
def test_files_are_uploaded(open_page: OpenPage, url: str, tmp_path: Path, strategy: str) -> None:
    picture = tmp_path / "dot.png"
    picture.write_bytes(
        bytes.fromhex(
            "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
        )
    )
    notes = tmp_path / "notes.txt"
    notes.write_text("some notes")
    large = tmp_path / "large.txt"
    large.write_text("x" * 3000)

    chat = open_page(url)
    chat.page.evaluate(
        """strategy => apply({ api: { url: "/chatkit", domainKey: "", uploadStrategy: strategy === "direct"
          ? { type: "direct", uploadUrl: "/chatkit/files" } : { type: "two_phase" } },
          composer: { attachments: { enabled: true, maxSize: 2000, maxCount: 2 } } })""",
        strategy,
    )
    chooser = chat.element.locator("input[type=file]")
    chooser.set_input_files([str(picture), str(large)])
    expect(chat.element.get_by_role("alert")).to_contain_text(
        "large.txt is too large. At most 2 kB are taken."
    )
    chooser.set_input_files([str(notes)])
    expect(chat.element.get_by_role("alert")).to_have_count(0)
    expect(chat.element.locator(".upload.ready")).to_have_count(2)
    chat.element.get_by_role("button", name="Remove notes.txt").click()
    expect(chat.element.locator(".upload")).to_have_count(1)
    chat.input.fill("echo files")
    chat.input.press("Enter")
    chat.until_idle()
    assert told(chat.text())["attachments"] == ["dot.png"]
    expect(chat.element.locator(".user img.thumbnail")).to_have_count(1)
    expect(chat.element.locator(".upload")).to_have_count(0)


def test_history_in_the_element(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    chat.page.evaluate("apply({ history: { enabled: true, showDelete: true, showRename: true } })")
    chat.send("hello history")
    chat.until_idle()
    chat.element.get_by_role("button", name="Conversations").click()
    entry = chat.element.get_by_role("listitem").filter(has_text="hello history").first
    entry.get_by_role("button", name="Actions for").click()
    chat.page.keyboard.press("Enter")
    chat.element.get_by_role("textbox", name="Title").fill("Renamed here")
    chat.page.keyboard.press("Enter")
    chat.element.get_by_role("button", name="Renamed here", exact=True).click()
    expect(chat.element.get_by_role("heading", name="Renamed here")).to_be_visible()
    chat.page.evaluate("chat.showHistory()")
    chat.element.get_by_role("listitem").filter(has_text="Renamed here").get_by_role(
        "button", name="Actions for"
    ).click()
    chat.element.get_by_role("menuitem", name="Delete").click()
    chat.element.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
    expect(chat.element.get_by_text("Renamed here")).to_have_count(0)
    chat.page.keyboard.press("Escape")
    names = [name for name, _ in chat.page.evaluate("seen")]
    assert names.count("history.open") == 2
    assert "error" not in names


def test_enter_while_an_input_method_composes_sends_nothing(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    chat.page.evaluate("apply({})")
    chat.input.fill("にほん")
    chat.input.dispatch_event("keydown", {"key": "Enter", "isComposing": True, "bubbles": True})
    chat.input.dispatch_event("keydown", {"key": "Enter", "keyCode": 229, "bubbles": True})
    expect(chat.input).to_have_value("にほん")
    expect(chat.bubbles).to_have_count(0)
    chat.input.press("Shift+Enter")
    expect(chat.input).to_have_value("にほん\n")
    chat.input.press("Enter")
    expect(chat.bubbles).to_have_text(["にほん"])


def test_class_name_of_react_18_becomes_the_class(open_page: OpenPage, url: str) -> None:
    chat = open_page(url)
    chat.page.evaluate("apply({})")
    chat.page.evaluate(
        "chat.classList.add('own'); chat.setAttribute('classname', 'a b'); chat.setAttribute('classname', 'b c')"
    )
    assert chat.page.evaluate("[...chat.classList].sort()") == ["b", "c", "own"]
