"""What pages do with the element that nobody would write down: options that are null, calls that come too early."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.scripted import Scripted, events, opened

TOOLS = {
    "cyclic": "const a = {}; a.self = a; return a;",
    "bigint": "return { n: 1n };",
    "throws": "return { toJSON() { throw new Error('no'); } };",
}


@pytest.mark.parametrize("kind", sorted(TOOLS))
def test_a_tool_whose_result_cannot_be_sent(open_page: OpenPage, server: Scripted, kind: str) -> None:
    chat = opened(open_page, server, f"{{ onClientTool: () => {{ {TOOLS[kind]} }} }}")
    chat.send("page-tool")
    chat.until_idle()
    expect(chat.element.get_by_role("alert")).to_have_count(0)
    sent = [r for r in server.faults.requests if r["type"] == "threads.add_client_tool_output"][-1]
    assert "cannot be sent as JSON" in sent["params"]["result"]["error"]
    assert len(events(chat, "error")) == 1


def test_a_result_that_the_server_does_not_take(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server, "{ onClientTool: () => ({ text: 'much' }) }")
    body = {"error": {"code": "request_too_large", "message": "Too large."}}
    server.faults.answer("threads.add_client_tool_output", 413, body)
    chat.send("page-tool")
    chat.until_idle()
    expect(chat.element.get_by_role("alert")).to_have_count(0)
    sent = [r for r in server.faults.requests if r["type"] == "threads.add_client_tool_output"][-2:]
    assert sent[0]["params"]["result"] == {"text": "much"}
    assert "was not taken" in sent[1]["params"]["result"]["error"]
    chat.errors.clear()


@pytest.mark.parametrize(
    "options",
    [
        "{ theme: null }",
        "{ theme: { color: null, typography: null, radius: null } }",
        "{ theme: { color: { accent: null, surface: null }, typography: { fontSources: null } } }",
        "{ composer: null, header: null, history: null, startScreen: null, entities: null, widgets: null }",
        "{ composer: { attachments: null, tools: null, models: null, dictation: null } }",
        "{ locale: null, frameTitle: null, disclaimer: null, thread: null, threadItemActions: null }",
        "{ startScreen: { greeting: null, prompts: null }, header: { title: null, leftAction: null } }",
        "{ theme: { typography: { fontSources: [{ family: 'X', src: 'x', weight: 'no weight' }] } } }",
    ],
)
def test_options_that_are_null(open_page: OpenPage, server: Scripted, options: str) -> None:
    chat = opened(open_page, server)
    chat.input.fill("kept")
    chat.page.evaluate(f"apply({options})")
    expect(chat.input).to_have_value("kept")
    chat.input.fill("say fine")
    chat.input.press("Enter")
    expect(chat.answers).to_contain_text("fine")


@pytest.mark.parametrize("params", ["{ text: '' }", "{ text: ' \\n ' }", "{}", "{ content: [] }"])
def test_a_message_without_anything_is_not_sent(open_page: OpenPage, server: Scripted, params: str) -> None:
    chat = opened(open_page, server)
    before = server.faults.count("threads.create")
    failed = chat.page.evaluate(f"chat.sendUserMessage({params}).then(() => null, error => error.name)")
    assert failed == "TypeError"
    expect(chat.bubbles).to_have_count(0)
    assert server.faults.count("threads.create") == before


def test_calls_before_the_element_is_in_the_document(open_page: OpenPage, server: Scripted) -> None:
    chat = open_page(server.url)
    done = chat.page.evaluate(
        """async () => {
          await customElements.whenDefined("openai-chatkit");
          document.getElementById("chat").remove();
          const early = document.createElement("openai-chatkit");
          early.id = "early";
          const settled = [];
          const soon = (name, call) => Promise.race([
            Promise.resolve(call).then(() => settled.push(name), () => settled.push(name)),
            new Promise(resolve => setTimeout(resolve, 5000)),
          ]);
          await soon("focus", early.focusComposer());
          early.setOptions({ api: { url: "/chatkit", domainKey: "none" } });
          await soon("value", early.setComposerValue({ text: "early" }));
          await soon("history", early.showHistory());
          await soon("back", early.hideHistory());
          await soon("thread", early.setThreadId(null));
          await soon("focus again", early.focusComposer());
          document.querySelector("main").append(early);
          return settled;
        }"""
    )
    assert done == ["focus", "value", "history", "back", "thread", "focus again"]
    expect(chat.input).to_have_value("early")
    expect(chat.input).to_be_focused()


def test_an_element_that_moves_into_another_document_keeps_its_looks(
    open_page: OpenPage, server: Scripted
) -> None:
    chat = opened(open_page, server, "{ theme: { color: { accent: { primary: '#ff0000', level: 1 } } } }")
    chat.send("say **bold** `code`")
    chat.until_idle()
    looks = """element => {
      const view = element.ownerDocument.defaultView;
      const inside = element.shadowRoot;
      const look = (found, name) => view.getComputedStyle(found)[name];
      const markdown = inside.querySelector(".answer ck-markdown").shadowRoot;
      return [look(inside.querySelector(".composer"), "borderTopWidth"),
        look(inside.querySelector(".send"), "borderRadius"),
        look(inside.querySelector(".send"), "backgroundColor"),
        look(markdown.querySelector("code"), "borderRadius"),
        look(markdown.querySelector("code"), "fontFamily")];
    }"""
    before = chat.element.evaluate(looks)
    chat.page.evaluate(
        """() => {
          const frame = document.createElement("iframe");
          frame.style.setProperty("width", "900px");
          frame.style.setProperty("height", "700px");
          document.body.append(frame);
          frame.contentDocument.body.append(document.getElementById("chat"));
        }"""
    )
    moved = chat.page.frame_locator("iframe").locator("openai-chatkit")
    expect(moved.locator(".answer")).to_contain_text("bold")
    assert moved.evaluate(looks) == before
    # What is made there has its looks too, and everything works.
    field = moved.get_by_role("textbox", name="Message", exact=True)
    field.fill("say `more`")
    field.press("Enter")
    expect(moved.locator(".answer")).to_have_count(2)
    expect(moved.locator(".answer").last).to_contain_text("more")
    later = looks.replace(".answer ck-markdown", ".turn.last .answer ck-markdown")
    assert moved.evaluate(later) == before


PREVIEW = """{ entities: {
  onTagSearch: async q => [
    { id: "ord_7", title: "Order 7", interactive: true, group: "Orders", data: { total: "12" } }],
  onRequestPreview: async entity => { calls.push(entity);
    return { preview: { type: "Basic", children: [{ type: "Text", value: "Total " + entity.data.total }] } }; } } }"""
ENTITY = {
    "id": "ord_7",
    "title": "Order 7",
    "interactive": True,
    "group": "Orders",
    "data": {"total": "12"},
}


def test_a_tag_is_previewed_in_the_composer_and_in_the_message(open_page: OpenPage, server: Scripted) -> None:
    chat = opened(open_page, server, PREVIEW)
    chat.input.press_sequentially("echo @Or")
    chat.element.get_by_role("option").click()
    expect(chat.input).to_have_value("echo @Order 7 ")
    mark = chat.element.locator(".mirror mark").bounding_box()
    assert mark is not None
    chat.page.mouse.move(mark["x"] + mark["width"] / 2, mark["y"] + mark["height"] / 2)
    card = chat.element.get_by_role("tooltip")
    expect(card).to_contain_text("Total 12")
    assert chat.page.evaluate("calls") == [ENTITY]
    chat.page.mouse.move(5, 5)
    expect(card).to_have_count(0)
    chat.input.press("Enter")
    chat.until_idle()
    tag = chat.element.locator(".user .tag")
    tag.hover()
    expect(card).to_contain_text("Total 12")
    chat.page.mouse.move(5, 5)
    expect(card).to_have_count(0)
    # By the keyboard, too.
    tag.focus()
    expect(card).to_contain_text("Total 12")
    tag.press("Escape")
    expect(card).to_have_count(0)
    assert chat.page.evaluate("calls") == [ENTITY] * 3


@pytest.mark.parametrize(
    "children",
    [
        "[{ type: 'Text', value: 'Wide words '.repeat(30) }]",
        "Array.from({ length: 60 }, () => ({ type: 'Text', value: 'Tall' }))",
    ],
    ids=["wide", "tall"],
)
def test_the_card_of_a_tag_lies_inside_of_the_window(
    open_page: OpenPage, server: Scripted, children: str
) -> None:
    options = PREVIEW.partition("return {")[0]
    chat = opened(
        open_page,
        server,
        f"{options} return {{ preview: {{ type: 'Basic', children: {children} }} }}; }} }} }}",
    )
    chat.page.set_viewport_size({"width": 390, "height": 500})
    chat.page.evaluate(
        """chat.sendUserMessage({ content: [
          { type: "input_tag", id: "x", text: "Ada", interactive: true, data: {} }] })"""
    )
    chat.until_idle()
    chat.element.locator(".user .tag").focus()
    card = chat.element.get_by_role("tooltip")
    expect(card).to_contain_text("Wide words" if "Wide" in children else "Tall")
    # The card of a widget grows when the widget's code is there.
    chat.page.wait_for_function(
        """card => {
          const { left, right, top, bottom } = card.getBoundingClientRect();
          return right - left > 40 && left >= 8 && right <= innerWidth - 8 && top >= 8 && bottom <= innerHeight - 8;
        }""",
        arg=card.element_handle(),
    )


@pytest.mark.parametrize(
    "answer",
    ["null", "{ preview: null }", "Promise.reject(new Error('no'))", "(() => { throw new Error() })()"],
)
def test_a_tag_without_a_preview_shows_none(open_page: OpenPage, server: Scripted, answer: str) -> None:
    options = PREVIEW.replace("async entity => {", "entity => {").partition("return {")[0]
    chat = opened(open_page, server, f"{options} return {answer}; }} }} }}")
    chat.page.evaluate(
        """chat.sendUserMessage({ content: [
          { type: "input_tag", id: "x", text: "Ada", interactive: true, data: {} }] })"""
    )
    chat.until_idle()
    chat.element.locator(".user .tag").hover()
    chat.page.evaluate("when(() => calls.length === 1)")
    expect(chat.element.get_by_role("tooltip")).to_have_count(0)
