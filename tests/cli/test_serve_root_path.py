"""``chatkit serve --root-path``: what a proxy that takes a path off sends, and where the answers lead."""

from __future__ import annotations

import html
import json
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.processes import run, serving
from tests.cli.test_serve import hello
from tests.files.page import PNG
from tests.support.scale import scaled


def test_the_page_and_links_to_files_are_below_the_path(tmp_path: Path) -> None:
    with serving("--port", "0", "--root-path", "/chat/", folder=tmp_path) as server:
        parts = urlsplit(server.url)
        base = f"http://{parts.netloc}"
        hello(server.url)
        with urllib.request.urlopen(f"{base}/", timeout=scaled(30)) as answer:
            page = html.unescape(answer.read().decode())
        assert '"url": "/chat/chatkit"' in page
        assert 'href="/chat/' in page
        content = (
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
            + PNG
            + b"\r\n--x--\r\n"
        )
        headers = {"Content-Type": "multipart/form-data; boundary=x", "Origin": base}
        request = urllib.request.Request(f"{base}/chatkit/files", content, headers)
        with urllib.request.urlopen(request, timeout=scaled(30)) as answer:
            link = json.loads(answer.read())["preview_url"]
        assert link.startswith(f"{base}/chat/chatkit/files/")
        with urllib.request.urlopen(link.replace("/chat/chatkit", "/chatkit"), timeout=scaled(30)) as answer:
            assert answer.read() == PNG


@pytest.mark.parametrize("path", ["chat", "/a b", "//", "https://a.example/chat"])
def test_what_is_no_path(path: str, tmp_path: Path) -> None:
    done = run("serve", "--root-path", path, "--port", "99999", folder=tmp_path)
    assert done.returncode == 2
