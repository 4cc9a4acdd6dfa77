from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Depends, FastAPI, Header, HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from chatkit.errors import ConfigurationError, PermissionDeniedError
from chatkit.server import ChatKitServer
from chatkit.store import MemoryStore
from chatkit.types import AudioInput, TranscriptionResult
from chatkit.web import install_error_handlers, server_lifespan, single_user
from chatkit.web.fastapi import chatkit_router
from tests.support.live_server import live_server
from tests.support.scale import scaled
from tests.web import hand_written
from tests.web.sample import JSON, SampleServer, message
from tests.web.test_app import Recorder, check_that_leaving_keeps_the_partial_text, error_of, events


@dataclass
class Member:
    user_id: str


async def token(authorization: Annotated[str, Header()]) -> str:
    if authorization == "nobody":
        raise HTTPException(401, "Invalid token", {"WWW-Authenticate": "Bearer"})
    return authorization


async def member(name: Annotated[str, Depends(token)], room: int = 1) -> Member:
    if name == "stranger":
        raise PermissionDeniedError("Members only.")
    if name == "trouble":
        raise LookupError("secret")
    return Member(name)


@contextmanager
def serving(app: FastAPI) -> Iterator[httpx2.Client]:
    with live_server(app) as server, httpx2.Client(base_url=server.url, timeout=scaled(10)) as client:
        yield client


def make_app(server: ChatKitServer[Any] | None = None, **options: Any) -> FastAPI:
    app = FastAPI()
    app.include_router(
        chatkit_router(server or SampleServer(MemoryStore()), **{"context": member, **options})
    )
    return app


ALICE = {"Authorization": "alice"}


def test_a_dependency_with_dependencies_of_its_own_makes_the_context() -> None:
    with serving(make_app()) as client:
        thread_id = events(client.post("/chatkit", json=message("hello"), headers=ALICE).content)[0][
            "thread"
        ]["id"]
        read = {"type": "threads.get_by_id", "params": {"thread_id": thread_id}}
        assert client.post("/chatkit", json=read, headers=ALICE).status_code == 200
        bob = {"Authorization": "bob"}
        assert error_of(client.post("/chatkit", json=read, headers=bob)) == (404, "not_found")


@pytest.mark.parametrize(
    ("headers", "path", "status", "code"),
    [
        ({"Authorization": "nobody"}, "/chatkit", 401, "unauthenticated"),
        ({"Authorization": "stranger"}, "/chatkit", 403, "forbidden"),
        ({"Authorization": "trouble"}, "/chatkit", 500, "internal_error"),
        ({}, "/chatkit", 422, "invalid_request"),
        (ALICE, "/chatkit?room=attic", 422, "invalid_request"),
        (ALICE, "/chatkit", 422, "invalid_request"),
    ],
)
def test_errors_of_the_router_have_the_form_of_the_package(
    headers: dict[str, str], path: str, status: int, code: str
) -> None:
    with serving(make_app()) as client:
        answer = client.post(path, json={"type": "threads.get_by_id", "params": {}}, headers=headers)
        assert error_of(answer) == (status, code)
        assert "attic" not in answer.text, "what the client sent is not repeated"
        assert "secret" not in answer.text
        if status == 401:
            assert answer.headers["www-authenticate"] == "Bearer"


def test_other_methods_are_refused_in_the_same_form_and_other_routes_in_their_own() -> None:
    app = make_app()

    @app.get("/own")
    async def own() -> None:
        raise HTTPException(403, "Keep out")

    with serving(app) as client:
        refused = client.get("/chatkit")
        assert error_of(refused) == (405, "method_not_allowed")
        assert refused.headers["allow"] == "POST"
        assert error_of(client.post("/health")) == (405, "method_not_allowed")
        assert client.get("/own").json() == {"detail": "Keep out"}
        assert client.get("/nowhere").json() == {"detail": "Not Found"}


def test_exceptions_that_the_application_handles_go_to_its_handler() -> None:
    app = make_app()

    @app.exception_handler(LookupError)
    async def handle(request: Request, error: Exception) -> Response:
        return PlainTextResponse("my own", 418)

    with serving(app) as client:
        answer = client.post("/chatkit", json=message("x"), headers={"Authorization": "trouble"})
        assert (answer.status_code, answer.text) == (418, "my own")


@pytest.mark.parametrize("path", ["/health", "/readyz"])
def test_probes_may_be_left_out(path: str) -> None:
    with serving(make_app()) as client:
        assert client.get(path).json() == {"status": "ok"}
        assert client.head(path).status_code == 200
    with serving(make_app(probes=False)) as client:
        assert client.get(path).status_code == 404


def context_of(request: Request) -> dict[str, str]:
    return {"user_id": request.headers["authorization"]}


async def awaited_context_of(request):
    return {"user_id": request.headers["authorization"]}


@pytest.mark.parametrize(
    "context",
    [
        single_user(),
        context_of,
        awaited_context_of,
        lambda request: {"user_id": request.headers["authorization"]},
    ],
)
def test_functions_of_the_request_are_contexts_too(context: Callable[..., Any]) -> None:
    with serving(make_app(context=context)) as client:
        assert events(client.post("/chatkit", json=message("hello"), headers=ALICE).content)


