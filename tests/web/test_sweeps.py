"""Orphaned files of an application that is not told of start and end: swept after answers."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from chatkit.files import LocalFileStore
from chatkit.store import MemoryStore
from chatkit.web import create_app, lifecycle
from tests.files.page import PNG, Page, make_app, who
from tests.support.live_server import live_server
from tests.support.scale import scaled
from tests.web.sample import SampleServer

SECRET = "a secret of the tests"
ASK = {"type": "threads.list", "params": {}}
ALICE = {"Authorization": "Bearer alice"}


class Swept(LocalFileStore):
    """Counts what is done, and the loops that it is done in."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, secret=SECRET)
        self.sweeps = 0
        self.ended = 0
        self.hold = False
        self.begun = threading.Event()

    async def sweep_orphans(self) -> int:
        self.sweeps += 1
        self.begun.set()
        try:
            if self.hold:
                await asyncio.Event().wait()
            return await super().sweep_orphans()
        finally:
            self.ended += 1


@pytest.fixture
def files(tmp_path: Path) -> Swept:
    return Swept(tmp_path)


@pytest.fixture
def mounted(files: Swept) -> Starlette:
    return Starlette(routes=[Mount("/in", create_app(SampleServer(MemoryStore(), files), context=who))])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of the sweeps, to be set ahead."""
    ahead = [0.0]
    real = time.monotonic

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return real() + ahead[0]

    monkeypatch.setattr(lifecycle, "time", Clock)
    return ahead


def test_orphans_are_swept_behind_an_answer(tmp_path: Path, clock: list[float]) -> None:
    ahead = 0.0
    files = LocalFileStore(tmp_path, secret=SECRET, clock=lambda: time.time() + ahead)
    app = Starlette(routes=[Mount("/in", create_app(SampleServer(MemoryStore(), files), context=who))])
    with live_server(app) as server:
        page = Page(server.url, "alice", "/in/chatkit")
        with page.client:
            sent, unsent = page.upload(PNG), page.upload(PNG)
            page.new_thread(sent["id"])
            ahead, clock[0] = 90_000, 4_000
            page.ask("threads.list")
            deadline = time.monotonic() + scaled(10)
            while len(list(tmp_path.glob("files/*/*"))) > 1:
                assert time.monotonic() < deadline
    assert asyncio.run(files.read(sent["id"])) == PNG
    with pytest.raises(Exception, match="There is no file"):
        asyncio.run(files.read(unsent["id"]))


def test_once_an_hour_whatever_the_loop(mounted: Starlette, files: Swept, clock: list[float]) -> None:
    """The client has a new event loop for each request, which nothing survives."""
    client = TestClient(mounted)
    for expected, ahead in ((1, 0), (1, 10), (1, 3000), (2, 3700), (2, 3800), (3, 7400)):
        clock[0] = ahead
        for _ in range(2):
            assert client.post("/in/chatkit", json=ASK, headers=ALICE).status_code == 200
        assert (files.sweeps, files.ended) == (expected, expected)


def test_a_direct_upload_is_an_occasion_too(mounted: Starlette, files: Swept) -> None:
    answer = TestClient(mounted).post("/in/chatkit/files", files={"file": ("a.png", PNG)}, headers=ALICE)
    assert answer.status_code == 200
    assert files.sweeps == 1


def test_a_router_without_a_lifespan_sweeps_too(files: Swept) -> None:
    outer = FastAPI()
    outer.mount("/in", make_app(SampleServer(MemoryStore(), files), "fastapi"))
    assert TestClient(outer).post("/in/api/chatkit", json=ASK, headers=ALICE).status_code == 200
    assert files.sweeps == 1


def test_an_application_with_a_lifespan_does_not_sweep_behind_answers(
    files: Swept, clock: list[float]
) -> None:
    with TestClient(create_app(SampleServer(MemoryStore(), files), context=who)) as client:
        for ahead in (0, 4000):
            clock[0] = ahead
            assert client.post("/chatkit", json=ASK, headers=ALICE).status_code == 200
        assert files.sweeps == 1


def test_without_files_there_is_nothing_to_sweep() -> None:
    class Unswept(SampleServer):
        async def sweep_orphans(self) -> int:
            raise AssertionError

    app = create_app(Unswept(MemoryStore()), context=who)
    assert TestClient(app).post("/chatkit", json=ASK, headers=ALICE).status_code == 200


def test_a_sweep_takes_a_while_at_most(
    mounted: Starlette, files: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "_SWEEP_IN_PASSING_SECONDS", 0.05)
    files.hold = True
    assert TestClient(mounted).post("/in/chatkit", json=ASK, headers=ALICE).status_code == 200
    assert (files.sweeps, files.ended) == (1, 1)


def test_a_sweep_does_not_delay_its_answer(mounted: Starlette, files: Swept) -> None:
    files.hold = True
    with live_server(mounted) as server:
        page = Page(server.url, "alice", "/in/chatkit")
        with page.client:
            assert page.ask("threads.list").status_code == 200
            assert files.begun.wait(scaled(10))
            assert page.ask("threads.list").status_code == 200
            assert (files.sweeps, files.ended) == (1, 0)
            # What the server does at its end.
            server.stop()
    assert files.ended == 1


@pytest.mark.skipif(os.name != "posix", reason="signals are of POSIX")
def test_a_process_that_is_asked_to_end_does_not_wait_for_a_sweep(tmp_path: Path) -> None:
    (tmp_path / "held.py").write_text(
        "import asyncio, sys\n"
        "import uvicorn\n"
        "from starlette.applications import Starlette\n"
        "from starlette.routing import Mount\n"
        "from chatkit.demo import GuideServer\n"
        "from chatkit.files import LocalFileStore\n"
        "from chatkit.store import MemoryStore\n"
        "from chatkit.web import create_app, single_user\n"
        "class Held(LocalFileStore):\n"
        "    async def sweep_orphans(self):\n"
        "        print('held', flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "app = Starlette(routes=[Mount('/', create_app(GuideServer(MemoryStore(), file_store=Held('f', secret='s')),"
        " context=single_user()))])\n"
        "class Server(uvicorn.Server):\n"
        "    async def startup(self, sockets=None):\n"
        "        await super().startup(sockets)\n"
        "        print(self.servers[0].sockets[0].getsockname()[1], flush=True)\n"
        "Server(uvicorn.Config(app, port=0, log_level='error')).run()\n"
    )
    with subprocess.Popen(
        [sys.executable, "held.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            page = Page(f"http://127.0.0.1:{process.stdout.readline().strip()}", "", "/chatkit")
            with page.client:
                assert page.ask("threads.list").status_code == 200
                assert process.stdout.readline() == "held\n"
                process.send_signal(signal.SIGTERM)
                process.wait(scaled(15))
        finally:
            process.kill()
