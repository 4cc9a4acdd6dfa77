"""A process that is asked to end while streams are open: turns closed in order, and gone within three seconds."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chatkit.sse import SSEDecoder
from chatkit.store import MemoryStore, SQLiteStore
from chatkit.web import lifecycle
from tests.support.live_server import ServerProcess, server_process
from tests.support.scale import is_within, scaled
from tests.web.sample import SampleServer, message

PATH = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])

APPLICATIONS = """
import asyncio, sys
import uvicorn
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount
from chatkit.store import SQLiteStore
from chatkit.web import create_app, server_lifespan, single_user
from chatkit.web.fastapi import chatkit_router
from tests.web.hand_written import make_app
from tests.web.sample import SampleServer

server = SampleServer(SQLiteStore("chat.db", owner=lambda context: "local"))

def starlette():
    return create_app(server, context=single_user())

def router():
    app = FastAPI()
    app.include_router(chatkit_router(server, context=single_user()))
    return app

def mounted():
    return Starlette(routes=[Mount("/", create_app(server, context=single_user()))])

def two_apps():
    return Starlette(
        routes=[Mount("/other", create_app(server, context=single_user())), Mount("/", starlette())],
        lifespan=server_lifespan(SampleServer(SQLiteStore("other.db", owner=lambda context: "local"))),
    )

def by_hand():
    return make_app(server, lifespan=server_lifespan(server))

async def embedded():
    await uvicorn.Server(uvicorn.Config(starlette, factory=True, port=0)).serve()
"""


class OpenStream:
    """A stream that is read up to the last word of the partial answer."""

    def __init__(self, response: httpx2.Response, until: str = "hold") -> None:
        self.events: list[dict[str, Any]] = []
        self._decoder = SSEDecoder()
        self._chunks = response.iter_bytes()
        while not any(event.get("update", {}).get("delta") == until for event in self.events):
            self._read_on()

    def _read_on(self) -> bool:
        chunk = next(self._chunks, None)
        if chunk is None:
            return False
        self.events += [json.loads(event.data) for event in self._decoder.feed(chunk)]
        return True

    def read_to_the_end(self) -> None:
        while self._read_on():
            pass


def open_streams(stack: ExitStack, url: str, count: int) -> list[OpenStream]:
    client = stack.enter_context(httpx2.Client(base_url=url, timeout=scaled(10)))
    responses = [
        stack.enter_context(client.stream("POST", "/chatkit", json=message("hold"))) for _ in range(count)
    ]
    return [OpenStream(response) for response in responses]


async def check_end(streams: list[OpenStream], running: ServerProcess, folder: Path, sent_at: float) -> None:
    for stream in streams:
        stream.read_to_the_end()
    running.process.wait(scaled(10))
    assert is_within(time.monotonic() - sent_at, 3)
    store: SQLiteStore[Any] = SQLiteStore(str(folder / "chat.db"), owner=lambda context: "local")
    for stream in streams:
        assert stream.events[-1]["type"] == "error"
        assert stream.events[-1]["allow_retry"] is True
        done = stream.events[-2]
        assert done["type"] == "thread.item.done"
        assert done["item"]["content"][0]["text"] == "You said hold"
        thread_id = stream.events[0]["thread"]["id"]
        page = await store.load_thread_items(thread_id, None, 10, "asc", None)
        assert page.data[1].id == done["item"]["id"], "what the client saw as done is stored"
    await store.close()


def test_a_locked_database_does_not_hold_the_process(tmp_path: Path) -> None:
    (tmp_path / "applications.py").write_text(APPLICATIONS)
    with (
        server_process(
            "applications:starlette", "--factory", folder=tmp_path, environment={"PYTHONPATH": PATH}
        ) as running,
        ExitStack() as stack,
        closing(sqlite3.connect(tmp_path / "chat.db", isolation_level=None)) as other,
    ):
        streams = open_streams(stack, running.url, 3)
        other.execute("BEGIN IMMEDIATE")
        sent_at = time.monotonic()
        running.terminate()
        for stream in streams:
            stream.read_to_the_end()
        running.process.wait(scaled(40))
        assert is_within(time.monotonic() - sent_at, 3)
        for stream in streams:
            assert stream.events[-1]["type"] == "error"
            assert stream.events[-1]["allow_retry"] is True
        assert "The store is held up while the server ends" in running.log


class StuckStore(MemoryStore):
    """Does not close before it is cancelled."""

    cancelled = False

    async def close(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled = True


async def test_a_store_that_does_not_close_does_not_hold_the_application(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lifecycle, "_CLOSE_SECONDS", 0.05)
    store = StuckStore()
    async with asyncio.timeout(scaled(10)):
        async with lifecycle.Lifecycle(SampleServer(store), workers=1).lifespan(None):
            pass
        await asyncio.sleep(0)
    assert "could not be closed within 0.05 s" in caplog.text
    assert store.cancelled


PURE_PYTHON = ("--loop", "asyncio", "--http", "h11")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("application", "options"),
    [
        ("starlette", ()),
        ("starlette", PURE_PYTHON),
        ("router", ()),
        ("mounted", ()),
        ("mounted", PURE_PYTHON),
        ("two_apps", ()),
        ("by_hand", ()),
    ],
)
async def test_open_streams_end_with_the_process(
    application: str, options: tuple[str, ...], number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "applications.py").write_text(APPLICATIONS)
    with (
        server_process(
            f"applications:{application}",
            "--factory",
            *options,
            folder=tmp_path,
            environment={"PYTHONPATH": PATH},
        ) as running,
        ExitStack() as stack,
    ):
        streams = open_streams(stack, running.url, 3)
        sent_at = time.monotonic()
        running.terminate(number)
        await check_end(streams, running, tmp_path, sent_at)
        assert "Traceback" not in running.log


async def test_an_embedded_server_ends_too(tmp_path: Path) -> None:
    (tmp_path / "applications.py").write_text(
        APPLICATIONS + '\nif __name__ == "__main__":\n    asyncio.run(embedded())\n'
    )
    process = subprocess.Popen(
        [sys.executable, "applications.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": PATH},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    running = ServerProcess(process)
    try:
        running.wait_until_running()
        with ExitStack() as stack:
            streams = open_streams(stack, running.url, 1)
            sent_at = time.monotonic()
            running.terminate()
            await check_end(streams, running, tmp_path, sent_at)
    finally:
        running.kill()


def test_a_client_that_does_not_read_holds_the_process_no_longer_than_the_server_allows(
    tmp_path: Path,
) -> None:
    (tmp_path / "applications.py").write_text(APPLICATIONS)
    request = json.dumps(message("flood")).encode()
    head = (
        b"POST /chatkit HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    )
    options = ["--factory", "--timeout-graceful-shutdown", "1"]
    with server_process(
        "applications:starlette", *options, folder=tmp_path, environment={"PYTHONPATH": PATH}
    ) as running:
        url = httpx2.URL(running.url)
        with socket.create_connection((url.host, url.port or 0)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(head % len(request) + request)
            assert connection.recv(12) == b"HTTP/1.1 200"
            sent_at = time.monotonic()
            running.terminate()
            running.process.wait(scaled(10))
            assert is_within(time.monotonic() - sent_at, 3)
        assert "Application shutdown complete" in running.log


def test_a_process_that_ends_takes_no_new_messages(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    with (
        server_process("slow:app", folder=tmp_path, environment={"PYTHONPATH": PATH}) as running,
        httpx2.Client(base_url=running.url, timeout=scaled(10)) as client,
    ):
        assert client.get("/readyz").status_code == 200
        assert client.post("/signal").status_code == 200
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["error"]["code"]) == (503, "shutting_down")
        refused = client.post("/chatkit", json=message("hello"))
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "shutting_down")
        assert refused.headers["retry-after"] == "1"


# The server's own handler is replaced by one that does nothing, so that the moment between signal and end
# lasts.
SLOW = """
import signal
from contextlib import asynccontextmanager
from starlette.responses import Response
from starlette.routing import Route
from chatkit.store import MemoryStore
from chatkit.web import create_app, single_user
from tests.web.sample import SampleServer

