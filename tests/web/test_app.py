from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from chatkit.errors import AuthenticationError, ConfigurationError, PermissionDeniedError
from chatkit.sse import SSEDecoder
from chatkit.store import MemoryStore
from chatkit.web import create_app, server_lifespan, single_user
from chatkit.web.fastapi import chatkit_router
from tests.support.live_server import LiveServer, live_server
from tests.support.scale import scaled
from tests.web.sample import JSON, SampleServer, message


def events(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(event.data) for event in SSEDecoder().feed(body)]


def error_of(response: httpx2.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message"}
    return response.status_code, body["error"]["code"]


@pytest.fixture(scope="module")
def live() -> Iterator[LiveServer]:
    app = create_app(
        SampleServer(MemoryStore()),
        context=single_user(),
        cors_origins=["https://app.example.com", "http://localhost:5173/"],
        max_body_bytes=2000,
    )
    with live_server(app) as server:
        yield server


@pytest.fixture
def client(live: LiveServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=live.url, timeout=scaled(10)) as client:
        yield client


def test_a_conversation(client: httpx2.Client) -> None:
    answer = client.post("/chatkit", json=message("hello"))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-cache, no-transform"
    assert "connection" not in answer.headers
    sent = events(answer.content)
    assert [event["type"] for event in sent[:3]] == ["thread.created", "thread.item.done", "stream_options"]
    assert sent[-1]["type"] == "thread.item.done"
    assert sent[-1]["item"]["content"][0]["text"] == "You said hello"

    thread_id = sent[0]["thread"]["id"]
    read = client.post("/chatkit", json={"type": "threads.get_by_id", "params": {"thread_id": thread_id}})
    assert read.headers["content-type"] == "application/json"
    assert [item["type"] for item in read.json()["items"]["data"]] == ["user_message", "assistant_message"]


def test_the_first_frames_arrive_while_the_turn_goes_on(client: httpx2.Client) -> None:
    decoder = SSEDecoder()
    seen: list[str] = []
    with client.stream("POST", "/chatkit", json=message("hold")) as answer:
        for chunk in answer.iter_bytes():
            seen += [event.data for event in decoder.feed(chunk)]
            if any('"You "' in data for data in seen):
                break
    assert json.loads(seen[0])["type"] == "thread.created"


@pytest.mark.parametrize("path", ["/health", "/readyz"])
def test_probes(client: httpx2.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/chatkit", 405, "method_not_allowed"),
        ("PUT", "/chatkit", 405, "method_not_allowed"),
        ("OPTIONS", "/chatkit", 405, "method_not_allowed"),
        ("POST", "/health", 405, "method_not_allowed"),
        ("GET", "/elsewhere", 404, "not_found"),
        ("POST", "/chatkit/more", 404, "not_found"),
    ],
)
def test_other_ways_in_are_refused_in_the_same_form(
    client: httpx2.Client, method: str, path: str, status: int, code: str
) -> None:
    answer = client.request(method, path)
    assert error_of(answer) == (status, code)
    assert ("allow" in answer.headers) == (status == 405)


def test_head_is_refused_without_a_body(client: httpx2.Client) -> None:
    answer = client.head("/chatkit")
    assert answer.status_code == 405
    assert answer.content == b""


@pytest.mark.parametrize("origin", ["https://app.example.com", "http://localhost:5173"])
def test_a_preflight_from_an_allowed_origin(client: httpx2.Client, origin: str) -> None:
    asked = "authorization,chatkit-frame-instance-id,content-type,x-user-id"
    answer = client.options(
        "/chatkit",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": asked,
        },
    )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["access-control-allow-headers"] == asked
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-credentials"] == "true"


@pytest.mark.parametrize("origin", ["https://evil.example.com", "https://app.example.com.evil.com", "null"])
def test_a_preflight_from_a_refused_origin(client: httpx2.Client, origin: str) -> None:
    answer = client.options(
        "/chatkit",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,chatkit-frame-instance-id",
        },
    )
    assert answer.status_code == 400
    assert "access-control-allow-origin" not in answer.headers


def test_answers_and_errors_can_be_read_by_allowed_origins_only(client: httpx2.Client) -> None:
    for send in (message("hello"), {"type": "nothing"}):
        allowed = client.post("/chatkit", json=send, headers={"Origin": "https://app.example.com"})
        refused = client.post("/chatkit", json=send, headers={"Origin": "https://evil.example.com"})
        assert allowed.headers["access-control-allow-origin"] == "https://app.example.com"
        assert "access-control-allow-origin" not in refused.headers


