"""The lines for nginx in docs/limits-and-moderation.md, by a real nginx."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from chatkit.demo import GuideServer
from chatkit.store import MemoryStore
from chatkit.web import create_app, single_user
from tests.support.live_server import live_server
from tests.support.nginx import check_configuration, nginx_program
from tests.support.scale import scaled

GUIDE = Path(__file__).resolve().parents[2] / "docs/limits-and-moderation.md"


@contextmanager
def nginx_of_the_guide(folder: Path, chat: str) -> Iterator[str]:
    """Runs nginx with the guide's lines in front of a chat; yields its address."""
    program = nginx_program()
    (lines,) = re.findall(r"^```text\n(limit_req_zone.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert (lines.count("listen 8080;"), lines.count("http://127.0.0.1:8000")) == (1, 1)
    lines = lines.replace("listen 8080;", f"listen 127.0.0.1:{port};").replace("http://127.0.0.1:8000", chat)
    account = "user root;" if os.geteuid() == 0 else ""
    folders = " ".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"{account} daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n"
        f"events {{}}\nhttp {{ access_log off; {folders}\n{lines}\n}}\n"
    )
    check_configuration(program, configuration)
    process = subprocess.Popen([program, "-p", str(folder), "-c", str(configuration)], stderr=subprocess.PIPE)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=scaled(10))


async def test_an_address_that_asks_too_often_is_told_so(tmp_path: Path) -> None:
    app = create_app(GuideServer(MemoryStore(), delay=0.0), context=single_user())
    listing = {"type": "threads.list", "params": {}}
    # The transport tries again while nginx starts.
    transport = httpx2.AsyncHTTPTransport(retries=8)
    with live_server(app) as chat, nginx_of_the_guide(tmp_path, chat.url) as url:
        async with httpx2.AsyncClient(base_url=url, timeout=scaled(20), transport=transport) as http:
            assert (await http.post("/chatkit", json=listing)).status_code == 200
            answers = await asyncio.gather(*(http.post("/chatkit", json=listing) for _ in range(200)))
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) == {200, 429}
    # The burst, and what comes due meanwhile.
    assert statuses[200] >= 20
