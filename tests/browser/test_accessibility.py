"""Everyone can use the element: axe-core, the keyboard alone, what is spoken, motion, and narrow windows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.scripted import Scripted
from tests.support.scale import scaled

_AXE = Path(__file__).parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"
_RUN = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"] });
  return violations.flatMap(v => v.nodes.map(n =>
    `${v.id}: ${n.target.flat().join(" ")}: ${(n.any[0] ?? n.all[0] ?? n.none[0])?.message ?? ""}`));
}"""
# Of all shadow trees.
_ANIMATIONS = """() => {
  const all = root => [...root.querySelectorAll("*")].flatMap(e => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
  return all(document).flatMap(e => e.getAnimations());
}"""
# The element that has the focus, in whatever shadow tree, and whether its focus can be seen.
_FOCUSED = """() => {
  let active = document.activeElement;
  while (active?.shadowRoot?.activeElement) active = active.shadowRoot.activeElement;
  if (!active || active === document.body) return null;
  const style = getComputedStyle(active);
  const frame = active.closest(".composer");
  return { name: active.getAttribute("aria-label") ?? active.innerText ?? "", tag: active.localName,
    seen: (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2)
      || (active.localName === "textarea" && frame !== null) };
}"""
_OPTIONS = """{ threadItemActions: { feedback: true, retry: true }, disclaimer: { text: "It can be **wrong**." },
  header: { title: { text: "Tea" }, rightAction: { icon: "settings-cog", onClick: () => calls.push("settings") } },
  commands: { enabled: true, onSearch: async () => [{ id: "a", label: "Ask", group: "Team", description: "Someone" }] },
  composer: { attachments: { enabled: true }, dictation: { enabled: true },
    tools: [{ id: "web", label: "Search the web", icon: "globe" },
      { id: "pin", label: "Pinned", icon: "star", pinned: true }],
    models: [{ id: "small", label: "Small", default: true }, { id: "large", label: "Large", description: "Slower" },
      { id: "old", label: "Old", disabled: true }] } }"""


class Audit:
    """Runs axe-core in a page and keeps what it finds."""

    def __init__(self, page: Page) -> None:
        self.found: list[str] = []
        self._page = page

    def check(self, state: str) -> None:
        if not self._page.evaluate("'axe' in window"):
            self._page.evaluate(_AXE.read_text(encoding="utf-8"))
        # What fades in has no contrast yet.
        self._page.evaluate(
            f"Promise.all(({_ANIMATIONS})().filter(a => a.effect.getComputedTiming().iterations < 9)"
            ".map(a => a.finished.catch(() => 0)))"
        )
        self.found += [f"{state}: {problem}" for problem in self._page.evaluate(_RUN)]

    def assert_nothing_found(self) -> None:
        assert not self.found, "\n".join(self.found)


@pytest.fixture
def axe() -> None:
    if not _AXE.is_file():
        pytest.skip("axe-core is not installed; run scripts/ui check")


