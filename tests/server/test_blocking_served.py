"""A handler that blocks the event loop of a real server is named in the server's log, once, while it blocks."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.cli.processes import serving
from tests.support.live_server import server_process
from tests.support.scale import scaled
from tests.web.sample import message

APPLICATION = """
import time

from chatkit.server import ChatKitServer
from chatkit.store import MemoryStore
from chatkit.web import create_app, single_user


def block():
    time.sleep(5)  # here


class Shelf(MemoryStore):
    async def load_threads(self, *arguments):
        block()
        return await super().load_threads(*arguments)


class Server(ChatKitServer):
    async def respond(self, thread, message, context):
        for _ in range(2):
            block()
        return
        yield


server = Server(Shelf())
app = create_app(server, context=single_user())
"""
LINE = APPLICATION[: APPLICATION.index("# here")].count("\n") + 1
REQUESTS: dict[str, dict[str, Any]] = {
    "respond": message("Hi"),
    "store": {"type": "threads.list", "params": {}},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.joinpath("blocked.py").write_text(APPLICATION)
    return tmp_path


@pytest.mark.parametrize("kind", REQUESTS)
@pytest.mark.parametrize("command", ["serve", "uvicorn"])
def test_the_place_is_in_the_log(command: str, kind: str, folder: Path) -> None:
    warning = f"{folder / 'blocked.py'}:{LINE} (in block) has blocked the event loop"
    if command == "serve":
        with serving("blocked:server", "--port", "0", folder=folder) as served:
            httpx2.post(served.url, json=REQUESTS[kind], timeout=scaled(60))
            served.process.send_signal(signal.SIGTERM)
            log = served.process.communicate(timeout=scaled(30))[1]
    else:
        with server_process("blocked:app", folder=folder) as running:
            httpx2.post(f"{running.url}/chatkit", json=REQUESTS[kind], timeout=scaled(60))
            running.wait_for(warning)
            running.terminate()
            running.process.wait(scaled(30))
            log = running.log
    assert log.count(warning) == 1, log
