"""The Flask example, under gunicorn and Flask's own server: sign-in, a conversation, files, answers cut short."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.examples.running import (
    LONG,
    Example,
    Visitor,
    begun,
    converse,
    exchange_files,
    message,
    partial_answer,
)
from tests.support.scale import scaled

SERVERS = {"gunicorn": None, "flask": ["flask", "run"]}


def sign_in(visitor: Visitor, name: str = "ada", password: str = "analytical") -> None:
    assert "<openai-chatkit" not in visitor.get("/").text
    answer = visitor.post("/sign-in", data={"name": name, "password": password})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "<openai-chatkit" in visitor.get("/").text


@pytest.fixture
def example(tmp_path: Path) -> Example:
    return Example("flask", tmp_path)


@pytest.mark.parametrize("server", SERVERS)
def test_a_conversation(example: Example, server: str) -> None:
    with example.serving(SERVERS[server]) as url, Visitor(url) as visitor, Visitor(url) as other:
        assert visitor.get("/chat/chatkit.js").status_code == 200
        assert visitor.get("/chat/../app.py").status_code == 404
        assert visitor.post("/chatkit", json=message("Hi")).status_code == 401
        assert visitor.post("/sign-in", data={"name": "ada", "password": "no"}).status_code == 401
        assert visitor.post("/sign-in", data={"name": "bob", "password": ""}).status_code == 401
        sign_in(visitor)
        assert visitor.post("/chatkit", content='{"type": "threads.list"}').status_code == 415
        as_json = {"Content-Type": "application/json"}
        assert visitor.post("/chatkit", content="no JSON", headers=as_json).status_code == 400
        thread_id, items = converse(visitor, expects="ada, you said: Good morning")

        sign_in(other, "grace", "nanosecond")
        assert other.threads() == []
        get = {"type": "threads.get_by_id", "params": {"thread_id": thread_id}}
        assert other.post("/chatkit", json=get).status_code == 404

        # Sessions are in signed cookies: they survive the process.
        kept = visitor.cookies["session"]
    with example.serving(SERVERS[server]) as url, Visitor(url) as visitor:
        visitor.cookies.set("session", kept, domain="127.0.0.1")
        assert visitor.items(thread_id) == items
        visitor.post("/sign-out")
        assert visitor.post("/chatkit", json=get).status_code == 401


@pytest.mark.parametrize("server", SERVERS)
def test_files_and_the_whole_page(example: Example, server: str) -> None:
    with example.serving(SERVERS[server]) as url, Visitor(url) as visitor, Visitor(url) as other:
        page = visitor.get("/chat/")
        assert page.headers["content-type"].startswith("text/html")
        assert "script-src 'self'" in page.headers["content-security-policy"]
        script = visitor.get("/chat/resumable-fetch.js")
        again = visitor.get("/chat/resumable-fetch.js", headers={"If-None-Match": script.headers["etag"]})
        assert (script.headers["content-encoding"], again.status_code) == ("gzip", 304)
        sign_in(visitor)
        exchange_files(visitor, other)
        large = visitor.post(
            "/chatkit", content=b"[" + b" " * 30_000_000, headers={"Content-Type": "application/json"}
        )
        assert large.status_code == 413
        # The connection of a body that was not read is of no use, or was emptied; the next request is answered.
        assert visitor.get("/chatkit", headers={"Accept": "text/html"}).status_code == 200


@pytest.mark.parametrize("server", SERVERS)
def test_an_answer_ends_with_its_client_and_with_the_process(example: Example, server: str) -> None:
    with ExitStack() as late, example.serving(SERVERS[server]) as url:
        visitor = late.enter_context(Visitor(url))
        sign_in(visitor)
        with begun(visitor) as thread_id:
            pass
        assert 0 < len(partial_answer(visitor, thread_id)) < len(LONG)
        # Still read while the process ends.
        thread_id = late.enter_context(begun(visitor))
    with example.serving(SERVERS[server]) as url, Visitor(url) as visitor:
        sign_in(visitor)
        assert visitor.threads()[0] == thread_id
        assert partial_answer(visitor, thread_id)


def test_readers_hear_of_a_worker_that_ends(example: Example) -> None:
    with ExitStack() as late, ThreadPoolExecutor(1) as pool:
        with example.serving() as url:
            visitor = late.enter_context(Visitor(url))
            sign_in(visitor)
            events = late.enter_context(visitor.answer(message(LONG)))
            begun_with = [next(events) for _ in range(10)]
            rest = pool.submit(list, events)
        (error,) = (event for event in rest.result(scaled(20)) if event["type"] == "error")
        assert (error["reason"], error["allow_retry"]) == ("interrupted", True)
    thread_id = begun_with[0]["thread"]["id"]
    with example.serving() as url, Visitor(url) as visitor:
        sign_in(visitor)
        assert 0 < len(partial_answer(visitor, thread_id)) < len(LONG)


BEHIND_A_PROXY = """
from app import app, chat
from werkzeug.middleware.proxy_fix import ProxyFix

app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1, x_prefix=1)
told = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.example.com", "X-Forwarded-Prefix": "/shop"}
visitor = app.test_client()
visitor.post("/sign-in", data={"name": "ada", "password": "analytical"})
params = {"name": "tea.txt", "size": 3, "mime_type": "text/plain"}
answer = visitor.post("/chatkit", json={"type": "attachments.create", "params": params}, headers=told)
print(answer.json["upload_descriptor"]["url"].partition("atc_")[0])
page = visitor.get("/chat/", headers=told).text
print("/shop/chatkit" in page, "/shop/chat/" in page)
chat.close()
"""


def test_behind_a_proxy_with_a_prefix(example: Example) -> None:
    told = example.run(["python", "-c", BEHIND_A_PROXY])
    assert told == "https://shop.example.com/shop/chatkit/files/\nTrue True\n"
