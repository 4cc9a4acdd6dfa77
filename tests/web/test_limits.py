from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, Request

from chatkit.errors import RequestTooLargeError, UnsupportedMediaTypeError
from chatkit.limits import Limits
from chatkit.store import MemoryStore
from chatkit.web import create_app
from chatkit.web.endpoint import check_media_type, read_body
from tests.web.sample import JSON, SampleServer


def make_request(
    chunks: list[bytes] | None = None, headers: dict[str, str] | None = None, *, cut_off: bool = False
) -> Request:
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks or []
    ]
    messages.append({"type": "http.disconnect"} if cut_off else {"type": "http.request", "body": b""})
    waiting = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(waiting)

    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw}, receive)


@pytest.mark.parametrize(
    "value",
    [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON ;charset=utf-8",
        "application/vnd.chat+json",
        "application/problem+json; profile=x",
    ],
)
def test_json_passes(value: str) -> None:
    check_media_type(make_request(headers={"Content-Type": value}))


@pytest.mark.parametrize(
    "value",
    [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "text/json",
        "text/plain; a=application/json",
        "application/jsonp",
        "application/octet-stream",
        "json",
        "",
    ],
)
def test_what_a_form_can_send_is_refused(value: str) -> None:
    with pytest.raises(UnsupportedMediaTypeError):
        check_media_type(make_request(headers={"Content-Type": value}))


def test_a_body_without_a_type_is_refused() -> None:
    with pytest.raises(UnsupportedMediaTypeError):
        check_media_type(make_request())


@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(min_value=1, max_value=120), st.booleans())
def test_the_body_is_taken_up_to_the_limit_in_any_pieces(
    chunks: list[bytes], limit: int, declared: bool
) -> None:
    body = b"".join(chunks)
    request = make_request(chunks, {"Content-Length": str(len(body))} if declared else None)
    if len(body) <= limit:
        assert asyncio.run(read_body(request, limit)) == body
    else:
        with pytest.raises(RequestTooLargeError, match=str(limit)):
            asyncio.run(read_body(request, limit))


@pytest.mark.parametrize("length", ["11", "9" * 30, "9" * 10_000])
async def test_a_declared_excess_is_refused_before_anything_is_read(length: str) -> None:
    request = make_request(cut_off=True, headers={"Content-Length": length})
    with pytest.raises(RequestTooLargeError):
        await read_body(request, 10)


@pytest.mark.parametrize("length", ["", "-1", "ten", "1e9", "\u0663"])
async def test_a_length_that_is_none_is_ignored(length: str) -> None:
    request = make_request([b"body"], {"Content-Length": length})
    assert await read_body(request, 10) == b"body"


async def test_more_than_was_declared_is_refused_too() -> None:
    with pytest.raises(RequestTooLargeError):
        await read_body(make_request([b"x" * 20], {"Content-Length": "5"}), 10)


async def test_a_body_that_was_read_before_is_measured() -> None:
    request = make_request([b"x" * 8])
    assert await request.body() == b"x" * 8
    assert await read_body(request, 8) == b"x" * 8
    with pytest.raises(RequestTooLargeError):
        await read_body(request, 7)


async def test_a_client_that_leaves_is_told_apart() -> None:
    with pytest.raises(ClientDisconnect):
        await read_body(make_request([b"{"], cut_off=True), 10)


def sized(kind: str, size: int) -> bytes:
    params = {"audio_base64": "A" * size, "mime_type": "audio/ogg"} if kind == "input.transcribe" else {}
    return json.dumps({"type": kind, "params": params, "more": "x" * (0 if params else size)}).encode()


@pytest.mark.parametrize(
    ("options", "limits", "kind", "size", "status"),
    [
        ({}, None, "threads.list", 1_900_000, 200),
        ({}, None, "threads.list", 2_200_000, 413),
        ({}, None, "input.transcribe", 3_000_000, 501),
        ({}, None, "input.transcribe", 27_000_000, 413),
        ({"max_body_bytes": 4_000_000}, None, "threads.list", 3_900_000, 200),
        ({"max_body_bytes": 4_000_000}, Limits(body_bytes=100), "threads.list", 3_900_000, 200),
        ({"max_body_bytes": 4_000_000}, None, "input.transcribe", 4_100_000, 413),
        ({"max_body_bytes": 1_000}, None, "threads.list", 1_100, 413),
        ({}, Limits(body_bytes=1_000), "threads.list", 1_100, 413),
        ({}, Limits(body_bytes=1_000), "input.transcribe", 1_100, 501),
        ({}, Limits(transcribe_bytes=1_000), "input.transcribe", 2_100_000, 413),
    ],
)
async def test_bytes_of_a_body_by_the_option_and_by_the_servers_limits(
    options: dict[str, Any], limits: Limits | None, kind: str, size: int, status: int
) -> None:
    server = SampleServer(MemoryStore(), limits=limits)
    app = create_app(server, context=lambda request: {"user_id": "alice"}, **options)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as client:
        answer = await client.post("/chatkit", content=sized(kind, size), headers=JSON)
    assert answer.status_code == status, answer.text