@asynccontextmanager
async def lifespan(app):
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    yield

async def raise_signal(request):
    signal.raise_signal(signal.SIGTERM)
    return Response()

app = create_app(
    SampleServer(MemoryStore()),
    context=single_user(),
    routes=[Route("/signal", raise_signal, methods=["POST"])],
    lifespan=lifespan,
)
"""


def test_workers_that_cannot_share_turns_refuse_to_start(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    environment = {"WEB_CONCURRENCY": "2", "PYTHONPATH": PATH}
    with server_process("slow:app", folder=tmp_path, environment=environment, wait=False) as running:
        running.wait_for("stream_log=", timeout=scaled(30))
        running.process.wait(scaled(20))
        assert "Application startup complete" not in running.log


DRAINING = """
import asyncio, signal, sys
from chatkit.store import SQLiteStore
from chatkit.types import ThreadItemDoneEvent
from chatkit.web import create_app, single_user
from tests.web.sample import SampleServer

class Draining(SampleServer):
    async def respond(self, thread, input, context):
        go_on = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, go_on.set)
        last = None
        async for event in super().respond(thread, input, context):
            if last is not None:
                yield last
            last = event
            if isinstance(event, ThreadItemDoneEvent):
                await go_on.wait()
        yield last

    async def drain(self, seconds):
        print("draining", file=sys.stderr, flush=True)
        await super().drain(seconds)

