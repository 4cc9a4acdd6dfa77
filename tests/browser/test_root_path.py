"""``chatkit serve --root-path`` behind nginx, which takes the path off: the page, an answer, a file, a reload."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Response, expect

from tests.browser.conftest import OpenPage
from tests.cli.processes import serving
from tests.files.page import PNG
from tests.support.nginx import nginx


def test_the_page_works_below_a_path(open_page: OpenPage, tmp_path: Path) -> None:
    (tmp_path / "nginx").mkdir()
    with serving("--port", "0", "--root-path", "/chat", folder=tmp_path) as server:
        worker = urlsplit(server.url).port or 0
        with nginx(tmp_path / "nginx", [worker] * 3, below="/chat") as port:
            base = f"http://127.0.0.1:{port}"
            answers: list[tuple[str, int]] = []
            chat = open_page("about:blank")

            def note(response: Response) -> None:
                answers.append((response.url, response.status))

            chat.page.on("response", note)
            # nginx leads to the path that ends in a slash.
            chat.page.goto(f"{base}/chat")
            chat.element.locator("input[type=file]").set_input_files(
                {"name": "a.png", "mimeType": "image/png", "buffer": PNG}
            )
            expect(chat.element.locator(".upload.ready")).to_have_count(1)
            chat.send("help")
            chat.until_idle()
            assert "I got a file" in chat.text()
            picture = chat.element.locator(".user img")
            expect(picture).to_have_attribute("src", re.compile(rf"^{re.escape(base)}/chat/chatkit/files/"))
            chat.page.reload()
            expect(chat.answers).to_have_count(1)
            over_http = {answer for answer in answers if answer[0].startswith("http")}
            assert {answer for answer in over_http if not answer[0].startswith(f"{base}/chat/")} == {
                (f"{base}/chat", 301)
            }
            assert {status for _, status in over_http} <= {200, 301, 304}