def test_limits_and_media_types_hold_for_the_router() -> None:
    with serving(make_app(max_body_bytes=10)) as client:
        assert error_of(client.post("/chatkit", json=message("x"), headers=ALICE)) == (
            413,
            "request_too_large",
        )
        plain = client.post("/chatkit", content=b"{}", headers={**ALICE, "Content-Type": "text/plain"})
        assert error_of(plain) == (415, "unsupported_media_type")


def test_the_lifespans_of_router_and_application_are_both_entered() -> None:
    server = Recorder()
    order: list[str] = []

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[None]:
        order.append(f"begin {server.calls}")
        yield
        order.append(f"end {server.calls[-1]}")

    app = FastAPI(lifespan=own)
    router = chatkit_router(server, context=single_user())
    app.include_router(router)
    app.include_router(router, prefix="/v2")
    with serving(app) as client:
        assert client.post("/chatkit", json=message("hello")).status_code == 200
        assert client.post("/v2/chatkit", json=message("hello")).status_code == 200
    assert order == ["begin []", "end close"]
    assert server.calls == ["workers 1", "recover", "close"], "once, although it is included twice"


def test_several_workers_over_a_log_in_memory_refuse_to_start() -> None:
    with pytest.raises(RuntimeError, match="refused to start"), live_server(make_app(workers=2)):
        pass


def test_the_operation_is_in_the_document() -> None:
    document = make_app().openapi()
    assert set(document["paths"]) == {"/chatkit", "/chatkit/files"}
    assert all(path["post"]["tags"] == ["chatkit"] for path in document["paths"].values())
    assert set(make_app(uploads=None).openapi()["paths"]) == {"/chatkit"}


def test_a_path_that_cannot_be_is_named() -> None:
    with pytest.raises(ConfigurationError, match="path="):
        make_app(path="chatkit")
    with pytest.raises(ConfigurationError, match="path="):
        make_app(path="/readyz")
    assert make_app(path="/readyz", probes=False).routes


def transcribing(store: MemoryStore[Any]) -> SampleServer:
    class Transcribing(SampleServer):
        async def transcribe(self, audio_input: AudioInput, context: Any) -> TranscriptionResult:
            return TranscriptionResult(text=f"{len(audio_input.data)} bytes of {audio_input.media_type}")

    return Transcribing(store)


def test_the_endpoint_of_the_reference_works_as_written() -> None:
    app = hand_written.make_app(transcribing(MemoryStore()))
    install_error_handlers(app)
    headers = {"x-user-id": "alice"}
    with serving(app) as client:
        answer = client.post("/chatkit", json=message("hello"), headers=headers)
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert events(answer.content)[-1]["item"]["content"][0]["text"] == "You said hello"
        spoken = {
            "type": "input.transcribe",
            "params": {"audio_base64": "AAAA", "mime_type": "audio/ogg; codecs=opus"},
        }
        assert client.post("/chatkit", json=spoken, headers=headers).json() == {
            "text": "3 bytes of audio/ogg"
        }
        assert client.get("/health").json() == {"status": "ok"}
        preflight = client.options(
            "/chatkit",
            headers={
                "Origin": "http://localhost:5173",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "chatkit-frame-instance-id",
            },
        )
        assert preflight.status_code == 200
        missing = {"type": "threads.get_by_id", "params": {"thread_id": "thr_missing"}}
        assert error_of(client.post("/chatkit", json=missing, headers=headers)) == (404, "not_found")
        assert error_of(client.post("/chatkit", content=b"{", headers={**headers, **JSON})) == (
            400,
            "malformed_request",
        )


def test_the_endpoint_of_the_reference_with_a_bearer_token() -> None:
    server = SampleServer(MemoryStore())
    app = hand_written.make_app_with_bearer(server, lifespan=server_lifespan(server))
    install_error_handlers(app)
    with serving(app) as client:
        alice = {"Authorization": "Bearer token-of-alice"}
        thread_id = events(client.post("/chatkit", json=message("hello"), headers=alice).content)[0][
            "thread"
        ]["id"]
        read = {"type": "threads.get_by_id", "params": {"thread_id": thread_id}}
        assert client.post("/chatkit", json=read, headers=alice).json()["id"] == thread_id
        bob = {"Authorization": "Bearer token-of-bob"}
        assert error_of(client.post("/chatkit", json=read, headers=bob)) == (404, "not_found")
        wrong = client.post("/chatkit", json=read, headers={"Authorization": "Bearer wrong"})
        assert (wrong.status_code, wrong.json()) == (401, {"detail": "Invalid token"}), "FastAPI's own form"
        assert client.post("/chatkit", json=read).status_code in {401, 403}


def test_a_client_that_leaves_the_endpoint_of_the_reference_stops_the_turn() -> None:
    app = hand_written.make_app(SampleServer(MemoryStore()))
    with serving(app) as client:
        client.headers["x-user-id"] = "alice"
        check_that_leaving_keeps_the_partial_text(client)


def test_without_handlers_an_error_is_an_unhandled_exception() -> None:
    with serving(hand_written.make_app(SampleServer(MemoryStore()))) as client:
        answer = client.post("/chatkit", content=b"{", headers={"x-user-id": "alice", **JSON})
        assert answer.status_code == 500
