"""What a user does with the page of ``chatkit serve``, and sees of it."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from tests.support.scale import scaled

__all__ = ["ChatPage"]

# Views of content have shadow trees of their own, which innerText leaves out.
_SHOWN_TEXT = """element => {
  const read = node => node.nodeType === Node.TEXT_NODE ? node.data
    : ["STYLE", "SCRIPT"].includes(node.nodeName) ? ""
    : [...(node.shadowRoot ?? node).childNodes].map(read).join("");
  return read(element);
}"""


class ChatPage:
    """The page, with words for what tests ask of it.

    Attributes:
        page: The page.
        errors: What it logged as errors so far.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []

    @property
    def element(self) -> Locator:
        return self.page.locator("openai-chatkit")

    @property
    def input(self) -> Locator:
        return self.element.get_by_role("textbox", name="Message", exact=True)

    @property
    def answers(self) -> Locator:
        return self.element.locator(".answer")

    @property
    def bubbles(self) -> Locator:
        return self.element.locator(".user .bubble")

    @property
    def stop_button(self) -> Locator:
        return self.element.get_by_role("button", name="Stop", exact=True)

    @property
    def send_button(self) -> Locator:
        return self.element.get_by_role("button", name="Send message")

    @property
    def sidebar(self) -> Locator:
        return self.page.locator("chatkit-sidebar")

    def send(self, text: str) -> None:
        """Types a message, presses Enter, and waits for the bubble."""
        before = self.bubbles.count()
        self.input.fill(text)
        self.input.press("Enter")
        expect(self.bubbles).to_have_count(before + 1)

    def until_idle(self) -> None:
        """Waits until the answer is there."""
        expect(self.send_button).to_be_visible(timeout=scaled(30_000))

    def text(self) -> str:
        """The text of the last answer as it is shown."""
        return str(self.answers.last.evaluate(_SHOWN_TEXT))
