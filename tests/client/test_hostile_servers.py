"""Servers that send what no server should: the client's own errors, within bounds of memory and time."""

import asyncio
import gzip
import io
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx2
import pytest

from chatkit.cli.chat import Chat
from chatkit.cli.console import Console
from chatkit.cli.main import main
from chatkit.client import ChatKitClient, ServerError, StreamInterrupted, TurnStream, UnexpectedAnswerError
from chatkit.client.errors import error_of_answer
from chatkit.errors import ChatKitError, RateLimitedError
from chatkit.sse import encode_event
from tests.client.scripted import Answer, Reply, scripted
from tests.client.test_faults import CREATED, THREAD, client, progress, texts

DEEP = b"[" * 50_000
ITEM = {"id": "i", "thread_id": "thr_1", "created_at": "2026-01-01T00:00:00Z"}


def answering(status: int, body: bytes, kind: str = "application/json", **headers: str) -> Answer:
    async def answer(request: dict[str, Any], reply: Reply) -> None:
        await reply.answer(status, body, kind, **headers)

    return answer


def streaming(*frames: bytes) -> Answer:
    async def answer(request: dict[str, Any], reply: Reply) -> None:
        await reply.begin()
        for frame in frames:
            await reply.send(frame)
        await reply.end()

    return answer


def event(value: Any) -> bytes:
    return encode_event(value if isinstance(value, bytes) else json.dumps(value).encode(), id="turn_1:1")


def endless(piece: bytes, kind: str = "text/event-stream") -> Answer:
    """Sends the piece for as long as the client reads."""

    async def answer(request: dict[str, Any], reply: Reply) -> None:
        await reply.begin(kind)
        while True:
            await reply.send(piece)

    return answer


@pytest.mark.parametrize(
    "body",
    [
        DEEP,
        DEEP + b"]" * 50_000,
        b'{"error":' + DEEP,
        b'{"error":{"code":' + b"[" * 150 + b"]" * 150 + b"}}",
        b'{"error":{"code":{},"message":[]}}',
        b'{"detail":{"a":1}}',
        b'{"error":{"message":"\\ud800"}}',
        b'{"error":1e999}',
        b"9" * 100_000,
        b"\xff\xfe",
        b"null",
        b"",
    ],
)
@pytest.mark.parametrize("status", [302, 307, 400, 404, 429, 500, 503])
def test_error_bodies(body: bytes, status: int) -> None:
    error = error_of_answer(status, body, {})
    assert isinstance(error, ChatKitError)
    assert "HTTP status" in str(error)


def test_what_a_server_says_of_an_error_is_shortened() -> None:
    body = json.dumps({"error": {"code": "c" * 10**6, "message": "m" * 10**6}}).encode()
    error = error_of_answer(500, body, {})
    assert isinstance(error, ServerError)
    assert len(str(error)) <= 2_000
    assert len(error.server_code) <= 2_000


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1", "1e999", "soon", "", "\u0663x"])
def test_a_time_to_wait_that_is_none(value: str) -> None:
    error = error_of_answer(429, b"", {"retry-after": value})
    assert isinstance(error, RateLimitedError)
    assert error.retry_after is None
    assert error.headers == {}


async def test_a_large_error_body_is_read_in_part() -> None:
    async with scripted(answering(500, b"x" * 10_000_000)) as server, client(server.url) as chat:
        with pytest.raises(ServerError, match="status 500"):
            await chat.list_threads()


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
async def test_an_endless_answer_ends_at_the_bound(kind: str) -> None:
    async with (
        scripted(endless(b" " * 65536, kind)) as server,
        client(server.url, max_bytes=1_000_000) as chat,
    ):
        with pytest.raises(UnexpectedAnswerError, match="1000000 bytes"):
            await chat.list_threads()
        await server.gone.wait()


@pytest.mark.parametrize(
    "piece",
    [b"x" * 65536, b"data: " + b"x" * 65530, b"data:\n" * 10_000, b"data\n" * 10_000, b"id: " + b"x" * 65530],
)
async def test_an_endless_line_or_event_ends_at_the_bound(piece: bytes) -> None:
    async with scripted(endless(piece)) as server, client(server.url, max_bytes=1_000_000) as chat:
        with pytest.raises(UnexpectedAnswerError, match="more than 1000000 bytes"):
            async with chat.send_message("thr_1", "hello") as stream:
                await texts(stream)
        await server.gone.wait()


@pytest.mark.parametrize("whole", [False, True])
async def test_a_compressed_bomb(whole: bool) -> None:
    bomb = gzip.compress(b"data: " + b"x" * 100_000_000, 1)
    kind = "application/json" if whole else "text/event-stream"
    answer = answering(200, bomb, kind, content_encoding="gzip")
    async with scripted(answer) as server, client(server.url, max_bytes=1_000_000) as chat:
        with pytest.raises(UnexpectedAnswerError, match="1000000 bytes"):
            await (chat.list_threads() if whole else ask(chat))