def test_any_origin_may_be_allowed_but_gets_no_cookies() -> None:
    app = create_app(SampleServer(MemoryStore()), context=lambda request: {"user_id": "a"}, cors_origins="*")
    with live_server(app) as server:
        answer = httpx2.post(f"{server.url}/chatkit", json={}, headers={"Origin": "https://any.example.com"})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("make", [create_app, None], ids=["starlette", "fastapi"])
def test_the_address_opened_in_a_browser_says_what_it_is(make: Any) -> None:
    server = SampleServer(MemoryStore())
    if make is None:
        app: Any = FastAPI()
        app.include_router(chatkit_router(server, context=single_user()))
    else:
        app = make(server, context=single_user())
    browser = "text/html,application/xhtml+xml,*/*;q=0.8"
    with live_server(app) as running:
        shown = httpx2.get(f"{running.url}/chatkit", headers={"Accept": browser})
        assert shown.status_code == 200
        assert "This is a ChatKit endpoint" in shown.text
        assert shown.headers["content-security-policy"].startswith("default-src 'none'")
        refused = httpx2.get(f"{running.url}/chatkit")
        assert error_of(refused) == (405, "method_not_allowed")
        assert refused.headers["allow"] == "POST"
        assert "with POST" in refused.json()["error"]["message"]


def test_without_origins_there_is_no_cors() -> None:
    with live_server(create_app(SampleServer(MemoryStore()), context=single_user())) as server:
        headers = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
        answer = httpx2.options(f"{server.url}/chatkit", headers=headers)
        assert error_of(answer) == (405, "method_not_allowed")
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_request_that_is_too_large(client: httpx2.Client) -> None:
    declared = client.post("/chatkit", content=b" " * 2001, headers=JSON)
    assert error_of(declared) == (413, "request_too_large")

    def pieces() -> Iterator[bytes]:
        for _ in range(30):
            yield b" " * 100

    chunked = client.post("/chatkit", content=pieces(), headers=JSON)
    assert error_of(chunked) == (413, "request_too_large")
    huge = client.post("/chatkit", content=b" " * 3_000_000, headers=JSON)
    assert error_of(huge) == (413, "request_too_large")
    fits = client.post("/chatkit", content=json.dumps(message("hi")).encode().ljust(2000), headers=JSON)
    assert fits.status_code == 200


class Refusals:
    """A context factory that does what the header says."""

    def __call__(self, request: Request) -> dict[str, str]:
        refused: dict[str, Exception] = {
            "401": AuthenticationError(),
            "403": PermissionDeniedError("Members only."),
            "framework": HTTPException(401, "Invalid token", {"WWW-Authenticate": "Bearer"}),
            "broken": RuntimeError("identity provider at 10.0.0.1 refused"),
        }
        wanted = request.headers["authorization"]
        if wanted in refused:
            raise refused[wanted]
        return {"user_id": wanted}

    async def awaited(self, request: Request) -> dict[str, str]:
        await asyncio.sleep(0)
        return self(request)