@pytest.mark.usefixtures("axe")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_in_every_state_of_the_element(
    open_page: OpenPage, server: Scripted, tmp_path: Path, theme: str
) -> None:
    # The policy of the page forbids what the test has to add.
    chat = open_page(server.url, bypass_csp=True)
    audit = Audit(chat.page)
    chat.page.evaluate(f"apply({{ ...{_OPTIONS}, theme: {theme!r} }})")
    expect(chat.input).to_be_visible()
    audit.check("start screen")

    tools = chat.element.get_by_role("button", name="Add files and tools")
    tools.click()
    expect(chat.element.get_by_role("menuitemradio", name="Search the web")).to_be_visible()
    audit.check("tool menu")
    chat.page.keyboard.press("Escape")
    chat.element.get_by_role("button", name="Model").click()
    audit.check("model menu")
    chat.page.keyboard.press("Escape")
    chat.input.press_sequentially("/")
    expect(chat.element.get_by_role("option").first).to_be_visible()
    audit.check("command menu")
    chat.input.fill("")

    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "b.txt").write_text("text")
    chooser = chat.element.locator("input[type=file]")
    chooser.set_input_files(str(tmp_path / "a.txt"))
    expect(chat.element.locator(".upload.ready")).to_be_visible()
    server.faults.answer("attachments.create", 500, {})
    chooser.set_input_files(str(tmp_path / "b.txt"))
    expect(chat.element.locator(".upload.failed")).to_be_visible()
    chat.page.evaluate("chat.setComposerValue({ reply: 'A quote' })")
    audit.check("attachments")
    chat.element.get_by_role("button", name="Remove b.txt").click()

    server.faults.answer("threads.create", 500, {})
    chat.send("long 2000")
    expect(chat.element.get_by_role("alert")).to_be_visible()
    audit.check("error")
    chat.element.get_by_role("alert").get_by_role("button", name="Try again").click()
    expect(chat.answers).to_have_count(1)
    chat.until_idle()

    for text in ("markdown", "workflow", "widget", "sources", "notice", "questions"):
        chat.send(text)
        chat.until_idle()
    audit.check("answers")

    chat.send("long 2000")
    expect(chat.answers.last).to_contain_text("Line 30 of")
    chat.element.locator(".scroller").evaluate("s => s.scrollTo(0, 0)")
    expect(chat.element.get_by_role("button", name="Jump to the latest message")).to_be_visible()
    audit.check("streaming")
    chat.stop_button.click()
    chat.until_idle()

    chat.element.get_by_role("button", name="Conversations").click()
    actions = chat.element.get_by_role("button", name=re.compile("Actions for")).first
    actions.click()
    audit.check("menu of a thread")
    chat.element.get_by_role("menuitem", name="Rename").click()
    audit.check("rename")
    chat.page.keyboard.press("Escape")
    actions.click()
    chat.element.get_by_role("menuitem", name="Delete").click()
    audit.check("delete")
    chat.page.keyboard.press("Escape")
    chat.page.evaluate("chat.hideHistory()")
    chat.send("lock")
    expect(chat.element.locator(".lock")).to_be_visible()
    audit.check("locked")
    chat.errors.clear()
    audit.assert_nothing_found()


@pytest.mark.usefixtures("axe")
@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", {}),
        ("?locale=ar", {}),
        ("?theme=dark", {"viewport": {"width": 360, "height": 700}}),
        ("?locale=ar&theme=dark", {"viewport": {"width": 360, "height": 700}}),
    ],
    ids=["wide", "arabic", "phone", "arabic phone"],
)
def test_axe_on_the_page(
    open_page: OpenPage, server: Scripted, query: str, options: dict[str, object]
) -> None:
    chat = open_page(server.page + query, bypass_csp=True, **options)
    audit = Audit(chat.page)
    box = chat.element.locator("textarea.input")
    for text in ("markdown", "questions", "widget"):
        box.fill(text)
        box.press("Enter")
        expect(chat.element.locator("button[part=stop-button]")).to_have_count(0, timeout=scaled(20_000))
        expect(chat.answers.last.locator("table, .questions, ck-widget").first).to_be_visible()
    audit.check("conversation")
    if "viewport" in options:
        chat.element.locator("button[part=header-action]").click()
        expect(chat.sidebar.locator(".new")).to_be_focused()
    menu = chat.sidebar.locator("ck-menu button").first
    menu.click()
    audit.check("menu of a thread")
    chat.sidebar.get_by_role("menuitem").first.click()
    audit.check("rename")
    chat.page.keyboard.press("Escape")
    menu.click()
    chat.sidebar.get_by_role("menuitem").last.click()
    audit.check("delete")
    audit.assert_nothing_found()


def focused(page: Page) -> str:
    found = page.evaluate(_FOCUSED)
    assert found is not None, "nothing has the focus"
    assert found["seen"], f"the focus of {found} cannot be seen"
    return str(found["name"]).strip()


def walk(page: Page, key: str = "Tab", most: int = 40) -> list[str]:
    """Presses a key until the focus leaves the page or comes round; returns what had it."""
    names: list[str] = []
    for _ in range(most):
        page.keyboard.press(key)
        if page.evaluate(_FOCUSED) is None:
            break
        names.append(focused(page))
    return names