async def ask(chat: ChatKitClient) -> list[str]:
    async with chat.send_message("thr_1", "hello") as stream:
        return await texts(stream)


@pytest.mark.parametrize("whole", [False, True])
async def test_a_damaged_compression(whole: bool) -> None:
    kind = "application/json" if whole else "text/event-stream"
    damaged = zlib.compress(b"x" * 1000)[:-9] + b"damaged!!"
    answer = answering(200, damaged, kind, content_encoding="gzip")
    async with scripted(answer) as server, client(server.url) as chat:
        with pytest.raises(UnexpectedAnswerError):
            await (chat.list_threads() if whole else ask(chat))


async def test_redirects() -> None:
    for status in (301, 302, 303, 307, 308):
        moved = answering(status, b"", location="/elsewhere")
        async with scripted(moved) as server, client(server.url) as chat:
            with pytest.raises(ServerError, match=f"status {status}"):
                await ask(chat)
    # With a client that follows them, round and round.
    async with (
        scripted(*[answering(307, b"", location="/chatkit")] * 30) as server,
        httpx2.AsyncClient(follow_redirects=True) as http,
        client(server.url, http=http) as chat,
    ):
        with pytest.raises(ChatKitError):
            await chat.list_threads()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}x",
        DEEP,
        b'{"data":' + DEEP,
        b'{"data":[' + b"1," * 3_000_000 + b"1]}",
        b'{"data":[{"id":"t","created_at":"0001-01-01T00:00:00+14:00"}]}',
        b'{"data":[{"id":"t","created_at":1e999}]}',
        b'{"data":[{"id":"t","metadata":"[[[","created_at":"2026-01-01T00:00:00Z"}]}',
        b'{"data":[{"id":"t","metadata":"' + DEEP + b'","created_at":"2026-01-01T00:00:00Z"}]}',
        b"\xff",
    ],
    ids=lambda body: body[:20].decode("utf-8", "replace") or "empty",
)
async def test_answers_that_are_none(body: bytes) -> None:
    async with scripted(answering(200, body)) as server, client(server.url) as chat:
        with pytest.raises(UnexpectedAnswerError):
            await chat.list_threads()


@pytest.mark.parametrize(
    "frame",
    [
        event({"type": "thread.item.updated", "item_id": "i"}),
        event({"type": "thread.item.updated", "item_id": "i", "update": None}),
        event({"type": "thread.item.updated", "item_id": "i", "delta": {"text": "x"}}),
        event({"type": "thread.item.done"}),
        event({"type": "thread.item.done", "id": "i"}),
        event({"type": "thread.item.added"}),
        event({"type": "thread.item.added", "item": None}),
        event({"type": "thread.created", "thread": {}}),
        event({"type": "thread.created", "thread": {**THREAD, "created_at": "0001-01-01T00:00:00+14:00"}}),
        event({"type": "error", "code": {}}),
        event([]),
        event(None),
        event(b"{"),
        event(DEEP),
        event(b"\xff"),
        event(b'{"type":"progress_update","text":"\\ud800"}'),
        event(b'{"type":"thread.item.added","item":[' + b"1," * 300_000 + b"1]}"),
    ],
    ids=lambda frame: frame[18:70].decode("utf-8", "replace"),
)
async def test_events_that_are_none(frame: bytes) -> None:
    async with scripted(streaming(event(CREATED), frame)) as server, client(server.url, retries=0) as chat:
        with pytest.raises(UnexpectedAnswerError):
            await ask(chat)


@pytest.mark.parametrize(
    "frame",
    [
        event({"type": "something.new", "more": [1]}),
        event({"type": []}),
        event({"type": "thread.item.added", "item": {**ITEM, "type": "hologram"}}),
        event({"type": "thread.item.updated", "item_id": "i", "update": {"type": "hologram.turned"}}),
        event(
            {
                "type": "thread.item.updated",
                "item_id": "unknown",
                "update": {
                    "type": "assistant_message.content_part.text_delta",
                    "content_index": 9,
                    "delta": "x",
                },
            }
        ),
        event({"type": "thread.item.removed", "item_id": "unknown"}),
        event(progress("a\x00b")),
        b"event: unknown\nunknown: field\nid: a\x00b\n\n",
        b": \xff\xfe\n\n",
    ],
    ids=lambda frame: frame[:60].decode("utf-8", "replace"),
)
async def test_what_is_skipped(frame: bytes) -> None:
    rest = event(progress("after"))
    async with (
        scripted(streaming(event(CREATED), frame, rest)) as server,
        client(server.url, retries=0) as chat,
    ):
        stream = chat.send_message("thr_1", "hello")
        async with stream:
            told = [told async for told in _until_broken(stream)]
        assert [event.text for event in told if event.type == "progress_update"][-1] == "after"


