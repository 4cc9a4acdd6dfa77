"""Takes the picture of ``docs/tutorial.md``, with the example that it builds: ``-m tests.browser.shop_picture``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.chat_page import ChatPage
from tests.browser.conftest import find_chromium
from tests.browser.event_pictures import write
from tests.examples.running import Example

__all__ = ["PICTURE", "chat_with_the_shop", "take"]

PICTURE: Final = Path(__file__).resolve().parents[2] / "docs" / "shop.png"


def chat_with_the_shop(chat: ChatPage) -> None:
    """Asks for an order, has it shown and cancels it, and asks for the form."""
    chat.send("Where is order 1042?")
    chat.until_idle()
    chat.send("Show me order 1042")
    chat.until_idle()
    chat.element.get_by_role("button", name="Cancel the order").click()
    # Not the live region, which says it as part of a sentence.
    expect(chat.element.get_by_text("Order 1042 is cancelled.", exact=True)).to_be_visible()
    chat.send("I want to return 1043")
    chat.until_idle()
    expect(chat.element.get_by_role("button", name="Send it back")).to_be_visible()


def take(browser: Browser, path: Path) -> None:
    """Takes the picture.

    Args:
        browser: The browser.
        path: Where it goes.
    """
    with tempfile.TemporaryDirectory() as folder, Example("shop", Path(folder)).serving() as url:
        context = browser.new_context(viewport={"width": 1000, "height": 900}, reduced_motion="reduce")
        try:
            page = context.new_page()
            page.goto(f"{url}/sign-in/ada")
            chat_with_the_shop(ChatPage(page))
            page.mouse.move(0, 0)
            page.evaluate("document.fonts.ready")
            write(page.screenshot(animations="disabled", caret="hide"), path)
        finally:
            context.close()


def main() -> None:
    """Takes it with the Chromium of the system."""
    found = find_chromium()
    if found is None:
        sys.exit("There is no Chromium; install it, or name it in CHATKIT_TEST_CHROMIUM.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        take(browser, PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
