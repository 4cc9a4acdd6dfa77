"""Takes the pictures of ``docs/events.md``: ``python -m tests.browser.event_pictures``.

Each shows the server of an example of that page, so that picture and example are the same.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Final, NamedTuple

from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright

from chatkit.server import ChatKitServer
from chatkit.store import MemoryStore
from chatkit.types import ThreadMetadata, ThreadStreamEvent, UserMessageItem
from chatkit.web import ChatPage as Page
from chatkit.web import create_app, single_user
from tests.browser.chat_page import ChatPage
from tests.browser.conftest import find_chromium
from tests.support.event_examples import PICTURES, example_servers
from tests.support.live_server import live_server
from tests.support.scale import scaled

__all__ = ["SHOTS", "Shot", "take", "write"]

_WIDTH: Final = 760
_HEIGHT: Final = 900
_BELOW: Final = 100
"""Pixels of the composer, and of what is between it and the conversation."""
_CONVERSATION: Final = "ck-turn, [part=progress], [part=notice], [part=error]"
_COLOURS: Final = 256
# What has the focus has an outline.
_BLUR: Final = """() => {
  let active = document.activeElement;
  while (active?.shadowRoot?.activeElement) active = active.shadowRoot.activeElement;
  active?.blur();
}"""


class Shot(NamedTuple):
    """A picture: what is asked, what is waited for, and what is done before it is taken.

    Attributes:
        name: The picture's, without its ending.
        asked: The user's message.
        shown: A selector of what the page shows then.
        held_at: The number of the event before which the answer stands still; None lets it end.
        prepare: What is done on the page at last.
    """

    name: str
    asked: str
    shown: str
    held_at: int | None = None
    prepare: Callable[[ChatPage], None] = lambda chat: None

    @property
    def example(self) -> str:
        """The name of the example."""
        return self.name.partition("-")[0]


def _open_sources(chat: ChatPage) -> None:
    chat.element.locator("ck-sources summary").click()
    expect(chat.element.locator("ck-sources .source").first).to_be_visible()


SHOTS: Final = (
    Shot("text", "How long does tea draw?", ".answer"),
    Shot("growing", "How do I make tea?", ".answer", held_at=10),
    Shot("sources", "What is oolong?", "ck-sources", prepare=_open_sources),
    Shot("steps", "Which tea has no caffeine?", "ck-task", held_at=10),
    Shot("steps-done", "Which tea has no caffeine?", "ck-task"),
    Shot("cards", "Where is my order?", "ck-widget .button"),
    Shot("pictures", "Paint a sunset", "ck-generated-image img"),
    Shot("questions", "Help me choose", "form.questions"),
    Shot("progress", "Do you have teapots?", "[part=progress]", held_at=1),
    Shot("notices", "Do you have teapots?", "[part=error]"),
    Shot("changes", "What do you have?", ".answer"),
    Shot("locking", "My order is wrong", ".lock"),
)


@contextmanager
def _served(shot: Shot) -> Iterator[str]:
    """Serves the example of a picture, which stands still where the picture wants it to."""
    gate = threading.Event()
    example = example_servers()[shot.example]

    class Held(example):
        async def respond(
            self, thread: ThreadMetadata, input: UserMessageItem | None, context: Any
        ) -> AsyncIterator[ThreadStreamEvent | str]:
            number = 0
            async for event in super().respond(thread, input, context):
                if number == shot.held_at:
                    await asyncio.to_thread(gate.wait)
                yield event
                number += 1

    server: ChatKitServer[Any] = Held(MemoryStore())
    with live_server(create_app(server, context=single_user(), ui=Page(title="Tea shop"))) as live:
        try:
            yield live.url
        finally:
            gate.set()


def take(browser: Browser, shot: Shot, folder: Path) -> None:
    """Takes a picture of the page, as high as the conversation needs it.

    Args:
        browser: The browser.
        shot: The picture.
        folder: Where it goes.
    """
    context = browser.new_context(
        viewport={"width": _WIDTH, "height": _HEIGHT}, locale="en-US", reduced_motion="reduce"
    )
    try:
        with _served(shot) as url:
            page = context.new_page()
            page.goto(f"{url}/?theme=light&locale=en")
            chat = ChatPage(page)
            chat.send(shot.asked)
            expect(chat.element.locator(shot.shown).first).to_be_visible(timeout=scaled(20_000))
            if shot.held_at is None and shot.name != "locking":
                chat.until_idle()
            shot.prepare(chat)
            page.mouse.move(0, 0)
            page.evaluate(_BLUR)
            page.evaluate("document.fonts.ready")
            boxes = [part.bounding_box() for part in chat.element.locator(_CONVERSATION).all()]
            end = max(round(box["y"] + box["height"]) for box in boxes if box is not None)
            page.set_viewport_size({"width": _WIDTH, "height": min(end + _BELOW, _HEIGHT)})
            picture = page.screenshot(animations="disabled", caret="hide")
    finally:
        context.close()
    write(picture, folder / f"{shot.name}.png")


def write(picture: bytes, path: Path) -> None:
    """Writes a screenshot as a small PNG file, with a palette."""
    with Image.open(BytesIO(picture)) as whole:
        small = whole.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    path.parent.mkdir(parents=True, exist_ok=True)
    small.save(path, optimize=True)


def main(folder: Path) -> None:
    """Takes them all with the Chromium of the system."""
    path = find_chromium()
    if path is None:
        sys.exit("There is no Chromium; install it, or name it in CHATKIT_TEST_CHROMIUM.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for shot in SHOTS:
            take(browser, shot, folder)
        browser.close()
    sys.stdout.write(f"{len(SHOTS)} pictures: {folder}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES)
