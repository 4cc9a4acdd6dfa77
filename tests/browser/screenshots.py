"""Takes a screenshot of each state of the page in each look: ``python -m tests.browser.screenshots FOLDER``.

Next to them are sheets, one for each state, with all looks side by side.
"""

from __future__ import annotations

import base64
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from chatkit.files import LocalFileStore
from chatkit.store import MemoryStore
from chatkit.web import Page, Prompt, create_app, single_user
from tests.browser.chat_page import ChatPage
from tests.browser.conftest import find_chromium
from tests.browser.showcase import STATES, VARIANTS, ShowServer, State, Variant
from tests.support.live_server import live_server

__all__ = ["show_server", "shown", "take"]

_PROMPTS = [
    Prompt("Explain moving averages", "Explain moving averages", icon="lightbulb"),
    Prompt("Plan a trip", "Plan a trip", icon="compass"),
    Prompt("How are sales?", "How are sales?", icon="chart"),
]


@contextmanager
def show_server(folder: Path) -> Iterator[str]:
    """Serves the page with something to look at; yields its address."""
    files = LocalFileStore(folder, secret="not a secret in a test, but long enough")
    server = ShowServer(MemoryStore(), delay=0, file_store=files)
    page = Page(title="Tea shop", prompts=_PROMPTS, attachments=True)
    with live_server(create_app(server, context=single_user(), ui=page)) as live:
        yield live.url


@contextmanager
def shown(browser: Browser, url: str, state: State, variant: Variant) -> Iterator[ChatPage]:
    """Opens the page in a look and brings it into a state."""
    context = browser.new_context(
        viewport={"width": variant.width, "height": variant.height},
        locale="en-US",
        reduced_motion="reduce",
        has_touch=variant.name == "phone",
    )
    try:
        page = context.new_page()
        page.goto(f"{url}/?theme={variant.theme}&locale={variant.locale}")
        chat = ChatPage(page)
        state.show(chat, variant)
        page.evaluate("document.fonts.ready")
        yield chat
    finally:
        context.close()


def take(browser: Browser, folder: Path) -> None:
    """Takes all screenshots, each with a server of its own, so that none shows the threads of another.

    Args:
        browser: The browser.
        folder: Where they go, as ``state-look.png`` and ``sheets/state.png``.
    """
    (folder / "sheets").mkdir(parents=True, exist_ok=True)
    for state in STATES:
        for variant in VARIANTS:
            with (
                tempfile.TemporaryDirectory() as files,
                show_server(Path(files)) as url,
                shown(browser, url, state, variant) as chat,
            ):
                chat.page.screenshot(path=folder / f"{state.name}-{variant.name}.png", animations="disabled")
        _write_sheet(browser, state, folder)


def _write_sheet(browser: Browser, state: State, folder: Path) -> None:
    pictures = [base64.b64encode((folder / f"{state.name}-{v.name}.png").read_bytes()) for v in VARIANTS]
    images = "".join(f'<img height="640" src="data:image/png;base64,{data.decode()}">' for data in pictures)
    page = browser.new_page(viewport={"width": 1840, "height": 1310})
    try:
        page.set_content(
            '<body style="margin:6px;background:#888;display:flex;flex-wrap:wrap;gap:6px">' + images
        )
        page.screenshot(path=folder / "sheets" / f"{state.name}.png")
    finally:
        page.close()


def main(folder: Path) -> None:
    """Takes them with the Chromium of the system."""
    path = find_chromium()
    if path is None:
        sys.exit("There is no Chromium; install it, or name it in CHATKIT_TEST_CHROMIUM.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        take(browser, folder)
        browser.close()
    sys.stdout.write(f"{len(STATES)} states in {len(VARIANTS)} looks: {folder}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/screenshots"))