def test_everything_is_reached_by_tab(open_page: OpenPage, server: Scripted) -> None:
    chat = open_page(server.url)
    chat.page.evaluate(f"apply({_OPTIONS})")
    chat.send("markdown")
    chat.until_idle()
    chat.page.evaluate("document.activeElement.blur(); getSelection().removeAllRanges()")
    chat.input.fill("something to send")
    chat.page.locator("body").evaluate("b => { b.tabIndex = -1; b.focus(); b.removeAttribute('tabindex'); }")
    names = walk(chat.page)
    wanted = [
        "New conversation", "Conversations", "settings-cog", "Conversation", "Table", "Copy code", "Copy", "Quote",
        "Good answer", "Bad answer", "Answer again", "Message", "Add files and tools", "Pinned", "Model: Small",
        "Dictate", "Send message",
    ]  # fmt: skip
    places = [names.index(name) for name in wanted]
    assert places == sorted(places)


def test_menus_and_dialogs_give_the_focus_back(open_page: OpenPage, server: Scripted) -> None:
    chat = open_page(server.url)
    page = chat.page
    page.evaluate(f"apply({_OPTIONS})")
    chat.send("say one")
    chat.until_idle()
    chat.element.get_by_role("button", name="Model").focus()
    page.keyboard.press("Enter")
    assert focused(page).startswith("Small")
    page.keyboard.press("ArrowDown")
    assert focused(page).startswith("Large")
    page.keyboard.press("ArrowDown")
    assert focused(page).startswith("Small")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    assert focused(page).startswith("Model")
    expect(chat.element.get_by_role("button", name="Model")).to_contain_text("Large")
    page.keyboard.press("ArrowDown")
    assert focused(page).startswith("Large")
    page.keyboard.press("Escape")
    assert focused(page).startswith("Model")
    expect(chat.element.get_by_role("menu")).to_have_count(0)

    chat.element.get_by_role("button", name="Conversations").focus()
    page.keyboard.press("Enter")
    actions = chat.element.get_by_role("button", name=re.compile("^Actions for")).first
    expect(actions).to_be_visible()
    actions.focus()
    name = focused(page)
    for steps in (["Enter", "Enter"], ["ArrowUp", "Enter"]):
        for step in steps:
            page.keyboard.press(step)
        expect(chat.element.locator(".rename input, .confirm .danger")).to_be_focused()
        page.keyboard.press("Escape")
        expect(actions).to_be_focused()
        assert focused(page) == name
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.keyboard.type("Renamed")
    page.keyboard.press("Enter")
    expect(chat.element.get_by_role("button", name="Actions for Renamed")).to_be_focused()
    chat.element.get_by_role("button", name="Actions for Renamed").press("Escape")
    expect(chat.element.get_by_role("button", name="Conversations")).to_be_focused()
    page.keyboard.press("Enter")
    rows = chat.element.locator("[data-thread]")
    expect(rows.first).to_be_visible()
    count = rows.count()
    rows.first.get_by_role("button", name=re.compile("^Actions")).press("ArrowUp")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(count - 1)
    assert focused(page)


def test_the_sidebar_of_a_phone_by_keyboard(open_page: OpenPage, server: Scripted) -> None:
    chat = open_page(server.page, viewport={"width": 360, "height": 700})
    chat.send("say one")
    chat.until_idle()
    opener = chat.element.locator("button[part=header-action]")
    opener.press("Enter")
    expect(chat.sidebar.locator(".new")).to_be_focused()
    # The conversation below is out of reach.
    names = walk(chat.page, most=6)
    assert "Message" not in names
    chat.sidebar.locator(".new").press("Escape")
    expect(opener).to_be_focused()
    expect(chat.sidebar.locator(".new")).not_to_be_visible()
    names = walk(chat.page, most=15)
    assert "Message" in names


