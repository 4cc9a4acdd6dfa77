"""Each state that the screenshots show comes about in each look, and fits into the window."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.screenshots import show_server, shown
from tests.browser.showcase import STATES, VARIANTS, State, Variant

# What sticks out sideways, wherever it is, unless something around it scrolls or cuts it off.
_OUTSIDE = """() => {
  const chat = document.querySelector("openai-chatkit");
  function* all(root) {
    for (const element of root.querySelectorAll("*")) {
      yield element;
      if (element.shadowRoot) yield* all(element.shadowRoot);
    }
  }
  const parent = element => element.parentElement ?? element.getRootNode().host ?? null;
  const isCut = element => {
    for (let around = parent(element); around && around !== chat; around = parent(around))
      if (!around.matches(".scroller") && getComputedStyle(around).overflowX !== "visible") return true;
    return false;
  };
  const found = [];
  for (const element of all(chat.shadowRoot)) {
    const { left, right, width } = element.getBoundingClientRect();
    if (width > 1 && (left < -1 || right > innerWidth + 1) && element.checkVisibility() && !isCut(element))
      found.push(`${element.nodeName}.${element.className} ${left} ${right}`);
  }
  const scroller = chat.shadowRoot.querySelector(".scroller");
  if (scroller && scroller.scrollWidth > scroller.clientWidth) found.push(`scroller ${scroller.scrollWidth}`);
  if (document.scrollingElement.scrollWidth > innerWidth) found.push("page");
  return found;
}"""


@pytest.mark.parametrize("variant", [VARIANTS[2], VARIANTS[3]], ids=lambda variant: variant.name)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_a_state_comes_about_and_fits(
    browser: Browser, tmp_path: Path, state: State, variant: Variant
) -> None:
    with show_server(tmp_path) as url, shown(browser, url, state, variant) as chat:
        assert chat.page.evaluate(_OUTSIDE) == []


def test_there_are_enough_of_them() -> None:
    assert len(STATES) >= 12
    assert {variant.name for variant in VARIANTS} == {"light", "dark", "rtl", "phone"}
