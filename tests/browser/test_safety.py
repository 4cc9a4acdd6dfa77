"""Hostile texts in every field that reaches the element: nothing runs, nothing loads from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Route
from starlette.applications import Starlette

from tests.browser.conftest import ChatPage, OpenPage
from tests.browser.host_page import host_routes
from tests.browser.hostile_server import hostile_routes
from tests.support.live_server import live_server
from tests.support.scale import scaled, share

CORPUS = Path(__file__).parents[2] / "ui" / "tests" / "xss.json"
GROUP = 8

# Whatever would run shows itself: the functions that payloads call, markers that they leave, refusals of the policy.
TRAPS = """
window.ran = [];
for (const name of ["alert", "confirm", "prompt", "print", "open", "msgbox"])
  Object.defineProperty(window, name, { value: (...args) => { ran.push(`${name} ${args}`); }, writable: false });
document.addEventListener("securitypolicyviolation", event =>
  ran.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""

_RUN = """async ([texts, group]) => {
  const FORBIDDEN = new Set(("SCRIPT IFRAME OBJECT EMBED BASE META LINK STYLE TEMPLATE PORTAL FRAME APPLET AUDIO VIDEO "
    + "SOURCE FOREIGNOBJECT ANIMATE SET USE MARQUEE").split(" "));
  const ADDRESSES = new Set("href src xlink:href action formaction data srcset poster background".split(" "));
  const EVENTS = "mouseover focus blur toggle beforetoggle animationstart load error".split(" ");
  function* all(root) {
    for (const element of root.querySelectorAll("*")) {
      yield element;
      if (element.shadowRoot) yield* all(element.shadowRoot);
    }
  }
  const dangers = new Set();
  let elements = 0;
  const look = (text, within = chat.shadowRoot) => {
    for (const element of all(within)) {
      elements += 1;
      const name = element.nodeName.toUpperCase();
      if (FORBIDDEN.has(name)) dangers.add(`${name} by ${text}`);
      for (const { name: attribute, value } of element.attributes) {
        if (attribute.startsWith("on")) dangers.add(`${name} ${attribute} by ${text}`);
        if (ADDRESSES.has(attribute) && !/^(?:https?:|mailto:)/.test(value))
          dangers.add(`${name} ${attribute}=${value}`);
      }
      const style = element.style?.cssText ?? "";
      if (/url\\(|image-set|expression|javascript:/i.test(style)) dangers.add(`style ${style}`);
      for (const type of EVENTS) element.dispatchEvent(new Event(type, { cancelable: true }));
    }
  };
  const frame = () => new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)));
  const until = async found => { while (!found()) await frame(); };
  const options = (some, x = some.join(" ")) => ({
    header: { title: { text: x }, leftAction: { icon: "home", onClick() {} } }, frameTitle: x,
    startScreen: { greeting: x, prompts: some.map(x => ({ label: x, prompt: x, icon: x })) },
    composer: { placeholder: x, attachments: { enabled: true, accept: { [x]: [x] } },
      tools: some.map((x, n) => (
        { id: `t${n}`, label: x, icon: x, shortLabel: x, placeholderOverride: x, pinned: n < 2 })),
      models: some.map((x, n) => ({ id: `m${n}`, label: x, description: x, default: n === 0 })) },
    threadItemActions: { feedback: true, retry: true },
    history: { enabled: true, showDelete: true, showRename: true }, entities: { onClick() {} },
  });
  const groups = [];
  for (let at = 0; at < texts.length; at += group) groups.push(texts.slice(at, at + group));
  document.addEventListener("submit", event => event.preventDefault());
  const shown = selector => [...all(chat.shadowRoot)].filter(element => element.matches(selector));
  for (const some of groups) {
    // Options come from the page; what they hold often does not.
    await apply(options(some));
    await chat.setComposerValue({ reply: some.join(" "), selectedToolId: "t0", content: some.flatMap(text => [
      { type: "input_text", text },
      { type: "input_tag", id: text, text, data: {}, group: text, interactive: true }]) });
    await frame();
    for (const button of shown("[aria-haspopup=menu]")) button.click();
    await frame();
    look(some);
    for (const button of shown("[aria-haspopup=menu][aria-expanded=true]")) button.click();
  }
  const empty = { text: "", reply: "", selectedToolId: null };
  for (const [number, some] of groups.entries()) {
    await apply(options(some.slice(-1)));
    await chat.setComposerValue(empty);
    await chat.setThreadId(null);
    seen.length = 0;
    await chat.sendUserMessage({ text: String(number) });
    await until(() => seen.some(([name]) => name === "response.end"));
    await frame();
    // Lists that are folded, previews that open over citations.
    for (const summary of shown("summary")) summary.click();
    for (const cite of shown("[data-citation], .cite")) cite.dispatchEvent(new Event("pointerover", { bubbles: true }));
    await frame();
    await frame();
    look(some);
    const turns = shown(".turn").length;
    if (turns < some.length) dangers.add(`only ${turns} turns are shown by ${some}`);
  }
  // Where no thread says which images may be shown, the page's own text may show any: so with a thread.
  await chat.setThreadId(null);
  seen.length = 0;
  await chat.sendUserMessage({ text: "-1" });
  await until(() => seen.some(([name]) => name === "response.end"));
  for (const text of texts) {
    await apply({ disclaimer: { text, highContrast: true } });
    await frame();
    look(text, chat.shadowRoot.querySelector(".disclaimer"));
  }
  await apply(options(texts.slice(0, 1)));
  await chat.showHistory();
  await until(() => shown(".thread-title").length >= texts.length);
  look("history");
  await chat.hideHistory();
  await chat.setThreadId(null);
  return { ran, dangers: [...dangers].slice(0, 40), elements };
}"""


def corpus() -> list[str]:
    return [text for texts in json.loads(CORPUS.read_text(encoding="utf-8")).values() for text in texts]


@pytest.mark.parametrize("page", ["page", "open"])
def test_hostile_texts_do_nothing(open_page: OpenPage, page: str) -> None:
    """On a page with a strict policy, and on one without any, where nothing but the element itself protects."""
    texts = corpus()
    assert len(texts) >= 150
    if page == "page":
        # The policy is one for all of them.
        texts = share(texts, 50)
    app = Starlette(routes=[*host_routes(traps=TRAPS), *hostile_routes(texts, GROUP)])
    with live_server(app) as live:
        show(open_page("about:blank"), live.url, page, texts)


def show(chat: ChatPage, url: str, page: str, texts: list[str]) -> None:
    asked: list[str] = []

    def watch(route: Route) -> None:
        if route.request.url.startswith(url):
            route.continue_()
        else:
            asked.append(route.request.url)
            route.abort()

    chat.page.route("**/*", watch)
    dialogs: list[str] = []
    chat.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    pages = len(chat.page.context.pages)
    chat.page.goto(f"{url}/{page}")
    chat.page.set_default_timeout(scaled(60_000))
    told: dict[str, Any] = chat.page.evaluate(_RUN, [texts, GROUP])
    assert told["ran"] == [], "\n".join(sorted(set(told["ran"])))
    assert told["dangers"] == []
    assert told["elements"] > 120 * len(texts)
    assert asked == []
    assert dialogs == []
    assert len(chat.page.context.pages) == pages
    assert chat.page.url == f"{url}/{page}"
