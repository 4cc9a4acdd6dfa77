"""What a client may send to ``chatkit serve`` before the application sees it, over raw sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn

from chatkit.web import connections
from chatkit.web.connections import BoundedProtocol
from tests.cli.processes import Serving, serving
from tests.support.scale import is_within, lasting, scaled

HEALTH = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n"
UPLOAD = b"POST /chatkit HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
CHUNKED = UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("serve")
    with serving("--port", "0", "--request-timeout", "1", folder=folder) as running:
        yield running


def connect(server: Serving) -> closing[socket.socket]:
    parts = urlsplit(server.url)
    assert parts.hostname
    assert parts.port
    return closing(socket.create_connection((parts.hostname, parts.port), timeout=scaled(20)))


def resident(server: Serving) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def answer(connection: socket.socket) -> bytes:
    """All that arrives until the server closes the connection."""
    received = b""
    with suppress(ConnectionError):
        while data := connection.recv(65536):
            received += data
    return received


def flood(connection: socket.socket, piece: bytes, most: int) -> int:
    """Sends a piece again and again until the server has had enough, and returns how many bytes it took."""
    sent = 0
    with suppress(ConnectionError):
        while sent < most:
            connection.sendall(piece)
            sent += len(piece)
    return sent


ENDLESS = {
    "a header": (HEALTH + b"X: ", b"a" * 65536),
    "the request line": (b"GET /", b"a" * 65536),
    "many small headers": (HEALTH, b"a:\r\n" * 16384),
    "many folded lines": (HEALTH + b"X: a\r\n", b" a\r\n" * 16384),
    "empty lines before a request": (b"", b"\r\n" * 32768),
    "an extension of a chunk": (CHUNKED + b"1;", b"a" * 65536),
    "the size of a chunk": (CHUNKED, b"0" * 65536),
    "a trailer": (CHUNKED + b"0\r\nX: ", b"a" * 65536),
    "many trailers": (CHUNKED + b"0\r\n", b"a:\r\n" * 16384),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_nothing_without_an_end_is_kept(what: str, server: Serving) -> None:
    begin, piece = ENDLESS[what]
    # What the first request of a process takes is no part of it.
    assert_serves(server)
    before = resident(server)
    with connect(server) as connection:
        connection.sendall(begin)
        # Much of it stays in the buffers of both sockets.
        assert flood(connection, piece, 60 * MIB) < 30 * MIB
    assert resident(server) - before < 10 * MIB
    assert_serves(server)


def assert_serves(server: Serving) -> None:
    with connect(server) as connection:
        connection.sendall(HEALTH + b"Connection: close\r\n\r\n")
        assert answer(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "head",
    [
        HEALTH + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
        HEALTH + b"".join(b"X-%d: a\r\n" % number for number in range(300)) + b"\r\n",
        b"GET /health?" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ],
    ids=["a long header", "many headers", "a long line"],
)
def test_a_head_that_is_too_large_is_answered(head: bytes, server: Serving) -> None:
    with connect(server) as connection:
        connection.sendall(head)
        received = answer(connection)
    assert received.startswith(b"HTTP/1.1 431")
    assert b"connection: close" in received


def test_a_head_of_usual_size_is_taken(server: Serving) -> None:
    cookies = b"Cookie: " + b"a" * 16_000 + b"\r\n"
    with connect(server) as connection:
        connection.sendall(HEALTH + cookies + b"Connection: close\r\n\r\n")
        assert answer(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", b""),
        (HEALTH, b"HTTP/1.1 408"),
        (HEALTH + b"\r\n" + HEALTH, b"HTTP/1.1 408"),
        (UPLOAD + b"Content-Length: 100\r\n\r\n{", b"HTTP/1.1 408"),
        (CHUNKED + b"1\r\n{\r\n", b"HTTP/1.1 408"),
    ],
    ids=["nothing", "half a head", "half a second head", "half a body", "half a chunked body"],
)
def test_a_client_that_stops_in_the_middle_is_let_go(sent: bytes, status: bytes, server: Serving) -> None:
    with connect(server) as connection:
        connection.sendall(sent)
        received = answer(connection)
    assert received.rpartition(b'{"status":"ok"}')[2].startswith(status)
    assert bool(received) is bool(status)


@pytest.mark.parametrize("begin", [HEALTH, UPLOAD + b"Content-Length: 1000000\r\n\r\n", CHUNKED + b"fff\r\n"])
def test_a_client_that_drips_is_let_go(begin: bytes, server: Serving) -> None:
    started = time.monotonic()
    with connect(server) as connection:
        connection.sendall(begin)
        connection.settimeout(0.2)
        received = None
        while received is None and time.monotonic() - started < scaled(60):
            with suppress(TimeoutError, ConnectionError):
                connection.sendall(b"a")
                received = connection.recv(65536)
    assert received is not None
    assert received.startswith(b"HTTP/1.1 408")


def test_requests_ahead_of_their_turn_are_bounded(server: Serving) -> None:
    before = resident(server)
    body = (
        b'{"type":"threads.create","params":{"input":{"content":[{"type":"input_text","text":"workflow"}],'
        b'"attachments":[],"inference_options":{}}}}'
    )
    stream = UPLOAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with connect(server) as connection:
        connection.sendall(stream)
        assert connection.recv(1024).startswith(b"HTTP/1.1 200")
        assert flood(connection, (HEALTH + b"\r\n") * 1000, 60 * MIB) < 30 * MIB
    assert resident(server) - before < 10 * MIB
    assert_serves(server)


def test_a_few_requests_ahead_of_their_turn_are_answered(server: Serving) -> None:
    with connect(server) as connection:
        connection.sendall((HEALTH + b"\r\n") * 7 + HEALTH + b"Connection: close\r\n\r\n")
        assert answer(connection).count(b"HTTP/1.1 200") == 8


def test_a_refused_body_is_not_read_for_ever(server: Serving) -> None:
    with connect(server) as connection:
        connection.sendall(UPLOAD + b"Content-Length: 1000000000000\r\n\r\n")
        assert connection.recv(1024).startswith(b"HTTP/1.1 413")
        started = time.monotonic()
        connection.settimeout(0.02)
        gone = False
        while not gone and time.monotonic() - started < scaled(60):
            # Slowly, but not so slowly that it would be let go for that.
            try:
                connection.sendall(b"a" * 1000)
                gone = connection.recv(1024) == b""
            except TimeoutError:
                pass
            except ConnectionError:
                gone = True
        assert gone
        assert is_within(time.monotonic() - started, 10)


def test_a_slow_answer_is_no_slow_request(server: Serving) -> None:
    """A stream that takes longer than a request may is not cut off, though the client says nothing meanwhile."""
    body = (
        b'{"type":"threads.create","params":{"input":{"content":[{"type":"input_text","text":"workflow"}],'
        b'"attachments":[],"inference_options":{}}}}'
    )
    with connect(server) as connection:
        connection.sendall(UPLOAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        received = answer(connection)
    assert received.startswith(b"HTTP/1.1 200")
    assert received.endswith(b"0\r\n\r\n")


def test_more_connections_than_the_limit(tmp_path: Path) -> None:
    with serving("--port", "0", "--limit-concurrency", "3", folder=tmp_path) as server:
        with connect(server), connect(server), connect(server), connect(server) as last:
            last.sendall(HEALTH + b"\r\n")
            assert last.recv(1024).startswith(b"HTTP/1.1 503")
        assert_serves(server)


BARE = """
import gc