async def _until_broken(stream: TurnStream) -> AsyncIterator[Any]:
    with suppress(StreamInterrupted):
        async for told in stream:
            yield told


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"null", DEEP, b'{"status":[]}', b'{"status":{}}', b'{"status":"great"}', b"\xff"]
)
async def test_ends_that_say_nothing(data: bytes) -> None:
    end = encode_event(data or b" ", id="turn_1:9", event="turn.end")
    async with scripted(streaming(event(CREATED), end)) as server, client(server.url) as chat:
        async with chat.send_message("thr_1", "hello") as stream:
            await stream.until_done()
        assert stream.status is None


@pytest.mark.parametrize(
    "descriptor",
    [
        {"url": "file:///etc/passwd", "method": "PUT"},
        {"url": "http://127.0.0.1:1/" + "x" * 70_000, "method": "PUT"},
        {"url": "http://127.0.0.1:1/", "method": "PUT", "headers": {"x": "é\ud800"}},
        {"url": "http://127.0.0.1:1/", "method": "PUT", "headers": {"ü": "1"}},
        {"url": "http://127.0.0.1:1/", "method": "PUT", "headers": {"x": "a\r\nb: c"}},
        {"url": "http://127.0.0.1:1/", "method": "DELETE"},
        {"url": "no address", "method": "PUT"},
    ],
)
async def test_places_for_files_that_are_none(descriptor: dict[str, Any]) -> None:
    attachment = {"type": "file", "id": "a", "name": "n", "mime_type": "text/plain"}
    made = json.dumps({**attachment, "upload_descriptor": descriptor}).encode()
    answers = [answering(200, made), answering(200, b"{}")]
    async with scripted(*answers) as server, client(server.url, retries=0) as chat:
        with pytest.raises(ChatKitError):
            await chat.upload(b"x", name="n", mime_type="text/plain")


CONTROLS = "\x1b[2J\x07\x9b31m\x00\x08"


@pytest.mark.parametrize(
    "answer",
    [
        answering(500, json.dumps({"error": {"code": "x", "message": f"bad{CONTROLS}"}}).encode()),
        answering(500, DEEP),
        answering(404, b"\xff"),
        answering(200, b"{}", f"text/html;{chr(0x9B)}"),
        streaming(event(CREATED), event({"type": "thread.item.updated", "item_id": "i"})),
        streaming(
            event({**CREATED, "thread": {**CREATED["thread"], "title": CONTROLS}}),  # type: ignore[dict-item]
            event(progress(CONTROLS)),
            event({"type": "notice", "level": "info", "message": CONTROLS, "title": CONTROLS}),
            event({"type": "client_effect", "name": CONTROLS, "data": {CONTROLS: CONTROLS}}),
            event({"type": "error", "message": CONTROLS}),
        ),
        streaming(
            event(CREATED),
            event(
                {
                    "type": "thread.item.done",
                    "item": {
                        **ITEM,
                        "type": "widget",
                        "widget": {
                            "type": "Card",
                            "children": [
                                {"type": "Text", "value": CONTROLS},
                                {"type": "Button", "label": CONTROLS, "onClickAction": {"type": CONTROLS}},
                            ],
                        },
                    },
                }
            ),
            encode_event(b'{"status":"stopped"}', id="turn_1:9", event="turn.end"),
        ),
    ],
)
async def test_the_terminal_shows_no_control_characters_and_no_foreign_exceptions(answer: Answer) -> None:
    shown = io.StringIO()
    console = Console(io.StringIO("hello\n/1\n"), shown)

    def talk(url: str) -> None:
        with asyncio.Runner() as runner:
            chat = ChatKitClient(url, retries=0)
            try:
                Chat(chat, console, runner).run()
            except ChatKitError as error:
                console.line(f"error: {error}")
            finally:
                runner.run(chat.aclose())

    async with scripted(answer, answering(404, b"")) as server:
        await asyncio.to_thread(talk, server.url)
    assert shown.getvalue()
    assert not set(shown.getvalue()) & set("\x1b\x07\x9b\x00\x08")


def test_an_error_of_a_command_is_shown_without_control_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(url: str, headers: dict[str, str]) -> int:
        raise ServerError(f"bad{CONTROLS}")

    monkeypatch.setattr("chatkit.cli.chat.chat", failing)
    assert main(["chat", "http://127.0.0.1:1"]) == 1
    assert capsys.readouterr().err == "chatkit chat: bad[2J31m\n"
