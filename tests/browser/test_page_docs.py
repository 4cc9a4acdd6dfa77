"""The styles of docs/page.md, as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.scripted import Scripted

TEXT = (Path(__file__).parents[2] / "docs" / "page.md").read_text(encoding="utf-8")
STYLES = re.findall(r"^```css\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_a_page_styles_the_element(open_page: OpenPage, server: Scripted) -> None:
    assert len(STYLES) == 1
    chat = open_page(server.url)
    chat.page.evaluate("apply({})")
    chat.send("say fine")
    chat.until_idle()
    bubble = chat.bubbles.first
    expect(bubble).to_have_css("font-style", "normal")
    # As a style sheet of the page, which its policy lets code make.
    chat.page.evaluate(
        """css => {
             const sheet = new CSSStyleSheet();
             sheet.replaceSync(css);
             document.adoptedStyleSheets.push(sheet);
           }""",
        STYLES[0],
    )
    expect(bubble).to_have_css("font-style", "italic")
    expect(bubble).to_have_css("background-color", "rgb(255, 243, 214)")
    expect(bubble).to_have_css("border-top-left-radius", "6px")