@pytest.mark.parametrize("context", [Refusals(), Refusals().awaited])
def test_the_context_decides_who_comes_in(context: Any, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(SampleServer(MemoryStore()), context=context)
    with live_server(app) as server, httpx2.Client(base_url=server.url) as client:

        def ask(who: str, **options: Any) -> httpx2.Response:
            return client.post("/chatkit", headers={"Authorization": who}, **options)

        mine = events(ask("alice", json=message("hello")).content)[0]["thread"]["id"]
        read = {"type": "threads.get_by_id", "params": {"thread_id": mine}}
        assert ask("alice", json=read).status_code == 200
        assert error_of(ask("bob", json=read)) == (404, "not_found")
        assert error_of(ask("401", json=read)) == (401, "unauthenticated")
        assert ask("401", json=read).headers["www-authenticate"] == "Bearer"
        assert error_of(ask("401", content=b"not json")) == (401, "unauthenticated"), (
            "before the body is read"
        )
        assert error_of(ask("403", json=read)) == (403, "forbidden")
        framework = ask("framework", json=read)
        assert error_of(framework) == (401, "unauthenticated")
        assert framework.json()["error"]["message"] == "Invalid token"
        assert framework.headers["www-authenticate"] == "Bearer"
        broken = ask("broken", json=read)
        assert error_of(broken) == (500, "internal_error")
        assert "10.0.0.1" not in broken.text
        assert "10.0.0.1" in caplog.text


def test_an_application_that_forgets_the_owner_is_told_in_its_log(caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(SampleServer(MemoryStore()), context=lambda request: {})
    with live_server(app) as server:
        answer = httpx2.post(f"{server.url}/chatkit", json=message("hello"))
    assert error_of(answer) == (500, "configuration_error")
    assert "owner=" in caplog.text


class FailingStore(MemoryStore[Any]):
    async def check(self) -> None:
        raise OSError("disk is gone: /dev/sda")


class HangingStore(MemoryStore[Any]):
    async def check(self) -> None:
        await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("store", [FailingStore, HangingStore])
def test_readiness_tells_of_a_store_that_does_not_answer(
    store: type[MemoryStore[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatkit.web.lifecycle._CHECK_SECONDS", 0.05)
    app = create_app(SampleServer(store()), context=single_user())
    with live_server(app) as server:
        answer = httpx2.get(f"{server.url}/readyz")
        assert error_of(answer) == (503, "store_unavailable")
        assert "sda" not in answer.text
        assert httpx2.get(f"{server.url}/health").status_code == 200


class Recorder(SampleServer):
    """Records what an application asks of it."""

    def __init__(self, *, recovered: int = 0) -> None:
        super().__init__(MemoryStore())
        self.calls: list[str] = []
        self._recovered = recovered

    async def recover(self) -> int:
        self.calls.append("recover")
        await super().recover()
        return self._recovered

    async def close(self) -> None:
        self.calls.append("close")
        await super().close()

    def check_workers(self, workers: int) -> None:
        self.calls.append(f"workers {workers}")
        super().check_workers(workers)


def test_the_server_starts_and_ends_with_its_application(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "chatkit.web")
    server = Recorder(recovered=2)
    app = create_app(server, context=single_user())
    for _ in range(2):
        with live_server(app) as live:
            assert httpx2.post(f"{live.url}/chatkit", json=message("hello")).status_code == 200
    assert server.calls == ["workers 1", "recover", "close"] * 2
    assert "Finished 2 turns" in caplog.text


def test_own_routes_middleware_and_lifespan_stay() -> None:
    server = Recorder()
    order: list[str] = []

    @asynccontextmanager
    async def own(app: Starlette) -> AsyncIterator[dict[str, str]]:
        order.append(f"begin {server.calls}")
        yield {"greeting": "hi"}
        order.append(f"end {server.calls[-1]}")

    async def greet(request: Request) -> Response:
        return PlainTextResponse(request.state.greeting)

    async def add_header(request: Request, call_next: Any) -> Response:
        response = await call_next(request)
        response.headers["x-own"] = "yes"
        return response

    app = create_app(
        server,
        context=single_user(),
        routes=[Route("/greet", greet)],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=add_header)],
        lifespan=own,
    )
    with live_server(app) as live:
        assert httpx2.get(f"{live.url}/greet").text == "hi"
        answer = httpx2.post(f"{live.url}/chatkit", json=message("hello"))
        assert answer.headers["x-own"] == "yes"
        assert events(answer.content)[-1]["type"] == "thread.item.done"
    assert order == ["begin []", "end close"]


def test_a_client_that_leaves_before_it_has_sent_everything_disturbs_nobody(
    live: LiveServer, client: httpx2.Client, caplog: pytest.LogCaptureFixture
) -> None:
    address = (httpx2.URL(live.url).host, httpx2.URL(live.url).port or 0)
    with socket.create_connection(address) as connection:
        connection.sendall(
            b"POST /chatkit HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
    assert client.get("/health").status_code == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_a_client_that_leaves_stops_the_turn_even_behind_middleware(http: str) -> None:
    store: MemoryStore[Any] = MemoryStore()

    async def pass_on(request: Request, call_next: Any) -> Response:
        return await call_next(request)

    server = SampleServer(store)
    app = create_app(
        server, context=single_user(), middleware=[Middleware(BaseHTTPMiddleware, dispatch=pass_on)]
    )
    with live_server(app, http=http) as live, httpx2.Client(base_url=live.url, timeout=scaled(10)) as client:
        check_that_leaving_keeps_the_partial_text(client)


def check_that_leaving_keeps_the_partial_text(client: httpx2.Client) -> None:
    thread_id = hold_and_leave(client)
    # Stopping is acknowledged after the partial text is saved, whichever request came first.
    stop = {"type": "turns.stop", "params": {"thread_id": thread_id}}
    assert client.post("/chatkit", json=stop).is_success
    listed = client.post("/chatkit", json={"type": "items.list", "params": {"thread_id": thread_id}})
    answer, said = listed.json()["data"]
    assert said["type"] == "user_message"
    assert answer["content"][0]["text"] == "You said hold"


def hold_and_leave(client: httpx2.Client) -> str:
    decoder = SSEDecoder()
    seen: list[dict[str, Any]] = []
    with client.stream("POST", "/chatkit", json=message("hold")) as answer:
        for chunk in answer.iter_bytes():
            seen += [json.loads(event.data) for event in decoder.feed(chunk)]
            if "hold" in [event.get("update", {}).get("delta") for event in seen]:
                break
    return str(seen[0]["thread"]["id"])


@pytest.mark.parametrize(
    ("given", "workers"), [("3", 3), ("1", 1), ("0", 1), ("", 1), ("many", 1), ("9" * 5000, 1)]
)
def test_the_environment_says_how_many_workers_there_are(
    given: str, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", given)
    app = create_app(SampleServer(MemoryStore()), context=single_user())
    if workers == 1:
        with TestClient(app) as client:
            assert client.get("/readyz").status_code == 200
    else:
        with pytest.raises(ConfigurationError, match=f"{workers} workers"), TestClient(app):
            pass


def test_several_workers_over_a_log_in_memory_refuse_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(SampleServer(MemoryStore()), context=single_user(), workers=2)
    with pytest.raises(ConfigurationError, match="stream_log="), TestClient(app):
        pass
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    said = create_app(SampleServer(MemoryStore()), context=single_user(), workers=1)
    with TestClient(said) as client:
        assert client.get("/readyz").status_code == 200


def test_an_application_below_another_is_started_by_its_first_request() -> None:
    server = Recorder()
    app = Starlette(routes=[Mount("/sub", create_app(server, context=single_user()))])
    with live_server(app) as live:
        for _ in range(2):
            answer = httpx2.post(f"{live.url}/sub/chatkit", json=message("hello"))
            assert events(answer.content)[-1]["type"] == "thread.item.done"
    assert server.calls == ["workers 1", "recover"]


def test_a_recovery_that_fails_is_tried_again_at_the_next_request(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Recorder):
        async def recover(self) -> int:
            if self.calls.count("recover") == 0:
                self.calls.append("recover")
                raise OSError("the disk is asleep")
            return await super().recover()

    server = Failing()
    with live_server(Starlette(routes=[Mount("/sub", create_app(server, context=single_user()))])) as live:
        first = httpx2.post(f"{live.url}/sub/chatkit", json=message("hello"))
        assert error_of(first) == (500, "internal_error")
        assert httpx2.post(f"{live.url}/sub/chatkit", json=message("hello")).status_code == 200
    assert server.calls == ["workers 1", "recover", "workers 1", "recover"]
    assert "asleep" in caplog.text


def test_an_application_below_another_with_too_many_workers_serves_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sub = create_app(SampleServer(MemoryStore()), context=single_user(), workers=2)
    with live_server(Starlette(routes=[Mount("/sub", sub)])) as live:
        for _ in range(2):
            answer = httpx2.post(f"{live.url}/sub/chatkit", json=message("hello"))
            assert error_of(answer) == (500, "configuration_error")
    assert "stream_log=" in caplog.text


def test_a_lifespan_for_endpoints_written_by_hand() -> None:
    server = Recorder()
    with live_server(Starlette(lifespan=server_lifespan(server))):
        assert server.calls == ["workers 1", "recover"]
    assert server.calls[-1] == "close"


def test_the_test_client_of_the_framework_works() -> None:
    app = create_app(SampleServer(MemoryStore()), context=single_user())
    with TestClient(app) as client:
        answer = client.post("/chatkit", json=message("hello"))
        assert events(answer.content)[-1]["item"]["content"][0]["text"] == "You said hello"
    without_lifespan = TestClient(create_app(SampleServer(MemoryStore()), context=single_user()))
    for _ in range(2):
        assert events(without_lifespan.post("/chatkit", json=message("hello")).content)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"path": "chatkit"}, "path="),
        ({"path": "/health"}, "path="),
        ({"max_body_bytes": 0}, "max_body_bytes="),
        ({"keep_alive": 0}, "keep_alive="),
    ],
)
def test_options_that_cannot_be_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        create_app(SampleServer(MemoryStore()), context=single_user(), **options)


def test_another_path() -> None:
    app = create_app(SampleServer(MemoryStore()), context=single_user("alice"), path="/api/chat")
    with live_server(app) as live:
        assert httpx2.post(f"{live.url}/api/chat", json=message("hello")).status_code == 200
        assert error_of(httpx2.post(f"{live.url}/chatkit", json=message("hello"))) == (404, "not_found")