async def bare(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"bare" if gc.get_freeze_count() > 10_000 else b"slow"})
"""
"""Says also whether garbage collections leave out what was loaded: they would hold the loop for 50 ms."""


def test_worker_processes_have_the_same_bounds(tmp_path: Path) -> None:
    tmp_path.joinpath("app.py").write_text(BARE)
    with serving("app:bare", "--port", "0", "--workers", "2", folder=tmp_path) as server:
        with connect(server) as connection:
            connection.sendall(HEALTH + b"X: " + b"a" * 70_000 + b"\r\n\r\n")
            assert answer(connection).startswith(b"HTTP/1.1 431")
        with connect(server) as connection:
            connection.sendall(HEALTH + b"Connection: close\r\n\r\n")
            assert answer(connection).endswith(b"bare\r\n0\r\n\r\n")


def test_collections_do_not_hold_up_a_single_process(tmp_path: Path) -> None:
    tmp_path.joinpath("app.py").write_text(BARE)
    with serving("app:bare", "--port", "0", folder=tmp_path) as server, connect(server) as connection:
        connection.sendall(HEALTH + b"Connection: close\r\n\r\n")
        assert answer(connection).endswith(b"bare\r\n0\r\n\r\n")


def test_requests_on_their_way_to_a_server_that_ends_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that was closed at once would be reset, and nobody could tell whether the request was taken."""
    monkeypatch.setattr(connections, "_LAST_REQUEST_SECONDS", lasting(2))
    with ending_server() as (new, used, end):
        end()
        used.sendall(HEALTH + b"\r\n")
        assert answer(used).startswith(b"HTTP/1.1 200 OK")
        new.sendall(HEALTH[:10])
        new.sendall(HEALTH[10:] + b"\r\n")
        assert answer(new).startswith(b"HTTP/1.1 200 OK")


def test_a_connection_without_a_request_so_far_stays_open_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_LAST_REQUEST_SECONDS", 0.01)
    monkeypatch.setattr(connections, "_FIRST_REQUEST_SECONDS", lasting(3))
    with ending_server() as (new, used, end):
        end()
        assert used.recv(1) == b""
        new.sendall(HEALTH + b"\r\n")
        assert answer(new).startswith(b"HTTP/1.1 200 OK")


@contextmanager
def ending_server() -> Iterator[tuple[socket.socket, socket.socket, Callable[[], None]]]:
    """A server, a connection without a request so far, one that has been answered, and what makes the server end."""
    server = uvicorn.Server(uvicorn.Config(hello, http=BoundedProtocol, lifespan="off", log_level="warning"))
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()

    def end() -> None:
        server.should_exit = True
        while takes_connections(address):
            pass

    with (
        closing(socket.create_connection(address)) as new,
        closing(socket.create_connection(address)) as used,
    ):
        new.settimeout(scaled(20))
        used.settimeout(scaled(20))
        used.sendall(HEALTH + b"\r\n")
        # The other one was accepted before it.
        received = b""
        while not received.endswith(b"Hi"):
            received += used.recv(65536)
        try:
            yield new, used, end
        finally:
            server.should_exit = True
    thread.join(scaled(20))
    assert not thread.is_alive()


def takes_connections(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address).close()
    except ConnectionRefusedError:
        return False
    return True


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"Hi"})