server = Draining(SQLiteStore("chat.db", owner=lambda context: "local"))
app = create_app(server, context=single_user(), drain_seconds=float(sys.argv[-1]))
"""


class Draining:
    """A process that has 60 seconds for its turns, with a stream open whose turn ends at SIGUSR1."""

    def __init__(self, stack: ExitStack, folder: Path, seconds: str) -> None:
        (folder / "draining.py").write_text(DRAINING.replace("sys.argv[-1]", repr(seconds)))
        self.running = stack.enter_context(
            server_process("draining:app", folder=folder, environment={"PYTHONPATH": PATH})
        )
        client = stack.enter_context(httpx2.Client(base_url=self.running.url, timeout=scaled(10)))
        response = stack.enter_context(client.stream("POST", "/chatkit", json=message("hello")))
        self.stream = OpenStream(response, until="hello")
        self.asked_at = time.monotonic()
        self.running.terminate()
        self.running.wait_for("draining")

    def end(self) -> list[dict[str, Any]]:
        """Returns the events of the stream, when the process is gone."""
        self.stream.read_to_the_end()
        self.running.process.wait(scaled(10))
        assert "Traceback" not in self.running.log
        return self.stream.events


def test_turns_may_end_by_themselves_when_the_process_is_given_time(tmp_path: Path) -> None:
    with ExitStack() as stack:
        draining = Draining(stack, tmp_path, "60")
        draining.running.terminate(signal.SIGUSR1)
        events = draining.end()
    assert events[-1]["type"] == "thread.item.done"
    assert events[-1]["item"]["content"][0]["text"] == "You said hello"


def test_a_second_signal_ends_the_turns_at_once(tmp_path: Path) -> None:
    with ExitStack() as stack:
        draining = Draining(stack, tmp_path, "60")
        # One that follows at once is the first one, told by a supervisor and by the parent process.
        while draining.running.process.poll() is None and time.monotonic() - draining.asked_at < scaled(20):
            draining.running.terminate()
            with suppress(subprocess.TimeoutExpired):
                draining.running.process.wait(0.2)
        assert time.monotonic() - draining.asked_at > 1
        events = draining.end()
    assert [event["type"] for event in events[-2:]] == ["thread.item.done", "error"]
    assert events[-1]["reason"] == "interrupted"


def test_signals_that_are_one_request_leave_turns_their_time(tmp_path: Path) -> None:
    with ExitStack() as stack:
        draining = Draining(stack, tmp_path, "60")
        draining.running.terminate()
        draining.running.terminate(signal.SIGUSR1)
        events = draining.end()
    assert events[-1]["item"]["content"][0]["text"] == "You said hello"


class Raw:
    """A kept-alive connection by hand, so that a request can arrive in the moment when the process is asked to end."""

    def __init__(self, stack: ExitStack, url: str) -> None:
        parts = httpx2.URL(url)
        self.socket = stack.enter_context(
            socket.create_connection((parts.host, parts.port or 0), timeout=scaled(10))
        )
        self.file = stack.enter_context(self.socket.makefile("rb"))

    def send(self, method: str, path: str, body: bytes = b"", *, keep_back: int = 0) -> bytes:
        """Sends a request but for its last bytes, which it returns."""
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        data = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        self.socket.sendall(data[: len(data) - keep_back])
        return data[len(data) - keep_back :]

    def answer(self) -> tuple[int, dict[str, str], Any]:
        status = int(self.file.readline().split()[1])
        headers: dict[str, str] = {}
        while (line := self.file.readline()) != b"\r\n":
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers, json.loads(self.file.read(int(headers["content-length"])))


def test_connections_that_are_kept_hear_at_once_that_the_process_ends(tmp_path: Path) -> None:
    (tmp_path / "draining.py").write_text(DRAINING.replace("sys.argv[-1]", "60"))
    body = json.dumps(message("hello")).encode()
    with ExitStack() as stack:
        # The order in which this loop looks at signals, connections and its clock is known.
        running = stack.enter_context(
            server_process("draining:app", *PURE_PYTHON, folder=tmp_path, environment={"PYTHONPATH": PATH})
        )
        client = stack.enter_context(httpx2.Client(base_url=running.url, timeout=scaled(10)))
        response = stack.enter_context(client.stream("POST", "/chatkit", json=message("hello")))
        stream = OpenStream(response, until="hello")
        prober, sender = Raw(stack, running.url), Raw(stack, running.url)
        prober.send("GET", "/readyz")
        assert prober.answer()[0] == 200
        rest = sender.send("POST", "/chatkit", body, keep_back=1)
        # The signal and the probe wait together for the process to go on.
        running.terminate(signal.SIGSTOP)
        running.terminate()
        prober.send("GET", "/readyz")
        running.terminate(signal.SIGCONT)
        running.wait_for("draining")
        status, headers, answer = prober.answer()
        assert (status, answer["error"]["code"], headers["retry-after"]) == (503, "shutting_down", "1")
        sender.socket.sendall(rest)
        status, headers, answer = sender.answer()
        assert (status, answer["error"]["code"], headers["retry-after"]) == (503, "shutting_down", "1")
        # The server closes its door within a tenth of a second.
        with suppress(httpx2.TransportError):
            assert httpx2.get(f"{running.url}/readyz").status_code == 503
        running.terminate(signal.SIGUSR1)
        stream.read_to_the_end()
        running.process.wait(scaled(10))
    assert stream.events[-1]["item"]["content"][0]["text"] == "You said hello"


def test_what_does_not_end_in_the_time_given_is_interrupted(tmp_path: Path) -> None:
    with ExitStack() as stack:
        events = Draining(stack, tmp_path, "0.05").end()
    assert [event["type"] for event in events[-2:]] == ["thread.item.done", "error"]
    assert events[-1]["reason"] == "interrupted"