def test_what_is_spoken(open_page: OpenPage, server: Scripted) -> None:
    chat = open_page(server.url)
    chat.page.evaluate("apply({})")
    expect(chat.input).to_be_visible()
    chat.page.evaluate(
        """() => {
          window.spoken = [];
          const regions = "[role=status], [role=alert], [aria-live]";
          const listen = () => {
            for (const region of chat.shadowRoot.querySelectorAll(regions)) spoken.at(-1) === region.innerText.trim()
              || (region.innerText.trim() && spoken.push(region.innerText.trim()));
          };
          new MutationObserver(records => {
            if (records.some(r => (r.target.nodeType === 1 ? r.target : r.target.parentElement)?.closest(regions)
              || [...r.addedNodes].some(n => n.nodeType === 1 && (n.matches(regions) || n.querySelector(regions)))))
              listen();
          }).observe(chat.shadowRoot, { subtree: true, childList: true, characterData: true });
        }"""
    )
    chat.send("long 60")
    chat.until_idle()
    spoken = chat.page.evaluate("spoken")
    assert [text.split(":")[0] for text in spoken] == ["The assistant is answering", "The assistant answered"]
    assert "Line 1 of 60" in spoken[1]
    assert len(spoken[1]) < 500
    # Nothing that is spoken holds the answer while it comes.
    assert (
        chat.answers.last.locator(
            "xpath=ancestor-or-self::*[@aria-live or @role='log' or @role='status']"
        ).count()
        == 0
    )

    server.faults.answer("threads.add_user_message", 500, {})
    chat.send("say no")
    expect(chat.element.get_by_role("alert")).to_be_visible()
    chat.page.evaluate("new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)))")
    later = chat.page.evaluate("spoken")[2:]
    assert [text for text in later if "The server has a problem" in text] != []
    assert not [text for text in later if text.startswith("The assistant answered")]
    chat.errors.clear()


def test_motion_is_reduced(open_page: OpenPage, server: Scripted) -> None:
    chat = open_page(server.url, reduced_motion="reduce")
    chat.page.evaluate(f"apply({_OPTIONS})")
    moving = f"""() => ({_ANIMATIONS})().filter(a => a.effect.getComputedTiming().activeDuration > 50)
      .map(a => `${{a.animationName ?? a.transitionProperty}} of ${{a.effect.target.className}}`)"""
    for text in ("workflow", "progress", "image", "long 2000"):
        chat.send(text)
        expect(chat.stop_button).to_be_visible()
        expect(
            chat.element.locator(".progress, ck-workflow, ck-generated-image, ck-markdown").last
        ).to_be_visible()
        assert chat.page.evaluate(moving) == []
        chat.stop_button.click()
        chat.until_idle()
    chat.element.get_by_role("button", name="Model").click()
    assert chat.page.evaluate(moving) == []


# What reaches out of the window, unless it can be scrolled to inside of something.
_OUTSIDE = """root => {
  const width = document.documentElement.clientWidth;
  const all = node => [...node.querySelectorAll("*")]
    .flatMap(e => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
  const frames = ".scroller, .body, .root, html, body, openai-chatkit";
  const isClipped = e => {
    for (let node = e.parentNode; node; node = node.parentNode ?? node.host) {
      if (!(node instanceof Element) || node.matches(frames)) continue;
      if (getComputedStyle(node).overflowX !== "visible") return true;
    }
    return false;
  };
  return all(root.shadowRoot).filter(e => {
    const r = e.getBoundingClientRect();
    const isOutside = r.width > 1 && (r.right > width + 1 || r.left < -1);
    return isOutside && !isClipped(e) && e.checkVisibility({ visibilityProperty: true });
  }).map(e => `${e.localName}.${e.getAttribute("class")}`);
}"""


@pytest.mark.parametrize("locale", ["en", "ar"])
def test_a_window_of_320_pixels(open_page: OpenPage, server: Scripted, locale: str) -> None:
    chat = open_page(server.page + f"?locale={locale}", viewport={"width": 320, "height": 568})
    box = chat.element.locator("textarea.input")
    busy = chat.element.locator("button[part=stop-button]")
    for text in ("markdown", "widget", "questions", "sources", "notice", "workflow", "echo " + "long" * 60):
        box.fill(text)
        box.press("Enter")
        expect(busy).to_have_count(0, timeout=scaled(20_000))
    assert chat.page.evaluate("document.documentElement.scrollWidth") == 320
    assert chat.element.locator(".scroller").evaluate("s => s.scrollWidth - s.clientWidth") == 0
    assert chat.element.evaluate(_OUTSIDE) == []
    assert chat.element.locator("form.composer").evaluate("f => f.getBoundingClientRect().width") > 250
