"""Log records as JSON: what they are about, and ids of requests from the header to the records of a turn."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from io import StringIO
from typing import Any

import pytest
from starlette.testclient import TestClient

from chatkit.logs import JSONFormatter, about, owner_digest
from chatkit.store import MemoryStore
from chatkit.web import create_app
from tests.server.support import ScriptedServer, done, user_input

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
logger = logging.getLogger("chatkit.test")


@pytest.fixture
def lines() -> Iterator[StringIO]:
    written, handler = StringIO(), logging.StreamHandler()
    handler.setStream(written)
    handler.setFormatter(JSONFormatter())
    chatkit = logging.getLogger("chatkit")
    chatkit.addHandler(handler)
    try:
        yield written
    finally:
        chatkit.removeHandler(handler)


def records(lines: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def test_a_record_is_one_line_whatever_it_says(lines: StringIO) -> None:
    logger.warning("two\nlines of %s", "Ärger")
    try:
        raise ValueError("it\nfails")
    except ValueError:
        logger.exception("badly")
    first, second = records(lines)
    assert first.pop("time").endswith("+00:00")
    assert first == {"level": "warning", "logger": "chatkit.test", "message": "two\nlines of Ärger"}
    assert second["exception"].startswith("Traceback")
    assert second["exception"].endswith("ValueError: it\nfails")


async def test_what_records_are_about_goes_with_tasks_and_ends_with_its_block(lines: StringIO) -> None:
    async def work() -> None:
        with about(turn="turn_1"):
            logger.warning("inside")

    with about(request="req_1", thread=None):
        task = asyncio.create_task(work())
        await task
        logger.warning("beside")
    logger.warning("after")
    inside, beside, after = records(lines)
    assert (inside["request"], inside["turn"]) == ("req_1", "turn_1")
    assert beside["request"] == "req_1"
    assert {"turn", "thread"}.isdisjoint(beside)
    assert "request" not in after


def test_an_owner_is_told_by_a_digest_that_its_secret_makes(
    lines: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    for secret in ("a" * 32, "b" * 32, "a" * 32):
        monkeypatch.setenv("CHATKIT_SECRET", secret)
        with about(owner="ada@example.com"):
            logger.warning("hello")
    one, other, again = (record["owner"] for record in records(lines))
    assert one == again != other
    assert len(one) == 24
    assert "ada" not in lines.getvalue()
    assert one == owner_digest("ada@example.com")


async def failing(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
    logger.warning("the handler says something")
    yield done("Hello.")
    raise RuntimeError("the handler fails")


async def somebody(request: Any) -> dict[str, str]:
    return {"user_id": "ada"}


def client(script: Any = failing) -> TestClient:
    server = ScriptedServer(script, MemoryStore())
    return TestClient(create_app(server, context=somebody, cors_origins="https://app.example.com"))


def test_an_id_is_taken_given_back_and_in_the_records_of_the_turn(lines: StringIO) -> None:
    body = {"type": "threads.create", "params": {"input": user_input("Hi")}}
    headers = {"X-Request-Id": "proxy:1/a=", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    with client() as visitor:
        answer = visitor.post("/chatkit", json=body, headers=headers)
    assert answer.headers["x-request-id"] == "proxy:1/a="
    said, failed = (
        next(entry for entry in records(lines) if word in entry["message"]) for word in ("says", "failed")
    )
    for record in (said, failed):
        assert (record["request"], record["trace"]) == ("proxy:1/a=", TRACE)
        assert record["turn"].startswith("turn_")
        assert record["thread"].startswith("thr_")
        assert record["owner"] == owner_digest("ada")
    assert "the handler fails" in failed["exception"]


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "ümlaut", "<script>"])
def test_an_id_that_is_none_is_not_taken(given: str) -> None:
    with client() as visitor:
        answer = visitor.get("/health", headers={"X-Request-Id": given.encode()})
        another = visitor.get("/health")
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.headers["x-request-id"] != another.headers["x-request-id"]


def test_an_error_says_its_id_to_pages_of_other_origins_too() -> None:
    body = {"type": "threads.get_by_id", "params": {"thread_id": "thr_none"}}
    with client() as visitor:
        answer = visitor.post("/chatkit", json=body, headers={"Origin": "https://app.example.com"})
    assert answer.status_code == 404
    assert answer.headers["x-request-id"].startswith("req_")
    assert "x-request-id" in answer.headers["access-control-expose-headers"].lower()
